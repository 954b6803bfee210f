"""What a garment hangs on: a column (torso, hips, legs together) and four limbs, measured from joints and labels in every frame.

Heights on the body are *stations*: along the column 0 is the shoulder line, 1 the hips, 1.8 the knees, 2.6 the ankles (a torso
length each); along an arm 0 is the shoulder, 1 the elbow, 2 the wrist; along a leg 0 is the hip, 1 the knee, 2 the ankle.
Widths are in torso lengths and signed: negative towards the picture's left. `measure_frame` looks at one frame;
`solve.solve_body` brings the measurements of a shot together with past and future.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from vidvton.values import CIHP_LABELS

COLUMN = np.round(np.arange(-0.4, 2.61, 0.1), 1)
LIMB = np.round(np.arange(0.0, 2.01, 0.2), 1)
ARMS = ((11, 13, 15), (12, 14, 16))  # the person's left, right: shoulder, elbow, wrist in MediaPipe's order
LEGS = ((23, 25, 27), (24, 26, 28))
SLOPE = 0.6
WHOLE = 2.0  # average widths that count as all of an arm
BESIDE_HAIR, FALL = (0.75, 0.9), 0.15  # farther out on the shoulders; torso lengths that they fall from the neck to the joint
REACH, STEPS = 1.1, 81  # how far a scan goes to either side in torso lengths, and in how many steps
PAST_EDGE = 0.07  # torso lengths past the end of a scan at which what ends it is read
AWAY = 9  # steps beside its bone at which a limb is still looked for
LEAST_SHOWN = 0.8  # share of a bare limb's width under which something hides the rest of it
# Torso lengths from an arm's bone within which an edge may be the arm's own: on its far side, on its near side.
FAR_SIDE, NEAR_SIDE = 0.2, 0.12
TOP, ARMPIT = 0.05, 0.32  # between these stations the column's edge runs from the shoulder seam to the armpit

_id = {name: k for k, name in enumerate(CIHP_LABELS)}
UPPER = np.isin(np.arange(256), [_id["upper"], _id["coat"], _id["dress"]])
LOWER = np.isin(np.arange(256), [_id["pants"], _id["skirt"]])
TRUNK = (
    UPPER | LOWER | np.isin(np.arange(256), [_id["torso_skin"], _id["scarf"], _id["left_leg"], _id["right_leg"], _id["socks"]])
)
ON_TRUNK = UPPER | np.isin(np.arange(256), [_id["torso_skin"]])
BARE_ARM = np.isin(np.arange(256), [_id["left_arm"], _id["right_arm"], _id["glove"]])
OWN_ARM, OWN_LEG = (
    tuple(np.arange(256) == _id[f"{side}_{limb}"] for side in ("left", "right")) for limb in ("arm", "leg")
)  # by which either limb is known where it is bare
_ARMS, _LEGS = (_id["left_arm"], _id["right_arm"]), (_id["left_leg"], _id["right_leg"])
COVER = BARE_ARM | (np.arange(256) == _id["hair"])  # may lie in front of the trunk without ending it
# A skirt's sides are not a leg's: under one, legs are as wide as legs are.
LEG = np.isin(np.arange(256), [_id["pants"], _id["left_leg"], _id["right_leg"], _id["socks"]])

# Half-widths of an average column in torso lengths, seen from the front and from the side (our own measurements of studio
# figures).
FRONT = np.interp(COLUMN, [-0.4, 0.05, 0.3, 0.65, 1.05, 1.3, 1.8, 2.6], [0.16, 0.42, 0.31, 0.27, 0.36, 0.34, 0.26, 0.22])
SIDE = np.interp(COLUMN, [-0.4, 0.05, 0.3, 0.65, 1.05, 1.3, 1.8, 2.6], [0.14, 0.20, 0.24, 0.22, 0.26, 0.22, 0.15, 0.15])
AVERAGE_ARM = np.interp(LIMB, [0, 0.3, 1, 2], [0.12, 0.105, 0.085, 0.06])
AVERAGE_LEG = np.interp(LIMB, [0, 0.4, 1, 1.4, 2], [0.20, 0.19, 0.125, 0.12, 0.08])
BARE_LEG = np.interp(LIMB, [0, 0.4, 1, 1.3, 1.6, 1.8, 2], [0.19, 0.17, 0.115, 0.110, 0.079, 0.064, 0.062])


def picked(labels: np.ndarray, names: np.ndarray) -> np.ndarray:
    """[h, w] bool: `names` [256] bool read at `labels` [h, w] uint8. cv2's table takes a seventh of numpy's time."""
    return cv2.LUT(labels, names.view(np.uint8)).view(bool)


@dataclass(frozen=True)
class BodyMeasure:
    """Raw measurements, one row a frame (K column stations, S limb stations; sides are picture-left, picture-right).

    `edges` [T, K, 2] signed offsets in torso lengths; `arms`, `legs` [T, 2, S, 2] likewise for the person's left and right limb;
    `*_trust` 0-1 of the same shapes; `hem` and `waist` [T] the stations where the old top ends and the old lower garment
    begins, NaN where unseen; `runs_on` [T] the station down to which an old top is seen that leaves the picture; `cuffs` [T, 2]
    the arm stations where the old sleeves end, `trouser_hems` [T, 2] likewise on the legs; `slimness` [T, 2] how wide bare arms
    and bare legs are against average ones, NaN where none is seen; `shown` [T, 2] how much of the two arms' width shows beside
    cloth that may hide the rest, against average ones, WHOLE where there is no such cloth, NaN where no arm is seen; `unit` [T]
    the torso length in pixels; `visible` [T] bool.
    """

    edges: np.ndarray
    edges_trust: np.ndarray
    arms: np.ndarray
    arms_trust: np.ndarray
    legs: np.ndarray
    legs_trust: np.ndarray
    hem: np.ndarray
    waist: np.ndarray
    runs_on: np.ndarray
    cuffs: np.ndarray
    trouser_hems: np.ndarray
    shoulder: np.ndarray
    slimness: np.ndarray
    shown: np.ndarray
    unit: np.ndarray
    visible: np.ndarray

    @staticmethod
    def stack(rows: list[BodyMeasure]) -> BodyMeasure:
        """Several spans, one after the other."""
        return BodyMeasure(**{f.name: np.concatenate([getattr(r, f.name) for r in rows]) for f in fields(BodyMeasure)})


def middle(points: np.ndarray, a: int, b: int) -> np.ndarray:
    return (points[a] + points[b]) / 2


def torso_unit(points: np.ndarray) -> float:
    """The torso's length in pixels as far as foreshortening lets see: the longest of what torso, shoulders and thighs suggest."""
    spine = np.linalg.norm(middle(points, 11, 12) - middle(points, 23, 24))
    shoulders = np.linalg.norm(points[11] - points[12])
    thighs = max(np.linalg.norm(points[hip] - points[knee]) for hip, knee, _ in LEGS)
    return float(max(spine, shoulders / 0.85, min(thighs / 0.9, 1.6 * spine), 4.0))


