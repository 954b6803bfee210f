"""Keyed noise: a frame's noise is a function of the seed and the frame's index, and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def generator_for(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream depends on the words of `key` alone; other keys give unrelated streams."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def noise_for(seed: int, frame_index: int, shape: Sequence[int]) -> Tensor:
    """Standard normal noise float32 of `shape` on the CPU for frame `frame_index`: the same on every machine's device, in every
    window and in every order."""
    return torch.randn(tuple(shape), generator=generator_for("frame", seed, frame_index))


def clip_noise(seed: int, start: int, stop: int, shape: Sequence[int]) -> Tensor:
    """[stop - start, *shape]: the noise of frames `start` to `stop`."""
    return torch.stack([noise_for(seed, index, shape) for index in range(start, stop)])
