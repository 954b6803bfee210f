"""Where every panel's control points lie on the body, frame by frame.

A panel is held by a few control points: rows at body stations, three across (the two outlines and the middle). A thin-plate
spline carries the dense lattice along, so one frame is one small matrix product (`tps.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidvton.smoothing import running_median
from vidvton.values import Part
from vidvton.warp.body import ARMPIT, ARMS, COLUMN, LEGS, LIMB, TOP, column_axis, limb_axis
from vidvton.warp.flat import SLEEVES, TROUSER_LEGS
from vidvton.warp.panels import CROTCH_ON_LEG, CROTCH_STATION, THIGH, Panel
from vidvton.warp.solve import MOSTLY_CLOTHED, STEADY, Body
from vidvton.warp.tps import tps_basis

Fold = Literal["none", "over", "under"]
"""How a bent arm's lower end lies to its upper one; none: it is not bent."""

SIDES = np.array([-1.0, 0.0, 1.0])
WIDE = np.linspace(-1.3, 1.3, 14)  # the dense lattice reaches beyond the outlines, so that it can be read on them
_WAIST = 0.72  # station from which a skirt falls
STRETCH = 1.6  # how much wider than its cut a skirt gets over legs that stand apart
HIPS = 1.4  # column station down to which a skirt goes along with a waist that is seen higher
RAISED = (-0.4, 0.0, 0.3), (0.2, 0.12, 0.0)  # torso lengths an elbow is below its shoulder; that the shoulder's top rises by
SHOULDER = 0.3  # column station from which on a raised arm moves nothing
TAPER = 0.6  # limb stations past the old sleeve's end over which a longer one narrows to the arm
LONGER = 0.25, 0.6  # limb stations past the old cuff from which the old sleeve says less of the new one's width, and nothing
ROOMY, WIDEST = 2.0, 0.42  # how much wider than the leg in it trousers may be; half their width at most, in torso lengths
BILLOW, BILLOWING = 1.1, (1.85, 2.15)  # arms by which a billowing sleeve is wider; half-widths in arms from which one is, wholly
SAME_HEM = 0.25  # leg stations up to which old and new trousers end at the same place
COVERS = 1.07  # how much wider than a bare leg the trousers on it are at least
WELL_COVERS = 1.18  # the same of a skirt
INNER_NARROWS = 0.18, 0.36  # the same on the inner side
NARROWS = 0.35, 0.8  # leg stations between which trousers come to be as narrow as they are cut, over wider old ones
ABOVE = 0.1  # limb stations above an old hem or cuff at which its width is read
UNSEEN = 0.4  # usual score of an elbow or wrist under which an arm is hardly seen
FOLDED = 40.0  # times the say of a forearm against the upper arm it is folded over
ASPECT = 0.35  # half a panel's width against a station, for the spline's own plane


@dataclass(frozen=True)
class FittedPanel:
    """A panel on the body: `controls` [C] stations, `points` [T, C, 3, 2] pixels of its control points, `near` [T] depth
    (smaller is in front), `basis` [R * 14, C * 3] the spline from control points to the dense lattice over `stations` [R] x
    `WIDE`; `over` [T] of an arm, whether the forearm lies before the upper arm."""

    panel: Panel
    controls: np.ndarray
    points: np.ndarray
    near: np.ndarray
    basis: np.ndarray
    stations: np.ndarray
    over: np.ndarray | None = None

    def say(self, fold: Fold = "none") -> np.ndarray | None:
        """[R] how much each row of the lattice has to say where it lies over another: of a folded sleeve the lower end over the
        upper one, or the other way round; of a trunk that bends, what goes on below the hem does not hide what is above it.
        None: all alike."""
        if self.panel.part in (Part.TORSO, Part.SKIRT):
            return 1 + FOLDED * np.clip((self.panel.hem + 0.1 - self.stations) / 0.1, 0, 1)
        if fold == "none":
            return None
        if fold == "under":
            return 1 + FOLDED * np.clip((1.1 - self.stations) / 0.3, 0, 1)
        lower = np.clip((self.stations - 0.9) / 0.3, 0, 1)
        ends = np.where(self.stations > self.panel.hem, 0.2, 1.0)  # where cloth and its end meet in the crook, cloth is seen
        return 1 + FOLDED * lower * ends

    def nodes(self, t: int) -> np.ndarray:
        """The dense lattice of frame `t`: [R, 14, 2] pixels."""
        return (self.basis @ self.points[t].reshape(-1, 2)).reshape(len(self.stations), len(WIDE), 2)


