"""Attention: softmax(QK)V by the fastest road a device has, and rotary positions in time."""

from __future__ import annotations

import importlib.util
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import VidvtonError

ATTENTIONS = ("sdpa", "xformers")
SCORES_AT_ONCE = 1 << 21
"""Entries of the score matrix that the plain road holds at a time; a few megabytes stay in the cache."""


def attend(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, kind: str = "sdpa") -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v: q [N, heads, L, d], k and v [N, heads, S, d], bias broadcasting to [N, heads, L, S]."""
    if kind == "xformers":
        return _xformers(q, k, v, bias)
    plain = q.device.type == "cpu" and q.dtype == torch.bfloat16 and not torch.is_grad_enabled()
    if plain or q.is_meta:  # bfloat16 SDPA on CPUs converts block by block and loses to two matrix products
        return _plain(q, k, v, bias)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def _plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    n, heads, length, depth = q.shape
    sources = k.shape[2]
    q = q * (1 / math.sqrt(depth))
    samples = max(1, SCORES_AT_ONCE // (heads * length * sources))
    queries = length if samples > 1 else max(1, SCORES_AT_ONCE // (heads * sources))
    if samples >= n and queries >= length:
        return torch.matmul(_softmax(torch.matmul(q, k.transpose(-1, -2)), bias), v)
    out = torch.empty(n, heads, length, v.shape[3], dtype=v.dtype, device=v.device)
    for i in range(0, n, samples):
        part = slice(i, i + samples)
        here = bias if bias is None or bias.shape[0] == 1 else bias[part]
        for j in range(0, length, queries):
            some = slice(j, j + queries)
            scores = _softmax(torch.matmul(q[part, :, some], k[part].transpose(-1, -2)), here)
            out[part, :, some] = torch.matmul(scores, v[part])
    return out


def _softmax(scores: Tensor, bias: Tensor | None) -> Tensor:
    return torch.softmax(scores if bias is None else scores.add_(bias), dim=-1)


def check_attention(kind: str, device: torch.device) -> None:
    """VidvtonError, naming the reason, where attention of this kind cannot run on this device."""
    if kind not in ATTENTIONS:
        raise VidvtonError(f"attention {kind!r} is unknown, expected one of {', '.join(ATTENTIONS)}")
    if kind == "xformers":
        if device.type != "cuda":
            raise VidvtonError(f"attention xformers runs on CUDA only and the device is {device.type}; use --attention sdpa")
        if importlib.util.find_spec("xformers") is None:
            raise VidvtonError("attention xformers needs the package xformers; pip install 'vidvton[xformers]' or use sdpa")


def _xformers(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    from xformers.ops import memory_efficient_attention

    if bias is not None:
        bias = bias.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return memory_efficient_attention(q, k, v, attn_bias=bias).transpose(1, 2)


def rotary(length: int, depth: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(cos, sin), each [length, depth / 2], of rotary positions 0, 1, ... (Su et al. 2021): attention sees differences only."""
    rates = 10_000.0 ** (-torch.arange(depth // 2, device=like.device, dtype=torch.float32) / max(1, depth // 2))
    angles = torch.arange(length, device=like.device, dtype=torch.float32)[:, None] * rates
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., length, depth] turned by its positions, the halves of its channels being the pairs."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
