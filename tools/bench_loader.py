"""How fast training data is loaded, against what a training step of the tiny network consumes; and what frames are best kept as.

.venv/bin/python tools/bench_loader.py load [--set FOLDER] [--model configs/model/tiny.yaml] [--workers 1] [--rounds 5]
.venv/bin/python tools/bench_loader.py codecs [--set FOLDER]

Loading and stepping take turns, each on one thread, and processor time is compared, so that a busy machine disturbs both alike.
Without --set a small studio set is made and prepared first.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from vidvton.config import read_config
from vidvton.frames import as_arrays
from vidvton.media.film import write_film
from vidvton.media.random_access import open_film
from vidvton.models.config import ModelConfig
from vidvton.studio import SetPlan
from vidvton.train.augmentation import Augmentation
from vidvton.train.config import Stage
from vidvton.train.dataset import Batch, Dataset, gather, open_dataset
from vidvton.train.from_studio import from_studio, studio_folders
from vidvton.train.network import Pass, build, settings_for

STAGES = ((1, (128, 96), 16), (8, (128, 96), 2), (16, (256, 192), 1))  # frames, size, batch: those of configs/train/studio.yaml
HOW = Augmentation(crops=0.12, light=0.1, grow=0.015, shrink=0.0)


class Draws:
    """Batches by number, as a loader's workers make them."""

    def __init__(self, data: Dataset, frames: int, size: tuple[int, int], batch: int, count: int) -> None:
        self.data, self.frames, self.size, self.batch, self.count = data.at_least(frames), frames, size, batch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Batch:
        first = number * self.batch
        items = ((first + k, (first + k) % len(self.data)) for k in range(self.batch))
        asked = {"frames": self.frames, "size": self.size, "augmentation": HOW}
        return gather([self.data.sample(item, seed=seed, **asked) for seed, item in items])


def stepper(model: ModelConfig, frames: int, size: tuple[int, int]):
    """A training step: forward in bf16, loss, backward, AdamW."""
    network = build(settings_for(model, Stage(name="bench", frames=frames, size=size, steps=1)), 0)
    passing, optimizer = Pass(network), torch.optim.AdamW(network.parameters(), lr=1e-5)

    def step(batch: Batch) -> None:
        noise = torch.randn_like(batch.target)
        with torch.autocast("cpu", torch.bfloat16):
            out = passing(noise, torch.full((len(noise),), 0.7), batch.conditioning)
        (out.float() - batch.target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def load(data: Dataset, model: ModelConfig, workers: int, rounds: int) -> None:
    torch.set_num_threads(1)
    print("frames     size  batch   load ms/frame   step ms/frame   ratio   loader frames/s on one core, and here with workers")
    for frames, size, batch in STAGES:
        draws, step = Draws(data, frames, size, batch, 1 + rounds), stepper(model, frames, size)
        step(draws[0])
        spent: dict[str, list[float]] = {"load": [], "step": []}
        for turn in range(1, 1 + rounds):
            begun = time.process_time()
            ready = draws[turn]
            loaded = time.process_time()
            step(ready)
            spent["load"].append(1000 * (loaded - begun) / (frames * batch))
            spent["step"].append(1000 * (time.process_time() - loaded) / (frames * batch))
        loading, stepping = (statistics.median(spent[word]) for word in ("load", "step"))
        many = Draws(data, frames, size, batch, 4 + max(4, 64 // (frames * batch)))
        begun = None
        for number, _ in enumerate(DataLoader(many, batch_size=None, num_workers=workers)):  # type: ignore[arg-type]
            begun = time.perf_counter() if number == 3 else begun
        rate = (len(many) - 4) * frames * batch / (time.perf_counter() - begun)
        print(
            f"{frames:6d} {size[0]:4d}x{size[1]:<4d} {batch:4d} {loading:13.1f} {stepping:15.1f} {stepping / loading:9.1f}"
            f" {1000 / loading:17.0f} {rate:14.0f} ({workers})"
        )


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
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parents[1] / "configs/model/tiny.yaml")
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
            load(chosen, read_config(given.model, ModelConfig), given.workers, given.rounds)
