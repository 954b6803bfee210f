"""Windows cover and blend without a seam; guidance keeps its identities; noise is keyed; losses and augmentation count right."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidvton.diffusion.augment import augment
from vidvton.diffusion.guidance import guide, terms
from vidvton.diffusion.loss import diffusion_loss, level_weight, target
from vidvton.diffusion.noise import clip_noise, noise_for
from vidvton.diffusion.precondition import precondition
from vidvton.diffusion.schedule import diffuse
from vidvton.diffusion.windows import plan_windows, windowed
from vidvton.values import GROUPS, LAYOUT_WORDS, POINTS, Conditioning


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=60)
@given(frames=st.integers(1, 140), size=st.integers(1, 40), share=st.floats(0, 0.8))
def test_windows_cover_every_frame_and_their_weights_sum_to_one(frames, size, share):
    overlap = int(share * size)
    plan = plan_windows(frames, size, overlap)
    total = torch.zeros(frames)
    for index, (start, stop) in enumerate(plan):
        weights = plan.weights(index)
        assert 0 <= start < stop <= frames and stop - start == min(size, frames) == len(weights)
        assert (weights > 0).all()
        total[start:stop] += weights
    assert torch.allclose(total, torch.ones(frames), atol=1e-6)
    for (a, b), (c, d) in itertools.pairwise(plan):
        assert a < c <= b - overlap and b < d  # ascending, and overlapping by as much as asked for


def test_windows_are_linear_the_last_frame_never_sees_the_first():
    plan = plan_windows(150, 64, 16)
    assert plan.spans == ((0, 64), (48, 112), (86, 150))
    together = [frozenset((0, 149)) <= set(range(*span)) for span in plan]
    assert not any(together)
    assert plan.weights(0)[0] == 1 and plan.weights(2)[-1] == 1  # clip ends do not fade
    steps = plan.weights(0).diff().abs().max()
    assert steps <= 1 / 16  # no step in the blend larger than the ramp's


@pytest.mark.parametrize(("frames", "size", "overlap"), [(40, 16, 4), (17, 16, 8), (33, 8, 0), (5, 16, 4)])
def test_no_seam_windowed_equals_the_whole_clip(frames, size, overlap):
    x, sigma = noise_of(2, frames, 3, 2, 2), torch.tensor([0.5, 0.9])
    plan = plan_windows(frames, size, overlap)
    flat = windowed(lambda a, b: lambda x, s: torch.full_like(x, 0.37), plan)(x, sigma)
    assert torch.allclose(flat, torch.full_like(x, 0.37), atol=1e-6)
    own = noise_of(1, frames, 3, 2, 2, seed=2)

    def frame_by_frame(start, stop):
        return lambda x, s: torch.tanh(x) * s.reshape(-1, 1, 1, 1, 1) + own[:, start:stop]

    whole = frame_by_frame(0, frames)(x, sigma)
    assert torch.allclose(windowed(frame_by_frame, plan)(x, sigma), whole, atol=1e-6)


def test_a_window_sees_its_own_frames_and_the_blend_follows_the_weights():
    plan = plan_windows(12, 8, 4)
    sees = []
    number = {span: float(k) for k, span in enumerate(plan)}

    def of_window(start, stop):
        sees.append((start, stop))
        return lambda x, s: torch.full_like(x, number[(start, stop)])

    out = windowed(of_window, plan)(torch.zeros(1, 12, 1, 1, 1), torch.ones(1)).flatten()
    assert sees == [(0, 8), (4, 12)]
    assert (out[:4] == 0).all() and (out[8:] == 1).all()
    assert torch.allclose(out[4:8], plan.weights(1)[:4]) and (out[4:8].diff() > 0).all()


@pytest.mark.parametrize(("frames", "size", "overlap"), [(10, 4, 4), (10, 0, 0), (0, 4, 1), (10, 4, -1)])
def test_windows_that_lead_nowhere_are_refused(frames, size, overlap):
    with pytest.raises(ValueError, match="expected"):
        plan_windows(frames, size, overlap)


ORDER = ("person", "garment", "pose")


class Counting:
    """e_i is a random picture per number of groups given; counts evaluations."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, x, sigma, given):
        self.calls.append(given)
        return noise_of(*x.shape, seed=len(given))


