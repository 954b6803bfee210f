"""Noise on what the network is shown, with its level told to the network, so that it does not trust every pixel.

After TryOnDiffusion's noise-conditioning augmentation: agnostic frames and garment pictures get Gaussian noise of a level drawn
in training and fixed when rendering. It hides the agnostic region's outline and small faults of the segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..values import Conditioning
from .noise import generator_for
from .schedule import spread, to_alpha


def augment(conditioning: Conditioning, level: Tensor, seeds: Sequence[int], *, first_frame: int = 0) -> Conditioning:
    """`conditioning` with noise of `level` [B] 0-1 (as sigma on the -1 to 1 scale) on agnostic frames and garments, and the level
    in `augmentation`.

    `seeds` has one number a sample; a frame's noise depends on it and on the frame's index alone, counted from `first_frame`.
    Withheld groups and empty slots stay zero. Level 0 changes nothing, bit for bit.
    """
    batch, frames = conditioning.agnostic.shape[:2]
    if len(level) != batch or len(seeds) != batch:
        raise ValueError(f"{len(level)} levels and {len(seeds)} seeds were given for {batch} samples")
    if not bool(((level >= 0) & (level <= 1)).all()):
        raise ValueError(f"augmentation levels are {level.tolist()}, expected 0 to 1")
    told = replace(conditioning, augmentation=level.to(conditioning.augmentation))
    if not bool((level > 0).any()):
        return told
    agnostic = _noised(conditioning.agnostic, level, seeds, range(first_frame, first_frame + frames), "agnostic")
    given = conditioning.given.to(conditioning.agnostic.device)
    agnostic = torch.where(spread(given[:, 0].float(), agnostic) > 0, agnostic, conditioning.agnostic)
    count = conditioning.garments.shape[1]
    colours = _noised(conditioning.garments[:, :, :3], level, seeds, range(count), "garment")
    worn = (conditioning.slots >= 0)[..., None, None, None] & given[:, 1].reshape(-1, 1, 1, 1, 1)
    colours = torch.where(worn, colours, conditioning.garments[:, :, :3])
    return replace(told, agnostic=agnostic, garments=torch.cat([colours, conditioning.garments[:, :, 3:]], 2))


def _noised(pictures: Tensor, level: Tensor, seeds: Sequence[int], indices: Sequence[int], what: str) -> Tensor:
    """`pictures` [B, N, C, H, W] 0-1 with noise; not clamped, for a clamp would tell where the noise is."""
    shape = pictures.shape[2:]
    noise = torch.stack(
        [torch.stack([torch.randn(shape, generator=generator_for("augment", what, seed, i)) for i in indices]) for seed in seeds]
    ).to(pictures)
    sigma, alpha = spread(level, pictures), spread(to_alpha(level), pictures)
    changed = (alpha * (2 * pictures - 1) + sigma * noise + 1) / 2
    return torch.where(sigma > 0, changed, pictures)
