"""Agnostic frames: cover the old garment, keep the person, tell nothing, hold still."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from drawn_person import LABEL, clip, iou, track
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidvton.errors import MisuseError
from vidvton.people.agnostic import GREY, make_agnostic, old_garment
from vidvton.values import CATEGORIES, Clip, PersonTrack


def person_of(labels, pose):
    return PersonTrack(pose, torch.from_numpy(np.ascontiguousarray(labels)))


def clip_of(frames):
    return Clip(frames, torch.arange(len(frames)), Fraction(1, 25))


@pytest.fixture(scope="module")
def drawn():
    return clip(6)


def agnostic(drawn, category):
    frames, pose, _, labels = drawn
    return make_agnostic(clip_of(frames), person_of(labels, pose), category)


@pytest.mark.parametrize("category", CATEGORIES)
def test_region_covers_the_old_garment_and_leaves_the_person(drawn, category):
    frames, pose, _, labels = drawn
    result = agnostic(drawn, category)
    region = result.region[:, 0].numpy()
    old = old_garment(torch.from_numpy(labels), pose, category).numpy()
    assert old.any() and region[old].mean() > 0.995
    for name in ("face", "hair", "left_shoe", "right_shoe"):
        assert not region[labels == LABEL[name]].any(), name
    for t in range(len(labels)):
        for wrist, knuckle, name in ((15, 19, "left_arm"), (16, 20, "right_arm")):
            x, y = (pose.keypoints[t, knuckle, :2] * 1.5 - pose.keypoints[t, wrist, :2] * 0.5).int().tolist()
            assert labels[t, y, x] == LABEL[name] and not region[t, y, x]
    assert (result.frames.permute(0, 2, 3, 1)[result.region[:, 0]] == GREY).all()
    outside = ~result.region.expand(-1, 3, -1, -1)
    assert torch.equal(result.frames[outside], frames[outside])
    assert (result.quality > 0.9).all()


def test_other_garments_are_kept(drawn):
    _, pose, _, labels = drawn
    upper, lower = (agnostic(drawn, c).region[:, 0].numpy() for c in ("upper", "lower"))
    assert not lower[labels == LABEL["upper"]].any()
    knees = np.zeros(labels.shape, bool)
    for t, (x, y, _) in enumerate(pose.keypoints[:, 25].tolist()):
        knees[t, int(y) - 5 : int(y) + 5, int(x) - 5 : int(x) + 5] = True
    assert not upper[knees].any() and lower[knees].all()
    between = pose.keypoints[:, 25:27, :2].mean(dim=1).int().tolist()
    assert all(lower[t, y, x] for t, (x, y) in enumerate(between))  # room for a skirt


def test_a_slightly_other_outline_gives_the_same_region():
    narrow, wide = clip(3), clip(3, wide=1.15)
    regions = [agnostic(d, "upper").region[:, 0].numpy() for d in (narrow, wide)]
    garments = [d[3] == LABEL["upper"] for d in (narrow, wide)]
    assert iou(*garments) < 0.94
    assert iou(*regions) > 0.975


def test_region_holds_still(drawn):
    frames, pose, _, labels = drawn
    rng = np.random.default_rng(1)
    shaken = labels.copy()
    for t in range(len(labels)):  # an outline that trembles by two pixels
        shaken[t] = np.roll(labels[0], rng.integers(-2, 3, 2), axis=(0, 1))
    still = track(np.repeat(pose.keypoints[:1].numpy(), len(labels), axis=0))
    result = make_agnostic(clip_of(frames), person_of(shaken, still), "upper").region[:, 0].numpy()
    body = np.zeros(labels.shape[1:], bool)
    body[100:140] = True  # flanks and arms, clear of what is kept
    change = (result[1:] != result[:-1])[:, body].sum() / result[1:][:, body].sum()
    assert change < 0.02


def test_scaling_the_picture_scales_the_region():
    small, large = clip(2, scale=1.5), clip(2, scale=3.0)
    regions = [agnostic(d, "upper").region[:, 0].numpy() for d in (small, large)]
    assert iou(regions[0], regions[1][:, ::2, ::2]) > 0.96


def test_a_dress_is_cut_at_the_waist(drawn):
    _, pose, _, labels = drawn
    dress = np.where(np.isin(labels, [LABEL["upper"], LABEL["pants"]]), LABEL["dress"], labels).astype(np.uint8)
    parts = [old_garment(torch.from_numpy(dress), pose, c).numpy() for c in CATEGORIES]
    assert not (parts[0] & parts[1]).any()
    assert np.array_equal(parts[0] | parts[1], parts[2])
    assert parts[0].any() and parts[1].any()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(missing=st.sets(st.integers(0, 32)), category=st.sampled_from(CATEGORIES))
def test_no_missing_joint_raises(drawn, missing, category):
    frames, pose, _, labels = drawn
    points = pose.keypoints[:2].clone()
    points[:, sorted(missing)] = 0
    result = make_agnostic(clip_of(frames[:2]), person_of(labels[:2], track(points.numpy())), category)
    assert ((result.quality >= 0) & (result.quality <= 1)).all()
    assert not result.region[:, 0][torch.from_numpy(labels[:2] == LABEL["face"])].any()


def test_nobody_and_wrong_words(drawn):
    frames, pose, _, labels = drawn
    gone = track(pose.keypoints.numpy())
    object.__setattr__(gone, "present", torch.zeros(len(frames), dtype=torch.bool))
    result = make_agnostic(clip_of(frames), person_of(labels * 0, gone), "upper")
    assert not result.region.any() and not result.quality.any() and torch.equal(result.frames, frames)
    with pytest.raises(MisuseError, match="upper, lower, full"):
        make_agnostic(clip_of(frames), person_of(labels, pose), "hat")
    with pytest.raises(MisuseError, match="labels"):
        make_agnostic(clip_of(frames), person_of(labels[:, ::2], pose), "upper")
