"""Pictures of poses and labels, for networks and for eyes."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MisuseError
from ..frames import as_arrays, from_arrays
from ..values import PoseTrack

_PALETTE = np.array([
    (0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51), (255, 85, 0), (0, 0, 85), (0, 119, 221), (85, 85, 0),
    (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221), (0, 255, 255), (85, 255, 170),
    (170, 255, 85), (255, 255, 0), (255, 170, 0),
], np.uint8)  # fmt: skip

_SEEN = 0.3
# OpenPose's BODY_25 limbs in its own colours, written in MediaPipe's joints; -1 is mid shoulders, -2 mid hips.
_BONES = (
    (-1, -2, (255, 0, 0)), (-1, 12, (255, 85, 0)), (12, 14, (255, 170, 0)), (14, 16, (255, 255, 0)), (-1, 11, (170, 255, 0)),
    (11, 13, (85, 255, 0)), (13, 15, (0, 255, 0)), (-2, 24, (0, 255, 85)), (24, 26, (0, 255, 170)), (26, 28, (0, 255, 255)),
    (-2, 23, (0, 170, 255)), (23, 25, (0, 85, 255)), (25, 27, (0, 0, 255)), (-1, 0, (255, 0, 85)), (0, 5, (255, 0, 170)),
    (5, 8, (255, 0, 255)), (0, 2, (170, 0, 255)), (2, 7, (85, 0, 255)), (27, 31, (0, 0, 255)), (28, 32, (0, 255, 255)),
    (15, 19, (80, 255, 80)), (16, 20, (255, 255, 80)),
)  # fmt: skip


def draw_skeleton(pose: PoseTrack, size: tuple[int, int]) -> Tensor:
    """[T, 3, H, W] uint8: each frame's skeleton on black in OpenPose's colours, lines as thick as the picture is large. Joints
    with a score under 0.3 and frames without a person are left out. `size` (height, width) must be that of the pose's pixels."""
    height, width = size
    out = np.zeros((len(pose), height, width, 3), np.uint8)
    thick = max(1, round(min(size) / 120))
    for t in range(len(pose)):
        if not bool(pose.present[t]):
            continue
        points = {j: row for j, row in enumerate(pose.keypoints[t].numpy())}
        for name, pair in ((-1, (11, 12)), (-2, (23, 24))):
            points[name] = (points[pair[0]] + points[pair[1]]) / 2
            points[name][2] = min(points[pair[0]][2], points[pair[1]][2])
        for a, b, colour in _BONES:
            if points[a][2] >= _SEEN and points[b][2] >= _SEEN:
                cv2.line(out[t], _pixel(points[a]), _pixel(points[b]), colour, thick, cv2.LINE_AA)
        for _, b, colour in _BONES:
            if points[b][2] >= _SEEN:
                cv2.circle(out[t], _pixel(points[b]), thick + 1, colour, -1, cv2.LINE_AA)
    return from_arrays(out)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(point[:2] - 0.5, -1e5, 1e5)
    return round(float(x)), round(float(y))


def colour_labels(labels: Tensor) -> Tensor:
    """[T, 3, H, W] uint8 colours (CIHP's usual palette) of `labels` [T, H, W] uint8 below 20."""
    numbers = labels.numpy()
    if numbers.size and int(numbers.max()) >= len(_PALETTE):
        raise MisuseError(f"labels go up to {int(numbers.max())}, expected at most {len(_PALETTE) - 1}; give CIHP or LIP labels")
    return from_arrays(_PALETTE[numbers])


def overlay(frames: Tensor, labels: Tensor, alpha: float = 0.5) -> Tensor:
    """`frames` [T, 3, H, W] uint8 with the labels' colours over them where there is a label, `alpha` 0-1 strong."""
    pictures, colours = as_arrays(frames), as_arrays(colour_labels(labels))
    out = pictures.copy()
    for t in range(len(pictures)):
        mixed = cv2.addWeighted(np.ascontiguousarray(pictures[t]), 1 - alpha, np.ascontiguousarray(colours[t]), alpha, 0)
        np.copyto(out[t], mixed, where=(labels[t].numpy() > 0)[..., None])
    return from_arrays(torch.from_numpy(out).numpy())
