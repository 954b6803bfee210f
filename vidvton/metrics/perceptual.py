"""LPIPS: distances in the features of AlexNet, VGG-16 and SqueezeNet 1.1 (our own stacks; torchvision is not needed)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MisuseError
from .weight_files import fit, read_state


class Fire(nn.Module):
    """SqueezeNet's module: 1x1 squeeze, 1x1 and 3x3 expand side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def _alex() -> tuple[list[nn.Module], tuple[int, ...]]:
    def conv(i: int, o: int, k: int, stride: int, padding: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, k, stride, padding), nn.ReLU()]

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2)

    layers = [*conv(3, 64, 11, 4, 2), pool(), *conv(64, 192, 5, 1, 2), pool(), *conv(192, 384, 3, 1, 1)]
    return [*layers, *conv(384, 256, 3, 1, 1), *conv(256, 256, 3, 1, 1)], (1, 4, 7, 9, 11)


def _vgg() -> tuple[list[nn.Module], tuple[int, ...]]:
    layers: list[nn.Module] = []
    taps, channels = [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        taps.append(len(layers) - 1)
    return layers, tuple(taps)


def _squeeze() -> tuple[list[nn.Module], tuple[int, ...]]:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    layers = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128)]
    layers += [Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
    return layers, (1, 4, 7, 9, 10, 11, 12)


_STACKS = {"alex": _alex, "vgg": _vgg, "squeeze": _squeeze}
_WIDTHS = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
SMALLEST = 32
"""Pixels of the shorter side below which the stacks run out of picture."""


class Lpips(nn.Module):
    """LPIPS 0.1 of one backbone ("alex", "vgg" or "squeeze"), at the pictures' own size.

    Scores differ by backbone and by picture size: name both beside every number (HR-VITON scores at 128x128).
    """

    def __init__(self, backbone: str) -> None:
        super().__init__()
        layers, self.taps = _STACKS[backbone]()
        self.features = nn.Sequential(*layers)
        self.lin = nn.ParameterList([nn.Parameter(torch.zeros(width)) for width in _WIDTHS[backbone]])
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)

    def see(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features of `pictures` [B, 3, H, W] float 0-1 at every tap."""
        x = (pictures * 2 - 1 - self.shift) / self.scale
        seen = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                seen.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return seen

    def between(self, first: list[Tensor], second: list[Tensor]) -> Iterator[Tensor]:
        """Weighted squared distances [B, h, w] of two sets of features, tap by tap; LPIPS is the sum of their means (eq. 1)."""
        for a, b, weight in zip(first, second, self.lin):
            yield torch.einsum("bchw,c->bhw", (a - b).square(), weight)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """[B] distances of pictures [B, 3, H, W] float 0-1."""
        return sum(d.mean((1, 2)) for d in self.between(self.see(first), self.see(second)))


def load_lpips(backbone: str, path: Path) -> Lpips:
    """LPIPS with the weights of one file: torchvision's `features.*` and LPIPS's `lin0.model.1.weight` ... `linN...`.

    Where the file holds the backbone alone, the small linear heads are taken from torchmetrics, if that is installed (extra
    `metrics`); nothing of it is imported. MisuseError for a file that does not fit.
    """
    state = {name.removeprefix("net."): value for name, value in read_state(path).items()}
    heads = {name: value for name, value in state.items() if name.startswith("lin")}
    if not heads:
        found = importlib.util.find_spec("torchmetrics")
        shipped = Path(found.origin).parent / f"functional/image/lpips_models/{backbone}.pth" if found and found.origin else None
        if shipped is None or not shipped.is_file():
            raise MisuseError(f"the weights {path} lack LPIPS's linear heads (lin0.model.1.weight ...); add them to the file")
        heads = read_state(shipped)
    named = {f"lin.{name[3:].split('.')[0]}": value.flatten() for name, value in heads.items() if not name.startswith("lins")}
    trunk = {name: value for name, value in state.items() if name.startswith("features.")}
    return fit(Lpips(backbone), trunk | named, path)
