"""What the network is told of a whole clip, drawn once at its size and kept in chunks of frames on disk.

All is drawn on the working crop of the analysis and laid on a canvas of the network's proportions (a little more of the frame
around the crop), so that what is told and what is seen lie on each other to the pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidvton.analysis import CHUNK, Shot, cut, spans
from vidvton.collate import (
    GREY,
    FrameConditions,
    GarmentConditions,
    conditions,
    crop_view,
    frame_conditions,
    whole_view,
)
from vidvton.frames import Letterbox, as_arrays, from_arrays, to_float, to_uint8
from vidvton.people.agnostic import GREY as AGNOSTIC_GREY
from vidvton.people.agnostic import make_agnostic
from vidvton.prepare import flatten
from vidvton.progress import Progress
from vidvton.render.composite import paste
from vidvton.render.warp_engine import unfade
from vidvton.render.worn import Worn
from vidvton.values import AgnosticFrames, Clip, Conditioning, PersonTrack
from vidvton.whole import open_arrays, write_arrays
from vidvton.workers import fork_workers, in_order, worker_context, worker_count

CONTEXT = 3  # frames on either side that an agnostic frame depends on
ROOM = 3  # working pixels around the warped garment that may be generated

Frames = Callable[[int], Iterator[Clip]]


@dataclass(frozen=True)
class Stage:
    """How a clip is shown to a network of (height, width) `size`: `boxes` [T, 4] the part of each source frame, `canvas` [T, 2]
    the (height, width) it is drawn at, `origin` [T, 2] (x, y) where the working crop lies on that canvas. `category` says what
    the region is for."""

    worn: Worn
    size: tuple[int, int]
    category: str
    boxes: np.ndarray
    canvas: np.ndarray
    origin: np.ndarray

    def letterbox(self, t: int) -> Letterbox:
        """How frame `t`'s canvas sits in the network's picture."""
        return Letterbox(tuple(self.canvas[t].tolist()), self.size)


def make_stage(worn: Worn, source: tuple[int, int], size: tuple[int, int], category: str) -> Stage:
    """The stage for frames of (height, width) `source`."""
    crops = worn.analysis.crops
    boxes = crop_view(torch.from_numpy(crops.boxes), source, size).boxes.numpy()
    ratio = (crops.sizes[:, 0] / (crops.boxes[:, 3] - crops.boxes[:, 1]))[:, None]
    origin = np.rint((crops.boxes[:, :2] - boxes[:, :2]) * ratio).astype(np.int64)
    extent = np.rint((boxes[:, 2:] - boxes[:, :2]) * ratio).astype(np.int64)
    # Rounding may differ from frame to frame of a shot: one canvas holds them all.
    canvas = np.maximum(extent, origin + crops.sizes[:, ::-1])[:, ::-1].copy()
    for shot in worn.analysis.shots:
        canvas[shot.start : shot.stop] = canvas[shot.start : shot.stop].max(0)
    return Stage(worn, size, category, boxes, canvas, origin)


def write_conditions(stage: Stage, folder: Path, frames: Frames) -> Iterator[Progress]:
    """Draw what is missing in `folder`, chunk by chunk, a process for every core."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = [s for s in stage.worn.analysis.shots if s.body is not None]
    todo = [(s, a, b) for s in shots for a, b in spans(s.start, s.stop) if not _path(folder, a).exists()]
    total = sum(s.stop - s.start for s in shots)
    done = total - sum(b - a for _, a, b in todo)
    yield Progress("conditions", done, total)
    if not todo:
        return
    tasks = _tasks(stage, todo, frames)
    if worker_count() == 1 or total <= CHUNK:
        for task in tasks:
            done += _draw_chunk(stage, folder, task)
            yield Progress("conditions", done, total)
        return
    cv2.setNumThreads(1)  # a fork must not inherit a pool of threads that are not there
    with fork_workers(worker_count(), (stage, folder)) as pool:
        for count in in_order(pool, _draw_in_worker, tasks, ahead=worker_count() + 1):
            done += count
            yield Progress("conditions", done, total)


@dataclass(frozen=True)
class _Task:
    """Frames `low` to `high` of a shot; pictures of frames `first` onwards: working `crops`, and of the chunk itself `wides`."""

    low: int
    high: int
    first: int
    crops: list[np.ndarray]
    wides: list[np.ndarray]


def _tasks(stage: Stage, todo: list[tuple[Shot, int, int]], frames: Frames) -> Iterator[_Task]:
    """The chunks with the pictures they need, reading the clip once."""
    held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    position = max(todo[0][0].start, todo[0][1] - CONTEXT)
    stream = (f for clip in frames(position) for f in as_arrays(clip.frames))
    for shot, low, high in todo:
        first, last = max(shot.start, low - CONTEXT), min(shot.stop, high + CONTEXT)
        while position < last:
            frame = next(stream)
            if position >= first:
                wide = cut(frame, stage.boxes[position], stage.canvas[position])
                held[position] = stage.worn.small(position, frame), unfade(wide, *stage.worn.fade(position)).copy()
            position += 1
        yield _Task(low, high, first, [held[t][0] for t in range(first, last)], [held[t][1] for t in range(low, high)])
        held = {t: pictures for t, pictures in held.items() if t >= high - CONTEXT}


def _draw_in_worker(task: _Task) -> int:
    torch.set_num_threads(1)
    stage, folder = worker_context()
    return _draw_chunk(stage, folder, task)


