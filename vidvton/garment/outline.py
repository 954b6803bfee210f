"""A silhouette as a path: one half of the outline from the top centre to the bottom centre, with its corners.

Everything is done for the picture's right half, so that the other half is the mirror picture's right half. Points are float
(x, y) in pixel indices of the analysed mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

STEPS = 320
"""Points on one half's path."""


@dataclass(frozen=True)
class Half:
    """The right half's outline: `path` [STEPS, 2] at equal distances from top centre to bottom centre, `axis` the x of the centre
    line, `top` and `height` of the whole silhouette, `turn` [STEPS] degrees, positive at convex corners."""

    path: np.ndarray
    axis: float
    top: float
    height: float
    turn: np.ndarray

    @property
    def x(self) -> np.ndarray:
        """[STEPS] distance outward from the centre line."""
        return self.path[:, 0] - self.axis

    @property
    def y(self) -> np.ndarray:
        """[STEPS] height below the silhouette's top."""
        return self.path[:, 1] - self.top


def holes_of(mask: np.ndarray) -> np.ndarray:
    """[H, W] bool: what `mask` encloses."""
    count, label = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    outside = np.zeros(count, bool)
    outside[0] = True  # the mask itself
    for side in (label[0], label[-1], label[:, 0], label[:, -1]):
        outside[side] = True
    return ~outside[label]


def open_gaps(mask: np.ndarray) -> np.ndarray:
    """`mask` with every hole (legs or a sleeve touching below a gap) opened to the outside by a cut from its lowest point, so
    that the outline runs around the gap."""
    holes = holes_of(mask)
    count, label, stats, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    out = mask.copy().astype(np.uint8)
    outer = ~mask & ~holes
    _, nearest = ndimage.distance_transform_edt(~outer, return_indices=True)
    for i in range(1, count):
        if stats[i, cv2.CC_STAT_AREA] < 12:
            out[label == i] = 1
            continue
        ys, xs = np.nonzero(label == i)
        low = ys >= np.quantile(ys, 0.75)
        ys, xs = ys[low], xs[low]
        to = nearest[:, ys, xs]
        # downwards is where legs and cuffs end
        cost = np.hypot(to[0] - ys, to[1] - xs) + 0.5 * np.maximum(0, ys - to[0])
        k = int(cost.argmin())
        cv2.line(out, (int(xs[k]), int(ys[k])), (int(to[1, k]), int(to[0, k])), 0, 2)
    return out.astype(bool)


def symmetry_axis(mask: np.ndarray) -> tuple[float, float]:
    """(x of the vertical line about which the mask mirrors best, that mirror's overlap 0-1)."""
    columns = np.nonzero(mask.any(0))[0]
    middle, span = (columns[0] + columns[-1]) / 2, columns[-1] - columns[0] + 1
    axes = np.arange(middle - 0.2 * span, middle + 0.2 * span + 0.5, 0.5)
    double = np.round(2 * axes).astype(int).clip(0, 2 * mask.shape[1] - 2)
    # each row convolved with itself counts, for twice an axis, the pixels whose mirror images are the mask's too
    rows = np.fft.rfft(mask, 2 * mask.shape[1], axis=1)
    common = np.round(np.fft.irfft((rows * rows).sum(0), 2 * mask.shape[1])[double])
    overlap = common / mask.sum() - 0.15 * np.abs(axes - middle) / span
    best = int(overlap.argmax())
    return (double[best] / 2, float(overlap[best])) if overlap[best] > 0 else (middle, 0.0)


