"""Garments of less common cuts: what they are taken for, and what is kept of them."""

from __future__ import annotations

import cv2
import garment_drawings as drawings
import numpy as np
import pytest
import torch

from vidvton.garment import prepare_garment
from vidvton.values import Garment, Part


def prepared(picture: np.ndarray) -> Garment:
    return prepare_garment(torch.from_numpy(picture).movedim(-1, 0))


@pytest.mark.parametrize(
    ("kind", "category", "sleeve", "leg"),
    [
        ("crop", "upper", "long", None),  # the gap between its sleeves is none between legs
        ("camisole", "upper", "none", None),  # straps do not make a dress of it
        ("strapless", "full", "none", "skirt"),
        ("jumpsuit", "full", "short", "long"),
        ("halter", "upper", "none", None),  # narrow at its top alone, as no skirt is
        ("mini", "full", "short", "skirt"),
        ("bubble", "lower", None, "skirt"),
        ("open coat", "upper", "long", None),  # no crotch lies at the chest
    ],
)
def test_category_and_layout(kind: str, category: str, sleeve: str, leg: str | None) -> None:
    garment = drawings.understood(kind)
    assert (garment.category, garment.layout.sleeve, garment.layout.leg) == (category, sleeve, leg)


def test_a_narrow_cuff_has_two_corners() -> None:
    garment = drawings.understood("balloon")
    for side in ("left", "right"):
        outer, inner = (np.array(garment.landmark(f"cuff_{name}_{side}")[:2]) for name in ("outer", "inner"))
        assert 18 < abs(outer[0] - inner[0]) < 36 and abs(outer[1] - inner[1]) < 12


def test_a_jumpsuit_has_legs_below_its_trunk() -> None:
    parts = drawings.understood("jumpsuit").parts.numpy()
    rows = {p: np.nonzero(parts == p)[0] for p in (Part.TORSO, Part.LEFT_LEG, Part.RIGHT_LEG)}
    assert all(len(r) for r in rows.values())
    assert rows[Part.TORSO].max() < rows[Part.LEFT_LEG].max() - 0.4 * len(parts)


POLO = {  # right halves of a picture 640 wide
    "inside": [(320, 150), (376, 140), (366, 180), (320, 205)],
    "cloth": [(320, 190), (376, 160), (496, 205), (576, 270), (636, 430), (546, 470), (511, 404), (511, 860), (320, 865)],
    "collar": [(320, 215), (336, 180), (376, 135), (406, 175), (366, 245), (320, 240)],
}


def polo(cloth, inside, leaf) -> tuple[np.ndarray, np.ndarray]:
    """(picture, mask of the collar's leaves) of a tee with a collar of another colour, dark inside its neck."""
    picture, cover = np.full((1000, 640, 3), 246, np.uint8), np.zeros((1000, 640), np.uint8)
    for (name, half), colour in zip(POLO.items(), (inside, cloth, leaf)):
        for side in (half, [(640 - x, y) for x, y in half]):
            cv2.fillPoly(picture, [np.array(side)], colour, cv2.LINE_AA)
            if name == "collar":
                cv2.fillPoly(cover, [np.array(side)], 1)
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), cover > 0


@pytest.mark.parametrize(
    ("cloth", "inside", "leaf"),
    [((40, 60, 130), (20, 30, 70), (215, 215, 212)), ((230, 228, 220), (150, 148, 140), (40, 40, 60))],
)
def test_a_collar_of_another_colour_stays(cloth, inside, leaf) -> None:
    picture, leaves = polo(cloth, inside, leaf)
    garment = prepared(picture)
    kept = np.abs(garment.image.numpy().astype(int).transpose(1, 2, 0) - leaf).max(-1) < 12
    assert (kept & garment.mask.numpy()).sum() > 0.8 * leaves.sum()


@pytest.mark.parametrize("colour", [(70, 90, 150), (235, 235, 232)])
@pytest.mark.parametrize(("half", "height"), [(10, 12), (18, 22)])
def test_a_label_is_no_neck_between_leaves(colour, half: int, height: int) -> None:
    drawing = drawings.top("tee", colour=colour)
    picture, c = drawing.picture.copy(), int(drawings.CENTRE)
    top = int(np.nonzero(drawing.hole[:, c])[0][0]) + 1
    picture[top : top + height, c - half : c + half] = (20, 20, 20) if sum(colour) > 400 else (240, 240, 240)
    cut = prepared(picture).mask.numpy()
    assert abs(int(cut.sum()) - int(drawing.mask.sum())) < 0.2 * drawing.hole.sum()


def test_shadowed_ground_in_the_narrow_gap_under_an_arm_is_no_cloth() -> None:
    garment = prepared(drawings.cut("jacket", colour=(30, 36, 60), shadow=0.15).picture)
    cloth = garment.image.numpy().transpose(1, 2, 0)[garment.alpha.numpy() > 0.9]
    assert len(cloth) > 50_000 and (cloth.min(-1) > 120).sum() < 50
