"""What shows where the old garment was and the new one is not: skin along the limb, skin at the neck, the other garment, the
background."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from vidvton.warp.body import LOWER, UPPER, picked
from vidvton.warp.layers import (
    BACKGROUND,
    DRESS,
    FACE,
    LEGS_BARE,
    OWN_SKIN,
    SKIN_OF_TRUNK,
    SKIRTS,
    SLEEVES,
    Dressing,
)
from vidvton.warp.limbs import Limb
from vidvton.warp.soft import soften, step_between
from vidvton.warp.solve import MOSTLY_CLOTHED
from vidvton.warp.texture import continue_colours, spread_colours

NEXT = 0.5  # stations of a limb next to the old garment's end whose skin is continued
HEM_SHADOW = 0.12  # stations beyond that end over which the hem's shadow lies
STRIPS, SOME, ALIKE = 9, 30, 0.05  # strips of skin across a limb; pixels it takes; chromaticity up to which it is skin
ENOUGH = 60  # pixels that tell more than a colour
BESIDE = 4.5  # half working pixels by which an old garment's rim is wider than itself
LEVEL = 4  # pixels to the side that count as one up or down where background goes on
REACHED = 2.5  # half-widths from a limb's middle line at which its skin may still be seen
LIT, UNLIT = 0.6, (0.01, 0.08)  # share of the usual skin in painted skin, of the picture's side from seen skin: none, all of it
HIPS = 1.05  # column station where legs begin
STOUT = 1.5  # how wide a shin may be against its map
FEW, ANKLE, CALF = 20, 0.15, 0.5  # pixels and leg stations that tell where a shin ends; from where on it is as wide as shins are
BELOW_HIPS = 0.2  # leg station from which on a leg has its own outline
EDGES = 0.16  # share of its light that a limb loses at its sides
DIM = 0.6  # of the usual brightness of a limb's skin, under which it is none
NARROW, SLIM = 0.3, (0.6, 1.0)  # stations next to the old garment's end whose width goes on; how narrow a limb may be
ASIDE, MAPPED = 1.0, (1.28, 1.18)  # half-widths that joints may lie beside the limb that is seen; to which its map can be read
SHOULDER, GAP = 0.2, 0.6  # limb stations: down to which skin may be the neckline's; up to which skin goes on from there
SKIN_START = 0.15  # station from which on a bare arm lies before the trunk's cloth


class Undressed(NamedTuple):
    """What lies under the old garment: the `picture` [h, w, 3] float32 0-255, the `bare` arms that lie before the trunk, each as
    (colour [h, w, 3], alpha [h, w]), and `hems` [h, w] bool, where skin is painted although it is seen: in a hem's shadow."""

    picture: np.ndarray
    bare: list[tuple[np.ndarray, np.ndarray]]
    hems: np.ndarray


