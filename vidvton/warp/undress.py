"""What shows where the old garment was and the new one is not: skin along the limb, skin at the neck, the other garment, the
background."""

from __future__ import annotations

import cv2
import numpy as np

from vidvton.warp.body import LOWER, UPPER
from vidvton.warp.layers import BACKGROUND, LEGS_BARE, SKIN_OF_TRUNK, SLEEVES, Dressing, Limb, soften, step_between
from vidvton.warp.texture import continue_colours

SKIN_START = 0.15  # station from which on a bare arm lies before the trunk's cloth


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
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """What lies under the old garment: the picture [h, w, 3] float32 0-255, and the bare arms that lie before the trunk, each as
    (colour [h, w, 3], alpha [h, w]).

    `frame` [h, w, 3] uint8, `labels` [h, w], `old` [h, w] bool, `trunk` the new trunk panel's (across, station) [h, w] (None:
    it has none), `limbs` the bare limbs, `skin` [2, 3] 0-1 the skin's colour above the waist and on the legs, `light` [h, w] the
    shading factor, `plate` [h, w, 3] uint8 the background where it is known from other frames (None: continued from
    around)."""
    rim = cv2.dilate(old.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))) > 0
    picture = _surroundings(frame, labels, old, rim, plate)
    tone, legs = (colour * 255 * _soft_light(light)[..., None] for colour in skin)
    if trunk is not None:
        # At the old garment's rim what lies beside it goes on; skin is for what lies deeper.
        deep = step_between(cv2.distanceTransform(old.astype(np.uint8), cv2.DIST_L2, 3), 0.5, 2.5)
        for colour, share in _trunk(frame, labels, rim, dressing, *trunk, tone):
            picture += (colour - picture) * (share * deep)[..., None]
    cloth = soften(old)
    bare = []
    for limb in limbs:
        is_arm = limb.part in SLEEVES
        if is_arm == (dressing.category == "lower") and dressing.category != "full":
            continue
        shape = (
            step_between(limb.across, 1.08, 0.92) * step_between(limb.station, -0.05, 0.1) * step_between(limb.station, 2.12, 2.0)
        )
        share = shape * (cloth if is_arm else soften(rim))  # legs go on under the rim, where the old hem's shadow was
        if share.max() < 0.02:
            continue
        # A limb is round: it darkens towards its sides.
        colour = (tone if is_arm else legs) * (1.0 - 0.16 * np.minimum(limb.across, 1) ** 3)[..., None]
        picture += (colour - picture) * share[..., None]
        if is_arm and limb.near <= 0:
            # Down to the new sleeve's end the arm is covered: by the sleeve, or at the shoulder by the trunk's cloth.
            end = dressing.sleeve_ends.get(limb.part, SKIN_START)
            bare.append((colour, share * step_between(limb.station, end - 0.1, end + 0.02)))
    return picture, bare


def _surroundings(frame: np.ndarray, labels: np.ndarray, old: np.ndarray, rim: np.ndarray, plate) -> np.ndarray:
    """The scene continued into the old garment's place: background where other frames saw it; elsewhere, at the rim, whatever
    lies beside it, and deep inside the nearest background."""
    beside = cv2.GaussianBlur(continue_colours(frame, ~rim), (0, 0), 0.7)
    scene = cv2.GaussianBlur(continue_colours(frame, BACKGROUND[labels] & ~rim), (0, 0), 1.5)
    depth = cv2.distanceTransform(old.astype(np.uint8), cv2.DIST_L2, 3)
    near = step_between(depth, 4.0, 2.0)
    picture = cv2.blendLinear(beside, scene, near, 1 - near).astype(np.float32)
    if plate is not None:
        # Softening reaches two pixels beyond the edge, and beyond what is known the plate is black.
        share = soften(cv2.erode(plate[1].astype(np.uint8), np.ones((5, 5))), 1.0)[..., None]
        picture += (plate[0] - picture) * share
    return picture


def _trunk(frame, labels, rim, dressing: Dressing, across, station, tone) -> list[tuple[np.ndarray, np.ndarray]]:
    """Skin at neck and belly and the other garment below, for a top or dress that leaves them open: (colour, share) to lay on
    in turn."""
    if dressing.category == "lower":
        return []
    inside = step_between(across, 1.08, 0.95)
    layers = []
    chest = SKIN_OF_TRUNK[labels] & ~rim
    neck = cv2.GaussianBlur(continue_colours(frame, chest), (0, 0), 3.0).astype(np.float32) if chest.sum() > 20 else tone
    layers.append((neck, inside * step_between(station, 0.55, 0.40)))
    if dressing.category == "upper":
        kept = LOWER[labels] & ~rim
        if kept.sum() > 50:
            wear = cv2.GaussianBlur(continue_colours(frame, kept), (0, 0), 0.8).astype(np.float32)
            layers.append((wear, inside * step_between(station, 0.60, 0.66)))
        layers.append((tone, inside * step_between(station, 0.38, 0.45) * step_between(station, 0.66, 0.60)))
    return layers


def _soft_light(light: np.ndarray) -> np.ndarray:
    """Light on skin: broad and mild, without the folds of the cloth it was read from."""
    broad = cv2.GaussianBlur(light, (0, 0), max(light.shape) / 60)
    return np.clip(1 + 0.6 * (broad - 1), 0.7, 1.25)


def kept_in_front(labels: np.ndarray) -> np.ndarray:
    """[h, w] bool: head, hands, arms, shoes and things: never to be overwritten by what fills the old garment's place. Skin of
    trunk and legs is not among them: the old hem's dark rim lies on it."""
    return ~(UPPER | LOWER | BACKGROUND | SKIN_OF_TRUNK | LEGS_BARE)[labels]
