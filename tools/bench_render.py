#!/usr/bin/env python
"""How fast a whole render is against MediaPipe Pose alone on the same clip in the same run, stage by stage, with peak memory.

    .venv/bin/python tools/bench_render.py CLIP GARMENT [--repeat 3]

Prints the medians. Machines are shared and noisy: only the ratio means something.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POSE_ALONE = """
import sys, time, av, mediapipe as mp
frames = [f.to_ndarray(format="rgb24") for f in av.open(sys.argv[1]).decode(video=0)]
with mp.solutions.pose.Pose(model_complexity=1, enable_segmentation=True) as pose:
    pose.process(frames[0])
    start = time.perf_counter()
    for frame in frames:
        pose.process(frame)
    print(len(frames) / (time.perf_counter() - start))
"""


def pose_rate(clip: Path) -> float:
    """Frames a second of MediaPipe Pose (complexity 1, segmentation on) alone, decoding not counted."""
    done = subprocess.run([sys.executable, "-c", POSE_ALONE, str(clip)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def render(clip: Path, garment: Path, folder: Path) -> tuple[dict, float, float]:
    """(report, seconds, peak memory in MiB) of one whole render in a process of its own, imports and all."""
    out, report = folder / f"out{clip.suffix}", folder / "report.json"
    command = [sys.executable, "-m", "vidvton", "render", str(clip), "--garment", str(garment), "-o", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--report", str(report), "--overwrite", "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("the render failed")
    return json.loads(report.read_text()), time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("garment", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    ratios, rows = [], []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(args.repeat):
            alone = pose_rate(args.clip)
            report, seconds, memory = render(args.clip, args.garment, Path(name))
            rate = report["frames"] / seconds
            ratios.append(rate / alone)
            rows.append((alone, rate, memory, {name: t["seconds"] for name, t in report["stages"].items()}))
            print(f"pose alone {alone:.1f} fps, render {rate:.1f} fps, ratio {ratios[-1]:.2f}, peak {memory:.0f} MiB", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}, peak memory {max(r[2] for r in rows):.0f} MiB")
    for stage in rows[-1][3]:
        spent = statistics.median(r[3].get(stage, 0.0) for r in rows)
        print(f"  {stage:<12} {spent:8.2f} s")


if __name__ == "__main__":
    main()