def fit_panels(
    panels: tuple[Panel, ...], body: Body, keypoints: np.ndarray, depth: np.ndarray, yaw: np.ndarray
) -> tuple[FittedPanel, ...]:
    """Every panel's control points over a shot. `keypoints` [T, 33, 3] pixels, `depth` [T, 33], `yaw` [T] radians, as in
    PoseTrack."""
    fitted = []
    for panel in panels:
        low, high = panel.stations[0], panel.stations[-1]
        controls = np.linspace(low, high, int(np.clip(np.ceil((high - low) / 0.16), 5, 18)))
        rows = [_place(panel, controls, body, keypoints, yaw, t) for t in range(len(keypoints))]
        dense = np.linspace(low, high, int(np.clip(np.ceil((high - low) / 0.06), 8, 48)))
        plane = np.stack(np.meshgrid(controls, SIDES * ASPECT, indexing="ij"), -1).reshape(-1, 2)
        query = np.stack(np.meshgrid(dense, WIDE * ASPECT, indexing="ij"), -1).reshape(-1, 2)
        fitted.append(
            FittedPanel(
                panel,
                controls,
                np.stack(rows),
                _nearness(panel.part, keypoints, depth, body.hidden),
                tps_basis(plane, query),
                dense,
                _over(panel.part, depth),
            )
        )
    return tuple(fitted)


