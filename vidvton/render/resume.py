"""The work folder of a render: who owns it, whether what lies in it still fits, and which segments are done."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import MisuseError, VidvtonError
from ..media.files import check_writable, remove, written_beside

LOCK = "vidvton-work.lock"
"""Its presence marks a folder as ours: nothing is ever deleted in a folder without it."""

_IDENTITY = "identity.json"
_PUBLISHED = "published.json"
_PROBE = 1 << 20


@dataclass(frozen=True)
class WorkFolder:
    """A folder this process alone works in. `resumed` says that an unfinished run of the same render left something in it."""

    path: Path
    resumed: bool
    notes: tuple[str, ...]

    @property
    def analysis(self) -> Path:
        """Where the engine keeps what it found out."""
        return self.path / "analysis"

    @property
    def segments(self) -> Path:
        """Where finished spans of frames wait to be joined."""
        return self.path / "segments"


@contextmanager
def open_work(path: Path, identity: dict[str, object]) -> Iterator[WorkFolder]:
    """The work folder at `path` for the render that `identity` (JSON values) describes, locked while the context lasts.

    What another identity left there is deleted, and `notes` says so. MisuseError where `path` holds anything that is not ours;
    VidvtonError where another run is working in it or it cannot be made.
    """
    identity = json.loads(json.dumps(identity))
    lock = _lock(path)
    try:
        before = _read_json(path / _IDENTITY)
        notes: tuple[str, ...] = ()
        if before != identity:
            if before is not None:
                notes = (f"starting afresh: {_difference(before, identity)} since the unfinished run in {path}",)
            _empty(path)
            _furnish(path, identity)
        for folder in ("analysis", "segments"):
            (path / folder).mkdir(exist_ok=True)
        resumed = before == identity and any(any(folder.iterdir()) for folder in (path / "analysis", path / "segments"))
        yield WorkFolder(path, resumed, notes)
    finally:
        os.close(lock)


def peek_work(path: Path, identity: dict[str, object]) -> int | None:
    """How many finished segments an unfinished run of this very render left at `path`; None where there was none."""
    if _read_json(path / _IDENTITY) != json.loads(json.dumps(identity)):
        return None
    return sum(1 for _ in (path / "segments").glob("*.json"))


def publish(work: WorkFolder, joined: Path, output: Path, *, overwrite: bool) -> None:
    """Move the finished `joined` out of the work folder to `output`, leaving a note by which `was_published` knows it again.

    A run killed between this and the end of its work is thereby told from somebody else's file of that name.
    """
    write_json(work.path / _PUBLISHED, identify(joined))
    check_writable(output, overwrite=overwrite)
    try:
        if output.is_dir():
            raise OSError(errno.EXDEV, "folders are replaced the careful way")
        joined.replace(output)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with written_beside(output, overwrite=overwrite) as part:
            shutil.move(joined, part)


def was_published(path: Path, identity: dict[str, object], output: Path) -> bool:
    """Whether `output` is what a killed run of this very render, at work in `path`, had already put there."""
    if not output.exists() or _read_json(path / _IDENTITY) != json.loads(json.dumps(identity)):
        return False
    return _read_json(path / _PUBLISHED) == identify(output)


def remove_work(work: WorkFolder) -> None:
    """Delete the folder and all in it; only inside its `open_work`."""
    _remove(work.path)


def _remove(path: Path) -> None:
    _empty(path)
    (path / LOCK).unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # a second run may be waiting at the door
            raise


def remove_stale_parts(output: Path) -> None:
    """Delete what runs that were killed while they wrote `output` left beside it (`.NAME.part-PID.SUFFIX`, PID gone)."""
    pattern = re.compile(rf"\.{re.escape(output.stem)}\.part-(\d+){re.escape(output.suffix)}")
    for path in output.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match is not None and not Path(f"/proc/{match[1]}").exists():
            remove(path)


def identify(path: Path) -> dict[str, object]:
    """What tells one version of a file or folder from another without reading all of it: size, time, first and last megabyte."""
    if path.is_dir():
        entries = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(path.iterdir()) if p.is_file()]
        return {"files": len(entries), "listing": hashlib.sha256(json.dumps(entries).encode()).hexdigest()}
    stat = path.stat()
    with path.open("rb") as file:
        head = file.read(_PROBE)
        file.seek(max(0, stat.st_size - _PROBE))
        tail = file.read(_PROBE)
    return {
        "bytes": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
        "head": hashlib.sha256(head).hexdigest(),
        "tail": hashlib.sha256(tail).hexdigest(),
    }


@dataclass(frozen=True)
class Grid:
    """The fixed division of `num_frames` frames into segments of `size`: the same whatever was done before."""

    num_frames: int
    size: int

    def __len__(self) -> int:
        return -(-self.num_frames // self.size)

    def span(self, index: int) -> tuple[int, int]:
        """(start, stop) in frames of segment `index`."""
        return index * self.size, min((index + 1) * self.size, self.num_frames)

    def missing(self, done: Collection[int]) -> list[tuple[int, int]]:
        """The runs of segments not in `done`, each (first, one past the last), in order."""
        runs: list[tuple[int, int]] = []
        for index in range(len(self)):
            if index in done:
                continue
            if runs and runs[-1][1] == index:
                runs[-1] = (runs[-1][0], index + 1)
            else:
                runs.append((index, index + 1))
        return runs


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON whole or not at all: beside, to the disk, then renamed."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _read_json(path: Path) -> dict[str, object] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _furnish(path: Path, identity: dict[str, object]) -> None:
    """Make an empty work folder ready, or unmake it where the disk refuses."""
    try:
        (path / "analysis").mkdir()
        (path / "segments").mkdir()
        write_json(path / _IDENTITY, identity)
    except OSError:
        _remove(path)
        raise


def _lock(path: Path) -> int:
    """An open, locked file descriptor of the folder's lock file; the kernel lets go of it however this process ends."""
    for _ in range(50):
        try:
            path.mkdir(exist_ok=True)
            if not (path / LOCK).exists() and any(path.iterdir()):
                raise MisuseError(f"{path} holds other files, expected an empty or new folder for --work")
            file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileExistsError:
            raise MisuseError(f"{path} is a file, expected a folder for --work") from None
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise MisuseError(f"{path.parent} is not a folder, so the work folder {path.name} cannot be made in it") from None
            continue  # the run before us is just tidying up
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise VidvtonError(f"the work folder {path} cannot be written (no permission); give another with --work") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise VidvtonError(f"another run is at work in {path}; wait for it, or give another folder with --work") from None
        try:
            if os.fstat(file).st_ino == (path / LOCK).stat().st_ino:
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # deleted between our opening and locking it
    raise VidvtonError(f"the work folder {path} cannot be made where it would stand; give another with --work")


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _difference(before: dict[str, object], now: dict[str, object]) -> str:
    """What differs between two identities, in words ("source and settings changed")."""
    keys = [key for key in now if before.get(key) != now.get(key)] or ["the request"]
    return (keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]) + " changed"
