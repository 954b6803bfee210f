"""Where the rooms meet: clip and garments become what an engine draws, a network is conditioned on, and training reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidvton.analysis import FLOW_STEP, Analysis, Shot, analyse_clip, cut, load_analysis
from vidvton.crops import placed
from vidvton.errors import VidvtonError
from vidvton.frames import as_arrays
from vidvton.people.agnostic import make_agnostic
from vidvton.values import Clip, Garment, PersonTrack, TryOnInputs, WarpedGarment
from vidvton.warp.canvas import Box
from vidvton.warp.outfit import Drawn, Outfit, fit_outfit


def fit_shot(analysis: Analysis, shot: Shot, garments: tuple[Garment, ...], *, untucked: bool = False) -> Outfit:
    """`garments` fitted to one shot of a clip; the shot must show the person (`shot.body`). `untucked`, tops hang over what is
    worn below, even where the old one is tucked in."""
    pose = analysis.crops.pose(analysis.track, shot.start, shot.stop)
    box, size = analysis.crops.boxes[shot.start], analysis.crops.sizes[shot.start]

    def motion() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        return analysis.motion(shot.start, shot.stop)

    return fit_outfit(
        garments,
        shot.body,
        shot.albedo,
        shot.body.keypoints,
        pose.depth.numpy(),
        pose.yaw.numpy(),
        zoom=float((box[3] - box[1]) / size[0]),
        motion=motion,
        flow_step=FLOW_STEP,
        untucked=untucked,
    )


def prepare(clip: Clip, garments: tuple[Garment, ...], *, who: str = "largest", rate: float = 25.0) -> TryOnInputs:
    """All that is known of a short clip and garments before rendering, in memory (the clip engines stream instead).

    `rate` is the clip's frames/s. The agnostic frames are those of the garments' categories together. Raises VidvtonError where
    nobody is seen.
    """
    if not garments:
        raise VidvtonError("no garment was given; expected at least one")
    with tempfile.TemporaryDirectory(prefix="vidvton-prepare-") as folder:
        work = Path(folder)
        for _ in analyse_clip(lambda start: iter([clip.window(start, len(clip))]), clip.size, work, who=who):
            pass
        analysis = load_analysis(work, clip.size, rate=rate)
        labels = [placed(label, box, clip.size) for label, box in zip(analysis.labels(0, len(clip)), analysis.crops.boxes)]
        person = PersonTrack(analysis.track, torch.from_numpy(np.stack(labels)))
        warped = _warp(analysis, clip, garments)
    categories = {g.category for g in garments}
    category = categories.pop() if len(categories) == 1 else "full"
    return TryOnInputs(clip, person, garments, make_agnostic(clip, person, category), warped)


def _warp(analysis: Analysis, clip: Clip, garments: tuple[Garment, ...]) -> WarpedGarment:
    height, width = clip.size
    frames = torch.zeros(len(clip), 3, height, width)
    alpha = torch.zeros(len(clip), 1, height, width)
    pictures = as_arrays(clip.frames)
    for shot in analysis.shots:
        if shot.body is None:
            continue
        outfit = fit_shot(analysis, shot, garments)
        for t, labels in enumerate(analysis.labels(shot.start, shot.stop), shot.start):
            if not bool(analysis.track.present[t]):
                continue
            box = analysis.crops.boxes[t]
            size = int(box[3] - box[1]), int(box[2] - box[0])
            drawn = outfit.draw(t - shot.start, np.ascontiguousarray(cut(pictures[t], box, labels.shape)), labels, size)
            colour, cover = flatten(drawn, size)
            frames[t, :, box[1] : box[3], box[0] : box[2]] = colour
            alpha[t, :, box[1] : box[3], box[0] : box[2]] = cover
    return WarpedGarment(frames, alpha)


def flatten(drawn: list[Drawn], size: tuple[int, int], *, under: bool = True) -> tuple[Tensor, Tensor]:
    """What the warp lays over a frame, lit: new cloth and (`under`) what takes the place of old cloth beneath it. `(colour
    [3, H, W], alpha [1, H, W])` float32 0-1 at output `size`, not multiplied by alpha."""
    colour, cover = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)

    def lay(box: Box, lit: np.ndarray, alpha: np.ndarray) -> None:
        part = slice(box[0], box[1]), slice(box[2], box[3])
        total = alpha + cover[part] * (1 - alpha)
        share = alpha / np.maximum(total, 1e-6)
        colour[part] += (lit / 255 - colour[part]) * share[..., None]
        cover[part] = total

    for piece in drawn:
        box = piece.canvas.extent(piece.under_alpha) if under else None
        if box is not None:
            lay(box, piece.canvas.enlarge(piece.under, box, cell=2.0), piece.canvas.enlarge(piece.under_alpha, box))
        for layer in piece.layers:
            (top, left), (height, width) = layer.corner, layer.alpha.shape
            box = (top, top + height, left, left + width)
            light = piece.canvas.enlarge(piece.light, box)[..., None] if layer.lit else np.float32(1)
            lay(box, layer.colour * light, layer.alpha)
    return torch.from_numpy(np.clip(colour, 0, 1)).permute(2, 0, 1), torch.from_numpy(cover)[None]
