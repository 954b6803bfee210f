"""What goes into a measurement and what comes out: pieces of clips, series of raw sums and counts, features; aggregation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .table import find_metric

OUTPUT, SOURCE, TRUTH = "output", "source", "truth"


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of one clip with all that is known of them; all tensors lie on the CPU and share T, H and W.

    `output`, `source` and `truth` are uint8 [T, 3, H, W] RGB; `region` bool [T, 1, H, W], True where a garment was to be
    generated; `flow` float32 [T, 2, H, W] exact (dx, dy) in pixels from frame t to t + 1 of the source (the clip's last row is
    not read), `hidden` bool [T, 1, H, W] what is seen in t and hidden in t + 1; `coordinates` float32 [T, 2, H, W] place on the
    output's garment in pixels of the first frame or any unit of about that size (see `garment.studio_coordinates`), NaN off the
    garment. `also` names further videos shaped like `output`, measured in the same pass. What is None in one piece must be None
    in all. ValueError for shapes that do not agree.
    """

    output: Tensor
    source: Tensor
    region: Tensor | None = None
    truth: Tensor | None = None
    flow: Tensor | None = None
    hidden: Tensor | None = None
    coordinates: Tensor | None = None
    also: tuple[tuple[str, Tensor], ...] = ()

    def __post_init__(self) -> None:
        t, _, h, w = self.source.shape
        videos = [("output", self.output), ("source", self.source), ("truth", self.truth), *self.also]
        wanted = [(name, video, (t, 3, h, w), torch.uint8) for name, video in videos]
        wanted += [("region", self.region, (t, 1, h, w), torch.bool), ("hidden", self.hidden, (t, 1, h, w), torch.bool)]
        wanted += [
            ("flow", self.flow, (t, 2, h, w), torch.float32),
            ("coordinates", self.coordinates, (t, 2, h, w), torch.float32),
        ]
        for name, tensor, shape, dtype in wanted:
            if tensor is not None and (tuple(tensor.shape) != shape or tensor.dtype != dtype):
                raise ValueError(f"Piece.{name} is {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.source.shape[2], self.source.shape[3]


@dataclass(frozen=True)
class Series:
    """One metric of one video in one place, as raw sums.

    `of` is "output", "source" (measured as if it were the output), or a name from `Piece.also`; `where` is "frame", "region" or
    "background"; `frames` int64 [n] are the frames' indices in the clip (of a pair, the later one); `sums` and `counts` float64
    [n]. An entry with count 0 was not measurable (an empty region, everything hidden) and is left out of every mean.
    """

    name: str
    of: str
    where: str
    frames: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Features:
    """What a network saw of one video, for metrics over sets: `values` float32 [n, D], a row a frame or a window."""

    name: str
    of: str
    values: np.ndarray


@dataclass(frozen=True)
class NotMeasured:
    """A metric that was asked for and lacks something; `needs` says what, in a few words."""

    name: str
    needs: str

    def __str__(self) -> str:
        return f"not measured: needs {self.needs}"


@dataclass(frozen=True)
class Measurement:
    """Everything measured of one clip."""

    frames: int
    size: tuple[int, int]
    series: tuple[Series, ...]
    features: tuple[Features, ...]
    missing: tuple[NotMeasured, ...]

    def find(self, name: str, *, of: str = OUTPUT, where: str = "frame") -> Series | None:
        """The series of a metric, or None where it was not measured there."""
        return next((s for s in self.series if (s.name, s.of, s.where) == (name, of, where)), None)


def per_frame(series: Series) -> np.ndarray:
    """float64 [n] in the metric's unit, one a frame or pair, NaN where there was nothing to measure."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(series.counts > 0, series.sums / series.counts, np.nan)
        if find_metric(series.name).kind == "psnr":
            return np.minimum(-10 * np.log10(mean), 100.0)
    return mean


def score(series: Series) -> float:
    """One number for the clip: the mean over its frames or pairs, NaN if none was measurable.

    PSNR is the mean of the frames' own (as the field's scripts do), an exact copy counting as 100 dB.
    """
    values = per_frame(series)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
