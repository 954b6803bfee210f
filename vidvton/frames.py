"""Pictures as numbers: uint8 and 0-1 floats, array and tensor views, resizing, crops and letterboxes with a way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def to_float(frames: Tensor) -> Tensor:
    """float32 0-1 from uint8 0-255, any shape."""
    return frames.float() / 255


def to_uint8(frames: Tensor) -> Tensor:
    """uint8 0-255 from floats 0-1 (clamped, rounded to nearest), any shape."""
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


def as_arrays(frames: Tensor) -> np.ndarray:
    """A [..., H, W, C] NumPy view of [..., C, H, W] frames; no copy (frames made by `from_arrays` are contiguous that way)."""
    return frames.movedim(-3, -1).numpy()


def from_arrays(arrays: np.ndarray) -> Tensor:
    """A [..., C, H, W] tensor view of [..., H, W, C] arrays; no copy, so it lies channels-last in memory."""
    return torch.from_numpy(arrays).movedim(-1, -3)


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """`frames` [..., C, H, W] of uint8 or float at (height, width) `size`; antialiased when shrinking, same type."""
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    flat = frames.reshape(-1, *frames.shape[-3:]) if frames.ndim != 4 else frames
    out = F.interpolate(flat.float(), size=size, mode="bilinear", align_corners=False, antialias=True)
    if frames.dtype == torch.uint8:
        out = out.round().clamp(0, 255).to(torch.uint8)
    return out.reshape(*frames.shape[:-2], *size)


@dataclass(frozen=True)
class Letterbox:
    """How a picture of `source` (height, width) sits in one of `target`: scaled by `scale`, moved by (`left`, `top`) pixels."""

    source: tuple[int, int]
    target: tuple[int, int]

    @property
    def inner(self) -> tuple[int, int]:
        """(height, width) of the scaled picture inside the target."""
        ratio = min(self.target[0] / self.source[0], self.target[1] / self.source[1])
        return max(1, round(self.source[0] * ratio)), max(1, round(self.source[1] * ratio))

    @property
    def corner(self) -> tuple[int, int]:
        """(top, left) of the scaled picture inside the target."""
        return (self.target[0] - self.inner[0]) // 2, (self.target[1] - self.inner[1]) // 2

    def apply(self, frames: Tensor, *, fill: int | float = 0) -> Tensor:
        """`frames` [..., C, H, W] of the source size, letterboxed into the target with `fill` around."""
        top, left = self.corner
        height, width = self.inner
        out = frames.new_full((*frames.shape[:-2], *self.target), fill)
        out[..., top : top + height, left : left + width] = resize(frames, self.inner)
        return out

    def invert(self, frames: Tensor) -> Tensor:
        """`frames` [..., C, H, W] of the target size, cut and scaled back to the source size."""
        top, left = self.corner
        height, width = self.inner
        return resize(frames[..., top : top + height, left : left + width], self.source)

    def points(self, points: Tensor) -> Tensor:
        """Source points [..., 2] (x, y) in target pixels."""
        return points * self._scale(points) + self._offset(points)

    def invert_points(self, points: Tensor) -> Tensor:
        """Target points [..., 2] (x, y) in source pixels."""
        return (points - self._offset(points)) / self._scale(points)

    def _scale(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.inner[1] / self.source[1], self.inner[0] / self.source[0]])

    def _offset(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.corner[1], self.corner[0]])
