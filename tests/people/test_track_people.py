"""Tracking a real person (matplotlib's portrait of Grace Hopper) in clips made of that one picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scripted_people import clip_of, hopper, scripted

from vidvton.people.silhouettes import Silhouettes
from vidvton.people.track import analyse, load_track, track_clip

SIDE = 320


def room(width: int = SIDE, height: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(3)
    return cv2.resize(rng.integers(60, 200, (9, 11, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def person() -> tuple[np.ndarray, np.ndarray]:
    """(portrait [h, w, 3], soft coverage [h, w, 1]) cut out roughly, so that she can stand in another room."""
    portrait = hopper(SIDE)
    mask = np.zeros(portrait.shape[:2], np.float32)
    cv2.ellipse(mask, (140, 100), (75, 95), 0, 0, 360, 1.0, -1)
    cv2.fillConvexPoly(mask, np.array([[95, 150], [185, 150], [272, 230], [272, 320], [0, 320], [0, 240]]), 1.0)
    return portrait, cv2.GaussianBlur(mask, (0, 0), 3)[..., None]


def placed(canvas: np.ndarray, left: int, *, mirror: bool = False) -> np.ndarray:
    portrait, mask = person()
    if mirror:
        portrait, mask = portrait[:, ::-1], mask[:, ::-1]
    out = canvas.copy()
    x0, x1 = max(0, left), min(canvas.shape[1], left + portrait.shape[1])
    if x1 > x0:
        part = slice(x0 - left, x1 - left)
        out[:, x0:x1] = (mask[:, part] * portrait[:, part] + (1 - mask[:, part]) * out[:, x0:x1]).astype(np.uint8)
    return out


def test_a_pan_is_followed_without_lag():
    steps = [20 + round(25 * np.sin(i / 3)) for i in range(19)]  # once there and back
    track, outline = track_clip(clip_of([placed(room(), s) for s in steps]))
    assert track.present.all()
    nose = track.keypoints[:, 0, 0].numpy() - np.array(steps)
    assert nose.std() < 4
    assert (track.keypoints[:, 11, 0] > track.keypoints[:, 12, 0]).all()
    assert (track.yaw.cos() > 0.5).all()
    for i in (0, 9, 18):
        mask = outline.cut(i, (0, 0, SIDE, SIDE), (SIDE, SIDE))
        assert mask[250, steps[i] + 140] > 200 and mask[:60, :10].max() < 60


def test_leaving_and_coming_back_and_a_new_shot():
    away = [room()] * 16  # more than is bridged
    clip = clip_of([placed(room(), 30)] * 8 + away + [placed(room(), 40)] * 8 + [placed(255 - room(), 10)] * 6)
    track, _ = track_clip(clip)
    present = track.present.numpy()
    assert present[:7].all() and not present[10:22].any() and present[25:].all()
    assert track.shots[0] < track.shots[-1]
    assert np.flatnonzero(np.diff(track.shots.numpy()))[-1] == 31
    assert track.keypoints[31, 0, 0] - track.keypoints[32, 0, 0] == pytest.approx(30, abs=8)  # nothing is smoothed over a cut


def test_two_people_are_told_apart(tmp_path):
    """And whoever is asked for, the models look at the clip once."""
    wide = room(640)
    pictures = [placed(placed(wide, 10 + i), 360 - i, mirror=True) for i in range(10)]
    clip = clip_of(pictures)
    unasked = scripted(lambda number, back: pytest.fail("the models looked again"))
    tracks, outlines = [], []
    for who, estimators in (("1", None), ("2", unasked), ("495,250", unasked)):
        for _ in analyse(lambda: iter([clip]), tmp_path, who=who, estimators=estimators):
            pass
        tracks.append(load_track(tmp_path))
        outlines.append(Silhouettes(tmp_path).cut(5, (330, 0, 640, 320), (64, 62)))
    left, right, pointed = tracks
    assert left.present.all() and right.present.all()
    assert (left.keypoints[:, 0, 0] < 300).all() and (right.keypoints[:, 0, 0] > 340).all()
    assert torch.equal(pointed.keypoints, right.keypoints)
    assert outlines[0].mean() < 20 < outlines[1].mean()


def test_a_mirrored_clip_gives_the_mirrored_person():
    pictures = [placed(room(), 10 + 2 * i) for i in range(6)]
    track, _ = track_clip(clip_of(pictures))
    mirror, _ = track_clip(clip_of([np.ascontiguousarray(p[:, ::-1]) for p in pictures]))
    assert (SIDE - mirror.keypoints[:, 12, 0] - track.keypoints[:, 11, 0]).abs().max() < 0.1 * SIDE
    assert (mirror.yaw + track.yaw).abs().max() < 0.6
