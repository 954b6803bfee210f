"""Training steps of the tiny network: time, and their share of what plain convolutions reach, in one run.

    .venv/bin/python tools/bench_training.py [--rounds 3] [--threads 2] [--precision bf16,fp32]

The convolutions are the network's own 3x3 ones, run forwards alone in the same rounds; their rate over both windows together is
the one ceiling that both steps are a share of. Medians.
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


def measure(dtype: torch.dtype, rounds: int) -> tuple[list[tuple[float, float]], float]:
    """((seconds of a step, its FLOP) of each window, FLOP/s of all their convolutions)."""
    tiny = read_config(ROOT / "configs" / "model" / "tiny.yaml", ModelConfig)
    steps, plain = [], []
    for size, frames, batch in WINDOWS:
        config = (tiny.image if frames == 1 else tiny.for_frames(32)).model_copy(update={"size": size})
        steps.append(learning(config, frames, batch, dtype))
        plain += convolutions(*step_of(config, frames * batch, dtype)).values()
    runs = [*steps, *(run for _, run in plain)]
    times = list(timed({str(number): run for number, run in enumerate(runs)}, rounds).values())
    ceiling = sum(n * flops(run) for n, run in plain) / sum(n * spent for (n, _), spent in zip(plain, times[len(steps) :]))
    return [(spent, flops(step)) for spent, step in zip(times, steps)], ceiling


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step, and its share of the convolutions' rate.")
    parser.add_argument("--precision", default="bf16,fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for precision in options.precision.split(","):
        with torch.inference_mode():
            found, ceiling = measure(PRECISIONS[precision], options.rounds)
        print(f"{precision}: ceiling {ceiling / 1e9:.0f} GFLOP/s, of the convolutions of both windows together")
        for (size, frames, batch), (seconds, work) in zip(WINDOWS, found):
            reached = f"{work / 1e9:.1f} GFLOP, {work / seconds / 1e9:.0f} GFLOP/s, share {work / seconds / ceiling:.3f}"
            print(f"  {batch} x {frames} x {size[0]}x{size[1]}: {seconds:.3f} s a step, {reached}", flush=True)


if __name__ == "__main__":
    main()
