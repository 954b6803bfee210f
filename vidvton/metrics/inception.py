"""Inception-v3 as FID uses it: TensorFlow's network of 2015 with its own poolings (pytorch-fid's pt_inception-2015-12-05)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .weight_files import fit, read_state


class Unit(nn.Module):
    """Convolution, batch norm (eps 0.001) and ReLU."""

    def __init__(self, channels: int, out: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _mean(x: Tensor) -> Tensor:
    """TensorFlow's 3x3 mean: padding does not count."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _largest(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, 1)


class MixedA(nn.Module):
    """Mixed_5b to 5d."""

    def __init__(self, channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(channels, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Unit(channels, 48, 1), Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(channels, 64, 1), Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_mean(x))], 1)


class MixedB(nn.Module):
    """Mixed_6a."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(channels, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(channels, 64, 1), Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class MixedC(nn.Module):
    """Mixed_6b to 6e."""

    def __init__(self, channels: int, c: int) -> None:
        super().__init__()
        row, column = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = Unit(channels, 192, 1)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = Unit(channels, c, 1), Unit(c, c, **row), Unit(c, 192, **column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Unit(channels, c, 1), Unit(c, c, **column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Unit(c, c, **row), Unit(c, c, **column)
        self.branch7x7dbl_5 = Unit(c, 192, **row)
        self.branch_pool = Unit(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_mean(x))], 1)


class MixedD(nn.Module):
    """Mixed_7a."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(channels, 192, 1), Unit(192, 320, 3, 2)
        self.branch7x7x3_1 = Unit(channels, 192, 1)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Unit(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        long = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), long, F.max_pool2d(x, 3, 2)], 1)


class MixedE(nn.Module):
    """Mixed_7b, and 7c, which pools by the largest (an oddity of the 2015 network that every published FID shares)."""

    def __init__(self, channels: int, *, last: bool) -> None:
        super().__init__()
        self.pool = _largest if last else _mean
        self.branch1x1, self.branch3x3_1 = Unit(channels, 320, 1), Unit(channels, 384, 1)
        self.branch3x3_2a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(channels, 448, 1), Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Unit(channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, z = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        single = [self.branch3x3_2a(y), self.branch3x3_2b(y)]
        double = [self.branch3x3dbl_3a(z), self.branch3x3dbl_3b(z)]
        return torch.cat([self.branch1x1(x), *single, *double, self.branch_pool(self.pool(x))], 1)


class Inception(nn.Module):
    """[B, 2048] of pictures [B, 3, H, W] float 0-1, resized bilinearly (no antialiasing, as pytorch-fid does) to 299x299."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(3, 32, 3, 2), Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Unit(64, 80, 1), Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = MixedA(192, 32), MixedA(256, 64), MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d = MixedC(768, 128), MixedC(768, 160), MixedC(768, 160)
        self.Mixed_6e = MixedC(768, 192)
        self.Mixed_7a = MixedD(768)
        self.Mixed_7b, self.Mixed_7c = MixedE(1280, last=False), MixedE(2048, last=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) * 2 - 1
        for name, layer in self.named_children():
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x.mean((2, 3))


def load_inception(path: Path) -> Inception:
    """FID's Inception (`fc` is not needed). MisuseError for a file that does not fit."""
    return fit(Inception(), read_state(path), path, unused=("fc.", "AuxLogits."))
