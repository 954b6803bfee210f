"""Laying somebody's output over its source: which frame shows which moment, and which part of the picture shows which part.

Other systems cut clips, write them at a fixed rate, squash, crop or letterbox them. Frames are matched by time; where the
pictures themselves say that another reading fits clearly better (the same frames under other times, a late start), that one is
taken. Whatever does not fit is a `Misfit`, which the report shows beside the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..config import nearest
from ..errors import MisuseError
from ..frames import resize
from ..media.info import DEFAULT_LIMITS, ClipInfo, Limits
from ..media.reader import open_clip

WAYS = ("auto", "time", "number")
THUMB = 48
"""Height in pixels of the small grey pictures that are compared."""
PIECE = 8
_CLIP = 40.0  # grey levels: what differs by more is another garment, not another moment
_CLEARLY = 0.85  # another reading must leave at most this share of the difference
_LEAST = 0.3  # grey levels: and be better by this much
_SPREAD = 64  # frames compared at most
_REACH = 2.0  # seconds of shift searched
_OVERLAP = 0.7  # share of the shorter clip that another reading must find partners for


@dataclass(frozen=True)
class ClipIndex:
    """A clip read through once: `times` [T] float64 seconds as the file gives them, `thumbs` [T, h, w] uint8 grey."""

    path: Path
    info: ClipInfo
    times: np.ndarray
    thumbs: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def interval(self) -> float:
        """Seconds from frame to frame, the median; of a single frame that of the header's rate."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else float(1 / self.info.rate)

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1 / self.interval

    @property
    def span(self) -> tuple[float, float]:
        """Seconds at which the first frame appears and the last one goes."""
        return float(self.times[0]), float(self.times[-1]) + self.interval


@dataclass(frozen=True)
class Fit:
    """How two pictures of other sizes lie on each other: `source` box shows what `output` box shows, each (top, left, bottom,
    right) in its own pixels. `kind` is same, scaled, stretched, cropped (the output shows the middle) or letterboxed."""

    kind: str
    source: tuple[int, int, int, int]
    output: tuple[int, int, int, int]