def fill(
    frame: np.ndarray,
    labels: np.ndarray,
    old: np.ndarray,
    dressing: Dressing,
    trunk: tuple[np.ndarray, np.ndarray] | None,
    limbs: list[Limb],
    skin: np.ndarray,
    light: np.ndarray,
    plate: tuple[np.ndarray, np.ndarray] | None = None,
) -> Undressed:
    """What lies under the old garment.

    `frame` [h, w, 3] uint8, `labels` [h, w], `old` [h, w] bool, `trunk` the new trunk panel's (across, station) [h, w] (None:
    it has none), `limbs` the bare limbs, `skin` [2, 3] 0-1 the skin's colour above the waist and on the legs, `light` [h, w] the
    shading factor, `plate` [h, w, 3] uint8 the background where it is known from other frames (None: continued from
    around)."""
    if picked(labels, SKIRTS).any():  # what a coat hides of a skirt has no legs
        limbs = [replace(limb, clothed=False) for limb in limbs]
    rim = cv2.dilate(old.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) > 0
    picture = _surroundings(frame, labels, old, rim, picked(labels, LEGS_BARE) | _below_hips(labels, limbs), plate)
    tone, legs = (colour * 255 * _soft_light(light)[..., None] for colour in skin)
    if trunk is not None:
        # At the old garment's rim what lies beside it goes on; skin is for what lies deeper, and for all of the neckline.
        deep = step_between(cv2.distanceTransform(old.astype(np.uint8), cv2.DIST_L2, 3), 0.5, 2.5)
        deep = np.maximum(deep, step_between(trunk[0], 0.75, 0.55) * step_between(trunk[1], 0.35, 0.2))
        legs_from = HIPS if any(limb.clothed for limb in limbs) else np.inf
        for colour, share in _trunk(frame, labels, rim, dressing, *trunk, tone, legs_from):
            picture += (colour - picture) * (share * deep)[..., None]
    bare, hems = [], np.zeros_like(old)
    above = picked(labels, UPPER) & ~old & (dressing.category == "lower")  # a coat's rim is no leg's
    for limb in limbs:
        is_arm = limb.part in SLEEVES
        if limb.clothed:
            colour, share = _clothed_leg(frame, labels, rim, limb)
            picture += (colour - picture) * (share * soften(rim))[..., None]
            continue
        if is_arm == (dressing.category == "lower") and dressing.category != "full":
            continue
        seen = picked(labels, OWN_SKIN[limb.part])
        own = seen & (limb.across < 1.05) & ~rim
        first = _first(own, limb) if own.sum() > ENOUGH else limb.end
        shape = _shape(limb, own, seen, first)
        if is_arm:
            shape = np.maximum(shape, _bridged(limb, seen, shape, old))
        shadow = seen & rim & (limb.station < first + HEM_SHADOW) & np.isfinite(first)
        hems |= shadow & (limb.across < 1.1)
        share = shape * soften(old | shadow if is_arm else rim & ~above)
        if share.max() < 0.02:
            continue
        colour = _limb_skin(frame, limb, own, share > 0, tone if is_arm else legs)
        if limb.part in dressing.leg_ends:  # in a gap between the new trouser legs there is cloth, not skin
            colour += (dressing.fabric * 255 * light[..., None] - colour) * _down_to(limb, dressing.leg_ends[limb.part])
        picture += (colour - picture) * share[..., None]
        if is_arm and limb.near <= 0:
            # Down to the new sleeve's end the arm is covered: by the sleeve, or at the shoulder by the trunk's cloth.
            end = dressing.sleeve_ends.get(limb.part, SKIN_START)
            before = _before_trunk(own & (limb.station > first - HEM_SHADOW) & (limb.station < first + NEXT), trunk, first)
            bare.append((colour, share * before * step_between(limb.station, end - 0.1, end + 0.02)))
    return Undressed(picture, bare, hems)


def _down_to(limb: Limb, end: float) -> np.ndarray:
    """[h, w, 1] 0-1: the places of a limb above the `end` of what is put on it."""
    return step_between(limb.station, end - 0.05, end - 0.15)[..., None]


def _clothed_leg(frame: np.ndarray, labels: np.ndarray, rim: np.ndarray, limb: Limb) -> tuple[np.ndarray, np.ndarray]:
    """A leg that a coat or a poncho hides, in what is seen of the trousers or the skin of legs: (colour [h, w, 3] float32, share
    [h, w] 0-1)."""
    kept = picked(labels, LOWER | LEGS_BARE) & ~rim
    if kept.sum() <= ENOUGH:
        return np.zeros((*labels.shape, 3), np.float32), np.zeros(labels.shape, np.float32)
    share = step_between(limb.across, 1.06, 0.94) * step_between(limb.station, 0.0, 0.1) * step_between(limb.station, 2.0, 1.9)
    return spread_colours(frame, kept) * (1 - EDGES * np.minimum(limb.across, 1) ** 3)[..., None], share