def column_axis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The column's middle line at every station: `(centres [K, 2], across [K, 2])`, `across` of length one pointing to the
    picture's right."""
    neck, hips = middle(points, 11, 12), middle(points, 23, 24)
    knees, ankles = middle(points, 25, 26), middle(points, 27, 28)
    stations = np.array([0.0, 1.0, 1.8, 2.6])
    knots = np.stack([neck, hips, knees, ankles])
    centres = np.stack([np.interp(COLUMN, stations, knots[:, i]) for i in (0, 1)], -1)
    above = COLUMN < 0
    centres[above] = neck - (neck - hips) * COLUMN[above, None]
    tangent = np.gradient(centres, axis=0)
    kernel = np.array([1, 2, 3, 2, 1]) / 9.0
    padded = np.pad(tangent, ((2, 2), (0, 0)), mode="edge")
    tangent = np.stack([np.convolve(padded[:, i], kernel, "valid") for i in (0, 1)], -1)
    across = np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    # A raised shoulder tilts the top of the column; a side view's shoulder line says nothing.
    line = points[11] - points[12]
    line = line if line @ across[4] >= 0 else -line
    sure = np.clip((np.linalg.norm(line) / max(torso_unit(points), 1) - 0.35) / 0.25, 0, 1)
    share = sure * np.interp(COLUMN, [-0.4, 0.1, 0.6], [0.8, 0.8, 0.0])[:, None]
    across = across * (1 - share) + share * line / max(np.linalg.norm(line), 1e-6)
    return centres, across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)


