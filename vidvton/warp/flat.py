"""What the parts of a flat garment picture show of its cut: how wide it is where, where it is held, where its legs part."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidvton.values import Garment, Part

BODICE = 0.1, 0.14  # chest widths below its top at which a garment without straps shows itself
LONGEST_BANDEAU = 1.1  # widths that a top without straps is long at most
BULGE = 1.3  # times as far out as its seam's points tell does a sleeve reach that is drawn by its own outline
COLLAR, BIB = (0.04, 0.08), (0.22, 0.28)  # the same of what is held at the neck: narrow at its top, and below it
INNER_KNOTS = 8  # points at which a trouser leg's inner edge is read
CUFF = 0.8, 0.5  # shares of a trunk's width between which it narrows at once where a cuff hangs below its hem
AT_ONCE, HANGS = 0.03, (0.04, 0.25)  # of its height: within how much, and how far down it hangs at least and at most
SLEEVES = (Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE)
TROUSER_LEGS = (Part.LEFT_LEG, Part.RIGHT_LEG)


def landmark_point(garment: Garment, name: str) -> np.ndarray | None:
    """[2] (x, y) of a landmark; None where the garment has not got it."""
    x, y, score = garment.landmark(name)
    return np.array([x, y]) if score > 0 else None


def row_extents(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Rows that the mask touches, its left and right end in each (robust, smoothed along the rows), and how many rows down
    either side goes before it turns into the hem."""
    rows = np.flatnonzero(mask.any(1))
    rows = np.arange(rows[0], rows[-1] + 1)
    left = np.array([np.argmax(mask[r]) if mask[r].any() else -1 for r in rows], np.float64)
    right = np.array([mask.shape[1] - np.argmax(mask[r][::-1]) if mask[r].any() else -1 for r in rows], np.float64)
    empty = left < 0
    if empty.any():
        for ends in (left, right):
            ends[empty] = np.interp(rows[empty], rows[~empty], ends[~empty])
    # A rounded hem is the cloth's outline, not its width: the sides go on straight.
    corners = _corner(-left), _corner(right)
    for ends, corner in zip((left, right), corners):
        stop = min(corner, int(0.94 * len(rows)))
        fitted = slice(max(0, stop - max(5, round(0.16 * len(rows)))), stop)
        if stop > 5:
            ends[stop:] = np.polyval(np.polyfit(rows[fitted], ends[fitted], 1), rows[stop:])
    width = max(3, len(rows) // 40 * 2 + 1)
    smooth = [cv2.GaussianBlur(e[:, None], (1, width), 0, borderType=cv2.BORDER_REPLICATE)[:, 0] for e in (left, right)]
    return rows + 0.5, smooth[0], smooth[1], corners


def _corner(reach: np.ndarray) -> int:
    """The row at which a side, `reach` [R] outwards, turns into the hem: its outermost one in the lower half, where what
    follows runs inwards flatter than downwards; the number of rows where there is no such corner."""
    half = len(reach) // 2
    corner = half + int(np.argmax(reach[half:]))
    last = len(reach) - 1 - max(1, len(reach) // 25)  # a level hem's scallops end anywhere
    is_hem = last > corner > half and reach[corner] - reach[last] > last - corner
    return corner - max(1, len(reach) // 50) if is_hem else len(reach)


@dataclass(frozen=True)
class Folded:
    """A sleeve that lies across the front: on which `side` (0 left, 1 right in the picture), from which row on its cuff hangs
    below the `hem`, and between which columns (`cuff`)."""

    side: int
    hem: int
    cuff: tuple[int, int]


def folded_sleeve(garment: Garment) -> Folded | None:
    """The long sleeve of a top that was laid across its front: it was not found beside the trunk as the other one was, and its
    cuff hangs below the hem. None where there is none."""
    parts = garment.parts.numpy()
    found = [(parts == part).any() for part in (Part.RIGHT_SLEEVE, Part.LEFT_SLEEVE)]
    if garment.category != "upper" or garment.layout.sleeve != "long" or sum(found) != 1:
        return None
    trunk = parts == Part.TORSO
    hem = hem_above_cuff(trunk)
    if hem is None:
        return None
    hangs = trunk[hem:].sum(0)
    cuff = np.flatnonzero(hangs > hangs.max() / 2)  # the rest is the hem's own fringe
    return Folded(int(found[0]), hem, (int(cuff[0]), int(cuff[-1]) + 1))


def hem_above_cuff(trunk: np.ndarray) -> int | None:
    """The row at which a `trunk` [H, W] bool narrows at once, near its lower end, to what hangs below its hem; None where it does
    not."""
    count = trunk.sum(1)
    rows = np.flatnonzero(count)
    if len(rows) < 20:
        return None
    first, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    width = count[first : first + height] / np.quantile(count[rows], 0.75)
    step = max(1, round(AT_ONCE * height))
    drops = np.flatnonzero((width[:-step] > CUFF[0]) & (width[step:] < CUFF[1]))
    drops = drops[(drops > (1 - HANGS[1]) * height) & (drops < (1 - HANGS[0]) * height - step)]
    if not len(drops) or width[drops[-1] + step :].max() > CUFF[1]:
        return None
    return first + int(drops[-1]) + int((width[drops[-1] : drops[-1] + step + 1] < CUFF[0]).argmax())


def worn_cloth(garment: Garment) -> np.ndarray:
    """[H, W] bool: where the picture shows cloth as it is worn: all but a sleeve's cuff that hangs below a top's hem."""
    parts = garment.parts.numpy()
    out, folded = parts > 0, folded_sleeve(garment)
    if folded is not None:
        out[folded.hem :] &= parts[folded.hem :] != Part.TORSO
    return out


def is_strapless(garment: Garment) -> bool:
    """Whether a garment begins at the chest: without sleeves, a little below its top as wide as it is anywhere near, and one
    piece there, without a neckline. A top that reaches so far down that it must have shoulders has them."""
    wide, cloth = _upper_widths(garment, *BODICE), garment.parts.numpy() > 0
    if wide is None or (garment.category == "upper" and cloth.any(1).sum() > LONGEST_BANDEAU * cloth.any(0).sum()):
        return False
    return bool(wide[0].min() > 0.9 and wide[1].min() > 0.93)


def is_halter(garment: Garment) -> bool:
    """Whether a garment is held at the neck and leaves the shoulders bare: without sleeves, narrow and one piece at its top, and
    widening only slowly."""
    top, below = _upper_widths(garment, *COLLAR), _upper_widths(garment, *BIB)
    if top is None or below is None:
        return False
    narrow = top[0].max() < 0.45 and top[1].min() > 0.93 and below[0].max() < 0.7
    steps = _upper_widths(garment, 0.0, 0.6)[0]
    within = max(1, round(0.08 / 0.6 * len(steps)))  # a collar's end or a hood's is a step, a halter widens slowly
    return bool(narrow and np.abs(top[2]).max() < 0.12 and (steps[within:] - steps[:-within]).max() < 0.25)


def _upper_widths(garment: Garment, first: float, last: float) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(widths, shares of them that are cloth, how far aside their middles are; in chest widths) of a garment's rows `first` to
    `last` chest widths below its top; None where it has sleeves, or no such rows."""
    parts = garment.parts.numpy()
    trunk = np.isin(parts, [Part.TORSO, Part.SKIRT])
    if garment.category == "lower" or np.isin(parts, SLEEVES).any() or not trunk.any():
        return None
    rows, left, right, _ = row_extents(trunk)
    width = right - left
    chest = float(width[: max(3, int(0.6 * width.max()))].max())
    band = slice(int(first * chest), int(last * chest) + 1)
    if len(rows[band]) < 2:
        return None
    aside = (left + right)[band] / 2 - np.median(left + right) / 2
    return width[band] / chest, trunk[rows[band].astype(int)].sum(1) / width[band], aside / chest


def polyline(points: list[np.ndarray], share: np.ndarray) -> np.ndarray:
    knots = np.linspace(0, 1, len(points))
    stacked = np.stack(points)
    return np.stack([np.interp(share, knots, stacked[:, i]) for i in (0, 1)], -1)


def bulging(left, right, parts: np.ndarray, sleeve: Part) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A `sleeve`'s seams, `left` and `right` lists of points, as they are, or, where its cloth bulges far beyond lines between
    these, as the cloth's own sides. What lies on the trunk has no sides to be seen."""
    share = np.linspace(0, 1, 12)
    a, b = polyline(left, share), polyline(right, share)
    half = np.maximum(np.linalg.norm(b - a, axis=1, keepdims=True) / 2, 1e-6)
    middle, out = (a + b) / 2, (b - a) / 2 / half
    steps = np.arange(0, 2.5, 0.02)
    ends = []
    for sign in (-1, 1):
        at = middle[:, None] + sign * (out * half)[:, None] * steps[None, :, None]
        x, y = (np.clip(at[..., k], 0, parts.shape[1 - k] - 1).astype(int) for k in (0, 1))
        beyond = (parts[y, x] != sleeve) & (steps >= 0.5)
        first = beyond.argmax(1)
        free = beyond.any(1) & (np.take_along_axis(parts[y, x], first[:, None], 1)[:, 0] == Part.NONE)
        ends.append(np.where(free, steps[first], 1.0))
    below = np.clip((share - 0.25) / 0.25, 0, 1)  # at the shoulder every sleeve is rounder than its seam's points
    low, high = (1 + below * np.maximum(e - 1, 0) for e in ends)
    if np.maximum(low, high)[(share > 0.45) & (share < 0.95)].max() < BULGE:
        return left, right
    return list(middle - out * half * low[:, None]), list(middle + out * half * high[:, None])


def parted_at_hips(parts: np.ndarray, crotch: float) -> np.ndarray:
    """[H, W] a jumpsuit's `parts` with the trunk's going on half way from the waist to the `crotch` row: no seam cuts a belt."""
    legs = np.isin(parts, TROUSER_LEGS)
    first = int(np.flatnonzero(legs.any(1))[0])
    rows = np.arange(len(parts))[:, None]
    return np.where(legs & (rows < (first + crotch) / 2), np.uint8(Part.TORSO), parts)


def crotch_of(garment: Garment, parts: np.ndarray) -> np.ndarray | None:
    """(x, y) where the legs part; None where that is not known."""
    if garment.category == "lower":
        return landmark_point(garment, "crotch")
    inner = {side: _inner_edge(parts, side) for side in ("left", "right")}
    gap = np.isfinite(inner["left"]) & np.isfinite(inner["right"]) & (inner["left"] > inner["right"] + 1)
    if not gap.any():
        return None
    row = int(np.flatnonzero(gap)[0])
    return np.array([(inner["left"][row] + inner["right"][row]) / 2, row])


def inner_seam(parts: np.ndarray, side: str, crotch: float) -> list[np.ndarray]:
    """Points (x, y) of the wearer's `side` leg's inner edge below the `crotch` row, downwards."""
    edge = _inner_edge(parts, side)
    rows = np.flatnonzero(np.isfinite(edge))
    rows = rows[rows > crotch + 0.05 * (rows[-1] - crotch)]
    return [np.array([edge[row], row + 0.5]) for row in rows[:: max(1, len(rows) // INNER_KNOTS)]]


def _inner_edge(parts: np.ndarray, side: str) -> np.ndarray:
    """[H] x of the inner edge of the wearer's `side` leg in each row of `parts` [H, W]; NaN where there is none. The wearer's
    left leg lies to the picture's right."""
    leg = parts == (Part.LEFT_LEG if side == "left" else Part.RIGHT_LEG)
    first = leg.argmax(1) if side == "left" else leg.shape[1] - leg[:, ::-1].argmax(1)
    return np.where(leg.any(1), first.astype(np.float64), np.nan)
