"""Optical flow, moving pictures along it, what is hidden; warping error and tOF. All at the frames' own size.

DIS runs at its "medium" preset (16 ms a pair at 512x384, a fifth of a whole measurement): on 21 studio clips its warping error is
1.12 times the exact flow's in the median and goes with it over clips (r of logs 0.86); "fast" (4 ms) is 1.84 times off (r 0.80).
`tools/bench_metrics.py --studio DIR` prints both.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def grey(frame: Tensor) -> np.ndarray:
    """[H, W] uint8 of a frame [3, H, W] uint8, as OpenCV weighs RGB (BT.601)."""
    return cv2.cvtColor(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY)


def dis_flow(first: np.ndarray, second: np.ndarray, *, preset: str = "medium") -> Tensor:
    """[2, H, W] float32 (dx, dy) in pixels from `first` to `second`, grey [H, W] uint8 (Kroeger et al., DIS, ECCV 2016)."""
    # A fresh object a pair: it keeps buffers and may not be shared by threads.
    flow = cv2.DISOpticalFlow_create(PRESETS[preset]).calc(first, second, None)
    return torch.from_numpy(flow).permute(2, 0, 1)


def farneback_flow(first: np.ndarray, second: np.ndarray) -> Tensor:
    """[2, H, W] float32 (dx, dy) in pixels from `first` to `second`, grey [H, W] uint8, with TecoGAN's settings."""
    flow = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return torch.from_numpy(flow).permute(2, 0, 1)


def move_back(picture: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """(`picture` [C, H, W] float read at each pixel's place after `flow` [2, H, W], bilinear; inside [H, W] bool).

    `inside` is False where that place lies beyond the outermost pixel centres; the nearest edge pixel is read there.
    """
    _, height, width = picture.shape
    x = torch.arange(width, dtype=torch.float32) + flow[0]
    y = torch.arange(height, dtype=torch.float32)[:, None] + flow[1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    moved = F.grid_sample(picture[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return moved, inside


def motion_boundary(flow: Tensor) -> Tensor:
    """[H, W] bool: |grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002, forward differences (Ruder et al. 2016, eq. 6)."""
    right = F.pad(flow[:, :, 1:] - flow[:, :, :-1], (0, 1))
    below = F.pad(flow[:, 1:] - flow[:, :-1], (0, 0, 0, 1))
    return (right.square() + below.square()).sum(0) > 0.01 * flow.square().sum(0) + 0.002


def visible(flow: Tensor, back: Tensor) -> Tensor:
    """[H, W] bool on the grid `flow` [2, H, W] starts from: inside the picture, there and back again, and no motion boundary.

    Hidden where |back(x + flow) + flow|^2 > 0.01 (|back|^2 + |flow|^2) + 0.5 (Ruder et al. 2016, eq. 5; Lai et al. 2018).
    """
    returned, inside = move_back(back, flow)
    gap = (returned + flow).square().sum(0)
    bound = 0.01 * (returned.square().sum(0) + flow.square().sum(0)) + 0.5
    return inside & (gap <= bound) & ~motion_boundary(flow)


def warping_error(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """[H, W] float32: (warp(O_t) - O_{t-1})^2, mean of the channels, on the grid of `first` (Lai et al. 2018, eq. 8).

    `first`, `second` [3, H, W] float 0-1 of neighbouring frames; `flow` [2, H, W] from the first to the second *of the source*.
    The caller sums it where the source's pixels stay visible and divides by their number.
    """
    return (move_back(second, flow)[0] - first).square().mean(0)


def flow_distance(flow: Tensor, reference: Tensor) -> Tensor:
    """[H, W] float32 pixels: length of the difference of two flows [2, H, W]; its mean is tOF (TecoGAN, section 5)."""
    return (flow - reference).square().sum(0).sqrt()
