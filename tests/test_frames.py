"""Pictures as numbers: exact round trips, views without copies, letterboxes with a way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidvton.frames import Letterbox, as_arrays, from_arrays, resize, to_float, to_uint8

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def test_every_byte_survives_the_trip_to_floats_and_back():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(frames)), frames)
    assert to_float(frames).min() == 0 and to_float(frames).max() == 1


def test_floats_out_of_range_are_clamped_and_rounded_to_nearest():
    assert to_uint8(torch.tensor([-1.0, 2.0, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4])).tolist() == [0, 255, 0, 1]


def test_views_share_memory_both_ways():
    arrays = np.zeros((2, 4, 5, 3), np.uint8)
    frames = from_arrays(arrays)
    assert tuple(frames.shape) == (2, 3, 4, 5)
    frames[1, 2, 3, 4] = 9
    assert arrays[1, 3, 4, 2] == 9
    assert np.shares_memory(as_arrays(frames), arrays) and as_arrays(frames).flags.c_contiguous
    assert frames.is_contiguous(memory_format=torch.channels_last)


def test_resizing_keeps_type_lead_dimensions_and_flat_colours():
    frames = torch.full((2, 4, 3, 20, 30), 77, dtype=torch.uint8)
    out = resize(frames, (7, 50))
    assert tuple(out.shape) == (2, 4, 3, 7, 50) and out.dtype == torch.uint8 and (out == 77).all()
    assert resize(frames, (20, 30)) is frames
    assert resize(frames[0, 0].float() / 255, (5, 5)).dtype == torch.float32


def test_shrinking_averages_and_does_not_alias():
    stripes = torch.zeros(1, 3, 8, 64, dtype=torch.uint8)
    stripes[..., ::2] = 200
    assert (resize(stripes, (8, 8)).float() - 100).abs().max() <= 8


@given(sizes, sizes)
def test_a_letterbox_fits_and_touches_the_target(source, target):
    box = Letterbox(source, target)
    (height, width), (top, left) = box.inner, box.corner
    assert 1 <= height <= target[0] and 1 <= width <= target[1]
    assert height == target[0] or width == target[1]
    assert 0 <= top and top + height <= target[0] and 0 <= left and left + width <= target[1]


@given(sizes, sizes)
def test_points_go_into_a_letterbox_and_back(source, target):
    box = Letterbox(source, target)
    points = torch.tensor([[0.0, 0.0], [source[1], source[0]], [source[1] / 2, source[0] / 3]])
    assert torch.allclose(box.invert_points(box.points(points)), points, atol=1e-3)
    corners = box.points(points[:2])
    assert corners[0].tolist() == pytest.approx([box.corner[1], box.corner[0]])
    assert corners[1].tolist() == pytest.approx([box.corner[1] + box.inner[1], box.corner[0] + box.inner[0]], abs=1e-3)


def test_pictures_go_into_a_letterbox_and_back_and_the_rest_is_fill():
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(40.0), indexing="ij")
    picture = torch.stack([x * 4, y * 3, x + y]).round().to(torch.uint8)
    box = Letterbox((60, 40), (120, 200))
    boxed = box.apply(picture, fill=9)
    assert tuple(boxed.shape) == (3, 120, 200)
    assert (boxed[:, :, : box.corner[1]] == 9).all() and (boxed[:, :, box.corner[1] + box.inner[1] :] == 9).all()
    assert (box.invert(boxed).int() - picture.int()).abs().max() <= 2


def test_a_letterbox_of_the_same_size_changes_nothing():
    picture = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8)
    box = Letterbox((9, 7), (9, 7))
    assert torch.equal(box.apply(picture), picture) and torch.equal(box.invert(picture), picture)
