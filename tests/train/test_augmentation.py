"""Augmentation: mirrors exchange left and right everywhere, colours change alike, regions grow, all from one seed."""

from dataclasses import fields, replace

import pytest
import torch
from drawn_set import drawn_garment, drawn_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from vidvton.people.skeleton import LEFT_RIGHT_SWAP, J
from vidvton.train.augmentation import (
    SWAPPED_POINTS,
    Augmentation,
    augment,
    drawn_view,
    grown,
    mirrored,
    mirrored_garment,
    recoloured,
)
from vidvton.values import LANDMARKS, Garment, Layout, Part


@pytest.fixture
def scene():
    made = drawn_scene("a", frames=3, size=(32, 48))
    points = torch.rand(3, 33, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([48.0, 32.0, 1.0])
    points[:, J["left_elbow"]] = 0
    return replace(made, keypoints=points)


def same(one, two):
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, torch.Tensor):
            assert torch.allclose(a.float(), b.float(), atol=1e-4), field.name
        elif field.name == "garments":
            for g, h in zip(a, b):
                same(g, h)
        else:
            assert a == b, field.name


def test_the_swap_is_the_skeleton_s():
    assert tuple(SWAPPED_POINTS) == tuple(LEFT_RIGHT_SWAP)


def test_a_mirror_in_a_mirror_is_the_scene(scene):
    same(mirrored(mirrored(scene)), scene)


def test_a_mirror_exchanges_left_and_right(scene):
    other = mirrored(scene)
    left, right = scene.keypoints[0, J["left_wrist"]], other.keypoints[0, J["right_wrist"]]
    assert right[0] == pytest.approx(48 - left[0].item(), abs=1e-4) and torch.equal(right[1:], left[1:])
    assert not other.keypoints[:, J["right_elbow"]].any()  # a missing point is missing still, not at the far edge
    assert torch.equal(other.truth, scene.truth.flip(-1)) and torch.equal(other.region, scene.region.flip(-1))
    # the point a pixel's centre marks goes with the pixel
    assert torch.equal(other.warped[..., 5], scene.warped[..., 48 - 1 - 5])


def test_a_mirrored_garment_has_its_sleeves_and_landmarks_exchanged():
    garment = drawn_garment(torch.tensor([1, 2, 3], dtype=torch.uint8).reshape(3, 1, 1), (20, 30))
    names = LANDMARKS["upper"]
    marks = torch.zeros(len(names), 3)
    marks[names.index("cuff_outer_left")] = torch.tensor([25.0, 10.0, 0.8])
    parts = torch.full((20, 30), int(Part.TORSO), dtype=torch.uint8)
    parts[:, 22:] = int(Part.LEFT_SLEEVE)
    garment = Garment(garment.image, garment.alpha, parts, "upper", marks, Layout(sleeve="short"), garment.fabric)
    other = mirrored_garment(garment)
    assert other.landmark("cuff_outer_right") == pytest.approx((5.0, 10.0, 0.8)) and other.landmark("cuff_outer_left")[2] == 0
    assert (other.parts[:, :8] == int(Part.RIGHT_SLEEVE)).all() and (other.parts[:, 8:] == int(Part.TORSO)).all()
    same(mirrored_garment(other), garment)
    for category, words in LANDMARKS.items():
        size = (3, 20, 30)
        marks = torch.rand(len(words), 3)
        one = Garment(torch.zeros(size, dtype=torch.uint8), torch.zeros(20, 30), parts, category, marks, Layout(), torch.zeros(3))
        same(mirrored_garment(mirrored_garment(one)), one)


def test_colours_change_alike_and_greys_stay_grey(scene):
    shifts = torch.tensor([0.3, 0.5, -0.4, 0.0])
    other = recoloured(scene, shifts)
    assert other.source is not scene.source and not torch.equal(other.truth, scene.truth)
    inside = scene.region[0, 0]
    worn, sold = other.truth[0][:, inside][:, 0], other.garments[0].image[:, 10, 10]
    assert (worn.int() - sold.int()).abs().max() <= 1  # the garment worn still has the colour of its picture
    grey = replace(scene, truth=torch.full_like(scene.truth, 90))
    assert recoloured(grey, shifts).truth.float().std() == 0
    same(recoloured(scene, torch.zeros(4)), scene)
    paired = replace(scene, source=scene.truth)
    both = recoloured(paired, shifts)
    assert both.source is both.truth


@settings(max_examples=20, deadline=None)
@given(pixels=st.integers(-6, 6), x=st.integers(8, 22), y=st.integers(8, 22))
def test_a_region_grows_and_shrinks_by_pixels(pixels, x, y):
    region = torch.zeros(2, 1, 48, 48, dtype=torch.bool)
    region[:, :, y : y + 14, x : x + 13] = True
    rows = grown(region, pixels)[1, 0].any(1).sum().item()
    columns = grown(region, pixels)[1, 0].any(0).sum().item()
    assert (rows, columns) == (14 + 2 * pixels, 13 + 2 * pixels)


def test_a_region_at_the_frame_s_edge_does_not_shrink_from_it():
    region = torch.ones(1, 1, 10, 10, dtype=torch.bool)
    region[..., 6:, :] = False
    assert grown(region, -2)[0, 0].any(1).tolist() == [True] * 4 + [False] * 6


def test_everything_is_a_function_of_the_seed(scene):
    how = Augmentation(flips=True, crops=0.2, colour=0.5, light=0.5, noise=0.1, grow=0.1, shrink=0.05)
    same(augment(scene, how, 7), augment(scene, how, 7))
    flips = [torch.equal(augment(scene, Augmentation(grow=0, shrink=0), s).region, scene.region.flip(-1)) for s in range(200)]
    assert 60 < sum(flips) < 140
    assert all(augment(scene, Augmentation(flips=False, grow=0, shrink=0), s) == scene for s in range(3))
    quiet = augment(scene, replace(how, flips=False, colour=0.0, grow=0.0, shrink=0.0), 3)
    assert torch.equal(quiet.truth, scene.truth)  # only the garment's photograph changed
    assert not torch.equal(quiet.garments[0].image, scene.garments[0].image)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**40), crops=st.floats(0, 0.5))
def test_views_stay_inside_the_frame_and_hold_still(seed, crops):
    view = drawn_view(4, (64, 48), (32, 24), crops, seed)
    left, top, right, bottom = view.boxes[0].tolist()
    assert 0 <= left < right <= 48 and 0 <= top < bottom <= 64 and (view.boxes == view.boxes[0]).all()
    assert right - left >= round(48 * (1 - crops)) and abs((bottom - top) / (right - left) - 4 / 3) < 0.1
