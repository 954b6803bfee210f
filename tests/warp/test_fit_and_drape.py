"""The fit on a drawn person: where panels lie, that they turn, follow the cloth, and come out where they must."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL, draw, joints
from drawn_wear import SIZE, UNIT, scene, tee, trousers

from vidvton.values import Part
from vidvton.warp.body import COLUMN, BodyMeasure, measure_frame
from vidvton.warp.canvas import Canvas
from vidvton.warp.drape import enlarge, map_panel
from vidvton.warp.fit import fit_panels
from vidvton.warp.layers import panel_layer
from vidvton.warp.lock import LARGEST_SHIFT
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.panels import panels_for
from vidvton.warp.shade import learn_albedo, make_reader, shading
from vidvton.warp.shape_context import warp_by_shape
from vidvton.warp.solve import solve_body
from vidvton.warp.texture import print_mask


@pytest.fixture(scope="module")
def standing():
    frames, labels, points = scene()
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)])
    yaw = np.zeros(len(points), np.float32)
    return frames, labels, points, yaw, solve_body(measure, points, yaw)


def test_the_body_is_measured_where_it_was_drawn(standing):
    _, labels, points, _, body = standing
    assert np.allclose(body.unit, UNIT, rtol=0.1)
    waist = int(np.argmin(np.abs(COLUMN - 0.7)))
    drawn = 0.4 + (0.33 - 0.4) * 0.7
    assert np.allclose(body.edges[:, waist, 1], drawn, atol=0.06)
    assert np.allclose(body.edges[:, waist, 0], -drawn, atol=0.06)
    assert abs(body.hem - 1.08) < 0.08
    assert np.allclose(body.cuffs, 0.55 + 0.11 / 0.5, atol=0.25)


@pytest.mark.parametrize("over", [True, False])
def test_a_forearm_folded_before_the_sleeve_is_not_covered_by_it(over):
    """A hand at its own shoulder: what lies in front is seen, the forearm's skin or the sleeve's cloth."""
    points = np.stack([joints(UNIT, (SIZE[1] / 2, 90), left_wrist=(0.36, 0.05))] * 5)
    frame, labels, _ = draw(points[0], UNIT, SIZE)
    forearm = np.zeros(SIZE, np.uint8)
    elbow, wrist = points[0, 13, :2], points[0, 15, :2]
    ends = (elbow * 0.8 + wrist * 0.2, wrist * 1.1 - elbow * 0.1)
    cv2.line(forearm, *(tuple(np.round(p).astype(int)) for p in ends), 1, 15)
    if over:
        frame[forearm > 0], labels[forearm > 0] = (205, 150, 125), LABEL["left_arm"]
    depth = np.zeros((5, 33))
    depth[:, 13], depth[:, 15] = -10, -40 if over else 40
    frames, stack = np.stack([frame] * 5), np.stack([labels] * 5)
    body = solve_body(BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, stack)]), points, np.zeros(5))
    outfit = fit_outfit((tee(),), body, learn_albedo(frames, stack), points, depth, np.zeros(5))
    (drawn,) = outfit.draw(2, frame, labels, SIZE)
    cloth = np.zeros(SIZE, np.float32)
    for layer in drawn.layers:
        (top, left), (height, width) = layer.corner, layer.alpha.shape
        part = cloth[top : top + height, left : left + width]
        np.maximum(part, layer.alpha, out=part)
    seen = cloth[cv2.erode(forearm, np.ones((5, 5))) > 0].mean()
    assert seen < 0.05 if over else seen > 0.95


def test_trousers_over_a_dress_leave_its_upper_half(standing):
    frames, labels, points, yaw, _ = standing
    dress = np.where(np.isin(labels, [LABEL["upper"], LABEL["pants"]]), np.uint8(LABEL["dress"]), labels)
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, dress)])
    body = solve_body(measure, points, yaw)
    outfit = fit_outfit((trousers(),), body, learn_albedo(frames, dress), body.keypoints, np.zeros((len(points), 33)), yaw)
    (drawn,) = outfit.draw(2, frames[2], dress[2], SIZE)
    whole = np.zeros(SIZE, np.float32)
    left, top = drawn.canvas.origin
    height, width = drawn.under_alpha.shape
    whole[top : top + height, left : left + width] = drawn.under_alpha
    on, rows = dress[2] == LABEL["dress"], np.arange(SIZE[0])[:, None]
    assert whole[on & (rows < 90 + 0.5 * UNIT)].max() < 0.05, "what is worn above the waist stays"
    assert whole[on & (rows > 90 + 1.1 * UNIT)].mean() > 0.9


def test_a_top_over_a_dress_keeps_its_own_length(standing):
    *_, body = standing
    worn = [panels_for(tee(), replace(body, hem=hem))[0].hem for hem in (np.nan, 1.1, 1.2, 2.4)]
    assert abs(worn[1] - 1.1) < 0.02 and abs(worn[2] - 1.2) < 0.02, "a top is worn as long as the old top"
    assert worn[3] == worn[0] < 1.5, "but a tee put on over a long dress is a tee"
    cropped = replace(tee(), parts=tee().parts * (torch.arange(300)[:, None] < 190))
    short, long = (panels_for(cropped, replace(body, hem=hem))[0].hem for hem in (np.nan, 1.05))
    assert short < 0.9 and long > short + 0.1, "a short top is lengthened over a longer one: no gap opens"


def test_over_a_short_top_a_new_one_is_tucked_in_or_short(standing):
    *_, body = standing
    natural, tucked, short = (panels_for(tee(), replace(body, hem=hem, waist=hem))[0] for hem in (np.nan, 0.7, 0.95))
    assert tucked.tucked and abs(tucked.hem - 0.7) < 1e-6
    hanging = panels_for(tee(), replace(body, hem=0.7, waist=0.7), untucked=True)[0]
    assert not hanging.tucked and hanging.hem == natural.hem
    assert not short.tucked and 0.95 - 1e-6 <= short.hem < natural.hem - 0.08
    chest = short.stations < 0.45
    assert np.allclose(short.stations[chest], natural.stations[chest], atol=0.06), "the print's place is not shortened much"


def test_a_frame_without_a_person_weighs_nothing():
    row = measure_frame(np.zeros((33, 3)), np.zeros((40, 30), np.uint8), False)
    assert not row.visible[0] and row.edges_trust.sum() == 0 and np.isnan(row.hem[0])


def test_missing_limbs_and_a_collapsed_torso_never_raise():
    frames, labels, points = scene(2)
    for broken in ([13, 15], [25, 26, 27, 28], [11, 12, 23, 24], list(range(33))):
        p = points.copy()
        p[:, broken] = 0
        measure = BodyMeasure.stack([measure_frame(q, m, True) for q, m in zip(p, labels)])
        body = solve_body(measure, p, np.zeros(2))
        fitted = fit_panels(panels_for(tee(), body), body, p, np.zeros((2, 33)), np.zeros(2))
        assert all(np.isfinite(f.points).all() for f in fitted)


def test_panels_lie_on_the_torso_and_the_print_on_the_chest(standing):
    _, _, points, yaw, body = standing
    fitted = fit_panels(panels_for(tee(), body), body, points, np.zeros((len(points), 33)), yaw)
    assert [f.panel.part for f in fitted] == [Part.TORSO, Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE]
    m = map_panel(fitted[0], 2, 0.0, (120, 90), step=4.0)
    read = enlarge(m.read, SIZE)
    neck = (points[2, 11, :2] + points[2, 12, :2]) / 2
    x, y = int(neck[0]), int(neck[1] + 0.4 * UNIT)
    assert abs(read[y, x, 0] - 160) < 12  # the middle of the picture on the middle of the body
    assert 90 < read[y, x, 1] < 190
    assert read[y, x + 20, 0] > read[y, x, 0] > read[y, x - 20, 0]  # no mirror image


def test_a_turn_moves_the_print_and_the_back_does_not_show_it(standing):
    _, _, points, _, body = standing
    panels = panels_for(tee(), body)
    centres = []
    for yaw in (0.0, 0.5, np.pi):
        turned = np.full(len(points), yaw, np.float32)
        fitted = fit_panels(panels, body, points, np.zeros((len(points), 33)), turned)[0]
        m = map_panel(fitted, 2, yaw, (120, 90), step=4.0)
        row = int((points[2, 11, 1] + 0.4 * UNIT) / 4)
        on = (np.abs(m.across[row]) < 0.95) & (m.back[row] < 0.5)
        printed = on & (np.abs(m.read[row, :, 0] - 160) < 20)
        centres.append(np.flatnonzero(printed).mean() if printed.any() else None)
    assert centres[1] < centres[0] - 1  # turned to the picture's left, the print goes left
    assert centres[2] is None


def test_a_badge_and_fine_lines_do_not_come_out_on_the_back():
    picture = np.full((240, 200, 3), 225, np.uint8)
    picture[:, 20:60] -= 12  # a fold's shade
    mask = np.zeros((240, 200), bool)
    mask[10:230, 20:180] = True
    assert print_mask(picture, mask) is None
    cv2.circle(picture, (80, 60), 7, (30, 40, 140), -1)
    cv2.polylines(picture, [np.array([[110, 70], [120, 50], [130, 70], [140, 50]])], False, (60, 60, 60), 1, cv2.LINE_AA)
    found = print_mask(picture, mask)
    assert found[60, 80] and found[50, 120] and found[60, 115] and found[60, 135]
    assert not found[:, :60].any() and found.sum() < 1500


def test_of_a_trunk_that_bends_the_belly_is_seen_not_what_goes_on_below_the_hem(standing):
    *_, points, yaw, body = standing
    fitted = fit_panels(panels_for(tee(), body), body, points, np.zeros((len(points), 33)), yaw)[0]
    crease = float(np.interp(fitted.panel.hem - 0.15, fitted.controls, fitted.points[2, :, 1, 1]))
    bent = fitted.points.copy()
    below = bent[..., 1] > crease
    bent[..., 1] = np.where(below, 2 * crease - bent[..., 1], bent[..., 1])  # what lies lower is folded up over the belly
    straight, folded = (map_panel(f, 2, 0.0, (120, 90), step=4) for f in (fitted, replace(fitted, points=bent)))
    belly = (straight.reach > 0) & (np.abs(straight.across) < 0.9)
    belly &= (straight.station > 0.3) & (straight.station < fitted.panel.hem - 0.3)
    assert belly.sum() > 100 and np.abs(folded.station - straight.station)[belly].max() < 0.1


def test_cloth_that_is_shifted_far_is_not_read_off_its_edge(standing):
    _, _, points, _, body = standing
    fitted = fit_panels(panels_for(tee(), body), body, points, np.zeros((len(points), 33)), np.zeros(len(points)))[0]
    plain, shifted = (map_panel(fitted, 2, 0.0, (120, 90), step=4.0, offset=np.full((120, 90, 2), shift, np.float32) * (1, 0))
                      for shift in (0.0, LARGEST_SHIFT))  # fmt: skip
    row = int((points[2, 11, 1] + 0.6 * UNIT) / 4)
    inside = np.abs(plain.across[row]) < 0.98
    before, after = plain.read[row, inside, 0], shifted.read[row, inside, 0]
    assert (after - before).max() > 8 and (np.diff(after) > 0.15 * np.diff(before).min()).all()
    assert abs(after[0] - before[0]) < 9 and abs(after[-1] - before[-1]) < 9


def test_an_arm_that_is_hardly_seen_is_behind_the_trunk(standing):
    _, _, points, _, body = standing
    depth = np.zeros((len(points), 33))
    depth[:, [13, 15, 14, 16]] = -30.0
    doubtful = points.copy()
    doubtful[:, 15, 2] = 0.2
    doubtful[3, 16, 2] = 0.2  # the other for a moment
    near = {f.panel.part: f.near for f in fit_panels(panels_for(tee(), body), body, doubtful, depth, np.zeros(len(points)))}
    assert (near[Part.LEFT_SLEEVE] > 0).all() and (near[Part.RIGHT_SLEEVE] < 0).all()


def test_skin_of_a_hand_in_the_shade_has_only_a_say():
    frames, labels, _ = scene(2, long_sleeve=True)
    face = np.median(frames[labels == LABEL["face"]], axis=0)
    labels[labels == LABEL["right_arm"]] = 0
    hand = labels == LABEL["left_arm"]
    frames[hand] = frames[hand] * 0.4
    assert (learn_albedo(frames, labels).skin[0] * 255 > 0.6 * face).all()
    frames, labels, _ = scene(2)
    for name in ("left_arm", "right_arm"):
        frames[labels == LABEL[name]] = frames[labels == LABEL[name]] * 0.7
    many = learn_albedo(frames, labels).skin[0] * 255
    assert (many < 0.8 * face).all(), "bare arms speak for themselves"


def test_where_a_panels_map_ends_its_cloth_ends_over_old_cloth_too(standing):
    frames, labels, points, yaw, body = standing
    outfit = fit_outfit((tee(),), body, learn_albedo(frames[:1], labels[:1]), points, np.zeros((len(points), 33)), yaw)
    wear, old = outfit.wears[0], np.isin(labels[2], [LABEL["upper"]])
    whole = map_panel(wear.fitted[0], 2, 0.0, (SIZE[0] // 4, SIZE[1] // 4), step=4.0)
    ends = replace(whole, reach=whole.reach * (np.arange(SIZE[1] // 4) < 45))
    canvas, row = Canvas((0, 0), (1.0, 1.0), SIZE), int(points[2, 11, 1] + 0.6 * UNIT)
    seen = []
    for m in (whole, ends):
        layer = panel_layer(m, wear.fitted[0].panel.hem, wear.dressing, labels[2], old, None, [], canvas, 4.0)
        alpha = np.zeros(SIZE, np.float32)
        y, x = layer.corner
        alpha[y : y + layer.alpha.shape[0], x : x + layer.alpha.shape[1]] = layer.alpha
        seen.append(alpha[row])
    assert seen[0][150:200].min() > 0.9
    assert seen[1][150:170].min() > 0.9 and seen[1][190:].max() == 0


def test_the_cloth_follows_the_old_cloths_motion(standing):
    """Joints stand still while the old cloth moves by two pixels a frame: the new cloth must move with that cloth."""
    _, labels, points, yaw, body = standing
    count = 10
    still = np.repeat(points[2:3], count, 0)
    moving = ("keypoints", "edges", "arms", "legs", "arm_offsets", "leg_offsets", "unit", "waists", "hidden")
    one = replace(body, **{name: np.repeat(getattr(body, name)[2:3], count, 0) for name in moving})
    flow = np.zeros((SIZE[0] // 8, SIZE[1] // 8, 2), np.float32)
    flow[..., 0] = 2.0
    outfit = fit_outfit(
        (tee(),), one, learn_albedo(np.zeros((1, *SIZE, 3), np.uint8), labels[2:3]), still,
        np.zeros((count, 33)), np.zeros(count),
        motion=lambda: ((flow, labels[2]) for _ in range(count)), flow_step=8.0,
    )  # fmt: skip
    wear = outfit.wears[0]
    row, where = int((still[0, 11, 1] + 0.4 * UNIT) / 4), []
    for t in (3, 6):
        m = map_panel(wear.fitted[0], t, 0.0, (120, 90), step=4.0, offset=wear.shifts[0][t].on((120, 90), 4.0))
        inside = np.abs(m.across[row]) < 0.6
        where.append(
            np.interp(160, m.read[row, inside, 0] / (wear.dressing.texture.front.shape[1] / 320), np.flatnonzero(inside))
        )
    moved = (where[1] - where[0]) * 4
    assert 3.5 < moved < 7.5  # six pixels in three frames


def test_shading_keeps_folds_and_forgets_colour_and_print():
    frames, labels, _ = scene(3, sway=0.0)
    upper = labels[0] == LABEL["upper"]
    folds = 1 + 0.25 * np.sin(np.arange(SIZE[1]) / 7)[None, :, None]
    lit = np.clip(frames * folds, 0, 255).astype(np.uint8)
    y, x = np.argwhere(upper).mean(0).astype(int)
    lit[:, y - 12 : y + 12, x - 12 : x + 12] = (230, 220, 40)  # a print
    light, _ = shading(lit[0], labels[0], make_reader(learn_albedo(lit, labels)))
    core = cv2.erode(upper.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.corrcoef(light[core], np.broadcast_to(folds[..., 0], SIZE)[core])[0, 1] > 0.8
    assert abs(np.median(light[core]) - 1) < 0.08
    assert np.abs(light[y - 8 : y + 8, x - 8 : x + 8] - 1).max() < 0.4


def test_the_shape_context_fit_fills_a_wider_outline():
    garment = tee()
    target = np.zeros((360, 400), bool)
    target[70:330, 120:290] = True
    cv2_target = target.astype(np.uint8)
    cv2.fillPoly(cv2_target, [np.array([[290, 70], [360, 160], [315, 190], [290, 160]])], 1)
    cv2.fillPoly(cv2_target, [np.array([[120, 70], [50, 160], [95, 190], [120, 160]])], 1)
    colour, alpha = warp_by_shape(garment, cv2_target > 0)
    covered = alpha > 0.5
    both, either = (covered & (cv2_target > 0)).sum(), (covered | (cv2_target > 0)).sum()
    assert both / either > 0.8
    red = covered & (colour[..., 0] > 150)
    y, x = np.argwhere(red).mean(0)
    assert abs(x - 205) < 25 and 120 < y < 220  # the print stays in the middle of the chest
