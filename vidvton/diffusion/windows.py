"""Long clips in windows: linear spans that overlap, whose estimates are blended so that no seam shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .precondition import Denoise
from .schedule import spread


@dataclass(frozen=True)
class WindowPlan:
    """Windows over `num_frames` frames: `spans` of (start, stop), ascending, of one length, the last one moved back to end with
    the clip. Time is a line: no window joins the end of a clip to its beginning."""

    num_frames: int
    overlap: int
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.spans)

    def weights(self, index: int) -> Tensor:
        """[stop - start] float32: how much window `index` counts in each of its frames; over all windows a frame's weights add up
        to one. They rise and fall linearly over the overlap."""
        start, stop = self.spans[index]
        frames = torch.arange(start, stop)
        total = sum(self._ramp(other, frames) for other in self._near(index))
        return (self._ramp(index, frames) / total).float()

    def _near(self, index: int) -> range:
        """The windows that share a frame with window `index`."""
        start, stop = self.spans[index]
        first, last = index, index
        while first > 0 and self.spans[first - 1][1] > start:
            first -= 1
        while last + 1 < len(self.spans) and self.spans[last + 1][0] < stop:
            last += 1
        return range(first, last + 1)

    def _ramp(self, index: int, frames: Tensor) -> Tensor:
        """[N] float64: what window `index` weighs in `frames` before weights are made to add up; 0 outside, 1 in its middle."""
        start, stop = self.spans[index]
        rise = torch.ones(len(frames), dtype=torch.float64)
        if start > 0:
            rise = torch.minimum(rise, (frames - start + 1) / (self.overlap + 1))
        if stop < self.num_frames:
            rise = torch.minimum(rise, (stop - frames) / (self.overlap + 1))
        return rise.clamp(min=0) * ((frames >= start) & (frames < stop))


def plan_windows(num_frames: int, size: int, overlap: int) -> WindowPlan:
    """Windows of `size` frames (fewer where the clip has fewer), each sharing at least `overlap` frames with the next. ValueError
    for sizes under 1 or an overlap that leaves no way forward."""
    if num_frames < 1 or size < 1:
        raise ValueError(f"windows of {size} over {num_frames} frames were asked for, expected at least 1 of each")
    if not 0 <= overlap < size:
        raise ValueError(f"an overlap of {overlap} frames was given for windows of {size}, expected 0 to {size - 1}")
    if num_frames <= size:
        return WindowPlan(num_frames, overlap, ((0, num_frames),))
    starts = [*range(0, num_frames - size, size - overlap), num_frames - size]
    return WindowPlan(num_frames, overlap, tuple((start, start + size) for start in starts))


def windowed(denoise_of_window: Callable[[int, int], Denoise], plan: WindowPlan) -> Denoise:
    """The Denoise of a whole clip [B, T, ...] from its windows': `denoise_of_window(start, stop)` sees those frames alone."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        if len(plan) == 1:
            return denoise_of_window(*plan.spans[0])(x, sigma)
        out = torch.zeros_like(x)
        for index, (start, stop) in enumerate(plan):
            estimate = denoise_of_window(start, stop)(x[:, start:stop], sigma)
            out[:, start:stop] += estimate * spread(plan.weights(index), estimate[0])
        return out

    return denoise
