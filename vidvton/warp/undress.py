"""What shows where the old garment was and the new one is not: skin along the limb, skin at the neck, the other garment, the
background."""

from __future__ import annotations

import cv2
import numpy as np

from vidvton.values import Part
from vidvton.warp.body import AVERAGE_ARM, AVERAGE_LEG, BARE_ARM, LIMB, LOWER, UPPER
from vidvton.warp.drape import PanelMap, enlarge
from vidvton.warp.layers import BACKGROUND, HEAD, SKIN_OF_TRUNK, SLEEVES, Dressing, soften, step_between
from vidvton.warp.texture import continue_colours


def skin_shape(m: PanelMap, widths: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A bare limb on the working raster: `(alpha [h, w] 0-1, across [h, w] -1 to 1)`. `widths` [S, 2] are the clothed limb's
    edges at the LIMB stations in torso lengths; a bare limb is never wider than an average one."""
    average = AVERAGE_ARM if m.part in SLEEVES else AVERAGE_LEG
    station, across, reach = enlarge(m.station, size), enlarge(m.across, size), enlarge(m.reach, size)
    shares = []
    for k in (0, 1):
        clothed = np.abs(widths[:, k])
        shares.append(np.minimum(clothed, average) / np.maximum(clothed, 1e-6))
    thin = np.where(across < 0, *(np.interp(station, LIMB, s) for s in shares))
    own = across / np.maximum(thin, 0.2)
    ends = step_between(station, -0.05, 0.1) * step_between(station, 2.12, 2.0)
    return (step_between(np.abs(own), 1.08, 0.92) * ends * (reach > 0.5)).astype(np.float32), own


def fill(
    frame: np.ndarray,
    labels: np.ndarray,
    old: np.ndarray,
    dressing: Dressing,
    maps: list[PanelMap],
    limbs: list[PanelMap],
    limb_widths: dict[Part, np.ndarray],
    skin: np.ndarray,
    light: np.ndarray,
    plate: np.ndarray | None = None,
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """What lies under the old garment, at working size: the picture [h, w, 3] float32 0-255, and the bare limbs that lie before
    the trunk, each as (colour [h, w, 3], alpha [h, w]).

    `frame` [h, w, 3] uint8, `labels` [h, w], `old` [h, w] bool, `skin` [3] 0-1 the skin's colour, `light` [h, w] the shading
    factor, `plate` [h, w, 3] uint8 the background where it is known from other frames (None: continued from around the person).
    """
    size = labels.shape
    rim = cv2.dilate(old.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) > 0
    ground = BACKGROUND[labels] & ~rim
    scene = continue_colours(frame, ground) if plate is None else plate
    scene = cv2.GaussianBlur(scene, (0, 0), 2.0) if plate is None else scene
    # Right at the rim the nearest thing beside the old cloth is what continues: hand, hair, trousers, background.
    beside = cv2.GaussianBlur(continue_colours(frame, ~rim), (0, 0), 1.0)
    depth = cv2.distanceTransform(old.astype(np.uint8), cv2.DIST_L2, 3)
    near_rim = step_between(depth, 7.0, 3.0)[..., None]
    picture = beside * near_rim + scene * (1 - near_rim)
    tone = (skin * 255)[None, None] * _soft_light(light)[..., None]
    trunk = next((m for m in maps if m.part in (Part.TORSO, Part.SKIRT)), None)
    if trunk is not None:
        across, station = enlarge(np.abs(trunk.across), size), enlarge(trunk.station, size)
        inside = step_between(across, 1.08, 0.95)
        neck = inside * step_between(station, 0.55, 0.40) * (dressing.category != "lower")
        chest = continue_colours(frame, (SKIN_OF_TRUNK[labels]) & ~rim)
        neck_tone = cv2.GaussianBlur(chest, (0, 0), 6.0).astype(np.float32) if (SKIN_OF_TRUNK[labels] & ~rim).sum() > 80 else tone
        picture = picture * (1 - neck[..., None]) + neck_tone * neck[..., None]
        if dressing.category == "upper":
            below = inside * step_between(station, 0.60, 0.66)
            kept = (LOWER[labels]) & ~rim
            if kept.sum() > 200:
                wear = cv2.GaussianBlur(continue_colours(frame, kept), (0, 0), 1.5).astype(np.float32)
                picture = picture * (1 - below[..., None]) + wear * below[..., None]
            belly = inside * step_between(station, 0.38, 0.45) * step_between(station, 0.66, 0.60)
            picture = picture * (1 - belly[..., None]) + tone * belly[..., None]
    bare = []
    for m in limbs:
        if (m.part in SLEEVES) != (dressing.category != "lower") and dressing.category != "full":
            continue
        alpha, own = skin_shape(m, limb_widths[m.part], size)
        round_ = 1.0 - 0.16 * np.clip(np.abs(own), 0, 1) ** 3
        share, colour = alpha * soften(old), tone * round_[..., None]
        if m.part in SLEEVES and m.near <= 0 and share.max() > 0.02:
            bare.append((colour, share))
        picture = picture * (1 - share[..., None]) + colour * share[..., None]
    return picture.astype(np.float32), bare


def _soft_light(light: np.ndarray) -> np.ndarray:
    """Light on skin: broad and mild, without the folds of the cloth it was read from."""
    broad = cv2.GaussianBlur(light, (0, 0), max(light.shape) / 60)
    return np.clip(1 + 0.6 * (broad - 1), 0.7, 1.25)


def kept_in_front(labels: np.ndarray) -> np.ndarray:
    """[h, w] bool: head, hands, arms: never to be overwritten by what fills the old garment's place."""
    return HEAD[labels] | BARE_ARM[labels] | (~UPPER[labels] & ~LOWER[labels] & ~BACKGROUND[labels] & ~SKIN_OF_TRUNK[labels])
