"""The exact denoiser of a few points: the posterior mean when the data are those points and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from vidvton.diffusion.schedule import spread, to_alpha

POINTS = torch.tensor([[-0.8, 0.5], [0.9, 0.3], [0.1, -0.9]])
"""[N, 2] the whole world."""


def ideal(x: Tensor, sigma: Tensor, points: Tensor = POINTS) -> Tensor:
    """E[x0 | x] for x [B, 2]: a softmax over the points."""
    alpha, noise = spread(to_alpha(sigma), x).double(), spread(sigma, x).double().clamp(min=1e-4)
    away = ((x.double()[:, None] - alpha[:, None] * points.double()) ** 2).sum(-1) / (2 * noise**2)
    return (torch.softmax(-away, 1) @ points.double()).to(x.dtype)


def gaussian(x: Tensor, sigma: Tensor, *, mean: float = 0.3, spread_of: float = 0.5) -> Tensor:
    """E[x0 | x] where every element of the data is normal with `mean` and deviation `spread_of`."""
    alpha, noise = spread(to_alpha(sigma), x), spread(sigma, x)
    return mean + alpha * spread_of**2 / (alpha**2 * spread_of**2 + noise**2) * (x - alpha * mean)
