"""The naive baseline: the garment picture pasted onto every frame by itself. It flickers, and that is what it is for.

Each frame is looked at alone: the pose model starts afresh, its joints are taken as they come, the prepared garment is stretched
into the box they span, and laid over the frame. Nothing is smoothed, lit, bent, or put under hair and arms; where the pose model
sees nobody, the frame stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import VidvtonError
from ..frames import resize, to_float, to_uint8
from ..media.images import read_image
from ..media.info import DEFAULT_LIMITS, Limits
from ..media.reader import open_clip
from ..media.writer import VideoWriter
from ..people.estimators import Body, PoseEstimator
from ..values import Clip, Garment
from ..worn import prepare_any_garment

_SHOULDERS, _HIPS, _KNEES, _ANKLES = (11, 12), (23, 24), (25, 26), (27, 28)
_SEEN = 0.3


def paste_clip(
    source: Path, garment: Path, out: Path, *, category: str | None = None, codec: str = "ffv1", limits: Limits = DEFAULT_LIMITS
) -> int:
    """Writes `out`: the clip with the garment pasted onto every frame where a body is seen; returns how many those are.

    VidvtonError where there is none, and what reading and preparing raise.
    """
    from ..people.mediapipe_pose import mediapipe_estimators

    picture = read_image(garment, max_pixels=limits.max_pixels)
    prepared = prepare_any_garment(picture.image, picture.alpha, category=category)
    reader, pose, dressed = open_clip(source, limits=limits), mediapipe_estimators().pose(), 0
    with VideoWriter(out, reader.info, codec=codec, overwrite=True, sound=False) as writer:
        for clip in reader.clips(8):
            frames = clip.frames.clone()
            for t in range(len(clip)):
                box = find_box(clip.frames[t], pose, prepared.category)
                if box is not None:
                    frames[t] = paste_frame(clip.frames[t], prepared, box)
                    dressed += 1
            writer.write(Clip(frames.contiguous(memory_format=torch.channels_last), clip.pts, clip.time_base))
        if not dressed:
            raise VidvtonError(f"{source}: nobody was found in any of its frames; give a clip that shows a person")
    return dressed


def find_box(frame: Tensor, pose: PoseEstimator, category: str) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) in pixels, which may lie outside, that a garment of `category` is stretched into; from this
    frame [3, H, W] uint8 alone. None where nobody is seen."""
    bodies = pose.follow(frame[None], None)[0][0]
    bodies = [b for b in bodies if b.keypoints[[*_SHOULDERS, *_HIPS], 2].min() > _SEEN]
    if not bodies:
        return None
    body = max(bodies, key=_size)
    points = body.keypoints[:, :2]
    shoulders, hips = points[list(_SHOULDERS)], points[list(_HIPS)]
    torso = float(np.linalg.norm(hips.mean(0) - shoulders.mean(0)))
    wide = max(float(np.ptp(shoulders[:, 0])), float(np.ptp(hips[:, 0])), 0.35 * torso)
    centre = float((shoulders.mean(0) + hips.mean(0))[0] / 2)
    if category == "upper":
        top, bottom, half = shoulders[:, 1].min() - 0.12 * torso, hips[:, 1].max() + 0.1 * torso, 0.95 * wide
    elif category == "lower":
        top, bottom, half = hips[:, 1].min() - 0.2 * torso, points[list(_ANKLES), 1].max(), 0.75 * wide
        centre = float(hips.mean(0)[0])
    else:
        top, bottom, half = shoulders[:, 1].min() - 0.12 * torso, points[list(_KNEES), 1].max(), 1.0 * wide
    if bottom - top < 8 or half < 4:
        return None
    return round(float(top)), round(centre - half), round(float(bottom)), round(centre + half)


def _size(body: Body) -> float:
    return float(np.ptp(body.keypoints[:, 1]))


def paste_frame(frame: Tensor, garment: Garment, box: tuple[int, int, int, int]) -> Tensor:
    """`frame` [3, H, W] uint8 with the garment's cut-out, its margin trimmed, stretched into `box` and laid over."""
    rows, columns = torch.nonzero(garment.mask.any(1))[:, 0], torch.nonzero(garment.mask.any(0))[:, 0]
    part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    cover = (garment.alpha * garment.mask)[part][None]
    top, left, bottom, right = box
    layer = resize(torch.cat([to_float(garment.image[:, part[0], part[1]]) * cover, cover]), (bottom - top, right - left))
    height, width = frame.shape[1:]
    y0, x0, y1, x1 = max(0, top), max(0, left), min(height, bottom), min(width, right)
    if y0 >= y1 or x0 >= x1:
        return frame
    piece = layer[:, y0 - top : y1 - top, x0 - left : x1 - left]
    out = frame.clone()
    out[:, y0:y1, x0:x1] = to_uint8(to_float(frame[:, y0:y1, x0:x1]) * (1 - piece[3:]) + piece[:3])
    return out