def _nearness(part: Part, keypoints: np.ndarray, depth: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Depth of a part against the trunk, in pixels: negative is in front of it. An arm that is hardly seen, or `hidden` [T, 2] in
    part, is behind it."""
    trunk = depth[:, [11, 12, 23, 24]].mean(1)
    if part in SLEEVES:
        side = 0 if part == Part.LEFT_SLEEVE else 1
        shoulder, elbow, wrist = ARMS[side]
        near = (depth[:, shoulder] + 2 * depth[:, elbow] + depth[:, wrist]) / 4 - trunk
        usual = running_median(keypoints[:, [elbow, wrist], 2].min(1), STEADY)
        return np.where((usual < UNSEEN) | hidden[:, side], np.abs(near) + 1, near)
    if part in TROUSER_LEGS:
        return depth[:, list(LEGS[0 if part == Part.LEFT_LEG else 1])].mean(1) - trunk
    return np.zeros(len(depth))


def _over(part: Part, depth: np.ndarray) -> np.ndarray | None:
    """[T] whether an arm's lower end is nearer than its upper one; None for anything but an arm."""
    if part not in SLEEVES:
        return None
    shoulder, elbow, wrist = ARMS[0 if part == Part.LEFT_SLEEVE else 1]
    return running_median(depth[:, wrist] - (depth[:, shoulder] + depth[:, elbow]) / 2, STEADY) < 0


def _place(panel: Panel, controls: np.ndarray, body: Body, keypoints: np.ndarray, yaw: np.ndarray, t: int) -> np.ndarray:
    """[C, 3, 2]: the control points of one panel in one frame."""
    points = keypoints[t, :, :2].astype(np.float64)
    column = _ColumnFrame(points, body, t)
    if panel.part in (Part.TORSO, Part.SKIRT):
        places = controls
        if panel.part == Part.SKIRT and np.isfinite(body.waist):
            places = controls + body.waists[t] * np.clip((HIPS - controls) / (HIPS - body.waist), 0, 1)
        left, right = _column_edges(panel, controls, places, column, _leg_reach(points, body, places, column, t))
    elif panel.part in SLEEVES:
        left, right = _sleeve_edges(panel, controls, column, points, body, yaw[t], t)
    else:
        left, right = _leg_edges(panel, controls, column, points, body, yaw[t], t)
    share = (SIDES + 1)[None, :, None] / 2
    return left[:, None] * (1 - share) + right[:, None] * share


class _ColumnFrame:
    """One frame's column, to be asked for points by station and share across."""

    def __init__(self, points: np.ndarray, body: Body, t: int) -> None:
        self.centres, self.across = column_axis(points)
        self.edges, self.unit = body.edges[t], float(body.unit[t])
        self.lift = _lifted(points, self.across[np.searchsorted(COLUMN, -1e-6)], self.unit)

    def at(self, stations: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Points [N, 2] at `stations` [N], `offsets` [N] torso lengths to the picture's right of the middle line. Over a raised
        arm the shoulder is higher."""
        lift = self.lift[(offsets > 0).astype(int)] * np.clip(1 - stations / SHOULDER, 0, 1)
        stations = stations - lift
        inside = np.clip(stations, COLUMN[0], COLUMN[-1])
        base = np.stack([np.interp(inside, COLUMN, self.centres[:, i]) for i in (0, 1)], -1)
        normal = np.stack([np.interp(inside, COLUMN, self.across[:, i]) for i in (0, 1)], -1)
        along = np.stack([-normal[:, 1], normal[:, 0]], -1)
        return base + normal * (offsets * self.unit)[:, None] + along * ((stations - inside) * self.unit)[:, None]

    def edge(self, stations: np.ndarray, side: int) -> np.ndarray:
        """Signed offset of the outline, in torso lengths."""
        return np.interp(stations, COLUMN, self.edges[:, side])


def _lifted(points: np.ndarray, across: np.ndarray, unit: float) -> np.ndarray:
    """[2] how much higher, in torso lengths, the shoulder to the picture's left and right lies for its raised arm; `across` [2]
    points to the picture's right."""
    down, out = np.array([-across[1], across[0]]), np.zeros(2)
    neck = (points[11] + points[12]) / 2
    for shoulder, elbow, _ in ARMS:
        way = (points[elbow] - points[shoulder]) / unit
        long = np.clip((np.linalg.norm(way) - 0.2) / 0.25, 0, 1)  # of an arm that points at the camera nothing is known
        out[int((points[shoulder] - neck) @ across > 0)] = long * np.interp(way @ down, *RAISED)
    return out


def _leg_reach(points: np.ndarray, body: Body, controls: np.ndarray, column: _ColumnFrame, t: int) -> np.ndarray:
    """[C, 2] torso lengths: how far to either side of the column bare legs reach at its stations; 0 above them."""
    centres = np.stack([np.interp(controls, COLUMN, column.centres[:, i]) for i in (0, 1)], -1)
    across = np.stack([np.interp(controls, COLUMN, column.across[:, i]) for i in (0, 1)], -1)
    station = np.clip((controls - 1.0) / 0.8, 0, 2)
    reach = np.zeros((len(controls), 2))
    for k, joints in enumerate(LEGS):
        knots = points[list(joints)]
        bone = np.stack([np.interp(station, [0, 1, 2], knots[:, i]) for i in (0, 1)], -1)
        bone = bone + across * (np.interp(station, LIMB, body.leg_offsets[t, k]) * column.unit)[:, None]
        offset = ((bone - centres) * across).sum(-1) / column.unit
        half = WELL_COVERS * np.interp(station, LIMB, body.bare_leg)
        reach = np.maximum(reach, np.stack([half - offset, half + offset], -1))
    return reach * (controls > 1.1)[:, None]


def _column_edges(
    panel: Panel, controls: np.ndarray, places: np.ndarray, column: _ColumnFrame, legs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The outlines [C, 2] of the trunk or a skirt; in this frame its `controls` [C] lie at the column's stations `places` [C]."""
    # Worn, flat cloth shows about 85 % of its width; the rest goes round the sides.
    half = 0.85 * np.interp(controls, panel.stations, panel.half_widths)
    # Below the hips a skirt hangs by its own cut; above them, and on tops, cloth lies on the body.
    hangs = np.clip((controls - 0.85) / 0.3, 0, 1) * panel.hangs
    ends = []
    for side, sign in ((0, -1.0), (1, 1.0)):
        outline = np.abs(column.edge(places, side))
        if hangs.any():  # cloth falls straight from the waist to its hem, however round it lay when it was photographed
            waist, hem = np.interp(_WAIST, controls, outline), np.interp(panel.hem, controls, half)
            half = np.minimum(half, np.maximum(outline, np.interp(controls, [_WAIST, panel.hem], [waist, max(waist, hem)])))
        hanging = np.maximum(np.clip(outline, half, 1.3 * half), np.minimum(legs[:, side], STRETCH * half))
        outline = outline * (1 - hangs) + hanging * hangs
        ends.append(column.at(places, sign * outline))
    return ends[0], ends[1]


def _sleeve_edges(panel, controls, column, points, body, yaw, t):
    is_left = panel.part == Part.LEFT_SLEEVE
    index = 0 if is_left else 1
    centres, across, widths = _limb(points, ARMS[index], body.arms[t, index], body.arm_offsets[t, index] * body.unit[t], controls)
    average = np.interp(np.clip(controls, 0, 2), LIMB, body.bare_arm)
    facing = np.cos(yaw)
    side = 1 if is_left == (facing > 0) else 0
    cuff = body.cuffs[index]
    if panel.is_bare:
        centres = centres + across * ((side * 2 - 1) * _aside(controls, widths[:, side], average, cuff) * body.unit[t])[:, None]
        half = across * (average * body.unit[t])[:, None]
        return centres - half, centres + half
    ends = []
    for k, sign in ((0, -1.0), (1, 1.0)):
        width = _sleeve_width(panel, controls, widths[:, k], average, cuff, outer=k == side)
        ends.append(centres + across * (sign * width * body.unit[t])[:, None])
    # At the shoulder the sleeve begins along the arm-hole, from the seam's end down to the armpit.
    stations = np.array([TOP - 0.09, ARMPIT])
    tip, armpit = column.at(stations, np.array([column.edge(np.array([TOP]), side)[0], column.edge(np.array([ARMPIT]), side)[0]]))
    fade = np.clip(1 - controls / 0.42, 0, 1)[:, None] * np.clip((abs(facing) - 0.15) / 0.45, 0, 1)
    inner, outer = (0, 1) if side == 1 else (1, 0)
    shift = (points[ARMS[index][1]] - points[ARMS[index][0]]) * np.maximum(controls, 0)[:, None]
    ends[outer] = ends[outer] * (1 - fade) + (tip + shift) * fade
    ends[inner] = ends[inner] * (1 - fade) + (armpit + shift * 0.35) * fade
    return ends[0], ends[1]


def _sleeve_width(panel, controls, seen, average, cuff, *, outer):
    """Half a sleeve's width at each control, in torso lengths: as wide as it is cut, but near what is seen of the arm.

    A flat sleeve is half a tube's girth wide; worn, it shows about four fifths of that. On the outer side the old sleeve's
    outline, where there was one, is the best guide, but of a much longer sleeve: that would be puffed above the old cuff; on
    the inner side the trunk's cloth hides the outline, and an average arm has to do. Past the old cuff a sleeve narrows slowly
    from the one to the other: cloth has no steps."""
    cut = 0.8 * np.interp(controls, panel.stations, panel.half_widths)
    clothed = _old_says(controls, cuff, panel.hem) if outer else np.zeros(len(controls))
    old = _past_end(controls, seen, cuff) if clothed.any() else seen
    least = _mixed(1.06 * np.minimum(seen, 1.15 * average), np.minimum(old, 2.0 * average), clothed)
    most = least * _mixed(1.4, 1.12, clothed)
    return np.clip(cut, least, most + BILLOW * average * _billows(controls, cut, average))


def _billows(controls: np.ndarray, cut: np.ndarray, average: np.ndarray) -> np.ndarray:
    """[C] 0-1: where a sleeve is so wide about the forearm that it is meant to be: ordinary ones are not that wide there."""
    below = np.clip((controls - 0.5) / 0.4, 0, 1)
    return below * np.clip((cut / average - BILLOWING[0]) / (BILLOWING[1] - BILLOWING[0]), 0, 1)


def is_billowing(panel: Panel, body: Body) -> bool:
    """Whether a sleeve stands far off the forearm."""
    if panel.part not in SLEEVES:
        return False
    stations = np.arange(1.0, min(panel.hem, 2.0), 0.1)
    cut = 0.8 * np.interp(stations, panel.stations, panel.half_widths)
    return bool((_billows(stations, cut, np.interp(stations, LIMB, body.bare_arm)) > 0.3).sum() > 2)


def _aside(controls: np.ndarray, seen: np.ndarray, average: np.ndarray, cuff: float) -> np.ndarray:
    """How far [C], in torso lengths, an arm lies outside its middle line: its outer outline, where it is `seen` bare, is an arm's
    half-width away from its middle; under the old sleeve it goes on as it begins at the cuff."""
    if cuff > MOSTLY_CLOTHED:
        return np.zeros(len(controls))
    bare = np.maximum(controls, cuff + 0.15) if np.isfinite(cuff) else controls
    aside = np.interp(bare, controls, seen - average)
    return np.clip(aside, -0.05, 0.05)


def _mixed(a, b, share):
    return a + (b - a) * share


def _limb(points, joints, edges, offsets, controls):
    """Middle line, normals and absolute widths [C, 2] at limb stations; beyond the last joint the last bone goes on."""
    centres, across = limb_axis(points, joints)
    centres = centres + across * offsets[:, None]
    inside = np.clip(controls, 0, 2)
    base = np.stack([np.interp(inside, LIMB, centres[:, i]) for i in (0, 1)], -1)
    normal = np.stack([np.interp(inside, LIMB, across[:, i]) for i in (0, 1)], -1)
    first, last = points[joints[1]] - points[joints[0]], points[joints[2]] - points[joints[1]]
    base = base + last * np.maximum(controls - 2, 0)[:, None] + first * np.minimum(controls, 0)[:, None]
    widths = np.stack([np.interp(inside, LIMB, np.abs(edges[:, k])) for k in (0, 1)], -1)
    return base, normal, widths


def _old_says(controls: np.ndarray, old: float, new: float) -> np.ndarray:
    """[C] 0-1: how much an old sleeve or leg that ends at station `old` (NaN: there is none) tells of the width of one that ends
    at `new`: past its end less and less, and nothing of one that is much longer."""
    if not np.isfinite(old):
        return np.zeros(len(controls))
    share = np.clip(1 - (new - old - LONGER[0]) / (LONGER[1] - LONGER[0]), 0, 1)
    return share * np.clip((old + TAPER - controls) / TAPER, 0, 1)


def _past_end(controls: np.ndarray, seen: np.ndarray, old: float) -> np.ndarray:
    """[C] the half-widths `seen`, past the end `old` of the cloth as wide as just above it."""
    return np.interp(np.minimum(controls, old - ABOVE), controls, seen)


def _level_hem(controls: np.ndarray, seen: np.ndarray, old: float, new: float) -> np.ndarray:
    """Half-widths [C, 2] of a leg as they are `seen`, but past the old hem no narrower at once: cloth has no steps."""
    share = _old_says(controls, old, new)[:, None]
    if not share.any():
        return seen
    kept = np.stack([_past_end(controls, side, old) for side in seen.T], -1)
    return _mixed(seen, np.maximum(seen, kept), share)


def _clothed(controls: np.ndarray, body: Body, hem: float) -> np.ndarray:
    """[C] 0-1: where the old trousers cover a leg; where new ones end at `hem` near the old ones' end, to below it."""
    if not np.isfinite(body.trouser_hems).any():
        return np.ones(len(controls))
    old = float(np.nanmax(body.trouser_hems))
    end = max(old, hem) + SAME_HEM if abs(hem - old) < SAME_HEM else old
    return np.clip((end - controls) / 0.1, 0, 1)


def _narrows(controls: np.ndarray, inner: int) -> np.ndarray:
    """[C, 2] 0-1: how much trousers may be narrower than the cloth that is seen on a leg, to its picture left and right of which
    `inner` is towards the other leg; hips are not."""
    ends = [INNER_NARROWS if side == inner else NARROWS for side in (0, 1)]
    return np.stack([np.clip((controls - low) / (high - low), 0, 1) for low, high in ends], -1)


def is_snug(panel: Panel, body: Body) -> bool:
    """Whether a trouser leg is clearly narrower than the old one over a good part of it."""
    if panel.part not in TROUSER_LEGS:
        return False
    index = 0 if panel.part == Part.LEFT_LEG else 1
    stations = np.arange(0.3, min(1.8, panel.hem), 0.05)
    usual = np.interp(stations, LIMB, np.median(np.ptp(body.legs[:, index], axis=-1) / 2, axis=0))
    cut = 0.8 * np.interp(stations, panel.stations, panel.half_widths)
    narrow = np.maximum(cut, np.interp(stations, LIMB, body.lean_legs[index]))
    return bool(((narrow < 0.85 * usual) & (_clothed(stations, body, panel.hem) == 1)).sum() > 3)


def _leg_edges(panel, controls, column, points, body, yaw, t):
    is_left = panel.part == Part.LEFT_LEG
    index = 0 if is_left else 1
    centres, across, widths = _limb(points, LEGS[index], body.legs[t, index], body.leg_offsets[t, index] * body.unit[t], controls)
    unit = body.unit[t]
    cut = 0.8 * np.interp(controls, panel.stations, panel.half_widths)
    if panel.is_bare:
        bare = across * (np.interp(np.clip(controls, 0, 2), LIMB, body.bare_leg) * unit)[:, None]
        return centres - bare, centres + bare
    widths = _level_hem(controls, widths, body.old_hem(index), panel.hem)
    knee = np.stack([np.interp(np.minimum(controls, 1.0), controls, side) for side in widths.T], -1)
    room = ROOMY * np.maximum(widths, knee)  # cloth falls from the knee: a wide leg is as wide at the ankle
    half = np.clip(np.maximum(widths, np.minimum(cut[:, None], room)), 0, WIDEST)
    clothed = _clothed(controls, body, panel.hem)[:, None]
    half = np.maximum(half, COVERS * widths * (1 - clothed))  # no rim of bare skin beside the new cloth
    on_right = is_left == (np.cos(yaw) > 0)
    narrow = np.maximum(cut, np.interp(np.clip(controls, 0, 2), LIMB, body.lean_legs[index]))[:, None]
    half = _mixed(half, np.minimum(half, narrow), clothed * _narrows(controls, 0 if on_right else 1))
    lower = [centres + across * (sign * half[:, k] * unit)[:, None] for k, sign in ((0, -1.0), (1, 1.0))]
    # Above the crotch the two legs share the column; the seam between them turns with the body.
    waist = 1.0 + panel.stations[0] * THIGH + (0.0 if panel.joined else body.waists[t])
    height = np.interp(
        controls, [panel.stations[0], CROTCH_ON_LEG, CROTCH_ON_LEG + 0.3], [waist, CROTCH_STATION, CROTCH_STATION + 0.12]
    )
    low, high = column.edge(height, 0), column.edge(height, 1)
    facing, turn = np.cos(yaw), np.sin(yaw)
    seam = (low + high) / 2 + (high - low) / 2 * (-turn if facing > 0 else turn)
    upper = [column.at(height, seam if on_right else low), column.at(height, high if on_right else seam)]
    mix = np.clip((controls - CROTCH_ON_LEG) / 0.35, 0, 1)[:, None]
    return tuple(u * (1 - mix) + w * mix for u, w in zip(upper, lower))
