"""Distance in features of VGG-16 (Simonyan and Zisserman 2015): perceptual loss (Johnson et al. 2016), weights from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from vidvton.errors import MisuseError

_PLAN = ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256))
"""(number in torchvision's `features`, channels in, channels out) of the layers up to relu3_3."""
_POOLED_BEFORE, _COMPARED = (5, 10), (2, 7, 14)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Features(nn.Module):
    """VGG-16 up to relu3_3; frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict({str(n): nn.Conv2d(i, o, 3, padding=1) for n, i, o in _PLAN})
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features after relu1_2, relu2_2 and relu3_3 of pictures [N, 3, H, W] 0-1."""
        h, found = (pictures - self.mean) / self.deviation, []
        for name, layer in self.features.items():
            if int(name) in _POOLED_BEFORE:
                h = F.max_pool2d(h, 2)
            h = F.relu(layer(h))
            if int(name) in _COMPARED:
                found.append(h)
        return found


def load_features(path: Path) -> Features:
    """VGG-16's first layers from a safetensors file with torchvision's names (features.0.weight ...); others in it are left.

    MisuseError for a file that is missing, of another kind, or lacks a layer.
    """
    network = Features()
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise MisuseError(f"{path} cannot be read ({error}), expected VGG-16's weights as safetensors") from error
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in stored or stored[name].shape != tensor.shape:
            raise MisuseError(f"{path} has no {name} of shape {list(tensor.shape)}, expected torchvision's VGG-16 as safetensors")
    network.load_state_dict({name: stored[name] for name in wanted})
    return network.requires_grad_(False).eval()


def perceptual_distance(features: nn.Module, estimate: Tensor, x0: Tensor, region: Tensor) -> Tensor:
    """Mean squared difference of unit features of two clips [B, T, 3, H, W] (-1 to 1), inside the region alone: elsewhere the
    estimate is the truth."""
    inside = region.flatten(0, 1)
    mixed = torch.lerp(x0.flatten(0, 1), estimate.flatten(0, 1).clamp(-1.2, 1.2), inside)
    total = estimate.new_zeros(())
    with torch.no_grad():
        truths = features((x0.flatten(0, 1) + 1) / 2)
    for found, truth in zip(features((mixed + 1) / 2), truths):
        total = total + (F.normalize(found, dim=1) - F.normalize(truth, dim=1)).square().sum(1).mean()
    return total / len(truths)
