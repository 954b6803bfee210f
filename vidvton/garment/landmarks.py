"""Landmarks of a garment's silhouette: corners of its outline, found on each half and named by the wearer's sides.

The picture's right half is the wearer's left. A point read off a clear corner scores about 0.9, one placed by proportion 0.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .outline import Half, leg_gap, open_gaps, right_half, symmetry_axis, torso_width, turning

CLEAR, LIKELY, PLACED = 0.9, 0.7, 0.4


@dataclass
class Side:
    """What one half's outline shows: `points` name -> (x, y, score), and where on the path the sleeve begins and ends
    (`sleeve`, path indices of shoulder and armpit). Where a sleeve lies along the body, `inner_seam` [n, 2] leads from the end of
    the sleeve's path inside the silhouette back to the shoulder."""

    half: Half
    points: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    sleeve: tuple[int, int] | None = None
    inner_seam: np.ndarray | None = None

    def put(self, name: str, index: int, score: float) -> None:
        x, y = self.half.path[int(index)]
        self.points[name] = (float(x), float(y), score)


@dataclass(frozen=True)
class Shape:
    """A silhouette read for landmarks: the wearer's `left` (picture right) and `right` sides, each in its own picture (the right
    side's mirrored), `axis` and `width` of the mask, `mirror` 0-1 how symmetric it is, `crotch` (x, y) where two legs part."""

    left: Side
    right: Side
    axis: float
    width: int
    mirror: float
    crotch: tuple[float, float] | None = None


def halves(mask: np.ndarray) -> tuple[Half, Half, float, float] | None:
    """(wearer's left half, wearer's right half mirrored, axis, mirror overlap) of a mask; None for an empty one."""
    solid = open_gaps(mask)
    axis, mirror = symmetry_axis(solid)
    left = right_half(solid, axis)
    right = right_half(solid[:, ::-1], mask.shape[1] - 1 - axis)
    return None if left is None or right is None else (left, right, axis, mirror)


def read_upper(mask: np.ndarray, *, full: bool) -> Shape | None:
    """Landmarks of a top or (`full`) a dress or jumpsuit."""
    found = halves(mask)
    if found is None:
        return None
    left, right, axis, mirror = found
    body = torso_width(mask)
    sides = [_upper_side(h, body, full) for h in (left, right)]
    crotch = leg_gap(mask, axis) if full else None
    rows = np.nonzero(mask.any(1))[0]
    if crotch and not 0.3 < (crotch[1] - rows[0]) / (rows[-1] - rows[0] + 1) < 0.8:
        crotch = None  # a slit or a curved hem, not legs
    shape = Shape(sides[0], sides[1], axis, mask.shape[1], mirror, crotch)
    _agree(shape, body)
    return shape


def read_lower(mask: np.ndarray) -> Shape | None:
    """Landmarks of trousers, shorts or a skirt."""
    found = halves(mask)
    if found is None:
        return None
    left, right, axis, mirror = found
    legs = leg_gap(mask, axis)
    sides = [_lower_side(h, legs) for h in (left, right)]
    return Shape(sides[0], sides[1], axis, mask.shape[1], mirror, legs)


# -- tops and dresses ------------------------------------------------------------------------------------------------------


def _upper_side(half: Half, body: float, full: bool) -> Side:
    side = Side(half)
    armpit, sleeved = _armpit(half, body, full)
    if sleeved:
        root = _shoulder_with_sleeve(half, armpit, body)
        side.sleeve = (root, armpit)
        side.put("shoulder", root, LIKELY)
        side.put("armpit", armpit, CLEAR)
        _cuff(side, root, armpit)
        last = root
    elif (notch := _cuff_notch(half, body)) is not None:
        last = _sleeve_beside_body(side, notch, body)
        armpit = notch
    else:
        last, under, sure = _arm_hole(half, armpit, body, full)
        side.put("shoulder", last, CLEAR if sure else PLACED)
        side.put("armpit", under, LIKELY if sure else PLACED)
        armpit = under
    _neck(side, last)
    _hem(side, armpit, body, full)
    return side


