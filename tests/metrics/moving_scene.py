"""A drawn scene whose every motion is a whole number of pixels: a printed square on a textured wall, both moving, all known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from vidvton.metrics.series import Piece

SIDE = 44


def texture(seed: int, height: int, width: int, *, spread: float = 1.5) -> np.ndarray:
    """[H, W, 3] float 0-1, smooth blobs of every colour."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (spread, spread, 0))
    return np.clip(0.5 + 0.22 * smooth / smooth.std(), 0.02, 0.98)


@dataclass(frozen=True)
class Scene:
    """T frames as the fields of `Piece`, and the square's picture."""

    source: Tensor
    region: Tensor
    flow: Tensor
    hidden: Tensor
    coordinates: Tensor
    garment: Tensor

    def pieces(self, output: Tensor | None = None, *, length: int = 7, known: bool = True, **more: Tensor) -> Iterator[Piece]:
        """The clip with `output` (the source itself where None), cut into pieces; `more` are further fields of Piece."""
        fields = {"source": self.source, "region": self.region, "output": self.source if output is None else output} | more
        if known:
            fields |= {"flow": self.flow, "hidden": self.hidden, "coordinates": self.coordinates}
        also = fields.pop("also", {})
        for start in range(0, len(self.source), length):
            cut = slice(start, start + length)
            yield Piece(**{k: v[cut] for k, v in fields.items()}, also=tuple((k, v[cut]) for k, v in also.items()))


def make_scene(frames: int = 36, size: tuple[int, int] = (96, 80), *, seed: int = 0) -> Scene:
    """The wall moves one pixel left a frame; the square one right and, every other frame, one down, turning at the borders."""
    height, width = size
    wall = texture(seed, height, width + frames, spread=2.0)
    square = texture(seed + 1, SIDE, SIDE, spread=1.2)
    path = [(20 + min(t % 28, 28 - t % 28), 24 + min(t % 28, 28 - t % 28) // 2) for t in range(frames + 1)]
    source, region, flow, coordinates = [], [], [], []
    for t in range(frames):
        x, y = path[t]
        frame, mask, move = (
            wall[:, t : t + width].copy(),
            np.zeros((height, width), bool),
            np.zeros((2, height, width), np.float32),
        )
        inside = slice(y, y + SIDE), slice(x, x + SIDE)
        frame[inside], mask[inside] = square, True
        move[0] = -1
        move[0][mask], move[1][mask] = path[t + 1][0] - x, path[t + 1][1] - y
        place = np.full((2, height, width), np.nan, np.float32)
        place[(slice(None), *inside)] = np.stack(np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5))
        source.append((frame * 255).round().astype(np.uint8).transpose(2, 0, 1))
        region.append(mask[None])
        flow.append(move)
        coordinates.append(place)
    masks = np.stack(region)
    hidden = np.zeros_like(masks)
    columns = np.arange(width)
    for t in range(frames - 1):  # the wall's pixels that the square covers next, or that leave the picture
        after = np.zeros((height, width), bool)
        after[:, 1:] = masks[t + 1, 0][:, :-1]
        hidden[t, 0] = ~masks[t, 0] & (after | (columns == 0))
    picture = (square * 255).round().astype(np.uint8).transpose(2, 0, 1)
    stacked = (np.stack(source), masks, np.stack(flow), hidden, np.stack(coordinates), picture)
    return Scene(*map(torch.from_numpy, stacked))


def noisy(frames: Tensor, level: float, *, seed: int = 5) -> Tensor:
    """`frames` with a colour cast of its own on each, the same ones at every level but for their strength."""
    cast = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(frames), 3, 1, 1)).astype(np.float32))
    return (frames.float() + cast * level).round().clamp(0, 255).to(torch.uint8)


def blurred(frames: Tensor, sigma: float) -> Tensor:
    """`frames` softened."""
    if sigma == 0:
        return frames
    return torch.from_numpy(gaussian_filter(frames.numpy().astype(np.float32), (0, 0, sigma, sigma)).round().astype(np.uint8))