def _draw_chunk(stage: Stage, folder: Path, task: _Task) -> int:
    """One chunk drawn and stored; how many frames that were."""
    analysis, last = stage.worn.analysis, task.first + len(task.crops)
    labels = analysis.labels(task.first, last)
    pose = analysis.crops.pose(analysis.track, task.first, last)
    clip = Clip(from_arrays(np.stack(task.crops)), torch.arange(len(labels)), Fraction(1, 25))
    agnostic = make_agnostic(clip, PersonTrack(pose, torch.from_numpy(np.stack(labels))), stage.category)
    count, size = task.high - task.low, tuple(stage.canvas[task.low].tolist())
    grey, start = np.stack(task.wides), np.stack(task.wides)
    region = np.zeros((count, *size), bool)
    points = np.zeros((count, 33, 3), np.float32)
    blobs = []
    for k, t in enumerate(range(task.low, task.high)):
        small, mask = task.crops[t - task.first], agnostic.region[t - task.first, 0].numpy()
        (left, top), (height, width) = stage.origin[t], mask.shape
        place = slice(top, top + height), slice(left, left + width)
        start[k][place], cloth = _dressed(stage.worn, t, small, labels[t - task.first])
        if cloth is not None:
            mask = mask | _room_for(cloth, labels[t - task.first] == 0)
        grey[k][place] = np.where(mask[..., None], np.uint8(AGNOSTIC_GREY), small)
        region[k][place] = mask
        points[k] = pose.keypoints[t - task.first].numpy()
        points[k, :, :2] += stage.origin[t]
        blobs.append(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())
    view = whole_view(count, size, stage.size)
    told = frame_conditions(
        AgnosticFrames(from_arrays(grey), torch.from_numpy(region)[:, None], torch.ones(count)),
        torch.from_numpy(points),
        from_arrays(start),
        view,
    )
    _store(_path(folder, task.low), told, view.apply(from_arrays(start), fill=GREY), blobs)
    return count


def _dressed(worn: Worn, t: int, small: np.ndarray, labels: np.ndarray):
    """(the working crop as the warp dresses it, alpha [h, w] of the new cloth alone or None)."""
    if not worn.seen(t):
        return small, None
    drawn = worn.draw(t, small, labels, small.shape[:2])
    out = small
    for piece in drawn:
        out = paste(out, piece)
    return out, flatten(drawn, small.shape[:2], under=False)[1][0].numpy()


def _room_for(cover: np.ndarray, background: np.ndarray) -> np.ndarray:
    """[h, w] bool: where the warped garment `cover` [h, w] 0-1 lies, and a little of the `background` [h, w] bool around it: a
    skirt may flare far beyond the body and the old garment, which are all that an agnostic region knows of."""
    there = cover > 0.5
    around = cv2.dilate(there.astype(np.uint8), np.ones((2 * ROOM + 1,) * 2, np.uint8)) > 0
    return there | (around & background)


def _store(path: Path, told: FrameConditions, start: Tensor, blobs: list[bytes]) -> None:
    arrays = {name: to_uint8(getattr(told, name)).numpy() for name in ("agnostic", "region", "warped")}
    arrays |= {"pose": told.pose.numpy(), "start": to_uint8(start).numpy()}
    arrays |= {"ends": np.cumsum([len(b) for b in blobs]), "masks": np.frombuffer(b"".join(blobs), np.uint8)}
    write_arrays(path, arrays)


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:08d}.npz"


class Conditions:
    """What `write_conditions` left in `folder`: a `tryon.Source`, and the masks for pasting back."""

    def __init__(self, stage: Stage, folder: Path, garments: GarmentConditions, *, hint: bool = True) -> None:
        self._stage, self._folder, self._garments, self._hint = stage, folder, garments, hint

    def conditioning(self, start: int, stop: int) -> Conditioning:
        """See `tryon.Source`; the span lies within one shot."""
        rows = self._rows(start, stop, ("agnostic", "region", "pose", "warped"))
        parts = [torch.from_numpy(rows[name]) for name in FrameConditions._fields]
        per_frame = FrameConditions(*(to_float(part) if part.dtype == torch.uint8 else part for part in parts))
        if not self._hint:
            per_frame = per_frame._replace(warped=torch.zeros_like(per_frame.warped))
        return conditions(per_frame, self._garments)

    def beginning(self, start: int, stop: int) -> Tensor:
        """See `tryon.Source`: the frames as the warp engine would dress them."""
        return to_float(torch.from_numpy(self._rows(start, stop, ("start",))["start"]))[None] * 2 - 1

    def masks(self, start: int, stop: int) -> list[np.ndarray | None]:
        """The region [h, w] bool of each frame on its working crop, None in shots that show nobody."""
        out: list[np.ndarray | None] = [None] * (stop - start)
        for low, high in self._chunks(start, stop):
            with open_arrays(_path(self._folder, low)) as stored:
                ends, data = stored["ends"], stored["masks"].tobytes()
            for t in range(max(low, start), min(high, stop)):
                first = int(ends[t - low - 1]) if t > low else 0
                blob = np.frombuffer(data[first : int(ends[t - low])], np.uint8)
                out[t - start] = cv2.imdecode(blob, cv2.IMREAD_UNCHANGED) > 0
        return out

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        for shot in self._stage.worn.analysis.shots:
            if shot.body is not None:
                yield from ((a, b) for a, b in spans(shot.start, shot.stop) if a < stop and b > start)

    def _rows(self, start: int, stop: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for low, _ in self._chunks(start, stop):
            with open_arrays(_path(self._folder, low)) as stored:
                for name in names:
                    pieces[name].append(stored[name][max(0, start - low) : stop - low])
        return {name: np.concatenate(parts) for name, parts in pieces.items()}
