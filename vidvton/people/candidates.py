"""All bodies seen in a clip: both passes in time, chunk by chunk, kept compactly on disk.

A chunk file holds what the models said about CHUNK frames. Chunk borders are fixed and a chunk depends only on the frames up to
LOOKAHEAD past its end and on the chunk before, so that a killed run goes on at the first missing chunk and ends the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from vidvton.frames import as_arrays
from vidvton.people.estimators import STATE_WIDTH, Estimators
from vidvton.people.passes import Found, Passes, Span, pieces_of
from vidvton.people.pictures import shrink
from vidvton.people.shots import AHEAD, ShotMemory, find_shots, grey_of
from vidvton.values import Clip
from vidvton.whole import open_arrays, write_arrays

CHUNK = 40
LOOKAHEAD = 8
_WORK_AREA = 520_000  # pixels of the pictures that the models see


@dataclass(frozen=True)
class Seen:
    """What the models said about n frames, m bodies in all, in pixels of the source.

    Per frame: `frames` [n] the indices; `cuts`, `blank` [n] bool; `second` [n] PNG bytes of the mask of all people, settled
    between the segmenter and the bodies, and `second_box` [n, 4] xyxy, the part of the frame that it covers; `faces` [n, 5]
    the best face (x0, y0, x1, y1, score), score -1 where none was looked for. Per body: `frame` [m] row of its frame, `back`
    [m] bool (from the pass against time), `thread` [m], `keypoints` [m, 33, 3], `depth` [m, 33], `world` [m, 33, 3], `score`
    [m], `agree` [m] 0-1 overlap of its mask with what of the segmenter's nobody else claims, `fit` [m] 0-1 how well its bones
    explain its mask, `extent` [m, 5] xyxy and area of its mask, `look` [m, 128] colour histogram, `mask` [m] PNG bytes and
    `to_frame` [m, 2, 3] from mask pixels to the frame.
    """

    frames: np.ndarray
    cuts: np.ndarray
    blank: np.ndarray
    second: np.ndarray
    second_box: np.ndarray
    faces: np.ndarray
    frame: np.ndarray
    back: np.ndarray
    thread: np.ndarray
    keypoints: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    score: np.ndarray
    agree: np.ndarray
    fit: np.ndarray
    extent: np.ndarray
    look: np.ndarray
    mask: np.ndarray
    to_frame: np.ndarray


@dataclass(frozen=True)
class _Carry:
    """What one chunk hands to the next."""

    state: np.ndarray
    memory: ShotMemory


def chunk_path(work: Path, number: int) -> Path:
    """Where a chunk of what was seen lies."""
    return work / f"seen_{number:05d}.npz"


def load_seen(work: Path, number: int) -> Seen:
    """One chunk, as `collect` wrote it."""
    with open_arrays(chunk_path(work, number)) as stored:
        values = {f.name: stored[f.name] for f in fields(Seen) if f.name not in ("mask", "second")}
        return Seen(mask=_unpack(stored, "mask"), second=_unpack(stored, "second"), **values)


def collect(clips: Callable[[], Iterator[Clip]], work: Path, estimators: Estimators) -> Iterator[int]:
    """Runs the models over the clip and writes chunk files into `work`; yields the number of frames done so far.

    Ends by yielding the number of frames of the clip. Chunks that are there already are not made again. One chunk is read while
    the pass with time is at the one before and the rest at the one before that.
    """
    work.mkdir(parents=True, exist_ok=True)
    ready = 0
    while chunk_path(work, ready).exists():
        ready += 1
    memory, passes, begun, total = None, None, None, 0
    for number, own, pictures, scale in _chunks(clips()):
        if number < ready:
            total += own
            yield total
            continue
        if passes is None:
            carry = _load_carry(work, ready - 1) if ready else None
            passes, memory = Passes(estimators, carry and carry.state), carry and carry.memory
        span, cuts, blank, memory = _span(number * CHUNK, own, pictures, memory)
        begun, before = _Begun(number, span, cuts, blank, memory, scale, passes.begin(span)), begun
        if before is not None:
            total += _finish(work, passes, before)
            yield total
    if begun is not None:
        total += _finish(work, passes, begun)
    yield total


@dataclass(frozen=True)
class _Begun:
    """A chunk on its way."""

    number: int
    span: Span
    cuts: np.ndarray
    blank: np.ndarray
    memory: ShotMemory
    scale: float
    bodies: Future


def _span(start: int, own: int, pictures: np.ndarray, memory: ShotMemory | None):
    """(the chunk's span, its cuts, its blank frames, what is to be remembered of it)."""
    greys = np.stack([grey_of(p) for p in pictures])
    cuts, blank, after = find_shots(greys[: own + AHEAD], own, memory)
    ahead, _, _ = find_shots(greys[own:], max(0, len(greys) - own), after)
    reach = own + (int(np.argmax(ahead)) if ahead.any() else len(ahead))
    return Span(start, own, pictures, pieces_of(cuts), reach, joined=start > 0 and not cuts[0]), cuts, blank, after


def _finish(work: Path, passes: Passes, begun: _Begun) -> int:
    """Ends a chunk and stores it; its number of frames."""
    found = passes.finish(begun.span, begun.bodies)
    _save(work, begun.number, _seen(begun, found), _Carry(found.state, begun.memory))
    return begun.span.own


def _chunks(clips: Iterator[Clip]) -> Iterator[tuple[int, int, np.ndarray, float]]:
    """(number, frames of its own, its pictures and up to LOOKAHEAD more [t, h, w, 3], source pixels per picture pixel). The
    pictures hold until the chunk after the next one is asked for."""
    held, spare, filled = np.empty((0,), np.uint8), np.empty((0,), np.uint8), 0  # two buffers: the largest things there are
    number, scale = 0, 1.0
    for clip in clips:
        height, width = clip.size
        scale = max(1.0, (height * width / _WORK_AREA) ** 0.5)
        size = (round(height / scale), round(width / scale))
        if not len(held):
            held, spare = (np.empty((CHUNK + LOOKAHEAD, *size, 3), np.uint8) for _ in range(2))
        for picture in as_arrays(clip.frames):
            held[filled] = shrink(picture, size)
            filled += 1
            if filled == len(held):
                yield number, CHUNK, held, scale
                spare[:LOOKAHEAD] = held[CHUNK:]
                held, spare = spare, held
                number, filled = number + 1, LOOKAHEAD
    while filled > 0:
        own = min(CHUNK, filled)
        yield number, own, held[:filled], scale
        held = held[own:filled]
        number, filled = number + 1, filled - own


def _seen(begun: _Begun, found: Found) -> Seen:
    start, scale, bodies, others = begun.span.start, begun.scale, found.bodies, found.opinions
    flat = [b for row in bodies for b in row]
    stack = lambda values, shape: np.array(values, np.float32).reshape(-1, *shape)  # noqa: E731
    grow = np.array([scale, scale, 1], np.float32)
    looks = [look for other in others for look in other.looks]
    extents = stack([e for other in others for e in other.extents], (7,))
    return Seen(
        frames=np.arange(start, start + len(bodies)),
        cuts=begun.cuts,
        blank=begun.blank,
        second=np.array([o.second for o in others] + [None], object)[:-1],
        second_box=np.stack([o.second_box for o in others]) * scale,
        faces=np.stack([o.face for o in others]) * np.array([scale] * 4 + [1], np.float32),
        frame=np.array([i for i, row in enumerate(bodies) for _ in row], np.int64),
        back=np.array([v for row in found.backs for v in row], bool),
        thread=np.array([b.thread for b in flat], np.int64),
        keypoints=stack([b.keypoints for b in flat], (33, 3)) * grow,
        depth=stack([b.depth for b in flat], (33,)) * scale,
        world=stack([b.world for b in flat], (33, 3)),
        score=stack([b.score for b in flat], ()),
        agree=extents[:, 5],
        fit=extents[:, 6],
        extent=extents[:, :5] * np.array([scale] * 4 + [scale**2], np.float32),
        look=stack(looks, (128,)),
        mask=np.array([png for other in others for png in other.masks] + [None], object)[:-1],
        to_frame=stack([b.to_frame for b in flat], (2, 3)) * scale,
    )


def _save(work: Path, number: int, seen: Seen, carry: _Carry) -> None:
    values = {f.name: getattr(seen, f.name) for f in fields(Seen) if f.name not in ("mask", "second")}
    for name in ("mask", "second"):
        blobs = list(getattr(seen, name))
        values[name + "_bytes"] = np.frombuffer(b"".join(blobs), np.uint8)
        values[name + "_ends"] = np.cumsum([len(b) for b in blobs], dtype=np.int64)
    values |= {"state": carry.state, "greys": carry.memory.greys, "differences": carry.memory.differences}
    write_arrays(chunk_path(work, number), values)


def _unpack(stored, name: str) -> np.ndarray:
    data, ends = stored[name + "_bytes"].tobytes(), stored[name + "_ends"]
    starts = np.concatenate([[0], ends])
    out = np.empty(len(ends), object)
    for i, end in enumerate(ends):
        out[i] = data[starts[i] : end]
    return out


def _load_carry(work: Path, number: int) -> _Carry:
    with open_arrays(chunk_path(work, number)) as stored:
        return _Carry(stored["state"].reshape(-1, STATE_WIDTH), ShotMemory(stored["greys"], stored["differences"]))
