"""How a run was started: one process, or many under torchrun or accelerate launch; what they compute in and who they tell."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from vidvton.errors import MisuseError

from .processes import Processes

TRACKERS = ("tensorboard", "wandb")
_KINDS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Launch:
    """The processes of a run and accelerate's hold on them. `sharded` says that accelerate was told to shard (FSDP), `tracker`
    which of TRACKERS is told how it goes, if any, with its files in folder `diary`."""

    accelerator: Accelerator
    processes: Processes
    sharded: bool = False
    tracker: str | None = None
    diary: Path | None = None

    def open_tracker(self, settings: Mapping[str, Any]) -> None:
        """Opens the tracker, if there is one, with the run's `settings`; before this nothing is written."""
        if self.tracker is None:
            return
        options = {}
        if self.tracker == "wandb" and self.diary is not None:  # it does not take project_dir
            self.diary.mkdir(parents=True, exist_ok=True)
            options = {"wandb": {"dir": str(self.diary)}}
        self.accelerator.init_trackers("vidvton", config=_flat(settings), init_kwargs=options)

    def track(self, values: Mapping[str, Any], step: int) -> None:
        """Tells the tracker, if one is open."""
        self.accelerator.log(dict(values), step=step)

    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """Shows the tracker, if one is open that takes pictures, `picture` [H, W, 3] uint8 RGB under `name`."""
        for tracker in self.accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({name: picture[None]}, step, dataformats="NHWC")
            elif hasattr(tracker, "log_images"):
                tracker.log_images({name: [picture]}, step)

    def end(self) -> None:
        """Closes the tracker and takes leave of the other processes."""
        self.accelerator.end_training()


def check_tracker(tracker: str | None) -> None:
    """MisuseError for a tracker that is neither None nor one of TRACKERS, or not installed."""
    if tracker is None:
        return
    if tracker not in TRACKERS:
        raise MisuseError(f"the tracker {tracker!r} is not known, expected {' or '.join(TRACKERS)}")
    if importlib.util.find_spec(tracker) is None:
        raise MisuseError(f"--tracker {tracker} needs the package {tracker}; install it with: pip install 'vidvton[track]'")


def launch(*, tracker: str | None = None, out: Path | None = None) -> Launch:
    """Joins the other processes, if any, for a run in folder `out` that will tell `tracker` (one of TRACKERS). MisuseError as
    `check_tracker`."""
    check_tracker(tracker)
    diary = None if out is None else out / "tracker"
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="no",  # computing_in does it, the same with and without accelerate
        log_with=tracker,
        project_dir=None if diary is None else str(diary),
    )
    processes = Processes(accelerator.process_index, accelerator.num_processes, accelerator.device)
    # On a CPU accelerate turns FSDP into DDP without a word; the wish stands in the environment all the same.
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")
    return Launch(accelerator, processes, sharded, tracker, diary)


def computing_in(precision: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """Opens the context in which layers compute in `precision` (weights stay float32)."""
    kind = _KINDS[precision]
    return nullcontext if kind is None else lambda: torch.autocast(device.type, dtype=kind)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | float | int | bool]:
    """Nested settings as trackers want them: one level, plain values."""
    out: dict[str, str | float | int | bool] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value if isinstance(value, str | float | int | bool) else str(value)
    return out
