"""Memory for large activations that is kept instead of given back: on Linux every fresh block costs page faults."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt's names in malloc.h
_PAD = 64 << 20


def keep_memory() -> bool:
    """Ask glibc to serve large blocks from a heap that it does not give back; True where it agreed (Linux with glibc).

    A network's activations are allocated anew in every layer; by default each above 128 KiB is its own mapping, whose pages the
    kernel must clear again. Call it before torch is imported: transparent huge pages are asked for through torch's own switch.
    The process then keeps its peak of memory until it ends.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, -1), mallopt(_TOP_PAD, _PAD)])
