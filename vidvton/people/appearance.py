"""What the person of one shot looks like: colours of skin, hair and garments, how far sleeves and legs reach, dress or two
pieces.

Learned from a few frames without labels: seeds from the places where a surface is almost certain, then a few rounds of
expectation-maximisation between colours, places on the body and pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ..errors import MisuseError
from ..frames import as_arrays
from ..values import PoseTrack
from .colours import SIDE, bins_of, density, hair_in_general, log_likelihood, overlap, skin_in_general
from .evidence import (
    BACKGROUND,
    HAIR,
    LOWER,
    SHOE,
    SKIN,
    SURFACES,
    THING,
    UPPER,
    Places,
    loose_pieces,
    places_in_general,
    relearn,
    softmax,
    spread,
    weigh,
)
from .lasting import lasting_colours
from .zones import LIMB, TORSO_LAT, TORSO_V, Body, Zones, along, body_of, grid, soft, zones_of

_STEP = 4
_ROUNDS = 4
_COLOURED = 0.1  # share of a face that has skin's colours, below which it is not to be known by them
_BARE = 0.88  # overlap of the chest's colours with the skin's: a beige jumper reaches 0.84
_LONG = 0.55  # overlap of chest and hips from which a top that leaves the picture is one: light falls off downwards
_BREAST = 0.4  # station of the trunk down to which no trousers reach
_SHOWN = 0.1, 0.3  # share of the chest above it from which the breast tells something of the top's colours, and all
_SHADES = (2.0, 1.2, 1.2)  # bins (of lightness, a, b) over which colours are shades of one
_ALIKE, _UNLIKE = 0.65, 0.4  # overlap of two garments' colours from which place must tell them apart; how far below colours do
_RARE = 1.0  # density from which a colour counts as seen
_STRAY = 0.5  # how probable one garment is, against the other, where the other one usually is


@dataclass(frozen=True)
class Appearance:
    """One shot's person. `colours` [SURFACES, bins] float32 log densities of Lab bins; `places` where on the body each surface
    lies; `sleeve` and `leg` how far the garments reach along the limb (0 shoulder or hip, 1 elbow or knee, 2 wrist or ankle);
    `waist` where the lower garment begins along the torso (0 shoulders, 1 hips); `dress` one garment above and below the waist;
    `skirt` the lower garment joins the legs; `bare` no upper garment; `head` whether the head is in the picture."""

    colours: np.ndarray
    places: Places
    sleeve: float
    leg: float
    waist: float
    dress: bool
    skirt: bool
    bare: bool
    head: bool

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for `numpy.savez`."""
        out = {"colours": self.colours.astype(np.float16)}
        out["facts"] = np.array([self.sleeve, self.leg, self.waist, self.dress, self.skirt, self.bare, self.head], np.float32)
        for f in fields(Places):
            out[f"place_{f.name}"] = getattr(self.places, f.name).astype(np.float32)
        return out

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> Appearance:
        """The inverse of `to_arrays` (an open `.npz` will do)."""
        sleeve, leg, waist, dress, skirt, bare, head = (float(x) for x in arrays["facts"])
        places = Places(**{f.name: np.asarray(arrays[f"place_{f.name}"], np.float32) for f in fields(Places)})
        colours = np.asarray(arrays["colours"], np.float32)
        return Appearance(colours, places, sleeve, leg, waist, bool(dress), bool(skirt), bool(bare), bool(head))


@dataclass(frozen=True)
class _Sample:
    bins: np.ndarray
    person: np.ndarray
    zones: Zones
    body: Body
    cells: np.ndarray


def learn_appearance(frames: Tensor, pose: PoseTrack, silhouettes: Tensor | np.ndarray) -> Appearance:
    """The appearance of the person in `frames` [S, 3, h, w] uint8, samples spread over one shot.

    `pose` is in these frames' pixels, `silhouettes` [S, h, w] uint8 0-255. Frames without a person are passed over; if all are,
    what is known of people in general comes back.
    """
    pictures, masks = as_arrays(frames), np.asarray(silhouettes)
    if len(pictures) != len(pose) or masks.shape != pictures.shape[:3]:
        raise MisuseError(
            f"learning an appearance takes frames, poses and silhouettes of one length and size, "
            f"got frames {pictures.shape[:3]}, {len(pose)} poses and silhouettes {masks.shape}"
        )
    samples = [s for s in (_sample(pictures[i], masks[i], pose, i) for i in range(len(pose))) if s is not None]
    if not samples:
        colours = np.zeros((SURFACES, SIDE**3), np.float32)
        colours[SKIN], colours[HAIR] = log_likelihood(skin_in_general()), log_likelihood(hair_in_general())
        return Appearance(colours, places_in_general(), 1.0, 2.0, 1.0, False, False, False, True)
    return _settle(samples, pictures.shape[1:3])