def _armpit(half: Half, body: float, full: bool) -> tuple[int, bool]:
    """(path index of the strongest concave corner on the side, whether a sleeve ends before it)."""
    x, y, turn = half.x, half.y, half.turn
    span = min(half.height, 2.2 * body) if full else half.height
    best, index, sleeved = 0.0, -1, False
    for i in range(12, len(x) - 12):
        if turn[i] > -22 or turn[i] > turn[i - 6 : i + 7].min() + 1e-6:
            continue
        if not 0.1 * span < y[i] < 0.8 * span or x[i] < 0.22 * body:
            continue
        before = half.path[:i]
        away = np.linalg.norm(before - half.path[i], axis=1)
        # a sleeve ends beside or below the armpit; a chest above a drawn-in waist does not
        beside = before[:, 1] - half.path[i, 1] > -0.45 * body
        outer = (beside & (before[:, 0] - half.path[i, 0] > 0.1 * body)) | (
            (before[:, 1] - half.path[i, 1] > 0.12 * body) & (x[:i] > x[i])
        )
        reach = (away * outer).max()
        arm = reach > 0.2 * body
        value = -turn[i] * (1.0 if arm else 0.35) + (25 if arm else 0) * min(1.0, reach / (0.5 * body))
        # a point high on the body, close to the body's side, is where sleeves join
        value -= 60 * max(0.0, x[i] - 0.75 * body) / body + 40 * max(0.0, y[i] / span - 0.5)
        if value > best:
            best, index, sleeved = value, i, arm
    return index, sleeved and best > 25


