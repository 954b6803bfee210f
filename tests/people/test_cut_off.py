"""Legs that the picture's bottom cuts off go on below it, wherever the pose model squeezed them in, and arms of a bust hang; what
is seen stays."""

import numpy as np
from drawn_person import joints

from vidvton.people.cut_off import FOREARM, SHANK, THIGH, UPPER_ARM, continue_arms, continue_legs

UNIT, SIZE = 100.0, (200, 320)


def cut(score=0.1, squeezed=True):
    """(keypoints [1, 33, 3], boxes [1, 4]) of somebody whose legs leave the picture (height 200) above the knees."""
    points = joints(UNIT, (160, 60))
    points[25:, 2] = score
    if squeezed:  # as a pose model does it: between what is left of the picture and its bottom
        points[25:, 1] = 160 + (points[25:, 1] - 160) * 0.2
    return points[None], np.array([[100.0, 10, 220, 200]])


def test_squeezed_legs_go_on_below_the_picture():
    points, boxes = cut()
    out = continue_legs(points, boxes, SIZE)[0]
    for hip, knee, ankle in ((23, 25, 27), (24, 26, 28)):
        assert abs(np.linalg.norm(out[knee, :2] - out[hip, :2]) - THIGH * UNIT) < 1e-3
        assert abs(np.linalg.norm(out[ankle, :2] - out[knee, :2]) - SHANK * UNIT) < 1e-3
        assert out[knee, 1] > 200 and out[ankle, 1] > out[knee, 1] + 60
        assert out[knee, 2] >= 0.3 and out[ankle, 2] >= 0.3
    assert np.array_equal(out[:25], points[0, :25]), "what is seen stays"
    assert np.allclose(out[31] - out[27], points[0, 31] - points[0, 27], atol=0.3), "feet go with the ankles"


def test_a_guess_does_not_bring_the_knees_together():
    points, boxes = cut()
    points[0, [25, 26], 0] = 160
    out = continue_legs(points, boxes, SIZE)[0]
    assert out[25, 0] - out[26, 0] > 0.3 * (out[23, 0] - out[24, 0])
    points[0, [25, 26], 2] = 0.45  # nearly seen: it may well be so
    out = continue_legs(points, boxes, SIZE)[0]
    assert abs(out[25, 0] - out[26, 0]) < 0.2 * (out[23, 0] - out[24, 0])


def test_between_seen_and_unseen_there_is_no_step():
    def knee(score, bottom=200.0, upper=0.0):
        points, boxes = cut(score)
        points[0, 25:, 1] -= upper
        boxes[0, 3] = bottom
        return continue_legs(points, boxes, SIZE)[0, 25, 1]

    for rows in (
        [knee(s) for s in np.linspace(0.2, 0.8, 61)],
        [knee(0.1, b) for b in np.linspace(190, 200, 61)],
        [knee(0.1, upper=u) for u in np.linspace(0, 60, 121)],
    ):
        assert np.ptp(rows) > 20 and np.abs(np.diff(rows)).max() < 4


def test_lying_and_crossed_legs_stay():
    points, boxes = cut()
    lying = points.copy()
    lying[..., :2] = points[..., 1::-1] * (1, 0.2) + (0, 160)
    assert np.array_equal(continue_legs(lying, boxes, SIZE), lying)
    points[0, 27:, 1], points[0, 27:, 2] = 190, 0.7  # knees hidden, ankles seen
    assert np.array_equal(continue_legs(points, boxes, SIZE), points)


def test_legs_that_are_seen_stay():
    points, boxes = cut(score=0.9)
    assert np.array_equal(continue_legs(points, boxes, SIZE), points)
    points, boxes = cut(squeezed=False)
    whole = np.array([[100.0, 10, 220, 180]])  # the person ends in the picture: legs unseen are hidden, not cut off
    assert np.array_equal(continue_legs(points, whole, SIZE), points)


def bust(score=0.05, elbow=(150, 90), wrist=(165, 80)):
    """(keypoints [1, 33, 3], boxes [1, 4]) of a bust in a picture 100 high: of the left arm, dreamt up before the
    chest, nothing is seen."""
    points = joints(UNIT, (160, 60))
    points[13, :2], points[15, :2] = elbow, wrist
    points[[17, 19, 21], :2] = np.add(wrist, (0, 5))
    points[[13, 15, 17, 19, 21], 2] = score
    return points[None], np.array([[100.0, 10, 220, 100]])


def test_arms_of_a_bust_hang_down():
    points, boxes = bust()
    out = continue_arms(points, boxes, (100, 320))[0]
    shoulder, elbow, wrist = out[[11, 13, 15], :2]
    assert abs(np.linalg.norm(elbow - shoulder) - UPPER_ARM * UNIT) < 1e-3
    assert abs(np.linalg.norm(wrist - elbow) - FOREARM * UNIT) < 1e-3
    outwards = np.sign(points[0, 11, 0] - points[0, 12, 0])
    assert (elbow - shoulder)[0] * outwards > 0 and elbow[1] > 100 and wrist[1] > elbow[1] + 40
    assert out[13, 2] >= 0.3 and out[17, 2] == 0 and np.allclose(out[17, :2] - wrist, (0, 5), atol=1e-3)
    kept = [j for j in range(33) if j not in (13, 15, 17, 19, 21)]
    assert np.array_equal(out[kept], points[0, kept]), "the other arm is seen"


def test_arms_that_are_seen_or_would_be_stay():
    points, boxes = bust(score=0.9)
    assert np.array_equal(continue_arms(points, boxes, (100, 320)), points)
    points, boxes = bust()
    boxes[0, 3] = 300
    assert np.array_equal(continue_arms(points, boxes, (300, 320)), points), "hidden behind the trunk, not cut off"
    boxes[0, 3] = 100
    points[0, 15, 2] = 0.9  # a hand that is seen before the chest: the elbow may be out of the picture
    assert np.array_equal(continue_arms(points, boxes, (100, 320)), points)
    points[0, [13, 15], 2] = 0.95, 0.1
    out = continue_arms(points, boxes, (100, 320))
    assert np.array_equal(out[0, 13], points[0, 13]) and out[0, 15, 1] > 130


def test_a_guess_that_is_surer_for_a_moment_stays_one():
    points, boxes = (np.repeat(a, 15, axis=0) for a in bust())
    points[6:9, [13, 15], 2] = 0.8
    out = continue_arms(points, boxes, (100, 320))
    assert np.allclose(out[:, [13, 15], :2], out[0, [13, 15], :2], atol=20) and (out[:, 13, 1] > 90).all()


def test_between_seen_arms_and_unseen_there_is_no_step():
    def wrist(score, bottom=100.0, height=100):
        points, boxes = bust(score)
        boxes[0, 3] = bottom
        return continue_arms(points, boxes, (height, 320))[0, 15, 1]

    for rows in (
        [wrist(s) for s in np.linspace(0.1, 0.6, 101)],
        [wrist(0.05, b) for b in np.linspace(94, 100, 101)],
        [wrist(0.05, h, h) for h in np.linspace(100, 200, 201)],
    ):
        assert np.ptp(rows) > 60 and np.abs(np.diff(rows)).max() < 6