def _sample(picture: np.ndarray, mask: np.ndarray, pose: PoseTrack, index: int) -> _Sample | None:
    if not bool(pose.present[index]):
        return None
    body = body_of(pose.keypoints[index].numpy(), float(pose.yaw[index]), pose.boxes[index].numpy())
    if body is None:
        return None
    cells = grid(mask.shape, _STEP)
    size = (cells.shape[1], cells.shape[0])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    person = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return _Sample(bins_of(small), person, zones_of(body, cells), body, cells)


def _skin_seeds(samples: list[_Sample]) -> np.ndarray:
    """The density of skin from faces, hands and necks."""
    skin, weights, faces = skin_in_general(), [], []
    for s in samples:
        bare = np.maximum(np.maximum(s.zones.face, np.maximum(*s.zones.hand)), 0.4 * s.zones.nape * (1 - s.body.back))
        weights.append((s.person > 0.8) * bare**3 * np.minimum(skin[s.bins] / 8, 1) ** 2)
        faces.append((s.person > 0.8) * s.zones.face**3)
    if sum(w.sum() for w in weights) < _COLOURED * sum(f.sum() for f in faces):
        weights = faces  # black and white, or coloured light: the face itself says what skin looks like
    return _count(samples, weights, skin, 30)


def _seeds(samples: list[_Sample], size: tuple[int, int]) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """(densities of the surfaces from the places where each is almost certain; [bins] 0-1 how far a colour may be the upper
    garment's, by the breast and the legs: in profile arms and waist lie before one another)."""
    flat = np.ones(SIDE**3, np.float32)
    models = {BACKGROUND: _count(samples, [(s.person < 0.05).astype(np.float32) for s in samples], flat, 10), THING: flat}
    models[SKIN] = _skin_seeds(samples)
    likeness = models[SKIN] / (models[SKIN] + 3)

    chest, hips, sleeves, thighs, feet, crowns, seen = [], [], [], [], [], [], 0
    for s in samples:
        z, sure = s.zones, (s.person > 0.8).astype(np.float32)
        hands, arms, legs = np.maximum(*z.hand), np.maximum(*z.arm), np.maximum(*z.leg)
        clear = sure * (1 - hands) ** 2 * (1 - z.head)
        chest.append(clear * (z.v > 0.06) * (z.v < 0.72) * (z.lat < 0.85) * (1 - z.nape) * (1 - 0.7 * (arms > 0.4)))
        sleeves.append(clear * sum(z.arm[i] ** 2 * (z.arm_bin[i] < LIMB * 0.2) for i in (0, 1)) * (z.v > -0.05))
        hips.append(clear * (z.v > 0.98) * (z.v < 1.15) * (z.lat < 0.9) * (1 - arms))
        thighs.append(
            clear * sum(z.leg[i] ** 2 * (z.leg_bin[i] >= LIMB * 0.1) * (z.leg_bin[i] < LIMB * 0.45) for i in (0, 1)) * (z.v > 0.9)
        )
        feet.append(sure * np.maximum(*z.foot) ** 2 * (legs < 0.6))
        inside = s.body.face is not None and 0 <= s.body.face[0] < size[1] and 0 <= s.body.face[1] < size[0]
        crowns.append(sure * (z.v < -0.08) * (1 - z.face) ** 2 * (z.head if inside else 0.2 * z.nape))
        seen += inside
    plain = [likeness[s.bins] for s in samples]

    def without_skin(parts: list[np.ndarray], keep: float) -> list[np.ndarray]:
        return [w * (1 - (1 - keep) * k) for w, k in zip(parts, plain)]

    def share_of_skin(parts: list[np.ndarray]) -> float:
        return sum(float((w * k).sum()) for w, k in zip(parts, plain)) / (sum(float(w.sum()) for w in parts) + 1e-6)

    # A garment as pale or tanned as the skin must keep its colours: then hardly anything of chest or hips differs from skin.
    upper = without_skin(chest, 0.9 if share_of_skin(chest) > 0.6 else 0.1)
    upper = [a + 0.5 * b for a, b in zip(upper, without_skin(sleeves, 0.02))]
    pale = share_of_skin(hips) > 0.6
    legs_on = without_skin(thighs, 0.9 if pale else 0.02)
    hips = without_skin(hips, 0.9 if pale else 0.05)
    share = 0.05 if sum(float(w.sum()) for w in legs_on) > 0.3 * sum(float(w.sum()) for w in hips) else 0.5
    lower = [share * a + b for a, b in zip(hips, legs_on)]
    models[UPPER] = _count(samples, upper, flat, 40)
    models[LOWER] = _count(samples, lower, flat, 40)
    # A coat or poncho hangs over the thighs: if much of them has colours the chest has not, those are the lower garment's.
    other = models[LOWER] / (models[LOWER] + models[UPPER] + 1e-3)
    own = [w * other[s.bins] ** 3 for w, s in zip(lower, samples)]
    if share < 0.1 and sum(float(w.sum()) for w in own) > 0.3 * sum(float(w.sum()) for w in lower):
        models[LOWER] = _count(samples, own, flat, 40)
    models[SHOE] = _count(samples, without_skin(feet, 0.1), flat, 20)
    hair = hair_in_general()
    general = 1.0 if seen > 0.5 * len(samples) else 0.0
    crown = [w * (general + (1 - general) * np.minimum(hair[s.bins], 1)) for w, s in zip(without_skin(crowns, 0.03), samples)]
    lasting = lasting_colours([s.bins for s in samples], np.concatenate([w.ravel() for w in crown]))
    models[HAIR] = _count(samples, [w * lasting[s.bins] for w, s in zip(crown, samples)], hair, 20)
    models[THING] = _count(samples, _beside(samples, models), flat, 30)
    breast = [w * (s.zones.v < _BREAST) for w, s in zip(upper, samples)]
    shown = sum(float(w.sum()) for w in breast) / (sum(float(w.sum()) for w in upper) + 1e-6)
    known = min(max(shown - _SHOWN[0], 0.0) / (_SHOWN[1] - _SHOWN[0]), 1.0)
    return models, _own_colours(_count(samples, breast, flat, 40), models[LOWER], known)


