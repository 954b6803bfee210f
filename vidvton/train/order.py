"""Which sample comes when, and every random number it needs: functions of the seed and of positions, never of what ran before.

So a resumed run equals an unbroken one bit for bit, and the same step on two processes is the same step on one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from vidvton.diffusion.noise import generator_for

from .config import Stage
from .stages import image_steps, is_image_step


def key(*parts: int | str) -> int:
    """63 bits from words and numbers, the same everywhere: the seed of one draw. Different parts give unrelated seeds."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Slot:
    """One sample of one step: number `position` among all of its kind (single frames or windows) in the run's stage `stage`;
    `item` is its index in the data set, `seed` that of everything random about it."""

    stage: int
    position: int
    images: bool
    item: int
    seed: int


def slots_of_step(seed: int, stage: Stage, number: int, step: int, sizes: tuple[int, int]) -> list[Slot]:
    """All samples of step `step` of stage number `number`, over all processes. `sizes` are the numbers of windows' clips and of
    pictures to choose from; every one is used once before any is used again."""
    images = is_image_step(stage, step)
    before = image_steps(stage, step) if images else step - image_steps(stage, step)
    batch = (stage.image_batch or stage.batch) if images else stage.batch
    count = sizes[1] if images else sizes[0]
    word = "images" if images else "clips"
    slots = []
    for position in range(before * batch, (before + 1) * batch):
        epoch, place = divmod(position, count)
        item = _permutation(key(seed, "order", number, word, epoch), count)[place]
        slots.append(Slot(number, position, images, item, key(seed, "sample", number, word, position)))
    return slots


@lru_cache(maxsize=8)
def _permutation(seed: int, count: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


def share_of(slots: list[Slot], *, rank: int, world_size: int, accumulate: int) -> list[list[Slot]]:
    """The parts of a step that process `rank` works off, one list of samples each. Parts are dealt out in order: all processes'
    first parts, then all second parts, so that the samples of a step are the same ones however many share them."""
    size = len(slots) // (world_size * accumulate)
    return [slots[(part * world_size + rank) * size :][:size] for part in range(accumulate)]


def draw_times(seed: int, stage: Stage, number: int, step: int, batch: int) -> Tensor:
    """The schedule's times (0-1, 1 is pure noise) of all samples of a step, [batch] float32: evenly spaced over the stage's range
    from one random offset and shuffled, so that every step sees low and high noise (VDM's low-discrepancy sampler, Kingma et al.
    2021, appendix I.1)."""
    source = generator_for(seed, "time", number, step)
    offset = torch.rand(1, generator=source, dtype=torch.float64)
    spread = (offset + torch.arange(batch, dtype=torch.float64) / batch) % 1
    spread = spread[torch.randperm(batch, generator=source)]
    low, high = stage.noise_low, stage.noise_high
    return (low + (high - low) * spread.pow(1 / stage.noise_power)).to(torch.float32)


def draw_withheld(stage: Stage, slot: Slot) -> Tensor:
    """Which condition groups this sample goes without, [3] bool in the order of GROUPS."""
    chance = torch.rand(3, generator=generator_for(slot.seed, "withheld"), dtype=torch.float64)
    return chance < torch.tensor(stage.dropout.shares(), dtype=torch.float64)


def draw_noise(slot: Slot, shape: tuple[int, ...]) -> Tensor:
    """The noise of this sample, standard normal float32 of `shape` [T, 3, H, W]."""
    return torch.randn(shape, generator=generator_for(slot.seed, "noise"))


def draw_augmentation(stage: Stage, slot: Slot) -> float:
    """How strongly this sample's agnostic frames and garments are noised, from 0 to the stage's `augmentation`, uniformly."""
    return stage.augmentation * torch.rand(1, generator=generator_for(slot.seed, "augmentation"), dtype=torch.float64).item()
