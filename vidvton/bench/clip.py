"""Measuring one output beside its source, whoever made it: aligned, its region found, scored, drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..config import nearest
from ..errors import MisuseError, VidvtonError
from ..media.images import read_image
from ..media.info import DEFAULT_LIMITS, Limits
from ..metrics.controls import CONTROLS, control
from ..metrics.measure import GarmentPicture, measure
from ..metrics.series import Features, Piece, Series
from ..metrics.table import METRICS, WEIGHT_FREE, WEIGHTS
from ..worn import prepare_any_garment
from .align import Alignment, ClipIndex, align, index_clip
from .pictures import draw_pictures, worst_frames
from .pieces import Exact, Pair, measured_size, open_pieces, shared_rows
from .regions import Region, find_region, given_region
from .results import CaseFacts, ClipResult, ControlResult, hash_file

LEAST_FOR_CONTROLS = 8
"""Frames below which the controls are left out: a clip that short cannot be frozen or shuffled."""
MAX_SIDE = 832
"""Longer side in pixels at which a pair is measured unless told otherwise."""


@dataclass(frozen=True)
class Settings:
    """How a pair is measured. `metrics` names of the table; `weights` files by their keys; `max_side` pixels of the longer side;
    `way` and `offset` as in `align`; `window` and `overlap` frames of the generator's windows (0: none known); `workers` threads
    (0: one a processor)."""

    metrics: tuple[str, ...] = WEIGHT_FREE
    weights: Mapping[str, Path] = field(default_factory=dict)
    max_side: int = MAX_SIDE
    way: str = "auto"
    offset: float | None = None
    window: int = 0
    overlap: int = 0
    controls: bool = True
    pictures: bool = True
    source_pictures: bool = True
    who: str = "largest"
    workers: int = 0
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Request:
    """One output to measure. `region` is a mask somebody gave; `known` one that is known already; `category` of the garment."""

    output: Path
    source: Path
    garment: Path | None = None
    category: str | None = None
    region: Path | None = None
    known: Region | None = None
    truth: Path | None = None
    exact: Exact | None = None


@dataclass(frozen=True)
class Measured:
    """A pair's result, the facts of its case, its controls (without series where left out) and features for metrics over sets."""

    clip: ClipResult
    case: CaseFacts
    controls: ControlResult
    features: tuple[Features, ...]


def check_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names in the table's order, "all" for every one. MisuseError for an unknown one, naming the nearest."""
    known = [m.name for m in METRICS]
    if "all" in names:
        return tuple(known)
    for name in names:
        if name not in known:
            raise MisuseError(f"metric {name!r} is unknown; {nearest(name, known)}")
    return tuple(name for name in known if name in names) or WEIGHT_FREE


def check_weights(weights: Mapping[str, Path]) -> dict[str, Path]:
    """The same, each of a known key and a file that is there. MisuseError otherwise."""
    for key, path in weights.items():
        if key not in WEIGHTS:
            raise MisuseError(f"weights {key!r} are unknown; {nearest(key, list(WEIGHTS))}")
        if not Path(path).exists():
            raise MisuseError(f"there is no file {path} for the weights {key}; give the file, or leave {key} out")
    return {key: Path(path) for key, path in weights.items()}


def window_starts(frames: int, window: int, overlap: int) -> tuple[int, ...] | None:
    """The first frames of windows after the first, or None where nothing is known of windows."""
    if window <= 0 or window >= frames:
        return () if window > 0 else None
    return tuple(range(window - overlap, frames - overlap, window - overlap))


def read_garment_picture(path: Path, category: str | None, limits: Limits) -> tuple[GarmentPicture, str]:
    """The garment picture for the metrics, and its category; errors name the file."""
    picture = read_image(path, max_pixels=limits.max_pixels)
    try:
        garment = prepare_any_garment(picture.image, picture.alpha, category=category)
    except VidvtonError as error:
        raise type(error)(f"{path}: {error}") from error
    return GarmentPicture(garment.image, garment.mask), garment.category


def measure_pair(
    request: Request, settings: Settings, work: Path, drawings: Path, *, case: str, method: str = "output"
) -> Measured:
    """Measures one output. Scratch goes to the folder `work`, pictures to `drawings`. MisuseError or VidvtonError in one sentence
    for what cannot be read, aligned or measured."""
    began = time.monotonic()
    metrics, weights = check_metrics(settings.metrics), check_weights(settings.weights)
    pair, garment, source = _understood(request, settings, work)
    boundaries = window_starts(len(pair.alignment.pairs), settings.window, settings.overlap)
    proving = settings.controls and len(pair.alignment.pairs) >= LEAST_FOR_CONTROLS
    found = measure(
        _with_controls(pair) if proving else open_pieces(pair), names=metrics, garment=garment,
        boundaries=boundaries, weights=weights, workers=settings.workers,
    )  # fmt: skip
    mine = tuple(s for s in found.series if s.of in ("output", "source"))
    rate = _rate(pair, source)
    clip = ClipResult(
        case=case, method=method, frames=found.frames, size=tuple(found.size), series=mine, missing=tuple(found.missing),
        misfit=pair.alignment.misfit, notes=_notes(pair, request, settings, mine),
        output=str(request.output), digest=hash_file(request.output),
    )  # fmt: skip
    series = tuple(s for s in found.series if s.of in CONTROLS or s.of == "source") if proving else ()
    controls = ControlResult(case, series)
    if settings.pictures:
        times = source.times[pair.alignment.pairs[:, 0]] - source.times[0]
        worst = worst_frames(mine, times, rate)
        drawn = draw_pictures(lambda: open_pieces(pair), drawings, f"{case}_{method}", rate=rate, worst=worst)
        clip = replace(clip, pictures=drawn)
    if settings.source_pictures:
        controls = replace(controls, pictures=draw_case(pair, drawings, case, rate))
    facts = _facts(request, pair, source, case)
    return Measured(replace(clip, seconds=time.monotonic() - began), facts, controls, tuple(found.features))


