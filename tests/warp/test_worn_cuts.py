"""Garments of less common cuts on a drawn person: jumpsuits, strapless dresses, thin straps, hoods."""

from dataclasses import replace

import cv2
import garment_drawings as drawings
import numpy as np
import pytest
import torch
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, scene
from garment_drawings import understood as read

from vidvton.garment import prepare_garment
from vidvton.garment.canonical import crop_box
from vidvton.values import Garment, Part
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.fit import fit_panels, is_billowing
from vidvton.warp.flat import is_halter, is_strapless
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.panels import panels_for
from vidvton.warp.shade import learn_albedo
from vidvton.warp.solve import solve_body

SHOULDERS, MIDDLE = 90, SIZE[1] // 2
BREAST = slice(MIDDLE - round(0.3 * UNIT), MIDDLE + round(0.3 * UNIT))  # columns in which no painted arm lies


@pytest.fixture(scope="module")
def stood():
    """Frames, labels and joints of somebody who stands still, and their body."""
    frames, labels, points = scene(sway=0.0)
    body = solve_body(
        BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)]), points, np.zeros(len(points))
    )
    return frames, labels, points, body


def worn(garment: Garment, stood) -> np.ndarray:
    """[h, w] float32 where the garment's cloth lies in one frame."""
    frames, labels, points, body = stood
    still = np.zeros((len(points), 33)), np.zeros(len(points))
    outfit = fit_outfit((garment,), body, learn_albedo(frames, labels), points, *still)
    (drawn,) = outfit.draw(2, frames[2], labels[2], SIZE)
    cloth = np.zeros(SIZE, np.float32)
    for layer in drawn.layers:
        (top, left), (height, width) = layer.corner, layer.alpha.shape
        np.maximum(
            cloth[top : top + height, left : left + width], layer.alpha, out=cloth[top : top + height, left : left + width]
        )
    return cloth


def rows(first: float, last: float) -> slice:
    """Picture rows between two stations of the trunk."""
    return slice(round(SHOULDERS + first * UNIT), round(SHOULDERS + last * UNIT))


def test_a_jumpsuit_clothes_trunk_and_legs(stood):
    garment = read("jumpsuit")
    panels = panels_for(garment, stood[3])
    assert {p.part for p in panels} >= {Part.TORSO, Part.LEFT_LEG, Part.RIGHT_LEG}
    trunk = next(p for p in panels if p.part == Part.TORSO)
    assert 0.7 < trunk.hem < 1.1 and not trunk.hangs, "the trunk's cloth ends above the crotch"
    assert all((np.diff(p.stations) > 0).all() for p in panels)
    cloth, points = worn(garment, stood), stood[2][2]
    assert cloth[rows(0.2, 1.1), MIDDLE - 6 : MIDDLE + 6].min() > 0.95, "no gap where trunk and legs meet"
    for knee, ankle in ((25, 27), (26, 28)):
        x, y = (0.5 * (points[knee] + points[ankle])[:2]).round().astype(int)
        assert cloth[y - 3 : y + 3, x - 3 : x + 3].min() > 0.9
    between = 0.5 * (points[27] + points[28])[:2]
    assert cloth[int(between[1]) - 8, int(between[0])] < 0.1


def test_a_strapless_dress_begins_at_the_chest(stood):
    garment = read("strapless")
    assert is_strapless(garment)
    shells = (read(kind, category="upper") for kind in ("tank", "shell"))
    assert not any(is_strapless(g) for g in shells), "a boat neck is no bodice's edge"
    cloth = worn(garment, stood)
    assert cloth[: rows(0.15, 1).start, BREAST].max() < 0.1
    assert cloth[rows(0.35, 1.2), MIDDLE - 10 : MIDDLE + 10].min() > 0.95
    assert (stood[1][2][rows(0.05, 0.1), BREAST] == LABEL["upper"]).all(), "where the old tee was"