def literal(x, weights):
    """Algorithm 1 with e_0 for the first difference, written out."""
    e = [noise_of(*x.shape, seed=k) for k in range(4)]
    out = weights[0] * e[0]
    for k in range(1, 4):
        out = out + weights[k] * (e[k] - e[k - 1])
    return out


@given(weights=st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])] * 4).filter(any))
def test_guidance_is_the_algorithm_and_equal_neighbours_save_evaluations(weights):
    x, told = torch.zeros(1, 2, 3, 2, 2), Counting()
    out = guide(told, weights, ORDER)(x, torch.ones(1))
    assert torch.allclose(out, literal(x, weights), atol=1e-5)
    steps = sum(a != b for a, b in zip(weights, (*weights[1:], 0.0)))
    assert len(told.calls) == steps == len(terms(weights, ORDER))


def test_weights_of_one_are_one_evaluation_with_everything_given():
    told = Counting()
    out = guide(told, (1, 1, 1, 1), ORDER)(torch.zeros(1, 1, 3, 2, 2), torch.ones(1))
    assert told.calls == [ORDER] and torch.equal(out, noise_of(1, 1, 3, 2, 2, seed=3))


def test_the_order_is_the_users_and_groups_accumulate():
    assert [t.given for t in terms((1, 2, 3, 4), ("pose", "person", "garment"))] == [
        (), ("pose",), ("pose", "person"), ("pose", "person", "garment")
    ]  # fmt: skip
    assert [t.factor for t in terms((1, 1, 3, 1), ORDER)] == [-2.0, 2.0, 1.0]  # the published sharper pattern: three evaluations
    for weights, order in [((1, 1), ORDER), ((0, 0, 0, 0), ORDER), ((1, 1, 1), ("pose", "pose"))]:
        with pytest.raises(ValueError, match=r"expected|twice"):
            terms(weights, order)


def test_guiding_x0_with_w0_one_is_guiding_eps():
    x, sigma = noise_of(1, 2, 3, 2, 2, seed=9), torch.tensor([0.8])
    alpha = (1 - 0.8**2) ** 0.5
    guided = guide(Counting(), (1, 2, 3, 1), ORDER)(x, sigma)
    eps = [(x - alpha * noise_of(*x.shape, seed=k)) / 0.8 for k in range(4)]
    mixed = eps[0] + 2 * (eps[1] - eps[0]) + 3 * (eps[2] - eps[1]) + (eps[3] - eps[2])
    assert torch.allclose((x - 0.8 * mixed) / alpha, guided, atol=1e-4)


def test_noise_depends_on_seed_and_frame_alone():
    torch.manual_seed(1)
    first = noise_for(7, 12, (3, 8, 6))
    torch.manual_seed(2)
    torch.randn(5)
    assert torch.equal(first, noise_for(7, 12, (3, 8, 6)))
    assert torch.equal(clip_noise(7, 10, 20, (3, 8, 6))[2], first)  # equal where windows overlap
    assert torch.equal(clip_noise(7, 12, 13, (3, 8, 6))[0], first)
    others = [noise_for(7, 13, (3, 8, 6)), noise_for(8, 12, (3, 8, 6)), noise_for(71, 2, (3, 8, 6))]
    assert all(not torch.equal(first, other) for other in others)
    many = clip_noise(0, 0, 64, (3, 16, 16))
    assert abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02
    flat = many.flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(64)).abs().max() < 0.2


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_the_target_is_what_leads_back_and_its_loss_is_zero(prediction):
    x0, noise, sigma = noise_of(2, 2, 3, 4, 4), noise_of(2, 2, 3, 4, 4, seed=1), torch.tensor([0.3, 0.9])
    said = target(prediction, x0, noise, sigma)
    assert torch.allclose(precondition(lambda x, level: said, prediction)(diffuse(x0, noise, sigma), sigma), x0, atol=1e-5)
    assert (diffusion_loss(said, x0, noise, sigma, prediction) == 0).all()
    off = diffusion_loss(said + 0.1, x0, noise, sigma, prediction)
    assert torch.allclose(off, torch.full((2,), 0.01), atol=1e-6)


