"""What learns: network, optimiser, average and loss scale, opened from nothing or from the checkpoint before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vidvton.models.config import ModelConfig
from vidvton.models.inflate import is_temporal
from vidvton.models.unet import TryOnUNet

from . import ema
from .checkpoint import TensorFile, read_architecture
from .config import Optimizer, Stage, TrainConfig
from .launch import Launch
from .network import Pass, build, grow, settings_for, shard
from .plan import Plan
from .stages import locate
from .start import find_start, read_settings, read_weights

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
LARGEST_SCALE, GROW_AFTER = 2.0**16, 1000


@dataclass
class Counts:
    """What a checkpoint remembers besides tensors: updates of the average, steps skipped in all and in a row, samples that could
    not be read and all that were asked for, and fp16's loss scale with the good steps since it last changed."""

    updates: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    unreadable: int = 0
    asked_for: int = 0
    scale: float = LARGEST_SCALE
    good_steps: int = 0


@dataclass
class Learner:
    """`passing` holds the bare network, `module` is the same as DDP wants to be called in training; `weights` are the live
    parameters by name, `average` their moving average (None: none is kept)."""

    passing: Pass
    module: nn.Module
    weights: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    counts: Counts = field(default_factory=Counts)

    @property
    def network(self) -> TryOnUNet:
        return self.passing.network

    @property
    def settings(self) -> ModelConfig:
        return self.network.config


def open_learner(plan: Plan, step: int, launch: Launch, *, checkpoint: Path | None, facts: Mapping[str, Any]) -> Learner:
    """The learner that does step `step`: new, or from `checkpoint` with its `facts`, grown where a new stage begins.

    MisuseError or VidvtonError for a checkpoint, or weights to start from, of another model.
    """
    config = plan.config
    position = locate(config.stages, step)
    stage = config.stages[position.stage]
    network = build(settings_for(plan.model, stage), config.seed)
    if checkpoint is not None:
        stored = TensorFile(checkpoint, "model")
        grow(network, {name: stored.whole(name) for name in stored.names()}, read_architecture(checkpoint), str(checkpoint))
    elif config.start_from is not None:
        start = find_start(Path(config.start_from))
        grow(network, read_weights(start), read_settings(start), str(start))
    network.gradient_checkpointing = config.checkpointing
    network.to(launch.processes.device)
    passing = Pass(network)
    module = _spread(passing, stage, config, launch)
    weights = dict(network.named_parameters())
    optimizer = _optimizer(weights, config.optimizer)
    average = ema.begin(weights) if config.ema.decay > 0 else None
    counts = Counts()
    if checkpoint is not None:
        counts = Counts(**facts["counts"])
        _restore_moments(optimizer, weights, TensorFile(checkpoint, "optimizer"))
        if average is not None:
            _restore_average(average, checkpoint)
    return Learner(passing, module, weights, optimizer, average, counts)


def _spread(module: Pass, stage: Stage, config: TrainConfig, launch: Launch) -> nn.Module:
    """The module to call: copied to all processes (DDP, through accelerate) or split over them (FSDP2), compiled where asked."""
    processes, accelerator = launch.processes, launch.accelerator
    accelerator.free_memory()  # it would keep the network of the leg before
    if config.compile:
        module.compile()  # in place: names of parameters stay
    if (config.sharding or launch.sharded) and processes.count > 1:
        shard(module, processes)
        return module
    if processes.count > 1:
        # Single frames in a video stage leave the temporal layers without a gradient.
        mixed = stage.frames > 1 and stage.images > 0
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=mixed, gradient_as_bucket_view=True)
        return accelerator.prepare(module)
    return module


