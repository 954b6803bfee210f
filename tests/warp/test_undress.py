"""What shows where the old garment was: no rim of it, no black where the scene was never seen, limbs as wide as limbs."""

from dataclasses import replace

import numpy as np
import pytest

from vidvton.values import CIHP_LABELS, Part
from vidvton.warp.body import ARMS, BARE_LEG, LEGS, LIMB, measure_frame, torso_unit
from vidvton.warp.drape import OUTSIDE, PanelMap
from vidvton.warp.fit import WIDE
from vidvton.warp.grid import extend
from vidvton.warp.layers import Dressing, _waistband
from vidvton.warp.limbs import Limb, limb_on
from vidvton.warp.outfit import STEPS
from vidvton.warp.solve import _bare
from vidvton.warp.undress import fill

DRESS = CIHP_LABELS.index("dress")
SIZE = (60, 50)


@pytest.mark.parametrize("known_until", [0, 20, 30, 60])
def test_the_unknown_part_of_the_plate_never_shows(known_until):
    labels = np.zeros(SIZE, np.uint8)
    labels[10:50, 12:38] = DRESS
    old = labels == DRESS
    frame = np.full((*SIZE, 3), 200, np.uint8)
    frame[old] = 10
    known = np.zeros(SIZE, bool)
    known[:known_until] = True
    plate = np.where(known[..., None], np.uint8(200), np.uint8(0)).repeat(3, -1), known
    dressing = Dressing("full", None, {})
    bared = fill(frame, labels, old, dressing, None, [], np.full((2, 3), 0.5), np.ones(SIZE, np.float32), plate)
    assert not bared.bare
    assert bared.picture.min() >= 198 and bared.picture.max() <= 202


def test_an_arm_under_the_old_sleeve_goes_on_as_it_is_seen_below():
    height, width = 120, 60
    y, x = np.mgrid[:height, :width]
    side = ((x + 0.5 - 30) / 12).clip(-1, 1).astype(np.float32)
    arm = np.abs(x + 0.5 - 30) < 12
    labels = np.where(arm, CIHP_LABELS.index("left_arm"), 0).astype(np.uint8)
    labels[:50] = np.where(np.abs(x[:50] + 0.5 - 30) < 20, CIHP_LABELS.index("upper"), 0)
    skin = np.array([200.0, 150, 120]) * (0.85 + 0.15 * side)[..., None]  # lit from one side
    frame = np.where(arm[..., None], skin, 230).astype(np.uint8)
    frame[labels == CIHP_LABELS.index("upper")] = 20
    frame[50:53][arm[50:53]] = 90  # the hem's shadow on the arm
    station = (y / 60).astype(np.float32)
    limb = Limb(Part.LEFT_SLEEVE, side, np.abs(x + 0.5 - 30).astype(np.float32) / 12, station, 0.0)
    old, tone = labels == CIHP_LABELS.index("upper"), np.float32([[0.7, 0.55, 0.45]] * 2)
    bared = fill(frame, labels, old, Dressing("upper", None, {}), None, [limb], tone, np.ones((height, width), np.float32))
    inner = np.abs(x + 0.5 - 30) < 9
    wrong = np.abs(bared.picture - skin)[(y > 15) & (y < 53) & inner]
    assert wrong.mean() < 4 and np.quantile(wrong, 0.95) < 12
    assert bared.hems[51, 30] and not bared.hems[70:].any(), "the hem's shadow is painted over, the arm below is not"


def test_beyond_a_map_the_nearest_cell_goes_on():
    values = np.zeros((40, 30, 2))
    values[:20] = np.indices((20, 30)).transpose(1, 2, 0) + 100.0
    weight = np.zeros((40, 30))
    weight[:20] = 1
    filled, known = extend(values, weight)
    assert known[:20].all() and not known[30:].any()
    assert (filled[20:, :, 0] >= 110).all(), "an enlarged map must not run back through the picture below its end"
    assert np.abs(np.diff(filled[30:, 5, 0])).max() == 0


