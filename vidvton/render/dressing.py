"""What both engines do alike: dress the pieces of a clip, in worker processes where there are some, and tell of a poor track."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np

from vidvton.frames import from_arrays
from vidvton.values import Clip, PoseTrack

Task, Result = TypeVar("Task"), TypeVar("Result")
PIECE = 8  # frames read and dressed at a time
LEAST_FOR_WORKERS = 8  # a photo needs no processes
DOUBTFUL = 0.35  # quality of a frame below which the user is told


def dressed_pieces(
    pieces: Iterator[tuple[Clip, list[Task]]],
    here: Callable[[Task], Result],
    pool: Executor | None,
    in_worker: Callable[[Task], Result],
) -> Iterator[tuple[Clip, list[Result]]]:
    """`pieces` with what comes of their tasks, one a frame: by `here` without a `pool`, else by `in_worker` in its processes, a
    piece ahead of the one that is given out."""
    if pool is None:
        for clip, tasks in pieces:
            yield clip, [here(task) for task in tasks]
        return
    waiting: deque[tuple[Clip, list[Future[Result]]]] = deque()
    for clip, tasks in pieces:
        waiting.append((clip, [pool.submit(in_worker, task) for task in tasks]))
        if len(waiting) > 1:
            clip, jobs = waiting.popleft()
            yield clip, [job.result() for job in jobs]
    for clip, jobs in waiting:
        yield clip, [job.result() for job in jobs]


def with_frames(clip: Clip, frames: list[np.ndarray]) -> Clip:
    """`clip` with other `frames` [H, W, 3] uint8, as many."""
    return Clip(from_arrays(np.stack(frames)), clip.pts, clip.time_base)


def warnings_of(track: PoseTrack) -> tuple[str, ...]:
    """One sentence each about frames in which nobody, or hardly anybody, could be dressed."""
    lines, count = [], len(track)
    absent = int((~track.present).sum())
    if absent:
        lines.append(f"{absent} of {count} frames show nobody who could be dressed and were left as they are")
    doubtful = int((track.present & (track.quality < DOUBTFUL)).sum())
    if doubtful:
        lines.append(f"{doubtful} of {count} frames show the person so badly that the garment may sit wrong")
    return tuple(lines)
