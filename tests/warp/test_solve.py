"""What a shot's frames together say of how the old clothes are worn: where they begin and end, which arms they hide."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, scene, skirt, tee, trousers

from vidvton.values import Part
from vidvton.warp.body import WHOLE, BodyMeasure, measure_frame
from vidvton.warp.fit import fit_panels
from vidvton.warp.panels import bare_limbs, panels_for
from vidvton.warp.solve import HIGHEST, _hidden, _raised_waists, solve_body


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


def test_of_a_long_shot_hidden_arms_take_no_memory_to_speak_of():
    shown = np.full((20000, 2), WHOLE)
    shown[::3], shown[500:600] = np.nan, 0.3
    tracemalloc.start()
    try:
        hidden = _hidden(shown, np.full(20000, 0.9))
        assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    finally:
        tracemalloc.stop()
    assert hidden[510:590].all() and not hidden[700:].any()


def test_a_leg_is_found_where_it_is_seen_though_its_joints_lie_beside_it():
    _, labels, points = scene(12, sway=0)
    bare = np.where((labels == LABEL["pants"]), 0, labels)
    for t, p in enumerate(points):
        for name, joints in (("left_leg", (23, 25, 27)), ("right_leg", (24, 26, 28))):
            cv2.polylines(bare[t], [p[list(joints), :2].astype(np.int32)], False, LABEL[name], 22)
    off = points.copy()
    off[4:9, [25, 27], 0] -= 0.2 * UNIT
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(off, bare)])
    body = solve_body(measure, off, np.zeros(12))
    assert np.abs(body.keypoints[:, [25, 27], 0] - points[:, [25, 27], 0]).max() < 0.09 * UNIT
    assert np.abs(body.keypoints[:, [26, 28], :2] - points[:, [26, 28], :2]).max() < 0.03 * UNIT
    fitted = fit_panels(bare_limbs(), body, body.keypoints, np.zeros((12, 33)), np.zeros(12))
    (left,) = (f for f in fitted if f.panel.part == Part.LEFT_LEG)
    rows = (left.controls > 0.8) & (left.controls < 1.8)
    seen = np.interp(left.controls[rows], [0, 1, 2], points[6, [23, 25, 27], 0])
    assert np.abs(left.points[6, rows, 1, 0] - seen).max() < 0.06 * UNIT


def test_of_a_leg_that_looks_out_behind_the_other_nothing_is_told():
    _, labels, points = scene(1)
    bare = np.where((labels[0] == LABEL["pants"]), 0, labels[0])
    x, y = points[0, 25, :2].astype(int)
    bare[y - 40 : y + 40, x + 14 : x + 18] = LABEL["left_leg"]
    measure = measure_frame(points[0], bare, True)
    assert (measure.legs_trust[0, 0, 4:7] == 0).all()


def test_bare_legs_that_touch_are_two():
    _, labels, points = scene(1)
    bare = np.where((labels[0] == LABEL["pants"]), 0, labels[0])
    left, right = (points[0, [hip, hip + 2, hip + 4], :2].copy() for hip in (23, 24))
    between = (left[:, 0] + right[:, 0]) / 2
    for name, legs, sign in (("right_leg", right, -1), ("left_leg", left, 1)):
        outline = np.concatenate([np.stack([between, legs[:, 1]], 1), np.stack([between + sign * 24, legs[:, 1]], 1)[::-1]])
        cv2.fillPoly(bare, [np.round(outline).astype(np.int32)], LABEL[name])
    points[0, [25, 27], 0], points[0, [26, 28], 0] = between[1:] + 12, between[1:] - 12
    measure = measure_frame(points[0], bare, True)
    widths = np.ptp(measure.legs[0], axis=-1)[:, 6:9] * measure.unit[0]
    assert np.abs(widths - 24).max() < 5 and (measure.legs_trust[0, :, 6:9] == 1).all()
    # One looks out behind the other: where it ends there is not where it ends.
    bare[(bare == LABEL["left_leg"]) & (np.arange(SIZE[1]) < between.mean() + 13)] = LABEL["right_leg"]
    hidden = measure_frame(points[0], bare, True)
    assert (hidden.legs_trust[0, 0, 6:9, 0] == 0).all() and (hidden.legs_trust[0, 1, 6:9] == 1).all()
