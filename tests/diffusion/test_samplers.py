"""Samplers against denoisers whose answers are known exactly, and the schedules they walk along."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ideal_denoiser import POINTS, gaussian, ideal

from vidvton.diffusion.precondition import clip, precondition
from vidvton.diffusion.sample import Sampler, begin, sample
from vidvton.diffusion.schedule import Schedule, diffuse, from_level, spread, to_alpha, to_level

SAMPLERS = ("ddim", "dpm++", "unipc")


def last(frames):
    *_, end = frames
    return end


def noise_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SAMPLERS)
def test_with_the_exact_denoiser_of_three_points_all_samples_end_on_them(name):
    x = noise_of(600, 2)
    ends = last(sample(ideal, x, Schedule(), steps=30, sampler=name))
    away = (ends[:, None] - POINTS).norm(dim=-1)
    assert (away.min(1).values < 0.03).float().mean() > 0.97
    shares = torch.bincount(away.argmin(1), minlength=3) / len(x)
    assert (shares > 0.2).all()  # every point is found, near its third


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_gaussian_is_sampled_along_its_exact_path_and_more_steps_come_nearer(name):
    # The probability-flow ODE of a normal has the solution x0 = mean + deviation * noise.
    x = noise_of(4, 3, 5)
    exact = 0.3 + 0.5 * x
    errors = [float((last(sample(gaussian, x, Schedule(), steps=n, sampler=name)) - exact).abs().max()) for n in (5, 10, 40)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < (0.05 if name == "ddim" else 0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_denoiser_that_knows_the_answer_is_believed_in_one_step_and_in_many(name):
    answer = noise_of(1, 2, 3, 4, 4, seed=5).clamp(-1, 1)
    for steps in (1, 2, 3, 7):
        ends = last(sample(lambda x, s: answer, noise_of(1, 2, 3, 4, 4), Schedule(2.0), steps=steps, sampler=name))
        assert torch.allclose(ends, answer, atol=1e-5), steps


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_of_parts_are_parts_of_the_step(name):
    x, solver = noise_of(1, 6, 3, 2, 2), Sampler(name, Schedule().sigmas(6))
    whole, parts = x, [x[:, :4], x[:, 4:]]
    memory, memories = (), [(), ()]
    for index, sigma in enumerate(solver.sigmas):
        guess = ideal_like(whole, sigma)
        whole, memory = solver.step(index, whole, guess, memory)
        for k, cut in enumerate((slice(0, 4), slice(4, 6))):
            fresh = Sampler(name, solver.sigmas)  # another process, with nothing but what is remembered
            parts[k], memories[k] = fresh.step(index, parts[k], guess[:, cut], memories[k])
        assert len(memory) <= solver.remembers
        assert torch.equal(torch.cat(parts, 1), whole)


def ideal_like(x, sigma):
    return gaussian(x, torch.full((len(x),), sigma))


@pytest.mark.parametrize("name", SAMPLERS)
def test_diffusers_own_loop_gives_the_same(name):
    """Our stepping by number and memory against a scheduler run the way diffusers runs it."""
    solver, x = Sampler(name, Schedule(1.5).sigmas(9)), noise_of(2, 3, 3, 4, 4)
    scheduler = solver._fresh
    theirs = x
    for time in scheduler.timesteps:
        sigma = solver.sigmas[len(solver) - 1 - int(time)]
        theirs = scheduler.step(ideal_like(theirs, sigma), time, theirs).prev_sample
    ours, memory = x, ()
    solver = Sampler(name, solver.sigmas)
    for index, sigma in enumerate(solver.sigmas):
        ours, memory = solver.step(index, ours, ideal_like(ours, sigma), memory)
    assert torch.equal(ours, theirs)


def test_a_run_from_a_start_keeps_what_little_noise_leaves():
    start = noise_of(1, 2, 3, 8, 8, seed=3).clamp(-1, 1)
    x = noise_of(1, 2, 3, 8, 8)
    seen = []

    def watching(x, sigma):
        seen.append(float(sigma[0]))
        return start

    last(sample(watching, x, Schedule(2.0), steps=3, start=start, strength=0.4))
    assert len(seen) == 3 and abs(seen[0] - float(from_level(torch.tensor(0.4)))) < 1e-5
    assert torch.allclose(begin(x, seen[0], start), diffuse(start, x, torch.tensor([seen[0]])))
    assert torch.equal(begin(x, 1.0, start), x)
    with pytest.raises(ValueError, match="needs a picture"):
        begin(x, 0.5)
    full = []
    last(sample(lambda x, s: full.append(float(s[0])) or x, x, Schedule(), steps=2, strength=0.4))  # nothing to start from
    assert full[0] == 1.0


@given(size=st.tuples(st.integers(16, 1024), st.integers(16, 1024)), steps=st.integers(1, 50))
def test_schedules_begin_in_pure_noise_fall_and_lead_back(size, steps):
    schedule = Schedule.for_size(size)
    sigmas = schedule.sigmas(steps)
    assert sigmas[0] == 1.0 and len(sigmas) == steps
    assert all(a > b > 0 for a, b in zip(sigmas, sigmas[1:]))
    times = torch.linspace(0.02, 0.98, 9)
    assert torch.allclose(schedule.time(schedule.sigma(times)), times, atol=2e-3 * max(1.0, schedule.ratio))


def test_the_shift_is_the_log_of_the_pixel_ratio():
    def log_snr(schedule, time):
        sigma = schedule.sigma(torch.tensor([time])).double()
        return float(2 * torch.log(to_alpha(sigma) / sigma))

    plain, shifted = Schedule.for_size((64, 64)), Schedule.for_size((256, 192))
    for time in (0.1, 0.5, 0.9):
        assert math.isclose(log_snr(shifted, time) - log_snr(plain, time), -math.log(256 * 192 / 64**2), rel_tol=1e-4)
    assert math.isclose(float(plain.sigma(torch.tensor([0.5]))[0]), math.sin(math.pi / 4), rel_tol=1e-6)
    assert float(shifted.sigma(torch.tensor([1.0]))[0]) == 1.0 and float(shifted.sigma(torch.tensor([0.0]))[0]) == 0.0


@pytest.mark.parametrize(("steps", "strength"), [(0, 1.0), (3, 0.0), (3, 1.2)])
def test_impossible_runs_are_refused(steps, strength):
    with pytest.raises(ValueError, match="expected"):
        Schedule().sigmas(steps, strength=strength)


def test_levels_and_sigmas_are_one_another_s_inverse():
    sigma = torch.linspace(0, 1, 11)
    assert torch.allclose(from_level(to_level(sigma)), sigma, atol=1e-6)
    assert float(to_level(torch.ones(1))) == 1.0 and float(from_level(torch.ones(1))) == 1.0
    assert torch.allclose(to_alpha(sigma) ** 2 + sigma**2, torch.ones(11), atol=1e-6)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_what_is_predicted_leads_back_to_the_picture(prediction):
    x0, noise = noise_of(3, 2, 3, 4, 4), noise_of(3, 2, 3, 4, 4, seed=1)
    sigma = torch.tensor([0.2, 0.7, 0.99])
    alpha = spread(to_alpha(sigma), x0)
    said = {"v": alpha * noise - spread(sigma, x0) * x0, "eps": noise, "x0": x0}[prediction]
    levels = []
    denoise = precondition(lambda x, level: levels.append(level) or said, prediction)
    assert torch.allclose(denoise(diffuse(x0, noise, sigma), sigma), x0, atol=2e-5)
    assert torch.allclose(levels[0], to_level(sigma))
    assert clip(lambda x, s: x0 * 9)(x0, sigma).abs().max() <= 1
    with pytest.raises(ValueError, match="expected v, eps or x0"):
        precondition(lambda x, level: x, "flow")


def test_unknown_samplers_are_named():
    with pytest.raises(ValueError, match="expected ddim, dpm"):
        Sampler("euler", (1.0,))
