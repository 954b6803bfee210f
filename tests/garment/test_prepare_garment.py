"""What `prepare_garment` promises, on garments drawn by code."""

from __future__ import annotations

import cv2
import garment_drawings as drawings
import numpy as np
import pytest
import torch
from garment_drawings import BOTTOMS, TOPS, draw, understood

from vidvton.errors import MisuseError, VidvtonError
from vidvton.garment import draw_sheet, prepare_garment
from vidvton.garment.canonical import crop_box
from vidvton.values import LANDMARKS, Garment, Part

CATEGORY = {
    "tee": "upper",
    "long": "upper",
    "tank": "upper",
    "dress": "full",
    "trousers": "lower",
    "shorts": "lower",
    "skirt": "lower",
}
SLEEVE = {"tee": "short", "long": "long", "tank": "none", "dress": "none"}
LEG = {"dress": "skirt", "trousers": "long", "shorts": "shorts", "skirt": "skirt"}


def placed(garment: Garment, drawing: drawings.Drawing) -> tuple[np.ndarray, tuple[int, int]]:
    """(the garment's mask in the drawing's own frame, the crop's corner), by the true mask's crop."""
    box = crop_box(drawing.mask | drawing.hole)
    h, w = garment.alpha.shape
    # the crop may differ by a pixel or two: align by the best overlap nearby
    best, where = 0, (box[0], box[1])
    found = garment.mask.numpy()
    canvas = np.pad(drawing.mask, 60)
    for dx in range(-4, 5):
        for dy in range(-4, 5):
            x, y = box[0] + dx + 60, box[1] + dy + 60
            part = canvas[y : y + h, x : x + w]
            if part.shape == found.shape and (part & found).sum() > best:
                best, where = (part & found).sum(), (box[0] + dx, box[1] + dy)
    out = np.zeros(canvas.shape, bool)
    out[where[1] + 60 : where[1] + 60 + h, where[0] + 60 : where[0] + 60 + w] = found
    return out[60:-60, 60:-60], where


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def landmark_errors(garment: Garment, drawing: drawings.Drawing, corner: tuple[int, int]) -> dict[str, float]:
    """Distance of each drawn landmark from the found one, in shares of the garment's width."""
    wide = np.ptp(np.nonzero(drawing.mask.any(0))[0])
    out = {}
    for name, (x, y) in drawing.points.items():
        if name in LANDMARKS[garment.category]:
            px, py, score = garment.landmark(name)
            assert score > 0, name
            out[name] = float(np.hypot(px + corner[0] - x, py + corner[1] - y) / wide)
    return out


GROUNDS = [(kind, "plain") for kind in TOPS + BOTTOMS]
GROUNDS += [(kind, "wood") for kind in ("tee", "dress", "trousers")]
GROUNDS += [pytest.param(kind, "wood", marks=pytest.mark.slow) for kind in ("long", "tank", "shorts", "skirt")]
GROUNDS += [("tee", "gradient"), ("dress", "gradient"), ("skirt", "gradient"), ("tank", "rug"), ("shorts", "rug")]


@pytest.mark.parametrize(("kind", "on"), GROUNDS)
def test_mask_category_and_landmarks(kind: str, on: str) -> None:
    drawing = draw(kind, on=on)
    garment = understood(kind) if on == "plain" else understood(kind, on=on)
    assert garment.category == CATEGORY[kind]
    mask, corner = placed(garment, drawing)
    assert overlap(mask, drawing.mask) >= 0.95
    errors = landmark_errors(garment, drawing, corner)
    assert max(errors.values()) < 0.12, errors
    assert np.mean(list(errors.values())) < 0.04, errors
    assert garment.layout.sleeve == SLEEVE.get(kind)
    assert garment.layout.leg == LEG.get(kind)
    if drawing.hole.any():
        assert (mask & drawing.hole).sum() < 0.15 * drawing.hole.sum()


