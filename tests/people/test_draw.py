"""Pose maps and label colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_person import clip

from vidvton.errors import MisuseError
from vidvton.people.draw import colour_labels, draw_skeleton, overlay


def test_skeleton_lies_on_the_joints_and_leaves_out_what_is_missing():
    frames, pose, _, _ = clip(2)
    drawn = draw_skeleton(pose, tuple(frames.shape[2:]))
    assert drawn.dtype == torch.uint8 and drawn.shape == frames.shape
    for joint in (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28):
        x, y = pose.keypoints[0, joint, :2].int().tolist()
        assert drawn[0, :, y, x].any(), joint
    assert 0.002 < (drawn > 0).any(dim=1).float().mean() < 0.1
    pose.keypoints[:, 15, 2] = 0
    without = draw_skeleton(pose, tuple(frames.shape[2:]))
    x, y = pose.keypoints[0, 15, :2].int().tolist()
    assert not without[0, :, y - 1 : y + 1, x - 1 : x + 1].any()
    pose.present[1] = False
    assert not draw_skeleton(pose, (64, 48))[1].any()


def test_left_and_right_limbs_have_their_own_colours():
    frames, pose, _, _ = clip(1)
    drawn = draw_skeleton(pose, tuple(frames.shape[2:]))[0]
    (lx, ly), (rx, ry) = ((pose.keypoints[0, [a, b], :2].mean(dim=0)).int().tolist() for a, b in ((25, 27), (26, 28)))
    assert not torch.equal(drawn[:, ly, lx], drawn[:, ry, rx])


def test_every_label_has_a_colour_of_its_own():
    colours = colour_labels(torch.arange(20, dtype=torch.uint8).reshape(1, 4, 5))
    assert len(np.unique(colours[0].reshape(3, -1).numpy(), axis=1).T) == 20
    assert not colours[0, :, 0, 0].any()
    with pytest.raises(MisuseError, match="20"):
        colour_labels(torch.full((1, 2, 2), 20, dtype=torch.uint8))


def test_overlay_changes_labelled_pixels_only():
    frames, _, _, labels = clip(1)
    numbers = torch.from_numpy(labels)
    mixed = overlay(frames, numbers, 0.5)
    ground = (numbers == 0)[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(mixed[ground], frames[ground])
    assert (mixed != frames).any()
    assert torch.equal(overlay(frames, numbers, 0.0), frames)
