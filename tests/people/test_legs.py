"""Legs that the pose model exchanges are put back; legs that really cross are not."""

import numpy as np
from drawn_person import joints

from vidvton.people.legs import LEFT, RIGHT, exchanged, like, steady_legs

UNIT = 80.0


def walk(count=40, stride=0.25):
    """Keypoints [T, 33, 3] of somebody who steps from one leg to the other, seen from the front."""
    rows = []
    for t in range(count):
        points = joints(UNIT, (160 + t, 60))
        swing = stride * UNIT * np.sin(t / 5)
        points[LEFT, 1] += swing
        points[RIGHT, 1] -= swing
        rows.append(points)
    return np.stack(rows)


def test_frames_in_which_the_legs_are_exchanged_are_found():
    right, seen = walk(), np.ones(40, bool)
    assert not steady_legs(right, seen, UNIT).any()
    wrong = np.zeros(40, bool)
    wrong[[7, 8, 9, 20, 31, 32, 33, 34, 35]] = True
    points = np.where(wrong[:, None, None], exchanged(right), right)
    assert np.array_equal(steady_legs(points, seen, UNIT), wrong)
    seen[8] = seen[21:25] = False
    points[~seen] = 0
    assert np.array_equal(steady_legs(points, seen, UNIT), wrong & seen)


def test_most_of_a_shot_may_be_wrong():
    right = walk()
    wrong = np.arange(40) >= 12
    points = np.where(wrong[:, None, None], exchanged(right), right)
    assert np.array_equal(steady_legs(points, np.ones(40, bool), UNIT), wrong), "thighs that cross for no reason"


def test_ankles_that_slowly_cross_stay_crossed():
    points = walk(stride=0.0)
    share = np.clip((np.arange(40) - 10) / 15, 0, 1)[:, None, None]
    crossed = points * (1 - share) + exchanged(points) * share
    points[:, 27:] = crossed[:, 27:]
    assert not steady_legs(points, np.ones(40, bool), UNIT).any()


def test_a_second_opinion_is_told_from_an_exchanged_one():
    body = walk(1)[0]
    assert like(body + 3.0, body) and not like(exchanged(body) + 3.0, body)
