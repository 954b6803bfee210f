"""Pieces of a case as the metrics read them: output, source, region and truth, frame beside frame, at one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import VidvtonError
from ..media.info import DEFAULT_LIMITS, Limits
from ..metrics.series import Piece
from .align import Alignment, read_frames
from .regions import Region

LENGTH = 8
"""Frames of a piece; no result depends on it."""


@dataclass(frozen=True)
class Exact:
    """What the studio knows of every source frame at its own size: `flow` float32 [T, 2, H, W] pixels to the next frame, `hidden`
    bool [T, 1, H, W], `coordinates` float32 [T, 2, H, W] on the garment that is to be worn (see `metrics.series.Piece`)."""

    flow: Tensor
    hidden: Tensor
    coordinates: Tensor


@dataclass(frozen=True)
class Pair:
    """One output beside its source: files, how they lie on each other, the (height, width) to measure at, and what else is known.

    `truth` is a film and its alignment with the source; `exact` is used only where the pairs are the source's own frames in
    sequence at its own size.
    """

    source: Path
    output: Path
    alignment: Alignment
    size: tuple[int, int]
    region: Region | None = None
    truth: tuple[Path, Alignment] | None = None
    exact: Exact | None = None
    limits: Limits = DEFAULT_LIMITS

    @property
    def knows_exactly(self) -> bool:
        """Whether the studio's flow and coordinates fit these pairs."""
        rows = self.alignment.pairs[:, 0]
        fits = self.exact is not None and self.exact.flow.shape[2:] == self.size and self.alignment.fit.kind in ("same", "scaled")
        return bool(fits and (np.diff(rows) == 1).all())


def measured_size(alignment: Alignment, max_side: int) -> tuple[int, int]:
    """(height, width) at which a pair is measured: that of the shared part of the source, its longer side at most `max_side`."""
    top, left, bottom, right = alignment.fit.source
    height, width = bottom - top, right - left
    ratio = min(1.0, max_side / max(height, width))
    return max(8, round(height * ratio)), max(8, round(width * ratio))


def shared_rows(pair: Pair) -> Pair:
    """`pair` with only those rows for which there is a truth too (all of them where none is given). VidvtonError for none."""
    if pair.truth is None:
        return pair
    path, known = pair.truth
    keep = np.isin(pair.alignment.pairs[:, 0], known.pairs[:, 0])
    if not keep.any():
        raise VidvtonError(
            f"the truth {path} shows none of the moments that output and source share; give the truth of this clip"
        )
    alignment = Alignment(pair.alignment.pairs[keep], pair.alignment.fit, pair.alignment.misfit)
    return Pair(pair.source, pair.output, alignment, pair.size, pair.region, pair.truth, pair.exact, pair.limits)


def open_pieces(pair: Pair, *, length: int = LENGTH) -> Iterator[Piece]:
    """The whole pair in pieces of `length` frames; memory is that of one piece. Call it again for another pass."""
    rows, fit, limits = pair.alignment.pairs, pair.alignment.fit, pair.limits
    source = read_frames(pair.source, rows[:, 0], fit.source, pair.size, limits=limits)
    output = read_frames(pair.output, rows[:, 1], fit.output, pair.size, limits=limits)
    region = pair.region.frames(pair.alignment, pair.size, limits=limits) if pair.region is not None else None
    truth = _truth_frames(pair) if pair.truth is not None else None
    exact = pair.exact if pair.knows_exactly else None
    for start in range(0, len(rows), length):
        stop = min(start + length, len(rows))
        numbers = torch.from_numpy(rows[start:stop, 0])
        yield Piece(
            output=_take(output, stop - start, pair.output),
            source=_take(source, stop - start, pair.source),
            region=None if region is None else _take(region, stop - start, pair.region.path),
            truth=None if truth is None else _take(truth, stop - start, pair.truth[0]),
            flow=None if exact is None else exact.flow[numbers],
            hidden=None if exact is None else exact.hidden[numbers],
            coordinates=None if exact is None else exact.coordinates[numbers],
        )


def _truth_frames(pair: Pair) -> Iterator[Tensor]:
    path, known = pair.truth
    partner = dict(known.pairs.tolist())
    numbers = np.array([partner[a] for a in pair.alignment.pairs[:, 0].tolist()], np.int64)
    box = known.fit.output
    if pair.alignment.fit.kind == "cropped" and known.fit.kind == "same":
        box = pair.alignment.fit.source
    return read_frames(path, numbers, box, pair.size, limits=pair.limits)


def _take(frames: Iterator[Tensor], count: int, path: Path) -> Tensor:
    taken = list(islice(frames, count))
    if len(taken) != count:
        raise VidvtonError(f"{path} gave fewer frames than when it was first read; was it changed meanwhile?")
    return torch.stack(taken)
