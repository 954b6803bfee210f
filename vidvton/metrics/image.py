"""One picture against another: SSIM, PSNR's squared error, gradient similarity, and how much of the source is left."""

from __future__ import annotations

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

SSIM_MARGIN = 5  # pixels at the border whose 11x11 window leaves the picture; scikit-image leaves them out of its mean
PASSED_THROUGH = 8
_LUMA = (0.299, 0.587, 0.114)
_GMS_CONSTANT = 170.0


def ssim(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """(SSIM [H, W] float32 of two frames [3, H, W] uint8, mean of the channels; valid [H, W] bool).

    As Wang et al. 2004 measured: Gaussian window of 1.5 px cut at 11x11, population variances, 8-bit range, each RGB channel;
    not the 7x7 box that scikit-image takes by default. The mean over `valid` is scikit-image's score. Frames under 11 px have no
    valid pixel.
    """
    height, width = first.shape[1:]
    valid = torch.zeros(height, width, dtype=torch.bool)
    valid[SSIM_MARGIN : height - SSIM_MARGIN, SSIM_MARGIN : width - SSIM_MARGIN] = True
    if min(height, width) < 2 * SSIM_MARGIN + 1:
        return torch.zeros(height, width), valid & False
    _, full = structural_similarity(
        *(frame.permute(1, 2, 0).numpy().astype(np.float32) for frame in (first, second)),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    return torch.from_numpy(full.mean(2)), valid


def squared_error(first: Tensor, second: Tensor) -> Tensor:
    """[H, W] float32 of two frames [3, H, W] float 0-1, mean of the channels; PSNR is -10 log10 of its mean."""
    return (first - second).square().mean(0)


def level_error(first: Tensor, second: Tensor) -> Tensor:
    """[H, W] float32 0-255: absolute difference of two frames [3, H, W] float 0-1, mean of the channels (ours: identity kept)."""
    return (first - second).abs().mean(0) * 255


def luma(frame: Tensor) -> Tensor:
    """[H, W] of a frame [3, H, W] float, BT.601."""
    return torch.einsum("chw,c->hw", frame, frame.new_tensor(_LUMA))


def gradients(picture: Tensor) -> Tensor:
    """[2, H, W] (d/dx, d/dy) of a picture [H, W] by central differences, zero at the border."""
    dx = F.pad((picture[:, 2:] - picture[:, :-2]) / 2, (1, 1))
    dy = F.pad((picture[2:] - picture[:-2]) / 2, (0, 0, 1, 1))
    return torch.stack([dx, dy])


def gradient_similarity(first: Tensor, second: Tensor) -> Tensor:
    """[H // 2, W // 2] float32 0-1: (2 g h + c) / (g^2 + h^2 + c) of gradient magnitudes of two frames [3, H, W] float 0-1.

    Xue et al. 2014, eq. 4: luma 0-255, halved by 2x2 means, Prewitt operator / 3, c = 170; its mean is GMSM.
    """
    magnitudes = []
    for frame in (first, second):
        half = F.avg_pool2d(luma(frame)[None, None] * 255, 2)
        row, column = half.new_ones(3), half.new_tensor([1.0, 0.0, -1.0])
        kernels = torch.stack([row[:, None] * column, column[:, None] * row])[:, None] / 3
        magnitudes.append(F.conv2d(F.pad(half, (1, 1, 1, 1)), kernels)[0].square().sum(0).sqrt())
    g, h = magnitudes
    return (2 * g * h + _GMS_CONSTANT) / (g.square() + h.square() + _GMS_CONSTANT)


def halved(region: Tensor) -> Tensor:
    """`region` [H, W] bool on the grid of `gradient_similarity`: where at least half of the four pixels are in it."""
    return F.avg_pool2d(region.float()[None, None], 2)[0, 0] >= 0.5


def leak(output: Tensor, source: Tensor, inside: Tensor) -> float:
    """-1 to 1: cosine between the two gradient fields [2, H, W] over `inside` [H, W] bool (ours). 1: every old edge is there, at
    its place, whatever the colour; near 0: nothing in common. NaN where the source has no edge there."""
    a, b = output[:, inside].double(), source[:, inside].double()
    energy, other = float((b * b).sum()), float((a * a).sum())
    if energy <= 1e-12:
        return float("nan")
    return float((a * b).sum()) / (energy * other) ** 0.5 if other > 1e-12 else 0.0


def passed_through(output: Tensor, source: Tensor) -> Tensor:
    """[H, W] float32 0 or 1: every channel of two frames [3, H, W] uint8 agrees within 8 levels (ours: leaked pixels)."""
    return ((output.short() - source.short()).abs().amax(0) <= PASSED_THROUGH).float()
