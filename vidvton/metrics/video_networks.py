"""Networks that see motion: I3D (Carreira and Zisserman, CVPR 2017) and 3-D ResNeXt-101 (Hara et al., CVPR 2018)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .weight_files import fit, read_state


def _same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """`x` [B, C, T, H, W] padded as TensorFlow's "SAME" does: what is missing goes half before, the odd one after."""
    pads: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride))):
        missing = max(k - (s if size % s == 0 else size % s), 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)


class Unit(nn.Module):
    """Convolution, batch norm (eps 0.001) and ReLU, names as in the published file."""

    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_same(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Pool(nn.Module):
    """Max pooling with zeros where the picture ends (the features are never negative)."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """An Inception module of four branches."""

    def __init__(self, channels: int, out: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(channels, out[0])
        self.b1a, self.b1b = Unit(channels, out[1]), Unit(out[1], out[2], 3)
        self.b2a, self.b2b = Unit(channels, out[3]), Unit(out[3], out[4], 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(channels, out[5])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


_MIXED = (
    ("Mixed_3b", (64, 96, 128, 16, 32, 32)), ("Mixed_3c", (128, 128, 192, 32, 96, 64)), ("MaxPool3d_4a_3x3", (3, 2)),
    ("Mixed_4b", (192, 96, 208, 16, 48, 64)), ("Mixed_4c", (160, 112, 224, 24, 64, 64)),
    ("Mixed_4d", (128, 128, 256, 24, 64, 64)), ("Mixed_4e", (112, 144, 288, 32, 64, 64)),
    ("Mixed_4f", (256, 160, 320, 32, 128, 128)), ("MaxPool3d_5a_2x2", (2, 2)),
    ("Mixed_5b", (256, 160, 320, 32, 128, 128)), ("Mixed_5c", (384, 192, 384, 48, 128, 128)),
)  # fmt: skip


class I3d(nn.Module):
    """I3D to Mixed_5c: [B, 1024] means over time and picture of clips [B, 3, T, H, W] in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        channels = 192
        for name, out in _MIXED:
            if name.startswith("Max"):
                self.add_module(name, Pool((out[0],) * 3, (out[1],) * 3))
            else:
                self.add_module(name, Mixed(channels, out))
                channels = out[0] + out[2] + out[4] + out[5]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3, 4))


class Bottleneck(nn.Module):
    """ResNeXt's block: 1x1x1, grouped 3x3x3, 1x1x1, names as in the published file."""

    def __init__(self, channels: int, planes: int, groups: int, stride: int) -> None:
        super().__init__()
        middle, out = groups * (planes // 32), planes * 2
        self.conv1, self.bn1 = nn.Conv3d(channels, middle, 1, bias=False), nn.BatchNorm3d(middle)
        self.conv2 = nn.Conv3d(middle, middle, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(middle)
        self.conv3, self.bn3 = nn.Conv3d(middle, out, 1, bias=False), nn.BatchNorm3d(out)
        shrinks = stride != 1 or channels != out
        self.downsample = (
            nn.Sequential(nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out)) if shrinks else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Resnext3d(nn.Module):
    """3-D ResNeXt-101 (32 groups): [B, 2048] means over time and picture of clips [B, 3, T, H, W]; `depths` is for tests."""

    def __init__(self, depths: tuple[int, ...] = (3, 4, 23, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False), nn.BatchNorm3d(64)
        channels = 64
        for i, depth in enumerate(depths):
            planes = 128 * 2**i
            blocks = [Bottleneck(channels if j == 0 else planes * 2, planes, 32, 2 if i and j == 0 else 1) for j in range(depth)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            channels = planes * 2

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for name, layer in self.named_children():
            if name.startswith("layer"):
                x = layer(x)
        return x.mean((2, 3, 4))


def load_i3d(path: Path) -> I3d:
    """I3D (Kinetics-400 RGB, piergiaj's names; `logits` is not needed). MisuseError for a file that does not fit."""
    return fit(I3d(), read_state(path), path, unused=("logits.",))


def load_resnext(path: Path, *, depths: tuple[int, ...] = (3, 4, 23, 3)) -> Resnext3d:
    """3-D ResNeXt-101 (resnext-101-kinetics.pth; `fc` is not needed). MisuseError for a file that does not fit."""
    return fit(Resnext3d(depths), read_state(path), path, unused=("fc.",))
