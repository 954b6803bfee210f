"""A run's folder: who works in it, what it was begun with, and where everything lies.

RUN/config.yaml               the configuration, whole, as the newest start that did a step read it
RUN/model.yaml                the network's
RUN/data.json                 the sets it learns from, see data_record.py
RUN/metrics.jsonl             the journal
RUN/checkpoints/step-*/       see checkpoint.py
RUN/samples/step-*.png        strips
RUN/model/                    the newest finished stage's averaged weights as a bundle, for vidvton render --model
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vidvton.config import Strict, parse_config, write_config
from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.files import disk_errors, written_beside
from vidvton.models.config import ModelConfig

from .checkpoint import steps_in
from .config import TrainConfig, as_long_as, differing_keys
from .data_record import Record, check_record, write_record
from .processes import Processes

LOCK, RECORD = "vidvton-train.lock", "data.json"


@dataclass(frozen=True)
class RunFolder:
    """Places in a run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def model(self) -> Path:
        return self.path / "model"


@contextmanager
def open_run(path: Path, config: TrainConfig, model: ModelConfig, processes: Processes) -> Iterator[RunFolder]:
    """The folder at `path` for the run that `config` and `model` describe, locked by the first process while the context lasts.
    Nothing is said in it of the run until `write_settings` is called.

    MisuseError where it holds a run of other settings (naming the keys that differ), anything that is not a run, or is being
    worked in.
    """
    check_run(path, config, model)
    handle = None
    if processes.is_first:
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise MisuseError(f"another run is working in {path}; wait for it, or choose another --out") from error
    processes.wait()
    try:
        yield RunFolder(path)
    finally:
        if handle is not None:
            os.close(handle)


def write_settings(path: Path, config: TrainConfig, model: ModelConfig, record: Record) -> None:
    """Writes what the run in folder `path` is made from, for later starts to be held to. VidvtonError where the disk refuses."""
    texts = {"config.yaml": write_config(config), "model.yaml": write_config(model), RECORD: write_record(record)}
    for name, text in texts.items():
        with written_beside(path / name, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")


def has_begun(path: Path) -> bool:
    """Whether a run in folder `path` has saved a checkpoint, whole or not."""
    return bool(steps_in(RunFolder(path).checkpoints))


def check_run(path: Path, config: TrainConfig, model: ModelConfig) -> None:
    """MisuseError where `path` is no place for this run; writes nothing. A run that never saved a checkpoint binds nobody."""
    if path.exists() and not path.is_dir():
        raise MisuseError(f"{path} is a file; give a folder for the run with --out")
    if path.is_dir() and any(path.iterdir()) and not (path / LOCK).exists():
        raise MisuseError(f"{path} is not empty and holds no run; give an empty or a new folder with --out")
    if not has_begun(path):
        return
    differing = [*_differing(path / "config.yaml", config), *(f"model.{text}" for text in _differing(path / "model.yaml", model))]
    if differing:
        keys = "; ".join(differing[:6]) + (f" and {len(differing) - 6} more" if len(differing) > 6 else "")
        raise MisuseError(f"{path} was begun with other settings ({keys}); give those again, or another --out")


def _differing(path: Path, now: Strict) -> list[str]:
    if not path.exists():
        return []
    try:
        before = parse_config(path.read_text(encoding="utf-8"), type(now), name=str(path))
    except VidvtonError as error:
        raise MisuseError(f"the run's own settings cannot be read ({error}); choose another --out") from error
    if isinstance(before, TrainConfig) and isinstance(now, TrainConfig):
        before = as_long_as(before, now)
    return differing_keys(before.model_dump(mode="json"), now.model_dump(mode="json"))


def check_data(path: Path, record: Record) -> list[str]:
    """What to say of going on in folder `path` with the sets of `record`; writes nothing. MisuseError as `check_record`."""
    return check_record(path / RECORD, record) if has_begun(path) else []
