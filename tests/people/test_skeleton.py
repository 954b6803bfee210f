"""Skeleton formats: names, order, left and right, scores."""

from __future__ import annotations

import pytest
import torch

from vidvton.people import skeleton as s


@pytest.fixture
def body():
    """Every joint at its own place: (row, 100 + row, score 0.5 + row / 100)."""
    rows = torch.arange(33.0)
    return torch.stack([rows, 100 + rows, 0.5 + rows / 100], -1)


def test_formats_have_their_sizes_and_no_name_twice():
    assert {name: len(rows) for name, rows in s.FORMATS.items()} == {
        "mediapipe": 33, "body_25": 25, "coco_18": 18, "coco_17": 17, "mpii_16": 16,
    }  # fmt: skip
    assert all(len(set(rows)) == len(rows) for rows in s.FORMATS.values())


@pytest.mark.parametrize(
    ("convert", "names"),
    [(s.to_body_25, s.BODY_25), (s.to_coco_18, s.COCO_18), (s.to_coco_17, s.COCO_17), (s.to_mpii_16, s.MPII_16)],
)
def test_joints_both_formats_have_are_carried_exactly(body, convert, names):
    out = convert(body)
    assert out.shape == (len(names), 3)
    for row, name in enumerate(names):
        if name in s.J:
            assert torch.equal(out[row], body[s.J[name]]), name


def test_published_orders():
    # OpenPose BODY_25: 2-4 right arm, 5-7 left arm, 9-11 right leg, 12-14 left leg, 15/16 right/left eye
    assert [s.BODY_25[i] for i in (0, 4, 7, 8, 11, 14, 15, 16, 21, 24)] == [
        "nose", "right_wrist", "left_wrist", "mid_hip", "right_ankle", "left_ankle", "right_eye", "left_eye", "left_heel",
        "right_heel",
    ]  # fmt: skip
    assert [s.COCO_18[i] for i in (1, 2, 5, 8, 11, 14, 17)] == [
        "neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip", "right_eye", "left_ear",
    ]  # fmt: skip
    assert [s.COCO_17[i] for i in (0, 5, 6, 11, 16)] == ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_ankle"]
    assert [s.MPII_16[i] for i in (0, 5, 6, 7, 9, 10, 15)] == [
        "right_ankle", "left_ankle", "pelvis", "thorax", "head_top", "right_wrist", "left_wrist",
    ]  # fmt: skip


def test_middles_lie_half_way_with_the_lower_score(body):
    neck = s.to_body_25(body)[1]
    assert neck.tolist() == pytest.approx([11.5, 111.5, 0.61])
    hip = s.to_mpii_16(body)[6]
    assert hip.tolist() == pytest.approx([23.5, 123.5, 0.73])


def test_points_mediapipe_has_not_got_have_no_score(body):
    out = s.to_body_25(body)
    assert out[s.BODY_25.index("left_small_toe")].tolist() == [0, 0, 0]


def test_left_and_right_change_places_and_back(body):
    swapped = s.swap_left_right(body)
    assert torch.equal(swapped[s.J["left_wrist"]], body[s.J["right_wrist"]])
    assert torch.equal(swapped[s.J["nose"]], body[s.J["nose"]])
    assert torch.equal(s.swap_left_right(swapped), body)
    mirrored = s.to_coco_17(swapped)
    assert torch.equal(mirrored[s.COCO_17.index("left_hip")], s.to_coco_17(body)[s.COCO_17.index("right_hip")])


def test_batches_keep_their_shape_and_wrong_shapes_are_refused(body):
    assert s.to_coco_18(body.expand(2, 5, 33, 3)).shape == (2, 5, 18, 3)
    with pytest.raises(ValueError, match="33"):
        s.to_coco_18(body[:17])