def _optimizer(weights: Mapping[str, nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """AdamW that decays matrices and kernels, not gates, norms and biases. It holds frozen parameters too, so that their moments
    outlive the steps in which only temporal layers learn."""
    decayed = [p for p in weights.values() if p.ndim > 1]
    others = [p for p in weights.values() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    fused = not any(isinstance(p, DTensor) for p in weights.values())
    return torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, eps=settings.eps, fused=fused or None)


def tensors_of(learner: Learner) -> dict[str, dict[str, Tensor]]:
    """Everything of `learner` that a checkpoint holds, by file stem and name."""
    moments = {}
    for name, weight in learner.weights.items():
        for word in MOMENTS:
            state = learner.optimizer.state.get(weight, {})
            if word in state:
                moments[f"{name}/{word}"] = state[word]
    tensors: dict[str, dict[str, Tensor]] = {"model": dict(learner.weights), "optimizer": moments}
    if learner.average is not None:
        tensors["ema"] = learner.average
    return tensors


def _restore_moments(optimizer: torch.optim.Optimizer, weights: Mapping[str, nn.Parameter], stored: TensorFile) -> None:
    """Moments of parameters the checkpoint knows; a stage's new layers begin without any."""
    names = set(stored.names())
    for name, weight in weights.items():
        if f"{name}/step" not in names:
            continue
        state = {"step": torch.zeros((), device=weight.device if not isinstance(weight, DTensor) else None)}
        state |= {word: torch.zeros_like(weight, requires_grad=False) for word in MOMENTS[:2]}
        for word in MOMENTS:
            stored.into(f"{name}/{word}", state[word])
        optimizer.state[weight] = state


def _restore_average(average: dict[str, Tensor], checkpoint: Path) -> None:
    try:
        stored = TensorFile(checkpoint, "ema")
    except FileNotFoundError:  # the run began without one
        return
    for name in stored.names():
        stored.into(name, average[name])


def set_rate(learner: Learner, rate: float) -> None:
    """The learning rate of the next update."""
    for group in learner.optimizer.param_groups:
        group["lr"] = rate


def gradients(learner: Learner) -> Iterator[Tensor]:
    """All gradients there are."""
    return (weight.grad for weight in learner.weights.values() if weight.grad is not None)


def update(learner: Learner, config: TrainConfig, *, half: bool, temporal: bool = False) -> tuple[float, bool]:
    """(gradient norm, whether the weights moved): one clipped update and one of the average, or none where the gradient is not
    finite. With `half` the gradients carry the loss scale, which halves after an overflow and doubles after long peace. With
    `temporal` only temporal layers move."""
    if temporal:
        # The others' gradients are thrown away: not computing them (requires_grad) makes oneDNN's convolutions crash in the
        # backward pass (torch 2.13, CPU), and DDP would have to be set up anew.
        for name, weight in learner.weights.items():
            if not is_temporal(name):
                weight.grad = None
    counts, scale = learner.counts, learner.counts.scale if half else 1.0
    if half:
        torch._foreach_mul_(list(gradients(learner)), 1 / scale)
    norm = torch.nn.utils.get_total_norm(list(gradients(learner)), error_if_nonfinite=False)
    norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
    fine = bool(torch.isfinite(norm))
    if fine:
        if config.optimizer.clip > 0:
            factor = torch.clamp(config.optimizer.clip / (norm + 1e-6), max=1.0)
            torch._foreach_mul_(list(gradients(learner)), factor.item())
        learner.optimizer.step()
        if learner.average is not None:
            ema.update(learner.average, learner.weights, config.ema, counts.updates)
        counts.updates, counts.skipped_in_a_row = counts.updates + 1, 0
        counts.good_steps += 1
    else:
        counts.skipped, counts.skipped_in_a_row = counts.skipped + 1, counts.skipped_in_a_row + 1
        counts.good_steps = 0
    if half:
        counts.scale = max(1.0, scale / 2) if not fine else scale
        if counts.good_steps >= GROW_AFTER:
            counts.scale, counts.good_steps = min(scale * 2, LARGEST_SCALE), 0
    learner.optimizer.zero_grad(set_to_none=True)
    return float(norm), fine
