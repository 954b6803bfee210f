"""A flat garment picture as panels: for each part, which point of the picture lies at which place of the body.

A panel is a small lattice of picture points. Its rows are body stations (see `body.py`), its columns run across, from the
picture's left at -1 to its right at +1, as a front view shows the garment: the wearer's left is at +1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vidvton.values import Garment, Part
from vidvton.warp.body import ARMPIT, COLUMN, SLOPE
from vidvton.warp.flat import (
    BODICE,
    SLEEVES,
    TROUSER_LEGS,
    Folded,
    bulging,
    crotch_of,
    folded_sleeve,
    inner_seam,
    is_halter,
    is_strapless,
    landmark_point,
    parted_at_hips,
    polyline,
    row_extents,
    worn_cloth,
)
from vidvton.warp.solve import Body
from vidvton.warp.texture import print_mask

ACROSS = np.linspace(-1, 1, 9)
SHOULDER_STATION = -0.12  # the shoulders' upper outline, SLOPE of the way out to the joints, on an average body
CROTCH_STATION, CROTCH_ON_LEG = 1.16, 0.16
ON_SLOPE, HOOD = (0.78, 0.9), 0.12  # shares of the way to the seams where no hood is; how much higher one is, in half widths
THIGH = 0.8  # a thigh or a shin in torso lengths
ANKLE = 2.5  # column station below which no dress or skirt ends: shoes look out from under it
STRAPLESS = 0.24  # station where a garment without straps begins
HALTER = -0.26  # the same of what is held at the neck
BARE_SHOULDER = 1.2  # how far out the shoulders reach against straps, where there are no sleeves
UPPER_ARM = 0.60  # an upper arm in torso lengths
LONG_SLEEVE = 1.85, 2.2  # arm stations between which long sleeves end
MIDRIFF = 0.12  # torso lengths of bare skin between old top and old trousers that make a belly
BELOW_EDGE = 0.15  # torso lengths that a top reaches below the picture where the old one does
LENGTHENED = 1.5  # how much longer than it is cut that may make it; what would take more is a dress
HIPS, SHORTENED = 0.9, 0.6  # station below which an old top's end is no waistband; how far a new one is shortened to end there
LONGEST = 1.35  # how much longer than it is cut a new top is drawn where the old one is longer
HANGING, FLARED = 1.45, 1.3  # station of a hem from which on cloth hangs free; waists that it is wide where it does before
LEAST_HALF = 0.4  # share of half a trunk that must be seen for it to stand in for the other half
WITHIN_SEAM = 0.94  # share of half a trunk beside which a sleeve lies that is surely none of the sleeve's
DRESS_HEM = 1.4  # station from which on an old top is a dress, and tells nothing of how long a top is worn
LEVEL_HEM, STEEPEST = 0.08, 0.6  # slope of a trouser leg's hem that is none; the steepest that comes of how the legs lie
TUCKED = 0.82  # an old top this much shorter than the new one's natural length is worn tucked in, so the new one is too


@dataclass(frozen=True)
class Panel:
    """`part` of the garment; `stations` [R] ascending body stations; `lattice` [R, 9, 2] picture points; `half_widths` [R] of
    the flat garment at those rows in torso lengths; `hem` the station where the cloth ends; `tucked`: the old garment's edge
    hides the hem; `joined`: cloth goes on beyond this panel's end in another one, a jumpsuit's legs below its trunk."""

    part: Part
    stations: np.ndarray
    lattice: np.ndarray
    half_widths: np.ndarray
    hem: float
    tucked: bool = False
    joined: bool = False

    @property
    def is_bare(self) -> bool:
        """True for a limb itself, with no cloth to read."""
        return not self.half_widths.any()

    @property
    def hangs(self) -> bool:
        """Whether cloth hangs free below the hips: a skirt, a dress, or what flares below the waist."""
        if self.part != Part.TORSO or self.joined:
            return self.part == Part.SKIRT
        waist = self.half_widths[(self.stations > 0.4) & (self.stations < 1.0)].min(initial=np.inf)
        at_hem = np.interp(self.hem, self.stations, self.half_widths)
        return bool(self.hem > HANGING or (self.hem > 1.05 and at_hem > FLARED * waist))


def panels_for(garment: Garment, body: Body, *, untucked: bool = False) -> tuple[Panel, ...]:
    """The panels of `garment` on this shot's `body`: how long it falls depends on how the old clothes are worn; `untucked`, a top
    hangs to its own length even where the old one is tucked in."""
    parts = garment.parts.numpy()
    if garment.category == "lower":
        return _skirt(garment, parts, body) if (parts == Part.SKIRT).any() else _trousers(garment, parts, body)
    is_jumpsuit, crotch = np.isin(parts, TROUSER_LEGS).any(), None
    if is_jumpsuit:
        crotch = crotch_of(garment, parts)
        parts = parts if crotch is None else parted_at_hips(parts, crotch[1])
    column, scale = _column(garment, parts, body, untucked, crotch)
    sleeves = _sleeves(garment, parts, body, scale)
    if not is_jumpsuit:
        return (column, *sleeves)
    legs = _trousers(garment, parts, body, waist=column.hem)
    return (replace(column, joined=True), *sleeves, *(replace(leg, joined=True) for leg in legs))


def _column(
    garment: Garment, parts: np.ndarray, body: Body, untucked: bool, crotch: np.ndarray | None = None
) -> tuple[Panel, float]:
    """The torso panel of a top, of a dress down to its hem, or of a jumpsuit to where its legs begin (`crotch` (x, y): where they
    part), and the scale in picture pixels per torso length."""
    folded = folded_sleeve(garment)
    rows, left, right, _ = row_extents(np.isin(parts, [Part.TORSO, Part.SKIRT]) & worn_cloth(garment))
    shoulders = [landmark_point(garment, f"shoulder_{side}") for side in ("right", "left")]
    armpits = [landmark_point(garment, f"armpit_{side}") for side in ("right", "left")]
    height = len(rows)
    if any(p is None for p in shoulders):
        shoulders = [np.array([np.interp(rows[0] + 0.06 * height, rows, e), rows[0] + 0.06 * height]) for e in (left, right)]
    if any(p is None for p in armpits):
        armpits = [np.array([np.interp(rows[0] + 0.3 * height, rows, e), rows[0] + 0.3 * height]) for e in (left, right)]
    seam_y, armpit_y = (shoulders[0][1] + shoulders[1][1]) / 2, (armpits[0][1] + armpits[1][1]) / 2
    armpit_y = max(armpit_y, seam_y + 0.05 * height)
    chest = abs(armpits[1][0] - armpits[0][0])
    seam = max(abs(shoulders[1][0] - shoulders[0][0]), 0.82 * chest)
    top = float(np.median(body.edges[:, 4, 1] - body.edges[:, 4, 0]))
    scale = seam / np.clip(top, 0.7, 1.0)
    over = 1.0 if np.isin(parts, SLEEVES).any() else BARE_SHOULDER
    # Above the armpits the panel's edge is the arm-hole: straight from the armpit to the seam, and upright above it.
    ends = []
    for side, (edge, armpit) in enumerate(zip((left, right), armpits)):
        middle = (shoulders[0][0] + shoulders[1][0]) / 2
        tip = middle + (side * 2 - 1) * seam / 2 * over
        line = np.interp(rows, [seam_y, armpit_y], [tip, armpit[0]])
        ends.append(np.where(rows < armpit_y, line, edge))
    top_y = _shoulder_row(parts, (shoulders[0][0] + shoulders[1][0]) / 2, seam / 2, seam_y)
    start = float(np.clip(body.shoulder, -0.35, 0.05)) if np.isfinite(body.shoulder) else SHOULDER_STATION
    if is_halter(garment):
        ends = [np.where(rows < armpit_y, armpit[0], edge) for edge, armpit in zip((left, right), armpits)]
        top_y, start, scale = rows[0], HALTER, chest / max(_body_width(body, ARMPIT + 0.05), 0.3)
    elif is_strapless(garment):
        chest = float((right - left)[int(BODICE[0] * chest)])
        side = np.maximum(np.arange(len(rows)), int(BODICE[0] * chest))  # its corners are the cloth's outline, not its width
        ends, top_y, armpit_y, start = [left[side], right[side]], rows[0], rows[0], STRAPLESS
        scale = chest / max(_body_width(body, ARMPIT + 0.05), 0.3)
    natural = start + (rows - top_y) / scale
    armpit_station = start + (armpit_y - top_y) / scale
    if np.isin(parts, TROUSER_LEGS).any():  # a jumpsuit's trunk ends where its legs begin, and its crotch lies at the body's
        fork = natural[-1] + 0.15 if crotch is None else start + (crotch[1] - top_y) / scale
        share = (CROTCH_STATION - armpit_station) / max(fork - armpit_station, 0.1)
        stations = natural + np.maximum(natural - armpit_station, 0) * (share - 1)
        hem, tucked = stations[-1], False
    else:
        hem, stretch, tucked = _length(garment, natural[-1], armpit_station, body, untucked)
        stations = _stretched(natural, armpit_station, stretch)
    panel = _panel(Part.TORSO, stations, rows, ends[0], ends[1], scale, hem, tucked)
    return panel if folded is None else _mirrored(panel, garment, folded), scale


def _mirrored(panel: Panel, garment: Garment, folded: Folded) -> Panel:
    """A trunk's panel that shows, where a sleeve is `folded` over it, the other side's mirror image; as it is where that would
    break a print in the middle, or where the sleeve leaves too little of the other side."""
    necks = [landmark_point(garment, f"neck_{name}") for name in ("left", "right")]
    image = np.ascontiguousarray(garment.image.permute(1, 2, 0).numpy())
    if any(n is None for n in necks) or print_mask(image, garment.parts.numpy() > 0) is not None:
        return panel
    middle = (necks[0][0] + necks[1][0]) / 2
    # The cuff may lie on the other side, too.
    beyond = min(folded.cuff[0] - middle, 0) if folded.side else max(folded.cuff[1] - middle, 0)
    axis = middle + beyond * np.clip(np.linspace(-1, 1, len(panel.lattice)), 0, 1)
    outer = panel.lattice[:, 0 if folded.side else -1, 0]
    reach, half = WITHIN_SEAM * (outer - axis), outer - middle
    if (reach * np.sign(half) < LEAST_HALF * np.abs(half)).any():
        return panel
    lattice = panel.lattice.copy()
    lattice[..., 0] = axis[:, None] + reach[:, None] * np.abs(ACROSS)
    return replace(panel, lattice=lattice)


def _shoulder_row(parts: np.ndarray, middle: float, half: float, seam_y: float) -> float:
    """The row at which cloth begins, SLOPE of the way out to the shoulder seams (straps may lie a little nearer the neck, and a
    hood over it: then the shoulder's slope is followed inwards)."""
    rows = []
    for sign in (-1, 1):
        shares = np.append(SLOPE + np.linspace(-0.12, 0, 5), ON_SLOPE)
        columns = np.clip(middle + sign * half * shares, 0, parts.shape[1] - 1).astype(int)
        cloth = parts[:, columns] > 0
        first = np.where(cloth.any(0), cloth.argmax(0), parts.shape[0])
        straps, (near, far) = first[:5], first[5:]
        if not cloth[:, :5].any():
            rows.append(seam_y)
            continue
        row = min(straps[-1], straps.min() + 0.12 * half)
        slope = near - (far - near) * (ON_SLOPE[0] - SLOPE) / (ON_SLOPE[1] - ON_SLOPE[0])
        hooded = near < seam_y and row < slope - HOOD * half
        rows.append(slope if hooded else row)
    return float(np.clip(np.mean(rows), seam_y - half, seam_y + 0.5 * half))


def _length(garment: Garment, natural: float, armpit: float, body: Body, untucked: bool = False) -> tuple[float, float, bool]:
    """(hem station, stretch below the armpits, tucked): a top is worn as the old one was, unless the lengths are far apart, or
    the old one leaves the belly bare."""
    if natural <= armpit:
        return natural, 1.0, False
    if not np.isfinite(body.hem):
        # Where the old top leaves the picture nothing is known of what is worn below: the new one does so too.
        least = body.runs_on + BELOW_EDGE if garment.category == "upper" and np.isfinite(body.runs_on) else natural
        stretch = (least - armpit) / (natural - armpit)
        stretch = float(max(stretch, 1.0)) if stretch < LENGTHENED else 1.0
        return armpit + (natural - armpit) * stretch, stretch, False
    if garment.category == "upper" and body.waist - body.hem > MIDRIFF:
        return max(natural, body.hem), 1.0, False
    stretch = (body.hem - armpit) / (natural - armpit)
    if untucked and garment.category == "upper" and stretch < 1:
        return natural, 1.0, False
    if garment.category == "full":
        if 0.85 < stretch < 1.2:
            return body.hem, stretch, False
        return min(natural, ANKLE), (min(natural, ANKLE) - armpit) / (natural - armpit), False
    if stretch < TUCKED:
        if body.hem < HIPS:
            return body.hem, 1.0, True
        stretch = max(stretch, SHORTENED)  # it ends on the hips, so it is not tucked in but short
    if stretch > LONGEST:  # a top put on over a dress is no dress
        stretch = LONGEST if body.hem < DRESS_HEM else 1.0
    return armpit + (natural - armpit) * stretch, stretch, False


def _stretched(natural: np.ndarray, armpit: float, stretch: float) -> np.ndarray:
    """The stations `natural` [R] with what lies below the `armpit` stretched; what is shortened much is so towards the hem, where
    there seldom is a print."""
    below = np.maximum(natural - armpit, 0)
    share = below / max(below[-1], 1e-6)
    return natural + below * (stretch - 1) * (share if stretch < TUCKED else 1)


def _panel(part, stations, rows, left, right, scale, hem, tucked=False, rises=None) -> Panel:
    """A panel from the picture's rows: thinned to at most 64 of them, with one more at either end so that it can be read beyond
    its edge. `rises`: how many pixels higher than in the middle each row lies at the left and right edge."""
    order = np.linspace(0, len(rows) - 1, min(64, len(rows))).round().astype(int)
    rises = np.zeros((2, len(rows))) if rises is None else np.stack(rises)
    rises = np.concatenate([[[0], [0]], rises[:, order], rises[:, order[-1:]]], 1)
    stations, rows, left, right = stations[order], rows[order], left[order], right[order]
    step = stations[-1] - stations[-2]
    pitch = rows[-1] - rows[-2]
    far = 0.25
    stations = np.concatenate([[stations[0] - far], stations, [stations[-1] + far]])
    rows = np.concatenate([[rows[0] - far * scale], rows, [rows[-1] + far * pitch / max(step, 1e-6)]])
    left, right = (np.concatenate([[e[0]], e, [e[-1]]]) for e in (left, right))
    centre, half = (left + right) / 2, np.maximum((right - left) / 2, 1.0)
    up = np.where(ACROSS < 0, rises[0, :, None], rises[1, :, None]) * ACROSS**2
    lattice = np.stack([centre[:, None] + half[:, None] * ACROSS, rows[:, None] - up], -1)
    return Panel(part, stations, lattice.astype(np.float32), half / scale, float(hem), tucked)


def _strip(part: Part, left: list[np.ndarray], right: list[np.ndarray], stations: np.ndarray, scale: float, hem: float) -> Panel:
    """A sleeve or trouser leg between its seams at the picture's left and right; `stations` are those of the seams' shares 0 to
    1."""
    share = np.linspace(0, 1, len(stations))
    a, b = polyline(left, share), polyline(right, share)
    beyond = 0.12
    step = (stations[-1] - stations[0]) / max(len(stations) - 1, 1)
    ahead = beyond / max(step, 1e-6)
    a = np.concatenate([a, a[-1:] + (a[-1:] - a[-2:-1]) * ahead])
    b = np.concatenate([b, b[-1:] + (b[-1:] - b[-2:-1]) * ahead])
    stations = np.concatenate([stations, [stations[-1] + beyond]])
    mix = (ACROSS + 1)[None, :, None] / 2
    lattice = a[:, None] * (1 - mix) + b[:, None] * mix
    half = np.linalg.norm(a - b, axis=-1) / 2 / scale
    return Panel(part, stations, lattice.astype(np.float32), half, float(hem))


def _sleeves(garment: Garment, parts: np.ndarray, body: Body, scale: float) -> tuple[Panel, ...]:
    """Both sleeves; one that is missing or folded away in the picture is the other's mirror image."""
    seams, lengths = {}, {}
    for side, part in (("left", Part.LEFT_SLEEVE), ("right", Part.RIGHT_SLEEVE)):
        outer = [landmark_point(garment, f"{name}_{side}") for name in ("shoulder", "sleeve_outer", "cuff_outer")]
        inner = [landmark_point(garment, f"{name}_{side}") for name in ("armpit", "sleeve_inner", "cuff_inner")]
        if any(p is None for p in outer + inner) or not (parts == part).any():
            continue
        length = np.linalg.norm(outer[1] - outer[0]) + np.linalg.norm(outer[2] - outer[1])
        seams[side] = (inner, outer) if side == "left" else (outer, inner)
        lengths[side] = length / scale / UPPER_ARM
    if not seams:
        return ()
    longest = max(lengths, key=lengths.get)
    low, high = {"short": (0.3, 0.85), "elbow": (0.85, 1.35), "long": (1.88, 1.98)}.get(garment.layout.sleeve or "", (0.2, 1.98))
    reach = float(np.clip(lengths[longest], low, high))
    panels = []
    for side, part in (("left", Part.LEFT_SLEEVE), ("right", Part.RIGHT_SLEEVE)):
        usable = side in seams and lengths[side] > 0.75 * lengths[longest]
        of = side if usable else longest
        ends = bulging(*seams[of], parts, Part.LEFT_SLEEVE if of == "left" else Part.RIGHT_SLEEVE)
        left, right = ends if usable else ends[::-1]
        end = _cuff_station(reach, body, SLEEVES.index(part))
        panels.append(_strip(part, left, right, np.linspace(0, end, 12), scale, end))
    return tuple(panels)


def _cuff_station(reach: float, body: Body, arm: int) -> float:
    """Where a sleeve that would `reach` to some station of an arm ends: of long ones where old long ones do, if there are any.
    Many of these go on over the back of the hand."""
    old = body.cuffs[arm] if np.isfinite(body.cuffs[arm]) else body.cuffs[1 - arm]
    return float(np.clip(old, *LONG_SLEEVE)) if reach > LONG_SLEEVE[0] and old > LONG_SLEEVE[0] - 0.1 else reach


def _waist_station(body: Body) -> float:
    return float(np.clip(body.waist, 0.5, 1.0)) if np.isfinite(body.waist) else 0.72


def _body_width(body: Body, station: float) -> float:
    """The column's usual full width at a station, in torso lengths."""
    widths = np.median(body.edges[..., 1] - body.edges[..., 0], axis=0)
    return float(np.interp(station, COLUMN, widths))


def _skirt(garment: Garment, parts: np.ndarray, body: Body) -> tuple[Panel, ...]:
    rows, left, right, corners = row_extents(parts == Part.SKIRT)
    waist = _waist_station(body)
    near = slice(0, max(1, len(rows) // 25))
    scale = float(np.median((right - left)[near])) / max(_body_width(body, waist), 0.3)
    # A flared skirt lies as a sector of a ring: all its pleats are of one length, and worn its hem is level.
    rises = [(rows - rows[0]) * (1 - corner / len(rows)) for corner in corners]
    left, right = (np.interp(rows - rise, rows, ends) for rise, ends in zip(rises, (left, right)))
    length = (rows[-1] - rows[0]) / scale
    stations = waist - 0.02 + (rows - rows[0]) / scale * min(1, (ANKLE - waist) / length)
    return (_panel(Part.SKIRT, stations, rows, left, right, scale, stations[-1], rises=rises),)


def _trousers(garment: Garment, parts: np.ndarray, body: Body, waist: float | None = None) -> tuple[Panel, ...]:
    """Both legs, from the station of the `waist`; where the old trousers begin if that is not given."""
    rows, left, right, _ = row_extents(np.isin(parts, TROUSER_LEGS))
    height = rows[-1] - rows[0]
    crotch = crotch_of(garment, parts)
    crotch = crotch if crotch is not None else np.array([(left[0] + right[0]) / 2, rows[0] + 0.3 * height])
    hip_row = rows[0] + 0.8 * (crotch[1] - rows[0])
    hip_width = float(np.interp(hip_row, rows, right - left))
    waist = _waist_station(body) if waist is None else waist
    scale = hip_width / max(_body_width(body, 1.05), 0.45)
    inseam = (rows[-1] - crotch[1]) / scale
    hem = CROTCH_ON_LEG + inseam / THIGH
    old = np.nanmean(body.trouser_hems) if np.isfinite(body.trouser_hems).any() else np.nan
    if garment.layout.leg == "long":
        hem = float(old) if np.isfinite(old) and old > 1.6 else 1.95
    hem = float(np.clip(hem, 0.3, 2.1))
    panels = []
    top_centre = np.array([(np.interp(rows[0] + 2, rows, left) + np.interp(rows[0] + 2, rows, right)) / 2, rows[0]])
    for side, outline in (("left", right), ("right", left)):
        inner_y = np.linspace(rows[0], rows[-1], 24)
        outer_y = inner_y - _hem_rise(garment, side) * (inner_y - rows[0]) / height
        outer = np.stack([np.interp(outer_y, rows, outline), outer_y], -1)
        knots = [top_centre, crotch, *inner_seam(parts, side, crotch[1])]
        knots = [k for i, k in enumerate(knots) if i == 0 or k[1] > knots[i - 1][1]]
        inner = np.stack([np.interp(inner_y, [k[1] for k in knots], [k[0] for k in knots]), inner_y], -1)
        # Rows above the crotch lie on the leg's axis too: the waist is at a negative station of the leg.
        waist_on_leg = -(1.0 - waist) / THIGH
        stations = np.interp(inner_y, [rows[0], crotch[1], rows[-1]], [waist_on_leg, CROTCH_ON_LEG, hem])
        part = Part.LEFT_LEG if side == "left" else Part.RIGHT_LEG
        seams = (list(inner), list(outer)) if side == "left" else (list(outer), list(inner))
        panels.append(_strip(part, *seams, stations, scale, hem))
    return tuple(panels)


def _hem_rise(garment: Garment, side: str) -> float:
    """How many picture pixels higher than its inner end a trouser leg's hem lies at its outer end: legs that lie apart in the
    picture have slanting hems, which worn are level. 0 where it lies about as high or lower."""
    if garment.category != "lower":  # of a jumpsuit's legs nothing so exact is known
        return 0.0
    inner, outer = (landmark_point(garment, f"hem_{end}_{side}") for end in ("inner", "outer"))
    if inner is None or outer is None:
        return 0.0
    rise, width = inner[1] - outer[1], abs(inner[0] - outer[0])
    return float(min(rise, STEEPEST * width)) if rise > LEVEL_HEM * width else 0.0


def bare_limbs() -> tuple[Panel, ...]:
    """Panels of the limbs themselves, with nothing to read: they tell which pixels belong to which arm or leg."""
    parts = (Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE, Part.LEFT_LEG, Part.RIGHT_LEG)
    return tuple(_nothing(part, 0.0, 2.15) for part in parts)


def bare_trunk() -> Panel:
    """The panel of the trunk itself, with nothing to read: it tells where on the body a pixel is."""
    return _nothing(Part.TORSO, -0.3, 1.4)


def _nothing(part: Part, first: float, last: float) -> Panel:
    stations = np.linspace(first, last, 16)
    return Panel(part, stations, np.zeros((len(stations), len(ACROSS), 2), np.float32), np.zeros(len(stations)), last)