@dataclass(frozen=True)
class Misfit:
    """What does not fit between an output and its source.

    `way` is time or number; an output moment t shows the source's `offset + speed * t` seconds. `missing` source frames have no
    output frame, `unused` output frames no source frame, `repeated` pairs show the output frame of the pair before, `skipped`
    source frames lie between those that a slower output shows; `stalled` output frames equal the one before although the source
    moved. `slack` is the largest distance in seconds between paired frames. Sizes are (height, width).
    """

    way: str
    offset: float
    speed: float
    frames: tuple[int, int]
    rates: tuple[float, float]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    fit: str
    missing: int
    unused: int
    repeated: int
    skipped: int
    stalled: int
    slack: float
    chosen: str

    @property
    def perfect(self) -> bool:
        """True where every frame of either has its partner, at the same time and size."""
        return not self.sentences()

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each thing that does not fit; empty for a perfect output."""
        lines = []
        (a, b), (rate_a, rate_b) = self.frames, self.rates
        if self.way == "number" or abs(self.speed - 1) > 0.005:
            lines.append(
                f"the output shows the source's frames under other times: its second holds {self.speed:.3g} s of the source "
                f"(matched {'by number' if self.way == 'number' else 'at that speed'})"
            )
        if abs(rate_a - rate_b) > 0.005 * rate_a:
            lines.append(f"the output has {rate_b:.4g} frames a second, the source {rate_a:.4g}")
        if a != b:
            lines.append(f"the output has {b} frames, the source {a}")
        if abs(self.offset) > 0.25 / max(rate_a, rate_b):
            side = "later" if self.offset > 0 else "earlier"
            lines.append(f"the same moment comes {abs(self.offset):.3f} s {side} in the source ({self.chosen})")
        if self.missing:
            lines.append(f"{self.missing} source frames have no output frame and are not scored")
        if self.unused:
            lines.append(f"{self.unused} output frames have no source frame and are not scored")
        if self.skipped:
            lines.append(f"{self.skipped} source frames lie between output frames; scores are from every shown frame to the next")
        if self.repeated:
            lines.append(f"{self.repeated} output frames stand for more than one source frame")
        if self.stalled:
            lines.append(f"{self.stalled} output frames repeat the one before although the source moved")
        if self.sizes[0] != self.sizes[1]:
            (h, w), (oh, ow) = self.sizes
            lines.append(f"the output is {ow}x{oh}, the source {w}x{h}; laid over it {self.fit}")
        return tuple(lines)


@dataclass(frozen=True)
class Alignment:
    """`pairs` [N, 2] int64 of (source frame, output frame), both in ascending order, how the pictures lie on each other, and what
    does not fit."""

    pairs: np.ndarray
    fit: Fit
    misfit: Misfit


def index_clip(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> ClipIndex:
    """Times and thumbnails of all frames of `path`; about two kilobytes a frame. Errors as `open_clip`."""
    reader = open_clip(path, limits=limits)
    info, times, thumbs = reader.info, [], []
    small = THUMB, max(8, min(4 * THUMB, round(THUMB * info.width / info.height)))
    for clip in reader.clips(PIECE):
        times += [float(p * clip.time_base) for p in clip.pts.tolist()]
        grey = resize(clip.frames, small).float().mean(1)
        thumbs.append(grey.round().to(torch.uint8).numpy())
    return ClipIndex(Path(path), info, np.array(times), np.concatenate(thumbs))


def align(source: ClipIndex, output: ClipIndex, *, way: str = "auto", offset: float | None = None) -> Alignment:
    """The frames of `output` laid over those of `source`.

    `way` auto finds out whether times or frame numbers are to be trusted, time and number say so; `offset` in seconds is added to
    the output's times (numbers: to the first frame's) instead of being found out. The coarser of two rates decides which pairs
    there are. MisuseError where the clips share no time.
    """
    if way not in WAYS:
        raise MisuseError(f"alignment {way!r} is unknown; {nearest(way, WAYS)}")
    fit = _fit_sizes(source, output, None)
    plain = _plain_map(source, output, way, offset)
    usual = _pairs(source, output, plain)
    if not len(usual):
        (a, b), (c, d) = source.span, output.span
        raise MisuseError(
            f"{output.path} shows {c:.2f} to {d:.2f} s and {source.path} {a:.2f} to {b:.2f} s, so they share no time; "
            f"give --offset {a - c:.3f} if their first frames belong together"
        )
    chosen = plain if offset is not None else _best_map(source, output, plain, way, fit)
    pairs = usual if chosen is plain else _pairs(source, output, chosen)
    fit = _fit_sizes(source, output, pairs)
    return Alignment(pairs, fit, _misfit(source, output, chosen, pairs, fit))


@dataclass(frozen=True)
class _Map:
    """An output's time t lies at `offset + speed * t` of the source; `why` says how that was found."""

    way: str
    offset: float
    speed: float
    why: str

    def times(self, output: ClipIndex) -> np.ndarray:
        return self.offset + self.speed * output.times


def _numbers(source: ClipIndex, output: ClipIndex, stride: int = 1) -> _Map:
    """Frame n of the output is frame `stride` n of the source."""
    speed = stride * source.interval / output.interval
    return _Map("number", float(source.times[0] - speed * output.times[0]), speed, "by frame numbers")


def _plain_map(source: ClipIndex, output: ClipIndex, way: str, offset: float | None) -> _Map:
    """The reading that needs no pictures."""
    folder = "folder" in (source.info.kind, output.info.kind) and source.info.kind != output.info.kind
    if way == "number" or (way == "auto" and folder):
        plain = _numbers(source, output)
        return plain if offset is None else replace(plain, offset=plain.offset + offset, why="as given")
    if offset is not None:
        return _Map("time", offset, 1.0, "as given")
    start = float(source.times[0] - output.times[0])
    alike = len(source) == len(output) and abs(source.interval - output.interval) < 0.005 * source.interval
    shared = min(source.span[1], output.span[1]) - max(source.span[0], output.span[0])
    if alike and shared > 0 and abs(start) > 1e-6:
        return _Map("time", start, 1.0, "same length and rate, first frame on first frame")
    return _Map("time", 0.0, 1.0, "by the files' own times")


