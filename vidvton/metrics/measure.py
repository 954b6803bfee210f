"""Measuring one clip: pieces in, series out, in one pass and bounded memory."""

from __future__ import annotations

import difflib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import MisuseError
from ..workers import worker_count
from . import sift, temporal
from .block_measures import Entry, Findings, Plan, RegionState, measure_block
from .blocks import Block, cut
from .garment import palette
from .learned import Seeing
from .series import OUTPUT, SOURCE, Measurement, NotMeasured, Piece, Series, per_frame
from .table import METRICS, REGION, WEIGHT_FREE, WEIGHTS, find_metric

SMALLEST = 16
"""Pixels a side below which optical flow has nothing to hold on to."""


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
    flow_preset: str = "medium",
) -> Measurement:
    """All `names` of the output, and of the source and `Piece.also`, in every place the table lists.

    `boundaries` are the first frames of windows after the first one (for the seam score); `weights` maps keys of
    `table.WEIGHTS` to files; `source_too` measures the source as if it were the output; `workers` threads work at once (0: one a
    processor), which changes no result; `flow_preset` is one of `flow.PRESETS`, for comparing DIS with itself. What lacks
    something it needs comes back as `NotMeasured`. MisuseError for an unknown name (with the nearest one), for a clip without
    frames or of frames under 16 pixels, and for a file of weights that does not fit; ValueError for pieces that do not agree.
    """
    _check_names(names, weights or {})
    stream = cut(pieces)
    first = next(stream, None)
    if first is None:
        raise MisuseError("the clip has no frames; give one with at least one")
    if min(first.piece.size) < SMALLEST:
        height, width = first.piece.size
        raise MisuseError(f"frames of {height}x{width} are too small to measure; give at least {SMALLEST} pixels a side")
    missing = _what_lacks(names, first.piece, garment, boundaries, weights or {})
    wanted = [name for name in names if name not in {m.name for m in missing}]
    features = None
    if "garment-print" in wanted:
        features = sift.print_features(garment.image, garment.mask)
        if len(features) < sift.FEWEST:
            missing.append(NotMeasured("garment-print", f"a garment picture with a print (it has {len(features)} features)"))
            wanted.remove("garment-print")
    videos = (OUTPUT, *([SOURCE] if source_too else []), *(name for name, _ in first.piece.also))
    inner = set(wanted) | ({"warping-error"} if "seam" in wanted else set())
    plan = Plan(
        frozenset(inner),
        videos,
        palette(garment.image, garment.mask) if "garment-colour" in wanted else None,
        features,
        flow_preset,
    )
    entries: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    states: list[RegionState] = []
    count = 0
    seeing = Seeing(wanted, weights or {}, videos, truth=first.piece.truth is not None)
    for block, found in _in_threads(chain([first], stream), plan, seeing, workers or worker_count()):
        for entry in found.entries:
            entries[entry[:3]].append(entry)
        states += found.states
        count = block.stop
    series = [_series(key, rows) for key, rows in entries.items()]
    series += _seams(series, boundaries or ()) if "seam" in wanted else []
    series += _drifts(states, count, boundaries or (), wanted)
    order = {metric.name: i for i, metric in enumerate(METRICS)}
    kept = sorted((s for s in series if s.name in wanted), key=lambda s: (order[s.name], videos.index(s.of), s.where))
    return Measurement(count, first.piece.size, tuple(kept), tuple(seeing.features()), tuple(missing))


def _check_names(names: Sequence[str], weights: Mapping[str, Path]) -> None:
    for given, known, what in ((names, [m.name for m in METRICS], "metric"), (weights, list(WEIGHTS), "set of weights")):
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0)
                raise MisuseError(f"there is no {what} called {name!r}; the nearest is {near[0]!r}")


def _what_lacks(
    names: Sequence[str],
    piece: Piece,
    garment: GarmentPicture | None,
    boundaries: Sequence[int] | None,
    weights: Mapping[str, Path],
) -> list[NotMeasured]:
    """Why each of the names that cannot be measured cannot."""
    there = {
        "source": True,
        "truth": piece.truth is not None,
        "garment": garment is not None,
        "region": piece.region is not None,
        "flow": piece.flow is not None,
        "windows": boundaries is not None,
    }
    words = {
        "truth": "a truth clip",
        "garment": "the garment's picture",
        "region": "a region mask",
        "flow": "exact flow",
        "windows": "the windows' boundaries",
    }
    served = {metric: key for key, metrics in WEIGHTS.items() for metric in metrics}
    lacking = []
    for name in dict.fromkeys(names):
        needs = find_metric(name).needs
        lacks = [words[need] for need in needs if need != "weights" and not there[need]]
        if "weights" in needs and served[name] not in weights:
            lacks.append(f"FILE (weights of {served[name]})")
        if lacks:
            lacking.append(NotMeasured(name, " and ".join(lacks)))
    return lacking


def _series(key: tuple[str, str, str], rows: list[Entry]) -> Series:
    rows = sorted(rows, key=lambda row: row[3])
    frames, sums, counts = (np.array([row[i] for row in rows]) for i in (3, 4, 5))
    return Series(*key, frames.astype(np.int64), sums.astype(np.float64), counts.astype(np.float64))


def _seams(series: list[Series], boundaries: Sequence[int]) -> list[Series]:
    out = []
    for s in series:
        if s.name == "warping-error":
            frames, scores = temporal.seam_scores(s.frames, per_frame(s), boundaries)
            out.append(Series("seam", s.of, s.where, frames, scores, np.ones(len(frames))))
    return out


def _drifts(states: list[RegionState], count: int, boundaries: Sequence[int], names: list[str]) -> list[Series]:
    out = []
    wanted = [(i, name) for i, name in enumerate(("drift-colour", "drift-sharpness")) if name in names]
    for of in dict.fromkeys(state.of for state in states) if wanted else ():
        own = sorted((s for s in states if s.of == of), key=lambda s: s.frame)
        values = temporal.drift(np.array([s.lab for s in own]), np.array([s.energy for s in own]), boundaries)
        for i, name in wanted:
            known = float(not np.isnan(values[i]))
            out.append(Series(name, of, REGION, np.array([count - 1]), np.nan_to_num(values[i : i + 1]), np.array([known])))
    return out


def _in_threads(blocks: Iterator[Block], plan: Plan, seeing: Seeing, workers: int) -> Iterator[tuple[Block, Findings]]:
    """Blocks measured, in order, at most `workers` at once (OpenCV, NumPy and torch leave Python's lock while they work)."""
    waiting: deque[tuple[Block, Future[Findings]]] = deque()

    def finished() -> tuple[Block, Findings]:
        block, job = waiting.popleft()
        found = job.result()
        found.entries += seeing.look(block)
        return block, found

    # Two blocks that each want every processor wait for each other: each worker gets its share of torch's threads.
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(max(1, before // workers),)) as pool:
            for block in blocks:
                waiting.append((block, pool.submit(measure_block, block, plan)))
                if len(waiting) > workers:
                    yield finished()
            while waiting:
                yield finished()
    finally:
        torch.set_num_threads(before)