def _beside(samples: list[_Sample], models: dict[int, np.ndarray]) -> list[np.ndarray]:
    """Weights of what the person carries: in the silhouette by a hand, on no part of the body, and of a colour rare on
    garments and skin (a poncho is not on the body either, but its colour is on the arms)."""
    common = gaussian_filter(
        np.maximum.reduce([models[SKIN], models[UPPER], models[LOWER]]).reshape(SIDE, SIDE, SIDE), 1.5
    ).ravel()
    rare = 1 / (1 + (common / 30) ** 3)  # widened, so that the shades of a garment's colour count as the garment's
    out = []
    for s in samples:
        z = s.zones
        body = np.maximum.reduce([z.torso, z.head, z.nape, *z.arm, *z.hand, *z.leg, *z.foot])
        near = np.zeros(z.v.shape, np.float32)
        for hand in s.body.hands:
            if hand is not None:
                np.maximum(near, soft(along(s.cells, *hand)[1] / np.float32(0.45 * s.body.unit)), out=near)
        out.append((s.person > 0.7) * (body < 0.15) * (z.v > 0.3) * near * rare[s.bins])
    return out


def _count(samples: list[_Sample], weights: list[np.ndarray], prior: np.ndarray, mass: float) -> np.ndarray:
    return density(np.concatenate([s.bins.ravel() for s in samples]), np.concatenate([w.ravel() for w in weights]),
                   prior=prior, prior_mass=mass)  # fmt: skip


def _settle(samples: list[_Sample], size: tuple[int, int]) -> Appearance:
    models, own = _seeds(samples, size)
    bare = _is_bare(models)
    places = places_in_general()
    zones, bodies = [s.zones for s in samples], [s.body for s in samples]
    head = _head_share(samples, size) > 0.5
    alike = overlap(models[UPPER], models[LOWER])
    long_top = _one_long_top(samples, models)
    posteriors: list[np.ndarray] = []
    for _ in range(_ROUNDS):
        colours = _table(models)
        posteriors = []
        for s in samples:
            logits = weigh(spread(places, s.zones, s.body), s.bins, colours, s.person)
            post = np.stack([cv2.blur(p, (3, 3)) for p in softmax(logits)])
            for c, loose in loose_pieces(post, s.zones, head=head, sleeve=_reach(places.arm, UPPER)):
                post[c][loose] *= 0.02
            posteriors.append(post / post.sum(axis=0))
        places = relearn(zones, bodies, posteriors, trust=0.25)
        models = _recolour(samples, posteriors, models, own)
    if long_top:
        models[LOWER] = np.full(SIDE**3, 1e-3, np.float32)
    colours = _table(models, 0.0 if long_top else min(1.0, alike / _ALIKE) ** 3)
    dress, skirt, waist = _lower_facts(samples, posteriors, models, places)
    places = _open_border(places, 0.0 if long_top else 1 - min(1.0, alike / _ALIKE))
    return Appearance(colours, places, _reach(places.arm, UPPER), _reach(places.leg, LOWER), waist, dress, skirt, bare, head)