def limb_axis(points: np.ndarray, joints: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A limb's bone at the LIMB stations, and the unit normals (across), turned smoothly around the middle joint: two [S, 2]."""
    knots = points[list(joints)]
    centres = np.stack([np.interp(LIMB, [0, 1, 2], knots[:, i]) for i in (0, 1)], -1)
    upper, lower = knots[1] - knots[0], knots[2] - knots[1]
    upper, lower = (v / max(np.linalg.norm(v), 1e-6) for v in (upper, lower))
    mix = np.clip((LIMB - 0.7) / 0.6, 0, 1)[:, None]
    tangent = upper * (1 - mix) + lower * mix
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 0.2)
    return centres, np.stack([tangent[:, 1], -tangent[:, 0]], -1)


def _read(labels: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels at pixel points [..., 2], and whether the point lies in the picture."""
    height, width = labels.shape
    x, y = np.floor(points[..., 0]).astype(int), np.floor(points[..., 1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return labels[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], inside


def _runs(kind: np.ndarray, inside: np.ndarray, *, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each row of `kind` [R, N] (1 part of it, 0 passes through, -1 ends it) reaches from its first entry: (index, sure).

    Up to `gap` foreign entries are stepped over; behind an arm or a gap three hits in a row count, a speck does not. An end is
    sure when background or another part follows at once, not an arm or hair that may hide more.
    """
    count = kind.shape[1]
    index = np.arange(count)
    hit = (kind == 1) & inside
    start = np.logical_and.accumulate(hit, axis=1)
    three = hit[:, :-2] & hit[:, 1:-1] & hit[:, 2:]
    run = np.zeros_like(hit)
    for k in range(3):
        run[:, k : count - 2 + k] |= three
    hit = start | run
    foreign = np.cumsum(kind == -1, axis=1)
    before = np.maximum.accumulate(np.where(hit, index, -1), axis=1)
    missed = foreign - np.where(before >= 0, np.take_along_axis(foreign, np.maximum(before, 0), 1), 0)
    ended = (missed > gap) | ~inside
    any_end = ended.any(1)
    end = np.where(any_end, ended.argmax(1), count)
    reach = np.where(hit & (index < end[:, None]), index, 0).max(1)
    return reach.astype(np.float64), any_end & inside[np.arange(len(kind)), np.minimum(end, count - 1)] & (end - reach <= gap + 2)


def _scan(labels: np.ndarray, centres: np.ndarray, across: np.ndarray, unit: float, part: np.ndarray, through: np.ndarray):
    """Edges of a part along lines across its axis: `(offsets [K, 2] in torso lengths, trust [K, 2])`."""
    half = STEPS // 2
    step = REACH / half
    table = np.where(part, 1, np.where(through, 0, -1))
    offsets, trust = [], []
    for sign in (-1, 1):
        points = centres[:, None] + across[:, None] * (np.arange(half + 1) * step * sign * unit)[None, :, None]
        found, inside = _read(labels, points)
        reach, sure = _runs(table[found], inside, gap=2)
        started = (table[found[:, :4]] == 1).any(1)
        offsets.append(sign * (reach + 0.5) * step)
        trust.append((sure & started).astype(np.float64))
    return np.stack(offsets, -1), np.stack(trust, -1)


def _from_arms(points: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """[..., 2] pixels to `points` [..., 2] from the nearest place on an arm bone, shoulders themselves left out."""
    best = np.full(points.shape, np.inf)
    for joints in ARMS:
        knots = keypoints[list(joints)]
        start = knots[0] + (knots[1] - knots[0]) * 0.25
        for a, b in ((start, knots[1]), (knots[1], knots[2])):
            along = b - a
            share = np.clip(((points - a) @ along) / max(along @ along, 1e-6), 0, 1)
            way = points - (a + share[..., None] * along)
            nearer = np.linalg.norm(way, axis=-1) < np.linalg.norm(best, axis=-1)
            best = np.where(nearer[..., None], way, best)
    return best


def _last(flags: np.ndarray, stations: np.ndarray, *, after: int = 0) -> float:
    """The station half a step past the last True of the first run (gaps of one forgiven); NaN if there is none."""
    end = -1
    for i in range(after, len(flags)):
        if flags[i]:
            end = i
        elif end >= 0 and i - end > 1:
            break
    return float(stations[end] + (stations[1] - stations[0]) / 2) if end >= 0 else np.nan


def _boundaries(
    labels: np.ndarray, centres: np.ndarray, across: np.ndarray, edges: np.ndarray, unit: float
) -> tuple[float, float, float]:
    """Where on the column the old top ends and the old lower garment begins, and how far down a top is seen that leaves the
    picture: read along several lines near the middle."""
    fine = np.arange(0.3, 2.6, 0.02)
    base = np.stack([np.interp(fine, COLUMN, centres[:, i]) for i in (0, 1)], -1)
    normal = np.stack([np.interp(fine, COLUMN, across[:, i]) for i in (0, 1)], -1)
    left, right = (np.interp(fine, COLUMN, edges[:, i]) for i in (0, 1))
    hems, waists, covered, cut = [], [], [], []
    for share in (0.25, 0.4, 0.5, 0.6, 0.75):
        found, inside = _read(labels, base + normal * ((left + (right - left) * share) * unit)[:, None])
        top = UPPER[found] & inside
        if top[:20].any():
            last = _last(top | (COVER[found] & inside), fine)
            ended = inside[min(np.searchsorted(fine, last) + 2, len(fine) - 1)]
            (hems if ended else cut).append(last)
        low = np.flatnonzero(LOWER[found] & inside)
        # Below a hand or a bag the lower garment begins again; a cloak hangs over it, on some lines.
        if len(low):
            (waists if ON_TRUNK[found[max(low[0] - 3, 0) : low[0]]].any() else covered).append(fine[low[0]])
    parts = ((hems, 0.5), (waists, 0.25) if waists else (covered, 0.5), (cut, 0.5))
    return tuple(float(np.quantile(found, share)) if found else np.nan for found, share in parts)


def measure_frame(keypoints: np.ndarray, labels: np.ndarray, visible: bool) -> BodyMeasure:
    """One frame's measurements. `keypoints` [33, 3] in the pixels of `labels` [H, W] uint8 (CIHP). A frame without a person
    gives zero trust."""
    shape = (1, len(COLUMN), 2), (1, 2, len(LIMB), 2)
    nothing = np.full(1, np.nan)
    if not visible:
        zero, limb = np.zeros(shape[0]), np.zeros(shape[1])
        nan2 = np.full((1, 2), np.nan)
        ends = nothing, nothing, nothing, nan2, nan2
        return BodyMeasure(zero, zero, limb, limb, limb, limb, *ends, nothing, nan2, nan2, np.full(1, 1.0), np.zeros(1, bool))
    points = keypoints[:, :2].astype(np.float64)
    unit = torso_unit(points)
    centres, across = column_axis(points)
    edges, trust = _scan(labels, centres, across, unit, TRUNK, COVER)
    at = centres[:, None] + across[:, None] * edges[..., None] * unit
    way = _from_arms(at, points)
    outwards = (way * across[:, None]).sum(-1) * [-1, 1]
    # A sleeve of the trunk's cloth ends the scan at its far side: then the arm's bone lies within.
    near_arm = np.linalg.norm(way, axis=-1) < np.where(outwards > 0, FAR_SIDE, NEAR_SIDE) * unit
    trust = trust * np.where(near_arm, 0.02, 1.0)
    hem, waist, runs_on = _boundaries(labels, centres, across, edges, unit)
    arms, arms_trust, cuffs = _limbs(labels, points, unit, ARMS, UPPER | BARE_ARM, UPPER, OWN_ARM, AVERAGE_ARM)
    legs, legs_trust, hems = _limbs(labels, points, unit, LEGS, LEG, LOWER | UPPER, OWN_LEG, BARE_LEG)
    row = (edges, trust, arms, arms_trust, legs, legs_trust)
    shoulder = _shoulder(labels, points, centres, unit)
    slim = [_slimness(labels, points, unit, *kind) for kind in ((ARMS, _ARMS, AVERAGE_ARM), (LEGS, _LEGS, BARE_LEG))]
    return BodyMeasure(
        *(a[None] for a in row), *np.array([[hem], [waist], [runs_on]]), cuffs[None], hems[None], np.full(1, shoulder),
        np.array([slim]), _shown(labels, points, unit, cuffs)[None], np.full(1, unit), np.ones(1, bool),
    )  # fmt: skip


def _slimness(labels: np.ndarray, points: np.ndarray, unit: float, limbs, names: tuple[int, int], average: np.ndarray) -> float:
    """The widths of a pair of bare limbs against `average` half-widths [S]: most of what is seen of them, from the
    largest circles that fit around their bones."""
    ratios = []
    for joints, name in zip(limbs, names):
        skin = (labels == name).view(np.uint8)
        left, top, width, height = cv2.boundingRect(skin)
        if not width:
            continue
        # The part that shows it, with a pixel around: beyond, nothing is inside.
        top, left, bottom, right = max(top - 1, 0), max(left - 1, 0), top + height + 1, left + width + 1
        part = cv2.copyMakeBorder(skin, 0, 1, 0, 1, cv2.BORDER_REPLICATE)[top : bottom + 1, left : right + 1]
        inside = np.zeros((labels.shape[0] + 1, labels.shape[1] + 1), np.float32)
        inside[top : bottom + 1, left : right + 1] = cv2.distanceTransform(part, cv2.DIST_L2, 5)
        centres, across = limb_axis(points, joints)
        fine = np.arange(0.3, 1.9, 0.04)
        base, normal = (np.stack([np.interp(fine, LIMB, a[:, i]) for i in (0, 1)], -1) for a in (centres, across))
        line = base[:, None] + normal[:, None] * (np.linspace(-0.1, 0.1, 9) * unit)[:, None]
        at = np.floor(line).astype(int)
        seen = ((at >= 0) & (at < (labels.shape[1], labels.shape[0]))).all(-1)
        x, y = np.clip(at[..., 0], 0, labels.shape[1]), np.clip(at[..., 1], 0, labels.shape[0])
        radius = np.where(seen, inside[y, x], 0).max(1) - 0.5
        # A circle is as wide as the limb where there is limb above and below; at the cloth's end it is not.
        whole = (radius > 1) & (np.roll(radius, 1) > 1) & (np.roll(radius, -1) > 1)
        whole[[0, -1]] = False
        ratios += (radius / (np.interp(fine, LIMB, average) * unit))[whole].tolist()
    return float(np.quantile(ratios, 0.6)) if len(ratios) > 2 else np.nan


def _shown(labels: np.ndarray, points: np.ndarray, unit: float, cuffs: np.ndarray) -> np.ndarray:
    """[2] how much of each arm's width shows below its sleeve (`cuffs` [2]), against an average one: the median over lines across
    it. Where cloth lies on one side of the skin alone that is the width of the skin, elsewhere WHOLE. NaN: none is seen."""
    out = np.full(2, np.nan)
    for k, (joints, name) in enumerate(zip(ARMS, _ARMS)):
        start = cuffs[k] + 0.2 if np.isfinite(cuffs[k]) else 0.3
        fine = np.arange(start, min(start + 0.6, 1.9), 0.04)
        if not len(fine):
            continue
        centres, across = limb_axis(points, joints)
        base, normal = (np.stack([np.interp(fine, LIMB, a[:, i]) for i in (0, 1)], -1) for a in (centres, across))
        half = np.interp(fine, LIMB, AVERAGE_ARM) * unit
        at = np.arange(-3, 3.01, 0.1)
        found, inside = _read(labels, base[:, None] + normal[:, None] * (half[:, None] * at)[..., None])
        skin, cloth = inside & (found == name) & (np.abs(at) < 2), inside & (UPPER | LOWER)[found]
        widths = []
        for own, worn in zip(skin, cloth):
            on = np.flatnonzero(own)
            if len(on):
                less, more = sorted((worn[on[0] - 10 : on[0]].mean(), worn[on[-1] + 1 : on[-1] + 11].mean()))
                widths.append(len(on) / 20 if less < 0.1 and more > 0.8 else WHOLE)
        if len(widths) > 2:
            out[k] = np.median(widths)
    return out


def _shoulder(labels: np.ndarray, points: np.ndarray, centres: np.ndarray, unit: float) -> float:
    """The station of the upper outline SLOPE of the way out on the shoulders, NaN where the picture ends above it. Where hair
    hangs there it is told from farther out: shoulders fall by about FALL."""
    up = centres[0] - centres[6]
    up = up / max(np.linalg.norm(up), 1e-6)
    neck = middle(points, 11, 12)
    rise = np.arange(-0.15, 0.46, 0.02)
    found = []
    for joint in (11, 12):
        for way in (SLOPE, *BESIDE_HAIR):
            line = neck + (points[joint] - neck) * way + up * (rise * unit)[:, None]
            seen, inside = _read(labels, line)
            on = (UPPER | BARE_ARM | (np.arange(256) == _id["torso_skin"]))[seen] & inside
            out = np.flatnonzero(~on)
            if on[0] and len(out) and inside[out[0]] and seen[out[0]] != _id["hair"]:
                found.append(-rise[out[0]] - FALL * (way - SLOPE))
                break
    return float(np.mean(found)) if found else np.nan


def _beside(labels, centres: np.ndarray, across: np.ndarray, unit: float, own: np.ndarray, part: np.ndarray) -> np.ndarray:
    """[S] torso lengths to the picture's right of its bone at which a limb is seen, by its `own` [256] labels; 0 where the bone
    lies on a `part` [256] of it, or where it is not near. Pose models put a leg's joints beside the leg for some frames."""
    ways = np.arange(-AWAY, AWAY + 1) * (REACH / (STEPS // 2))
    found, inside = _read(labels, centres[:, None] + across[:, None] * (ways * unit)[None, :, None])
    on = own[found] & inside
    on[:, 1:-1] &= on[:, :-2] & on[:, 2:]
    on[:, [0, -1]] = False
    nearest = np.where(on, np.abs(ways), np.inf).argmin(1)
    return np.where(part[found[:, AWAY]] | ~on.any(1), 0.0, ways[nearest])


def _limbs(labels, points, unit, limbs, part, cloth, own, average):
    """Edges of two limbs [2, S, 2], their trust, and where cloth ends on each [2]; `own` are the labels of either limb alone, by
    which one is found beside its bone."""
    edges, trusts, ends = [], [], []
    for joints, mine, other in zip(limbs, own, reversed(own)):
        centres, across = limb_axis(points, joints)
        beside = _beside(labels, centres, across, unit, mine, part & ~other)
        middle = centres + across * (beside * unit)[:, None]
        edge, trust = _scan(labels, middle, across, unit, part & ~other, np.zeros(256, bool))
        # What looks out behind the other limb is not all of it, and ends there no more than behind anything else.
        thin = np.ptp(edge, axis=-1) < LEAST_SHOWN * 2 * average
        past, _ = _read(labels, middle[:, None] + across[:, None] * ((edge + np.sign(edge) * PAST_EDGE) * unit)[..., None])
        trust = np.where(thin[:, None] & (other[past] | (beside != 0)[:, None]), 0.0, trust)
        edge = edge + beside[:, None]
        wide = np.abs(edge) > 0.34
        trust = np.where(wide, 0.0, trust)
        fine = np.arange(0.1, 2.2, 0.02)
        line = np.stack([np.interp(fine, LIMB, centres[:, i], right=np.nan) for i in (0, 1)], -1)
        beyond = np.isnan(line[:, 0])
        line[beyond] = centres[-1] + (centres[-1] - centres[-2]) / 0.2 * (fine[beyond] - 2.0)[:, None]
        found, inside = _read(labels, line)
        ends.append(_last(cloth[found] & inside, fine))
        edges.append(edge)
        trusts.append(trust)
    return np.stack(edges), np.stack(trusts), np.array(ends)