def draw_case(pair: Pair, drawings: Path, case: str, rate: float) -> dict[str, str]:
    """Slice and player of the source (and the truth), by what they show."""
    out = {}
    drawn = draw_pictures(lambda: open_pieces(pair), drawings, f"{case}_-source", rate=rate, shown=lambda p: p.source)
    out |= {"source_slice": drawn.slice, "source_video": drawn.video}
    if pair.truth is not None:
        drawn = draw_pictures(lambda: open_pieces(pair), drawings, f"{case}_-truth", rate=rate, shown=lambda p: p.truth)
        out |= {"truth_slice": drawn.slice, "truth_video": drawn.video}
    return out


def _rate(pair: Pair, source: ClipIndex) -> float:
    times = source.times[pair.alignment.pairs[:, 0]]
    return float(np.clip(1 / np.median(np.diff(times)), 1, 240)) if len(times) > 1 else 25.0


def _understood(request: Request, settings: Settings, work: Path) -> tuple[Pair, GarmentPicture | None, ClipIndex]:
    """The pair, aligned, with its region and truth; the garment; the source's index."""
    limits = settings.limits
    source, output = (index_clip(p, limits=limits) for p in (request.source, request.output))
    alignment = align(source, output, way=settings.way, offset=settings.offset)
    garment, category = None, request.category
    if request.garment is not None:
        garment, category = read_garment_picture(request.garment, category, limits)
    region = request.known
    if request.region is not None:
        region = given_region(request.region, source, output, limits=limits)
    elif region is None:
        region = find_region(
            source, work, category=category, output=output, alignment=alignment, who=settings.who, limits=limits
        )  # fmt: skip
    truth = _truth(request.truth, source, limits) if request.truth is not None else None
    size = measured_size(alignment, settings.max_side)
    pair = Pair(request.source, request.output, alignment, size, region, truth, request.exact, limits)
    return shared_rows(pair), garment, source


def _truth(path: Path, source: ClipIndex, limits: Limits) -> tuple[Path, Alignment]:
    try:
        return path, align(source, index_clip(path, limits=limits))
    except MisuseError as error:
        raise MisuseError(f"the truth does not fit: {error}") from error


def _with_controls(pair: Pair) -> Iterator[Piece]:
    """The pieces, with the controls made of their source beside them."""
    names = [name for name in CONTROLS if name != "source" and (pair.region is not None or name != "wobbling-mask")]
    made = [control(name, ((p.source, p.region) for p in open_pieces(pair))) for name in names]
    for piece in open_pieces(pair):
        yield replace(piece, also=tuple((name, next(frames)) for name, frames in zip(names, made)))


def _notes(pair: Pair, request: Request, settings: Settings, series: tuple[Series, ...]) -> tuple[str, ...]:
    words = pair.region.words if pair.region is not None else "none was found; only whole frames are scored"
    lines = [f"region: {words}"]
    inside = [s for s in series if s.where == "region"]
    if pair.region is not None and inside and not any(s.counts.any() for s in inside):
        lines.append("the region is empty in every frame that was scored: nothing could be measured in it")
    if settings.controls and len(pair.alignment.pairs) < LEAST_FOR_CONTROLS:
        lines.append(f"the controls need at least {LEAST_FOR_CONTROLS} frames and were left out")
    if pair.truth is not None and not pair.truth[1].misfit.perfect:
        lines += [f"truth: {line.replace('the output', 'the truth')}" for line in pair.truth[1].misfit.sentences()]
    if request.exact is not None and not pair.knows_exactly:
        lines.append("the studio's exact flow is not used: the output shows other frames or sizes than the source")
    return tuple(lines)


def _facts(request: Request, pair: Pair, source: ClipIndex, case: str) -> CaseFacts:
    files = {"source": request.source, "garment": request.garment, "truth": request.truth}
    return CaseFacts(
        name=case, set="clip", source=str(request.source), frames=len(source), size=source.info.size, rate=source.rate,
        garment=str(request.garment) if request.garment else None, region=pair.region.words if pair.region else None,
        truth=str(request.truth) if request.truth else None,
        hashes={name: hash_file(path) for name, path in files.items() if path is not None},
    )  # fmt: skip
