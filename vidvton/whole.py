"""Files that are whole or absent."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_READING = threading.RLock()


def _read_anew() -> None:
    global _READING
    _READING = threading.RLock()


os.register_at_fork(after_in_child=_read_anew)  # the thread that held it is not in the child


@contextmanager
def open_arrays(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of an npz file by name, each read when it is asked for, nothing pickled; the errors of `numpy.load`.

    One thread at a time: numpy parses headers as Python, and where the garbage collector runs Python code in the middle of
    it, two threads at once are a SystemError in Python 3.11 (python/cpython#106905).
    """
    with _READING, np.load(path, allow_pickle=False) as stored:
        yield stored


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an npz file beside its place and renames it. OSError where it cannot be written; then nothing of it is left.

    It is made in memory first: a zip file whose disk is full complains once more, on stderr, when it is forgotten.
    """
    made = io.BytesIO()
    np.savez(made, **arrays)
    beside = path.with_suffix(".part")
    try:
        beside.write_bytes(made.getbuffer())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
