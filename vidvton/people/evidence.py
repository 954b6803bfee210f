"""What a frame says about each pixel: place on the body, colour and silhouette put together as log-probabilities of surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from .zones import LIMB, TORSO_LAT, TORSO_V, Body, Zones

BACKGROUND, SKIN, HAIR, UPPER, LOWER, SHOE, THING = range(7)
SURFACES = 7
_ELSEWHERE = 0.03
_OUTSIDE = np.float32(2.5)  # the silhouette's say off the person where colours say nothing
_COMMON = 1.5  # log density of a colour in the background from which it may be the background's, from twice that it is
_UNSEEN, _WELL = 0.05, 0.3  # share of the place of a limb seen most, up to which one counts as unseen, from which as seen well
_TOP = 0.22, 0.35  # torso lengths from the top to the face where it begins to be, and is, in the picture
_HEAD = np.float32(0.97)  # how much less a garment is probable on a head
_LONE, _PART = 6, 0.04  # cells of a piece of skin that may stand alone on neck and face; share of an arm likewise
_SLEEVE, _BESIDE = 0.05, 0.8  # share of an arm from which a piece of the top on it, beside the trunk (half widths), is a sleeve
_SHOULDERS = 0.1  # station of the trunk that a picture must reach for a garment to have to hang together with it
_CARRIED = 0.25  # how probable a thing, or a cloak, is below a hand and off the trunk, against a body part's one


@dataclass(frozen=True)
class Places:
    """How probable each surface (last axis, SURFACES of them) is at each place of the body, before its colour is seen. Row 0
    of the tables with a leading 2 is for people who face the camera, row 1 for those who turn their back."""

    torso: np.ndarray  # [2, TORSO_V * TORSO_LAT, SURFACES]
    elsewhere: np.ndarray  # [TORSO_V, SURFACES]
    head: np.ndarray  # [2, SURFACES]
    face: np.ndarray  # [2, SURFACES]
    nape: np.ndarray  # [2, SURFACES]
    arm: np.ndarray  # [LIMB, SURFACES]
    hand: np.ndarray  # [1, SURFACES]
    leg: np.ndarray  # [LIMB, SURFACES]
    foot: np.ndarray  # [1, SURFACES]


def _row(skin=0.0, hair=0.0, upper=0.0, lower=0.0, shoe=0.0, thing=0.0) -> np.ndarray:
    row = (
        np.array([0, skin, hair, upper, lower, shoe, thing], np.float32) + np.array([0, 4, 0.1, 4, 4, 0.1, 4], np.float32) * 1e-3
    )
    return row / row.sum()


def places_in_general() -> Places:
    """The tables before a shot has been seen."""
    torso = np.zeros((2, TORSO_V, TORSO_LAT, SURFACES), np.float32)
    elsewhere = np.zeros((TORSO_V, SURFACES), np.float32)
    for i in range(TORSO_V):
        v = (i + 0.5) / TORSO_V * 1.6 - 0.3
        low = 1 / (1 + np.exp(-(v - 0.98) / 0.09))
        for back in (0, 1):
            hair = (0.2 if back else 0.09) / (1 + np.exp((v - 0.6) / 0.12))
            for j in range(TORSO_LAT):
                bare = 0.35 / (1 + np.exp((v - (0.12 if j < 2 else 0.02)) / 0.05)) + 0.012
                torso[back, i, j] = _row(bare, hair + 0.002, 0.9 * (1 - low), 0.9 * low, 0, 0.02)
        near_head = 0.25 / (1 + np.exp((v - 0.2) / 0.2))
        elsewhere[i] = _row(0.03, near_head, 0.3 * (1 - 0.6 * low), 0.2 * low + 0.02, 0.02 * (v > 1.2), 0.2)
    arm, leg = [], []
    for i in range(LIMB):
        t = (i + 0.5) / LIMB * 2
        arm.append(_row(0.15 + 0.3 * min(t, 1.5), 0.03 if t < 0.8 else 0.0, 0.8 - 0.25 * min(t, 1.5), 0.0, 0, 0.02))
        leg.append(
            _row(
                0.12 + 0.2 * t / 2, 0, 0.35 * np.exp(-t / 0.25) + 0.03 * (1 - t / 2), 0.8 - 0.15 * t, 0.25 * max(t - 1.6, 0), 0.02
            )
        )
    return Places(
        torso=torso.reshape(2, -1, SURFACES),
        elsewhere=elsewhere,
        head=np.stack([_row(0.35, 0.6, 0.01, 0, 0, 0.03), _row(0.1, 0.85, 0.02, 0, 0, 0.03)]),
        face=np.stack([_row(0.9, 0.06, 0.01, 0, 0, 0.01), _row(0.4, 0.5, 0.05, 0, 0, 0.01)]),
        nape=np.stack([_row(0.6, 0.14, 0.22, 0, 0, 0.02), _row(0.3, 0.4, 0.28, 0, 0, 0.02)]),
        arm=np.stack(arm), hand=_row(0.8, 0.0, 0.08, 0.03, 0, 0.1)[None], leg=np.stack(leg),
        foot=_row(0.22, 0, 0, 0.1, 0.6, 0.02)[None],
    )  # fmt: skip


def spread(places: Places, zones: Zones, body: Body) -> np.ndarray:
    """[SURFACES, h, w] float32 probability of each surface at each cell of the zones' grid, given that a person is there."""
    b = np.float32(body.back)

    def facing(table: np.ndarray) -> np.ndarray:
        return table[0] * (1 - b) + table[1] * b

    torso, v_bin = facing(places.torso), zones.torso_bin // TORSO_LAT
    single = [(zones.head, facing(places.head)), (zones.face * 2, facing(places.face)), (zones.nape, facing(places.nape))]
    single += [(zones.hand[s] * np.float32(1.5), places.hand[0]) for s in (0, 1)]
    single += [(zones.foot[s], places.foot[0]) for s in (0, 1)]
    single = [(field, row) for field, row in single if field.any()]
    limbs = [(zones.arm[s], zones.arm_bin[s], places.arm) for s in (0, 1)]
    limbs += [(zones.leg[s], zones.leg_bin[s], places.leg) for s in (0, 1)]
    limbs = [part for part in limbs if part[0].any()]
    out = np.zeros((SURFACES, *zones.v.shape), np.float32)
    for c in range(1, SURFACES):
        plane = out[c]
        plane += np.take(places.elsewhere[:, c] * np.float32(_ELSEWHERE), v_bin)
        plane += np.take(torso[:, c], zones.torso_bin) * zones.torso
        for field, row in single:
            plane += field * row[c]
        for field, bins, table in limbs:
            plane += np.take(table[:, c], bins) * field
    for c in (THING, UPPER):  # a bag, or a cloak's hem: their colours tell
        out[c] += np.float32(_CARRIED) * zones.carried * (1 - zones.torso)
    bare = 1 - _undressed(zones, body)
    for c in (UPPER, LOWER, SHOE):
        out[c] *= bare
    out /= out.sum(axis=0)
    return out


