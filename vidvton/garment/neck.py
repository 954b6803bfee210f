"""The inside of the neck: what a picture of an empty top shows of its back through the neck hole (VITON's known artefact).

The front collar's edge is sought as an arc between two points of the upper outline, bowing down: y = top + depth * (1 - |u|^p),
u from -1 to 1, with p = 1 a V and p = 3 a crew neck. The arc that lies on an edge all along, encloses something of one shade
(a label aside) and is darker above than below wins, if it is clear enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .background import lab_of

WORK_SHOULDERS = 170.0
"""Distance between the shoulders, in pixels, at which arcs are compared."""
CLEAR_ENOUGH = 10.0
FRONT_BELOW_BACK = 0.145
"""How far the front collar may lie below the back one, in shoulder widths; further down it is print."""
ANOTHER_CLOTH = 35.0
"""Distance in Lab space from which on two parts are not the same cloth in another light."""
LEAST_EDGE = 2.5
"""An arc must lie on an edge at least this strong, whatever else speaks for it."""

_U = np.linspace(-1, 1, 41)
_POWERS = np.array([1.0, 1.3, 1.8, 2.4, 3.2])
_DEPTHS = np.linspace(0.05, 0.8, 36)


@dataclass(frozen=True)
class NeckHole:
    """`mask` [H, W] bool of what is seen through the neck hole (garment pixels to take away); `arc` [n, 2] the front collar's
    edge, (x, y) pixel indices from picture left to right; `score`, how clear it is (about 0 to 25)."""

    mask: np.ndarray
    arc: np.ndarray
    score: float

    @property
    def depth(self) -> float:
        """How far the arc hangs below its ends, in its width."""
        return float((self.arc[:, 1].max() - self.arc[[0, -1], 1].mean()) / max(np.ptp(self.arc[:, 0]), 1e-6))


def find_neck_hole(rgb: np.ndarray, alpha: np.ndarray, *, axis: float, shoulders: float) -> NeckHole | None:
    """The neck hole of an upright top, or None where no clear collar arc is found. `axis` is the centre line's x, `shoulders` the
    distance between the shoulders in pixels.

    The first arc may be the back collar's; with what it holds taken away the front's, just below, is sought once more. A wider
    strip of quite another colour is not the neck's inside but a collar."""
    first = _find_once(rgb, alpha, axis, shoulders)
    if first is None:
        return None
    second = _find_once(rgb, np.where(first.mask, 0, alpha).astype(np.float32), axis, shoulders)
    if second is None:
        return first
    further = (second.arc[:, 1].max() - first.arc[:, 1].max()) / shoulders
    narrower = np.ptp(second.arc[:, 0]) / np.ptp(first.arc[:, 0])
    if not 0 < further < FRONT_BELOW_BACK or narrower < 0.5:
        return first
    if narrower > 1.3 and _are_leaves(lab_of(rgb), alpha > 0.5, first, second, shoulders):
        return first
    arc = second.arc if narrower > 0.9 else _lower(first.arc, second.arc)
    return NeckHole(first.mask | second.mask, arc, second.score)


def _are_leaves(lab: np.ndarray, solid: np.ndarray, first: NeckHole, second: NeckHole, shoulders: float) -> bool:
    """Whether what the `second` hole adds are the leaves of a collar, on either side of the neck's inside that the `first` is:
    unlike that, and no shade of the cloth (then the first was a label)."""
    one, other = first.mask & solid, second.mask & solid
    if not one.any() or not other.any():
        return False
    inside, strip = (np.median(lab[part], axis=0) for part in (one, other))
    below = _cloth_below(lab, second.arc, max(2, round(5 / WORK_SHOULDERS * shoulders)))
    return bool(np.linalg.norm(inside - strip) > ANOTHER_CLOTH and not _is_shade(strip, below))


