"""Cuts are found, and nothing else is taken for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidvton.people.shots import AHEAD, find_shots, grey_of


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (400, 240), interpolation=cv2.INTER_CUBIC)


def pan(seed: int, count: int, speed: float = 1.5) -> list[np.ndarray]:
    wide = scene(seed)
    return [wide[20:200, int(speed * i) : int(speed * i) + 240] for i in range(count)]


def cuts_of(pictures) -> list[int]:
    greys = np.stack([grey_of(p) for p in pictures])
    return np.flatnonzero(find_shots(greys, len(greys))[0]).tolist()


def test_hard_cuts_are_found_where_they_are():
    assert cuts_of(pan(1, 30) + pan(2, 25) + pan(3, 20)) == [30, 55]


def test_fast_motion_and_stills_have_no_cuts():
    assert cuts_of(pan(1, 18, speed=8)) == []
    assert cuts_of([scene(1)] * 30) == []


def test_a_flash_is_no_cut():
    pictures = pan(1, 30)
    pictures[14] = np.full_like(pictures[14], 255)
    assert cuts_of(pictures) in ([], [15])  # white shows nothing, so the next frame may count as a new shot


def test_a_light_going_on_for_one_frame_is_no_cut():
    pictures = pan(1, 30)
    pictures[14] = (pictures[14] // 2 + 120).astype(np.uint8)
    assert cuts_of(pictures) == []


@pytest.mark.parametrize("light", [lambda p: p // 2, lambda p: p // 2 + 100], ids=["darker", "glaring"])
def test_light_that_stays_is_no_cut(light):
    """The sun comes out from behind somebody: all is brighter at once, and what is seen is the same."""
    pictures = pan(1, 40)
    assert cuts_of(pictures[:20] + [light(p) for p in pictures[20:]]) == []


def test_a_cut_to_a_darker_shot_is_one():
    assert cuts_of(pan(1, 20) + [p // 2 for p in pan(2, 20)]) == [20]


def test_the_same_person_in_other_clothes_is_a_cut():
    """Before a plain wall nothing else changes, and the outlines are the same."""
    rng, pictures = np.random.default_rng(2), []
    for suit in (30, 130):
        still = np.full((320, 240, 3), 235, np.uint8)
        cv2.ellipse(still, (120, 60), (22, 28), 0, 0, 360, (190, 150, 130), -1)
        cv2.fillPoly(still, [np.array([[80, 95], [160, 95], [175, 200], [150, 310], [90, 310], [65, 200]])], (suit,) * 3)
        pictures += [np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8) for _ in range(25)]
    assert cuts_of(pictures) == [25]


def test_a_fade_in_is_no_cut_but_a_fade_through_white_is_one():
    bright = [np.full((180, 240, 3), 255, np.uint8)]
    rise = [(p * (i / 9) + 255 * (1 - i / 9)).astype(np.uint8) for i, p in enumerate(pan(1, 10))]
    assert cuts_of(rise + pan(1, 20)) == []
    found = cuts_of(pan(2, 20) + rise[::-1] + bright * 3 + rise + pan(1, 20))
    assert len(found) == 1 and 30 <= found[0] <= 36


def test_a_cut_in_a_noisy_clip():
    rng = np.random.default_rng(5)
    noisy = [np.clip(p + rng.normal(0, 12, p.shape), 0, 255).astype(np.uint8) for p in pan(1, 20) + pan(2, 20)]
    assert cuts_of(noisy) == [20]


PICTURES = np.stack([grey_of(p) for p in pan(1, 40) + pan(2, 40) + pan(4, 30)])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(12, 50), min_size=1, max_size=4))
def test_dividing_the_clip_changes_nothing(sizes):
    found, memory, start = [], None, 0
    for size in [*sizes, len(PICTURES)]:
        count = min(size, len(PICTURES) - start)
        if count <= 0:
            break
        cuts, _, memory = find_shots(PICTURES[start : start + count + AHEAD], count, memory)
        found += (start + np.flatnonzero(cuts)).tolist()
        start += count
    assert found == [40, 80]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_frames_are_known(value):
    greys = np.full((4, 96, 96), value, np.uint8)
    _, blank, _ = find_shots(greys, 4)
    assert blank.all()
