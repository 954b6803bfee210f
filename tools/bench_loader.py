"""How fast training data is loaded, against what a training step of the tiny network consumes; and what frames are best kept as.

.venv/bin/python tools/bench_loader.py load [--set FOLDER] [--workers 1] [--rounds 5]
.venv/bin/python tools/bench_loader.py codecs [--set FOLDER]

Loaded is what training loads, by its own code: the stages of configs/train/studio.yaml with its augmentation, noise and withheld
conditions. Loading and stepping take turns, each on one thread, and processor time is compared, so that a busy machine disturbs
both alike.
Without --set a small studio set is made and prepared first.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from vidvton.diffusion.schedule import diffuse, to_level
from vidvton.frames import as_arrays
from vidvton.media.film import write_film
from vidvton.media.random_access import open_film
from vidvton.models.config import ModelConfig
from vidvton.studio import SetPlan
from vidvton.train.config import Stage, TrainConfig
from vidvton.train.dataset import Dataset, open_dataset
from vidvton.train.from_studio import from_studio, studio_folders
from vidvton.train.loader import Parts, Ready, Sets
from vidvton.train.network import Pass, build, settings_for
from vidvton.train.plan import read_plan

CONFIG = Path(__file__).resolve().parents[1] / "configs/train/studio.yaml"


def parts_of(config: TrainConfig, data: Dataset, number: int, count: int) -> Parts:
    """What a loader's workers are given in training: `count` steps of stage `number`, drawn, changed, withheld and noised as its
    configuration says, for one process."""
    return Parts(config, Sets(data, data).for_stage(config.stages[number]), number, 0, count, 0, 1)


def stepper(model: ModelConfig, stage: Stage) -> Callable[[Ready], None]:
    """A training step: forward in bf16, loss, backward, AdamW."""
    network = build(settings_for(model, stage), 0)
    passing, optimizer = Pass(network), torch.optim.AdamW(network.parameters(), lr=1e-5)

    def step(ready: Ready) -> None:
        x = diffuse(ready.batch.target * 2 - 1, ready.noise, ready.sigma)
        with torch.autocast("cpu", torch.bfloat16):
            out = passing(x, to_level(ready.sigma), ready.batch.conditioning)
        (out.float() - ready.batch.target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def load(data: Dataset, workers: int, rounds: int) -> None:
    torch.set_num_threads(1)
    config, model = read_plan(CONFIG)
    config = config.model_copy(update={"stages": tuple(stage.model_copy(update={"images": 0.0}) for stage in config.stages)})
    print(
        f"{len(data)} samples; frames, size, batch   load ms/frame   step ms/frame   ratio   frames/s on one core, with workers"
    )
    for number, stage in enumerate(config.stages):
        parts, step, each = parts_of(config, data, number, 1 + rounds), stepper(model, stage), stage.frames * stage.batch
        step(parts[0])
        spent: dict[str, list[float]] = {"load": [], "step": []}
        for turn in range(1, 1 + rounds):
            begun = time.process_time()
            ready = parts[turn]
            loaded = time.process_time()
            step(ready)
            spent["load"].append(1000 * (loaded - begun) / each)
            spent["step"].append(1000 * (time.process_time() - loaded) / each)
        loading, stepping = (statistics.median(spent[word]) for word in ("load", "step"))
        many = parts_of(config, data, number, 4 + max(4, 64 // each))
        begun = None
        for turn, _ in enumerate(DataLoader(many, batch_size=None, num_workers=workers)):  # type: ignore[arg-type]
            begun = time.perf_counter() if turn == 3 else begun
        rate = (len(many) - 4) * each / (time.perf_counter() - begun)
        print(
            f"{stage.frames:6d} {stage.size[0]:4d}x{stage.size[1]:<4d} {stage.batch:4d} {loading:13.1f} {stepping:15.1f}"
            f" {stepping / loading:9.1f} {1000 / loading:17.0f} {rate:14.0f} ({workers})", flush=True,
        )  # fmt: skip


def codecs(data: Dataset) -> None:
    scene = data.scene(0, range(min(32, data.length(0))))
    frames = np.ascontiguousarray(as_arrays(scene.truth))
    film = write_film(scene.truth)

    def quality(back: np.ndarray) -> float:
        return 10 * np.log10(255**2 / np.mean((frames[: len(back)].astype(float) - back) ** 2))

    def clock(work, each: int) -> float:
        work()
        begun = time.process_time()
        for _ in range(5):
            work()
        return 1000 * (time.process_time() - begun) / 5 / each

    count = len(frames)
    for backend in ("pyav", "decord"):
        back = as_arrays(open_film(film, backend=backend).frames(range(count)))
        whole = clock(lambda b=backend: open_film(film, backend=b).frames(range(count)), count)
        one = clock(lambda b=backend: open_film(film, backend=b).frames([count // 2]), 1)
        told = f"{whole:.2f} ms a frame of {count}, {one:.1f} ms a single frame"
        print(f"H.264 4:4:4 crf 12, {backend:6s} {len(film) / count:7.0f} bytes a frame, {quality(back):.1f} dB, {told}")
    for kind, settings in (("JPEG", {"quality": 95, "subsampling": 0}), ("JPEG", {"quality": 92}), ("WEBP", {"quality": 92})):
        blobs = []
        for frame in frames:
            out = io.BytesIO()
            Image.fromarray(frame).save(out, kind, **settings)
            blobs.append(out.getvalue())

        def read(blobs=blobs) -> np.ndarray:
            return np.stack([np.asarray(Image.open(io.BytesIO(b)).convert("RGB")) for b in blobs])

        size = sum(map(len, blobs)) / count
        print(f"{kind} {settings}: {size:7.0f} bytes a frame, {quality(read()):.1f} dB, {clock(read, count):.2f} ms a frame")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "codecs"))
    parser.add_argument("--set", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.set is None:
            for _ in from_studio(Path(folder), SetPlan(frames=24, size=(256, 192), variants=False), clips=2):
                pass
        chosen = open_dataset(given.set or studio_folders(Path(folder))[1])
        if given.what == "codecs":
            codecs(chosen)
        else:
            load(chosen, given.workers, given.rounds)
