"""The blocks the networks are made of. Pictures are [N, C, h, w] in channels_last, N = B * T; tokens are the same memory seen as
[N, h * w, C], so that going from one to the other is a view."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend, rotary, rotate

CHANNELS_IN_GROUP = 16
"""Of a group norm. Below 16, and at numbers that are no multiple of it, the bfloat16 kernel of CPUs takes ten times as long."""


def tokens_of(x: Tensor) -> Tensor:
    """[N, C, h, w] as [N, h * w, C], a view where x is channels_last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def picture_of(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, h * w, C] as [N, C, h, w] in channels_last, a view."""
    return tokens.unflatten(1, size).permute(0, 3, 1, 2)


def silu(x: Tensor) -> Tensor:
    """SiLU; x is overwritten where no gradient is wanted, so hand over only what is yours."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def plus(mine: Tensor, other: Tensor) -> Tensor:
    """mine + other; `mine` is overwritten where no gradient is wanted."""
    return mine + other if torch.is_grad_enabled() else mine.add_(other)


def mapped(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer over the channels of a picture [N, C, h, w]: a 1x1 convolution without a copy."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """norm, SiLU, conv, norm, FiLM by the embedding, SiLU, conv, residual (TryOnDiffusion's FiLM + ResBlk)."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(width // CHANNELS_IN_GROUP, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(width // CHANNELS_IN_GROUP, width, affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [N, C, h, w], embedding [N, E]."""
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(silu(self.norm1(x)))
        h = self.norm2(h)
        h = torch.addcmul(shift, h, scale + 1, out=None if torch.is_grad_enabled() else h)
        return plus(self.conv2(silu(h)), x)


class TemporalLayers(nn.Module):
    """What inflation adds to a block, on its result z0: a 3-D convolution as a spatial and a temporal factor, z2 = z0 + gate *
    z1, then temporal attention with rotary positions, z = z2 + gate * z3 (Fashion-VDM, architecture figure). Gates start at zero.

    The factors meet at an inner width below the level's own, as in R(2+1)D: the temporal layers stay a fraction of the whole.
    """

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        self.inner = max(16, round(width * ratio / 16) * 16)
        self.heads = max(1, self.inner // 64)
        while self.inner % (2 * self.heads):
            self.heads -= 1
        self.norm1 = nn.GroupNorm(width // CHANNELS_IN_GROUP, width)
        self.space = nn.Conv2d(width, self.inner, 3, padding=1)
        self.time = nn.Conv2d(self.inner, width, (3, 1), padding=(1, 0))
        self.gate1 = nn.Parameter(torch.zeros(width))
        self.norm2 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * self.inner, bias=False)
        self.out = nn.Linear(self.inner, width)
        self.gate2 = nn.Parameter(torch.zeros(width))
        self.attention = "sdpa"

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """x [B * T, C, h, w] with T = frames > 1."""
        size = x.shape[2:]
        z = tokens_of(x)
        z = torch.addcmul(z, self.gate1, self._convolved(x, frames))
        z = torch.addcmul(z, self.gate2, self._attended(z, frames))
        return picture_of(z, size)

    def _convolved(self, x: Tensor, frames: int) -> Tensor:
        h = silu(self.space(silu(self.norm1(x))))
        # Frames by pixels as one tall picture [B, C, T, h * w]: the taps along time run as a plain 2-D convolution, no copy.
        tall = tokens_of(h).unflatten(0, (-1, frames)).permute(0, 3, 1, 2)
        return self.time(tall).permute(0, 2, 3, 1).flatten(0, 1)

    def _attended(self, z: Tensor, frames: int) -> Tensor:
        n, pixels, _ = z.shape
        qkv = self.qkv(self.norm2(z)).view(-1, frames, pixels, 3, self.heads, self.inner // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(1, 2).unbind(0)  # each [B * pixels, heads, T, d]
        cos, sin = rotary(frames, q.shape[-1], q)
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v, kind=self.attention)
        mixed = mixed.unflatten(0, (-1, pixels)).permute(0, 3, 1, 2, 4).reshape(n, pixels, self.inner)
        return self.out(mixed)


class SpaceTimeBlock(nn.Module):
    """A residual block, and where the network has temporal layers, those after it. One frame skips them."""

    def __init__(self, width: int, embedding: int, temporal_ratio: float | None) -> None:
        super().__init__()
        self.space = ResBlock(width, embedding)
        self.time = None if temporal_ratio is None else TemporalLayers(width, temporal_ratio)

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        x = self.space(x, embedding)
        return x if self.time is None or frames == 1 else self.time(x, frames)


class TemporalDown(nn.Module):
    """Two frames into one; starts as their average."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, (2, 1), stride=(2, 1))
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(width)[:, :, None, None].expand(-1, -1, 2, 1) / 2)
            self.conv.bias.zero_()

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """x [B * T, C, h, w] with T even."""
        size = x.shape[2:]
        tall = tokens_of(x).unflatten(0, (-1, frames)).permute(0, 3, 1, 2)
        return picture_of(self.conv(tall).permute(0, 2, 3, 1).flatten(0, 1), size)


class TemporalUp(nn.Module):
    """One frame into two; starts as a repeat."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * width)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(width).repeat(2, 1))
            self.linear.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        both = self.linear(tokens_of(x)).unflatten(2, (2, -1))  # [N, pixels, 2, C]
        return picture_of(both.transpose(1, 2).flatten(0, 1), size)


class Down(nn.Module):
    """Into the next level: a 3x3 convolution of stride 2, or a linear layer where the grid stays."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(before, after, 3, stride=2, padding=1) if stride == 2 else nn.Linear(before, after)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if isinstance(self.layer, nn.Conv2d) else mapped(self.layer, x)


class Merge(nn.Module):
    """Back up a level: concatenate the skip with the (repeated) coarser picture and mix by one linear layer.

    Written as the sum of the layer's two halves, so that the coarse half is computed on the coarse grid and nothing is copied.
    """

    def __init__(self, coarse: int, fine: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.low = nn.Linear(coarse, fine)
        self.skip = nn.Linear(fine, fine, bias=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        low, fine = self.low(x.permute(0, 2, 3, 1)), self.skip(skip.permute(0, 2, 3, 1))
        if self.stride == 1:
            return plus(fine, low).permute(0, 3, 1, 2)
        n, h, w, c = low.shape
        fine = plus(fine.view(n, h, 2, w, 2, c), low.view(n, h, 1, w, 1, c))
        return fine.view(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


class DiTBlock(nn.Module):
    """Self-attention with the layout attributes' tokens among K and V, person features concatenated and mixed, cross-attention to
    all garments' tokens, MLP (M&M VTO, VTO-UDiT figure). The frame's embedding modulates self-attention and MLP (adaLN)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        hidden = round(width * mlp_ratio)
        self.table = nn.Parameter(torch.zeros(6, width))
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out1 = nn.Linear(width, width)
        self.mix = nn.Linear(width, width)
        self.mix_person = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out2 = nn.Linear(width, width)
        self.norm3 = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp1 = nn.Linear(width, hidden)
        self.mlp2 = nn.Linear(hidden, width)
        self.attention = "sdpa"
        with torch.no_grad():
            self.table[2::3] = 1  # the gates start open: what is left to do at the start is left to the zero output layer

    def keys_of_layout(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(K, V) [B, heads, S, d] of layout tokens [B, S, C], for self-attention."""
        return self._split(F.linear(tokens, self.qkv.weight[self.qkv.in_features :]))

    def keys_of_garments(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(K, V) [B, heads, S, d] of garment tokens [B, S, C], for cross-attention."""
        return self._split(self.kv(tokens))

    def _split(self, kv: Tensor) -> tuple[Tensor, Tensor]:
        k, v = kv.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return k, v

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        person: Tensor,
        layout: tuple[Tensor, Tensor],
        garments: tuple[Tensor, Tensor],
        biases: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        """x and person [B * T, h * w, C]; modulation [B * T, 6 * C]; layout and garments (K, V) [B, heads, S, d]; biases [B, S']
        of self- and cross-attention, None where every slot is filled."""
        shift1, scale1, gate1, shift3, scale3, gate3 = modulation.unflatten(1, (6, -1)).add(self.table).unsqueeze(2).unbind(1)
        h = torch.addcmul(shift1, self.norm1(x), scale1 + 1)
        x = torch.addcmul(x, gate1, self._self_attention(h, layout, biases[0]))
        x = plus(self.mix(x).add_(self.mix_person(person)), x)
        x = plus(self._cross_attention(self.norm2(x), garments, biases[1]), x)
        h = torch.addcmul(shift3, self.norm3(x), scale3 + 1)
        return torch.addcmul(x, gate3, self.mlp2(silu(self.mlp1(h))))

    def _self_attention(self, h: Tensor, layout: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        n, length, _ = h.shape
        samples = layout[0].shape[0]
        q, k, v = self.qkv(h).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        k, v = (self._append(mine, more, samples) for mine, more in zip((k, v), layout))
        if bias is not None:
            bias = bias[:, None].expand(-1, n // samples, -1).reshape(n, 1, 1, -1)
        mixed = attend(q, k, v, bias=bias, kind=self.attention)
        return self.out1(mixed.transpose(1, 2).reshape(n, length, -1))

    @staticmethod
    def _append(mine: Tensor, more: Tensor, samples: int) -> Tensor:
        mine = mine.unflatten(0, (samples, -1))
        return torch.cat([mine, more[:, None].expand(-1, mine.shape[1], -1, -1, -1)], dim=3).flatten(0, 1)

    def _cross_attention(self, h: Tensor, garments: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        n, length, _ = h.shape
        samples = garments[0].shape[0]
        # All frames of a sample ask the same keys: they stand in one row of queries.
        q = self.q(h).view(samples, -1, self.heads, h.shape[2] // self.heads).transpose(1, 2)
        mixed = attend(q, *garments, bias=None if bias is None else bias[:, None, None], kind=self.attention)
        return self.out2(mixed.transpose(1, 2).reshape(n, length, -1))
