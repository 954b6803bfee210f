"""The weights a run begins with: a model folder, or a checkpoint of another run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.bundle import load_bundle, read_model_config
from vidvton.models.config import ModelConfig

from .checkpoint import averaged, find_newest, read_architecture, steps_in, verify


def find_start(path: Path) -> Path:
    """The folder whose weights `path` means: a model folder (`vidvton render --model`), one checkpoint
    (RUN/checkpoints/step-...), or RUN/checkpoints, of which the newest that verifies is taken.

    MisuseError where there is no such folder or it holds none of the three; VidvtonError for a checkpoint that is damaged.
    """
    if not path.is_dir():
        raise MisuseError(f"start_from names {path}, which is no model folder; give one, or a run's checkpoints")
    if _is_checkpoint(path):
        damage = verify(path)
        if damage is not None:
            raise VidvtonError(f"start_from names the checkpoint {path}, and {damage}; give another one")
        return path
    if steps_in(path):
        newest, notes = find_newest(path)
        if newest is None:
            raise VidvtonError(f"start_from names {path}, and none of its checkpoints verifies ({notes[0]}); give another folder")
        return newest
    if (path / "checkpoints").is_dir():
        raise MisuseError(f"start_from names the run {path}; give {path / 'model'} or {path / 'checkpoints'}")
    return path


def read_settings(folder: Path) -> ModelConfig:
    """The architecture of what `find_start` found. MisuseError for a folder that is no model folder."""
    return read_architecture(folder) if _is_checkpoint(folder) else read_model_config(folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of what `find_start` found, on the CPU as float32; of a checkpoint the averaged ones, as its run would export.
    Errors as `load_bundle`."""
    if _is_checkpoint(folder):
        stored = averaged(folder)
        return {name: stored.whole(name) for name in stored.names()}
    return load_bundle(folder, device="cpu", dtype=torch.float32).state_dict()


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "state.json").is_file()
