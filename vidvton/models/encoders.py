"""The 2-D encoders of person and garments, run once per clip, and what they leave behind: `Encoded`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..values import CATEGORIES, LAYOUT_WORDS
from .blocks import Down, ResBlock, mapped, tokens_of
from .config import ModelConfig

POINT_SPREAD = 1.5
"""Standard deviation in tokens of the spot that a keypoint draws into an encoder's input."""


class Fourier(nn.Module):
    """A number in 0-1 as a vector: sines and cosines of log-spaced rates, then an MLP."""

    def __init__(self, width: int, waves: int = 32) -> None:
        super().__init__()
        self.waves = waves
        self.mlp = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """[B, width] of values [B]."""
        rates = torch.logspace(-1, 2, self.waves, base=4.0, device=values.device, dtype=torch.float32) * math.pi
        angles = values.float()[:, None] * rates
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1).to(self.mlp[0].weight.dtype))


class PictureEncoder(nn.Module):
    """Pictures and their keypoints to tokens at the DiT's grid; the same class for person frames and garments, other weights.

    Keypoints enter as drawn spots, so that the encoder knows where they are; the embedding (noise-augmentation level, withheld
    groups) enters every block as FiLM.
    """

    def __init__(self, channels: int, points: int, config: ModelConfig) -> None:
        super().__init__()
        widths = config.encoder_widths
        self.patch = config.patch
        self.stem = nn.Linear(channels * config.patch**2 + points, widths[0])
        downs = zip(widths[:-1], widths[1:], config.strides[1:])
        self.downs = nn.ModuleList(Down(before, after, stride) for before, after, stride in downs)
        self.levels = nn.ModuleList(
            nn.ModuleList(ResBlock(width, config.embedding_width) for _ in range(count))
            for width, count in zip(widths, config.encoder_blocks)
        )
        self.out = nn.Linear(widths[-1], config.widths[-1])

    def forward(self, pictures: Tensor, points: Tensor, embedding: Tensor) -> Tensor:
        """[N, h * w, C] of pictures [N, C, H, W] in -1 to 1, points [N, K, 3] as shares of the picture, embedding [N, E]."""
        x = unshuffled(pictures, self.patch)
        x = torch.cat([x, spots(points, (x.shape[1], x.shape[2])).to(x.dtype)], dim=3)
        x = self.stem(x).permute(0, 3, 1, 2)
        for i, blocks in enumerate(self.levels):
            x = x if i == 0 else self.downs[i - 1](x)
            for block in blocks:
                x = block(x, embedding)
        return tokens_of(mapped(self.out, x))