def _best_map(source: ClipIndex, output: ClipIndex, plain: _Map, way: str, fit: Fit) -> _Map:
    """`plain`, or the reading that explains the pictures clearly better."""
    starts = [plain, _Map("time", float(source.times[0] - output.times[0]), 1.0, "first frame on first frame")]
    if way == "auto":
        starts += [_numbers(source, output, stride) for stride in (1, 2, 3, 4)]
    elif way == "number":
        starts = [plain]
    candidates = list(starts)
    for start in starts:
        step = source.interval
        count = int(min(_REACH, (source.span[1] - source.span[0]) / 2) / step)
        for k in range(-count, count + 1):
            if k:
                candidates.append(replace(start, offset=start.offset + k * step, why="found by comparing the pictures"))
    pictures = _thumbs_of(source, fit.source), _thumbs_of(output, fit.output)
    usual = _cost(source, output, plain, pictures, share=0.0)
    best, cost = plain, usual
    for candidate in candidates:
        value = _cost(source, output, candidate, pictures, share=_OVERLAP)
        if value is not None and value < cost - 1e-6:
            best, cost = candidate, value
    return best if cost < _CLEARLY * usual and usual - cost > _LEAST else plain


def _cost(
    source: ClipIndex, output: ClipIndex, how: _Map, pictures: tuple[np.ndarray, np.ndarray], *, share: float
) -> float | None:
    """Mean grey levels between paired thumbnails, what differs all the time taken away; None where fewer than `share` of the
    frames that could have partners have them."""
    where = how.times(output)
    inside = np.flatnonzero((where > source.times[0] - source.interval / 2) & (where < source.times[-1] + source.interval / 2))
    if len(inside) < max(1, share * min(len(output), len(source))):
        return None
    inside = inside[np.linspace(0, len(inside) - 1, min(len(inside), _SPREAD)).round().astype(int)]
    partner = _nearest(source.times, where[inside])
    difference = pictures[1][inside].astype(np.float32) - pictures[0][partner]
    return float(np.minimum(np.abs(difference - np.median(difference, axis=0)), _CLIP).mean())


