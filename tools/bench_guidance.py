"""The whole sampler over 64 frames of the tiny network, 8 steps, with and without split guidance at the published weights.

.venv/bin/python tools/bench_guidance.py [--threads 2] [--precision bf16]
"""

# ruff: noqa: I001
from __future__ import annotations

import argparse
from collections import deque
from dataclasses import replace

from bench_step import PRECISIONS, ROOT, conditioning, step_of, timed  # sets the allocator: before torch
import torch

from vidvton.config import read_config
from vidvton.models.config import ModelConfig
from vidvton.tryon import Sampling, generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tiny, dtype = read_config(ROOT / "configs" / "model" / "tiny.yaml", ModelConfig), PRECISIONS[options.precision]
    plain = Sampling(steps=8, window=64)
    ways = {"no guidance": plain, "split 1,1,3,1": replace(plain, weights=(1.0, 1.0, 3.0, 1.0))}
    with torch.inference_mode():
        model, given = step_of(tiny, 64, dtype)[0], conditioning(64, tiny.size, dtype)
        times = timed({name: lambda way=way: deque(generate(model, given, way), 0) for name, way in ways.items()}, 1)
    for name, seconds in times.items():
        print(f"{name}: {seconds:.2f} s")
    print(f"split guidance over none: {times['split 1,1,3,1'] / times['no guidance']:.2f}")


if __name__ == "__main__":
    main()
