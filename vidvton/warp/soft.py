"""Soft edges: of masks, and of steps between values."""

from __future__ import annotations

import cv2
import numpy as np

_STEEP = ((np.clip(np.arange(256), 70, 185) - 70) / 115).astype(np.float32)  # what `soften` makes of a blurred edge


def soften(mask: np.ndarray, *, wide: bool = False) -> np.ndarray:
    """float32 0-1 from a boolean mask, its edge spread over a pixel or two.

    Labels end at whole pixels, and a line between pixels is a stair that climbs as the body moves. A wide blur (three boxes,
    near a Gaussian of 2.4 pixels, or 3 where `wide`) finds the line, and steepening it again leaves the edge where it is and
    nearly as sharp."""
    blurred = np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
    for side in (7, 7, 3) if wide else (5, 5, 5):
        blurred = cv2.blur(blurred, (side, side))
    return cv2.LUT(blurred, _STEEP)


def step_between(values: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth in between (low > high turns it round)."""
    share = np.subtract(values, low)
    share *= 1 / (high - low)
    np.minimum(np.maximum(share, 0, out=share), 1, out=share)
    rest = share * -2
    rest += 3
    share *= share
    share *= rest
    return share
