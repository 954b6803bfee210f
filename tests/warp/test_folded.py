"""What lies over itself: a sleeve laid across the trunk in the picture, and a sleeve on a bent arm."""

from dataclasses import replace

import cv2
import garment_drawings as drawings
import numpy as np
import pytest
import torch
from drawn_person import LABEL, draw, joints
from drawn_wear import SIZE, UNIT, scene, tee

from vidvton.garment import prepare_garment
from vidvton.values import Garment, Part
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.drape import map_panel
from vidvton.warp.fit import FittedPanel, fit_panels
from vidvton.warp.flat import folded_sleeve, hem_above_cuff, row_extents, worn_cloth
from vidvton.warp.layers import old_cloth
from vidvton.warp.limbs import Limb, folds_of, steady_folds
from vidvton.warp.panels import Panel, bare_limbs, panels_for
from vidvton.warp.solve import Body, solve_body


@pytest.fixture(scope="module")
def sweater() -> Garment:
    return prepare_garment(drawings.folded_sweater().tensor)


@pytest.fixture(scope="module")
def body() -> Body:
    _, labels, points = scene(sway=0.0)
    rows = [measure_frame(p, m, True) for p, m in zip(points, labels)]
    return solve_body(BodyMeasure.stack(rows), points, np.zeros(len(points)))


def colours(garment: Garment, panel: Panel) -> np.ndarray:
    """[R, 9, 3] what the panel's lattice shows of the picture, from the collar to above the hem."""
    picture = garment.image.movedim(0, -1).numpy()
    inner = panel.lattice[(panel.stations > 0.2) & (panel.stations < panel.hem - 0.05)].astype(int)
    return picture[inner[..., 1], inner[..., 0]].astype(int)


def test_a_sleeve_laid_across_the_trunk_is_not_worn_on_the_belly(sweater, body):
    trunk, *sleeves = panels_for(sweater, body)
    assert sweater.layout.sleeve == "long" and len(sleeves) == 2
    shown = colours(sweater, trunk)[:, 1:-1]
    level = np.abs(shown - np.median(shown, axis=1, keepdims=True)).max(-1) < 40
    assert level.mean() > 0.97, "stripes run straight across"
    hem = drawings.FOLDED[0][0][2][1] - drawings.FOLDED[0][0][0][1]
    cuff = drawings.FOLDED[2][0][3][1] - drawings.FOLDED[0][0][0][1]
    (top,), (low,) = (np.interp([s], trunk.stations, trunk.lattice[:, 4, 1]) for s in (-0.1, trunk.hem))
    assert abs(low - top - hem) < 0.35 * (cuff - hem)


def test_what_carries_a_print_is_not_mirrored(sweater, body):
    picture = np.full((*sweater.alpha.shape, 3), (190, 190, 190), np.uint8)
    picture[120:180, 130:200] = (30, 40, 160)
    printed = replace(sweater, image=torch.from_numpy(picture).movedim(-1, 0))
    (trunk, *_), (mirrored, *_) = panels_for(printed, body), panels_for(sweater, body)
    assert np.ptp(mirrored.lattice[20, :, 0]) < 0.7 * np.ptp(trunk.lattice[20, :, 0])


def test_a_sleeve_that_leaves_too_little_of_the_other_side_is_not_mirrored(sweater, body):
    whole = panels_for(sweater, body)[0].lattice
    parts = sweater.parts.numpy().copy()
    folded = folded_sleeve(sweater)
    below = np.zeros_like(parts, bool)
    below[folded.hem :] = True
    parts[below & (parts == Part.TORSO)] = Part.NONE
    left = int(np.flatnonzero((parts == Part.TORSO).any(0))[0])
    parts[folded.hem : folded.hem + 60, left : left + 30] = Part.TORSO  # the cuff hangs at the other side's edge
    trunk = panels_for(replace(sweater, parts=torch.from_numpy(parts)), body)[0].lattice
    assert folded_sleeve(replace(sweater, parts=torch.from_numpy(parts))) is not None
    assert np.ptp(trunk[20, :, 0]) > 1.4 * np.ptp(whole[20, :, 0])


def test_a_rounded_hem_a_gap_or_fringe_is_no_cuff(sweater):
    trunk = np.zeros((200, 200), bool)
    trunk[20:160, 40:160] = True
    cuff, gap, fringe = trunk.copy(), trunk.copy(), trunk.copy()
    rounded = cv2.ellipse(trunk.astype(np.uint8), (100, 160), (60, 24), 0, 0, 180, 1, -1) > 0
    cuff[160:185, 90:120] = True
    gap[130:136, 40:120] = False
    fringe[160:164, ::3] = fringe[159:160, ::3]
    assert [hem_above_cuff(m) for m in (trunk, rounded, cuff, gap, fringe)] == [None, None, 160, None, None]
    folded = folded_sleeve(sweater)
    assert folded is not None and folded.side == 1 and worn_cloth(sweater).sum() < (sweater.parts.numpy() > 0).sum()
    assert folded_sleeve(replace(sweater, layout=replace(sweater.layout, sleeve="short"))) is None


