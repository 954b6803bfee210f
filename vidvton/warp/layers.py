"""One frame's stack of cloth: every panel drawn, cut by what lies in front of it, and grown over the old garment's rim.

Labels decide at working size; colours and the garment's own outline are read at output size, so that print and hem stay sharp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from vidvton.values import CIHP_LABELS, Part
from vidvton.warp.body import BARE_ARM, LOWER, UPPER, picked
from vidvton.warp.canvas import Box, Canvas, Layer
from vidvton.warp.drape import PanelMap, enlarge, part_of
from vidvton.warp.flat import SLEEVES, TROUSER_LEGS
from vidvton.warp.limbs import Limb
from vidvton.warp.panels import CROTCH_ON_LEG, CROTCH_STATION
from vidvton.warp.soft import soften, step_between
from vidvton.warp.texture import Texture

_id = {name: k for k, name in enumerate(CIHP_LABELS)}


def labelled(*names: str) -> np.ndarray:
    return np.isin(np.arange(256), [_id[n] for n in names])


HEAD = labelled("hat", "hair", "sunglasses", "face")
FACE = labelled("face")
SKIN_OF_TRUNK = labelled("torso_skin")
BACKGROUND = labelled("background")
LEGS_BARE = labelled("left_leg", "right_leg", "socks")
DRESS = _id["dress"]
SKIRTS = labelled("skirt", "dress")
THINGS = labelled("scarf")
SHOES = labelled("left_shoe", "right_shoe")
OWN_ARM = {Part.LEFT_SLEEVE: labelled("left_arm"), Part.RIGHT_SLEEVE: labelled("right_arm")}
OWN_SKIN = OWN_ARM | {Part.LEFT_LEG: labelled("left_leg"), Part.RIGHT_LEG: labelled("right_leg")}
STANDS_OFF = 0.008, 0.018  # of the picture: how far a sleeve reaches beyond the arm's outline at the shoulder, and below it
BILLOWS_OFF = 0.035  # the same below the shoulder, of a sleeve that stands far off the arm
COURSE = 0.014  # of the picture, over which the border of top and trousers is made smooth
_SEAM = CROTCH_ON_LEG + 0.15, CROTCH_ON_LEG  # limb stations over which the seam between trouser legs ends
_LAST_ROWS = 8  # working pixels of a trunk's map that tell how wide it is at its end
_ABOUT, _BESIDE = 2.5, 24  # half-widths of a sleeve, and working pixels beside it, in which it can have a say
PAST = 0.08, 0.2  # limb stations past where old sleeves usually end, over which old cloth becomes the trunk's
SNUG = 1.04, 1.14  # the same where the new garment is narrower, less and not at all
AMID = 0.5  # half-widths of a skirt that are the middle of it
ON_SKIN = 1.9, 1.7  # half-widths up to which trousers cover the skin of the leg in them, not at all and wholly
RIM = 1.29  # how far beyond a panel's outline (in half-widths) old cloth still counts as its own


OUTLINE, FEATHER = 1.05, 2.0  # half-widths at which cloth ends to the sides; working pixels over which it does
TORN = 3.5, 7.0  # picture pixels an output pixel at which a print begins to be torn to specks, and is


@dataclass(frozen=True)
class Dressing:
    """What to draw: a garment's `category`, its `texture`, the limb stations where sleeves and trouser legs end, whether it is
    worn `tucked`, the station on the column where a dress counts as lower garment, the `fabric`'s colour [3] 0-1, the
    trouser legs that are narrower than the old ones (`snug`), and whether the cloth `hangs` free below the hips
    and the sleeves stand far off the arms (`billows`)."""

    category: str
    texture: Texture
    sleeve_ends: Mapping[Part, float]
    tucked: bool = False
    waist: float = 0.72
    leg_ends: Mapping[Part, float] = field(default_factory=dict)
    fabric: np.ndarray | None = None
    snug: frozenset[Part] = frozenset()
    hangs: bool = False
    billows: bool = False


def old_cloth(
    labels: np.ndarray,
    category: str,
    column: tuple[np.ndarray, np.ndarray] | None,
    waist: float,
    arms: Sequence[Limb] = (),
) -> np.ndarray:
    """[h, w] bool: pixels of what `category` replaces. A dress belongs to a top above the `waist` station and on the `arms`, and
    to a skirt below it; `column` is the trunk's (across, station) [h, w]."""
    dress = labels == _id["dress"]
    if category == "full":
        return picked(labels, UPPER) | picked(labels, LOWER)
    if not dress.any() or column is None:
        return picked(labels, UPPER) if category == "upper" else picked(labels, LOWER) | dress
    across, station = column
    above, on_trunk = station < waist, _trunk_or_below(across)
    for arm in arms:  # before the trunk the end of an arm that hangs is the hand, and around it hangs the dress
        near = (arm.across < np.where(on_trunk, 1.1, 1.6)) & (arm.station > 0.2) & (arm.station < np.where(on_trunk, 1.75, 3))
        # Where its map ends, an arm's stations run back to nothing within a cell.
        above |= cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)) > 0
    return (picked(labels, UPPER) & (~dress | above)) if category == "upper" else picked(labels, LOWER) | (dress & ~above)