def _cuff_notch(half: Half, body: float) -> int | None:
    """Path index of the notch between a cuff and the hem where a long sleeve lies along the body without a gap; None without
    one."""
    x, y, turn = half.x, half.y, half.turn
    n = len(x)
    inner = np.arange(12, n - 12)
    inner = inner[
        (turn[inner] < -28)
        & (y[inner] > 0.6 * half.height)
        & (x[inner] > 0.25 * body)
        & (y[inner] < min(0.99 * half.height, 1.8 * body))
    ]
    best = None
    for i in inner:
        before = half.path[max(0, i - n // 5) : i]
        hangs = before[:, 1].max() - half.path[i, 1]
        outside = before[:, 0].max() - half.path[i, 0]
        # a cuff is a stub of a sleeve's width that ends level or lower
        if hangs > 0.02 * body and 0.07 * body < outside < 0.45 * body and (best is None or turn[i] < turn[best]):
            best = int(i)
    return best


def _sleeve_beside_body(side: Side, notch: int, body: float) -> int:
    """Landmarks of a sleeve that lies along the body down to `notch`: the armpit placed inside the silhouette, by proportion,
    above the notch. Returns the shoulder's path index."""
    half = side.half
    x, y = half.x, half.y
    upper = np.arange(4, notch)
    upper = upper[y[upper] < 0.35 * half.height]
    wide = turning(half.path, 16)
    root = (
        int(upper[(np.clip(wide[upper], 0, 60) / 60 - 4.0 * np.abs(x[upper] - x[notch]) / body).argmax()])
        if len(upper)
        else notch // 3
    )
    side.put("shoulder", root, LIKELY)
    pit = (float(half.path[notch, 0]), float(half.path[root, 1] + 0.42 * body), PLACED)
    side.points["armpit"] = pit
    _cuff(side, root, notch, attached=True)
    side.sleeve = (root, notch)
    side.inner_seam = np.array([half.path[notch], pit[:2], half.path[root]])
    return root


def _shoulder_with_sleeve(half: Half, armpit: int, body: float) -> int:
    """Path index of the shoulder: the convex corner on the upper outline near the armpit's x, else the point above it."""
    x, y = half.x, half.y
    tip = _sleeve_tip(half, armpit, body)
    upper = np.arange(4, max(6, min(tip, armpit)))
    upper = upper[y[upper] < y[armpit]]
    if len(upper) < 3:
        return max(1, armpit // 2)
    wide = turning(half.path, 16)
    goal = x[armpit] - 0.03 * body
    cost = np.abs(x[upper] - goal) / body * 3.0 - np.clip(wide[upper], 0, 60) / 60 * 0.7
    near = (x[upper] - goal > -0.06 * body) & (x[upper] - goal < 0.12 * body)
    if not near.any():
        return int(upper[np.abs(x[upper] - goal).argmin()])
    return int(upper[near][cost[near].argmin()])


def _sleeve_tip(half: Half, armpit: int, body: float) -> int:
    """Path index of the point before the armpit that is farthest from the middle of the chest."""
    chest = np.array([half.axis, half.top + 0.25 * body])
    return int(np.linalg.norm(half.path[: max(1, armpit)] - chest, axis=1).argmax())


def _cuff(side: Side, root: int, armpit: int, *, attached: bool = False) -> None:
    """The sleeve's end: two convex corners far from the shoulder, about a sleeve's width apart."""
    half = side.half
    path = half.path[root : armpit + 1]
    n = len(path)
    width = float(np.linalg.norm(path[0] - path[-1])) + 1e-3
    centre = 0.5 * (path[0] + path[-1])
    if attached:  # the path ends at the cuff's notch, not under the arm
        width, centre = 0.32 * width, path[0]
    far = np.linalg.norm(path - centre, axis=1)
    far /= far.max()
    turn = np.clip(half.turn[root : armpit + 1], 0, 100)
    close = np.clip(turning(half.path, 4)[root : armpit + 1], 0, 100)
    sharp = [i for i in range(2, n - 2) if far[i] > 0.85 and close[i] > 40 and close[i] >= close[max(0, i - 4) : i + 5].max()]
    if len(sharp) == 2:  # a narrow cuff's two corners are one to a broad look
        turn = np.where(far > 0.85, close, turn)
    # the cuff is beyond the first third of the way; its inner corner may lie close under the arm
    first = 0 if attached else int(0.3 * n)
    peaks = [
        i
        for i in range(2, n - 2)
        if i > first and turn[i] >= turn[max(0, i - 4) : i + 5].max() and turn[i] > 12 and far[i] > 0.45
    ]
    best, pair = -1e9, None
    for a in peaks:
        for b in peaks:
            if b <= a:
                continue
            apart = float(np.linalg.norm(path[a] - path[b])) / width
            straight = float(np.linalg.norm(path[b] - path[a])) / max(1.0, _length(path[a : b + 1]))
            if not 0.15 < apart < 1.35 or straight < 0.7:
                continue
            value = turn[a] + turn[b] + 130 * (far[a] + far[b]) - 25 * abs(np.log(apart / 0.7))
            if value > best:
                best, pair = value, (a, b)
    score = CLEAR
    if pair is None:
        tip = int(far.argmax())
        one = max(peaks, key=lambda i: turn[i] + 130 * far[i], default=None)
        step = max(2, int(0.5 * width / max(1e-3, _length(path) / n)))
        if one is not None:  # the other corner hides under the arm
            pair, score = (one, min(n - 2, one + 2 * step)), LIKELY
        else:
            pair, score = (max(1, tip - step), min(n - 2, tip + step)), PLACED
    a, b = pair
    side.put("cuff_outer", root + a, score)
    side.put("cuff_inner", root + b, score)
    side.put("sleeve_outer", root + a // 2, score * 0.9)
    if attached:
        seam = 0.5 * (half.path[root + b] + np.array(side.points["armpit"][:2]))
        side.points["sleeve_inner"] = (float(seam[0]), float(seam[1]), PLACED)
    else:
        side.put("sleeve_inner", root + (b + n - 1) // 2, score * 0.9)


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _arm_hole(half: Half, concave: int, body: float, full: bool) -> tuple[int, int, bool]:
    """(shoulder index, underarm index, sure) for a garment without a sleeve on this side."""
    x, y = half.x, half.y
    top_band = np.nonzero((y < 0.16 * min(half.height, 2 * body)) & (x > 0.08 * body) & (np.arange(len(x)) < len(x) // 2))[0]
    if concave > 0:
        before = top_band[top_band < concave]
        start = before if len(before) else np.arange(1, concave)
        shoulder = int(start[(x[start] / body - 1.6 * y[start] / body).argmax()])
        # under the arm the outline turns from outward to downward
        after = np.arange(concave, len(x) - 8)
        depth = y[after] - y[shoulder]
        after = after[(depth > 0.22 * body) & (depth < 0.66 * body)]
        if len(after) and y[after[0]] < 0.55 * half.height:
            bend = np.clip(turning(half.path, 14)[after], 0, 60) / 60
            under = int(after[(bend - 0.8 * np.abs(y[after] - y[shoulder] - 0.42 * body) / body).argmax()])
            return shoulder, under, True
    start = top_band if len(top_band) else np.arange(1, len(x) // 3)
    shoulder = int(start[(x[start] / body - 1.6 * y[start] / body).argmax()])
    goal = y[shoulder] + 0.42 * body if y[shoulder] + 0.42 * body < 0.45 * half.height else 0.35 * half.height
    rest = np.arange(shoulder, len(x) - 8)
    under = int(rest[np.abs(y[rest] - goal).argmin()])
    below = rest[(rest >= under) & (y[rest] < y[under] + 0.4 * body)]
    if len(below) and x[under] < 0.8 * x[below].max():  # still on a strap, or on the slope from it to the chest
        under = int(below[(x[below] > 0.95 * x[below].max()).argmax()])
    return shoulder, under, False


def _neck(side: Side, shoulder: int) -> None:
    """Where the collar ends: the upper outline's peak between the centre and the shoulder."""
    half = side.half
    x, y = half.x, half.y
    part = np.arange(1, max(3, shoulder + 1))
    peak = y[part].min()
    dip = y[0] - peak
    if dip > 0.012 * half.height:
        top = part[y[part] < peak + max(1.0, 0.05 * dip)]
        side.put("neck", int(top[x[top].argmin()]) if len(top) else int(part[y[part].argmin()]), CLEAR)
        return
    inner = part[(x[part] > 0.12 * x[shoulder]) & (x[part] < 0.75 * x[shoulder])]
    if len(inner) and half.turn[inner].max() > 10:
        side.put("neck", int(inner[half.turn[inner].argmax()]), LIKELY)
    else:
        side.put("neck", int(part[np.abs(x[part] - 0.4 * x[shoulder]).argmin()]), PLACED)


def _hem(side: Side, armpit: int, body: float, full: bool) -> None:
    half = side.half
    x, y = half.x, half.y
    rest = np.arange(max(1, armpit), len(x))
    rest = rest[y[rest] > y[armpit] + 0.5 * (half.height - y[armpit])] if len(rest) else np.arange(len(x))
    if not len(rest):
        rest = np.arange(len(x) - 20, len(x))
    corner = int(rest[(0.9 * x[rest] + 1.1 * y[rest]).argmax()])
    side.put("hem", corner, CLEAR)
    sides = np.arange(min(armpit + 1, corner), corner + 1)
    if side.inner_seam is not None:
        pit, notch = side.inner_seam[1], side.inner_seam[0]
        level = pit + 0.62 * (notch - pit)
        side.points["waist"] = (float(level[0]), float(level[1]), PLACED)
        return
    drop = y[corner] - y[armpit]
    low, high = (0.1, 0.6) if full else (0.25, 0.85)
    zone = sides[(y[sides] > y[armpit] + low * drop) & (y[sides] < y[armpit] + high * drop)]
    if len(zone) < 3:
        side.put("waist", int((armpit + corner) // 2), PLACED)
        return
    narrow = int(zone[x[zone].argmin()])
    straight = np.interp(y[narrow], [y[armpit], y[corner]], [x[armpit], x[corner]])
    inside = narrow not in (zone[0], zone[-1])
    if inside and straight - x[narrow] > 0.02 * body:
        side.put("waist", narrow, CLEAR)
        return
    goal = y[armpit] + min(0.6 * body, 0.62 * drop)
    side.put("waist", int(sides[np.abs(y[sides] - goal).argmin()]), PLACED)


def _agree(shape: Shape, body: float) -> None:
    """Both sides made alike where one was unclear: waists level, an unclear shoulder or armpit mirrored from the clear side."""
    left, right = shape.left.points, shape.right.points
    for name in ("shoulder", "armpit", "neck", "waist"):
        a, b = left.get(name), right.get(name)
        if a is None or b is None or shape.left.inner_seam is not None or shape.right.inner_seam is not None:
            continue
        if abs(a[2] - b[2]) > 0.15:
            clear, vague, half = (a, right, shape.right.half) if a[2] > b[2] else (b, left, shape.left.half)
            source = shape.left.half if a[2] > b[2] else shape.right.half
            goal = np.array([clear[0] - source.axis + half.axis, clear[1]])
            off = np.linalg.norm(half.path - goal, axis=1)
            if off.min() < 0.15 * body:
                x, y = half.path[int(off.argmin())]
                vague[name] = (float(x), float(y), 0.6)
    a, b = left["waist"], right["waist"]
    if max(a[2], b[2]) <= PLACED or shape.left.inner_seam is not None or shape.right.inner_seam is not None:
        return
    if abs(a[1] - b[1]) > 0.12 * body:
        level = a[1] if a[2] > b[2] else b[1] if b[2] > a[2] else 0.5 * (a[1] + b[1])
        for side in (shape.left, shape.right):
            half = side.half
            hem, pit = side.points["hem"], side.points["armpit"]
            zone = np.nonzero((half.path[:, 1] > pit[1]) & (half.path[:, 1] < hem[1]) & (np.arange(len(half.path)) > 8))[0]
            if len(zone):
                k = int(zone[(np.abs(half.path[zone, 1] - level) + 0.2 * half.x[zone]).argmin()])
                side.put("waist", k, LIKELY)


# -- trousers and skirts ---------------------------------------------------------------------------------------------------


def _lower_side(half: Half, crotch: tuple[float, float] | None) -> Side:
    side = Side(half)
    x, y, n = half.x, half.y, len(half.path)
    first = np.arange(2, n // 2)
    first = first[y[first] < 0.3 * half.height]
    waist = int(first[(x[first] - 1.4 * y[first]).argmax()]) if len(first) else 2
    side.put("waist", waist, CLEAR)
    low = np.nonzero(y > 0.6 * half.height)[0]
    low = low[low > waist]
    if not len(low):
        low = np.arange(n - 10, n)
    outer = int(low[(0.6 * x[low] + y[low]).argmax()])
    side.put("hem_outer", outer, CLEAR)
    edge = np.arange(waist, max(waist + 2, outer))
    if crotch is None:
        hip = int(edge[np.abs(y[edge] - y[waist] - min(0.4 * half.height, 0.55 * 2 * x[waist])).argmin()])
        side.put("hip", hip, LIKELY)
        return side
    fork = crotch[1] - half.top
    inner_part = np.arange(outer, n)
    end = int(inner_part[(y[inner_part] - 0.6 * x[inner_part]).argmax()])
    side.put("hem_inner", end, CLEAR)
    hip = int(edge[np.abs(y[edge] - (y[waist] + 0.72 * (fork - y[waist]))).argmin()])
    side.put("hip", hip, LIKELY)
    knee = fork + 0.45 * (y[outer] - fork)
    side.put("knee_outer", int(edge[np.abs(y[edge] - knee).argmin()]), LIKELY)
    inner = np.arange(end, n)
    side.put("knee_inner", int(inner[np.abs(y[inner] - knee).argmin()]), LIKELY)
    return side
