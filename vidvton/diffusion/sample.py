"""From noise to frames: diffusers' samplers around a Denoise, one step at a time and element by element.

A step needs nothing but the step's number, the noisy frames, the estimate for them and what the sampler remembers of the same
frames (`memory`): so any part of a clip may be stepped at any time, in any order, and what is remembered can lie on a disk.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from .precondition import Denoise
from .schedule import Schedule, diffuse

SamplerName = Literal["ddim", "dpm++", "unipc"]
ORDER = 2
_LEAST = 2.0**-24
"""diffusers' own stand-in for an alpha^2 of zero, whose logarithm its samplers take."""

Memory = tuple[Tensor, ...]


class Sampler:
    """One of diffusers' samplers on exactly the noise levels given.

    `sigmas` are those before each step, falling; after the last step the frames are clean. The table that diffusers thinks of as
    the training schedule is made of these very levels, so that its time steps are our steps and nothing is rounded.
    """

    def __init__(self, name: SamplerName, sigmas: Sequence[float]) -> None:
        if name not in ("ddim", "dpm++", "unipc"):
            raise ValueError(f"sampler is {name!r}, expected ddim, dpm++ or unipc")
        self.name, self.sigmas = name, tuple(sigmas)

    def __len__(self) -> int:
        return len(self.sigmas)

    @property
    def remembers(self) -> int:
        """How many tensors shaped like the frames a sampler remembers at most."""
        return {"ddim": 0, "dpm++": ORDER - 1, "unipc": ORDER + 1}[self.name]

    def step(self, index: int, x: Tensor, x0: Tensor, memory: Memory = ()) -> tuple[Tensor, Memory]:
        """(frames after step `index`, what to remember for the next) from frames `x`, the estimate `x0` for them and the memory
        the step before left; float32 throughout."""
        scheduler = copy.copy(self._fresh)
        time = len(self) - 1 - index
        if self.name == "ddim":
            return scheduler.step(x0, time, x).prev_sample, ()
        scheduler.set_begin_index(index)
        scheduler.lower_order_nums = min(index, ORDER)
        if self.name == "dpm++":
            scheduler.model_outputs = [None] * (ORDER - len(memory)) + list(memory)
            after = scheduler.step(x0, time, x).prev_sample
            return after, (x0,)
        scheduler.timestep_list = [None] * ORDER
        scheduler.model_outputs = [None] * ORDER
        if memory:
            *outputs, scheduler.last_sample = memory
            scheduler.model_outputs = [None] * (ORDER - len(outputs)) + outputs
            scheduler.this_order = min(ORDER, len(self) - index + 1, index)
        after = scheduler.step(x0, time, x).prev_sample
        kept = [m for m in scheduler.model_outputs if m is not None]
        return after, (*kept, scheduler.last_sample)

    @cached_property
    def _fresh(self) -> DDIMScheduler | DPMSolverMultistepScheduler | UniPCMultistepScheduler:
        """The scheduler as it is before any step; steps work on copies."""
        shared = {"num_train_timesteps": len(self), "prediction_type": "sample", "timestep_spacing": "trailing"}
        if self.name == "ddim":
            scheduler = DDIMScheduler(**shared, clip_sample=False, set_alpha_to_one=True)
        elif self.name == "dpm++":
            scheduler = DPMSolverMultistepScheduler(**shared, solver_order=ORDER, algorithm_type="dpmsolver++")
        else:
            scheduler = UniPCMultistepScheduler(**shared, solver_order=ORDER, final_sigmas_type="zero")
        kept = 1 - torch.tensor(self.sigmas[::-1], dtype=torch.float64) ** 2
        scheduler.alphas_cumprod = kept.clamp(min=_LEAST).float()
        scheduler.set_timesteps(len(self))
        return scheduler


def begin(noise: Tensor, sigma: float, start: Tensor | None = None) -> Tensor:
    """The frames a run starts from: pure `noise` [B, ...], or `start` (-1 to 1) noised to `sigma`. ValueError where the run does
    not start in pure noise and there is nothing to start from."""
    if start is None and sigma < 1:
        raise ValueError(f"a run that starts at sigma {sigma:.3f} needs a picture to start from")
    if start is None or sigma >= 1:
        return noise
    return diffuse(start, noise, noise.new_full((len(noise),), sigma))


def sample(
    denoise: Denoise,
    noise: Tensor,
    schedule: Schedule,
    *,
    steps: int = 8,
    sampler: SamplerName = "dpm++",
    start: Tensor | None = None,
    strength: float = 1.0,
) -> Iterator[Tensor]:
    """The frames [B, T, 3, H, W] after each of `steps` steps, -1 to 1; the last are the result.

    `noise` is standard normal. With `start` (frames on the same scale) and a `strength` under 1 the run starts from `start`
    noised to that noise level, and its few steps all go into what is still open (SDEdit, Meng et al. 2022).
    """
    solver = Sampler(sampler, schedule.sigmas(steps, strength=strength if start is not None else 1.0))
    x, memory = begin(noise, solver.sigmas[0], start), ()
    for index, sigma in enumerate(solver.sigmas):
        x, memory = solver.step(index, x, denoise(x, x.new_full((len(x),), sigma)), memory)
        yield x