def _trunk_or_below(across: np.ndarray) -> np.ndarray:
    """[h, w] bool: what a trunk's map covers by its `across`, and what lies below its end."""
    inside = across < 1
    count = inside.sum(1)
    rows = np.flatnonzero(count > 0.3 * count.max())
    if len(rows) and count.max():
        inside[rows[-1] + 1 :] |= inside[max(0, rows[-1] - _LAST_ROWS) : rows[-1] + 1].any(0)
    return inside


def draw_order(maps: list[PanelMap]) -> list[int]:
    """Back to front: far sleeves and legs, the column, near legs and sleeves."""

    def rank(m: PanelMap) -> tuple[int, float]:
        if m.part in SLEEVES:
            return (0 if m.near > 0 else 3), -m.near
        return (1 if m.part in TROUSER_LEGS else 2), -m.near

    return sorted(range(len(maps)), key=lambda i: rank(maps[i]))


def panel_layer(
    m: PanelMap,
    hem: float,
    dressing: Dressing,
    labels: np.ndarray,
    old: np.ndarray,
    column: np.ndarray | None,
    arms: list[Limb],
    canvas: Canvas,
    step: float,
    other: np.ndarray | None = None,
) -> Layer | None:
    """One panel `m` (cells of `step` working pixels), whose cloth ends at station `hem`, drawn on `canvas`; None where nothing
    of it is seen.

    `labels` and `old` [h, w] (bool) at working size; `column` [h, w] the trunk panel's `across` there; `arms` the bare arms;
    `other` [h, w] of a trouser leg, the other leg's `across`.
    """
    side = max(labels.shape)
    if m.part in SLEEVES:  # a small part of the picture
        part = _own_part(m, labels.shape, int(step))
        if part is None:
            return None
        m, labels, old, column, arms, canvas = _cropped(part, m, labels, old, column, arms, canvas, int(step))
    work = labels.shape
    across, station, reach = cv2.split(enlarge(np.dstack([np.abs(m.across), m.station, m.reach]), work))
    beside = _on_own_arm(m, hem, labels, column, arms)
    lies = _within(across, OUTLINE) * reach
    if m.part in SLEEVES:
        lies = np.maximum(lies, _sleeved(m, hem, labels, arms) * step_between(across, 1.9, 1.7))
    allow = _allowed(m, hem, dressing, labels, across, station, arms, side) * lies
    allow *= step_between(station, hem + 0.30, hem + 0.18)
    rim = soften(cv2.dilate(old.astype(np.uint8), np.ones((3, 3))))
    domain = _domain(m, hem, dressing.sleeve_ends, labels, across, station, arms, dressing.hangs)
    if m.part in dressing.snug:
        domain *= 1 - step_between(across, *SNUG) * step_between(station, CROTCH_ON_LEG, CROTCH_ON_LEG + 0.15)
    if other is not None:  # down to the crotch the legs meet in a seam: past it cloth is the other's
        domain *= 1 - step_between(across, 0.9, 1.0) * step_between(other, 1.1, 1.0) * step_between(station, *_SEAM)
    cover = domain * rim * np.minimum(2 * reach, 1)
    if m.part in TROUSER_LEGS:  # skin of the leg in it does not look out beside a trouser leg
        skin = picked(labels, OWN_SKIN[m.part]) & (station < hem - 0.05)
        if skin.any():
            cover = np.maximum(cover, soften(skin) * step_between(across, *ON_SKIN) * np.minimum(2 * reach, 1))
    if m.part == Part.TORSO:
        beside = _off_bare_arms(dressing, across, station, arms)
        if dressing.leg_ends:  # a jumpsuit's trunk ends where its legs begin
            allow, cover = (a * step_between(station, hem + 0.03, hem) for a in (allow, cover))
        if dressing.tucked:
            over = 1 - _waistband(labels)
            beside = over if beside is None else beside * over
    if m.part in TROUSER_LEGS and column is not None:
        for arm in arms:  # trousers do not come out on the far side of an arm that hangs beside them
            out = _outer_side(arm, column) * step_between(arm.across, 0.7, 0.9) * step_between(arm.across, 5.0, 4.0)
            allow *= 1 - out * step_between(column, 0.8, 1.0) * (arm.station > 0.3) * (arm.station < 2.05)
    if beside is not None:
        allow, cover = allow * beside, cover * beside
    return _coloured(m, dressing.texture, allow, cover, canvas, step)


