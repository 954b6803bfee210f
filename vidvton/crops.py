"""Person-centred crops: which part of every frame is worked on, and at what size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from vidvton.smoothing import whittaker
from vidvton.values import PoseTrack

WORKING_SIDE = 544  # longer side of the crop that is parsed


@dataclass(frozen=True)
class Crops:
    """The person-centred crop of every frame: `boxes` [T, 4] int xyxy source pixels inside the frame, of one size per shot, and
    `sizes` [T, 2] the (height, width) at which that crop is worked on."""

    boxes: np.ndarray
    sizes: np.ndarray

    def pose(self, track: PoseTrack, start: int, stop: int) -> PoseTrack:
        """The track of frames `start` to `stop` in working pixels (those frames must share a shot)."""
        scale = self.sizes[start:stop, 0] / (self.boxes[start:stop, 3] - self.boxes[start:stop, 1])
        offset = -self.boxes[start:stop, :2] * scale[:, None]
        return track.window(start, stop).moved(torch.from_numpy(scale).float(), torch.from_numpy(offset).float())


def plan_crops(track: PoseTrack, size: tuple[int, int]) -> Crops:
    """Crops of constant size per shot that follow the person smoothly; `size` is the source's (height, width)."""
    count = len(track)
    boxes, sizes = np.zeros((count, 4), np.int64), np.zeros((count, 2), np.int64)
    present, shots = track.present.numpy(), track.shots.numpy()
    everywhere = track.boxes.numpy().astype(np.float64)
    limits = np.array([size[1], size[0]], np.float64)
    for shot in np.unique(shots):
        rows = np.flatnonzero(shots == shot)
        seen = rows[present[rows]]
        extent = limits.copy()
        centre = np.broadcast_to(limits / 2, (len(rows), 2))
        if len(seen):
            body = np.clip(everywhere[seen], 0, np.tile(limits, 2))
            tall, wide = np.percentile(body[:, 3] - body[:, 1], 98), np.percentile(body[:, 2] - body[:, 0], 98)
            extent = np.minimum(np.array([wide + 0.45 * tall, 1.16 * tall]), limits)
            extent = np.where(extent > 0.82 * limits, limits, extent)
            middle = np.zeros((len(rows), 2))
            middle[present[rows]] = (body[:, :2] + body[:, 2:]) / 2
            centre = whittaker(middle, present[rows].astype(float), 30.0)
        extent = np.minimum((np.ceil(extent / 8) * 8), limits).astype(np.int64)
        corner = np.clip(np.rint(centre - extent / 2), 0, limits - extent).astype(np.int64)
        boxes[rows] = np.concatenate([corner, corner + extent], 1)
        ratio = min(1.0, WORKING_SIDE / max(extent))
        sizes[rows] = np.maximum(np.rint(extent[::-1] * ratio / 8).astype(np.int64) * 8, 16)
    return Crops(boxes, sizes)


def cut(frame: np.ndarray, box: np.ndarray, size: np.ndarray | tuple[int, int]) -> np.ndarray:
    """The part `box` of `frame` [H, W, 3] at (height, width) `size`."""
    part = frame[box[1] : box[3], box[0] : box[2]]
    if part.shape[:2] == tuple(size):
        return part
    return cv2.resize(part, (int(size[1]), int(size[0])), interpolation=cv2.INTER_AREA)


def placed(labels: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A crop's labels in a frame of (height, width) `size`, background around."""
    out = np.zeros(size, np.uint8)
    height, width = box[3] - box[1], box[2] - box[0]
    y = (np.arange(height) * labels.shape[0] // height).astype(int)
    x = (np.arange(width) * labels.shape[1] // width).astype(int)
    out[box[1] : box[3], box[0] : box[2]] = labels[y][:, x]
    return out
