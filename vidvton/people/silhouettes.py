"""The outline of the person followed: soft masks per frame, from the skeleton's mask and a segmenter as second opinion."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from vidvton.people.candidates import CHUNK, Seen, load_seen
from vidvton.people.facing import Choice
from vidvton.people.identity import Bodies
from vidvton.people.pictures import decode_mask, encode_mask, grid_of, resample
from vidvton.people.skeleton import BONES
from vidvton.values import PoseTrack
from vidvton.whole import open_arrays, write_arrays

_SIDE = 448  # longest side of a stored mask
_MARGIN = 0.15
_ARMS = (13, 14, 15, 16)  # forearms and hands: bones that start here
_OVERLOOKED = 0.7
_REACH = 2  # frames to each side that steady a mask


class Silhouettes:
    """The chosen person's soft masks, read from the folder in which `track.analyse` left them."""

    def __init__(self, work: Path, *, temporary: bool = False) -> None:
        self._work = Path(work)
        self._chunks: OrderedDict[int, tuple[np.ndarray, np.ndarray, bytes]] = OrderedDict()
        self._lock = threading.Lock()
        if temporary:
            weakref.finalize(self, shutil.rmtree, self._work, ignore_errors=True)

    def cut(self, index: int, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
        """[h, w] uint8 0-255 coverage of the person in frame `index`, in the part `box` (xyxy, source pixels) of the frame, at
        (height, width) `size`. Zero where the person is not, and everywhere in frames without them."""
        boxes, ends, data = self._chunk(index // CHUNK)
        row = index % CHUNK
        if row >= len(ends):
            raise IndexError(f"frame {index} is past the end of the track")
        start = int(ends[row - 1]) if row else 0
        if ends[row] == start:
            return np.zeros(size, np.uint8)
        mask = decode_mask(data[start : int(ends[row])])
        grid = grid_of(box, size)
        placed = grid_of(boxes[row], mask.shape)
        shrink = np.sqrt(abs(np.linalg.det(grid[:, :2]) / np.linalg.det(placed[:, :2])))
        if shrink > 1.5:
            half = (max(1, round(mask.shape[0] / shrink)), max(1, round(mask.shape[1] / shrink)))
            mask = cv2.resize(mask, half[::-1], interpolation=cv2.INTER_AREA)
            placed = grid_of(boxes[row], mask.shape)
        return resample(mask, placed, grid, size)

    def _chunk(self, number: int) -> tuple[np.ndarray, np.ndarray, bytes]:
        with self._lock:
            if number not in self._chunks:
                with open_arrays(_outline_path(self._work, number)) as stored:
                    self._chunks[number] = (stored["boxes"], stored["ends"], stored["data"].tobytes())
                if len(self._chunks) > 3:
                    self._chunks.popitem(last=False)
            self._chunks.move_to_end(number)
            return self._chunks[number]


def _outline_path(work: Path, number: int) -> Path:
    return work / f"outline_{number:05d}.npz"


def clear_outlines(work: Path) -> None:
    """Removes masks of an earlier choice of person."""
    for path in work.glob("outline_*.npz"):
        path.unlink()


def write_outlines(
    work: Path,
    bodies: Bodies,
    decisions: dict[int, Choice],
    chosen: dict[int, list[int]],
    track: PoseTrack,
    size: tuple[int, int],
) -> Iterator[int]:
    """Makes and stores the masks of all frames; yields the number of frames done."""
    maker = _Maker(work, bodies, decisions, chosen, track, size)
    count = len(track)
    for number in range(0, (count + CHUNK - 1) // CHUNK):
        first, last = number * CHUNK, min(count, (number + 1) * CHUNK)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(maker.combined, range(max(0, first - _REACH), min(count, last + _REACH))))
            blobs = list(pool.map(maker.steady_png, range(first, last)))
        maker.forget(last - _REACH)
        boxes = np.stack([maker.box(i) for i in range(first, last)])
        data = np.frombuffer(b"".join(blobs), np.uint8)
        write_arrays(_outline_path(work, number), {"boxes": boxes, "ends": np.cumsum([len(b) for b in blobs]), "data": data})
        yield last


class _Maker:
    """Combines the opinions on each frame, and steadies them over time."""

    def __init__(self, work, bodies: Bodies, decisions, chosen, track: PoseTrack, size) -> None:
        self._work, self._bodies, self._decisions, self._chosen, self._track, self._size = (
            work, bodies, decisions, chosen, track, size,
        )  # fmt: skip
        self._masks: dict[int, np.ndarray] = {}
        self._seen: dict[int, Seen] = {}
        self._rows: dict[int, list[int]] = {}
        for row, frame in enumerate(bodies.frame):
            self._rows.setdefault(int(frame), []).append(row)

    def box(self, index: int) -> np.ndarray:
        """[4] xyxy float64: the part of the frame that a mask shows."""
        x0, y0, x1, y1 = self._track.boxes[index].double().numpy()
        margin = _MARGIN * max(x1 - x0, y1 - y0) + 8
        height, width = self._size
        x0, y0 = max(0.0, np.floor(x0 - margin)), max(0.0, np.floor(y0 - margin))
        return np.array([x0, y0, max(x0 + 8, min(width, np.ceil(x1 + margin))), max(y0 + 8, min(height, np.ceil(y1 + margin)))])

    def _mask_size(self, box: np.ndarray) -> tuple[int, int]:
        scale = min(1.0, _SIDE / max(box[2] - box[0], box[3] - box[1]))
        return max(4, round((box[3] - box[1]) * scale)), max(4, round((box[2] - box[0]) * scale))

    def combined(self, index: int) -> np.ndarray:
        """[h, w] uint8: the skeleton's mask, and what is attached to it in the segmenter's."""
        if index in self._masks:
            return self._masks[index]
        box = self.box(index)
        size = self._mask_size(box)
        grid = grid_of(box, size)
        if not bool(self._track.present[index]):
            mask = np.zeros(size, np.uint8)
        else:
            seen, row = self._chunk(index), index % CHUNK
            second = decode_mask(seen.second[row])
            second = resample(second, grid_of(seen.second_box[row], second.shape), grid, size)
            mask = self._joined(index, second, grid, size)
        self._masks[index] = mask
        return mask

    def _joined(self, index: int, second: np.ndarray, grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        choice = self._decisions.get(index)
        others = [r for r in self._rows.get(index, []) if r not in self._chosen.get(index, [])]
        if others:
            foreign = np.max([self._body(r, grid, size) for r in others], 0)
        near = self._near_bones(index, grid, size, bool(others))
        rows = choice.rows if choice is not None else self._chosen.get(index, [])  # a collapsed skeleton's mask still is right
        if not rows:  # bridged: only the segmenter saw this frame
            return np.where(near, second, 0).astype(np.uint8)
        masks = [self._body(r, grid, size) for r in rows]
        own = np.max(masks, 0)
        if (second[own > 127] > 127).mean() < _OVERLOOKED:  # the segmenter had eyes for somebody else
            second = np.maximum(second, np.mean(masks, 0).astype(np.uint8))
        extra = (second > 127) & near
        if others:
            second = np.where(foreign > np.maximum(own, 64), 0, second).astype(np.uint8)
            second[self._heads(others, rows, grid, size)] = 0
            extra &= second > 127
        return np.where(_around(own, extra), second, 0).astype(np.uint8)

    def _heads(self, others: list[int], rows: Sequence[int], grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """[h, w] bool: the heads of the bodies `others`, but not that of `rows`."""

        def discs(bodies: Sequence[int]) -> np.ndarray:
            canvas = np.zeros(size, np.uint8)
            for row in bodies:
                points = self._bodies.keypoints[row, :11]
                middle, half = points[:, :2].mean(0), np.ptp(points[:, :2], axis=0).max() / 2
                if points[:, 2].min() > 0.5:
                    x, y = (middle - grid[:, 2]) / grid[[0, 1], [0, 1]]
                    cv2.circle(canvas, (int(x), int(y)), max(1, int(1.1 * half / grid[0, 0])), 1, -1)
            return canvas > 0

        return discs(others) & ~discs(rows)

    def _near_bones(self, index: int, grid: np.ndarray, size: tuple[int, int], crowded: bool) -> np.ndarray:
        """[h, w] bool: within reach of the skeleton: a torso's length from trunk and legs, where a skirt or a cape may be."""
        points = self._track.keypoints[index, :, :2].numpy().astype(np.float64)
        torso = np.linalg.norm(points[11:13].mean(0) - points[23:25].mean(0))
        scale = 1 / grid[0, 0]
        local = (points - grid[:, 2]) * scale
        canvas = np.zeros(size, np.uint8)
        for a, b in BONES:
            reach = (0.3 if a in _ARMS else 0.5 if crowded else 1.0) * torso * scale
            thick = max(1, int(2 * reach))
            ends = [tuple(int(v) for v in np.clip(local[k], -4 * max(size), 4 * max(size))) for k in (a, b)]
            cv2.line(canvas, ends[0], ends[1], 255, min(thick, 2000))
        head = local[:11].mean(0)
        if np.abs(head).max() < 4 * max(size):
            cv2.circle(canvas, (int(head[0]), int(head[1])), max(1, int(0.5 * torso * scale)), 255, -1)
        return canvas > 0

    def _body(self, row: int, grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        seen = self._seen_chunk(int(self._bodies.chunk[row]))
        where = int(self._bodies.row[row])
        return resample(decode_mask(seen.mask[where]), seen.to_frame[where], grid, size)

    def steady_png(self, index: int) -> bytes:
        """PNG bytes of the mask of one frame, freed of what flickers; empty when the person is not there."""
        if not bool(self._track.present[index]):
            return b""
        mask = self._masks[index]
        size, grid = mask.shape, grid_of(self.box(index), mask.shape)
        shots, present = self._track.shots, self._track.present
        around = []
        for other in (index - 2, index - 1, index + 1, index + 2):
            if 0 <= other < len(self._track) and bool(present[other]) and shots[other] == shots[index]:
                placed = grid_of(self.box(other), self._masks[other].shape)
                step = self._step(index, other)
                around.append((abs(other - index), resample(self._masks[other], _moved(placed, step), grid, size)))
        mask = _without_crumbs(_steadied(mask, around), self._joints(index, grid, size))
        return encode_mask(mask)

    def _joints(self, index: int, grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """[n, 2] hands and feet in mask pixels."""
        points = self._track.keypoints[index, 15:].numpy().astype(np.float64)
        return ((points[points[:, 2] > 0.3, :2] - grid[:, 2]) / grid[[0, 1], [0, 1]]).reshape(-1, 2)

    def _step(self, index: int, other: int) -> np.ndarray:
        """How far the torso moves from frame `other` to `index`, in frame pixels."""
        torso = self._track.keypoints[[index, other]][:, [11, 12, 23, 24], :2].mean(1)
        return (torso[0] - torso[1]).numpy()

    def _chunk(self, index: int) -> Seen:
        return self._seen_chunk(index // CHUNK)

    def _seen_chunk(self, number: int) -> Seen:
        if number not in self._seen:
            self._seen[number] = load_seen(self._work, number)
        return self._seen[number]

    def forget(self, before: int) -> None:
        """Lets go of frames before `before`."""
        for index in [i for i in self._masks if i < before]:
            del self._masks[index]
        for number in [n for n in self._seen if (n + 1) * CHUNK <= before]:
            del self._seen[number]


def _moved(grid: np.ndarray, step: np.ndarray) -> np.ndarray:
    out = grid.copy()
    out[:, 2] += step
    return out


def _around(own: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """[h, w] bool: where the person may be: the body's own mask and a rim, and those pieces of `extra` that are large and touch
    it."""
    rim = max(3, round(0.015 * max(own.shape)))
    body = cv2.dilate((own > 100).astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8))
    pieces = cv2.morphologyEx((extra & (body == 0)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(pieces)
    touching = np.bincount(labels[cv2.dilate(body, np.ones((5, 5), np.uint8)) > 0], minlength=count)
    area = int((own > 127).sum())
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] > 0.002 * area and touching[k] > 0]
    if large:
        body |= cv2.dilate(np.isin(labels, large).astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8))
    return body > 0


def _second(masks: list[np.ndarray], more, less) -> np.ndarray:
    """Pixel by pixel the second of two to four masks in the order of `more` (second largest, or second smallest)."""
    first, second = more(masks[0], masks[1]), less(masks[0], masks[1])
    for mask in masks[2:]:
        second = more(second, less(first, mask))
        first = more(first, mask)
    return second


def _without_crumbs(mask: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """`mask` without small pieces that hang on nothing and hold none of `joints` [n, 2]."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 64).astype(np.uint8))
    if count <= 2:
        return mask
    area = stats[1:, cv2.CC_STAT_AREA]
    crumbs = 1 + np.flatnonzero(area < 0.05 * area.max())
    inside = joints[((joints >= 0) & (joints < mask.shape[::-1])).all(1)].astype(int)
    crumbs = np.setdiff1d(crumbs, labels[inside[:, 1], inside[:, 0]])
    return np.where(cv2.dilate(np.isin(labels, crumbs).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0, 0, mask).astype(np.uint8)


def _steadied(mask: np.ndarray, around: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """`mask` without what stands alone in time, with what only it lacks, its resting edges averaged.

    Neighbours are widened and narrowed by some pixels first, so that what merely moves is left alone.
    """
    if len(around) < 2:
        return mask
    reach = max(2, round(0.012 * max(mask.shape)))
    grown, shrunk = [], []
    for gap, other in around:
        kernel = np.ones((2 * reach * gap + 1,) * 2, np.uint8)
        grown.append(cv2.dilate(other, kernel))
        shrunk.append(cv2.erode(other, kernel))
    upper = _second(grown, cv2.max, cv2.min)  # at least two neighbours have it
    lower = _second(shrunk, cv2.min, cv2.max)  # all but one neighbour have it
    out = cv2.max(cv2.min(mask, cv2.max(lower, upper)), cv2.min(lower, upper))
    total, weight = 2 * out.astype(np.float32), np.full(mask.shape, 2, np.float32)
    for gap, other in around:
        close = cv2.convertScaleAbs(cv2.absdiff(other, out), alpha=2.65)  # 255 at a difference of 96
        close = (255 - close).astype(np.float32) * np.float32(1 / (255 * gap))
        total += close * other
        weight += close
    return (total / weight + 0.5).astype(np.uint8)
