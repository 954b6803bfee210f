"""The warp engine: garment pictures bent onto the tracked body, lit with the old garment's light, pasted back. No weights of ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from vidvton.frames import as_arrays, from_arrays
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.prepare import Analysis, Shot, analyse_clip, cut, load_analysis
from vidvton.progress import Note, Progress
from vidvton.render.composite import paste, soft_edge
from vidvton.render.engine import EngineSummary, GarmentFacts
from vidvton.render.settings import RenderSettings
from vidvton.values import Clip, Garment
from vidvton.warp.drape import map_panel, enlarge
from vidvton.warp.fit import FittedPanel, fit_panels
from vidvton.warp.layers import Dressing, draw_order, old_cloth, panel_layer, soften
from vidvton.warp.panels import bare_limbs, panels_for
from vidvton.warp.shade import shading
from vidvton.warp.texture import make_texture
from vidvton.warp.undress import fill, kept_in_front
from vidvton.values import Part

PIECE = 16
STEP = 4.0  # working pixels a raster cell


@dataclass(frozen=True)
class _Wear:
    """One garment on one shot."""

    dressing: Dressing
    fitted: tuple[FittedPanel, ...]


class WarpEngine:
    """See `render.engine.Engine`."""

    name = "warp"

    def __init__(self, source: Path, garments: tuple[Garment, ...], work: Path, settings: RenderSettings, limits: Limits) -> None:
        self._source, self._garments, self._work, self._settings, self._limits = source, garments, work, settings, limits
        self._reader = open_clip(source, limits=limits)
        self._analysis: Analysis | None = None
        self._wears: dict[int, tuple] = {}

    def prepare(self) -> Iterator[Progress | Note]:
        info = self._reader.info
        rate = float(info.rate)
        yield from analyse_clip(self._clips, info.size, self._work, who=self._settings.who, rate=rate)
        self._analysis = load_analysis(self._work, info.size, rate=rate)
        for shot in self._analysis.shots:
            if shot.body is not None:
                self._wears[shot.start] = self._fit(shot)

    def _clips(self, start: int) -> Iterator[Clip]:
        return open_clip(self._source, limits=self._limits).clips(PIECE, start=start)

    def num_frames(self) -> int:
        return len(self._analysis.track)

    def summary(self) -> EngineSummary:
        track = self._analysis.track
        facts = tuple(GarmentFacts(g.category, asdict(g.layout)) for g in self._garments)
        return EngineSummary(1, tuple(track.quality.tolist()), tuple(track.present.tolist()), facts)

    def _fit(self, shot: Shot) -> tuple:
        analysis = self._analysis
        pose = analysis.crops.pose(analysis.track, shot.start, shot.stop)
        keypoints, depth, yaw = pose.keypoints.numpy(), pose.depth.numpy(), pose.yaw.numpy()
        box, size = analysis.crops.boxes[shot.start], analysis.crops.sizes[shot.start]
        zoom = (box[3] - box[1]) / size[0]
        wears = []
        for garment in self._garments:
            panels = panels_for(garment, shot.body)
            waist = shot.body.waist if np.isfinite(shot.body.waist) else 0.72
            flat = float(np.median([np.ptp(p.lattice[:, 0, 1]) / max(np.ptp(p.stations), 1e-6) for p in panels[:1]]))
            unit = float(np.median(shot.body.unit)) * zoom
            texture = make_texture(garment, scale=float(np.clip(1.25 * unit / flat, 0.1, 1.0)), torso=flat)
            factor = texture.alpha.shape[0] / garment.alpha.shape[0]
            scaled = tuple(_scaled(p, factor) for p in panels)
            dressing = Dressing(garment.category, texture, panels[0].tucked, waist)
            wears.append(_Wear(dressing, fit_panels(scaled, shot.body, keypoints, depth, yaw)))
        limbs = fit_panels(bare_limbs(), shot.body, keypoints, depth, yaw)
        return tuple(wears), limbs, yaw

    def dress(self, start: int, stop: int) -> Iterator[Clip]:
        analysis = self._analysis
        clips = self._clips(start)
        position = start
        with ThreadPoolExecutor(2) as pool:
            waiting: deque = deque()
            for clip in clips:
                clip = clip.window(0, min(len(clip), stop - position))
                if not len(clip):
                    break
                labels = analysis.labels(position, position + len(clip))
                frames = list(as_arrays(clip.frames))
                jobs = [pool.submit(self._dress_frame, position + k, f, l) for k, (f, l) in enumerate(zip(frames, labels))]
                waiting.append((clip, jobs))
                position += len(clip)
                if len(waiting) > 1:
                    yield _gather(*waiting.popleft())
                if position >= stop:
                    break
            while waiting:
                yield _gather(*waiting.popleft())

    def _dress_frame(self, t: int, frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
        analysis = self._analysis
        shot = next(s for s in analysis.shots if s.start <= t < s.stop)
        if shot.body is None or not bool(analysis.track.present[t]):
            return frame
        box = analysis.crops.boxes[t]
        crop = np.ascontiguousarray(frame[box[1] : box[3], box[0] : box[2]])
        small = np.ascontiguousarray(cut(frame, box, labels.shape))
        out = frame.copy()
        wears, limbs, yaw = self._wears[shot.start]
        k = t - shot.start
        light = shading(small, labels, shot.albedo)
        raster = (-(-labels.shape[0] // int(STEP)), -(-labels.shape[1] // int(STEP)))
        limb_maps = [map_panel(p, k, yaw[k], raster, step=STEP) for p in limbs]
        widths = {Part.LEFT_SLEEVE: shot.body.arms[k, 0], Part.RIGHT_SLEEVE: shot.body.arms[k, 1],
                  Part.LEFT_LEG: shot.body.legs[k, 0], Part.RIGHT_LEG: shot.body.legs[k, 1]}
        skin = shot.albedo.skin if np.isfinite(shot.albedo.skin).all() else np.float32([0.75, 0.6, 0.52])
        for wear in wears:
            maps = [map_panel(p, k, yaw[k], raster, step=STEP) for p in wear.fitted]
            column = next((m.station for m in maps if m.part in (Part.TORSO, Part.SKIRT)), None)
            column = None if column is None else enlarge(column, labels.shape)
            old = old_cloth(labels, wear.dressing.category, column, wear.dressing.waist)
            under, bare = fill(small, labels, old, wear.dressing, maps, limb_maps, widths, skin, light)
            kept = kept_in_front(labels)
            grown = cv2.dilate(old.astype(np.uint8), np.ones((5, 5))).astype(bool) & ~kept
            layers = [panel_layer(maps[i], wear.dressing, labels, old, limb_maps, crop.shape[:2]) for i in draw_order(maps)]
            crop = paste(crop, under, soft_edge(soften(grown)), [l for l in layers if l is not None], light)
        out[box[1] : box[3], box[0] : box[2]] = crop
        return out


def _scaled(panel, factor: float):
    from dataclasses import replace

    return replace(panel, lattice=panel.lattice * np.float32(factor))


def _gather(clip: Clip, jobs: list) -> Clip:
    return Clip(from_arrays(np.stack([j.result() for j in jobs])), clip.pts, clip.time_base)
