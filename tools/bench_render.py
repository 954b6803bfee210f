#!/usr/bin/env python
"""How fast a whole render is against MediaPipe Pose alone on the same clip in the same run, stage by stage, with peak memory.

    .venv/bin/python tools/bench_render.py CLIP GARMENT [--repeat 3] [--times 4]

Prints the medians, for the clip and for the clip played `--times` times over, so that what is paid once (imports, models,
garment) is seen apart. Machines are shared and noisy: only ratios mean something, and processor time more than time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

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


def repeated(clip: Path, times: int, folder: Path) -> Path:
    """The clip's pictures `times` times over at a constant rate, without sound; the clip itself where that is once."""
    if times == 1:
        return clip
    path = folder / f"{clip.stem}_x{times}.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as box:
        stream = source.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        out = box.add_stream(
            "libx264", rate=rate, width=stream.width, height=stream.height, options={"crf": "12", "preset": "fast"}
        )
        out.pix_fmt, count = "yuv420p", 0
        for _ in range(times):
            source.seek(0)
            for frame in source.decode(stream):
                picture = frame.reformat(format="yuv420p")
                picture.pts, picture.time_base, count = count, 1 / rate, count + 1
                picture.pict_type = 0
                box.mux(out.encode(picture))
        box.mux(out.encode(None))
    return path


def render(clip: Path, garment: Path, folder: Path) -> tuple[dict, float, float, float]:
    """(report, seconds, processor seconds, peak memory in MiB) of one whole render in a process of its own, imports and all."""
    out, report = folder / f"out{clip.suffix}", folder / "report.json"
    command = [sys.executable, "-m", "vidvton", "render", str(clip), "--garment", str(garment), "-o", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--report", str(report), "--overwrite", "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("the render failed")
    return json.loads(report.read_text()), time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(clip: Path, garment: Path, folder: Path, repeat: int) -> None:
    """Print `repeat` runs on one clip, and their medians."""
    ratios, rows = [], []
    for _ in range(repeat):
        alone = pose_rate(clip)
        report, seconds, busy, memory = render(clip, garment, folder)
        rate = report["frames"] / seconds
        ratios.append(rate / alone)
        rows.append((memory, {name: t["seconds"] for name, t in report["stages"].items()}))
        print(f"pose alone {alone:.1f} fps, render {rate:.1f} fps, {1000 * busy / report['frames']:.0f} ms of processor a frame, "
              f"ratio {ratios[-1]:.2f}, peak {memory:.0f} MiB", flush=True)  # fmt: skip
    print(
        f"{report['frames']} frames: median ratio {statistics.median(ratios):.2f}, peak memory {max(r[0] for r in rows):.0f} MiB"
    )
    for stage in rows[-1][1]:
        print(f"  {stage:<12} {statistics.median(r[1].get(stage, 0.0) for r in rows):8.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("garment", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--times", type=int, default=4, help="how often the longer clip repeats the clip; 1: no longer clip")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for times in sorted({1, args.times}):
            measure(repeated(args.clip, times, Path(name)), args.garment, Path(name), args.repeat)


if __name__ == "__main__":
    main()
