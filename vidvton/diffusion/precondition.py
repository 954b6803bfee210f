"""What a network predicts, turned into the one thing samplers ask for: an estimate of the clean picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from .schedule import spread, to_alpha, to_level

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x [B, T, 3, H, W], sigma [B] float32) -> estimate of x0, shaped like x, on the -1 to 1 scale."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""(x, noise level [B] 0-1) -> what the network predicts, shaped like x."""

Prediction = Literal["v", "eps", "x0"]

LEAST_ALPHA = 2.0**-12
"""Pure noise says nothing of x0 through eps alone: the division stops here."""


def precondition(predict: Predict, prediction: Prediction) -> Denoise:
    """The Denoise of a network whose output is `prediction`.

    v = alpha eps - sigma x0 (Salimans and Ho 2022), so x0 = alpha x - sigma v; from eps, x0 = (x - sigma eps) / alpha, which
    magnifies the network's error without bound towards pure noise.
    """
    if prediction not in ("v", "eps", "x0"):
        raise ValueError(f"prediction is {prediction!r}, expected v, eps or x0")

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        output = predict(x, to_level(sigma)).to(x.dtype)
        if prediction == "x0":
            return output
        alpha, noise = spread(to_alpha(sigma), x), spread(sigma, x)
        if prediction == "v":
            return alpha * x - noise * output
        return (x - noise * output) / alpha.clamp(min=LEAST_ALPHA)

    return denoise


def clip(denoise: Denoise, reach: float = 1.0) -> Denoise:
    """`denoise` with its estimate held within `reach` of zero: pictures live in -1 to 1, and guidance drives beyond."""

    def clipped(x: Tensor, sigma: Tensor) -> Tensor:
        return denoise(x, sigma).clamp(-reach, reach)

    return clipped


def inpaint(denoise: Denoise, known: Tensor, region: Tensor) -> Denoise:
    """`denoise` whose estimate is `known` [B, T, 3, H, W] (-1 to 1) where `region` [B, T, 1, H, W] 0-1 says that nothing is to be
    generated."""

    def held(x: Tensor, sigma: Tensor) -> Tensor:
        return known + (denoise(x, sigma) - known) * region

    return held
