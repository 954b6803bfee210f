#!/usr/bin/env python3
"""What sampling a clip costs as it gets longer: processor time and memory, through the disk as a render does it.

    tools/bench_length.py [--frames 16 32 64 128 256] [--steps 2] [--precision bf16] [--config configs/model/tiny.yaml]

Untrained weights and made-up conditions: the arithmetic is the same. Every length runs in a process of its own, whose processor
time (all threads; a busy machine changes it little) and largest resident memory are told.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


class MadeUp:
    """A `tryon.Source` whose every frame is a function of its index."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def conditioning(self, start: int, stop: int):
        import torch

        from vidvton.collate import FrameConditions, GarmentConditions, conditions
        from vidvton.diffusion.noise import clip_noise
        from vidvton.values import LAYOUT_WORDS, POINTS

        pictures = clip_noise(1, start, stop, (8, *self.size)).sigmoid()
        pose = clip_noise(2, start, stop, (33, 3)).sigmoid()
        words = torch.zeros(1, len(LAYOUT_WORDS), dtype=torch.int64)
        garment = GarmentConditions(
            torch.rand(1, 4, *self.size), torch.rand(1, POINTS, 3), torch.zeros(1, dtype=torch.int64), words
        )
        return conditions(FrameConditions(pictures[:, :3], pictures[:, 3:4], pose, pictures[:, 4:]), garment)

    def beginning(self, start: int, stop: int):
        raise AssertionError("a run from pure noise asks for no beginning")


def measure(frames: int, given: argparse.Namespace) -> dict[str, float]:
    """Seconds and MiB of one clip, in this process."""
    import torch

    from vidvton.config import read_config
    from vidvton.models.config import ModelConfig
    from vidvton.models.unet import TryOnUNet
    from vidvton.render.report import peak_memory_mib
    from vidvton.tryon import Sampling, TryOn

    torch.set_num_threads(given.threads)
    config = read_config(given.config, ModelConfig)
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[given.precision]
    model = TryOnUNet(config).to(dtype).eval()
    sampling = Sampling(steps=given.steps, window=config.frames, overlap=config.frames // 4)
    with tempfile.TemporaryDirectory(prefix="vidvton-length-") as folder:
        began, spent = time.perf_counter(), time.process_time()
        for _ in TryOn(MadeUp(config.size), (0, frames), Path(folder), sampling).run(model):
            pass
        wall, cpu = time.perf_counter() - began, time.process_time() - spent
    windows = len(sampling.plan(frames))
    return {"windows": windows, "cpu": cpu, "wall": wall, "mib": peak_memory_mib()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "model" / "tiny.yaml")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(measure(given.alone, given)))
        return
    print("| frames | windows | processor s | of which a frame in a window, ms | peak memory, MiB |\n|---|---|---|---|---|")
    for frames in given.frames:
        command = [sys.executable, __file__, "--alone", str(frames), "--steps", str(given.steps), "--precision", given.precision]
        command += ["--config", str(given.config), "--threads", str(given.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        seen = found["windows"] * min(frames, 64) * given.steps
        print(
            f"| {frames} | {found['windows']} | {found['cpu']:.1f} | {1000 * found['cpu'] / seen:.1f} | {found['mib']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