def test_no_rim_of_a_sleeve_counts_as_trunk():
    """What a sleeve's outline leaves over on its far side would make the trunk as wide as that, here and there."""
    picture = cv2.resize(drawings.folded_sweater().picture, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC)
    garment = prepare_garment(torch.from_numpy(picture).movedim(-1, 0))
    parts = garment.parts.numpy()
    assert (parts == Part.RIGHT_SLEEVE).any()
    rows, left, _, _ = row_extents((parts == Part.TORSO) & worn_cloth(garment))
    assert np.abs(np.diff(left[len(rows) // 4 : -len(rows) // 6])).max() < 1.5


def test_a_top_without_sleeves_but_with_a_neck_is_no_skirt():
    shell = drawings.draw("shell")
    picture = shell.picture.copy()
    _, hole = drawings._neck(54, 92, 40)
    inside = drawings._fill(hole)[..., None] > 0.5
    dark = np.where(inside, 0.5 * np.median(picture[shell.mask], 0), picture)
    read = prepare_garment(torch.from_numpy(dark.astype(np.uint8)).movedim(-1, 0))
    assert read.category == "upper"


def test_a_waistband_whose_inside_shows_is_no_neck():
    skirt = drawings.draw("skirt", colour=(40, 50, 110))
    x, y = np.meshgrid(np.arange(drawings.SIZE[1]), np.arange(drawings.SIZE[0]))
    sag = 150 + 22 * (1 - ((x - drawings.CENTRE) / 66.0) ** 2)  # the waist in front hangs lower than behind
    inside = skirt.mask & (y < sag)
    dark = np.where(inside[..., None], 0.45 * skirt.picture, skirt.picture).astype(np.uint8)
    assert prepare_garment(torch.from_numpy(dark).movedim(-1, 0)).category == "lower"


def bent_arm(*, bare: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, joints [5, 33, 3], depth [5, 33]) of somebody whose left hand is at the shoulder, nearer than that, the forearm
    seen as skin or not."""
    points = np.stack([joints(UNIT, (SIZE[1] / 2, 90), left_wrist=(0.36, 0.05))] * 5)
    _, labels, _ = draw(points[0], UNIT, SIZE)
    elbow, wrist = points[0, 13, :2], points[0, 15, :2]
    if bare:
        ends = (elbow * 0.8 + wrist * 0.2, wrist * 1.1 - elbow * 0.1)
        cv2.line(labels, *(tuple(np.round(p).astype(int)) for p in ends), LABEL["left_arm"], 15)
    depth = np.zeros((5, 33))
    depth[:, 13], depth[:, 15] = -10, -40
    return labels, points, depth


def fitted(labels: np.ndarray, points: np.ndarray, depth: np.ndarray) -> tuple[FittedPanel, ...]:
    body = solve_body(BodyMeasure.stack([measure_frame(p, labels, True) for p in points]), points, np.zeros(5))
    return fit_panels(bare_limbs(), body, points, depth, np.zeros(5))


@pytest.mark.parametrize("bare, ends, fold", [(True, 0.7, "over"), (False, 0.7, "under"), (False, 1.9, "over")])
def test_how_a_bent_arm_lies_is_told_by_its_skin_or_under_cloth_by_the_pose(bare, ends, fold):
    labels, points, depth = bent_arm(bare=bare)
    limbs = fitted(labels, points, depth)
    _, folds = folds_of(limbs, 2, labels, {Part.LEFT_SLEEVE: ends, Part.RIGHT_SLEEVE: ends})
    assert folds[Part.LEFT_SLEEVE] == fold and folds[Part.RIGHT_SLEEVE] == folds[Part.LEFT_LEG] == "none"


def test_a_fold_does_not_change_for_a_frame_or_two():
    said = ["over"] * 9 + ["under"] * 2 + ["over"] * 9 + ["none"] * 12
    steady = [row[Part.LEFT_SLEEVE] for row in steady_folds([{Part.LEFT_SLEEVE: fold} for fold in said])]
    assert steady == ["over"] * 20 + ["none"] * 12 and steady_folds([]) == []


def test_long_sleeves_end_where_the_old_long_ones_do(sweater, body):
    for old, ends in ((2.1, 2.1), (1.95, 1.95), (0.7, 1.98)):
        _, *sleeves = panels_for(sweater, replace(body, cuffs=np.array([old, np.nan])))
        assert all(abs(sleeve.hem - ends) < 0.11 for sleeve in sleeves)
    _, *short = panels_for(tee(), replace(body, cuffs=np.array([2.1, 2.1])))
    assert all(sleeve.hem < 1 for sleeve in short)


def test_around_a_hand_below_the_trunks_map_a_dress_stays():
    """A top's own trunk ends above the hand; what lies below it is the dress's still."""
    labels = np.full((120, 90), LABEL["dress"], np.uint8)
    across, station = np.full(labels.shape, 9.0, np.float32), np.tile(np.linspace(0, 2, 120, dtype=np.float32)[:, None], 90)
    across[:70, 20:70] = 0.5
    near = np.full(labels.shape, 9.0, np.float32)
    near[80:100, 60:68] = 0.5
    arm = Limb(Part.LEFT_SLEEVE, near, near, np.full(labels.shape, 2.2, np.float32), -1.0)
    old = old_cloth(labels, "upper", (across, station), 0.7, [arm])
    assert old[:40].all() and not old[45:].any()


def test_where_a_bent_arm_lies_over_itself_one_sheet_is_seen():
    labels, points, depth = bent_arm(bare=False)
    arm = next(f for f in fitted(labels, points, depth) if f.panel.part == Part.LEFT_SLEEVE)
    maps = {fold: map_panel(arm, 2, 0.0, SIZE, step=1, fold=fold).station for fold in ("over", "under")}
    upper, lower = points[2, 11:13:2, :2], points[2, 13:17:2, :2]
    shoulder, elbow, wrist = upper[0], lower[0], lower[1]
    crossing = np.rint((0.5 * (shoulder + elbow) + 0.5 * (wrist + elbow)) / 2).astype(int)
    at = crossing[1], crossing[0]
    assert maps["under"][at] < 0.9 and maps["over"][at] > 1.2
