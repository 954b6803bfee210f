"""Outputs are whole or absent: written beside, named last."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vidvton.errors import MisuseError, VidvtonError


def check_writable(path: Path, *, overwrite: bool) -> None:
    """MisuseError where `path` exists (without `overwrite`) or has no folder; VidvtonError where it may not be written."""
    if path.exists() and not overwrite:
        raise MisuseError(f"{path} exists already; choose another name or give --overwrite")
    folder = path.parent
    if not folder.is_dir():
        raise MisuseError(f"there is no folder {folder} to write {path.name} in; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise VidvtonError(f"the folder {folder} cannot be written to (no permission); choose another place for {path.name}")


def part_path(path: Path) -> Path:
    """The name `path` bears while it is being written: in the same folder, hidden, with the same suffix."""
    return path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def settle(part: Path, path: Path) -> None:
    """Give the finished `part` its final name, flushed to disk first; an older `path` is replaced."""
    if part.is_dir():
        if path.exists():
            old = path.with_name(f".{path.name}.old-{os.getpid()}")
            os.replace(path, old)
            os.replace(part, path)
            remove(old)
            return
    else:
        with open(part, "rb") as written:
            os.fsync(written.fileno())
    os.replace(part, path)


@contextlib.contextmanager
def written_beside(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A name to write to, beside `path`; it becomes `path` when the block ends well and is removed when it does not."""
    check_writable(path, overwrite=overwrite)
    part = part_path(path)
    try:
        with disk_errors(path):
            yield part
            settle(part, path)
    finally:
        remove(part)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals while writing `path` into one sentence."""
    try:
        yield
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            raise VidvtonError(f"the disk is full, {path} could not be written; free some space and try again") from problem
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise VidvtonError(f"{path} could not be written (no permission); choose another place") from problem
        raise VidvtonError(f"{path} could not be written ({problem.strerror or problem}); choose another place") from problem