def test_a_halter_leaves_the_shoulders_bare(stood):
    garment = read("halter")
    assert is_halter(garment) and not is_strapless(garment)
    others = (read(kind) for kind in ("strapless", "camisole", "rollneck", "tank"))
    assert not any(is_halter(g) for g in others)
    cloth = worn(garment, stood)
    assert cloth[rows(-0.05, 0.1), MIDDLE - 4 : MIDDLE + 4].min() > 0.9, "it is held at the neck"
    assert cloth[rows(-0.06, 0.0), BREAST.stop - 3 : BREAST.stop].max() < 0.3
    assert cloth[rows(0.45, 0.6), BREAST].min() > 0.8


def test_straps_stay_narrow_over_an_old_tee(stood):
    cloth = worn(read("camisole"), stood)
    for row in range(rows(0.04, 0.12).start, rows(0.04, 0.12).stop):
        right = cloth[row, MIDDLE:] > 0.5  # from the middle outwards: the neckline, the strap, a bare shoulder
        strap = int(right.argmax())
        assert 0.1 * UNIT < strap < 0.4 * UNIT
        assert int((~right[strap:]).argmax()) < 0.12 * UNIT


def test_a_short_dress_that_flares_hangs_free(stood):
    flared, straight = (panels_for(g, stood[3])[0] for g in (read("mini"), read("tee")))
    assert flared.hangs and not straight.hangs
    hips, cloth = stood[1][2] > 0, worn(read("mini"), stood)
    row = rows(flared.hem - 0.12, flared.hem).start
    assert (cloth[row] > 0.5).sum() > 1.25 * hips[rows(1.1, 1.2).start, MIDDLE - 45 : MIDDLE + 45].sum()


def test_a_long_top_hangs_between_the_legs(stood):
    frames, labels, points, body = stood
    free = replace(body, hem=np.nan)
    (trunk, *_), cloth = panels_for(read("jacket"), free), worn(read("jacket"), (frames, labels, points, free))
    band = rows(1.25, trunk.hem - 0.03), slice(MIDDLE - 3, MIDDLE + 3)
    assert trunk.hem > 1.3
    assert (labels[2][band] == 0).any(), "there is ground between the legs"
    assert cloth[band].min() > 0.9


def test_billowing_sleeves_stand_off_the_forearm(stood):
    _, _, points, body = stood
    widths = []
    for garment in (read("balloon"), read("long")):
        panels = panels_for(garment, body)
        sleeve = next(p for p in panels if p.part == Part.LEFT_SLEEVE)
        fitted = fit_panels((sleeve,), body, points, np.zeros((len(points), 33)), np.zeros(len(points)))[0]
        ends = fitted.points[2]
        half = np.linalg.norm(ends[:, 2] - ends[:, 0], axis=-1) / 2 / body.unit[2]
        widths.append((is_billowing(sleeve, body), np.interp(1.2, fitted.controls, half)))
    (balloon, wide), (ordinary, slim) = widths
    assert balloon and not ordinary and wide > 1.3 * slim


def tee() -> drawings.Drawing:
    return drawings.top("tee", colour=(190, 90, 40), neck_inside=False)


def hood_mask() -> np.ndarray:
    mask = np.zeros(drawings.SIZE, np.uint8)
    cv2.ellipse(mask, (int(drawings.CENTRE), 84), (62, 74), 0, 0, 360, 1, -1)
    return mask > 0


def hooded() -> Garment:
    """That tee with a hood up, two thirds as broad as its shoulders."""
    picture = tee().picture.copy()
    picture[hood_mask()] = (190, 90, 40)
    return prepare_garment(torch.from_numpy(picture).movedim(-1, 0))


def test_a_hood_does_not_pull_the_shoulders_down(stood):
    """The rows of the picture below the shoulder that two stations of the body read, with a hood and without."""
    bare, hood = (panels_for(g, stood[3])[0] for g in (prepare_garment(tee().tensor), hooded()))
    corners = [crop_box(mask)[1] for mask in (tee().mask, hood_mask() | tee().mask)]
    for station in (0.3, 0.5):
        plain, under = (
            corner + float(np.interp(station, p.stations, p.lattice[:, 4, 1])) for corner, p in zip(corners, (bare, hood))
        )
        assert abs(under - plain) < 9