def _undressed(zones: Zones, body: Body) -> np.ndarray | np.float32:
    """[h, w] 0-1: how surely no garment is here whatever its colours: on a face all but entirely, on a head less so, as far as
    they are in the picture."""
    if body.face is None:
        return np.float32(0)
    inside = np.float32(np.clip((body.face[1] / body.unit - _TOP[0]) / (_TOP[1] - _TOP[0]), 0, 1))
    face = np.clip((zones.face - np.float32(0.25)) * 2, 0, 1)
    head = _HEAD * np.clip((zones.head * (1 - np.maximum(*zones.arm)) - np.float32(0.5)) * 2, 0, 1)
    return inside * np.maximum(face, head)


def relearn(zones: list[Zones], bodies: list[Body], posteriors: list[np.ndarray], *, trust: float) -> Places:
    """The tables again, counted from `posteriors` ([SURFACES, h, w] each, background included but ignored) over many frames; the
    general tables count as `trust` of a part's mean cell."""
    general = places_in_general()
    sums = {f.name: np.zeros_like(getattr(general, f.name), np.float64) for f in fields(Places)}

    def add(into: np.ndarray, where: np.ndarray | None, weight: np.ndarray, post: np.ndarray) -> None:
        w = (weight * post).reshape(SURFACES, -1)
        if where is None:
            into[...] += w.sum(axis=1)
        else:
            for c in range(1, SURFACES):
                into[:, c] += np.bincount(where.ravel(), w[c], minlength=len(into))

    for z, body, post in zip(zones, bodies, posteriors):
        everything = z.torso + z.head + 2 * z.face + z.nape + _ELSEWHERE
        for s in (0, 1):
            everything = everything + z.arm[s] + z.leg[s] + 1.5 * z.hand[s] + z.foot[s]
        own = 1 / everything
        for back, share in ((0, 1 - body.back), (1, body.back)):
            if share > 0.02:
                add(sums["torso"][back], z.torso_bin, share * z.torso * z.torso * own, post)
                for name in ("head", "face", "nape"):
                    m = getattr(z, name)
                    add(sums[name][back : back + 1], None, share * m * m * own, post)
        add(sums["elsewhere"], z.torso_bin // TORSO_LAT, _ELSEWHERE * own * _ELSEWHERE * own, post)
        for s in (0, 1):
            add(sums["arm"], z.arm_bin[s], z.arm[s] ** 2 * own, post)
            add(sums["leg"], z.leg_bin[s], z.leg[s] ** 2 * own, post)
            add(sums["hand"], None, z.hand[s] ** 2 * own, post)
            add(sums["foot"], None, z.foot[s] ** 2 * own, post)

    learned = {}
    for name, counts in sums.items():
        counts[..., BACKGROUND] = 0
        start = getattr(general, name)
        counts *= start > 1e-3  # hair never grows on legs, nor shoes on shoulders
        mass = counts.sum(-1, keepdims=True)
        pseudo = trust * max(float(mass.mean()), 1.0)
        table = (counts + pseudo * start) / (mass + pseudo)
        if name == "leg":
            table = _continued(table, mass[:, 0])
        learned[name] = table.astype(np.float32) if name != "elsewhere" else start
    # Long hair may swing in front of or behind a shot's few chosen frames.
    for name in ("torso", "arm"):
        seen = learned[name][..., HAIR]
        np.maximum(seen, np.minimum(getattr(general, name)[..., HAIR] * 1.5, 0.04), out=seen)
    return Places(**learned)


def _continued(table: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """`table` [LIMB, SURFACES] in which the end of a limb that no frame shows (`mass` [LIMB]: the picture ends before it) goes on
    as the last place seen well."""
    share = mass / max(float(mass.max()), 1e-9)
    well = np.flatnonzero(share > _WELL)
    if not len(well) or share[-2:].max() > _UNSEEN:
        return table
    out = table.copy()
    out[well[-1] + 1 :] = table[well[-1]]
    return out


def weigh(prior: np.ndarray, bins: np.ndarray, colours: np.ndarray, person: np.ndarray, *, strength: float = 0.75) -> np.ndarray:
    """[SURFACES, h, w] log-probabilities (not normalised).

    `prior` from `spread` at any size, `bins` [h, w] colour bins, `colours` [SURFACES, bins] log densities, `person` [h, w] 0-1
    the silhouette. Colour counts with `strength` under one, as neighbouring pixels are not independent; for the background
    with less still, since the silhouette knows more.
    """
    h, w = bins.shape
    behind = np.take(colours[BACKGROUND], bins)
    odds = np.clip(person, 0.01, 0.99)
    odds = np.log(odds / (1 - odds))
    # Off the person, where a colour is the background's too, the silhouette alone tells white cloth from a white wall.
    odds *= np.where(odds < 0, 1 + (_OUTSIDE - 1) * np.clip((behind - _COMMON) / _COMMON, 0, 1), np.float32(1))
    log_inside, log_outside = -np.log1p(np.exp(-odds)), -np.log1p(np.exp(odds))
    logits = np.empty((SURFACES, h, w), np.float32)
    logits[BACKGROUND] = behind * np.float32(0.4 * strength) + log_outside + np.float32(0.6)
    for c in range(1, SURFACES):
        place = np.log(np.maximum(prior[c], 1e-5))
        if place.shape != (h, w):
            place = cv2.resize(place, (w, h), interpolation=cv2.INTER_LINEAR)
        np.take(colours[c] * np.float32(strength), bins, out=logits[c])
        logits[c] += place
        logits[c] += log_inside
    return logits


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the first axis."""
    out = logits - logits.max(axis=0)
    np.exp(out, out=out)
    out /= out.sum(axis=0)
    return out


def loose_pieces(soft: np.ndarray, zones: Zones, *, head: bool, sleeve: float = 2.0) -> list[tuple[int, np.ndarray]]:
    """Pieces of surfaces that hang in the air, as (surface, [h, w] bool on the zones' grid) for `soft` [SURFACES, h, w]: hair
    that does not hang together with the head (or the nape, when the `head` is out of the picture), skin without a limb, face or
    neck, an upper garment off the trunk and arms (its sleeves end at the limb station `sleeve`), a lower one off the hips and
    legs; things that the upper garment surrounds; and skin that hangs together with nothing."""
    arms = np.maximum(np.maximum(*zones.arm), np.maximum(*zones.hand))
    legs = np.maximum(np.maximum(*zones.leg), np.maximum(*zones.foot))
    crown = zones.head * (zones.v < -0.1) if head else np.maximum(zones.head, zones.nape)
    roots = (
        (HAIR, crown),
        (SKIN, np.maximum.reduce([arms, legs, zones.face, zones.nape])),
        (UPPER, np.maximum(zones.torso * (zones.v < 0.9), arms)),
        (LOWER, np.maximum(2 * zones.torso * (zones.v > 0.65), 1.5 * legs)),  # from the side hips are wider than the joints say
    )
    # An arm may part the hips in two: of a lower garment a small piece is kept too where most of it is on the body.
    parting = {LOWER: arms > 0.5}
    # A neck is small beside long bare legs, and so is what is seen of an arm; a button on a sleeve is smaller.
    alone = {SKIN: [(np.maximum(zones.face, zones.nape), _LONE)]}
    alone[SKIN] += [(limb, max(2 * _LONE, _PART * (limb > 0.5).sum())) for limb in map(np.maximum, zones.arm, zones.hand)]
    sleeves = [arm * (zones.lat > _BESIDE) * (place < sleeve * LIMB / 2) for arm, place in zip(zones.arm, zones.arm_bin)]
    alone[UPPER] = [(part, max(2 * _LONE, _SLEEVE * (arm > 0.5).sum())) for part, arm in zip(sleeves, zones.arm)]
    if zones.v.max() < _SHOULDERS:
        roots = tuple(part for part in roots if part[0] != UPPER)  # of a head alone in the picture the trunk is below it
    found = ((c, _unrooted(soft[c], root, parting.get(c), alone.get(c, ()))) for c, root in roots)
    pieces = [(c, loose) for c, loose in found if loose is not None]
    if (apart := _apart(soft)) is not None:
        pieces.append((SKIN, apart))
    if (inside := _inside_upper(soft)) is not None:
        pieces.append((THING, inside))
    return pieces


def _apart(soft: np.ndarray) -> np.ndarray | None:
    """Skin that hangs together with nothing of the person, a cell around everything counted in: something of skin's colour where
    the joints say a hand is."""
    wide = np.ones((3, 3), np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate((soft[BACKGROUND] < 0.5).view(np.uint8), wide))
    if count < 3:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    area = np.bincount(pieces.ravel(), soft[BACKGROUND].ravel() < 0.5, minlength=count)
    skin = np.bincount(pieces.ravel(), soft[SKIN].ravel() > 0.5, minlength=count)
    off = skin > 0.5 * np.maximum(area, 1)
    off[[0, largest]] = False
    return off[pieces] if off.any() else None


def _inside_upper(soft: np.ndarray) -> np.ndarray | None:
    """Things that the upper garment surrounds: a shade of it, more likely than something carried. At the garment's own edge, the
    background beside it left out, only where their colour could be the garment's too."""
    there = (soft[THING] > 0.3).astype(np.uint8)
    if not there.any():
        return None
    wide = np.ones((3, 3), np.uint8)
    count, pieces = cv2.connectedComponents(there, connectivity=8)
    spread_out = cv2.dilate(pieces.astype(np.uint16), wide)
    ring = (spread_out > 0) & (there == 0)
    around = np.bincount(spread_out[ring], minlength=count)
    upper = np.bincount(spread_out[ring], soft[UPPER][ring] > 0.4, minlength=count)
    person = np.bincount(spread_out[ring], soft[BACKGROUND][ring] < 0.5, minlength=count)
    area, share = np.bincount(pieces.ravel(), minlength=count), np.bincount(pieces.ravel(), soft[UPPER].ravel(), minlength=count)
    likely = share > 0.1 * area
    surrounded = (upper > 0.6 * np.maximum(around, 1)) | (likely & (upper > 0.6 * np.maximum(person, 1)))
    surrounded[0] = False
    return cv2.dilate(surrounded[pieces].astype(np.uint8), wide) > 0 if surrounded.any() else None


def _unrooted(
    field: np.ndarray, root: np.ndarray, parting: np.ndarray | None = None, alone: Sequence[tuple[np.ndarray, float]] = ()
) -> np.ndarray | None:
    """[h, w] bool: pieces of `field` that have no good part of what lies on the `root`; None where there are none.

    What mostly lies on one of the roots that stand `alone` ([h, w], least cells on it) is held, however large other pieces are.
    What the limbs `parting` [h, w] bool may cut off is kept too with half its own area there, or where it lies along such a limb
    with most of it near."""
    there = (field > 0.3).astype(np.uint8)
    if not there.any():
        return None
    wide = np.ones((3, 3), np.uint8)
    count, pieces = cv2.connectedComponents(there, connectivity=4)
    sizes = np.bincount(pieces[(root > 0.5) & (there > 0)], minlength=count)
    areas = np.bincount(pieces.ravel(), minlength=count)
    held = sizes >= max(3, 0.15 * sizes[1:].max(initial=0))
    for part, least in alone:
        own = np.bincount(pieces[(part > 0.5) & (there > 0)], minlength=count)
        held |= (own >= least) & (own >= 0.5 * areas)
    if parting is not None:
        near = np.bincount(pieces[(root > 0.2) & (there > 0)], minlength=count)
        along = np.bincount(pieces[cv2.dilate(parting.astype(np.uint8), wide) > 0], minlength=count) > 0.5 * np.sqrt(areas)
        held |= (sizes >= 12) & ((sizes >= 0.5 * areas) | (along & (near >= 0.6 * areas)))
    held[0] = False
    if held[1:].all():
        return None
    return (cv2.dilate((~held & (np.arange(count) > 0))[pieces].astype(np.uint8), wide) > 0) & ~held[pieces]
