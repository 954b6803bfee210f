"""The fit on a drawn person: where panels lie, that they turn, follow the cloth, and come out where they must."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL, draw, joints

from vidvton.frames import from_arrays
from vidvton.values import LANDMARKS, Garment, Layout, Part
from vidvton.warp.body import COLUMN, WHOLE, BodyMeasure, measure_frame
from vidvton.warp.canvas import Canvas
from vidvton.warp.drape import enlarge, map_panel
from vidvton.warp.fit import fit_panels
from vidvton.warp.layers import panel_layer
from vidvton.warp.lock import LARGEST_SHIFT
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.panels import panels_for
from vidvton.warp.shade import learn_albedo, make_reader, shading
from vidvton.warp.shape_context import warp_by_shape
from vidvton.warp.solve import HIGHEST, _hidden, _raised_waists, solve_body
from vidvton.warp.texture import print_mask

SIZE, UNIT = (480, 360), 110.0


def tee() -> Garment:
    """A flat tee with a red square print in the middle of a blue chest; every landmark known."""
    picture = np.full((300, 320, 3), (40, 60, 150), np.uint8)
    picture[110:150, 140:180] = (220, 30, 30)
    parts = np.zeros((300, 320), np.uint8)
    parts[40:280, 90:230] = Part.TORSO
    cv2.fillPoly(parts, [np.array([[230, 40], [290, 120], [250, 145], [230, 120]])], int(Part.LEFT_SLEEVE))
    cv2.fillPoly(parts, [np.array([[90, 40], [30, 120], [70, 145], [90, 120]])], int(Part.RIGHT_SLEEVE))
    parts[30:60, 135:185] = 0
    where = {
        "neck": (185, 40), "shoulder": (230, 40), "armpit": (230, 120), "sleeve_outer": (260, 80), "sleeve_inner": (240, 132),
        "cuff_outer": (290, 120), "cuff_inner": (250, 145), "waist": (230, 220), "hem": (230, 280),
    }  # fmt: skip
    rows = []
    for name in LANDMARKS["upper"]:
        stem, _, side = name.rpartition("_")
        x, y = {"neck_centre": (160, 60), "hem_centre": (160, 280)}.get(name) or where[stem]
        rows.append((320 - x if side == "right" else x, y, 1.0))
    alpha = torch.from_numpy((parts > 0).astype(np.float32))
    fabric = torch.tensor([40, 60, 150]) / 255
    return Garment(from_arrays(picture), alpha, torch.from_numpy(parts), "upper", torch.tensor(rows), Layout("short"), fabric)


def trousers() -> Garment:
    """Flat long trousers."""
    parts = np.zeros((300, 200), np.uint8)
    parts[10:290, 40:100], parts[10:290, 100:160] = Part.RIGHT_LEG, Part.LEFT_LEG
    parts[100:290, 90:110] = 0
    where = {"waist_left": (160, 10), "waist_centre": (100, 10), "waist_right": (40, 10), "hip_left": (160, 70),
             "hip_right": (40, 70), "crotch": (100, 100), "knee_outer_left": (160, 190), "knee_inner_left": (110, 190),
             "knee_outer_right": (40, 190), "knee_inner_right": (90, 190), "hem_outer_left": (160, 290),
             "hem_inner_left": (110, 290), "hem_outer_right": (40, 290), "hem_inner_right": (90, 290),
             "hem_centre": (100, 290)}  # fmt: skip
    marks = torch.tensor([(*where[name], 1.0) for name in LANDMARKS["lower"]])
    alpha = torch.from_numpy((parts > 0).astype(np.float32))
    picture = from_arrays(np.full((300, 200, 3), (90, 80, 50), np.uint8))
    return Garment(picture, alpha, torch.from_numpy(parts), "lower", marks, Layout(leg="long"), torch.tensor([90, 80, 50]) / 255)


def skirt() -> Garment:
    """A flat knee-long skirt."""
    parts = np.zeros((300, 200), np.uint8)
    cv2.fillPoly(parts, [np.array([[60, 10], [140, 10], [180, 290], [20, 290]])], int(Part.SKIRT))
    where = {"waist_left": (140, 10), "waist_centre": (100, 10), "waist_right": (60, 10), "hip_left": (150, 80),
             "hip_right": (50, 80), "hem_outer_left": (180, 290), "hem_outer_right": (20, 290),
             "hem_centre": (100, 290)}  # fmt: skip
    marks = torch.tensor([(*where.get(name, (0, 0)), float(name in where)) for name in LANDMARKS["lower"]])
    alpha = torch.from_numpy((parts > 0).astype(np.float32))
    picture = from_arrays(np.full((300, 200, 3), (99, 80, 50), np.uint8))
    return Garment(picture, alpha, torch.from_numpy(parts), "lower", marks, Layout(leg="skirt"), torch.tensor([99, 80, 50]) / 255)


def scene(count=6, sway=4.0, **how):
    """Frames, labels and keypoints of a drawn person who sways sideways by `sway` pixels a frame."""
    rows = []
    for t in range(count):
        points = joints(UNIT, (SIZE[1] / 2 + sway * (t - count / 2), 90))
        picture, labels, _ = draw(points, UNIT, SIZE, **how)
        rows.append((picture, labels, points))
    return tuple(np.stack(x) for x in zip(*rows))


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


def test_the_waist_is_where_the_lower_garment_begins_not_where_a_bag_ends():
    _, labels, points = scene(3)
    bagged = labels.copy()
    for t, p in enumerate(points):
        x, y = (p[23, :2] + p[24, :2]).astype(int) // 2
        bagged[t, y - 30 : y + 30, x - 45 : x + 10] = LABEL["scarf"]
    waists = [solve_body(BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, stack)]), points, np.zeros(3)).waist
              for stack in (labels, bagged)]  # fmt: skip
    assert abs(waists[0] - 1.08) < 0.1 and abs(waists[1] - waists[0]) < 0.1


def test_of_people_who_turn_aside_the_waist_is_where_their_frames_show_it():
    _, labels, points = scene(20)
    measures = [measure_frame(p, m, True) for p, m in zip(points, labels)]
    turned = [m if t < 15 else replace(m, waist=m.waist - 0.18) for t, m in enumerate(measures)]
    bodies = [solve_body(BodyMeasure.stack(m), points, np.zeros(20)) for m in (measures, turned)]
    assert np.abs(bodies[0].waists).max() < 0.03
    assert np.abs(bodies[1].waists[:12]).max() < 0.05 and np.allclose(bodies[1].waists[17:], -0.18, atol=0.06)
    assert (bodies[1].waists <= 0).all()

    for garment in (trousers(), skirt()):
        panels = panels_for(garment, bodies[1])
        for fitted in fit_panels(panels, bodies[1], points, np.zeros((20, 33)), np.zeros(20)):
            begins = fitted.points[:, 0, 1, 1]
            assert abs(begins[:12].mean() - begins[17:].mean() - 0.18 * UNIT) < 0.04 * UNIT


def test_a_waist_seen_far_too_high_or_never_stays_where_it_is():
    seen = np.ones(8)
    assert _raised_waists(np.full(8, 0.2), 1.1, seen, 1.0).min() >= -HIGHEST - 1e-6
    assert (_raised_waists(np.full(8, np.nan), 1.1, seen, 1.0) == 0).all()
    assert (_raised_waists(np.full(8, 1.0), np.nan, seen, 1.0) == 0).all()
    assert np.abs(_raised_waists(np.full(8, 1.4), 1.1, seen, 1.0)).max() < 1e-6, "what hangs over it is no waist"


def test_where_the_old_top_leaves_the_picture_the_new_one_does_too():
    frames, labels, points = scene(3)
    bottom = 90 + int(1.02 * UNIT)
    labels = labels[:, :bottom]
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)])
    body = solve_body(measure, points, np.zeros(3))
    assert np.isnan(body.hem) and abs(body.runs_on - 1.0) < 0.1
    low = [measure_frame(p, np.where(m == LABEL["pants"], LABEL["upper"], m), True) for p, m in zip(points, scene(3)[1])]
    long = solve_body(
        BodyMeasure.stack([replace(m, hem=np.full(1, np.nan), runs_on=np.full(1, 1.6)) for m in low]), points, np.zeros(3)
    )
    natural, lengthened = panels_for(tee(), body)[0], panels_for(tee(), long)[0]
    assert natural.hem < 1.5 and lengthened.hem > 1.6


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


def test_an_arm_of_which_the_trunks_cloth_hides_a_part_is_behind_it():
    _, labels, points = scene(10, sway=0)
    cloth = labels.copy()
    for t in range(5, 10):  # a wide top hangs over the inner half of the person's left arm
        elbow, wrist = points[t, 13, :2], points[t, 15, :2]
        rows = np.arange(int(elbow[1] - 0.2 * UNIT), int(wrist[1]))
        bone = np.interp(rows, [elbow[1], wrist[1]], [elbow[0], wrist[0]])
        for y, x in zip(rows, bone):
            inner = np.s_[t, y, int(points[t, :, 0].mean()) : int(x)]
            cloth[inner] = np.where(cloth[inner] == LABEL["pants"], cloth[inner], LABEL["upper"])
    free, hung = (BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, stack)]) for stack in (labels, cloth))
    assert (free.shown == WHOLE).all() and (hung.shown[:5] == WHOLE).all() and (hung.shown[:, 1] == WHOLE).all()
    assert (hung.shown[5:, 0] < 0.7 * np.nanmedian(hung.slimness[:, 0])).all()
    hidden = _hidden(hung.shown, hung.slimness[:, 0])
    assert hidden[6:, 0].all() and not hidden[:4, 0].any() and not hidden[:, 1].any()
    body = solve_body(hung, points, np.zeros(10))
    fitted = fit_panels(panels_for(tee(), body), body, points, np.full((10, 33), -1.0), np.zeros(10))
    near = {f.panel.part: f.near for f in fitted}
    assert (near[Part.LEFT_SLEEVE][6:] > 0).all() and (near[Part.RIGHT_SLEEVE] <= 0).all()


def test_an_arm_is_hidden_where_frames_nearby_tell_and_not_for_a_frame_or_two():
    shown, slim = np.full((60, 2), np.nan), np.full(60, 0.9)
    shown[:10, 0], shown[10:14, 0], shown[18:22, 0], shown[22:30, 0] = WHOLE, 0.3, 0.3, WHOLE
    hidden = _hidden(shown, slim)
    assert hidden[11:21, 0].all() and not hidden[:8, 0].any() and not hidden[24:, 0].any() and not hidden[:, 1].any()
    shown[:, 1], shown[30, 1] = WHOLE, 0.3
    assert not _hidden(shown, slim)[:, 1].any()
    shown[:, 1], shown[:5, 1] = np.nan, 0.3
    assert not _hidden(shown, slim)[20:, 1].any(), "long gaps are not bridged"
    assert not _hidden(shown, np.full(60, np.nan)).any()
    assert _hidden(np.array([[0.4, WHOLE]]), np.array([0.8])).tolist() == [[True, False]], "a photo"


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
    light = shading(lit[0], labels[0], make_reader(learn_albedo(lit, labels)))
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
