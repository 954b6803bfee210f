"""From linear light to the stored picture: tone, noise, lens, and block compression, each keyed by seed and frame number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Sensor:
    """`noise` standard deviation of grain in 0-1 at mid grey, `vignette` 0-1 darkening of the corners, `blur` pixels of lens
    softness,
    `quality` of block compression (100 = none), `shutter` the share of a frame's
    time that an exposure lasts (0 = no motion blur)."""

    noise: float = 0.008
    vignette: float = 0.1
    blur: float = 0.0
    quality: int = 100
    shutter: float = 0.0


def tone(light: Tensor) -> Tensor:
    """Display values 0-1 of linear light: straight to 0.8, then a shoulder, then the 1/2.2 power."""
    shoulder = 0.8 + 0.2 * torch.tanh((light - 0.8) / 0.2)
    return torch.where(light > 0.8, shoulder, light).clamp(0, 1).pow(1 / 2.2)


def develop(light: Tensor, sensor: Sensor, *, seed: int, frames: Tensor) -> Tensor:
    """uint8 [n, 3, H, W] of linear light [n, 3, H, W]; the grain of frame k depends on (seed, k) alone."""
    height, width = light.shape[2:]
    if sensor.vignette:
        ys, xs = torch.linspace(-1, 1, height, device=light.device)[:, None], torch.linspace(-1, 1, width, device=light.device)
        light = light * (1 - 0.35 * sensor.vignette * (ys * ys + xs * xs))
    if sensor.blur > 0.05:
        light = _soften(light, sensor.blur)
    picture = tone(light)
    if sensor.noise:
        picture = picture + sensor.noise * (0.6 + 0.8 * (1 - picture)) * _grain(seed, frames, (height, width)).to(light.device)
    if sensor.quality < 100:
        picture = compress(picture, sensor.quality)
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def _grain(seed: int, frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Normal noise [n, 3, H, W], somewhat shared by the channels."""
    out = []
    for frame in frames.tolist():
        rng = np.random.Generator(np.random.SFC64([seed, frame, 1009]))
        grain = rng.standard_normal((4, *size), dtype=np.float32)
        out.append(torch.from_numpy(0.8 * grain[:1] + 0.6 * grain[1:]))
    return torch.stack(out)


def _soften(light: Tensor, sigma: float) -> Tensor:
    x = torch.arange(-2, 3, device=light.device, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 5)
    light = F.conv2d(F.pad(light, (2, 2, 0, 0), mode="replicate"), kernel, groups=3)
    return F.conv2d(F.pad(light, (0, 0, 2, 2), mode="replicate"), kernel.transpose(2, 3), groups=3)


_LUMA = torch.tensor([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87,
    80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,
    112, 100, 103, 99,
], dtype=torch.float32)  # fmt: skip


def compress(picture: Tensor, quality: int) -> Tensor:
    """`picture` [n, 3, H, W] 0-1 after JPEG's transform and quantisation at `quality` 1-99 (blocks of 8, chroma at full
    size, Annex K table)."""
    n, _, height, width = picture.shape
    down, right = -height % 8, -width % 8
    matrix = picture.new_tensor([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    ycc = torch.einsum("dc,nchw->ndhw", matrix, F.pad(picture, (0, right, 0, down), mode="replicate")) * 255
    k = torch.arange(8, device=picture.device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * 0.5
    basis[0] *= 0.5**0.5
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    luma = ((_LUMA.to(picture.device) * scale + 50) / 100).floor().clamp(1, 255).view(8, 8)
    steps = torch.stack([luma, luma * 1.4, luma * 1.4])[:, None, None]
    blocks = ycc.unfold(2, 8, 8).unfold(3, 8, 8)
    coded = torch.round((basis @ blocks @ basis.T) / steps) * steps
    back = (basis.T @ coded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, height + down, width + right)[..., :height, :width]
    return torch.einsum("dc,nchw->ndhw", torch.linalg.inv(matrix), back / 255)