def _table(models: dict[int, np.ndarray], alike: float = 0.0) -> np.ndarray:
    """[SURFACES, bins] log densities. A garment, and a thing more so, may have a colour never seen before; skin and hair may
    not."""
    out = np.stack([log_likelihood(models[c]) for c in range(SURFACES)])
    for c, floor in ((UPPER, 0.12), (LOWER, 0.12), (SHOE, 0.12), (THING, 0.4)):
        out[c] = np.log(models[c] * (1 - floor) + floor)
    # Where the two garments look alike the place must tell them apart, or the waist frays.
    both = (out[UPPER] + out[LOWER]) / 2
    for c in (UPPER, LOWER):
        out[c] += alike * (both - out[c])
    return out


def _open_border(places: Places, apart: float) -> Places:
    """`places` in which, from the waist down and on arms and legs, each garment is possible where the other one usually is, the
    more so the further their colours are `apart` (0-1): in a side view the joints are not where they are from the front, and a
    hand lies on the hips."""
    low = (np.arange(TORSO_V) + 0.5) / TORSO_V * 1.6 - 0.3 > 0.45
    opened = {}
    for name, rows in (("torso", np.repeat(low, TORSO_LAT)), ("arm", np.ones(LIMB, bool)), ("leg", np.ones(LIMB, bool))):
        table = getattr(places, name).copy()
        ours = table[..., rows, :]
        for c, other in ((UPPER, LOWER), (LOWER, UPPER)):
            table[..., rows, c] = np.maximum(ours[..., c], _STRAY * apart * ours[..., other])
        opened[name] = table
    return replace(places, **opened)


def _one_long_top(samples: list[_Sample], models: dict[int, np.ndarray]) -> bool:
    """Whether a top hangs below the picture's edge: hips like the chest, and no leg to be seen that could be anything else."""
    thighs = [
        sum(float((z.leg[i] * (z.leg_bin[i] >= LIMB * 0.25) * (s.person > 0.5)).sum()) for i in (0, 1))
        for s in samples
        for z in [s.zones]
    ]
    seen = [t / (s.body.unit / _STEP) ** 2 for t, s in zip(thighs, samples)]
    return float(np.median(seen)) < 0.15 and overlap(models[UPPER], models[LOWER]) > _LONG


def _own_colours(upper: np.ndarray, lower: np.ndarray, known: float) -> np.ndarray:
    """[bins] 0-1 how far a colour may be the upper garment's: little where the density `lower` has it and `upper`, which is
    `known` 0-1, has not. What neither has may be either's; garments that look alike have all in common."""
    apart = known * min(max(_ALIKE - overlap(upper, lower), 0.0) / _UNLIKE, 1.0)
    upper, lower = (gaussian_filter(d.reshape(SIDE, SIDE, SIDE), _SHADES, mode="nearest").ravel() + _RARE for d in (upper, lower))
    return 1 - apart * np.maximum(1 - 2 * upper / (upper + lower), 0)


