"""All bodies seen in a clip: both passes in time, chunk by chunk, kept compactly on disk.

A chunk file holds what the models said about CHUNK frames. Chunk borders are fixed and a chunk depends only on the frames up to
LOOKAHEAD past its end and on the chunk before, so that a killed run goes on at the first missing chunk and ends the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from vidvton.frames import as_arrays, from_arrays
from vidvton.people.arbitrate import arbitrate
from vidvton.people.estimators import STATE_WIDTH, Body, Estimators
from vidvton.people.pictures import encode_mask, resample, shrink
from vidvton.people.plausible import fit_to_mask
from vidvton.people.shots import AHEAD, ShotMemory, find_shots, grey_of
from vidvton.values import Clip

CHUNK = 80
LOOKAHEAD = 8
FACE_EVERY = 2
_SETTLED_SIDE = 352
_STRIDE = 16
_WORK_AREA = 520_000  # pixels of the pictures that the models see



@dataclass(frozen=True)
class Seen:
    """What the models said about n frames, m bodies in all, in pixels of the source.

    Per frame: `frames` [n] the indices; `cuts`, `blank` [n] bool; `second` [n] PNG bytes of the mask of all people, settled
    between the segmenter and the bodies, and `second_box` [n, 4] xyxy, the part of the frame that it covers; `faces` [n, 5] the
    best face (x0, y0, x1, y1, score), score -1 where none was looked for. Per body: `frame` [m] row of its frame, `back` [m] bool
    (from the pass against time), `thread` [m], `keypoints` [m, 33, 3], `depth` [m, 33], `world` [m, 33, 3], `score` [m], `agree`
    [m] 0-1 overlap of its mask with the segmenter's, `fit` [m] 0-1 how well its bones explain its mask, `extent` [m, 5] xyxy and
    area of its mask, `look` [m, 128] colour histogram, `mask` [m] PNG bytes and `to_frame` [m, 2, 3] from mask pixels to the
    frame.
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
    with np.load(chunk_path(work, number)) as stored:
        values = {f.name: stored[f.name] for f in fields(Seen) if f.name not in ("mask", "second")}
        return Seen(mask=_unpack(stored, "mask"), second=_unpack(stored, "second"), **values)


def collect(clips: Callable[[], Iterator[Clip]], work: Path, estimators: Estimators) -> Iterator[int]:
    """Runs the models over the clip and writes chunk files into `work`; yields the number of frames done so far.

    Ends by yielding the number of frames of the clip. Chunks that are there already are not made again.
    """
    work.mkdir(parents=True, exist_ok=True)
    ready = 0
    while chunk_path(work, ready).exists():
        ready += 1
    runner = None
    carry = _load_carry(work, ready - 1) if ready else None
    total = 0
    for number, own, pictures, scale in _chunks(clips()):
        total += own
        if number >= ready:
            runner = runner or _Runner(estimators)
            seen, carry = runner.run(number * CHUNK, own, pictures, carry, scale)
            _save(work, number, seen, carry)
        yield total


def _chunks(clips: Iterator[Clip]) -> Iterator[tuple[int, int, np.ndarray, float]]:
    """(number, frames of its own, its pictures and up to LOOKAHEAD more [t, h, w, 3], source pixels per picture pixel)."""
    held, filled = np.empty((0,), np.uint8), 0  # one buffer for all chunks: at 1080p it is the largest thing there is
    number, scale = 0, 1.0
    for clip in clips:
        height, width = clip.size
        scale = max(1.0, (height * width / _WORK_AREA) ** 0.5)
        size = (round(height / scale), round(width / scale))
        if not len(held):
            held = np.empty((CHUNK + LOOKAHEAD, *size, 3), np.uint8)
        for picture in as_arrays(clip.frames):
            held[filled] = shrink(picture, size)
            filled += 1
            if filled == len(held):
                yield number, CHUNK, held, scale
                held[:LOOKAHEAD] = held[CHUNK:]
                number, filled = number + 1, LOOKAHEAD
    while filled > 0:
        own = min(CHUNK, filled)
        yield number, own, held[:filled], scale
        held[: filled - own] = held[own:filled]
        number, filled = number + 1, filled - own


