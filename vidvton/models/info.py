"""What a network costs, counted on the meta device: nothing is allocated, so any size can be asked about."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ..values import GROUPS, LAYOUT_WORDS, POINTS, Conditioning
from .config import ModelConfig
from .encoders import Encoded
from .unet import KEYPOINTS, TryOnUNet

PARTS = {
    "stem and output": ("stem", "stem_given", "norm", "out"),
    "embeddings": ("level", "augmentation", "withheld", "pose", "garment_pose", "image", "modulation"),
    "spatial levels": ("down", "up", "enter", "leave"),
    "temporal layers": ("temporal_down", "temporal_up"),
    "DiT blocks": ("dit",),
    "person encoder": ("person",),
    "garment encoder": ("garment",),
}
"""Parts of the network and the first word of the names of their weights; names with `.time.` in them are temporal layers."""


@dataclass(frozen=True)
class Memory:
    """Bytes at one precision: `weights`; `encoded` what `encode` leaves of a window; `peak` the largest sum of weights, inputs
    and activations alive at once in one step of a window (libraries' own workspace comes on top)."""

    weights: int
    encoded: int
    peak: int


@dataclass(frozen=True)
class ModelInfo:
    """`parameters` by part; `step_flops` of one frame in one step and `encode_flops` of one frame once per clip, the garments'
    included, both for a window of `frames` at `size`; `memory` by precision."""

    size: tuple[int, int]
    frames: int
    parameters: dict[str, int]
    step_flops: float
    encode_flops: float
    memory: dict[str, Memory]

    @property
    def total_parameters(self) -> int:
        return sum(self.parameters.values())


def count_parameters(model: TryOnUNet) -> dict[str, int]:
    """Number of weights by part, in the order of PARTS."""
    counts = dict.fromkeys(PARTS, 0)
    homes = {word: part for part, words in PARTS.items() for word in words}
    for name, weight in model.named_parameters():
        counts["temporal layers" if ".time." in name else homes[name.split(".")[0]]] += weight.numel()
    return counts


def describe(config: ModelConfig, *, frames: int | None = None, frames_at_a_time: int | None = None) -> ModelInfo:
    """Count a network of this configuration at its own size, for one window of `frames` (None: its own) and one garment."""
    frames = config.frames if frames is None else frames
    with torch.device("meta"):
        model = TryOnUNet(config).eval()
        x, level = torch.empty(1, frames, 3, *config.size), torch.empty(1)
    model.frames_at_a_time = frames_at_a_time
    conditioning = _empty_conditioning(config, frames)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as encoding:
            encoded = model.encode(conditioning)
        with FlopCounterMode(display=False) as stepping:
            model.predict(x, level, encoded)
        memory = {}
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            memory[name] = _memory(model.to(dtype), x.to(dtype), level, encoded.to(dtype=dtype))
    flops = (counter.get_total_flops() / frames for counter in (stepping, encoding))
    return ModelInfo(config.size, frames, count_parameters(model), *flops, memory)


def _empty_conditioning(config: ModelConfig, frames: int) -> Conditioning:
    h, w = config.size
    with torch.device("meta"):
        return Conditioning(
            agnostic=torch.empty(1, frames, 3, h, w),
            region=torch.empty(1, frames, 1, h, w),
            pose=torch.empty(1, frames, KEYPOINTS, 3),
            warped=torch.empty(1, frames, 4, h, w),
            garments=torch.empty(1, 1, 4, h, w),
            garment_points=torch.empty(1, 1, POINTS, 3),
            slots=torch.empty(1, 1, dtype=torch.int64),
            layout=torch.empty(1, 1, len(LAYOUT_WORDS), dtype=torch.int64),
            given=torch.empty(1, len(GROUPS), dtype=torch.bool),
            augmentation=torch.empty(1),
        )


def _memory(model: TryOnUNet, x: Tensor, level: Tensor, encoded: Encoded) -> Memory:
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    held = sum(value.numel() * value.element_size() for value in vars(encoded).values() if value is not None)
    return Memory(
        weights, held, weights + held + x.numel() * x.element_size() + peak_bytes(lambda: model.predict(x, level, encoded))
    )


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most bytes of tensors made within `compute` that were alive at once; exact, on the meta device too."""
    with _Tally() as tally:
        compute()
    return tally.peak


class _Tally(TorchDispatchMode):
    """Sees every storage that comes into being and, by weak reference, when it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        out = function(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self._note(x.untyped_storage(), before)
        self.peak = max(self.peak, self.now)
        return out

    def _note(self, storage: torch.UntypedStorage, before: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in before or key in self.known:
            return
        self.known.add(key)
        self.now += size
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size