def _nearest(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the nearest of ascending `times` for each wanted one."""
    if len(times) == 1:
        return np.zeros(len(wanted), np.int64)
    right = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    return right - (wanted - times[right - 1] <= times[right] - wanted)


def _pairs(source: ClipIndex, output: ClipIndex, how: _Map) -> np.ndarray:
    """[N, 2] (source, output): every frame of the coarser clip with the nearest of the other, within half an interval."""
    where = how.times(output)
    interval = output.interval * how.speed
    coarse = interval > 1.05 * source.interval
    if coarse:
        mine, other, own = where, source.times, source.interval
    else:
        mine, other, own = source.times, where, max(interval, source.interval)
    partner = _nearest(other, mine)
    near = np.abs(other[partner] - mine) <= own / 2 + 1e-3
    rows = np.flatnonzero(near)
    pairs = np.stack([rows, partner[rows]], 1).astype(np.int64)
    return pairs[:, ::-1].copy() if coarse else pairs


def _misfit(source: ClipIndex, output: ClipIndex, how: _Map, pairs: np.ndarray, fit: Fit) -> Misfit:
    shown, used = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    coarse = output.interval * how.speed > 1.05 * source.interval
    between = int(shown[-1] - shown[0] + 1 - len(shown)) if coarse else 0
    finer = output.interval * how.speed < 0.95 * source.interval
    spare = int(used[-1] - used[0] + 1 - len(used)) if finer else 0
    return Misfit(
        way=how.way, offset=how.offset if how.way == "time" else how.offset - _numbers(source, output).offset, speed=how.speed,
        frames=(len(source), len(output)), rates=(source.rate, output.rate), sizes=(source.info.size, output.info.size),
        fit=fit.kind, missing=len(source) - len(shown) - between, unused=len(output) - len(used) - spare,
        repeated=int((np.diff(pairs[:, 1]) == 0).sum()), skipped=between, stalled=_stalled(source, output, pairs),
        slack=float(np.abs(how.times(output)[pairs[:, 1]] - source.times[pairs[:, 0]]).max()), chosen=how.why,
    )  # fmt: skip


def _stalled(source: ClipIndex, output: ClipIndex, pairs: np.ndarray) -> int:
    """Output frames that repeat the one before, other than by their number, while the source moves."""
    a, b = source.thumbs[pairs[:, 0]].astype(np.int16), output.thumbs[pairs[:, 1]].astype(np.int16)
    moved = np.abs(np.diff(a, axis=0)).mean((1, 2)) > 0.2
    still = (np.abs(np.diff(b, axis=0)).max((1, 2), initial=0) == 0) & (np.diff(pairs[:, 1]) > 0)
    return int((moved & still).sum())


def _fit_sizes(source: ClipIndex, output: ClipIndex, pairs: np.ndarray | None) -> Fit:
    """How the sizes lie on each other: by aspect, and where that differs by what the pictures say (stretched without `pairs`)."""
    (h, w), (oh, ow) = source.info.size, output.info.size
    whole, all_of_it = (0, 0, h, w), (0, 0, oh, ow)
    if (h, w) == (oh, ow):
        return Fit("same", whole, all_of_it)
    if abs(w / h - ow / oh) < 0.02 * w / h:
        return Fit("scaled", whole, all_of_it)
    stretched = Fit("stretched", whole, all_of_it)
    if pairs is None:
        return stretched
    cropped = Fit("cropped", _middle((h, w), ow / oh), all_of_it)
    boxed = Fit("letterboxed", whole, _middle((oh, ow), w / h))
    chosen = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), 16)).round().astype(int)]

    def cost(fit: Fit) -> float:
        a = _thumbs_of(source, fit.source, chosen[:, 0])
        b = _thumbs_of(output, fit.output, chosen[:, 1])
        return float(np.minimum(np.abs(a.astype(np.float32) - b), _CLIP).mean())

    return min((stretched, cropped, boxed), key=cost)  # the first of equals: stretching is what the field does


def _middle(size: tuple[int, int], aspect: float) -> tuple[int, int, int, int]:
    """The largest box of width / height `aspect` in the middle of (height, width) `size`."""
    height, width = min(size[0], round(size[1] / aspect)), min(size[1], round(size[0] * aspect))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return top, left, top + height, left + width


def _thumbs_of(clip: ClipIndex, box: tuple[int, int, int, int], rows: np.ndarray | None = None) -> np.ndarray:
    """[n, 32, 32] uint8 grey of a part of the frames."""
    thumbs = clip.thumbs if rows is None else clip.thumbs[rows]
    scale = np.array([thumbs.shape[1] / clip.info.height, thumbs.shape[2] / clip.info.width] * 2)
    top, left, bottom, right = (np.array(box) * scale).round().astype(int)
    part = torch.from_numpy(thumbs[:, top : max(bottom, top + 1), left : max(right, left + 1)])
    return resize(part[:, None], (32, 32))[:, 0].numpy()


def read_frames(
    path: Path,
    numbers: np.ndarray,
    box: tuple[int, int, int, int] | None,
    size: tuple[int, int],
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Tensor]:
    """For each of the ascending frame `numbers`, that frame [3, H, W] uint8 of (height, width) `size`: the part `box` of it, or
    all. Memory is that of a few frames."""
    wanted, at, last = iter(numbers.tolist()), -1, None
    goal = next(wanted, None)
    if goal is None:
        return
    start = int(goal)
    at = start - 1
    for clip in open_clip(path, limits=limits).clips(PIECE, start=start):
        for frame in clip.frames:
            at += 1
            while goal == at:
                if last is None or last[0] != at:
                    part = frame if box is None else frame[:, box[0] : box[2], box[1] : box[3]]
                    last = at, resize(part, size)
                yield last[1]
                goal = next(wanted, None)
            if goal is None:
                return