def test_left_is_the_wearers() -> None:
    garment = understood("tee")
    parts, width = garment.parts.numpy(), garment.parts.shape[1]
    assert np.nonzero(parts == Part.LEFT_SLEEVE)[1].mean() > 0.75 * width
    assert np.nonzero(parts == Part.RIGHT_SLEEVE)[1].mean() < 0.25 * width
    assert garment.landmark("cuff_outer_left")[0] > garment.landmark("cuff_outer_right")[0]
    legs = understood("trousers").parts.numpy()
    assert np.nonzero(legs == Part.LEFT_LEG)[1].min() > np.nonzero(legs == Part.RIGHT_LEG)[1].mean()


def test_parts_cover_the_garment_and_nothing_else() -> None:
    for kind, wanted in {
        "tee": {Part.TORSO, Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE},
        "tank": {Part.TORSO},
        "dress": {Part.TORSO, Part.SKIRT},
        "trousers": {Part.LEFT_LEG, Part.RIGHT_LEG},
        "skirt": {Part.SKIRT},
    }.items():
        garment = understood(kind)
        parts = garment.parts.numpy()
        assert {Part(v) for v in np.unique(parts)} - {Part.NONE} == wanted, kind
        assert ((parts > 0) == (garment.alpha.numpy() >= 0.5)).all()
        for part in wanted:  # each in one piece, but for crumbs
            count, _, stats, _ = cv2.connectedComponentsWithStats((parts == part).astype(np.uint8))
            sizes = stats[1:, cv2.CC_STAT_AREA]
            assert sizes.max() > 0.995 * sizes.sum(), (kind, part)


def test_legs_meet_at_the_centre_line() -> None:
    garment = understood("trousers")
    crotch = garment.landmark("crotch")
    parts = garment.parts.numpy()
    row = parts[int(crotch[1]) - 60]
    change = np.nonzero((row[:-1] == Part.RIGHT_LEG) & (row[1:] == Part.LEFT_LEG))[0]
    assert len(change) == 1 and abs(change[0] - crotch[0]) < 6


def test_image_holds_no_background_near_the_garment() -> None:
    garment = understood("tee", colour=(30, 60, 40))
    image = garment.image.movedim(0, -1).numpy().astype(int)
    reach = cv2.dilate(garment.mask.numpy().astype(np.uint8), np.ones((15, 15))) > 0
    # the ground is 246 grey, the cloth's brightest channel about 65
    assert image[reach].max() < 120


def test_pale_cloth_on_a_pale_ground() -> None:
    drawing = drawings.top("tee", on="plain", colour=(232, 232, 230))
    mask, _ = placed(prepare_garment(drawing.tensor), drawing)
    assert overlap(mask, drawing.mask) >= 0.95


def test_picture_alpha_is_used() -> None:
    drawing = drawings.top("tee", neck_inside=False)
    # cloth and ground of one colour: only alpha tells
    picture = torch.full_like(drawing.tensor, 200)
    garment = prepare_garment(picture, torch.from_numpy(drawing.mask.astype(np.float32)))
    mask, _ = placed(garment, drawing)
    assert overlap(mask, drawing.mask) > 0.985
    # an alpha that is opaque all over says nothing, and is not taken for a garment
    whole = prepare_garment(drawing.tensor, torch.ones(drawing.mask.shape))
    mask, _ = placed(whole, drawing)
    assert overlap(mask, drawing.mask) > 0.95


@pytest.mark.parametrize("angle", [-14, 8])
def test_tilted_pictures_are_turned_upright(angle: float) -> None:
    drawing = drawings.top("tee")
    h, w = drawing.mask.shape
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), angle, 0.9)
    picture = cv2.warpAffine(drawing.picture, turn, (w, h), borderValue=(246, 246, 246))
    garment = prepare_garment(torch.from_numpy(picture).movedim(-1, 0))
    left, right = (np.array(garment.landmark(f"hem_{s}")[:2]) for s in ("left", "right"))
    slope = np.degrees(np.arctan2(*(left - right)[::-1]))
    assert abs(slope) < 2.5
    assert garment.category == "upper"


