"""The loss of a training pass, term by term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidvton.diffusion.loss import diffusion_loss
from vidvton.diffusion.precondition import Prediction
from vidvton.diffusion.schedule import spread, to_alpha

from .config import Loss
from .perceptual import perceptual_distance


@dataclass(frozen=True)
class Terms:
    """`total` is what is minimised; the others are its parts before their weights, for the journal. All are scalars."""

    total: Tensor
    diffusion: Tensor
    temporal: Tensor | None = None
    perceptual: Tensor | None = None


def loss_terms(
    output: Tensor,
    x0: Tensor,
    noise: Tensor,
    sigma: Tensor,
    prediction: Prediction,
    settings: Loss,
    *,
    region: Tensor,
    features: nn.Module | None = None,
) -> Terms:
    """The terms for a network's `output` at noise `sigma` [B]; x0 and noise [B, T, 3, H, W] on the -1 to 1 scale, `region`
    [B, T, 1, H, W]. `features` is what `perceptual.load_features` returns."""
    gamma = settings.min_snr or None
    weighted = {"region": region, "region_weight": settings.region, "gamma": gamma}
    main = diffusion_loss(output, x0, noise, sigma, prediction, **weighted).mean()
    if settings.temporal == 0 and settings.perceptual == 0:
        return Terms(main, main.detach())
    estimate = estimate_x0(output.float(), x0, noise, sigma, prediction)
    total, temporal, perceptual = main, None, None
    if settings.temporal > 0 and x0.shape[1] > 1:
        temporal = temporal_difference(estimate, x0, region)
        total = total + settings.temporal * temporal
    if settings.perceptual > 0 and features is not None:
        perceptual = perceptual_distance(features, estimate, x0, region)
        total = total + settings.perceptual * perceptual
    return Terms(
        total,
        main.detach(),
        None if temporal is None else temporal.detach(),
        None if perceptual is None else perceptual.detach(),
    )


def estimate_x0(output: Tensor, x0: Tensor, noise: Tensor, sigma: Tensor, prediction: Prediction) -> Tensor:
    """The clean frames that `output` amounts to, given the noisy frames made of `x0` and `noise`."""
    if prediction == "x0":
        return output
    alpha, level = spread(to_alpha(sigma), x0), spread(sigma, x0)
    x = alpha * x0 + level * noise
    return alpha * x - level * output if prediction == "v" else (x - level * output) / alpha.clamp(min=0.05)


def temporal_difference(estimate: Tensor, x0: Tensor, region: Tensor) -> Tensor:
    """Mean squared difference between the estimate's and the truth's change from frame to frame, in the region: what flickers,
    whatever its average. Each sample counts the same, so that processes sharing a batch add up to one."""
    change = torch.diff(estimate - x0, dim=1).square()
    inside = torch.maximum(region[:, 1:], region[:, :-1]).expand_as(change)
    return ((change * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)).mean()
