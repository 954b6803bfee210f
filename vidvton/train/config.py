"""What a training run is made of, read from YAML: the network, the data, and a list of stages over shared defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from vidvton.config import Strict, read_config
from vidvton.errors import MisuseError
from vidvton.values import GROUPS

Share = Field(ge=0, le=1)


class Dropout(Strict):
    """How often each condition group is withheld (its tensors zero), independently of the others: split guidance asks the network
    with every nested subset (papers.md 1.5; TryOnDiffusion used 0.1 each)."""

    person: float = Field(default=0.1, ge=0, le=1)
    garment: float = Field(default=0.1, ge=0, le=1)
    pose: float = Field(default=0.1, ge=0, le=1)

    def shares(self) -> tuple[float, ...]:
        """In the order of GROUPS."""
        return tuple(getattr(self, group) for group in GROUPS)


class Loss(Strict):
    """Weights of the loss's terms. `min_snr` caps the signal-to-noise weighting (Hang et al. 2023, gamma; 0: off). `region` is
    the weight of a pixel to be generated against 1 for all others. `temporal` weights the difference between neighbouring
    frames' differences, `perceptual` that of VGG features whose weights lie at `perceptual_weights` (safetensors)."""

    min_snr: float = Field(default=5.0, ge=0)
    region: float = Field(default=4.0, ge=0)
    temporal: float = Field(default=0.0, ge=0)
    perceptual: float = Field(default=0.0, ge=0)
    perceptual_weights: str | None = None

    @model_validator(mode="after")
    def _perceptual_has_weights(self) -> Loss:
        if self.perceptual > 0 and self.perceptual_weights is None:
            raise ValueError("perceptual above 0 needs perceptual_weights, a safetensors file of VGG-16")
        return self


class Recipe(Strict):
    """How a stage trains; what a stage leaves out it takes from `defaults`.

    `batch` is samples per step over all processes, worked off in `accumulate` parts on each. `rate` is the learning rate, reached
    after `warmup` steps and, with `decay` cosine, falling to `final_rate` times itself by the stage's end. `trains` says which
    layers learn; of the first `temporal_first` steps only the temporal ones do. `images` is the share of steps spent on single
    frames in a video stage, with `image_batch` samples (0: as `batch`). `noise_low` and `noise_high` bound the schedule's time
    (1 is pure noise); `noise_power` above 1 moves draws towards it. `stride` is the largest step between frames
    of a window.
    """

    batch: int = Field(default=4, ge=1)
    accumulate: int = Field(default=1, ge=1)
    rate: float = Field(default=1e-4, gt=0, le=1)
    warmup: int = Field(default=100, ge=0)
    decay: Literal["constant", "cosine"] = "constant"
    final_rate: float = Field(default=0.1, ge=0, le=1)
    trains: Literal["all", "temporal"] = "all"
    temporal_first: int = Field(default=0, ge=0)
    images: float = Field(default=0.2, ge=0, le=1)
    image_batch: int = Field(default=0, ge=0)
    dropout: Dropout = Dropout()
    augmentation: float = Field(default=0.5, ge=0, le=1)
    noise_low: float = Field(default=0.0, ge=0, lt=1)
    noise_high: float = Field(default=1.0, gt=0, le=1)
    noise_power: float = Field(default=1.0, gt=0, le=10)
    stride: int = Field(default=1, ge=1, le=16)
    loss: Loss = Loss()


