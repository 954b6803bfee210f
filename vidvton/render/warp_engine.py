"""The warp engine: garment pictures bent onto the tracked body, lit with the old garment's light, pasted back. No weights of
ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vidvton.analysis import Analysis, Shot, analyse_clip, cut, load_analysis
from vidvton.frames import as_arrays
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.prepare import fit_shot
from vidvton.progress import Note, Progress
from vidvton.render.composite import paste
from vidvton.render.dressing import LEAST_FOR_WORKERS, PIECE, dressed_pieces, warnings_of, with_frames
from vidvton.render.engine import EngineSummary, GarmentFacts
from vidvton.render.settings import RenderSettings
from vidvton.render.steady import Dressed, Steadier
from vidvton.values import Clip, Garment
from vidvton.warp.outfit import Outfit
from vidvton.workers import fork_workers, worker_context, worker_count


class WarpEngine:
    """See `render.engine.Engine`."""

    name = "warp"

    def __init__(self, source: Path, garments: tuple[Garment, ...], work: Path, settings: RenderSettings, limits: Limits) -> None:
        self._source, self._garments, self._work, self._settings, self._limits = source, garments, work, settings, limits
        self._analysis: Analysis | None = None
        self._outfits: dict[int, Outfit] = {}
        self._pool: Executor | None = None

    def prepare(self) -> Iterator[Progress | Note]:
        reader = open_clip(self._source, limits=self._limits)
        info, who = reader.info, self._settings.who
        rate = float(info.rate) or 25.0
        yield from analyse_clip(self._clips, info.size, self._work, who=who, name=self._source, frames_at=reader.frames_at)
        self._analysis = load_analysis(self._work, info.size, rate=rate)
        count = len(self._analysis.track)
        for shot in self._analysis.shots:
            if shot.body is not None:
                self._outfits[shot.start] = fit_shot(self._analysis, shot, self._garments, untucked=self._settings.warp.untucked)
            yield Progress("fit", shot.stop, count)
        if count >= LEAST_FOR_WORKERS and worker_count() > 1:
            self._pool = fork_workers(worker_count(), self)

    def _clips(self, start: int) -> Iterator[Clip]:
        return open_clip(self._source, limits=self._limits).clips(PIECE, start=start)

    def num_frames(self) -> int:
        return len(self._analysis.track)

    def summary(self) -> EngineSummary:
        track = self._analysis.track
        facts = tuple(GarmentFacts(g.category, asdict(g.layout)) for g in self._garments)
        return EngineSummary(1, tuple(track.quality.tolist()), tuple(track.present.tolist()), facts, warnings_of(track))

    def dress(self, start: int, stop: int) -> Iterator[Clip]:
        """See `render.engine.Engine`. What lies before `start` and has a say in it is dressed too, and not given out."""
        position = self._begin(start)
        steadier = Steadier(self._settings.warp.steady)
        pieces = self._pieces(position, stop)
        for clip, drawn in dressed_pieces(pieces, lambda task: self._dress_frame(*task), self._pool, _dress_in_worker):
            frames = []
            for t, frame, dressed in zip(range(position, stop), as_arrays(clip.frames), drawn):
                frames.append(steadier.step(t - self._shot(t).start, frame, dressed))
            skipped = max(0, start - position)
            position += len(clip)
            if skipped < len(clip):
                yield with_frames(clip.window(skipped, len(clip)), frames[skipped:])

    def glimpse(self, t: int) -> Clip:
        """See `render.engine.Engine`."""
        ((clip, tasks),) = self._pieces(t, t + 1)
        return with_frames(clip, [Steadier(0.0).step(0, tasks[0][1], self._dress_frame(*tasks[0]))])

    def _shot(self, t: int) -> Shot:
        return next(s for s in self._analysis.shots if s.start <= t < s.stop)

    def _begin(self, t: int) -> int:
        """The frame from which to dress so that frame `t` comes out right."""
        if not self._settings.warp.steady:
            return t
        start = self._shot(t).start
        return start + Steadier.begin(t - start)

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[Clip, list[tuple[int, np.ndarray, np.ndarray]]]]:
        """Pieces of the source from `start` to `stop`, with (index, frame, labels) of each of their frames."""
        position = start
        for clip in self._clips(start):
            clip = clip.window(0, min(len(clip), stop - position))
            if not len(clip):
                return
            labels = self._analysis.labels(position, position + len(clip))
            yield clip, [(position + k, f, m) for k, (f, m) in enumerate(zip(as_arrays(clip.frames), labels))]
            position += len(clip)

    def _dress_frame(self, t: int, frame: np.ndarray, labels: np.ndarray) -> Dressed | None:
        """What is drawn into `frame` [H, W, 3] uint8; None where nobody is dressed."""
        analysis, shot = self._analysis, self._shot(t)
        if shot.body is None or not bool(analysis.track.present[t]):
            return None
        box = analysis.crops.boxes[t]
        crop = np.ascontiguousarray(frame[box[1] : box[3], box[0] : box[2]])
        small = np.ascontiguousarray(cut(frame, box, labels.shape))
        fade = shot.fade[t - shot.start] if shot.fade is not None else 0.0
        small = unfade(small, fade, shot.fade_to)
        behind = None if shot.plate is None else lambda size: shot.plate.cut(box, size)
        cover = np.zeros(crop.shape[:2], np.float32)
        for drawn in self._outfits[shot.start].draw(t - shot.start, small, labels, crop.shape[:2], behind=behind):
            crop = paste(crop, drawn, fade=fade, fade_to=shot.fade_to, cover=cover)
        rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
        if not len(rows):
            return None
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return Dressed(crop[part].copy(), cover[part].copy(), (int(box[1] + rows[0]), int(box[0] + columns[0])))


def unfade(frame: np.ndarray, share: float, colour: float) -> np.ndarray:
    """`frame` uint8 as it was before a `share` of a flat grey level `colour` (0-255) was blended over it."""
    if share < 0.02:
        return frame
    return np.clip((frame.astype(np.float32) - share * colour) / max(1 - share, 0.08), 0, 255).astype(np.uint8)


def _dress_in_worker(task: tuple[int, np.ndarray, np.ndarray]) -> Dressed | None:
    return worker_context()._dress_frame(*task)
