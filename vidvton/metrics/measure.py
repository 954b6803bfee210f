"""Measuring one clip: pieces in, series out, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .series import Measurement, Piece
from .table import WEIGHT_FREE


@dataclass(frozen=True)
class GarmentPicture:
    """The garment that was to be worn: `image` uint8 [3, h, w], `mask` bool [h, w]."""

    image: Tensor
    mask: Tensor


def measure(
    pieces: Iterable[Piece],
    *,
    names: Sequence[str] = WEIGHT_FREE,
    garment: GarmentPicture | None = None,
    boundaries: Sequence[int] | None = None,
    weights: Mapping[str, Path] | None = None,
    source_too: bool = True,
    workers: int = 0,
) -> Measurement:
    """All `names` of the output, and of the source and `Piece.also`, in every place the table lists.

    `boundaries` are the first frames of windows after the first one (for the seam score); `weights` maps keys of
    `table.WEIGHTS` to files; `source_too` measures the source as if it were the output; `workers` threads work at once (0: one a
    processor), which changes no result. What lacks something it needs comes back as `NotMeasured`. MisuseError for an unknown
    name (with the nearest one) and for a file of weights that does not fit; ValueError for pieces that do not agree.
    """
    raise NotImplementedError
