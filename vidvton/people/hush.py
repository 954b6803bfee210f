"""Quiet while C++ sets itself up."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_stderr = -1


@contextmanager
def hush() -> Iterator[None]:
    """Sends what is written to file 2, by anybody in this process, nowhere until the last thread inside has left."""
    global _inside, _stderr
    with _lock:
        if not _inside:
            _stderr = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                os.dup2(_stderr, 2)
                os.close(_stderr)