def _lower(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The lower edge of two arcs: over `a`'s width, `b` wherever it lies below."""
    y = np.interp(a[:, 0], b[:, 0], b[:, 1], left=-np.inf, right=-np.inf)
    return np.stack([a[:, 0], np.maximum(a[:, 1], y)], 1)


def _find_once(rgb: np.ndarray, alpha: np.ndarray, axis: float, shoulders: float) -> NeckHole | None:
    ratio = min(2.0, WORK_SHOULDERS / max(shoulders, 8.0))
    h, w = alpha.shape
    size = max(8, round(w * ratio)), max(8, round(h * ratio))
    flag = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    rows = min(size[1], int(1.4 * WORK_SHOULDERS))
    small = cv2.resize(rgb, size, interpolation=flag)[:rows]
    cover = cv2.resize(alpha, size, interpolation=flag)[:rows] > 0.5
    found = _best_arc(small, cover, axis * ratio, shoulders * ratio)
    if found is None or found[0] < CLEAR_ENOUGH:
        return None
    score, arc = found
    arc = arc / ratio
    hole = np.zeros((h, w), np.uint8)
    lid = np.array([[arc[-1, 0], -2], [arc[0, 0], -2]])
    cv2.fillPoly(hole, [np.round(np.vstack([arc, lid]) * 16).astype(np.int32)], 1, shift=4)
    hole = hole.astype(bool) & (alpha > 0)
    if hole.sum() < 0.001 * (alpha > 0.5).sum():
        return None
    return NeckHole(hole, arc, score)


def _best_arc(rgb: np.ndarray, cover: np.ndarray, axis: float, shoulders: float) -> tuple[float, np.ndarray] | None:
    h, w = cover.shape
    top = np.where(cover.any(0), cover.argmax(0), h).astype(np.float32)
    near = slice(max(0, int(axis - 0.5 * shoulders)), int(axis + 0.5 * shoulders) + 1)
    peak = float(top[near].min(initial=h))
    lab = cv2.GaussianBlur(lab_of(rgb), (0, 0), 0.9)
    candidates: list[tuple[float, np.ndarray]] = []
    for centre in axis + np.linspace(-0.05, 0.05, 5) * shoulders:
        for half in np.linspace(0.12, 0.5, 18) * shoulders:
            x = centre + _U * half
            if x[0] < 1 or x[-1] > w - 2:
                continue
            ends = np.interp([x[0], x[-1]], np.arange(w), top)
            if max(ends) > 0.5 * h or abs(ends[0] - ends[1]) > 0.1 * shoulders:
                continue
            depth = _DEPTHS[_DEPTHS * shoulders < 3.0 * half] * shoulders
            grid_d, grid_p = (g.ravel() for g in np.meshgrid(depth, _POWERS))
            y = np.linspace(ends[0], ends[1], len(_U)) + grid_d[:, None] * (1 - np.abs(_U) ** grid_p[:, None])
            # round necks are shallow, only a V goes deep; without this a print below the collar wins
            steep = np.maximum(0, grid_d / half - np.where(grid_p < 1.5, 1.7, 0.95))
            wide, far = max(0, half / shoulders - 0.36), np.maximum(0, grid_d / shoulders - 0.22)
            steep += np.where(grid_p < 1.5, 0, 4 * wide + 10 * far)
            # a collar's ends are the garment's highest points, not half way down the shoulder
            steep += 5 * max(0, (ends.max() - peak) / shoulders - 0.06)
            # of two nested edges the lower is the front's, the upper the back collar's
            deep = np.minimum(grid_d / half, 0.6)
            scores = _rate(lab, top, x, y, shoulders) + 8 * half / shoulders + 6 * deep - 7 * steep
            for k in np.argsort(scores)[-3:]:
                candidates.append((float(scores[k]), np.stack([x, y[k]], 1)))
    candidates.sort(key=lambda c: -c[0])
    best = None
    for score, arc in candidates:
        if best is not None and score <= best[0]:
            break
        score = score - _unrest(lab, cover, arc)
        if best is None or score > best[0]:
            best = (score, arc)
    return best


def _rate(lab: np.ndarray, top: np.ndarray, x: np.ndarray, y: np.ndarray, shoulders: float) -> np.ndarray:
    """[n] scores of the arcs `y` [n, m] over `x` [m]: the colour step across them, how steady it is, and darkness above."""
    h, w = lab.shape[:2]
    slope = np.gradient(y, x, axis=1)
    size = np.sqrt(1 + slope**2)
    nx, ny = -slope / size, 1 / size  # into the front: down, and outward on the flanks
    px = np.broadcast_to(x, y.shape)

    def at(offset: float) -> np.ndarray:
        u, v = (px + nx * offset).astype(np.float32), (y + ny * offset).astype(np.float32)
        return cv2.remap(lab, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    depth = y - np.interp(x, np.arange(w), top)[None]
    use = (depth > 2.5) & (np.abs(_U) < 0.96)[None]
    amount = use.sum(1)
    thin = depth.mean(1) < 0.035 * shoulders  # the outline itself, not a collar within it
    fine = (amount > 0.5 * len(_U)) & ~thin
    out = np.full(len(y), -np.inf)
    if not fine.any():
        return out
    y, px, nx, ny, use, amount = y[fine], px[fine], nx[fine], ny[fine], use[fine], amount[fine]
    below = at(1.6)
    across = below - at(-1.6)
    step = np.minimum(np.linalg.norm(across, axis=2), 25)
    calm = np.minimum(np.linalg.norm(at(4.5) - below, axis=2), 15)

    def mean(values: np.ndarray) -> np.ndarray:
        return (values * use).sum(1) / amount

    whole = np.stack([mean(across[..., c]) for c in range(3)], -1)
    steady = np.linalg.norm(whole, axis=1) / (mean(step) + 0.5)
    low, mid = _ranked(step, use, 0.2, 0.5)
    # a step counts by what it is next to: on black cloth a collar's edge is faint
    gain = 1.0 + 1.6 * np.exp(-mean(below[..., 0]) / 12)
    darker = np.clip(_ranked(across[..., 0], use, 0.5)[0] / 5, -0.6, 1)
    edge = (0.7 * np.minimum(gain * low, 12) + 0.45 * np.minimum(gain * mid, 18)) * (0.35 + 0.65 * steady)
    flat = y.max(1) > h - 8
    out[fine] = edge - 0.3 * mean(calm) + 3 * darker + 2.0 * amount / len(_U) - 50 * flat
    out[fine] -= 50 * (edge < LEAST_EDGE)
    return out


def _ranked(values: np.ndarray, use: np.ndarray, *shares: float) -> list[np.ndarray]:
    """For each of the `shares`, [n] the value of that rank among those of each row that are of `use` [n, m] bool."""
    ordered = np.sort(np.where(use, values, np.inf), axis=1)
    return [ordered[np.arange(len(values)), (share * (use.sum(1) - 1)).astype(int)] for share in shares]


def _unrest(lab: np.ndarray, cover: np.ndarray, arc: np.ndarray) -> float:
    """What speaks against the area above an arc being the plain inside of a neck: colours that differ within it, above all those
    of a collar."""
    hole = np.zeros(cover.shape, np.uint8)
    lid = np.array([[arc[-1, 0], -2], [arc[0, 0], -2]])
    cv2.fillPoly(hole, [np.round(np.vstack([arc, lid])).astype(np.int32)], 1)
    hole = cv2.erode(hole, np.ones((3, 3), np.uint8)).astype(bool) & cv2.erode(
        cover.astype(np.uint8), np.ones((3, 3), np.uint8)
    ).astype(bool)
    if hole.sum() < 12:
        return 0.0
    inside = lab[hole]
    huge = hole.sum() / (0.5 * np.ptp(arc[:, 0])) ** 2  # in squares of half the neck's width
    spread = np.quantile(np.linalg.norm(inside - np.median(inside, axis=0), axis=1), 0.7)
    return float(0.08 * max(0.0, spread - 6) + 2.0 * max(0.0, huge - 2.2) + 20 * _is_collar(lab, hole, arc))


def _is_collar(lab: np.ndarray, hole: np.ndarray, arc: np.ndarray) -> bool:
    """Whether what lies above an arc, `hole` [H, W] bool, looks like the two leaves of a collar with the neck's inside between
    them: sides that are alike and no darker shade of the cloth below, and a middle unlike them over a good part of its height, at
    its top wider than a label."""
    y, x = np.nonzero(cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)))
    u = (x - arc[:, 0].mean()) / (0.5 * np.ptp(arc[:, 0]))
    middle, sides = np.abs(u) < 0.35, (u < -0.6, u > 0.6)
    if min(part.sum() for part in (middle, *sides)) < 5:
        return False
    left, right = (np.median(lab[y[side], x[side]], axis=0) for side in sides)
    if np.linalg.norm(left - right) > ANOTHER_CLOTH / 2:
        return False
    if _is_shade(0.5 * (left + right), _cloth_below(lab, arc)):
        return False
    high = (np.abs(u) < 0.5) & (y < y[middle].min() + 0.25 * np.ptp(y))
    unlike = np.linalg.norm(lab[y, x] - 0.5 * (left + right), axis=1) > ANOTHER_CLOTH / 2
    return bool(unlike[high].mean() > 0.7 and unlike[middle].mean() > 0.4)


def _cloth_below(lab: np.ndarray, arc: np.ndarray, rows: int = 5) -> np.ndarray:
    """[3] Lab, what is usual some `rows` below the arc's middle."""
    inner = arc[len(arc) // 5 : -(len(arc) // 5)]
    x, y = (np.clip(np.round(inner[:, k] + rows * k), 0, lab.shape[1 - k] - 1).astype(int) for k in (0, 1))
    return np.median(lab[y, x], axis=0)


def _is_shade(colour: np.ndarray, cloth: np.ndarray) -> bool:
    """Whether a Lab `colour` can be the `cloth`'s in shade: no brighter, not far darker, of its hue."""
    darker, share = cloth[0] - colour[0], min(1.0, colour[0] / max(cloth[0], 1e-3))  # in shade colours are paler, too
    hue = min(np.linalg.norm(colour[1:] - cloth[1:] * s) for s in (1.0, share))
    return bool(-6 < darker < max(15.0, 0.45 * cloth[0]) and hue < 14)