def unshuffled(pictures: Tensor, patch: int) -> Tensor:
    """[N, C, h * p, w * p] as [N, h, w, C * p * p], contiguous: the way of a picture into the network."""
    n, c, h, w = pictures.shape
    cut = pictures.reshape(n, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(n, h // patch, w // patch, c * patch * patch)


def shuffled(x: Tensor, patch: int) -> Tensor:
    """[N, h, w, C * p * p] as [N, C, h * p, w * p]: the way out, inverse of `unshuffled`."""
    n, h, w, _ = x.shape
    return x.reshape(n, h, w, -1, patch, patch).permute(0, 3, 1, 4, 2, 5).reshape(n, -1, h * patch, w * patch)


def spots(points: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, h, w, K]: every point (x, y as shares, score) as a round spot of height score; unseen points draw nothing."""
    h, w = size
    x, y, score = points.float().unbind(-1)
    grid_x = torch.arange(w, device=points.device) + 0.5
    grid_y = torch.arange(h, device=points.device) + 0.5
    across = torch.exp(-((grid_x[:, None] - (x * w)[:, None]) ** 2) / (2 * POINT_SPREAD**2))  # [N, w, K]
    along = torch.exp(-((grid_y[:, None] - (y * h)[:, None]) ** 2) / (2 * POINT_SPREAD**2)) * score[:, None]
    return along[:, :, None] * across[:, None]


def grid_positions(size: tuple[int, int], width: int, like: Tensor) -> Tensor:
    """[h * w, width] sines and cosines of where a token stands as shares of height and width, so that sizes may change."""
    waves = width // 4
    rates = torch.logspace(0, 3, waves, base=4.0, device=like.device, dtype=torch.float32) * (math.pi / 2)
    parts = []
    for side in size:
        angles = ((torch.arange(side, device=like.device, dtype=torch.float32) + 0.5) / side)[:, None] * rates
        parts.append(torch.cat([angles.cos(), angles.sin()], dim=1))
    h, w = size
    both = torch.cat([parts[0][:, None].expand(h, w, -1), parts[1][None].expand(h, w, -1)], dim=2)
    return F.pad(both.reshape(h * w, -1), (0, width - 4 * waves)).to(like.dtype)


class GarmentTokens(nn.Module):
    """What every DiT block is shown of the garments: picture tokens with their slot, and layout-attribute tokens."""

    def __init__(self, points: int, config: ModelConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.encoder = PictureEncoder(4, points, config)
        self.norm = nn.LayerNorm(width)
        self.slot = nn.Embedding(len(CATEGORIES) + 1, width)
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.words = nn.ModuleList(nn.Embedding(len(words) + 1, width) for words in LAYOUT_WORDS.values())
        for table in (self.slot, *self.words):
            nn.init.normal_(table.weight, std=0.5)

    def forward(
        self, pictures: Tensor, points: Tensor, slots: Tensor, layout: Tensor, embedding: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(garment tokens [B, 1 + G * S, C], layout tokens [B, G * 6, C], which slots are filled [B, G] bool).

        The first garment token stands for no garment at all; it keeps the attention defined when everything is withheld.
        """
        b, g = slots.shape
        seen = self.encoder(pictures.flatten(0, 1), points.flatten(0, 1), embedding.repeat_interleave(g, dim=0))
        slot = self.slot(slots + 1)
        size = (pictures.shape[3] // self.encoder.patch, pictures.shape[4] // self.encoder.patch)
        shrink = round(math.sqrt(size[0] * size[1] / seen.shape[1]))
        where = grid_positions((size[0] // shrink, size[1] // shrink), seen.shape[2], seen)
        seen = self.norm(seen).unflatten(0, (b, g)) + where + slot[:, :, None]
        words = torch.stack([table(layout[:, :, i]) for i, table in enumerate(self.words)], dim=2) + slot[:, :, None]
        tokens = torch.cat([self.nothing.expand(b, 1, -1), seen.flatten(1, 2)], dim=1)
        return tokens, words.flatten(1, 2), slots >= 0


@dataclass(frozen=True)
class Encoded:
    """All the network needs of a conditioning, computed once per clip. Per frame it holds `stem`, `person` and `pose`; the rest
    belongs to the clip.

    `stem` [B, T, h, w, C0] what agnostic frames, region and warped hint add to the stem; `person` [B, T, S, C] person features at
    the DiT's grid; `pose` [B, T, E]; `sample` [B, E] everything that is one vector a sample; `layout` and `garments`
    [blocks, 2, B, heads, S, d] keys and values of the DiT blocks; `filled` [B, G] bool, None where every slot is filled; `shown`
    [B, T, 3, H, W] -1 to 1 the picture that the output is added to, None where it stands alone.
    """

    stem: Tensor
    person: Tensor
    pose: Tensor
    sample: Tensor
    layout: Tensor
    garments: Tensor
    filled: Tensor | None
    shown: Tensor | None = None

    @property
    def num_frames(self) -> int:
        return self.stem.shape[1]

    @property
    def bytes_per_frame(self) -> int:
        """Bytes that one frame of one sample holds."""
        return sum(getattr(self, name)[0, 0].numel() * getattr(self, name).element_size() for name in self._per_frame)

    @property
    def _per_frame(self) -> tuple[str, ...]:
        return ("stem", "person", "pose") if self.shown is None else ("stem", "person", "pose", "shown")

    def window(self, start: int, stop: int) -> Encoded:
        """Frames `start` to `stop`, without a copy; what belongs to the clip stays."""
        return replace(self, **{name: getattr(self, name)[:, start:stop] for name in self._per_frame})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Encoded:
        """The same on another device, floating tensors in another dtype."""
        moved = {
            name: value.to(device=device, dtype=dtype)
            for name, value in vars(self).items()
            if name != "filled" and value is not None
        }
        return replace(self, **moved, filled=None if self.filled is None else self.filled.to(device))

    def with_person_features(self, offsets: Tensor) -> Encoded:
        """The same with `offsets` [T or 1, S, C] added to the person features of every sample (M&M VTO 2.4; see
        person_features.py for what makes and stores them)."""
        wanted = self.person.shape[2:]
        if offsets.ndim != 3 or offsets.shape[1:] != wanted or offsets.shape[0] not in (1, self.num_frames):
            raise ValueError(
                f"offsets have shape {list(offsets.shape)}, expected [{self.num_frames} or 1, {wanted[0]}, {wanted[1]}]"
            )
        return replace(self, person=self.person + offsets.to(self.person.dtype))

    def biases(self, tokens: int) -> tuple[Tensor | None, Tensor | None]:
        """Additive masks [B, S] of self-attention (`tokens` of the frame, then layout) and cross-attention (nothing, then
        garments); None where every slot is filled."""
        if self.filled is None:
            return None, None
        slots = self.filled.shape[1]
        kind = self.person.dtype
        hidden = torch.zeros(self.filled.shape, dtype=kind, device=self.filled.device).masked_fill(~self.filled, -math.inf)
        layout = hidden.repeat_interleave(self.layout.shape[4] // slots, dim=1)
        garments = hidden.repeat_interleave((self.garments.shape[4] - 1) // slots, dim=1)
        return F.pad(layout, (tokens, 0)), F.pad(garments, (1, 0))
