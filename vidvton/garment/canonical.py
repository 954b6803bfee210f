"""A garment picture brought upright and cropped: rotation by the silhouette's mirror symmetry, crop with a small margin."""

from __future__ import annotations

import cv2
import numpy as np

from .outline import symmetry_axis

MARGIN = 0.04
"""Empty border around the garment, in shares of its longer side."""

MIRRORED = 0.945
"""Overlap with its mirror image, STEEP times its tilt taken off, from which a garment tells that by it; less is a sleeve folded
over it, say, unless much is gained."""

STEEP = 0.0012
"""Overlap that a degree of tilt must gain to be believed."""


def tilt(mask: np.ndarray, *, reach: float = 24.0) -> float:
    """Degrees by which the mask is to be turned (clockwise on the screen) to stand upright; 0 where nothing is clearly better."""
    h, w = mask.shape
    ratio = 112 / max(h, w)
    small = cv2.resize(
        mask.astype(np.float32), (max(4, round(w * ratio)), max(4, round(h * ratio))), interpolation=cv2.INTER_AREA
    )

    def mirror(angle: float) -> float:
        return symmetry_axis(turn(small, angle)[0] > 0.5)[1] - STEEP * abs(angle)

    coarse = np.arange(-reach, reach + 0.1, 4.0)
    values = [mirror(a) for a in coarse]
    best = float(coarse[int(np.argmax(values))])
    fine = np.arange(best - 3, best + 3.1, 1.0)
    values = [mirror(a) for a in fine]
    best = float(fine[int(np.argmax(values))])
    top, gain = max(values), max(values) - mirror(0.0)
    if abs(best) < 1.5 or top < 0.8 or gain < (0.012 if top > MIRRORED else 0.1):
        return 0.0
    return best


def turn(image: np.ndarray, angle: float, *, fill: float | tuple[float, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """(`image` [H, W(, C)] turned clockwise by `angle` degrees on a canvas that holds all of it, the 2x3 matrix that did it)."""
    h, w = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), -angle, 1.0)
    c, s = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(np.ceil(w * c + h * s)), int(np.ceil(w * s + h * c))
    matrix[:, 2] += ((wide - w) / 2, (high - h) / 2)
    out = cv2.warpAffine(image, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    return out, matrix


def crop_box(mask: np.ndarray, *, margin: float = MARGIN) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), half-open, around the mask with the margin; may reach beyond the picture."""
    ys, xs = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    pad = max(2, round(margin * max(ys[-1] - ys[0], xs[-1] - xs[0])))
    return int(xs[0]) - pad, int(ys[0]) - pad, int(xs[-1]) + 1 + pad, int(ys[-1]) + 1 + pad


def crop(image: np.ndarray, box: tuple[int, int, int, int], *, edge: bool) -> np.ndarray:
    """`image` cut to `box`; beyond its border the edge is repeated (`edge`) or zero."""
    left, top, right, bottom = box
    h, w = image.shape[:2]
    before = max(0, -top), max(0, bottom - h), max(0, -left), max(0, right - w)
    mode = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    padded = cv2.copyMakeBorder(image, *before, mode, value=0)
    top, left = top + before[0], left + before[2]
    return np.ascontiguousarray(padded[top : top + bottom - box[1], left : left + right - box[0]])
