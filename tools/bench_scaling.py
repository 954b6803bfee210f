#!/usr/bin/env python
"""What a second process brings: samples a second of the tiny network trained by two processes (gloo) against one.

    .venv/bin/python tools/bench_scaling.py --train SET --held SET [--steps 12] [--compile]

SET: prepared sets (docs/training.md). Each process has one thread; the batch is the same for both, shared by two processes, so
two processes do what one does, in half the time at best. `--compile` times torch.compile against none instead, in one process.
Medians over the steps' own times in metrics.jsonl, the first three left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN = """
model: {model}
data: {{train: [{train}], validation: [{held}], workers: 0}}
precision: {precision}
compile: {compile}
log_every: 1
save: {{every: 100000, keep: 1}}
validate_on: {{every: 100000, clips: 1, strips: 1, steps: 1}}
defaults: {{rate: 1.0e-4, warmup: 1, images: 0.0}}
stages:
  - {{name: run, frames: {frames}, size: [{height}, {width}], steps: {steps}, batch: {batch}}}
"""
WINDOWS = ((1, 128, 96, 16), (8, 128, 96, 2))


def seconds(config: Path, out: Path, processes: int) -> float:
    """The median step of one run."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(launch if processes > 1 else [sys.executable]), "-m", "vidvton", "train", str(config), "--out", str(out), "-q"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"training with {processes} failed: {done.stderr[-800:]}")
    rows = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return statistics.median([row["seconds_per_step"] for row in rows if row["kind"] == "train"][3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--precision", default="fp32,bf16")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    fixed = {"model": ROOT / "configs/model/tiny.yaml", "train": args.train.resolve(), "held": args.held.resolve()}
    with tempfile.TemporaryDirectory() as name:
        for precision in args.precision.split(","):
            for frames, height, width, batch in WINDOWS:
                given = {"frames": frames, "height": height, "width": width, "batch": batch, "steps": args.steps}
                found = {}
                for which in (1, 2):
                    compiled = str(args.compile and which == 2).lower()
                    folder = Path(name) / f"{precision}-{frames}-{which}"
                    config = folder.with_suffix(".yaml")
                    config.write_text(RUN.format(**fixed, **given, precision=precision, compile=compiled))
                    found[which] = seconds(config, folder, 1 if args.compile else which)
                label = "compiled" if args.compile else "two processes"
                print(f"{precision}, {batch} x {frames} frames of {height}x{width}: {found[1]:.3f} s a step, {label} "
                      f"{found[2]:.3f} s, {found[1] / found[2]:.2f} times as fast", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
