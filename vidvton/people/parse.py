"""Which surface every pixel of a person is: CIHP labels from silhouette, joints and the shot's colours, steady in time."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MisuseError
from ..frames import as_arrays
from ..values import CIHP_LABELS, PoseTrack
from .appearance import Appearance
from .borders import settle_borders
from .colours import bins_of
from .edges import Follower, blend_along, guided
from .evidence import BACKGROUND, HAIR, LOWER, SHOE, SKIN, SURFACES, THING, UPPER, loose_pieces, softmax, spread, weigh
from .zones import LIMB, MISSING, Body, Zones, body_of, grid, soft, zones_of

LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}
_FINE, _COARSE = 2, 4
_NEIGHBOUR = 0.8
_AGREE = 3.0
_FAINTEST = -8.0
_BARED = 0.12  # share of skin at a place of the trunk from which it is the trunk's own
_FAINT_MASK = 32  # of 255: a silhouette below this says nothing
_ASKED = np.float32(0.4)  # the silhouette's least on an arm
_AROUND = 0.05  # of the longer side: how far from silhouette and joints the person may still be
_NOWHERE = 0.05  # a surface that is less likely than that everywhere needs no edges
_LONG = 1.4  # limb station from which on trousers or skirt are long
_HAND = 0.73  # width of a hand against its zone, beside a leg


def parse_frames(frames: Tensor, pose: PoseTrack, silhouettes: Tensor | np.ndarray, appearance: Appearance) -> Tensor:
    """CIHP labels [T, h, w] uint8 of the person in `frames` [T, 3, h, w] uint8 (crops around the person, best at about 640x480).

    `pose` is in these frames' pixels, `silhouettes` [T, h, w] uint8 0-255 the person's soft mask. A frame's labels depend on
    it and the two frames on either side. Things in the hands are `scarf` (kept, never replaced). A frame without a person is
    background.
    """
    pictures, masks = as_arrays(frames), np.asarray(silhouettes)
    if len(pictures) != len(pose) or masks.shape != pictures.shape[:3]:
        raise MisuseError(
            f"parsing takes frames, poses and silhouettes of one length and size, got frames {pictures.shape[:3]}, "
            f"{len(pose)} poses and silhouettes {masks.shape}"
        )
    seen = [_see(pictures[t], masks[t], pose, t, appearance) for t in range(len(pose))]
    logs = _steady([s.logs if s is not None else None for s in seen], [s.small if s is not None else None for s in seen],
                   pose.shots.tolist())  # fmt: skip
    out = np.zeros(masks.shape, np.uint8)
    for t, s in enumerate(seen):
        if s is not None:
            out[t] = settle_borders(_label(s, logs[t], appearance, masks.shape[1:]), pictures[t])
    return torch.from_numpy(out)


def person_window(pose: PoseTrack, silhouettes: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), multiples of 8 but for the picture's own end: the part of the pictures that the person can be
    in over all these frames, by the `silhouettes` [T, h, w] uint8 and the joints of `pose`; outside, labels are background."""
    height, width = silhouettes.shape[1:]
    seen = silhouettes[pose.present.numpy()] >= _FAINT_MASK
    points = pose.keypoints[pose.present].reshape(-1, 3).numpy()
    points = points[points[:, 2] >= MISSING, :2]
    ends = []
    for count, on, at in ((height, seen.any((0, 2)), points[:, 1]), (width, seen.any((0, 1)), points[:, 0])):
        places = np.concatenate([np.flatnonzero(on), at[(at >= 0) & (at < count)]])
        if not len(places):
            return 0, height, 0, width
        margin = max(24, _AROUND * max(height, width))
        low, high = max(0, int(places.min() - margin) // 8 * 8), -(-int(places.max() + 1 + margin) // 8) * 8
        ends += [low, min(count, high)]
    return tuple(ends)


class _Seen:
    __slots__ = ("logs", "small", "guide", "zones", "body")

    def __init__(
        self, logs: tuple[np.ndarray, np.ndarray], small: np.ndarray, guide: np.ndarray, zones: Zones, body: Body
    ) -> None:
        self.logs, self.small, self.guide, self.zones, self.body = logs, small, guide, zones, body


def _see(picture: np.ndarray, mask: np.ndarray, pose: PoseTrack, t: int, appearance: Appearance) -> _Seen | None:
    if not bool(pose.present[t]):
        return None
    body = body_of(pose.keypoints[t].numpy(), float(pose.yaw[t]), pose.boxes[t].numpy())
    if body is None or mask.max() < _FAINT_MASK:
        return None
    h, w = mask.shape
    size = (-(-w // _FINE), -(-h // _FINE))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    guide = np.ascontiguousarray(small.transpose(2, 0, 1), dtype=np.float32) / 255
    person = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    person = guided(person[None], guide, radius=4, eps=1e-3)[0]
    zones = zones_of(body, grid((h, w), _COARSE))
    # A segmenter overlooks what moves fast: where the joints say an arm is, colours are asked.
    limbs = np.maximum.reduce([*zones.arm, *zones.hand])
    asked = cv2.resize(np.clip(2 * limbs - 1, 0, 1), size, interpolation=cv2.INTER_LINEAR)
    np.maximum(person, _ASKED * asked, out=person)
    logits = weigh(spread(appearance.places, zones, body), bins_of(small), appearance.colours, person)
    logits -= logits.max(axis=0)
    np.maximum(logits, _FAINTEST, out=logits)
    return _Seen(_pack(logits), small, guide, zones, body)


def _steady(logs: list[tuple | None], pictures: list[np.ndarray | None], shots: list[int]) -> list[tuple | None]:
    """Each frame's packed log-probabilities averaged with its neighbours', twice, along the motion, inside shots."""
    follower = Follower()
    ways: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    for t in range(len(logs)):
        for o in (t - 1, t + 1):
            if 0 <= o < len(logs) and logs[t] is not None and logs[o] is not None and shots[t] == shots[o]:
                ways[t, o] = follower.way(pictures[t], pictures[o])
    for _ in range(2):
        logs = [
            None
            if own is None
            else tuple(
                blend_along(own[i], [(logs[o][i], *ways[t, o]) for o in (t - 1, t + 1) if (t, o) in ways], _NEIGHBOUR)
                for i in (0, 1)
            )
            for t, own in enumerate(logs)
        ]
    return logs


def _pack(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities [SURFACES, h, w] from _FAINTEST to 0 as two pictures of four bytes a pixel."""
    planes = [cv2.convertScaleAbs(p, alpha=255 / _FAINTEST) for p in logs]
    planes.append(np.zeros_like(planes[0]))
    return cv2.merge(planes[:4]), cv2.merge(planes[4:])


def _unpack(packed: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    planes = [*cv2.split(packed[0]), *cv2.split(packed[1])][:SURFACES]
    return np.stack(planes).astype(np.float32) * np.float32(_FAINTEST / 255)


def _label(seen: _Seen, packed: tuple, appearance: Appearance, size: tuple[int, int]) -> np.ndarray:
    logs = _unpack(packed)
    post = softmax(logs)
    cells = seen.zones.v.shape[::-1]
    coarse = np.stack([cv2.resize(p, cells, interpolation=cv2.INTER_AREA) for p in post])
    for c, loose in loose_pieces(coarse, seen.zones, head=appearance.head, sleeve=appearance.sleeve):
        logs[c] -= 6 * cv2.resize(loose.astype(np.float32), post.shape[:0:-1], interpolation=cv2.INTER_LINEAR)
    post = softmax(logs)
    for radius, eps, step in ((9, 1e-3, 4), (4, 3e-4, 2)):
        post = softmax(logs + np.float32(_AGREE) * guided(post, seen.guide, radius=radius, eps=eps, step=step, faint=_NOWHERE))
    surface = _largest(post, size)
    return _name(surface, seen.zones, seen.body, appearance)


def _largest(post: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    best, index = np.full(size, -1e9, np.float32), np.zeros(size, np.uint8)
    for c, plane in enumerate(post):
        plane = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)
        index[plane > best] = c
        cv2.max(best, plane, dst=best)
    return index


def _belly(surface: np.ndarray, zones: Zones, bared: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """[h, w] bool of the zones' grid: skin at the trunk's sides, away from arms and hands (`arms` [h, w] 0-1), that goes on from
    where the trunk is often `bared` [h, w] bool."""
    skin = cv2.resize((surface == SKIN).astype(np.float32), arms.shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
    skin &= (arms < 0.25) & (zones.torso > 0.3) & (zones.v > 0.3) & (zones.lat < 1.2)
    if not (skin & bared).any():
        return np.zeros_like(skin)
    _, piece = cv2.connectedComponents(skin.view(np.uint8))
    own = np.bincount(piece[skin & bared], minlength=piece.max() + 1) > 0.2 * np.bincount(piece.ravel())
    return own[piece] & skin


def _slim(hand: np.ndarray) -> np.ndarray:
    """A hand's zone [h, w] 0-1, _HAND times as wide: beside a leg, which may be as bare, it is no wider than hands are."""
    return hand / (hand + (1 - hand) * np.float32(_HAND**-6))


def _name(surface: np.ndarray, zones: Zones, body: Body, appearance: Appearance) -> np.ndarray:
    """CIHP labels from surfaces: skin by the nearest part of the body, shoes by side, garments by the shot's facts."""
    h, w = surface.shape

    def wide(x: np.ndarray) -> np.ndarray:
        return cv2.resize(x, (w, h), interpolation=cv2.INTER_NEAREST)

    beside = np.clip((np.maximum(*zones.leg) - 0.2) / 0.2, 0, 1)
    arms = [np.maximum(zones.arm[s], h + (_slim(h) - h) * beside) for s, h in enumerate(zones.hand)]
    legs = [np.maximum(zones.leg[s] * (zones.v > 0.8), 0.9 * zones.foot[s]) for s in (0, 1)]
    bared = appearance.places.torso.mean(axis=0)[:, SKIN][zones.torso_bin] > _BARED  # a belly that is often bare is no hand
    upper = np.where(bared, np.float32(1), soft(np.maximum(zones.v, 0) / 0.3))
    chest = np.maximum(zones.nape, 0.6 * zones.torso * (zones.lat < 0.8) * upper)
    chest[_belly(surface, zones, bared, np.maximum(*arms))] = 1
    head = np.maximum(zones.face * 1.2, zones.head * 0.9)
    parts = np.stack([head, chest, arms[0], arms[1], legs[0], legs[1]], axis=-1)
    names = np.array([LABEL[n] for n in ("face", "torso_skin", "left_arm", "right_arm", "left_leg", "right_leg")], np.uint8)
    names = np.append(names, np.uint8(LABEL["scarf"]))
    # A leg under cloth shows no skin: what looks like it is a hand, a bag or the like. Short cloth rides up.
    covered = np.float32(0.0 if appearance.leg > _LONG else 0.3)
    for side in (0, 1):
        parts[..., 4 + side] *= np.where(zones.leg_bin[side] >= (appearance.leg - 0.3) * LIMB / 2, np.float32(1), covered)
    nearest = parts.argmax(axis=-1).astype(np.uint8)
    nearest[parts.max(axis=-1) < 1e-4] = 6
    skin = names[wide(nearest)]
    shoe = np.where(wide((zones.foot[1] + 0.2 * zones.leg[1] > zones.foot[0] + 0.2 * zones.leg[0]).astype(np.uint8)) > 0,
                    LABEL["right_shoe"], LABEL["left_shoe"]).astype(np.uint8)  # fmt: skip
    lower = LABEL["dress"] if appearance.dress else LABEL["skirt"] if appearance.skirt else LABEL["pants"]
    upper = LABEL["torso_skin"] if appearance.bare else LABEL["dress"] if appearance.dress else LABEL["upper"]
    table = np.zeros(SURFACES, np.uint8)
    table[[BACKGROUND, HAIR, UPPER, LOWER, THING]] = [0, LABEL["hair"], upper, lower, LABEL["scarf"]]
    out = table[surface]
    np.copyto(out, skin, where=surface == SKIN)
    np.copyto(out, shoe, where=surface == SHOE)
    return out