@dataclass(frozen=True)
class _Others:
    """What is found in one frame once its bodies are known."""

    second: bytes
    second_box: np.ndarray
    face: np.ndarray
    looks: list[np.ndarray]
    masks: list[bytes]
    extents: list[np.ndarray]


class _Runner:
    """The models of one analysis: two of each, for two threads."""

    def __init__(self, estimators: Estimators) -> None:
        self._pose = [estimators.pose(), estimators.pose()]
        self._segmenters = [estimators.segmenter(), estimators.segmenter()]
        self._faces = [estimators.faces(), estimators.faces()]
        self._pool = ThreadPoolExecutor(2)  # kept: new threads for every chunk would each bring memory of their own

    def run(self, start: int, own: int, pictures: np.ndarray, carry: _Carry | None, scale: float) -> tuple[Seen, _Carry]:
        """What is seen in the first `own` of `pictures`, and what the next chunk needs."""
        greys = np.stack([grey_of(p) for p in pictures])
        cuts, blank, memory = find_shots(greys[: own + AHEAD], own, carry.memory if carry else None)
        ahead, _, _ = find_shots(greys[own:], max(0, len(greys) - own), memory)
        pieces = _pieces(cuts)
        reach = own + (int(np.argmax(ahead)) if ahead.any() else len(ahead))
        pool = self._pool
        forward = pool.submit(self._forward, pictures, pieces, carry.state if carry else None, bool(cuts[0]))
        backward = pool.submit(self._backward, pictures, pieces, reach)
        (ahead_of_time, state), against_time = forward.result(), backward.result()
        bodies = [a + b for a, b in zip(ahead_of_time, against_time)]
        backs = [[False] * len(a) + [True] * len(b) for a, b in zip(ahead_of_time, against_time)]
        halves = [(0, range((own + 1) // 2)), (1, range((own + 1) // 2, own))]
        look = lambda half: [self._others(half[0], start + i, pictures[i], bodies[i], backs[i]) for i in half[1]]  # noqa: E731
        parts = list(pool.map(look, halves))
        others = parts[0] + parts[1]
        return _seen(start, cuts, blank, bodies, backs, others, scale), _Carry(state, memory)

    def _forward(self, pictures, pieces, state, fresh: bool):
        found = []
        for first, last in pieces:
            state = None if first > 0 or fresh else state
            bodies, state = self._pose[0].follow(from_arrays(pictures[first:last]), state)
            found += bodies
        return found, state

    def _backward(self, pictures, pieces, reach: int):
        found = []
        for number, (first, last) in enumerate(pieces):
            end = reach if number == len(pieces) - 1 else last
            piece: list[list[Body]] = []
            state = None
            for stop in range(end, first, -_STRIDE):  # in small steps: turning frames round copies them
                frames = from_arrays(pictures[max(first, stop - _STRIDE) : stop][::-1].copy())
                bodies, state = self._pose[1].follow(frames, state)
                piece += bodies
            found += piece[::-1][: last - first]
        return found

    def _others(self, which: int, index: int, picture: np.ndarray, bodies: list[Body], backs: list[bool]) -> _Others:
        """What is found in one frame once its bodies are known."""
        box = _people_box(bodies, picture.shape)
        x0, y0, x1, y1 = box
        mask = self._segmenters[which].segment(picture[y0:y1, x0:x1])
        extents = [_extent_and_agreement(b, mask, box, picture.shape) for b in bodies]
        mask = _settled(picture, bodies, backs, extents, mask, box)
        face = np.array([0, 0, 0, 0, -1], np.float32)
        if index % FACE_EVERY == 0 and bodies:
            face = _face(self._faces[which], picture, bodies)
        return _Others(
            encode_mask(mask),
            np.array(box, np.float32),
            face,
            [_look(picture, b) for b in bodies],
            [encode_mask(b.mask) for b in bodies],
            extents,
        )


def _pieces(cuts: np.ndarray) -> list[tuple[int, int]]:
    """Spans of one shot each."""
    starts = sorted({0, *np.flatnonzero(cuts).tolist()})
    return list(zip(starts, starts[1:] + [len(cuts)]))


def _people_box(bodies: list[Body], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of the picture to look at for a second opinion: around all believable bodies, or the whole."""
    height, width = shape[:2]
    tall = [b for b in bodies if np.ptp(b.keypoints[11:29, 1]) > 0.2 * height]
    if not tall:
        return 0, 0, width, height
    points = np.concatenate([b.keypoints[:, :2] for b in tall])
    low, high = points.min(0), points.max(0)
    margin = 0.2 * (high - low).max()
    x0, y0 = np.clip(low - margin, 0, (width - 32, height - 32)).astype(int)
    x1, y1 = np.clip(high + margin, (x0 + 32, y0 + 32), (width, height)).astype(int)
    if (x1 - x0) * (y1 - y0) > 0.6 * width * height:
        return 0, 0, width, height
    return int(x0), int(y0), int(x1), int(y1)


def worth_belief(score: np.ndarray, fit: np.ndarray, agree: np.ndarray) -> np.ndarray:
    """Which bodies are no phantoms, by the three measures of `Seen`: bones that explain their mask, on somebody whom the
    segmenter sees too. (In an empty room a phantom reaches 0.36; a person beside a larger one, whom the segmenter half overlooks,
    has 0.5.)"""
    return (score * fit * np.sqrt(agree) > 0.38) | ((agree > 0.7) & (score * fit > 0.3))


def _sound(extent: np.ndarray) -> float:
    return float(extent[6] * np.sqrt(extent[5]))


def _believed(body: Body, extent: np.ndarray) -> bool:
    return bool(worth_belief(np.float32(body.score), extent[6], extent[5]))


def _settled(picture, bodies: list[Body], backs: list[bool], extents: list[np.ndarray], second: np.ndarray, box) -> np.ndarray:
    """The segmenter's mask of `box` and the bodies' own, made one."""
    x0, y0, x1, y1 = box
    scale = min(1.0, _SETTLED_SIDE / max(x1 - x0, y1 - y0))
    size = (max(8, round((y1 - y0) * scale)), max(8, round((x1 - x0) * scale)))
    grid = np.array([[(x1 - x0) / size[1], 0, x0], [0, (y1 - y0) / size[0], y0]])
    opinions, weights = [cv2.resize(second, size[::-1], interpolation=cv2.INTER_LINEAR)], [1.4]
    best = max([_sound(e) for b, e in zip(bodies, extents) if _believed(b, e)], default=0.0)
    for side in (False, True):
        mine = [b for b, back, e in zip(bodies, backs, extents) if back == side and _believed(b, e) and _sound(e) > best - 0.15]
        if mine:
            opinions.append(np.max([resample(b.mask, b.to_frame, grid, size) for b in mine], 0))
            weights.append(1.0)
    part = shrink(picture[y0:y1, x0:x1], size)
    return arbitrate(part, np.stack(opinions), np.array(weights))


def _face(finder, picture: np.ndarray, bodies: list[Body]) -> np.ndarray:
    """The best face in the head's surroundings of the surest body; score 0 where none, -1 where there is no head to look at."""
    height, width = picture.shape[:2]
    best = np.array([0, 0, 0, 0, -1], np.float32)
    done: list[np.ndarray] = []
    for body in sorted(bodies, key=lambda b: -b.score):
        head = body.keypoints[:11, :2].mean(0)
        shoulders = body.keypoints[11:13, :2].mean(0)
        size = max(np.linalg.norm(shoulders - head), 12.0)
        if any(np.linalg.norm(head - other) < size for other in done):
            continue
        done.append(head)
        x0, y0, x1, y1 = (int(v) for v in (*(head - 1.6 * size), *(head + 1.6 * size)))
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if head[1] < 0 or head[1] > height or x1 - x0 < size or y1 - y0 < size:
            continue
        rows = finder.find(picture[y0:y1, x0:x1])
        row = np.zeros(5, np.float32)
        row[:4] = (x0, y0, x1, y1)
        if len(rows):
            row = rows[rows[:, 4].argmax()] + np.array([x0, y0, x0, y0, 0], np.float32)
        if row[4] > best[4]:
            best = row
    return best


def _extent_and_agreement(body: Body, second: np.ndarray, box: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """[7] float32: xyxy and area of the body's mask inside the picture, its overlap (IoU) with the segmenter's mask, its fit."""
    side = 96
    height, width = shape[:2]
    grid = np.array([[width / side, 0, 0], [0, height / side, 0]])
    own = resample(body.mask, body.to_frame, grid, (side, side)) > 127
    scale = ((box[2] - box[0]) / second.shape[1], (box[3] - box[1]) / second.shape[0])
    other = resample(second, np.array([[scale[0], 0, box[0]], [0, scale[1], box[1]]]), grid, (side, side)) > 127
    ys, xs = np.nonzero(own)
    if not len(xs):
        return np.zeros(7, np.float32)
    cell = width * height / side**2
    agree = (own & other).sum() / max(1, (own | other).sum())
    edges = (xs.min() * width, ys.min() * height, (xs.max() + 1) * width, (ys.max() + 1) * height)
    return np.array([*(e / side for e in edges), len(xs) * cell, agree, fit_to_mask(body)], np.float32)


def _look(picture: np.ndarray, body: Body) -> np.ndarray:
    """[128] float32 colours of a body: 64 bins of Lab above the hips, 64 below, each half summing to one."""
    side = 48
    step = body.mask.shape[0] / side
    matrix = body.to_frame.astype(np.float64).copy()
    matrix[:, :2] *= step
    small = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    mask = shrink(body.mask, (side, side)) > 127
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3) // 64
    code = (lab[:, 0].astype(int) * 16 + lab[:, 1] * 4 + lab[:, 2])
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    ys = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    hips = body.keypoints[23:25, 1].mean()
    out = []
    for part in ((ys < hips) & mask, (ys >= hips) & mask):
        counts = np.bincount(code[part.ravel()], minlength=64)[:64].astype(np.float32)
        out.append(counts / max(1.0, counts.sum()))
    return np.concatenate(out)


def _seen(start, cuts, blank, bodies, backs, others, scale: float) -> Seen:
    flat = [b for row in bodies for b in row]
    stack = lambda values, shape: np.array(values, np.float32).reshape(-1, *shape)  # noqa: E731
    grow = np.array([scale, scale, 1], np.float32)
    looks = [look for other in others for look in other.looks]
    extents = stack([e for other in others for e in other.extents], (7,))
    return Seen(
        frames=np.arange(start, start + len(bodies)),
        cuts=cuts,
        blank=blank,
        second=np.array([o.second for o in others] + [None], object)[:-1],
        second_box=np.stack([o.second_box for o in others]) * scale,
        faces=np.stack([o.face for o in others]) * np.array([scale] * 4 + [1], np.float32),
        frame=np.array([i for i, row in enumerate(bodies) for _ in row], np.int64),
        back=np.array([v for row in backs for v in row], bool),
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
    write_whole(chunk_path(work, number), values)


def write_whole(path: Path, values: dict[str, np.ndarray]) -> None:
    """Writes an npz file beside its place and renames it, so that it is whole or absent."""
    beside = path.with_suffix(".part")
    with open(beside, "wb") as file:
        np.savez(file, **values)
    os.replace(beside, path)


def _unpack(stored, name: str) -> np.ndarray:
    data, ends = stored[name + "_bytes"].tobytes(), stored[name + "_ends"]
    starts = np.concatenate([[0], ends])
    out = np.empty(len(ends), object)
    for i, end in enumerate(ends):
        out[i] = data[starts[i] : end]
    return out


def _load_carry(work: Path, number: int) -> _Carry:
    with np.load(chunk_path(work, number)) as stored:
        return _Carry(stored["state"].reshape(-1, STATE_WIDTH), ShotMemory(stored["greys"], stored["differences"]))
