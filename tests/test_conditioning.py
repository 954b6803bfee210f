"""The network's conditions: windows are views, a withheld group is zero and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vidvton.values import GROUPS, LAYOUT_WORDS, POINTS, Conditioning


def some_conditions(batch: int = 2, frames: int = 5, slots: int = 2) -> Conditioning:
    draw = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=draw) + 0.01

    return Conditioning(
        agnostic=rand(batch, frames, 3, 8, 6),
        region=rand(batch, frames, 1, 8, 6),
        pose=rand(batch, frames, 33, 3),
        warped=rand(batch, frames, 4, 8, 6),
        garments=rand(batch, slots, 4, 8, 6),
        garment_points=rand(batch, slots, POINTS, 3),
        slots=torch.ones(batch, slots, dtype=torch.int64),
        layout=torch.ones(batch, slots, len(LAYOUT_WORDS), dtype=torch.int64),
        given=torch.ones(batch, 3, dtype=torch.bool),
        augmentation=torch.zeros(batch),
        embedding=rand(batch, 4),
    )


def test_a_window_is_a_view_of_its_frames_and_keeps_the_garments():
    whole = some_conditions()
    part = whole.window(1, 4)
    assert part.num_frames == 3 and part.size == (8, 6)
    assert torch.equal(part.pose, whole.pose[:, 1:4]) and part.garments is whole.garments
    assert part.agnostic.untyped_storage().data_ptr() == whole.agnostic.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("group", "zeroed"),
    [
        ("person", {"agnostic", "region"}),
        ("garment", {"warped", "garments", "garment_points", "layout", "embedding", "slots"}),
        ("pose", {"pose"}),
    ],
)
def test_a_withheld_group_is_empty_and_the_others_stay(group, zeroed):
    whole = some_conditions()
    dropped = whole.drop((group,))
    assert dropped.given.tolist() == [[name != group for name in GROUPS]] * 2
    for name in ("agnostic", "region", "pose", "warped", "garments", "garment_points", "slots", "layout", "embedding"):
        value = getattr(dropped, name)
        if name in zeroed:
            assert (value == (-1 if name == "slots" else 0)).all(), name
        else:
            assert torch.equal(value, getattr(whole, name)), name


def test_a_mask_drops_per_sample_and_drops_add_up():
    whole = some_conditions()
    mask = torch.tensor([[True, False, False], [False, False, True]])
    dropped = whole.drop(mask).drop(("garment",))
    assert dropped.given.tolist() == [[False, False, True], [True, False, False]]
    assert (dropped.agnostic[0] == 0).all() and torch.equal(dropped.agnostic[1], whole.agnostic[1])
    with pytest.raises(ValueError, match="unknown group 'cloth'"):
        whole.drop(("cloth",))


def test_moving_changes_floats_only_and_shapes_are_checked():
    whole = some_conditions()
    half = whole.to(dtype=torch.bfloat16)
    assert half.agnostic.dtype == torch.bfloat16 and half.slots.dtype == torch.int64 and half.given.dtype == torch.bool
    with pytest.raises(ValueError, match="Conditioning.region"):
        replace(whole, region=whole.region[:, :4])
    with pytest.raises(TypeError, match="Conditioning.slots"):
        replace(whole, slots=whole.slots.float())
