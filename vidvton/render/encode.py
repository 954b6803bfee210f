"""The thread that encodes: finished pieces in, closed segment files and their digests out."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import VidvtonError
from ..frames import as_arrays
from ..values import Clip
from .outputs import Output
from .resume import Grid, write_json

DEPTH = 4
"""Pieces that may wait to be encoded: enough to even out the stages, few enough not to fill the memory."""

_Item = tuple[int, Clip, bool]


class Encoder:
    """Writes pieces into segments of `folder` in a thread of its own; a context manager.

    `put` waits while the queue is full and raises what went wrong in the thread; `finish` waits for the last segment. Left by an
    error, it drops the segment that is not finished. `busy` is the time in seconds spent encoding.
    """

    def __init__(self, folder: Path, output: Output) -> None:
        self._folder, self._output = folder, output
        self._queue: queue.Queue[_Item | None] = queue.Queue(DEPTH)
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)
        self.busy = 0.0

    def __enter__(self) -> Encoder:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def put(self, index: int, piece: Clip, ends: bool) -> None:
        """Hand over the next piece of segment `index`; `ends` says that the segment is complete with it."""
        self._push((index, piece, ends))

    def finish(self) -> None:
        """Wait until everything handed over is written."""
        self._push(None)
        while self._thread.is_alive():
            self._thread.join(0.2)
        if self._failure is not None:
            raise self._failure

    def digests(self, grid: Grid) -> list[str]:
        """The SHA-256 of each segment's frames before encoding, in order."""
        return [str(_facts(self._folder, index)["digest"]) for index in range(len(grid))]

    def _push(self, item: _Item | None) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                return self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue

    def _items(self) -> Iterator[_Item]:
        while True:
            try:
                item = self._queue.get(timeout=0.2)
            except queue.Empty:
                if self._stop.is_set():
                    raise _Stopped from None
                continue
            if item is None:
                return
            if self._stop.is_set():
                raise _Stopped
            yield item

    def _run(self) -> None:
        try:
            items = self._items()
            for first in items:
                self._write_segment(first, items)
        except _Stopped:
            pass
        except BaseException as error:  # carried over to the thread that waits
            self._failure = error

    def _write_segment(self, first: _Item, rest: Iterator[_Item]) -> None:
        index, frames, digest = first[0], 0, hashlib.sha256()
        path = self._output.segment(self._folder, index)
        with self._output.open_segment(path) as writer:
            item = first
            while True:
                began = time.monotonic()
                digest.update(np.ascontiguousarray(as_arrays(item[1].frames)))
                writer.write(item[1])
                self.busy += time.monotonic() - began
                frames += len(item[1])
                if item[2]:
                    break
                item = next(rest, None)
                if item is None or item[0] != index:
                    raise VidvtonError(f"segment {index} was left after {frames} frames; this is a fault of vidvton")
            began = time.monotonic()
        write_json(self._folder / f"{index:06}.json", {"frames": frames, "digest": digest.hexdigest()})
        self.busy += time.monotonic() - began


class _Stopped(Exception):
    """The other side has gone."""


def done_segments(folder: Path, grid: Grid, output: Output) -> list[int]:
    """The segments of `grid` that lie finished in `folder`, in order."""
    done = []
    for index in range(len(grid)):
        start, stop = grid.span(index)
        if output.segment(folder, index).exists() and _facts(folder, index).get("frames") == stop - start:
            done.append(index)
    return done


def _facts(folder: Path, index: int) -> dict[str, object]:
    """What stands beside a finished segment; empty where it is not finished."""
    try:
        facts = json.loads((folder / f"{index:06}.json").read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