@pytest.mark.parametrize("beside", [0, 4])
def test_a_limb_is_as_wide_as_what_is_seen_below_the_cloth(beside):
    ratio = 0.85
    points = np.zeros((33, 3))
    for side, x in ((0, 70), (1, 130)):
        for row, joint in enumerate((*ARMS[side], *LEGS[side])):
            points[joint] = x, (10 + 60 * row if row < 3 else 160 + 125 * (row - 3)), 1
    labels = np.zeros((430, 200), np.uint8)
    for side, x in ((0, 70 + beside), (1, 130 - beside)):  # the bone may lie beside the middle
        for y in range(160, 410):
            half = ratio * np.interp((y - 160) / 125, LIMB, BARE_LEG) * torso_unit(points[:, :2])
            name = "pants" if y < 340 else ("left_leg", "right_leg")[side]
            labels[y, round(x - half) : round(x + half)] = CIHP_LABELS.index(name)
    measured = measure_frame(points, labels, True).slimness[0]
    assert np.isnan(measured[0]), "no bare arm is to be seen"
    assert measured[1] == pytest.approx(ratio, abs=0.08)


def test_the_lower_third_of_what_a_shot_shows_is_the_limb():
    slim = np.r_[np.full(10, 0.9), np.full(5, 1.6), [np.nan] * 20]  # another limb behind it for some frames
    assert np.allclose(_bare(slim, BARE_LEG), 0.9 * BARE_LEG)
    assert np.allclose(_bare(np.full(9, np.nan), BARE_LEG), BARE_LEG)
    assert np.allclose(_bare(np.array([0.8]), BARE_LEG), 0.8 * BARE_LEG), "a photo is a shot too"


