"""Weights of an earlier stage into a later one: image to video, 32 frames to 64. Everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import VidvtonError
from .unet import TryOnUNet

SHOWN = 3
"""Differing keys that an error names."""


def is_temporal(name: str) -> bool:
    """Whether the weight of this name belongs to the temporal layers, which image weights have not got."""
    return ".time." in name or _is_between_rates(name)


def _is_between_rates(name: str) -> bool:
    return name.startswith(("temporal_down.", "temporal_up."))


def allowed_new(model: TryOnUNet, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Names that `weights` may lack when they are loaded into `model`: all temporal layers, where it has not one of them (image
    weights), or temporal down and up, where it has neither (a stage of fewer frames). In the model's order."""
    names = list(model.state_dict())
    if not any(is_temporal(name) for name in weights):
        return tuple(name for name in names if is_temporal(name))
    if not any(_is_between_rates(name) for name in weights):
        return tuple(name for name in names if _is_between_rates(name))
    return ()


def load_weights(model: TryOnUNet, weights: Mapping[str, Tensor], *, new: tuple[str, ...] = ()) -> None:
    """Load `weights` into `model`; those named in `new` keep the model's own values.

    VidvtonError, naming the first differing keys, where names or shapes differ otherwise, and where a weight is NaN or infinite.
    The model is unchanged then.
    """
    own = model.state_dict()
    differences = [f"{name} is missing" for name in own if name not in weights and name not in new]
    differences += [f"{name} is not known" for name in weights if name not in own]
    for name in own:
        if name in weights and weights[name].shape != own[name].shape:
            differences.append(f"{name} has shape {list(weights[name].shape)}, expected {list(own[name].shape)}")
    if differences:
        more = len(differences) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        raise VidvtonError(f"the weights are of another architecture: {'; '.join(differences[:SHOWN])}{rest}")
    check_finite(weights)
    kept = {name: own[name] for name in own if name not in weights}
    model.load_state_dict({**weights, **kept}, strict=True)


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """VidvtonError, naming the first, where a weight holds NaN or infinity."""
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            count = int((~torch.isfinite(weight)).sum())
            raise VidvtonError(f"weight {name} holds {count} values that are NaN or infinite; use an earlier checkpoint")


def inflate(model: TryOnUNet, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Load the weights of an earlier stage into `model` and return the names that were new and keep their start: gates at zero,
    down as average, up as repeat. Errors as `load_weights`.

    With its gates at zero the inflated network equals the image network on the same frames bit for bit. (A frame computed alone
    instead of among others may differ in the last bit: libraries choose another order of summation for another batch.)
    """
    new = allowed_new(model, weights)
    load_weights(model, weights, new=new)
    return new