class Stage(Recipe):
    """One stage: `steps` optimiser steps on windows of `frames` frames at `size` (height, width). One frame trains the image
    network; `temporal_halving` gives the network its temporal down and up (the 64-frame stage's)."""

    name: str = Field(min_length=1, max_length=40)
    frames: int = Field(ge=1, le=1024)
    size: tuple[int, int]
    steps: int = Field(ge=1)
    temporal_halving: bool = False

    @field_validator("size")
    @classmethod
    def _sides(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 8 or max(size) > 4096:
            raise ValueError("expected [height, width] in pixels, from 8 to 4096")
        return size

    @model_validator(mode="after")
    def _levels_in_order(self) -> Stage:
        if self.noise_low >= self.noise_high:
            raise ValueError(f"noise_low {self.noise_low:g} is not below noise_high {self.noise_high:g}")
        return self


class Studio(Strict):
    """A set of made clips, to be made and prepared on first use, for runs that need no data of their own: `clips` in training and
    `held_out` in validation, `frames` long at `size`; with `variants` the person is also filmed in another garment, which is what
    the network is then shown."""

    folder: str
    clips: int = Field(default=24, ge=1)
    held_out: int = Field(default=4, ge=1)
    frames: int = Field(default=64, ge=1)
    size: tuple[int, int] = (256, 192)
    seed: int = Field(default=0, ge=0)
    variants: bool = True


class Augment(Strict):
    """What may happen to a sample; the words of `vidvton.train.augmentation.Augmentation`."""

    flips: bool = True
    crops: float = Field(default=0.1, ge=0, le=0.5)
    colour: float = Field(default=0.0, ge=0, le=1)
    light: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    grow: float = Field(default=0.02, ge=0, le=0.2)
    shrink: float = Field(default=0.003, ge=0, le=0.2)


class Data(Strict):
    """Prepared folders (`vidvton prepare`), relative to the configuration's own folder: `train`, `validation` (held out) and
    `images` (single frames mixed in; none: single frames of `train`). `held_out` keeps about that share of the clips of `train`
    from training (and theirs from `images`) and looks at those instead of a validation set. `studio` makes sets to train on and
    to look at where none are named. `workers` load samples beside each process; more than `bad_share` of unreadable samples is an
    error. `garments` is how many garments a sample can hold; `hint` shows the network the warp engine's result."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    held_out: float = Field(default=0.0, ge=0, le=0.5)
    studio: Studio | None = None
    workers: int = Field(default=1, ge=0, le=64)
    bad_share: float = Field(default=0.01, ge=0, le=1)
    garments: int = Field(default=1, ge=1, le=3)
    hint: bool = True
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _some(self) -> Data:
        if not self.train and self.studio is None:
            raise ValueError("no folder to train on; list prepared folders in train, or say how to make a studio set")
        if self.held_out > 0 and (self.validation or self.studio is not None):
            raise ValueError("held_out takes its clips from train; take validation and studio out, or held_out")
        return self


class Optimizer(Strict):
    """AdamW and what guards it: gradients above norm `clip` are scaled down (0: never); `max_skips` steps in a row whose loss or
    gradient is not finite end the run."""

    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, ge=0)
    max_skips: int = Field(default=20, ge=1)


class Ema(Strict):
    """Exponential moving average of the weights: decay min(`decay`, (1 + n) / (`ramp` + n)) at update n; `decay` 0 keeps none."""

    decay: float = Field(default=0.999, ge=0, lt=1)
    ramp: float = Field(default=10.0, ge=1)


class Save(Strict):
    """A checkpoint `every` so many steps and at every stage's end; the newest `keep` stay, and with `keep_stages` each stage's
    last."""

    every: int = Field(default=500, ge=1)
    keep: int = Field(default=3, ge=1)
    keep_stages: bool = False


class Validate(Strict):
    """What is looked at on held-out clips `every` so many steps and at every stage's end: the loss at `levels` noise levels over
    `clips` windows, and of the first `strips` of them a strip and a flicker score of results sampled in `steps` steps."""

    every: int = Field(default=500, ge=1)
    levels: tuple[float, ...] = (0.2, 0.5, 0.8, 1.0)
    clips: int = Field(default=4, ge=1)
    strips: int = Field(default=2, ge=0)
    steps: int = Field(default=4, ge=1)

    @field_validator("levels")
    @classmethod
    def _in_range(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if not levels or min(levels) <= 0 or max(levels) > 1:
            raise ValueError("expected noise levels above 0 and at most 1")
        return levels


class TrainConfig(Strict):
    """A whole run. `model` names the network's YAML (relative to this file) and `start_from` the weights it begins with: a model
    folder, a checkpoint, or a run's folder of checkpoints (the newest). `precision` is what layers compute in; weights and
    optimiser stay float32. `sharding` splits weights over processes (FSDP2) instead of copying them (DDP). `checkpointing`
    recomputes activations in the backward pass."""

    model: str
    start_from: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    sharding: bool = False
    checkpointing: bool = False
    compile: bool = False
    log_every: int = Field(default=10, ge=1)
    data: Data
    optimizer: Optimizer = Optimizer()
    ema: Ema = Ema()
    save: Save = Save()
    validate_on: Validate | None = Validate()
    defaults: Recipe = Recipe()
    stages: tuple[Stage, ...] = Field(min_length=1)

    @field_validator("stages")
    @classmethod
    def _filled_from_defaults(cls, stages: tuple[Stage, ...], info: ValidationInfo) -> tuple[Stage, ...]:
        defaults = info.data.get("defaults")
        if defaults is None:  # they were wrong, and that is what the error will say
            return stages
        filled = tuple(_over(defaults, stage) for stage in stages)
        for i, stage in enumerate(filled):
            _check_stage(stage, i)
        names = [stage.name for stage in filled]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two stages are called {name!r}; give each a name of its own")
        return filled

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.stages)


def _over(defaults: Strict, own: Strict) -> Any:
    """`own` with what it leaves out taken from `defaults`, group by group."""
    changes: dict[str, Any] = {}
    for key in type(defaults).model_fields:
        below, above = getattr(defaults, key), getattr(own, key)
        if key not in own.model_fields_set:
            changes[key] = below
        elif isinstance(above, Strict) and isinstance(below, Strict):
            changes[key] = _over(below, above)
    return own.model_copy(update=changes)


def _check_stage(stage: Stage, index: int) -> None:
    where = f"stage {stage.name!r} (number {index + 1})"
    if stage.noise_low >= stage.noise_high:
        raise ValueError(f"{where}: noise_low {stage.noise_low:g} is not below noise_high {stage.noise_high:g}")
    if stage.frames == 1 and (stage.trains == "temporal" or stage.temporal_first or stage.temporal_halving):
        raise ValueError(f"{where} has 1 frame and nothing temporal to train; take trains, temporal_first, temporal_halving out")
    for key in ("batch", "image_batch"):
        batch = getattr(stage, key)
        if batch % stage.accumulate:
            raise ValueError(f"{where}: {key} {batch} cannot be worked off in accumulate {stage.accumulate} equal parts")


def read_train_config(path: Path) -> TrainConfig:
    """The configuration at `path`, its file and folder names made absolute from its own folder. MisuseError as `read_config`."""
    config = read_config(path, TrainConfig)
    home = Path(path).resolve().parent

    def whole(name: str | None) -> str | None:
        return None if name is None else str(home / Path(name).expanduser())

    def with_weights(recipe: Recipe) -> dict[str, Loss]:
        return {"loss": recipe.loss.model_copy(update={"perceptual_weights": whole(recipe.loss.perceptual_weights)})}

    data = config.data
    studio = data.studio and data.studio.model_copy(update={"folder": whole(data.studio.folder)})
    folders = {key: tuple(whole(name) for name in getattr(data, key)) for key in ("train", "validation", "images")}
    data = data.model_copy(update=folders | {"studio": studio})
    named = {"model": whole(config.model), "start_from": whole(config.start_from), "data": data}
    named["defaults"] = config.defaults.model_copy(update=with_weights(config.defaults))
    named["stages"] = tuple(stage.model_copy(update=with_weights(stage)) for stage in config.stages)
    return config.model_copy(update=named)


_FREE = ("log_every", "save", "validate_on", "data.workers", "data.bad_share", "checkpointing", "compile", "sharding")
"""Keys that change what is written or how fast it goes, never which weights come out beyond rounding."""
_PARTS = "accumulate"
"""Likewise, in every stage: a run may go on on another number of GPUs, whose shares need other parts."""
_PLACES = ("model", "data.train", "data.images", "data.validation", "data.studio.folder")
"""Keys that say where something lies; a run's folder remembers what lay there (model.yaml, data.json)."""


def differing_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """ "key was A, is B" for every key of two dumped configurations that differs and matters to the weights."""
    free = (*_FREE, *_PLACES)

    def matters(key: str) -> bool:
        return not (key.endswith("." + _PARTS) or any(key == k or key.startswith(k + ".") for k in free))

    return [text for key, text in _differences(before, now, "") if matters(key)]


def as_long_as(before: TrainConfig, now: TrainConfig) -> TrainConfig:
    """`before` with as many steps in its last stage as `now` has, where a run of `before` is the beginning of one that long: the
    steps only grew, and the stage's rate is constant (a cosine is drawn over all its steps). Otherwise `before` itself."""
    if len(before.stages) != len(now.stages):
        return before
    last, steps = before.stages[-1], now.stages[-1].steps
    if last.decay != "constant" or steps <= last.steps:
        return before
    return before.model_copy(update={"stages": (*before.stages[:-1], last.model_copy(update={"steps": steps}))})


def _differences(before: Any, now: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*now, *(set(before) - set(now))]:
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, (old, new) in enumerate(zip(before, now)):
            yield from _differences(old, new, f"{key}.{i}")
    elif before != now:
        yield key, f"{key} was {_brief(before)}, is {_brief(now)}"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries" if len(value) > 4 or any(isinstance(v, dict) for v in value) else str(value)
    return "a group of keys" if isinstance(value, dict) else "nothing" if value is None else str(value)


def share_out(stage: Stage, world_size: int, *, images: bool = False) -> int:
    """Samples in one part of a step on one process. MisuseError, with the three numbers, where the batch does not divide."""
    batch = (stage.image_batch or stage.batch) if images else stage.batch
    parts = world_size * stage.accumulate
    if batch % parts:
        raise MisuseError(
            f"stage {stage.name!r} has a batch of {batch}, which {world_size} processes x {stage.accumulate} accumulated parts "
            f"cannot share equally; give a batch that {parts} divides, or start another number of processes"
        )
    return batch // parts
