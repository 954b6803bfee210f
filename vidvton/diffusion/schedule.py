"""How noisy is when: a cosine schedule that ends in pure noise, shifted with the size of the picture.

Everything is variance-preserving, x = alpha x0 + sigma eps with alpha^2 + sigma^2 = 1. Besides `sigma` a noise level has two
other measures: the network's own, `level` = (2 / pi) asin(sigma), and the schedule's time, which runs evenly in training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BASE_PIXELS = 64 * 64
"""The picture size for which the plain cosine schedule is right (simple diffusion, Hoogeboom et al. 2023, section 3.1)."""


def to_alpha(sigma: Tensor) -> Tensor:
    """sqrt(1 - sigma^2), without the loss of digits near sigma = 1 that the formula as it stands would have."""
    return ((1 - sigma) * (1 + sigma)).clamp(min=0).sqrt()


def to_level(sigma: Tensor) -> Tensor:
    """The network's noise level 0-1: (2 / pi) asin(sigma)."""
    return sigma.clamp(0, 1).asin() * (2 / math.pi)


def from_level(level: Tensor) -> Tensor:
    """sigma of a noise level 0-1; 1 gives exactly 1."""
    return torch.sin(level * (math.pi / 2))


def spread(values: Tensor, like: Tensor) -> Tensor:
    """`values` [B] with as many axes as `like` [B, ...], for products."""
    return values.reshape(-1, *[1] * (like.ndim - 1)).to(like)


def diffuse(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """alpha x0 + sigma eps for `x0` and `noise` [B, ...] and `sigma` [B]."""
    return spread(to_alpha(sigma), x0) * x0 + spread(sigma, x0) * noise


@dataclass(frozen=True)
class Schedule:
    """A cosine schedule (Nichol and Dhariwal 2021) whose sigma / alpha is `ratio` times the plain one's at every time.

    Larger pictures lose their content to noise later, so they need more of it: `ratio` is the side of the picture over that of
    the base (simple diffusion, Hoogeboom et al. 2023: logSNR + 2 log(64 / d)). Time 1 is pure noise whatever the ratio: the
    terminal SNR is zero (Lin et al. 2023).
    """

    ratio: float = 1.0

    @classmethod
    def for_size(cls, size: tuple[int, int], base_pixels: int = BASE_PIXELS) -> Schedule:
        """The schedule for pictures of (height, width) `size`."""
        return cls(math.sqrt(size[0] * size[1] / base_pixels))

    def sigma(self, time: Tensor) -> Tensor:
        """sigma [B] float32 at `time` [B] 0-1."""
        angle = time.double().clamp(0, 1) * (math.pi / 2)
        return torch.sin(torch.atan2(self.ratio * torch.sin(angle), torch.cos(angle))).float()

    def time(self, sigma: Tensor) -> Tensor:
        """The time [B] 0-1 float32 at which the schedule reaches `sigma` [B]."""
        sigma = sigma.double()
        return (torch.atan2(sigma, to_alpha(sigma) * self.ratio) * (2 / math.pi)).float()

    def sigmas(self, steps: int, *, strength: float = 1.0) -> tuple[float, ...]:
        """sigma before each of `steps` steps, falling; the last step ends at 0.

        Steps are even in time, the first at the noise level `strength` 0-1 (1: pure noise). ValueError for no steps or a strength
        outside ]0, 1].
        """
        if steps < 1:
            raise ValueError(f"{steps} steps were asked for, expected at least 1")
        if not 0 < strength <= 1:
            raise ValueError(f"strength is {strength}, expected more than 0 and at most 1")
        begin = float(self.time(from_level(torch.tensor([strength], dtype=torch.float64)))[0])
        times = torch.tensor([begin * (1 - step / steps) for step in range(steps)], dtype=torch.float64)
        return tuple(self.sigma(times).tolist())