def _recolour(
    samples: list[_Sample], posteriors: list[np.ndarray], before: dict[int, np.ndarray], own: np.ndarray
) -> dict[int, np.ndarray]:
    """The colour models again, each from the pixels that are it and lie where it may lie (a model must not creep into its
    neighbour), the upper garment's from colours that may be its `own`."""
    bins = np.concatenate([s.bins.ravel() for s in samples])
    sure = np.concatenate([(s.person > 0.6).ravel() for s in samples])
    limbs, crown = [], []
    for s in samples:
        z = s.zones
        limb = np.maximum.reduce([*z.arm, *z.hand, *z.leg, *z.foot, z.face, z.nape, 0.7 * z.head])
        limbs.append(limb.ravel())
        crown.append(np.maximum.reduce([z.head, z.nape, 0.8 * (z.v < 0.5) * z.torso, 0.6 * (z.v < 0.3)]).ravel())
    trunk = np.concatenate([np.maximum.reduce([s.zones.torso, *s.zones.arm]).ravel() for s in samples]) ** 2
    hips = np.concatenate([np.maximum.reduce([s.zones.torso * (s.zones.v > 0.7), *s.zones.leg]).ravel() for s in samples]) ** 2
    allowed = {SKIN: np.concatenate(limbs), HAIR: np.concatenate(crown), UPPER: trunk, LOWER: hips}
    post = np.concatenate([p.reshape(SURFACES, -1) for p in posteriors], axis=1)
    out = {BACKGROUND: before[BACKGROUND], THING: before[THING]}
    priors = {SKIN: (skin_in_general(), 60.0), HAIR: (hair_in_general(), 30.0)}
    for c in range(1, THING):
        weight = np.where(post[c] > 0.4, post[c], 0) * sure
        if c in allowed:
            weight = weight * allowed[c]
        if c == UPPER:
            weight = weight * own[bins]
        if c in (SKIN, HAIR):
            weight = weight * lasting_colours([s.bins for s in samples], weight)[bins]
        prior, mass = priors.get(c, (np.ones(SIDE**3, np.float32), 20.0))
        fresh = density(bins, weight, prior=prior, prior_mass=mass)
        out[c] = 0.3 * before[c] + 0.7 * fresh
    return out


def _is_bare(models: dict[int, np.ndarray]) -> bool:
    """Whether the chest is as bare as the face and hands: the same colours, and mostly skin's."""
    likely = np.minimum(skin_in_general() / 8, 1)
    share = float((models[UPPER] * likely).sum() / models[UPPER].sum())
    return overlap(models[SKIN], models[UPPER]) > _BARE and share > 0.5


def _head_share(samples: list[_Sample], size: tuple[int, int]) -> float:
    inside = 0
    for s in samples:
        if s.body.face is not None:
            x, y = s.body.face
            col, row = int(x / _STEP), int(y / _STEP)
            if (
                0 <= x < size[1]
                and 0 <= y < size[0]
                and s.person[min(row, s.person.shape[0] - 1), min(col, s.person.shape[1] - 1)] > 0.5
            ):
                inside += 1
    return inside / len(samples)


def _reach(table: np.ndarray, surface: int) -> float:
    """How far along a limb a garment goes: the end that best parts cloth from bare skin (a hand lies on a thigh, a bag of the
    cloth's colour hangs beside it)."""
    gain = np.cumsum(table[:, surface] - table[:, SKIN])
    end = int(gain.argmax())
    return (end + 1) * 2 / LIMB if gain[end] > 0 else 0.0


def _lower_facts(samples: list[_Sample], posteriors: list[np.ndarray], models: dict[int, np.ndarray],
                 places: Places) -> tuple[bool, bool, float]:  # fmt: skip
    """(dress, skirt, waist)."""
    alike = overlap(models[UPPER], models[LOWER])
    votes = [v for s, post in zip(samples, posteriors) if (v := _between_legs(s.body, post)) is not None]
    skirt = len(votes) >= 1 and float(np.mean(votes)) > 0.5
    table = places.torso.mean(axis=0).reshape(-1, 4, SURFACES)[:, :3].mean(axis=1)
    more_lower = np.flatnonzero(table[:, LOWER] > table[:, UPPER])
    waist = float(more_lower[0] / len(table) * 1.6 - 0.3) if len(more_lower) else 1.0
    dress = alike > 0.7 and skirt
    return dress, skirt, float(np.clip(waist, 0.5, 1.3))


def _between_legs(body: Body, post: np.ndarray) -> float | None:
    """How far the lower garment fills the gap between the legs where it covers both and they stand apart; None when nowhere.
    Trousers let something else through at least once along the way, a skirt nowhere."""
    if body.legs[0] is None or body.legs[1] is None:
        return None

    def lower(point: np.ndarray) -> float | None:
        col, row = (point / _STEP).astype(int)
        inside = 0 <= row < post.shape[1] and 0 <= col < post.shape[2]
        return float(post[LOWER, row, col]) if inside else None

    least = None
    for joint, places, apart in ((0, (0.6, 0.75, 0.9), 0.36), (1, (0.2, 0.45, 0.7), 0.28)):
        if min(map(len, body.legs)) < joint + 2:
            continue
        for t in places:
            left, right = (leg[joint] + (leg[joint + 1] - leg[joint]) * t for leg in body.legs)
            ends = (lower(left), lower(right))
            middle = lower((left + right) / 2)
            if None in ends or middle is None or min(ends) < 0.5 or np.linalg.norm(left - right) < apart * body.unit:
                continue
            least = middle if least is None else min(least, middle)
    return least
