"""Training steps of the tiny network: time, and their share of what plain convolutions reach, in one run.

    .venv/bin/python tools/bench_training.py [--rounds 3] [--threads 2] [--precision bf16,fp32]

The convolutions are the network's own 3x3 ones, run forwards alone in the same rounds. Medians.
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse

from bench_step import (
    PRECISIONS,
    ROOT,
    Run,
    conditioning,
    convolutions,
    flops,
    step_of,
    timed,
)  # sets the allocator: before torch
import torch

from vidvton.config import read_config
from vidvton.models.config import ModelConfig
from vidvton.models.unet import TryOnUNet
from vidvton.train.network import Pass

WINDOWS = (((128, 96), 1, 16), ((256, 192), 16, 1))  # size, frames, batch: first and last stage of configs/train/studio.yaml


def learning(config: ModelConfig, frames: int, batch: int, dtype: torch.dtype) -> Run:
    """Forward, backward and AdamW with float32 weights, computing in `dtype`."""
    with torch.inference_mode(False):
        network = TryOnUNet(config).train()
        passing, optimizer = Pass(network), torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
        given = conditioning(frames, config.size, torch.float32, batch)
        x, level = torch.randn(batch, frames, 3, *config.size), torch.full((batch,), 0.5)

    @torch.inference_mode(False)
    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = passing(x, level, given)
        out.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(size: tuple[int, int], frames: int, batch: int, dtype: torch.dtype, rounds: int) -> tuple[float, float, float]:
    """(seconds of a step, FLOP/s of a step, FLOP/s of its convolutions)."""
    tiny = read_config(ROOT / "configs" / "model" / "tiny.yaml", ModelConfig)
    config = (tiny.image if frames == 1 else tiny.for_frames(32)).model_copy(update={"size": size})
    plain, step = convolutions(*step_of(config, frames * batch, dtype)), learning(config, frames, batch, dtype)
    times = timed({"step": step, **{name: run for name, (_, run) in plain.items()}}, rounds)
    ceiling = sum(n * flops(run) for n, run in plain.values()) / sum(n * times[name] for name, (n, _) in plain.items())
    return times["step"], flops(step) / times["step"], ceiling


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step, and its share of the convolutions' rate.")
    parser.add_argument("--precision", default="bf16,fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for precision in options.precision.split(","):
        for size, frames, batch in WINDOWS:
            with torch.inference_mode():
                seconds, reached, ceiling = measure(size, frames, batch, PRECISIONS[precision], options.rounds)
            what = f"{precision}, {batch} x {frames} x {size[0]}x{size[1]}"
            print(f"{what}: {seconds:.3f} s a step, {reached / 1e9:.0f} GFLOP/s, share {reached / ceiling:.3f}", flush=True)


if __name__ == "__main__":
    main()
