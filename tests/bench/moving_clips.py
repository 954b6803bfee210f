"""Small films for the benchmark's tests: a still room, a figure that walks and waves, a shirt in a colour of choice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from vidvton.frames import from_arrays
from vidvton.media.info import ClipInfo
from vidvton.media.writer import VideoWriter
from vidvton.values import Clip

RED, BLUE = (200, 40, 50), (40, 60, 200)


def scene(moment: float, size: tuple[int, int] = (96, 72), shirt: tuple[int, int, int] = RED) -> tuple[np.ndarray, np.ndarray]:
    """([H, W, 3] uint8, shirt [H, W] bool) at `moment` seconds; everything scales with the size."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    room = np.stack([110 + 50 * np.sin(9 * x), 120 + 40 * np.cos(11 * y), 130 + 40 * np.sin(7 * (x + y))], -1)
    centre = 0.38 + 0.14 * np.sin(2.2 * moment + 0.3)
    rise = 0.02 * np.sin(5.1 * moment)
    head = (x - centre) ** 2 + (y - 0.22 - rise) ** 2 < 0.08**2
    body = (np.abs(x - centre) < 0.13) & (np.abs(y - 0.52 - rise) < 0.2)
    angle = 1.4 * np.sin(3.3 * moment)
    along = (x - centre - 0.13) * np.cos(angle) + (y - 0.36 - rise) * np.sin(angle)
    across = -(x - centre - 0.13) * np.sin(angle) + (y - 0.36 - rise) * np.cos(angle)
    arm = (np.abs(across) < 0.03) & (along > 0) & (along < 0.22)
    stripe = 18 * np.sin(60 * (y - rise)) + 10 * np.sin(70 * (x - centre))
    room[head] = (225, 180, 150)
    room[arm] = (215, 170, 140)
    room[body] = np.array(shirt, np.float32) + stripe[body][:, None]
    return np.clip(room, 0, 255).astype(np.uint8), body


def frames_at(moments, size: tuple[int, int] = (96, 72), shirt=RED, *, flicker: float = 0.0, seed: int = 0):
    """([T, 3, H, W] uint8, shirt [T, 1, H, W] bool); `flicker` is the deviation in levels of the shirt's colour."""
    drawn = [scene(float(t), size, shirt) for t in moments]
    pictures = np.stack([p for p, _ in drawn]).astype(np.float32)
    masks = np.stack([m for _, m in drawn])
    shift = np.random.default_rng(seed).normal(0, flicker, (len(pictures), 3)).astype(np.float32)
    pictures += masks[..., None] * shift[:, None, None]
    return from_arrays(np.clip(pictures, 0, 255).astype(np.uint8)), torch.from_numpy(masks[:, None])


def write_film(path: Path, frames, *, rate: Fraction | int = 25, first: int = 0, codec: str = "ffv1") -> Path:
    """`frames` [T, 3, H, W] as a film whose first frame has pts `first` (in frames); .mkv for the lossless codec."""
    base = 1 / Fraction(rate)
    height, width = frames.shape[2:]
    info = ClipInfo(path, "video", width, height, base, Fraction(rate), len(frames), codec, "yuv420p")
    with VideoWriter(path, info, codec=codec, overwrite=True, sound=False) as writer:
        writer.write(Clip(frames, torch.arange(first, first + len(frames)), base))
    return path


def moments(count: int, rate: float = 25.0, start: float = 0.0) -> list[float]:
    return [start + k / rate for k in range(count)]
