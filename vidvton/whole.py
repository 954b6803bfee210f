"""Files that are whole or absent."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np


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