def _shape(limb: Limb, own: np.ndarray, seen: np.ndarray, first: float) -> np.ndarray:
    """[h, w] 0-1: where a limb lies down to where its skin is first seen, at station `first`: by its map, and by what is `seen`
    [h, w] bool of it, of which `own` [h, w] bool lies on the map and clear of the old garment."""
    aside, half = 0.0, _seen_width(own, limb, first)
    if limb.part in SLEEVES and limb.near <= 0 and first < 1:  # what is seen of a forearm says nothing of the upper arm
        course, slim = _seen_course(seen, limb, first)
        believed = min((1 - first) / 0.12, 1)
        aside, half = believed * course, half + believed * (slim - half)
    if limb.part not in SLEEVES and GAP < first < 2:  # an ankle tells of the shin above it, and not of the calf
        aside, width = _seen_course(seen & (limb.station < min(first + ANKLE, 2)), limb, first, least=FEW, most=STOUT)
        half = 1 + (width - 1) * step_between(limb.station, first - CALF, first)
    across = np.abs(np.copysign(limb.across, limb.side) - aside * np.clip(limb.station / max(first, 1e-3), 0, 1))
    shape = step_between(across, half + 0.08, half - 0.08) * step_between(limb.across, *MAPPED)
    shape *= step_between(limb.station, -0.05, 0.1) * step_between(limb.station, 2.12, 2.0)
    if np.isfinite(first):  # farther on, cloth is not the limb's
        shape = shape * step_between(limb.station, first + 0.25, first + HEM_SHADOW)
    return shape


def _bridged(limb: Limb, seen: np.ndarray, shape: np.ndarray, old: np.ndarray) -> np.ndarray:
    """[h, w] 0-1: old cloth between what is `seen` [h, w] bool of a limb and its painted `shape` [h, w] 0-1, no farther apart
    than a limb is wide: at a bent elbow the joints' map cuts the corner, and what is seen of the elbow would hang in the air."""
    on = (limb.across < 1).view(np.uint8)
    radius = int(cv2.distanceTransform(on, cv2.DIST_L2, 3).max())
    near = seen & (limb.across < REACHED)
    if radius < 2 or not near.any():
        return np.float32(0)
    both = (near | (shape > 0.5)).view(np.uint8)
    wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    return soften((cv2.morphologyEx(both, cv2.MORPH_CLOSE, wide) > 0) & old & (limb.across < REACHED))


def _first(own: np.ndarray, limb: Limb) -> float:
    """The station at which a limb's skin `own` [h, w] bool is first seen; by a neckline there is some above the sleeve, too."""
    if not own.any():
        return np.inf
    seen = limb.station[own]
    below = seen[seen > SHOULDER]
    first = float(np.quantile(below, 0.05)) if len(below) > 0.2 * ENOUGH else 0.0
    return first if first > GAP else float(np.quantile(seen, 0.05))


def _seen_width(own: np.ndarray, limb: Limb, first: float) -> float:
    """How far across, in half-widths of its map, a limb reaches where its skin `own` [h, w] bool is first seen, at station
    `first`; at most 1, and 1 where too little of it is seen."""
    near = own & (limb.station > first) & (limb.station < first + NARROW)
    if near.sum() <= ENOUGH:
        return 1.0
    return float(np.clip(np.quantile(limb.across[near], 0.95) / 0.95, *SLIM))


def _seen_course(seen: np.ndarray, limb: Limb, first: float, least: int = ENOUGH, most: float = SLIM[1]) -> tuple[float, float]:
    """(how far aside, half how wide) in half-widths of its map a limb is where its skin `seen` [h, w] bool begins, at station
    `first`; never wider than `most`, and as the map where too little of it is seen (`least` pixels or fewer)."""
    near = seen & (limb.across < ASIDE + 1) & (limb.station > first) & (limb.station < first + NARROW)
    if near.sum() <= least:
        return 0.0, 1.0
    low, high = np.quantile(np.copysign(limb.across, limb.side)[near], (0.04, 0.96))
    return float(np.clip((low + high) / 2, -ASIDE, ASIDE)), float(np.clip((high - low) / 2 / 0.92, SLIM[0], most))


