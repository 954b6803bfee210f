"""A garment's pieces: the label map that says which pixel follows which piece of the body."""

from __future__ import annotations

import cv2
import numpy as np

from ..values import Part
from .landmarks import Shape

RIM = 2
"""Analysed pixels by which a sleeve's outline may lie inside its cloth."""


def label_parts(alpha: np.ndarray, shape: Shape, category: str, scale: float) -> np.ndarray:
    """[H, W] uint8 of `Part` at the size of `alpha`; `shape` was read from a mask `scale` times as large. Boundaries between
    parts are straight: shoulder to armpit, waist to waist, crotch to the waist's centre."""
    mask = alpha >= 0.5
    h, w = mask.shape
    parts = np.zeros((h, w), np.uint8)
    if category == "lower":
        legs = shape.crotch
        parts[:] = Part.SKIRT if legs is None else Part.RIGHT_LEG
        if legs is not None:
            _fill(parts, _leg_polygon(shape, legs, h / scale), Part.LEFT_LEG, scale)
    else:
        parts[:] = Part.TORSO
        if category == "full":
            _below_waist(parts, shape, scale)
        for side, part, mirrored in ((shape.left, Part.LEFT_SLEEVE, False), (shape.right, Part.RIGHT_SLEEVE, True)):
            if side.sleeve is not None:
                path = side.half.path[side.sleeve[0] : side.sleeve[1] + 1]
                whole = path if side.inner_seam is None else np.vstack([path, side.inner_seam[1:-1]])
                _fill(parts, unmirror(whole, shape) if mirrored else whole, part, scale, grow=side.inner_seam is None)
    parts[~mask] = Part.NONE
    _join_rims(parts, scale)
    return parts


def _join_rims(parts: np.ndarray, scale: float) -> None:
    """Gives sleeves the rims of cloth around them that their outlines, read from a smaller picture, left to the trunk."""
    sleeves = np.isin(parts, [Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE])
    rest = (parts != Part.NONE) & ~sleeves
    if not sleeves.any():
        return
    pen = np.ones((2 * round(RIM * scale) + 1,) * 2, np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(cv2.erode(rest.view(np.uint8), pen))
    if count < 2:
        return
    trunk = pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    rims = rest & (cv2.dilate(trunk.view(np.uint8), pen) == 0) & (cv2.dilate(sleeves.view(np.uint8), pen) > 0)
    _, nearest = cv2.distanceTransformWithLabels((~sleeves).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(nearest.max() + 1, np.uint8)
    owner[nearest[sleeves]] = parts[sleeves]
    parts[rims] = owner[nearest[rims]]


def unmirror(points: np.ndarray, shape: Shape) -> np.ndarray:
    """Points of the mirrored (wearer's right) side in the mask's own picture."""
    out = np.array(points, np.float64, copy=True)
    out[..., 0] = shape.width - 1 - out[..., 0]
    return out


def _leg_polygon(shape: Shape, crotch: tuple[float, float], bottom: float) -> np.ndarray:
    """Everything on the picture's right of the line waist centre - crotch - downwards."""
    head = shape.left.half.path[0]
    far = shape.width * 3.0
    return np.array([[head[0], -far], [head[0], head[1]], crotch, [crotch[0], bottom + far], [far, bottom + far], [far, -far]])


def _below_waist(parts: np.ndarray, shape: Shape, scale: float) -> None:
    left = np.array(shape.left.points["waist"][:2])
    right = unmirror(np.array(shape.right.points["waist"][:2]), shape)
    direction = (left - right) / max(1.0, float(np.linalg.norm(left - right)))
    far = 3.0 * max(parts.shape) / scale
    a, b = right - direction * far, left + direction * far
    below = np.array([a, b, b + (0, far), a + (0, far)])
    legs = shape.crotch
    if legs is None:
        _fill(parts, below, Part.SKIRT, scale)
        return
    _fill(parts, below, Part.RIGHT_LEG, scale)
    middle = 0.5 * (left + right)
    _fill(parts, np.array([middle, b, b + (0, far), [legs[0], b[1] + far], legs]), Part.LEFT_LEG, scale)


def _fill(parts: np.ndarray, polygon: np.ndarray, part: Part, scale: float, *, grow: bool = False) -> None:
    """Fills a polygon given in analysed pixels. `grow` lets it swallow the rim that the analysed outline lies inside of, but not
    across its first and last point's chord."""
    inked = np.zeros(parts.shape, np.uint8)
    points = (polygon + 0.5) * scale - 0.5
    fixed = np.round(points * 16).astype(np.int32)
    cv2.fillPoly(inked, [fixed], 1, shift=4)
    if grow:
        thick = max(3, 2 * round(2 * scale) + 1)
        cv2.polylines(inked, [fixed], False, 1, thick, shift=4)
        # the thick pen must not reach over the seam
        a, b = points[0], points[-1]
        along = (b - a) / max(1e-6, float(np.linalg.norm(b - a)))
        y, x = np.mgrid[0 : parts.shape[0], 0 : parts.shape[1]]
        side = along[0] * (y - a[1]) - along[1] * (x - a[0])
        t = along[0] * (x - a[0]) + along[1] * (y - a[1])
        inner = np.sign(np.median(along[0] * (points[:, 1] - a[1]) - along[1] * (points[:, 0] - a[0])))
        near = (t > -3 * thick) & (t < np.linalg.norm(b - a) + 3 * thick) & (np.abs(side) < 2 * thick)
        inked[near & (side * inner < 0)] = 0
    parts[inked > 0] = part
