"""From clip and garments to what the network is given: places, proportions, ways back."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidvton.collate import GREY, collate, crop_view, from_layout, garment_conditions, stack, whole_view
from vidvton.errors import MisuseError
from vidvton.values import (
    CATEGORIES,
    LANDMARKS,
    LAYOUT_WORDS,
    POINTS,
    AgnosticFrames,
    Clip,
    Garment,
    Layout,
    PersonTrack,
    PoseTrack,
    TryOnInputs,
    WarpedGarment,
)

SIZE, NET = (60, 40), (32, 24)
CUT = Layout("short", None, True)


def a_garment(category: str = "upper", layout: Layout = CUT) -> Garment:
    image = torch.zeros(3, 50, 40, dtype=torch.uint8)
    image[0] = 255
    alpha = torch.zeros(50, 40)
    alpha[10:40, 10:30] = 1.0
    marks = torch.tensor([[20.0, 25.0, 1.0]]).repeat(len(LANDMARKS[category]), 1)
    marks[3] = torch.tensor([5.0, 5.0, 0.0])
    return Garment(image, alpha, (alpha > 0.5).to(torch.uint8), category, marks, layout, torch.tensor([1.0, 0.0, 0.0]))


def some_inputs(frames: int = 3, garments: tuple[Garment, ...] | None = None) -> TryOnInputs:
    draw = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (frames, 3, *SIZE), generator=draw, dtype=torch.uint8)
    region = torch.zeros(frames, 1, *SIZE, dtype=torch.bool)
    region[:, :, 20:40, 10:30] = True
    grey = torch.where(region, torch.tensor(128, dtype=torch.uint8), pictures)
    points = torch.tensor([20.0, 30.0, 0.9]).repeat(frames, 33, 1)
    points[:, 7] = torch.tensor([12.0, 13.0, 0.0])
    zeros = torch.zeros(frames)
    pose = PoseTrack(
        torch.tensor([5.0, 5.0, 35.0, 55.0]).repeat(frames, 1),
        points,
        torch.zeros(frames, 33),
        zeros,
        torch.ones(frames, dtype=torch.bool),
        zeros + 1,
        torch.zeros(frames, dtype=torch.int64),
    )
    alpha = region.float() * 0.5
    return TryOnInputs(
        Clip(pictures, torch.arange(frames), Fraction(1, 25)),
        PersonTrack(pose, torch.zeros(frames, *SIZE, dtype=torch.uint8)),
        (a_garment(),) if garments is None else garments,
        AgnosticFrames(grey, region, zeros + 1),
        WarpedGarment(torch.full((frames, 3, *SIZE), 0.8), alpha),
    )


def test_a_sample_has_the_shapes_the_network_asks_for_and_its_hint_is_the_dressed_region():
    inputs = some_inputs()
    made = collate(inputs, NET, slots=2)
    assert made.size == NET and made.num_frames == 3
    assert made.agnostic.shape == (1, 3, 3, *NET) and made.garments.shape == (1, 2, 4, *NET)
    inside = made.warped[0, 1, :, 16, 12]  # the middle of the region
    source = inputs.clip.frames[1, :, 30, 20].float() / 255  # the garment lies over it by one half
    assert torch.allclose(inside, torch.cat([0.4 + 0.5 * source, torch.ones(1)]), atol=0.06)
    assert (made.warped[:, :, :, :, :2] == 0).all(), "nothing of the source outside the region"
    assert made.given.all() and (made.augmentation == 0).all()
    without = collate(some_inputs(), NET, hint=False)
    assert (without.warped == 0).all() and torch.equal(without.agnostic, made.agnostic)


def test_bars_are_grey_and_ask_for_nothing():
    made = collate(some_inputs(), NET)  # 60x40 into 32x24: 21 columns wide, bars left and right
    assert torch.allclose(made.agnostic[..., 0], torch.tensor(GREY)) and torch.allclose(
        made.agnostic[..., -1], torch.tensor(GREY)
    )
    assert (made.region[..., 0] == 0).all() and (made.region[..., -1] == 0).all()


def test_a_soft_region_keeps_shares_and_a_hard_one_rounds_up():
    soft, hard = (collate(some_inputs(), NET, hard=h).region for h in (False, True))
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert ((soft > 0) & (soft < 1)).any()
    assert torch.equal(hard > 0, soft > 0)


def test_points_are_shares_of_the_picture_and_unseen_ones_are_zero():
    pose = collate(some_inputs(), NET).pose[0, 0]
    assert torch.allclose(pose[0], torch.tensor([0.5, 0.5, 0.9]), atol=0.03)
    assert (pose[7] == 0).all()
    points = collate(some_inputs(), NET).garment_points[0, 0]
    assert torch.allclose(points[0], torch.tensor([0.5, 0.5, 1.0]), atol=0.03)
    assert (points[3] == 0).all() and (points[len(LANDMARKS["upper"]) :] == 0).all() and len(points) == POINTS


def test_garments_keep_their_proportions_slots_and_cut():
    made = garment_conditions((a_garment(), a_garment("lower", Layout(None, "knee"))), NET, slots=3)
    assert made.slots.tolist() == [CATEGORIES.index("upper"), CATEGORIES.index("lower"), -1]
    assert (made.garments[2] == 0).all() and (made.layout[2] == 0).all()
    red, alpha = made.garments[0, 0], made.garments[0, 3]
    assert torch.allclose(red, alpha, atol=1e-5)  # pure red times alpha
    share = (alpha > 0.5).float().mean() * NET[0] * NET[1] / (30 * 20 * (NET[0] / 50) ** 2)
    assert abs(float(share) - 1) < 0.15
    words = dict(zip(LAYOUT_WORDS, made.layout[0].tolist()))
    assert words == {"sleeve": 2, "leg": 0, "rolled": 0, "tucked": 0, "outer": 0, "open": 2}
    with pytest.raises(MisuseError, match="2 garments"):
        garment_conditions((a_garment(), a_garment()), NET, slots=1)


def test_layout_words_become_codes_and_unknown_ones_an_error():
    assert from_layout(Layout("long", None, False), tucked=True, rolled=False).tolist() == [4, 0, 1, 2, 0, 1]
    assert from_layout(Layout()).tolist() == [0] * 6
    with pytest.raises(MisuseError, match="'wide'"):
        from_layout(Layout("wide"))


@given(left=st.integers(0, 60), top=st.integers(0, 60), width=st.integers(16, 80), height=st.integers(16, 80), tall=st.booleans())
def test_crops_are_widened_inside_the_frame_and_lead_back(left, top, width, height, tall):
    source, size = (160, 140), (64, 48) if tall else (48, 64)
    box = torch.tensor([[left, top, left + width, top + height]])
    view = crop_view(box, source, size)
    x0, y0, x1, y1 = view.boxes[0].tolist()
    assert 0 <= x0 <= left and 0 <= y0 <= top and left + width <= x1 <= 140 and top + height <= y1 <= 160
    if (x1 - x0) < 140 and (y1 - y0) < 160:
        assert abs((x1 - x0) / (y1 - y0) - size[1] / size[0]) < 1.01 / min(x1 - x0, y1 - y0) * 2
    y, x = torch.meshgrid(torch.arange(160.0), torch.arange(140.0), indexing="ij")
    smooth = torch.stack([x / 140, y / 160, (x + y) / 300])[None]
    back = view.invert(view.apply(smooth)[0], 0)
    assert back.shape == (3, y1 - y0, x1 - x0)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    assert (back[inner] - smooth[0, :, y0:y1, x0:x1][inner]).abs().max() < 0.02
    corner = torch.tensor([[[float(x0), float(y0)], [(x0 + x1) / 2, (y0 + y1) / 2]]])
    shares = view.points(corner)
    assert torch.allclose(shares[0, 1], torch.tensor([0.5, 0.5]), atol=0.03) and (shares[0, 0] >= 0).all()


def test_a_view_follows_crops_of_changing_size_and_its_windows_are_its_parts():
    boxes = torch.tensor([[0, 0, 30, 40], [2, 1, 32, 41], [5, 5, 20, 25]])
    view = crop_view(boxes, SIZE, NET)
    frames = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    whole = view.apply(frames)
    assert torch.equal(torch.cat([view.window(t, t + 1).apply(frames[t : t + 1]) for t in range(3)]), whole)
    assert torch.equal(whole_view(3, SIZE, NET).boxes[0], torch.tensor([0, 0, 40, 60]))


def test_samples_stack_into_a_batch():
    one = collate(some_inputs(), NET)
    both = stack([one, one.drop(("pose",))])
    assert both.agnostic.shape[0] == 2 and both.embedding is None
    assert both.given.tolist() == [[True] * 3, [True, True, False]]
    assert torch.equal(both.garments[0], both.garments[1])
