"""A network small enough for tests, and a conditioning of random pictures."""

from __future__ import annotations

import torch

from vidvton.models.config import ModelConfig
from vidvton.models.unet import TryOnUNet
from vidvton.values import LAYOUT_WORDS, POINTS, Conditioning

SMALL = ModelConfig(
    size=(32, 32),
    frames=8,
    patch=2,
    widths=(16, 32, 32, 48, 48),
    encoder_widths=(16, 16, 16, 32, 32),
    dit_blocks=2,
    head_width=16,
    embedding_width=32,
)


def make_network(config: ModelConfig = SMALL, *, seed: int = 0, gates: float = 0.0) -> TryOnUNet:
    """A network whose zero-initialised layers are random, so that everything counts; temporal gates are set to `gates`."""
    torch.manual_seed(seed)
    model = TryOnUNet(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".gate" in name:
                weight.fill_(gates)
            elif weight.ndim > 1 and not bool(weight.any()):
                weight.normal_(std=0.1)
    return model


def make_conditioning(
    *, samples: int = 1, frames: int = 5, garments: int = 1, size: tuple[int, int] = (32, 32), seed: int = 0, embedding: int = 0
) -> Conditioning:
    h, w = size
    dice = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=dice)

    def cutout(*shape: int) -> torch.Tensor:
        alpha = rand(*shape, 1, h, w)
        return torch.cat([rand(*shape, 3, h, w) * alpha, alpha], dim=-3)

    return Conditioning(
        agnostic=rand(samples, frames, 3, h, w),
        region=(rand(samples, frames, 1, h, w) > 0.5).float(),
        pose=rand(samples, frames, 33, 3),
        warped=cutout(samples, frames),
        garments=cutout(samples, garments),
        garment_points=rand(samples, garments, POINTS, 3),
        slots=torch.arange(garments).expand(samples, -1).clone(),
        layout=torch.randint(0, 3, (samples, garments, len(LAYOUT_WORDS)), generator=dice),
        given=torch.ones(samples, 3, dtype=torch.bool),
        augmentation=rand(samples),
        embedding=rand(samples, embedding) if embedding else None,
    )


def noise(*, samples: int = 1, frames: int = 5, size: tuple[int, int] = (32, 32), seed: int = 1) -> torch.Tensor:
    return torch.randn(samples, frames, 3, *size, generator=torch.Generator().manual_seed(seed))
