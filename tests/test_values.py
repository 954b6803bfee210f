"""The nouns check what they are given, name both sides of a misfit, and cut windows without copies."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest
import torch

from vidvton.values import (
    CATEGORIES,
    CIHP_LABELS,
    LABEL_SETS,
    LANDMARKS,
    LIP_LABELS,
    AgnosticFrames,
    Clip,
    Garment,
    Layout,
    Part,
    PersonTrack,
    PoseTrack,
    TryOnInputs,
    WarpedGarment,
)

U8, F32 = torch.uint8, torch.float32


def a_clip(n: int = 4, size: tuple[int, int] = (6, 8)) -> Clip:
    return Clip(torch.zeros(n, 3, *size, dtype=U8), torch.arange(n) * 40, Fraction(1, 1000))


def a_pose(n: int = 4) -> PoseTrack:
    points = torch.rand(n, 33, 3)
    return PoseTrack(
        boxes=torch.tensor([[1.0, 2.0, 5.0, 6.0]]).repeat(n, 1), keypoints=points, depth=torch.ones(n, 33), yaw=torch.zeros(n),
        present=torch.ones(n, dtype=torch.bool), quality=torch.ones(n), shots=torch.zeros(n, dtype=torch.int64),
    )  # fmt: skip


def a_garment(category: str = "upper") -> Garment:
    parts = torch.zeros(10, 8, dtype=U8)
    parts[2:8, 2:6] = Part.TORSO
    marks = torch.zeros(len(LANDMARKS[category]), 3)
    marks[0] = torch.tensor([3.0, 4.0, 0.5])
    return Garment(torch.zeros(3, 10, 8, dtype=U8), torch.ones(10, 8), parts, category, marks, Layout("short"), torch.zeros(3))


def test_a_clip_knows_its_size_and_windows_are_views():
    clip = a_clip()
    assert len(clip) == 4 and clip.size == (6, 8)
    window = clip.window(1, 3)
    assert window.pts.tolist() == [40, 80] and window.frames.data_ptr() == clip.frames[1].data_ptr()


def test_misfits_name_the_field_what_came_and_what_was_expected():
    with pytest.raises(ValueError, match=r"Clip.frames has shape \[4, 1, 6, 8\], expected \[\*, 3, \*, \*\]"):
        Clip(torch.zeros(4, 1, 6, 8, dtype=U8), torch.arange(4), Fraction(1, 25))
    with pytest.raises(ValueError, match=r"Clip.pts has shape \[3\], expected \[4\]"):
        Clip(torch.zeros(4, 3, 6, 8, dtype=U8), torch.arange(3), Fraction(1, 25))
    with pytest.raises(TypeError, match="Clip.frames is torch.float32, expected torch.uint8"):
        Clip(torch.zeros(4, 3, 6, 8), torch.arange(4), Fraction(1, 25))
    with pytest.raises(TypeError, match="must be a torch tensor, not list"):
        Clip([1, 2], torch.arange(2), Fraction(1, 25))


def test_nouns_are_frozen():
    with pytest.raises(FrozenInstanceError):
        a_clip().pts = torch.arange(4)


def test_a_pose_moved_there_and_back_is_the_same():
    pose = a_pose()
    scale, offset = torch.tensor([2.0, 0.5, 1.0, 3.0]), torch.tensor([[1.0, 2.0], [0.0, 0.0], [-4.0, 1.0], [7.0, 7.0]])
    moved = pose.moved(scale, offset)
    assert torch.allclose(moved.boxes[0], torch.tensor([3.0, 6.0, 11.0, 14.0]))
    assert torch.equal(moved.keypoints[..., 2], pose.keypoints[..., 2])
    assert torch.allclose(moved.depth, pose.depth * scale[:, None])
    back = moved.moved(1 / scale, -offset / scale[:, None])
    assert torch.allclose(back.keypoints, pose.keypoints, atol=1e-5) and torch.allclose(back.boxes, pose.boxes, atol=1e-5)
    assert pose.boxes[0].tolist() == [1.0, 2.0, 5.0, 6.0]


def test_windows_of_tracks_cut_every_field():
    track = PersonTrack(a_pose(), torch.zeros(4, 6, 8, dtype=U8))
    window = track.window(1, 3)
    assert len(window) == 2 and len(window.labels) == 2
    names = ("boxes", "keypoints", "depth", "yaw", "present", "quality", "shots")
    assert all(len(getattr(window.pose, name)) == 2 for name in names)
    assert torch.equal(window.keypoints, track.keypoints[1:3]) and torch.equal(window.boxes, track.boxes[1:3])


def test_label_sets_travel_with_the_map():
    with pytest.raises(ValueError, match="'atr', expected one of cihp, lip"):
        PersonTrack(a_pose(), torch.zeros(4, 6, 8, dtype=U8), "atr")
    assert len(CIHP_LABELS) == 20 == len(set(CIHP_LABELS)) and len(LIP_LABELS) == 20
    assert [i for i in range(20) if CIHP_LABELS[i] != LIP_LABELS[i]] == [10]
    assert CIHP_LABELS[10] == "torso_skin" and set(LABEL_SETS) == {"cihp", "lip"}


@pytest.mark.parametrize("category", CATEGORIES)
def test_landmarks_by_name(category):
    names = LANDMARKS[category]
    assert len(names) == len(set(names))
    garment = a_garment(category)
    assert garment.landmark(names[0]) == (3.0, 4.0, 0.5)
    with pytest.raises(KeyError, match="no landmark 'elbow'"):
        garment.landmark("elbow")
    mirrored = {name.replace("left", "?").replace("right", "left").replace("?", "right") for name in names}
    assert mirrored == set(names)


def test_garments_check_category_sizes_and_mask():
    garment = a_garment()
    assert garment.mask.sum() == 24 and garment.mask.dtype == torch.bool
    with pytest.raises(ValueError, match="'dress', expected one of upper, lower, full"):
        Garment(garment.image, garment.alpha, garment.parts, "dress", garment.landmarks, Layout(), garment.fabric)
    with pytest.raises(ValueError, match="Garment.alpha"):
        Garment(garment.image, torch.ones(9, 8), garment.parts, "upper", garment.landmarks, Layout(), garment.fabric)
    with pytest.raises(ValueError, match="Garment.landmarks"):
        Garment(garment.image, garment.alpha, garment.parts, "lower", garment.landmarks, Layout(), garment.fabric)


def test_inputs_of_different_lengths_do_not_meet():
    person = PersonTrack(a_pose(), torch.zeros(4, 6, 8, dtype=U8))
    agnostic = AgnosticFrames(torch.zeros(4, 3, 6, 8, dtype=U8), torch.zeros(4, 1, 6, 8, dtype=torch.bool), torch.ones(4))
    warped = WarpedGarment(torch.zeros(4, 3, 6, 8), torch.zeros(4, 1, 6, 8))
    assert TryOnInputs(a_clip(), person, (a_garment(),), agnostic, warped).person is person
    with pytest.raises(ValueError, match=r"\[3, 4\] frames"):
        TryOnInputs(a_clip(3), person, (), agnostic, warped)
    with pytest.raises(ValueError, match="AgnosticFrames.region"):
        AgnosticFrames(agnostic.frames, torch.zeros(4, 1, 6, 9, dtype=torch.bool), torch.ones(4))
    with pytest.raises(TypeError, match="WarpedGarment.alpha"):
        WarpedGarment(warped.frames, torch.zeros(4, 1, 6, 8, dtype=torch.bool))
