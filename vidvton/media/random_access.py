"""Any frames of a film made by `film.write_film`, by number: through decord where that is exact, else through PyAV.

decord aborts the interpreter on some damaged files, ignores edit lists and is wrong on MPEG-TS, so it opens only what
`write_film` made and `agree` has compared, and only in a process that may die (a loader's worker).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Protocol

import av
import numpy as np
import torch
from torch import Tensor

from ..errors import MisuseError, VidvtonError
from ..frames import from_arrays
from .colour import ToRgb
from .film import GROUP, RATE
from .source import PROBLEMS, brief

BACKENDS = ("pyav", "decord")


class FrameAccess(Protocol):
    """Frames by number. `size` is (height, width)."""

    size: tuple[int, int]

    def __len__(self) -> int: ...

    def frames(self, numbers: Sequence[int]) -> Tensor:
        """[n, 3, H, W] uint8 of frames `numbers`, in the order asked for, each any number of times. MisuseError for a number out
        of range, VidvtonError where the film is damaged."""


def open_film(film: bytes, *, backend: str = "pyav") -> FrameAccess:
    """`film` opened with a backend of BACKENDS; decord gives way to PyAV where it is not installed.

    VidvtonError where it cannot be read.
    """
    if backend not in BACKENDS:
        raise MisuseError(f"there is no backend {backend!r}; use one of {', '.join(BACKENDS)}")
    if backend == "decord":
        try:
            return _Decord(film)
        except ImportError:
            pass
    return _PyAv(film)


def agree(film: bytes) -> bool:
    """Whether both backends see the same number of frames and the same pixels in probe frames: the first, the last, and both
    sides of a key frame in the middle. False where decord is not installed or cannot read it (it refuses widths that its
    padding of rows, by 16 to 64 pixels as the processor likes, does not fit)."""
    try:
        one, two = _PyAv(film), _Decord(film)
        if len(one) != len(two) or one.size != two.size:
            return False
        last = len(one) - 1
        middle = last // 2 // GROUP * GROUP
        probes = sorted({0, last, *(min(max(middle + k, 0), last) for k in (-1, 0, 1, GROUP // 2))})
        return bool(torch.equal(one.frames(probes), two.frames(probes)))
    except (ImportError, VidvtonError):
        return False


def frame_numbers(length: int, count: int, *, stride: int = 1, start: int = 0) -> list[int]:
    """`count` frame numbers from `start` on, `stride` apart. MisuseError where a clip of `length` frames has not got them."""
    if count < 1 or stride < 1 or start < 0 or start + (count - 1) * stride >= length:
        raise MisuseError(f"{count} frames, every {stride}. from frame {start}, are not in a clip of {length} frames")
    return list(range(start, start + (count - 1) * stride + 1, stride))


def _checked(numbers: Sequence[int], length: int) -> None:
    wrong = [n for n in numbers if not 0 <= n < length]
    if wrong:
        raise MisuseError(f"there is no frame {wrong[0]} in a film of {length} frames; give numbers from 0 to {length - 1}")


class _PyAv:
    """Decodes from the key frame before the first frame asked for to the last."""

    def __init__(self, film: bytes) -> None:
        try:
            self._box = av.open(io.BytesIO(film), format="mp4")
            self._stream = next(iter(self._box.streams.video), None)
        except PROBLEMS as problem:
            raise VidvtonError(f"the film cannot be opened ({brief(problem)}); prepare the set again") from problem
        if self._stream is None or not self._stream.frames:
            raise VidvtonError("the film holds no frames; prepare the set again")
        context = self._stream.codec_context
        context.thread_count = 1
        self._length = self._stream.frames  # to be trusted here alone: `write_film` wrote the table it is read from
        self.size = context.height, context.width
        self._to_rgb = ToRgb(context.width, context.height, threads=1)

    def __len__(self) -> int:
        return self._length

    def frames(self, numbers: Sequence[int]) -> Tensor:
        _checked(numbers, self._length)
        found: dict[int, np.ndarray] = {}
        wanted = set(numbers)
        tick = round(1 / (RATE * self._stream.time_base))
        try:
            for first, last in _runs(sorted(wanted)):
                self._box.seek(first * tick, stream=self._stream, backward=True)
                for frame in self._box.decode(self._stream):
                    number = round(frame.pts / tick)
                    if number in wanted:
                        found[number] = self._to_rgb(frame)
                    if number >= last:
                        break
        except PROBLEMS as problem:
            raise VidvtonError(f"the film cannot be decoded ({brief(problem)}); prepare the set again") from problem
        if len(found) < len(wanted):
            raise VidvtonError(f"frame {min(wanted - set(found))} is missing from the film; prepare the set again")
        return from_arrays(np.stack([found[n] for n in numbers]))


def _runs(numbers: list[int], gap: int = 32) -> list[tuple[int, int]]:
    """(first, last) of runs of ascending numbers without holes wide enough to be worth a seek."""
    out = [(numbers[0], numbers[0])] if numbers else []
    for n in numbers[1:]:
        if n - out[-1][1] <= gap:
            out[-1] = (out[-1][0], n)
        else:
            out.append((n, n))
    return out


class _Decord:
    """decord, one thread: loader workers are many."""

    def __init__(self, film: bytes) -> None:
        import decord

        try:
            self._reader = decord.VideoReader(io.BytesIO(film), ctx=decord.cpu(0), num_threads=1)
            self._length = len(self._reader)
            self.size = tuple(self._reader[0].shape[:2])
        except (decord.DECORDError, RuntimeError, IndexError, OSError) as problem:
            raise VidvtonError(f"the film cannot be opened ({brief(problem)}); prepare the set again") from problem

    def __len__(self) -> int:
        return self._length

    def frames(self, numbers: Sequence[int]) -> Tensor:
        import decord

        _checked(numbers, self._length)
        try:
            return from_arrays(self._reader.get_batch(list(numbers)).asnumpy())
        except (decord.DECORDError, RuntimeError) as problem:
            raise VidvtonError(f"the film cannot be decoded ({brief(problem)}); prepare the set again") from problem