def test_captions_below_are_not_cloth() -> None:
    drawing = drawings.bottom("shorts")
    picture = drawing.picture.copy()
    cv2.putText(picture, "EXCLUSIVE STYLE", (120, 470), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (60, 60, 60), 3)
    garment = prepare_garment(torch.from_numpy(picture).movedim(-1, 0))
    mask, _ = placed(garment, drawing)
    assert overlap(mask, drawing.mask) > 0.95


def test_rips_stay_garment_and_gaps_do_not() -> None:
    drawing = drawings.bottom("trousers")
    picture = drawing.picture.copy()
    cv2.ellipse(picture, (330, 380), (12, 18), 0, 0, 360, (238, 232, 228), -1)
    garment = prepare_garment(torch.from_numpy(picture).movedim(-1, 0))
    mask, _ = placed(garment, drawing)
    assert mask[380, 330]
    assert not mask[520, 260]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_pictures_are_refused(value: int) -> None:
    with pytest.raises(VidvtonError, match="no garment found"):
        prepare_garment(torch.full((3, 300, 240), value, dtype=torch.uint8))


def test_noise_and_empty_alpha_are_refused() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (150, 120, 3), np.uint8)).movedim(-1, 0)
    with pytest.raises(VidvtonError, match="no garment found"):
        prepare_garment(noise)
    with pytest.raises(VidvtonError, match="no garment found"):
        prepare_garment(drawings.top("tee").tensor, torch.zeros(drawings.SIZE))
    with pytest.raises(VidvtonError, match="no garment found"):
        prepare_garment(torch.zeros(3, 8, 8, dtype=torch.uint8))


def test_category_overrides_and_wrong_words() -> None:
    drawing = drawings.top("tank")
    garment = prepare_garment(drawing.tensor, category="full")
    assert garment.category == "full" and len(garment.landmarks) == len(LANDMARKS["full"])
    with pytest.raises(MisuseError, match="upper, lower, full"):
        prepare_garment(drawing.tensor, category="shirt")


def test_person_map_picks_the_garment() -> None:
    drawing = drawings.top("tee", neck_inside=False)
    labels = np.zeros(drawing.mask.shape, np.uint8)
    labels[drawing.mask] = 5  # CIHP upper
    labels[500:620, 200:320] = 9  # pants, smaller
    garment = prepare_garment(drawing.tensor, person=labels)
    mask, _ = placed(garment, drawing)
    assert overlap(mask, drawing.mask) > 0.96


def test_size_limit_and_margins() -> None:
    drawing = drawings.top("tee")
    garment = prepare_garment(drawing.tensor, max_side=320)
    assert max(garment.alpha.shape) <= 330
    mask = garment.mask.numpy()
    assert not mask[0].any() and not mask[-1].any() and not mask[:, 0].any() and not mask[:, -1].any()


def test_fabric_is_the_cloths_colour() -> None:
    for garment, colour in ((understood("tee"), (70, 90, 150)), (understood("tee", colour=(30, 60, 40)), (30, 60, 40))):
        assert np.abs(garment.fabric.numpy() * 255 - colour).max() < 12


def test_sheet_shows_picture_parts_and_points() -> None:
    drawing = drawings.top("tee")
    garment = understood("tee")
    sheet = draw_sheet(garment, drawing.tensor)
    assert sheet.dtype == torch.uint8 and sheet.shape[0] == 3 and sheet.shape[2] > 2 * sheet.shape[1] > 1000
    for colour in ((70, 140, 255), (255, 120, 60), (60, 200, 120)):  # the legend's torso and sleeves
        assert (sheet.movedim(0, -1) == torch.tensor(colour, dtype=torch.uint8)).all(-1).any()