def test_the_region_counts_more_and_the_average_stays():
    x0, noise, sigma = torch.zeros(1, 1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4), torch.tensor([0.5])
    region = torch.zeros(1, 1, 1, 4, 4)
    region[..., :2, :] = 1
    inside, outside = torch.zeros_like(x0), torch.zeros_like(x0)
    inside[..., :2, :], outside[..., 2:, :] = 1, 1
    one, other = (diffusion_loss(e, x0, noise, sigma, "x0", region=region, region_weight=3.0) for e in (inside, outside))
    assert torch.allclose(one / other, torch.tensor([3.0]))
    assert torch.allclose(one + other, torch.ones(1))


def test_min_snr_weighs_x0_alike_whatever_is_predicted_and_never_forgets_pure_noise():
    sigma = torch.tensor([1.0, 0.9, 0.5, 0.1])
    snr = (1 - sigma**2) / sigma**2
    in_x0 = level_weight("x0", sigma, 5.0)
    assert torch.allclose(in_x0, snr.clamp(1, 5), rtol=1e-4)
    assert torch.allclose(level_weight("v", sigma, 5.0) * (snr + 1), in_x0, rtol=1e-4)
    assert torch.allclose(level_weight("eps", sigma, 5.0)[1:] * snr[1:], in_x0[1:], rtol=1e-4)
    assert (level_weight("v", sigma, 5.0) > 0).all() and (level_weight("v", sigma, None) == 1).all()


def conditions(frames: int = 4) -> Conditioning:
    draw = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=draw)

    slots = torch.tensor([[0, -1], [0, 1]])
    garments = rand(2, 2, 4, 8, 6)
    garments[0, 1] = 0
    return Conditioning(
        rand(2, frames, 3, 8, 6), rand(2, frames, 1, 8, 6), rand(2, frames, 33, 3), rand(2, frames, 4, 8, 6), garments,
        rand(2, 2, POINTS, 3), slots, torch.zeros(2, 2, len(LAYOUT_WORDS), dtype=torch.int64),
        torch.ones(2, len(GROUPS), dtype=torch.bool), torch.zeros(2),
    )  # fmt: skip


def test_augmentation_noises_pictures_alone_tells_its_level_and_is_keyed():
    plain = conditions()
    level = torch.tensor([0.0, 0.6])
    made = augment(plain, level, [3, 4])
    assert torch.equal(made.augmentation, level)
    assert torch.equal(made.agnostic[0], plain.agnostic[0]) and torch.equal(made.garments[0], plain.garments[0])
    assert not torch.equal(made.agnostic[1], plain.agnostic[1])
    for name in ("region", "pose", "warped", "garment_points", "slots", "layout"):
        assert torch.equal(getattr(made, name), getattr(plain, name)), name
    assert torch.equal(made.garments[:, :, 3], plain.garments[:, :, 3])  # outlines stay
    alpha = (1 - 0.6**2) ** 0.5
    noise = (2 * made.agnostic[1] - 1 - alpha * (2 * plain.agnostic[1] - 1)) / 0.6
    assert abs(float(noise.std()) - 1) < 0.1
    part = augment(plain.window(2, 4), level, [3, 4], first_frame=2)
    assert torch.equal(part.agnostic, made.agnostic[:, 2:])  # a window's noise is the clip's
    assert augment(plain, torch.zeros(2), [0, 0]).agnostic is plain.agnostic


def test_what_is_withheld_stays_zero_under_augmentation_and_bad_levels_are_refused():
    dropped = conditions().drop(("person", "garment"))
    made = augment(dropped, torch.tensor([0.5, 0.5]), [0, 1])
    assert (made.agnostic == 0).all() and (made.garments == 0).all()
    empty = augment(conditions(), torch.tensor([0.5, 0.5]), [0, 1])
    assert (empty.garments[0, 1] == 0).all() and (empty.garments[0, 0] != 0).any()
    with pytest.raises(ValueError, match="expected 0 to 1"):
        augment(dropped, torch.tensor([0.5, 1.5]), [0, 1])
    with pytest.raises(ValueError, match="2 samples"):
        augment(replace(dropped), torch.tensor([0.5]), [0])
