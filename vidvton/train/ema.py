"""An exponential moving average of the weights: what validation looks at and what is shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .config import Ema


@torch.no_grad()
def begin(weights: Mapping[str, Tensor], before: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """An average that starts at `weights` (shards stay shards), taking over what `before` has of the same name and shape."""
    average = {name: weight.detach().clone() for name, weight in weights.items()}
    for name, value in (before or {}).items():
        if name in average and average[name].shape == value.shape:
            average[name].copy_(value)
    return average


@torch.no_grad()
def update(average: Mapping[str, Tensor], weights: Mapping[str, Tensor], settings: Ema, updates: int) -> None:
    """Moves `average` towards `weights` for update number `updates` (from 0); early on faster, so that the start is forgotten."""
    decay = min(settings.decay, (1 + updates) / (settings.ramp + updates))
    floating = [name for name in average if average[name].is_floating_point()]
    torch._foreach_lerp_([average[n] for n in floating], [weights[n].detach() for n in floating], 1 - decay)
    for name in average.keys() - set(floating):
        average[name].copy_(weights[name])


@contextmanager
def wearing(weights: Mapping[str, Tensor], average: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Inside, the live `weights` hold the average; afterwards their own values again, bit for bit."""
    if average is None:
        yield
        return
    with torch.no_grad():
        own = {name: weight.detach().clone() for name, weight in weights.items()}
        for name, weight in weights.items():
            weight.copy_(average[name])
        try:
            yield
        finally:
            for name, weight in weights.items():
                weight.copy_(own[name])
