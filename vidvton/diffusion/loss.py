"""The training loss: what the network should have predicted, and how much each noise level and pixel counts."""

from __future__ import annotations

import torch
from torch import Tensor

from .precondition import Prediction
from .schedule import spread, to_alpha


def target(prediction: Prediction, x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """What a network that predicts `prediction` should say of alpha `x0` + sigma `noise` [B, ...], `sigma` [B]: v = alpha eps -
    sigma x0, eps or x0."""
    if prediction == "x0":
        return x0
    if prediction == "eps":
        return noise
    if prediction != "v":
        raise ValueError(f"prediction is {prediction!r}, expected v, eps or x0")
    return spread(to_alpha(sigma), x0) * noise - spread(sigma, x0) * x0


def level_weight(prediction: Prediction, sigma: Tensor, gamma: float | None) -> Tensor:
    """[B] float32: how much the squared error of `prediction` counts at `sigma` [B].

    Min-SNR (Hang et al. 2023): the error of x0 counts min(SNR, gamma), which is that over SNR + 1 for v and over SNR for eps. So
    that pure noise, where the SNR is zero, is learned too, it counts at least 1 (as in Salimans and Ho's truncated SNR). None:
    all levels count 1 in what is predicted.
    """
    if gamma is None:
        return torch.ones_like(sigma, dtype=torch.float32)
    sigma = sigma.double()
    snr = (to_alpha(sigma) / sigma.clamp(min=1e-6)) ** 2
    counted = snr.clamp(1.0, max(gamma, 1.0))
    per = {"x0": torch.ones_like(snr), "v": snr + 1, "eps": snr.clamp(min=1e-3)}[prediction]
    return (counted / per).float()


def diffusion_loss(
    output: Tensor,
    x0: Tensor,
    noise: Tensor,
    sigma: Tensor,
    prediction: Prediction,
    *,
    region: Tensor | None = None,
    region_weight: float = 1.0,
    gamma: float | None = None,
) -> Tensor:
    """[B] float32: the weighted mean squared error of each sample of the network's `output` [B, T, 3, H, W].

    `region` [B, T, 1, H, W] 0-1 (1 = to be generated) counts `region_weight` times as much as the rest; weights are made to
    average one in every sample, so that a loss can be compared whatever the region's size. `gamma` as in `level_weight`.
    """
    error = (output.float() - target(prediction, x0.float(), noise.float(), sigma)) ** 2
    if region is not None and region_weight != 1:
        counts = 1 + (region_weight - 1) * region.float()
        counts = counts / counts.mean(dim=tuple(range(1, counts.ndim)), keepdim=True)
        error = error * counts
    return error.flatten(1).mean(1) * level_weight(prediction, sigma, gamma)
