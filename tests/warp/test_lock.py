"""What the new cloth follows, and what it does not: the old cloth, no hand that passes before it, no legs under a skirt."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL, draw, joints
from test_fit_and_drape import SIZE, UNIT, tee

from vidvton.frames import from_arrays
from vidvton.values import LANDMARKS, Garment, Layout, Part
from vidvton.warp.body import COLUMN, BodyMeasure, measure_frame
from vidvton.warp.fit import fit_panels
from vidvton.warp.layers import old_cloth
from vidvton.warp.limbs import Limb
from vidvton.warp.lock import lock_to_cloth
from vidvton.warp.panels import CROTCH_STATION, panels_for
from vidvton.warp.shade import learn_albedo, make_reader, shading
from vidvton.warp.solve import solve_body

COUNT, STEP = 16, 8
CELLS = (SIZE[0] // STEP, SIZE[1] // STEP)


def flared_skirt() -> Garment:
    """A skirt lying as a sector of a ring, seven stripes along its pleats: its hem hangs deepest in the middle."""
    y, x = np.mgrid[:300, :320].astype(np.float32)
    radius, angle = np.hypot(x - 160, y + 100), np.arctan2(x - 160, y + 100)
    inside = (radius > 140) & (radius < 360) & (np.abs(angle) < 0.42)
    parts = np.where(inside, np.uint8(Part.SKIRT), np.uint8(0))
    picture = np.where((np.floor(angle / 0.06) % 2 == 0)[..., None], np.uint8([200, 180, 60]), np.uint8([120, 90, 30]))
    rows = torch.zeros(len(LANDMARKS["lower"]), 3)
    fabric = torch.tensor([200, 180, 60]) / 255
    alpha = torch.from_numpy(inside.astype(np.float32))
    return Garment(from_arrays(picture), alpha, torch.from_numpy(parts), "lower", rows, Layout(None), fabric)


@pytest.fixture(scope="module")
def still():
    """A person who stands: (labels, keypoints [T, 33, 3], body)."""
    points = joints(UNIT, (SIZE[1] / 2, 90))
    _, labels, _ = draw(points, UNIT, SIZE)
    measure = BodyMeasure.stack([measure_frame(points, labels, True)] * COUNT)
    many = np.repeat(points[None], COUNT, 0)
    return labels, many, solve_body(measure, many, np.zeros(COUNT))


def fitted(garment, body, points):
    return fit_panels(panels_for(garment, body), body, points, np.zeros((COUNT, 33)), np.zeros(COUNT))


def test_a_hand_that_passes_does_not_take_the_print_along(still):
    labels, points, body = still
    few = labels[STEP // 2 :: STEP, STEP // 2 :: STEP]
    row, motion = int((points[0, 11, 1] + 0.45 * UNIT) / STEP), []
    for t in range(COUNT):  # four cells wide, a cell and a half a frame; flow bleeds two cells round it
        flow, seen = np.zeros((*CELLS, 2), np.float32), few.copy()
        first = 8 + round(1.5 * t)
        flow[row - 4 : row + 4, max(0, first - 2) : first + 6, 0] = 12.0
        seen[row - 2 : row + 2, first : first + 4] = LABEL["left_arm"]
        motion.append((flow, seen, {}))
    shift = lock_to_cloth(fitted(tee(), body, points), np.zeros(COUNT), motion, step=STEP)[0]
    assert max(np.abs(s.values[..., 0]).max() for s in shift) < 0.03

    drifting = [(np.full((*CELLS, 2), (2.0, 0.0), np.float32), few, {})] * COUNT
    shift = lock_to_cloth(fitted(tee(), body, points), np.zeros(COUNT), drifting, step=STEP)[0]
    assert np.abs(shift[-1].values[..., 0]).max() > 0.1, "the cloth's own motion is followed"


def test_a_skirt_does_not_go_the_ways_of_two_legs(still):
    labels, points, body = still
    few = labels[STEP // 2 :: STEP, STEP // 2 :: STEP]
    flow = np.zeros((*CELLS, 2), np.float32)
    crotch = int((points[0, 23, 1] + (CROTCH_STATION - 1) * UNIT) / STEP) + 1
    flow[crotch:, : CELLS[1] // 2, 0], flow[crotch:, CELLS[1] // 2 :, 0] = -3.0, 3.0
    shift = lock_to_cloth(fitted(flared_skirt(), body, points), np.zeros(COUNT), [(flow, few, {})] * COUNT, step=STEP)[0]
    assert max(np.abs(s.values[..., 0]).max() for s in shift) < 0.05


def test_a_flared_skirts_pleats_are_of_one_length_and_its_hem_is_level(still):
    _, _, body = still
    (panel,) = panels_for(flared_skirt(), body)
    ends = [[np.interp(station, panel.stations, panel.lattice[:, k, axis]) for axis in (0, 1)]
            for station in (panel.stations[1] + 0.05, panel.hem) for k in (0, 2, 4, 6, 8)]  # fmt: skip
    radius = np.array([np.hypot(x - 160, y + 100) for x, y in ends])
    assert np.ptp(radius[5:]) < 12, "the hem lies on the ring's outer arc"
    angle = np.array([np.arctan2(x - 160, y + 100) for x, y in ends])
    assert np.abs(angle[:5] - angle[5:]).max() < 0.06, "a place across stays on its pleat"


def test_long_sleeves_beside_the_trunk_do_not_widen_it():
    points = joints(UNIT, (SIZE[1] / 2, 90))
    for elbow, wrist in ((13, 15), (14, 16)):  # arms that hang close
        points[[elbow, wrist], 0] = SIZE[1] / 2 + (points[elbow, 0] - SIZE[1] / 2) * 0.85
    _, labels, _ = draw(points, UNIT, SIZE, long_sleeve=True)
    wider = cv2.dilate((labels == LABEL["upper"]).astype(np.uint8), np.ones((11, 11))) > 0  # loose sleeves
    labels[wider & (labels == 0)] = LABEL["upper"]
    row = measure_frame(points, labels, True)
    low = (COLUMN > 0.35) & (COLUMN < 0.7)
    wide = np.abs(row.edges[0, low]) > 0.46  # the drawn trunk is 0.43 to 0.39 wide there
    assert wide.any() and (row.edges_trust[0, low][wide] < 0.05).all()


def test_the_sleeves_of_a_dress_are_a_tops_to_replace():
    labels = np.full((20, 30), LABEL["dress"], np.uint8)
    station = np.repeat(np.linspace(0, 2, 20)[:, None], 30, 1)
    across = np.abs(np.arange(30) - 25)[None] / 3.0 * np.ones((20, 1))
    arm = Limb(Part.LEFT_SLEEVE, across.clip(0, 1), across, np.full((20, 30), 1.2), 0.0)
    column = np.abs(np.arange(30) - 12)[None] / 9.0 * np.ones((20, 1)), station
    top, skirt = (old_cloth(labels, category, column, 0.7, [arm]) for category in ("upper", "lower"))
    assert top[15, 25] and not skirt[15, 25] and skirt[15, 5] and not top[15, 5]
    assert (top ^ skirt).all()


def test_stripes_cast_no_shadow():
    points = joints(UNIT, (SIZE[1] / 2, 90))
    frame, labels, _ = draw(points, UNIT, SIZE, top=(235, 232, 228))
    upper = labels == LABEL["upper"]
    middle = np.abs(np.arange(SIZE[1]) - SIZE[1] / 2) < 0.3 * UNIT
    frame[upper & (np.arange(SIZE[0]) // 5 % 2 == 0)[:, None] & middle] = (30, 30, 34)
    frame[upper & ~middle] = (70, 70, 74)  # an open coat, of the colour between two stripes
    frame = cv2.GaussianBlur(frame, (0, 0), 1.2)  # a camera's edges
    light, _ = shading(frame, labels, make_reader(learn_albedo(frame[None], labels[None])))
    core = cv2.erode(upper.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.abs(light[core] - 1).max() < 0.2


def test_a_skirt_falls_straight_from_the_waist_to_its_hem(still):
    _, points, body = still
    (panel,) = panels_for(flared_skirt(), body)
    middle = np.sin(np.pi * np.linspace(0, 1, len(panel.half_widths)))
    (hung,) = fit_panels((replace(panel, half_widths=panel.half_widths + 0.5 * middle),), body, points, *np.zeros((2, COUNT, 33)))
    width = np.linalg.norm(hung.points[0, :, 2] - hung.points[0, :, 0], axis=-1)
    ends = [np.interp(0.72, hung.controls, width), np.interp(panel.hem, hung.controls, width)]
    below = (hung.controls > 1.3) & (hung.controls < panel.hem)
    assert below.sum() > 3 and (width[below] < 1.1 * np.interp(hung.controls[below], [0.72, panel.hem], ends)).all()