def right_half(mask: np.ndarray, axis: float) -> Half | None:
    """The right half's path of a mask without holes that matter; None where the centre line misses it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea)[:, 0].astype(np.float32)
    near = np.abs(contour[:, 0] - axis) <= 1.0
    if near.sum() < 2:
        return None
    where = np.nonzero(near)[0]
    first = where[contour[where, 1].argmin()]
    last = where[contour[where, 1].argmax()]
    rolled = np.roll(contour, -first, 0)
    stop = (last - first) % len(contour)
    one, other = rolled[: stop + 1], np.vstack([rolled[stop:], rolled[:1]])[::-1]
    arc = one if one[:, 0].mean() > other[:, 0].mean() else other
    path = _even(_smooth(arc))
    rows = np.nonzero(mask.any(1))[0]
    return Half(path, axis, float(rows[0]), float(rows[-1] - rows[0] + 1), turning(path, 9))


def _smooth(arc: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter1d(arc, 1.2, axis=0, mode="nearest")


def _even(arc: np.ndarray, count: int = STEPS) -> np.ndarray:
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(arc, axis=0), axis=1))])
    at = np.linspace(0, s[-1], count)
    return np.stack([np.interp(at, s, arc[:, 0]), np.interp(at, s, arc[:, 1])], 1)


def turning(path: np.ndarray, k: int) -> np.ndarray:
    """[n] degrees by which a path turns at each point, seen `k` points back and ahead; positive clockwise on the screen."""
    padded = np.pad(path, ((k, k), (0, 0)), mode="edge")
    before, after = path - padded[: -2 * k], padded[2 * k :] - path
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.degrees(np.arctan2(cross, (before * after).sum(1)))
    turn[:2] = turn[-2:] = 0
    return turn


def torso_width(mask: np.ndarray) -> float:
    """Typical width in pixels of the body of a top: the central run of its rows between a third and nine tenths of its height."""
    rows = np.nonzero(mask.any(1))[0]
    top, height = rows[0], rows[-1] - rows[0] + 1
    axis, _ = symmetry_axis(mask)
    c = int(round(axis))

    def typical(low: float, high: float) -> float:
        widths = []
        for y in range(int(top + low * height), max(int(top + low * height) + 1, int(top + high * height))):
            row = mask[y]
            if row[c]:
                out = np.nonzero(~row)[0]
                a = out[out < c].max(initial=-1)
                b = out[out > c].min(initial=len(row))
                widths.append(b - a - 1)
        return float(np.median(widths)) if widths else float(mask.any(0).sum())

    # a flared skirt must not pass for the chest
    return min(typical(0.35, 0.9), 1.25 * typical(0.12, 0.4))


def leg_gap(mask: np.ndarray, axis: float) -> tuple[float, float] | None:
    """(x, y) of the crotch where two legs part near the centre line, or None for a skirt."""
    solid = open_gaps(mask)
    rows, columns = np.nonzero(solid.any(1))[0], np.nonzero(solid.any(0))[0]
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    reach = max(2, int(0.14 * width))
    xs = np.arange(max(0, int(axis) - reach), min(mask.shape[1], int(axis) + reach + 1))
    bottoms = np.array([np.nonzero(solid[:, x])[0].max() if solid[:, x].any() else rows[0] for x in xs])
    k = int(bottoms.argmin())
    ends = [np.nonzero(solid[:, s].any(1))[0].max() for s in (slice(0, xs[k]), slice(xs[k] + 1, None)) if solid[:, s].any()]
    if len(ends) < 2 or min(ends) - bottoms[k] < 0.055 * height:
        return None
    depth = min(ends) - bottoms[k]
    if _between_sleeves(solid, int(xs[k]), int(bottoms[k]), depth):
        return None
    if depth < 0.2 * height:
        # a shallow notch parts two legs only if they are alike and stout: not two cuffs, not a curved hem
        row = solid[int(bottoms[k] + 0.5 * depth)]
        above = solid[max(0, int(bottoms[k]) - 2)]
        stout = [row[s].sum() > 0.6 * above[s].sum() for s in (slice(0, xs[k]), slice(xs[k], None))]
        if not all(stout) or abs(ends[0] - ends[1]) > 0.06 * height:
            return None
    low = np.nonzero(bottoms <= bottoms[k] + 1)[0]
    return float(xs[int(np.median(low))]), float(bottoms[k])


def _between_sleeves(mask: np.ndarray, x: int, y: int, depth: float) -> bool:
    """Whether the gap of `depth` rows below (x, y) is what sleeves leave that hang below a hem: right under its top it is nearly
    as wide as the body that ends there; between legs a gap begins narrow."""
    body = _run(mask[max(0, y - 2)], x)
    gap = _run(~mask[min(len(mask) - 1, int(y + 0.15 * depth) + 2)], x)
    return gap > 0.6 * body


def _run(row: np.ndarray, x: int) -> int:
    """How many entries of `row` [W] bool around `x` hang together; 0 where it is not set there."""
    if not row[x]:
        return 0
    out = np.nonzero(~row)[0]
    return int(out[out > x].min(initial=len(row)) - out[out < x].max(initial=-1) - 1)