def test_a_ragged_border_of_top_and_trousers_is_a_line():
    labels = np.full((500, 300), CIHP_LABELS.index("upper"), np.uint8)
    teeth = 250 + 8 * (np.arange(300) // 6 % 2)
    labels[np.arange(500)[:, None] >= teeth] = CIHP_LABELS.index("pants")
    border = (_waistband(labels) > 0.5).argmax(0)
    assert np.ptp(border[20:-20]) <= 2 and abs(border.mean() - 254) < 2


def test_raster_cells_stay_below_a_wrist():
    wrist = 2 * 0.06
    for torso in (20, 33, 60, 89, 130, 400):
        step, limb_step = next(steps for most, *steps in STEPS if torso < most)
        assert limb_step <= max(2, 0.75 * wrist * torso) and step <= limb_step and 8 % limb_step == 0


def test_what_is_seen_of_an_elbow_is_joined_to_the_painted_arm():
    height, width = 120, 90
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across = np.abs(x - 30) / 12
    labels = np.zeros((height, width), np.uint8)
    labels[10:80, 10:60] = CIHP_LABELS.index("upper")
    labels[60:80, 50:60] = CIHP_LABELS.index("left_arm")  # the elbow's tip looks out of the old sleeve, off the map
    labels[80:110, 18:42] = CIHP_LABELS.index("left_arm")
    frame = np.full((height, width, 3), 230, np.uint8)
    frame[labels == CIHP_LABELS.index("upper")] = 20
    frame[labels == CIHP_LABELS.index("left_arm")] = 200, 150, 120
    limb = Limb(Part.LEFT_SLEEVE, np.clip((x - 30) / 12, -1, 1), across, y / 60, 0.0)
    old, tone = labels == CIHP_LABELS.index("upper"), np.float32([[0.78, 0.59, 0.47]] * 2)
    bared = fill(frame, labels, old, Dressing("upper", None, {}), None, [limb], tone, np.ones((height, width), np.float32))
    between = bared.picture[66:74, 44:49]
    assert np.abs(between - (200, 150, 120)).max() < 45, "skin, not the wall"
    assert bared.picture[30, 55].min() > 200, "far from the elbow the old sleeve gives way to the wall"


def arm_beside(y, x, near=0.0):
    """A hanging arm around x = 30, whose station runs from 0 at the top to 2 at row 120."""
    return Limb(Part.LEFT_SLEEVE, np.clip((x - 30) / 12, -1, 1), np.abs(x - 30) / 12, y / 60, near)


@pytest.mark.parametrize("neckline", [False, True])
def test_a_neckline_beside_the_shoulder_does_not_end_the_painted_arm(neckline):
    """Under an old long sleeve the whole arm is painted down to the hand, though skin is seen above the shoulder, too."""
    height, width = 150, 60
    y, x = np.mgrid[:height, :width].astype(np.float32)
    upper, skin = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")
    labels = np.where(np.abs(x - 30) < 13, upper, 0).astype(np.uint8)
    labels[122:] = np.where(np.abs(x[122:] - 30) < 10, skin, 0)
    if neckline:
        labels[:8, 18:42] = skin
    frame = np.full((height, width, 3), 230, np.uint8)
    frame[labels == upper], frame[labels == skin] = 20, (200, 150, 120)
    old, tone = labels == upper, np.float32([[0.78, 0.59, 0.47]] * 2)
    bared = fill(
        frame, labels, old, Dressing("upper", None, {}), None, [arm_beside(y, x)], tone, np.ones((height, width), np.float32)
    )
    assert np.abs(bared.picture[40:110, 30] - (200, 150, 120)).max() < 45, "skin from the shoulder to the hand"


def test_skin_in_two_far_places_of_an_arm_is_enough():
    """Half of it at the shoulder, half at the hand, nothing at the station between where it is first seen on average."""
    height, width = 150, 60
    y, x = np.mgrid[:height, :width].astype(np.float32)
    upper, skin = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")
    labels = np.where(np.abs(x - 30) < 13, upper, 0).astype(np.uint8)
    labels[13:15, 26:29] = skin
    labels[130:138, 24:36] = skin
    frame = np.full((height, width, 3), 90, np.uint8)
    old, tone = labels == upper, np.float32([[0.78, 0.59, 0.47]] * 2)
    bared = fill(
        frame, labels, old, Dressing("upper", None, {}), None, [arm_beside(y, x)], tone, np.ones((height, width), np.float32)
    )
    assert np.isfinite(bared.picture).all()


def test_where_a_frame_shows_nothing_of_an_arm_the_shot_tells_how_far_it_is_the_sleeves():
    """The forearm is behind the trunk: cloth over it is the trunk's."""
    height, width = 150, 60
    y, x = np.mgrid[:height, :width].astype(np.float32)
    labels = np.full((height, width), CIHP_LABELS.index("upper"), np.uint8)
    frame, old = np.full((height, width, 3), 90, np.uint8), np.ones((height, width), bool)
    trunk = np.zeros((height, width), np.float32), y / 150
    tone, light = np.float32([[0.78, 0.59, 0.47]] * 2), np.ones((height, width), np.float32)

    def forearm(end):
        arm = replace(arm_beside(y, x, near=-1.0), end=end)
        bared = fill(frame, labels, old, Dressing("upper", None, {}), trunk, [arm], tone, light)
        return max(alpha[80:110].max() for _, alpha in bared.bare)

    assert forearm(np.inf) > 0.9 and forearm(1.9) > 0.9
    assert forearm(0.45) == 0


def test_a_painted_arm_is_as_wide_as_what_is_seen_below_the_old_sleeve_and_a_bracelet_is_no_skin():
    height, width = 150, 60
    y, x = np.mgrid[:height, :width].astype(np.float32)
    upper, skin = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")
    labels = np.where(np.abs(x - 30) < 16, upper, 0).astype(np.uint8)
    labels[70:] = np.where(np.abs(x[70:] - 30) < 9, skin, 0)  # the map has 12
    frame = np.full((height, width, 3), 230, np.uint8)
    frame[labels == upper], frame[labels == skin] = 20, (200, 150, 120)
    frame[76:80][labels[76:80] == skin] = 15
    old, tone = labels == upper, np.float32([[0.78, 0.59, 0.47]] * 2)
    bared = fill(
        frame, labels, old, Dressing("upper", None, {}), None, [arm_beside(y, x)], tone, np.ones((height, width), np.float32)
    )
    assert np.abs(bared.picture[20:60, 24:37] - (200, 150, 120)).max() < 35, "skin, and no dark strips of the bracelet's"
    assert bared.picture[20:60, [18, 42]].min() > 190, "beside it is the wall"


def skin_under_a_sleeve(aside: float, first: int):
    """What is painted of an arm whose joints lie around x = 30 and whose skin begins at row `first`, `aside` pixels off."""
    height, width = 150, 90
    y, x = np.mgrid[:height, :width].astype(np.float32)
    upper, skin = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")
    labels = np.where(np.abs(x - 30) < 28, upper, 0).astype(np.uint8)
    labels[first:] = np.where(np.abs(x[first:] - 30 - aside) < 10, skin, 0)
    frame = np.full((height, width, 3), 230, np.uint8)
    frame[labels == upper], frame[labels == skin] = 20, (200, 150, 120)
    old, tone = labels == upper, np.float32([[0.78, 0.59, 0.47]] * 2)
    limbs = [arm_beside(y, x)]
    bared = fill(frame, labels, old, Dressing("upper", None, {}), None, limbs, tone, np.ones((height, width), np.float32))
    return np.abs(bared.picture - (200, 150, 120)).max(-1) < 45


@pytest.mark.parametrize("aside", [-7, 7])
def test_a_painted_upper_arm_goes_to_where_its_skin_is_seen_beside_the_joints(aside):
    painted = skin_under_a_sleeve(aside, 45)
    middle = painted[:44] @ np.arange(90) / painted[:44].sum(1).clip(1)
    assert abs(middle[8] - 30) < 3, "at the shoulder it is where the joints are"
    assert abs(middle[40] - 30 - aside) < 3, "and it meets what is seen of it"


@pytest.mark.parametrize("half", [6, 10])
def test_an_arm_that_hangs_beside_cloth_is_as_wide_under_its_sleeve_as_below(half):
    height, width = 150, 90
    y, x = np.mgrid[:height, :width].astype(np.float32)
    upper, skin = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")
    labels = np.where((x > 10) & (x < 30 + 12), upper, 0).astype(np.uint8)
    labels[45:] = np.where(np.abs(x[45:] + 0.5 - 30) < half, skin, labels[45:] * (x[45:] < 30))
    frame = np.full((height, width, 3), 230, np.uint8)
    frame[labels == upper], frame[labels == skin] = 20, (200, 150, 120)
    arm = Limb(Part.LEFT_SLEEVE, np.clip((x + 0.5 - 30) / half, -1, 1), np.abs(x + 0.5 - 30) / half, y / 60, 0.0)
    old, tone = labels == upper, np.float32([[0.78, 0.59, 0.47]] * 2)
    bared = fill(frame, labels, old, Dressing("upper", None, {}), None, [arm], tone, np.ones((height, width), np.float32))
    painted = np.abs(bared.picture - (200, 150, 120)).max(-1)[12:38] < 45
    assert np.abs(painted.sum(1) - 2 * half).max() <= 2


def test_a_forearm_beside_its_joints_says_nothing_of_the_upper_arm():
    painted = skin_under_a_sleeve(9, 80)
    middle = painted[:50] @ np.arange(90) / painted[:50].sum(1).clip(1)
    assert np.abs(middle[8:50] - 30).max() < 2


def test_between_two_legs_a_map_does_not_come_nearer_again():
    """Beside its lattice a map is a mean of what lies around it."""
    across = np.r_[np.linspace(-1.3, 1.3, 14), 1.2, 1.1, 0.9, 1.1, OUTSIDE].astype(np.float32)[None].repeat(6, 0)
    flat, pair = np.zeros_like(across), np.zeros((*across.shape, 2), np.float32)
    reach = np.r_[np.ones(14), np.zeros(5)].astype(np.float32)[None].repeat(6, 0)
    m = PanelMap(Part.LEFT_LEG, pair, flat, across, flat, flat, flat, reach, 0.0)
    limb = limb_on(m, across.shape)
    assert (limb.across[:, 14:] >= WIDE[-1]).all() and np.allclose(limb.across[:, 2:12], np.abs(across[:, 2:12]), atol=0.2)


def test_floor_below_a_hem_does_not_climb_the_wall_and_hair_beside_cloth_goes_on():
    height, width = 60, 80
    labels = np.zeros((height, width), np.uint8)
    labels[5:40, 20:60] = DRESS
    labels[:14, 36:44] = CIHP_LABELS.index("hair")
    frame = np.full((height, width, 3), 220, np.uint8)
    frame[41:] = 120
    frame[labels == DRESS], frame[labels == CIHP_LABELS.index("hair")] = 20, 60
    old, light = labels == DRESS, np.ones((height, width), np.float32)
    picture = fill(frame, labels, old, Dressing("full", None, {}), None, [], np.full((2, 3), 0.5), light).picture
    assert picture[30:38, 24:56].min() > 200, "the wall"
    assert picture[15, 38:42].max() < 120, "hair"