def _coloured(m: PanelMap, texture: Texture, allow: np.ndarray, cover: np.ndarray, canvas: Canvas, step: float) -> Layer | None:
    """The layer of a panel `m` whose own outline is seen where `allow` [h, w] 0-1 lets it, and whose cloth grows over what is old
    where `cover` [h, w] 0-1 does; None where neither does."""
    box = canvas.extent(np.maximum(allow, cover))
    if box is None:
        return None
    shares = cv2.split(canvas.enlarge(np.dstack([allow, cover]), box))
    at = canvas.enlarge_map(m.read - 0.5, box, cell=step)
    back = canvas.enlarge(m.back, box, cell=step) if m.back.max() > 0 else None
    torn = step_between(m.haste() / np.float32(step * max(canvas.zoom)), *TORN)
    torn = canvas.enlarge(torn, box, cell=step) if torn.max() > 0.05 else None
    colour, outline, grown = texture.read(at, back, torn)
    alpha = np.maximum(outline * shares[0], grown * shares[1])
    alpha *= np.float32(1 / 255)
    return Layer(colour, alpha, (box[0], box[2]))


def _within(across: np.ndarray, limit: float) -> np.ndarray:
    """[h, w] 0-1: where `across` [h, w] is below `limit`, its edge FEATHER pixels wide however wide the panel is."""
    right, down = (cv2.Sobel(across, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    steep = np.sqrt(right * right + down * down)  # cv2.magnitude's last bit depends on where in memory its arrays lie
    inside = (limit - across) / np.maximum(steep, 1e-3)
    return np.clip(inside / np.float32(FEATHER) + np.float32(0.5), 0, 1)


def _own_part(m: PanelMap, size: tuple[int, int], step: int) -> Box | None:
    """The part of the working picture of (height, width) `size` that a sleeve and its surroundings take, in steps of 8 pixels;
    None where it is nowhere."""
    near = (np.abs(m.across) < _ABOUT) & (m.reach > 0)
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if not len(rows):
        return None
    ends = []
    for found, count in ((rows, size[0]), (columns, size[1])):
        low, high = int(found[0]) * step - _BESIDE, (int(found[-1]) + 1) * step + _BESIDE
        ends += [max(0, low // 8 * 8), min(count, -(-high // 8) * 8)]
    return tuple(ends)


def _cropped(part: Box, m: PanelMap, labels, old, column, arms: list[Limb], canvas: Canvas, step: int):
    """All that `panel_layer` reads, on a part of the working picture."""
    top, bottom, left, right = part
    rows, columns = slice(top, bottom), slice(left, right)
    arms = [
        replace(
            arm, side=arm.side[rows, columns], across=arm.across[rows, columns], station=arm.station[rows, columns],
            course=None if arm.course is None else arm.course.moved((left, top)),
        )
        for arm in arms
    ]  # fmt: skip
    m = part_of(m, slice(top // step, -(-bottom // step)), slice(left // step, -(-right // step)))
    canvas = replace(canvas, origin=(canvas.origin[0] + left, canvas.origin[1] + top))
    labels, old = np.ascontiguousarray(labels[rows, columns]), old[rows, columns]
    return m, labels, old, None if column is None else column[rows, columns], arms, canvas


def _allowed(
    m: PanelMap,
    hem: float,
    dressing: Dressing,
    labels: np.ndarray,
    across: np.ndarray,
    station: np.ndarray,
    arms: list[Limb],
    side: int,
) -> np.ndarray:
    """[h, w] 0-1: where this panel may be seen at all, given what lies in front of it; `side` the longer side of the picture."""
    # Specks of skin in the middle of cloth are mistakes of the labels, a finger is wider.
    limbs = cv2.morphologyEx(picked(labels, BARE_ARM | SHOES).view(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5))) > 0
    hidden = picked(labels, HEAD) | limbs
    if m.part in SLEEVES:
        # A sleeve stands off the arm a little, at the shoulder hardly at all, never far.
        person = (~picked(labels, BACKGROUND)).astype(np.uint8)
        reach = STANDS_OFF[0], BILLOWS_OFF if dressing.billows else STANDS_OFF[1]
        close, near = (cv2.dilate(person, np.ones((2 * max(2, round(r * side)) + 1,) * 2)) > 0 for r in reach)
        near = (close & (station > 0.12)) | (near & (station > 0.3))
        seen = picked(labels, UPPER | SKIN_OF_TRUNK | LOWER | OWN_ARM[m.part]) | (picked(labels, BACKGROUND) & near)
        hidden &= ~picked(labels, OWN_ARM[m.part])
    elif dressing.category == "upper":
        seen = picked(labels, UPPER | SKIN_OF_TRUNK) if dressing.tucked else picked(labels, UPPER | SKIN_OF_TRUNK | LOWER)
        if hem > CROTCH_STATION + 0.04:  # a long top hangs between the legs, too
            seen |= picked(labels, BACKGROUND | LEGS_BARE) & (station > 0.9) & (across < 0.95)
    else:
        worn = LOWER | LEGS_BARE | SKIN_OF_TRUNK | (UPPER if dressing.category == "full" else labelled("dress"))
        # Below the hips cloth hangs free of the body.
        free = station > 0.9 if m.part in (Part.TORSO, Part.SKIRT) else np.ones(labels.shape, bool)
        seen = picked(labels, worn) | (picked(labels, BACKGROUND) & free)
        if m.part in (Part.TORSO, Part.SKIRT):
            seen |= _between_legs(labels, across, station)
    seen = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7))) > 0
    if m.part == Part.TORSO:
        # The shoulder's cap is the trunk's to cover, and what of the arm-pit the sleeve leaves; the arm below lies before it.
        for arm in arms:
            limit = np.clip(dressing.sleeve_ends.get(arm.part, 0.0) - 0.1, 0.35, 0.9)
            cap = picked(labels, OWN_ARM[arm.part]) & (arm.station < limit) & (across < np.where(arm.station < 0.35, 1.15, 1.0))
            hidden, seen = hidden & ~cap, seen | cap
    return soften(seen & ~hidden)


def _between_legs(labels: np.ndarray, across: np.ndarray, station: np.ndarray) -> np.ndarray:
    """[h, w] bool: things in the middle that lie wholly below the crotch and touch no bare hand or arm: the inner side of a coat,
    seen between legs. A skirt hides it."""
    count, parts = cv2.connectedComponents(picked(labels, THINGS).view(np.uint8))
    free = np.ones(count, bool)
    free[0] = False
    free[parts[cv2.dilate(picked(labels, BARE_ARM).view(np.uint8), np.ones((5, 5))) > 0]] = False
    for k in np.flatnonzero(free):
        own = parts == k
        free[k] = station[own].min() > CROTCH_STATION and np.median(across[own]) < AMID
    return free[parts]


def _domain(
    m: PanelMap,
    hem: float,
    sleeve_ends: Mapping[Part, float],
    labels: np.ndarray,
    across: np.ndarray,
    station: np.ndarray,
    arms: list[Limb],
    hangs: bool = False,
) -> np.ndarray:
    """[h, w] 0-1: where old cloth is this panel's to cover; `hangs`: below the hips it hangs free of the body."""
    if m.part in SLEEVES:
        return step_between(across, 1.14, 1.06) * step_between(station, hem + 0.08, hem + 0.02)
    # An old hem may hang lower; far below, or wide of the body there, old cloth is not this garment's to replace but to take
    # away.
    wide = RIM - 0.3 * step_between(station, hem, hem + 0.15)
    domain = step_between(across, wide, wide - 0.12) * step_between(station, hem + 0.60, hem + 0.45)
    if m.part in TROUSER_LEGS:
        skirt = picked(labels, SKIRTS)
        if skirt.any():  # legs do not fill a skirt, nor line its rim
            skirt = cv2.dilate(skirt.view(np.uint8), np.ones((9, 9))) > 0
            domain = np.where(skirt & (station > CROTCH_ON_LEG), np.minimum(domain, step_between(across, 1.12, 1.02)), domain)
        return domain  # what is old of trousers is theirs on either side of an arm
    if hangs:
        domain = np.minimum(domain, 1 - step_between(station, 0.9, 1.1) * step_between(across, 1.04, 1.12))
    outside = step_between(across, 0.86, 1.0)
    if not sleeve_ends:  # without sleeves the shoulders are bare
        domain *= 1 - step_between(across, 0.78, 0.9) * step_between(station, 0.45, 0.3)
    for arm in arms:
        # Under a sleeve the trunk's cloth goes on, so that no seam opens between the two; beyond it the arm's cloth is not the
        # trunk's.
        end = sleeve_ends.get(arm.part, 0.05)
        on_arm = step_between(arm.across, 1.5, 1.2)
        out_there = _outer_side(arm, across) * step_between(arm.across, 4.0, 3.0)
        off = np.maximum(on_arm * _under_old_sleeve(arm), out_there) * outside
        # Below the hem nothing on an arm is the trunk's.
        off = np.maximum(off, np.maximum(on_arm, out_there) * step_between(station, hem + 0.02, hem + 0.1))
        domain *= 1 - off * (arm.station > max(end - 0.05, 0.05))
        if arm.part in sleeve_ends:  # nor is it outside a sleeve, or before one that lies behind the trunk
            beyond = np.float32(1) if arm.near > 0 else _outer_side(arm, across) * step_between(arm.across, 0.6, 0.9)
            sleeve = beyond * step_between(arm.across, 1.9, 1.6) * step_between(arm.station, 0.1, 0.25)
            domain *= 1 - sleeve * step_between(across, 1.0, 1.08)
    return domain


def _waistband(labels: np.ndarray) -> np.ndarray:
    """[h, w] 0-1: the lower garment, over which a tucked top does not hang. Where both have one colour the labels' border is
    ragged: its course is what counts."""
    few = labels.shape[1] // 4 + 1, labels.shape[0] // 4 + 1
    broad = cv2.resize(np.where(picked(labels, LOWER), np.float32(1), np.float32(0)), few, interpolation=cv2.INTER_AREA)
    broad = cv2.GaussianBlur(broad, (0, 0), COURSE / 4 * max(labels.shape))
    return soften(cv2.resize(broad, labels.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5)


def _under_old_sleeve(arm: Limb) -> np.ndarray | np.float32:
    """[h, w] 0-1: down to where the old sleeve ends; old cloth on an arm farther down is a trunk's that lies before it."""
    return step_between(arm.station, arm.end + PAST[1], arm.end + PAST[0]) if np.isfinite(arm.end) else np.float32(1)


def _outer_side(arm: Limb, across: np.ndarray) -> np.ndarray:
    """[h, w] 0-1: the half of an arm's surroundings that is away from the trunk, `across` [h, w] of which is given."""
    on = arm.across < 1
    if not on.any():
        return np.zeros_like(across)
    side, out = arm.side[on], across[on]
    away = np.sign((side * (out - out.mean())).sum())
    return step_between(away * arm.side, 0.3, 0.9)


def _on_own_arm(m: PanelMap, hem: float, labels: np.ndarray, column: np.ndarray | None, arms: list[Limb]) -> np.ndarray | None:
    """[h, w] 0-1: where a sleeve may be seen. Not on a forearm folded over it, below its end; over the trunk only where the arm
    itself lies before it, from below the arm-hole on. None for what is no sleeve."""
    if m.part not in SLEEVES:
        return None
    arm = next(a for a in arms if a.part == m.part)
    free = np.float32(1)
    if arm.course is not None and hem + 0.05 < arm.course.stations[-1]:
        free = 1 - soften(arm.course.below(hem + 0.05, labels.shape, wide=1.4) & picked(labels, OWN_ARM[m.part]))
    if column is None:
        return np.broadcast_to(free, labels.shape)
    before = step_between(arm.across, 1.2, 1.0) * step_between(arm.station, 0.40, 0.60)
    before = np.maximum(before, _sleeved(m, hem, labels, arms))
    return free * (1 - step_between(column, 1.02, 0.9) * (1 - before))


def _sleeved(m: PanelMap, hem: float, labels: np.ndarray, arms: list[Limb]) -> np.ndarray:
    """[h, w] 0-1: skin of the arm that a sleeve covers to its outline, as at the elbow of a bent arm, where the panel's own map
    cuts the corner."""
    arm = next(a for a in arms if a.part == m.part)
    skin = picked(labels, OWN_ARM[m.part]) & (arm.across < 1.6) & (arm.station > 0.5) & (arm.station < min(hem, 1.9) - 0.05)
    return soften(skin) * step_between(arm.station, hem - 0.05, hem - 0.15)


def _off_bare_arms(dressing: Dressing, across: np.ndarray, station: np.ndarray, arms: list[Limb]) -> np.ndarray | None:
    """[h, w] 0-1: where the trunk of a garment without sleeves may be seen: above the hips (of a top, below them too) not on the
    arms beside it, even where old sleeves hide how far the trunk goes. None where there are sleeves."""
    bare = [arm for arm in arms if arm.part not in dressing.sleeve_ends]
    if not bare:
        return None
    beyond = step_between(across, 0.98, 1.06) * step_between(station, 0.1, 0.25)
    for arm in bare:
        on_arm = step_between(arm.across, 1.3, 1.05) * step_between(arm.station, 0.08, 0.25) * _under_old_sleeve(arm)
        beyond = np.maximum(beyond, on_arm * step_between(across, 0.72, 0.88))
    hips = 1.15 if dressing.category == "upper" else 0.85
    return 1 - beyond * step_between(station, hips, hips - 0.15)
