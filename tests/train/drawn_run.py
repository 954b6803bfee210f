"""Small runs on drawn sets, for tests: configurations, training to a step, and what a checkpoint holds."""

from __future__ import annotations

from pathlib import Path

import torch
from drawn_set import write_set
from torch import Tensor

from vidvton.train.checkpoint import TensorFile, find_newest
from vidvton.train.launch import Launch, launch
from vidvton.train.loop import train
from vidvton.train.plan import open_plan, read_plan

MODEL = """
size: [32, 32]
frames: 8
patch: 8
widths: [16, 16, 16]
strides: [1, 1, 1]
blocks: [1, 1, 1]
encoder_widths: [16, 16, 16]
encoder_blocks: [1, 1, 1]
dit_blocks: 1
head_width: 16
embedding_width: 16
"""
RUN = """
model: model.yaml
data: {train: [train], validation: [held], workers: 0}
log_every: 1
save: {every: 1, keep: 2}
validate_on: {every: 4, clips: 1, strips: 1, steps: 1, levels: [0.5]}
optimizer: {eps: 1.0e-4}  # below it a gradient is rounding, which Adam would blow up to a whole step
defaults: {batch: 4, rate: 1.0e-2, warmup: 1}
stages:
  - {name: image, frames: 1, size: [32, 32], steps: 2}
  - {name: video, frames: 4, size: [32, 32], steps: 2, temporal_first: 1, images: 0.5, accumulate: 2}
  - {name: halved, frames: 8, size: [32, 32], steps: 2, images: 0.0, temporal_halving: true, loss: {temporal: 0.5}}
"""
LIGHT = RUN.replace("save: {every: 1, keep: 2}", "save: {every: 99}").replace("validation: [held], ", "")
"""The same run, which saves at the ends of its stages alone and does not look at held-out clips."""


def write_run(folder: Path, text: str = RUN, *, model: str = MODEL) -> Path:
    """run.yaml with its network and drawn sets beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "train").exists():
        write_set(folder / "train", clips=5)
        write_set(folder / "held", clips=2, seed=50)
    (folder / "model.yaml").write_text(model)
    (folder / "run.yaml").write_text(text)
    return folder / "run.yaml"


def run(config: Path, out: Path, *, until: int | None = None, start: Launch | None = None) -> list[str]:
    """Trains `config` into `out`, in this process, and returns what was said; with `until` it stops dead after that step."""
    settings, model = read_plan(config)
    said = []
    start = start or launch()
    for note in train(open_plan(settings, model, world_size=start.processes.count), out, start):
        said.append(note.text)
        if until is not None and note.text.startswith(f"step {until + 1}/"):
            break  # step until + 1 is done, and not yet saved
    return said


def tensors(out: Path) -> dict[str, Tensor]:
    """Everything in the newest checkpoint of a run: weights, moments, average."""
    folder, skipped = find_newest(out / "checkpoints")
    assert folder is not None and not skipped
    found = {}
    for stem in ("model", "optimizer", "ema"):
        stored = TensorFile(folder, stem)
        found |= {f"{stem}/{name}": stored.whole(name) for name in stored.names()}
    return found


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """Names whose tensors are not equal bit for bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]
