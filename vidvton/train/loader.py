"""Steps made ready in worker processes: samples, what is withheld from them, their noise and its levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vidvton.diffusion.augment import augment
from vidvton.diffusion.schedule import Schedule
from vidvton.errors import VidvtonError

from .augmentation import Augmentation
from .config import Stage, TrainConfig
from .dataset import Batch, Dataset, Sample, gather
from .order import Slot, draw_augmentation, draw_noise, draw_times, draw_withheld, share_of, slots_of_step
from .processes import Processes
from .stopping import ignore_stops


@dataclass(frozen=True)
class Ready:
    """One part of one step of one process: `batch` with conditions withheld and noised, its `region` [B, T, 1, H, W] whether or
    not it was withheld, `noise` [B, T, 3, H, W] and `sigma` [B], and the names of samples that could not be read, others standing
    in for them."""

    batch: Batch
    region: Tensor
    noise: Tensor
    sigma: Tensor
    unreadable: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames the network sees in it."""
        return self.noise.shape[0] * self.noise.shape[1]

    def to(self, device: torch.device) -> Ready:
        """The same on another device."""
        target = self.batch.target.to(device, non_blocking=True)
        batch = replace(self.batch, target=target, conditioning=self.batch.conditioning.to(device))
        noise = self.noise.to(device, non_blocking=True)
        return replace(self, batch=batch, region=self.region.to(device), noise=noise, sigma=self.sigma.to(device))


@dataclass(frozen=True)
class Sets:
    """What a run trains on: `clips` for windows, `images` for single frames."""

    clips: Dataset
    images: Dataset

    def for_stage(self, stage: Stage) -> Sets:
        """Only clips that are long enough for `stage`. VidvtonError where there is none."""
        return replace(self, clips=self.clips.at_least(stage.frames))


@dataclass(frozen=True)
class Parts:
    """All parts of a stage's steps from `first` up to `last` on one process, by number: part n belongs to step
    `first + n // accumulate`. Small, so that it goes to worker processes as it is."""

    config: TrainConfig
    sets: Sets
    number: int
    first: int
    last: int
    rank: int
    world_size: int

    @property
    def stage(self) -> Stage:
        return self.config.stages[self.number]

    def __len__(self) -> int:
        return (self.last - self.first) * self.stage.accumulate

    def __getitem__(self, index: int) -> Ready:
        stage, seed = self.stage, self.config.seed
        step, part = self.first + index // stage.accumulate, index % stage.accumulate
        sizes = (len(self.sets.clips), len(self.sets.images))
        slots = slots_of_step(seed, stage, self.number, step, sizes)
        mine = share_of(slots, rank=self.rank, world_size=self.world_size, accumulate=stage.accumulate)[part]
        times = draw_times(seed, stage, self.number, step, len(slots))[[slots.index(slot) for slot in mine]]
        samples, unreadable = zip(*(self._sample(slot) for slot in mine))
        batch = gather(samples)
        withheld = torch.stack([draw_withheld(stage, slot) for slot in mine])
        levels = torch.tensor([draw_augmentation(stage, slot) for slot in mine])
        conditioning = augment(batch.conditioning.drop(withheld), levels, [slot.seed for slot in mine])
        noise = torch.stack([draw_noise(slot, tuple(batch.target.shape[1:])) for slot in mine])
        missing = tuple(name for names in unreadable for name in names)
        sigma = Schedule.for_size(stage.size).sigma(times)
        return Ready(replace(batch, conditioning=conditioning), batch.conditioning.region, noise, sigma, missing)

    def _sample(self, slot: Slot) -> tuple[Sample, tuple[str, ...]]:
        """The sample of `slot`, or the next readable one after it, and the names of those that were not."""
        data, stage, unreadable = self.config.data, self.stage, []
        chosen = self.sets.images if slot.images else self.sets.clips
        for further in range(len(chosen)):
            item = (slot.item + further) % len(chosen)
            try:
                return chosen.sample(
                    item,
                    frames=1 if slot.images else stage.frames,
                    size=stage.size,
                    seed=slot.seed,
                    stride=stage.stride,
                    augmentation=Augmentation(**data.augment.model_dump()),
                    slots=data.garments,
                    hint=data.hint,
                ), tuple(unreadable)
            except VidvtonError:
                unreadable.append(chosen.name(item))
        raise VidvtonError(f"none of {len(chosen)} samples can be read, {unreadable[0]} to begin with; prepare the set again")


def load(parts: Parts, processes: Processes) -> Iterator[Ready]:
    """The parts in order, made ready ahead by the configuration's workers."""
    workers = parts.config.data.workers
    return iter(
        DataLoader(
            parts,  # type: ignore[arg-type]  (anything with a length and numbered items will do)
            batch_size=None,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=processes.device.type == "cuda",
            worker_init_fn=ignore_stops,
        )
    )
