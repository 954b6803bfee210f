"""Several people in one clip: everybody is looked at, and nobody becomes somebody else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_person import joints
from scripted_people import SIZE, standing

from vidvton.people.identity import Bodies, Person, choose
from vidvton.people.opinions import glance

HEIGHT, WIDTH = SIZE


class OneAtATime:
    """Sees one person: in a wide picture the larger one alone, in a narrow one whoever is there."""

    def __init__(self, frame: np.ndarray, large: np.ndarray, everybody: np.ndarray) -> None:
        self._frame, self._large, self._everybody, self.asked = frame, large, everybody, 0

    def segment(self, picture):
        self.asked += 1
        where = next((y, x) for y in range(HEIGHT) for x in range(WIDTH) if np.array_equal(self._frame[y, x], picture[0, 0]))
        mask = self._everybody if picture.shape[1] < 0.6 * WIDTH else self._large
        cut = mask[where[0] : where[0] + picture.shape[0], where[1] : where[1] + picture.shape[1]]
        return cv2.resize(cut, (256, 256), interpolation=cv2.INTER_AREA)


def in_frame(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(mask, (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA)[:, :WIDTH]


def numbered_picture() -> np.ndarray:
    """A picture every pixel of which differs from all others."""
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([ys // 2, xs, 100 + ys % 2], -1).astype(np.uint8)


def test_who_is_overlooked_beside_another_is_looked_at_alone():
    small, large = standing(unit=30, centre=(30, 100)), standing(unit=55, centre=(185, 60))
    picture = numbered_picture()
    segmenter = OneAtATime(picture, in_frame(large.mask), np.maximum(in_frame(large.mask), in_frame(small.mask)))
    seen = glance(segmenter, picture, [large, small])
    assert segmenter.asked == 2
    assert seen.extents[0][5] > 0.8 and seen.extents[1][5] > 0.8
    at = ((np.array([30, 118]) - seen.box[:2]) / (seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]) * 256).astype(int)
    assert seen.mask[at[1], at[0]] > 200
    # What is said of the first goes on when the second is found later, and a body hardly there is not worth a look.
    assert glance(segmenter, picture, [large, small], glance(segmenter, picture, [large])).extents[1][5] > 0.8
    asked = segmenter.asked
    faint = standing(unit=30, centre=(30, 100), score=0.4)
    assert glance(segmenter, picture, [large, faint]).extents[1][5] < 0.1 and segmenter.asked == asked + 1


def test_neighbours_do_not_make_anybody_less_believable():
    """Each agrees with that part of the segmenter's mask that is nobody else's; a piece of a body with no more than it is."""
    left, right = standing(unit=55, centre=(60, 60)), standing(unit=55, centre=(180, 60), score=0.9)
    part = standing(unit=25, centre=(60, 110))
    both = np.maximum(in_frame(left.mask), in_frame(right.mask))
    segmenter = OneAtATime(numbered_picture(), both, both)
    agree = [e[5] for e in glance(segmenter, numbered_picture(), [left, right, part]).extents]
    assert min(agree[:2]) > 0.85 and agree[2] < 0.6
    wide = [standing(unit=75, centre=(x, 50)) for x in (65, 180)]
    both = np.maximum(*(in_frame(b.mask) for b in wide))
    segmenter = OneAtATime(numbered_picture(), both, both)
    first = glance(segmenter, numbered_picture(), wide[:1])
    again = glance(segmenter, numbered_picture(), [wide[0], *wide], first)  # who else is there is found later
    assert min(e[5] for e in again.extents) > 0.9


def test_what_a_phantom_shares_with_somebody_is_not_its_own():
    real, phantom = standing(unit=75, centre=(100, 50)), standing(unit=35, centre=(136, 100), score=0.9)
    segmenter = OneAtATime(numbered_picture(), in_frame(real.mask), in_frame(real.mask))
    seen = glance(segmenter, numbered_picture(), [real, phantom])
    assert seen.extents[0][5] > 0.85 and seen.extents[1][5] < 0.1


def test_of_a_look_at_one_body_only_what_is_near_it_counts():
    """Alone with a body the segmenter may see something else, too, or nothing that agrees."""
    small, large = standing(unit=30, centre=(40, 100)), standing(unit=55, centre=(185, 60))
    junk = np.zeros(SIZE, np.uint8)
    junk[60:190, 85:105] = 255
    for alone, believed in ((np.maximum(in_frame(small.mask), junk), True), (junk, False)):
        seen = glance(OneAtATime(numbered_picture(), in_frame(large.mask), alone), numbered_picture(), [large, small])
        assert (seen.extents[1][5] > 0.5) == believed
        x0, _, x1, _ = seen.box
        columns = [int((x - x0) / (x1 - x0) * 256) for x in (92, 100)]
        assert seen.mask[:, columns[0] : columns[1]].max() < 60


def looking(colour: int | dict[int, float]) -> np.ndarray:
    """[128] a look of those colours by their shares; of one that is given alone with something that all wear."""
    look = np.zeros(128)
    for code, share in ({colour: 0.6, 63: 0.4} if isinstance(colour, int) else colour).items():
        look[[code, 64 + code]] = share
    return look


def cast(*stretches: tuple[int, int, float, int | dict[int, float]], shots=(0,)) -> tuple[list[Person], Bodies]:
    """People by (first frame, last, x, colours): each stands still for one stretch, in the shot whose first frame came last."""
    frame = np.concatenate([np.arange(a, b + 1) for a, b, _, _ in stretches])
    keypoints = np.concatenate([np.tile(joints(60, (x, 60)), (b - a + 1, 1, 1)) for a, b, x, _ in stretches])
    ones = np.ones(len(frame))
    extent = np.stack([(x - 25, 0, x + 25, 250, 99) for x in keypoints[:, 0, 0]])
    depth = np.zeros(keypoints.shape[:2])
    bodies = Bodies(frame=frame, back=ones < 0, keypoints=keypoints, depth=depth, world=keypoints, score=ones, agree=ones,
                    fit=ones, extent=extent, look=ones, chunk=ones, row=ones)  # fmt: skip
    people, row = [], 0
    for first, last, _, colour in stretches:
        rows = {f: [row + f - first] for f in range(first, last + 1)}
        people.append(Person(rows, looking(colour), int(np.searchsorted(shots, first, "right")) - 1))
        row += last - first + 1
    return people, bodies


@pytest.mark.parametrize(
    ("x", "colour", "after", "same"),
    [(90, 5, 4, True), (700, 5, 4, False), (700, 5, 60, True), (700, 1, 4, True)],
    ids=["near by", "farther than anybody runs", "long afterwards", "the same clothes"],
)
def test_nobody_is_suddenly_far_away(x, colour, after, same):
    people, bodies = cast((0, 39, 60, 1), (40 + after, 60 + after, x, colour), (0, 39, 400, 9))
    chosen = choose(people, bodies, np.zeros(120, int), "largest", (300, 800))
    assert (50 + after in chosen) == same


def test_who_was_beside_the_person_asked_for_stays_another_when_found_anew():
    people, bodies = cast((0, 59, 60, 1), (10, 50, 150, 2), (62, 99, 150, 2))
    chosen = choose(people, bodies, np.zeros(100, int), "largest", (300, 800))
    assert max(chosen) == 59
    people, bodies = cast((0, 59, 60, 1), (10, 50, 150, 2), (62, 99, 80, 1))
    assert max(choose(people, bodies, np.zeros(100, int), "largest", (300, 800))) == 99


def test_somebody_alone_may_leap():
    """A whip pan, few frames a second, front and back of one dress: there is nobody else whom it could be."""
    people, bodies = cast((0, 39, 60, 1), (44, 64, 700, 5))
    assert max(choose(people, bodies, np.zeros(70, int), "largest", (300, 800))) == 64


def test_a_person_seen_twice_is_nobody_else():
    """A second body of the same person may look more like what they look like later."""
    people, bodies = cast(
        (0, 59, 60, {1: 0.5, 2: 0.2, 3: 0.3}), (40, 59, 75, {1: 0.5, 4: 0.4, 2: 0.1}), (62, 99, 60, {1: 0.5, 4: 0.5})
    )
    assert max(choose(people, bodies, np.zeros(100, int), "largest", (300, 800))) == 99


def test_in_another_light_people_are_compared_in_that_light():
    me, other = {1: 0.45, 5: 0.55}, {1: 0.2, 5: 0.55, 9: 0.25}
    people, bodies = cast(
        (0, 59, 60, {1: 0.45, 2: 0.55}), (60, 99, 60, me), (60, 95, 300, other), (103, 140, 60, me), shots=(0, 60)
    )
    shots = np.array([0] * 60 + [1] * 90)
    assert max(choose(people, bodies, shots, "largest", (300, 800))) == 140
