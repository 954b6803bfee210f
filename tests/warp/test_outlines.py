"""Where cloth ends on a body: raised shoulders, hair beside the neck, long sleeves over short ones, long dresses, sharp sides."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from drawn_person import LABEL, draw, joints

from vidvton.values import Part
from vidvton.warp.body import column_axis, measure_frame, torso_unit
from vidvton.warp.fit import _lifted, _sleeve_width
from vidvton.warp.flat import row_extents
from vidvton.warp.layers import FEATHER, Dressing, _domain, _off_bare_arms, _on_own_arm, _within
from vidvton.warp.limbs import Limb
from vidvton.warp.panels import ANKLE, _length

UNIT, SIZE = 80.0, (320, 240)


@pytest.mark.parametrize("down, rise", [(0.5, 0.0), (0.0, 0.12), (-0.4, 0.2)])
def test_over_a_raised_arm_the_shoulder_is_higher(down, rise):
    points = joints(UNIT, (120, 90)).astype(np.float64)[:, :2]
    points[13] = points[11] + UNIT * np.array([np.sqrt(0.36 - down**2), down])
    lift = _lifted(points, np.array([1.0, 0.0]), UNIT)
    assert lift[1] == pytest.approx(rise, abs=0.02) and lift[0] == 0


def test_of_an_arm_that_points_at_the_camera_nothing_is_lifted():
    points = joints(UNIT, (120, 90)).astype(np.float64)[:, :2]
    points[13] = points[11] + (4, 0)
    assert (_lifted(points, np.array([1.0, 0.0]), UNIT) == 0).all()


def test_hair_beside_the_neck_does_not_hide_where_the_shoulders_are():
    points = joints(UNIT, (120, 90))
    _, labels, _ = draw(points, UNIT, SIZE)
    bare = measure_frame(points, labels, True).shoulder[0]
    neck = points[[11, 12], 0].mean()
    half = 0.34 * UNIT
    hair = labels.copy()
    for sign in (-1, 1):
        low, high = sorted((neck + sign * 0.2 * half, neck + sign * 0.66 * half))
        hair[60:110, int(low) : int(high)] = LABEL["hair"]
    assert measure_frame(points, hair, True).shoulder[0] == pytest.approx(bare, abs=0.06)
    hair[60:110] = LABEL["hair"]
    assert np.isnan(measure_frame(points, hair, True).shoulder[0])
    assert torso_unit(points[:, :2].astype(np.float64)) > 0 and len(column_axis(points[:, :2].astype(np.float64))[0])


@pytest.mark.parametrize("hem, puffed", [(0.5, True), (1.9, False)])
def test_a_long_sleeve_is_not_as_wide_as_the_short_one_it_replaces(hem, puffed):
    controls = np.linspace(0, hem, 9)
    panel = SimpleNamespace(hem=hem, stations=np.array([0.0, 2.0]), half_widths=np.array([0.11, 0.08]), part=Part.LEFT_SLEEVE)
    arm, old = np.full(9, 0.07), np.where(controls < 0.45, 0.14, 0.075)
    width = _sleeve_width(panel, controls, old, arm, 0.45, outer=True)
    above = controls < 0.3
    assert (width[above].min() > 0.13) == puffed
    assert np.abs(np.diff(width)).max() < 0.05, "no step"


def test_a_dress_that_is_longer_than_its_wearer_ends_above_the_shoes():
    body = SimpleNamespace(hem=1.05, waist=1.0, runs_on=np.nan)
    hem, stretch, tucked = _length(SimpleNamespace(category="full"), 3.1, 0.3, body)
    assert hem == ANKLE and 0.3 + (3.1 - 0.3) * stretch == pytest.approx(ANKLE) and not tucked
    assert _length(SimpleNamespace(category="full"), 1.8, 0.3, body) == (1.8, 1.0, False)


@pytest.mark.parametrize("half", [10.0, 40.0, 150.0])
def test_the_side_of_a_wide_panel_is_as_sharp_as_that_of_a_narrow_one(half):
    x = np.abs(np.arange(400, dtype=np.float32) - 200) / np.float32(half)
    inside = _within(np.tile(x, (20, 1)), 1.05)[10]
    edge = (inside > 0.01) & (inside < 0.99)
    assert inside[200] == 1 and inside[0] == 0 or half == 150
    assert edge.sum() <= 2 * (FEATHER + 1)
    assert (inside[x < 1.0 - FEATHER / half] == 1).all()


def test_an_edge_is_the_same_wherever_its_numbers_lie_in_memory():
    """A resumed render has other memory, and gives the same frames to the last bit."""
    rng, seen = np.random.default_rng(1), set()
    across = 1.5 + 0.01 * cv2.GaussianBlur(rng.standard_normal((184, 112)).astype(np.float32), (0, 0), 0.8)
    for _ in range(100):
        kept = [np.empty(size, np.uint8) for size in rng.integers(100, 90_000, rng.integers(1, 9))]
        seen.add(_within(across, 1.5).tobytes())
        del kept
    assert len(seen) == 1


def test_the_scallops_of_a_level_hem_are_no_rounded_hem():
    x, y = np.meshgrid(np.arange(300), np.arange(400))
    skirt = (np.abs(x - 150) < 60 + 0.2 * y) & (y >= 20) & (y < 370 + 6 * np.sin(x / 5) - 4 * (np.abs(x - 150) > 40))
    rows, left, right, corners = row_extents(skirt)
    assert corners == (len(rows), len(rows))
    round_hem = (np.abs(x - 150) < 60 + 0.2 * y) & (y >= 20) & (y < 370 - 60 * ((x - 150) / 130) ** 2)
    assert max(row_extents(round_hem)[3]) < 0.95 * len(rows)


@pytest.mark.parametrize("end", [np.inf, 0.6])
def test_below_the_old_sleeve_the_trunks_cloth_lies_before_an_arm_that_it_hides(end):
    """Old cloth over the inner half of an arm: a sleeve's above where old sleeves end, the trunk's below."""
    y, x = np.mgrid[:200, :120].astype(np.float32)
    across, station = np.abs(x - 60) / 40, y / 200
    arm = Limb(Part.LEFT_SLEEVE, np.clip((x - 100) / 10, -1, 1), np.abs(x - 100) / 10, y / 100, -1.0, end=end)
    trunk = SimpleNamespace(part=Part.TORSO)
    domain = _domain(trunk, 1.1, {}, np.full(x.shape, LABEL["upper"], np.uint8), across, station, [arm])
    shown = _off_bare_arms(Dressing("full", None, {}), across, station, [arm])
    over = np.minimum(domain, shown)[[20, 120], 97]
    assert over[0] < 0.2 and (over[1] > 0.8) == np.isfinite(end)


def test_skin_of_an_arm_before_the_trunk_does_not_look_out_beside_its_sleeve():
    """The joints' map lies a little beside the arm that is seen; the sleeve covers the arm, and no more of the trunk."""
    y, x = np.mgrid[:200, :120].astype(np.float32)
    arm = Limb(Part.LEFT_SLEEVE, np.clip((x - 60) / 10, -1, 1), np.abs(x - 60) / 10, y / 100, -1.0)
    labels = np.full(x.shape, LABEL["upper"], np.uint8)
    labels[:, 55:74] = LABEL["left_arm"]
    seen = _on_own_arm(SimpleNamespace(part=Part.LEFT_SLEEVE), 1.9, labels, np.abs(x - 50) / 60, [arm])
    assert (seen[100:160, 52:72] > 0.9).all() and seen[100:160, 78:104].max() < 0.1