def _before_trunk(own: np.ndarray, trunk: tuple[np.ndarray, np.ndarray] | None, first: float) -> np.ndarray:
    """[h, w] 0-1: where a bare arm may lie over the trunk's cloth: everywhere where some of it is seen there (`own` [h, w] bool
    is what is seen of it) or it may all be under the old sleeve, which ends at station `first`; else beside it alone."""
    if trunk is None or not own.any() and first > MOSTLY_CLOTHED:
        return np.float32(1)
    inside = step_between(trunk[0], 1.02, 0.92) * step_between(trunk[1], -0.05, 0.1)
    crosses = np.clip((inside[own].mean() - 0.1) / 0.15, 0, 1) if own.any() else 0.0
    return 1 - inside * (1 - crosses)


def _limb_skin(frame: np.ndarray, limb: Limb, own: np.ndarray, where: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """[h, w, 3] float32 0-255: a limb's skin where `where` [h, w] says. What is seen of it (`own` [h, w] bool) next to the old
    garment goes on, strip by strip along the limb; where too little is seen, or what is no skin, it is `tone` [h, w, 3], darker
    towards its sides: a limb is round."""
    out = tone * (1.0 - EDGES * np.minimum(limb.across, 1) ** 3)[..., None]
    if own.sum() <= SOME:
        return out
    first = _first(own, limb)
    near = own & (limb.station > first - HEM_SHADOW) & (limb.station < first + NEXT)
    if near.sum() <= SOME:
        return out
    bright = frame[near].sum(-1)
    near[near] = bright > DIM * np.median(bright)  # not a bracelet, nor the cuff's edge
    strip = np.clip((limb.side[near] + 1) / 2 * STRIPS, 0, STRIPS - 1).astype(int)
    count = np.bincount(strip, minlength=STRIPS).astype(np.float64)
    pixels = frame[near].astype(np.float64)
    usual = pixels.mean(0), out[where].mean(0)
    strange = np.abs(usual[0] / usual[0].sum() - usual[1] / usual[1].sum()).max() / ALIKE
    sure = np.clip(count.sum() / SOME - 1, 0, 1) * np.clip(3 - 2 * strange, 0, 1)
    if sure == 0:
        return out
    middle = (np.arange(STRIPS) + 0.5) / STRIPS * 2 - 1
    full = count > 0.02 * count.sum()
    for channel in range(3):
        sums = np.bincount(strip, pixels[:, channel], STRIPS)
        profile = np.interp(middle, middle[full], sums[full] / count[full])
        profile = np.convolve(np.pad(profile, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
        out[where, channel] += sure * (np.interp(limb.side[where], middle, profile) - out[where, channel])
    return out


def _below_hips(labels: np.ndarray, limbs: list[Limb]) -> np.ndarray:
    """[h, w] bool: what is worn on the legs among `limbs` that are clothed."""
    out = np.zeros(labels.shape, bool)
    for leg in (limb for limb in limbs if limb.clothed):
        out |= picked(labels, LOWER) & (leg.across < REACHED) & (leg.station > BELOW_HIPS)
    return out


def _surroundings(frame: np.ndarray, labels: np.ndarray, old: np.ndarray, rim: np.ndarray, legs: np.ndarray, plate) -> np.ndarray:
    """The scene continued into the old garment's place: along the edge of what is kept of the person that goes on, but not of
    `legs` [h, w] bool, which are painted; elsewhere background, where other frames saw it, or else the nearest of it."""
    beside = cv2.GaussianBlur(continue_colours(frame, ~rim & ~legs), (0, 0), 0.7)
    behind = picked(labels, BACKGROUND) & ~rim
    clear = behind & (cv2.dilate(rim.view(np.uint8), np.ones((5, 5))) == 0)  # what the labels missed of the rim would be smeared
    scene = cv2.GaussianBlur(continue_colours(frame, clear if clear.any() else behind, level=LEVEL), (0, 0), 1.5)
    depth = cv2.distanceTransform(old.astype(np.uint8), cv2.DIST_L2, 3)
    near = step_between(depth, 4.0, 2.0)
    others = picked(labels, BACKGROUND) | rim
    if others.all():
        near[:] = 0
    else:  # along the edge of what is kept of the person, that goes on, and not the background behind it
        way = cv2.distanceTransform(others.astype(np.uint8), cv2.DIST_L2, 3)
        near *= step_between(way - depth, BESIDE + 1, BESIDE - 1)
    picture = cv2.blendLinear(beside, scene, near, 1 - near).astype(np.float32)
    if plate is not None:
        # Softening reaches two pixels beyond the edge, and beyond what is known the plate is black.
        share = soften(cv2.erode(plate[1].astype(np.uint8), np.ones((5, 5))) > 0, wide=True) * (1 - near)
        picture += (plate[0] - picture) * share[..., None]
    return picture


def _trunk(
    frame, labels, rim, dressing: Dressing, across, station, tone, legs_from: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Skin at neck and belly and the other garment below, for a top or dress that leaves them open: (colour, share) to lay on
    in turn. From station `legs_from` on there are legs."""
    if dressing.category == "lower":
        return []
    inside = step_between(across, 1.08, 0.95)
    layers = []
    chest = picked(labels, SKIN_OF_TRUNK) & ~rim
    if chest.sum() <= ENOUGH:  # of a head that is cut off the neck may count as face
        chest |= picked(labels, FACE) & ~rim
    # The collar's light and shadow lie on the skin beside it.
    clear = chest & ~(cv2.dilate(rim.astype(np.uint8), np.ones((9, 9))) > 0)
    neck = spread_colours(frame, chest) if chest.sum() > 20 else tone
    sure = np.clip(clear.sum() / ENOUGH - 1, 0, 1)
    if sure > 0:
        neck = neck + sure * (spread_colours(frame, clear) - neck)
    if chest.any():  # a neck is in the chin's shadow, a chest is not
        away = cv2.distanceTransform((~chest).view(np.uint8), cv2.DIST_L2, 3) / max(chest.shape)
        neck = neck + (tone - neck) * (LIT * step_between(away, *UNLIT))[..., None]
    layers.append((neck, inside * step_between(station, 0.55, 0.40)))
    if dressing.category == "upper":
        kept = (picked(labels, LOWER) | (labels == DRESS)) & ~rim
        if kept.sum() > 50:
            wear = cv2.GaussianBlur(continue_colours(frame, kept), (0, 0), 0.8).astype(np.float32)
            above = step_between(station, legs_from + 0.1, legs_from) if np.isfinite(legs_from) else 1
            layers.append((wear, inside * step_between(station, 0.60, 0.66) * above))
        layers.append((tone, inside * step_between(station, 0.38, 0.45) * step_between(station, 0.66, 0.60)))
    return layers


def _soft_light(light: np.ndarray) -> np.ndarray:
    """Light on skin: broad and mild, without the folds of the cloth it was read from."""
    broad = cv2.GaussianBlur(light, (0, 0), max(light.shape) / 60)
    return np.clip(1 + 0.6 * (broad - 1), 0.7, 1.25)


def kept_in_front(labels: np.ndarray) -> np.ndarray:
    """[h, w] bool: head, hands, arms, shoes and things: never to be overwritten by what fills the old garment's place. Skin of
    trunk and legs is not among them: the old hem's dark rim lies on it."""
    return ~picked(labels, UPPER | LOWER | BACKGROUND | SKIN_OF_TRUNK | LEGS_BARE)
