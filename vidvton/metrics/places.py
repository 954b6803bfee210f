"""Where a metric is read: sums and counts of a picture of values over the frame, the garment region and the background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .table import BACKGROUND, FRAME, REGION

Sums = dict[str, tuple[float, float]]
"""Place -> (sum, count of pixels)."""


def sums_of(values: Tensor, *, valid: Tensor | None = None, region: Tensor | None = None) -> Sums:
    """Sum and count of `values` [H, W] where `valid` [H, W] bool, over the frame and, given `region` [H, W] bool, inside and
    outside it. Sums are taken in float64."""
    if valid is not None:
        values = values * valid
    out = {FRAME: (_total(values), float(values.numel()) if valid is None else float(valid.sum()))}
    if region is not None:
        inside = region if valid is None else region & valid
        out[REGION] = _total(values * inside), float(inside.sum())
        out[BACKGROUND] = out[FRAME][0] - out[REGION][0], out[FRAME][1] - out[REGION][1]
        if out[BACKGROUND][1] == 0:  # a difference of equal sums may leave a rounding error
            out[BACKGROUND] = 0.0, 0.0
    return out


def _total(values: Tensor) -> float:
    return float(values.sum(dtype=torch.float64))


def shrink(region: Tensor, pixels: int) -> Tensor:
    """`region` [H, W] bool without what lies within `pixels` of its outline; the picture's border is no outline."""
    outside = (~region).float()[None, None]
    return F.max_pool2d(outside, 2 * pixels + 1, 1, pixels)[0, 0] == 0


def places_of(region: Tensor | None, size: tuple[int, int]) -> dict[str, Tensor | None]:
    """Place -> mask [H, W] bool, None for the whole frame."""
    if region is None:
        return {FRAME: None}
    if tuple(region.shape) != tuple(size):
        raise ValueError(f"a region of {list(region.shape)} does not fit frames of {list(size)}")
    return {FRAME: None, REGION: region, BACKGROUND: ~region}
