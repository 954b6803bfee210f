#!/usr/bin/env python3
"""How fast a clip is measured and how far DIS flow may be trusted: python tools/bench_metrics.py [--studio N]

Speed: all weight-free metrics of a 64-frame 512x384 pair (output and source both measured, with region, garment, truth and window
boundaries) on two workers; then the same pair four times as long, to see that memory does not follow.
--studio N: warping errors of N studio clips with DIS flow (each preset) and with exact flow; their correlation over clips.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr

from vidvton.frames import resize
from vidvton.metrics.controls import control
from vidvton.metrics.measure import GarmentPicture, measure
from vidvton.metrics.series import Piece, score
from vidvton.metrics.table import WEIGHT_FREE
from vidvton.synth.clip import make_clip
from vidvton.synth.scene import write_script
from vidvton.synth.truth import FLOW_STEP

SIZE = (512, 384)
NAMES = ("warping-error", "warping-error-exact")


def studio(index: int, frames: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(frames, region, flow, hidden) of one studio clip as `Piece` wants them."""
    clip = make_clip(write_script(7, index, frames=frames, size=size, fps=25.0))
    moves = (clip.truth.flow_forward.float() * FLOW_STEP).permute(0, 3, 1, 2).contiguous()
    return clip.frames, clip.truth.region[:, None], moves, clip.truth.hidden_forward[:, None]


def bench_speed(workers: int) -> None:
    """Prints seconds and memory of a 64-frame pair, and of one four times as long."""
    frames, region, _, _ = studio(0, 12, (256, 192))
    frames, region = resize(frames, SIZE), resize(region.to(torch.uint8) * 255, SIZE) > 127
    noisy = torch.cat(list(control("colour-noise", [(frames, region)])))
    picture = GarmentPicture(frames[0, :, 100:400, 90:290].clone(), torch.ones(300, 200, dtype=torch.bool))

    def pieces(count: int, truth: bool) -> Iterator[Piece]:  # there and back again, so that every frame moves
        for start in range(0, count, 8):
            rows = torch.tensor([(t % 22 if t % 22 < 12 else 22 - t % 22) for t in range(start, start + 8)])
            yield Piece(noisy[rows], frames[rows], region[rows], truth=frames[rows] if truth else None)

    for count, truth in ((8, True), (64, False), (64, True), (256, True)):
        wall, cpu = time.perf_counter(), time.process_time()
        got = measure(pieces(count, truth), names=WEIGHT_FREE, garment=picture, boundaries=[16, 32, 48], workers=workers)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        names = len({s.name for s in got.series})
        what = f"{count} frames {SIZE[0]}x{SIZE[1]}, {'with' if truth else 'without'} truth, {names} metrics"
        print(f"{what}: {wall:.1f} s on {workers} workers, {cpu:.1f} s of processor, peak {peak:.0f} MiB")
    print("target: 64 frames in at most 20 s on two cores; the peak must not grow from 64 to 256 frames")


def bench_studio(count: int) -> None:
    """Prints warping errors with DIS and exact flow, per clip, and their correlations over clips."""
    rows: dict[tuple[str, str], list[float]] = {}
    for index in range(count):
        frames, region, moves, hidden = studio(index, 12, (256, 192))
        for preset in ("fast", "medium"):
            piece = Piece(frames, frames, region, flow=moves, hidden=hidden)
            got = measure([piece], names=list(NAMES), source_too=False, flow_preset=preset)
            for where in ("frame", "region"):
                rows.setdefault((f"DIS {preset}", where), []).append(score(got.find("warping-error", where=where)))
                if preset == "medium":
                    rows.setdefault(("exact", where), []).append(score(got.find("warping-error-exact", where=where)))
        print(f"clip {index}: " + ", ".join(f"{n} {w} {v[-1]:.2e}" for (n, w), v in rows.items()), flush=True)
    for where in ("frame", "region"):
        for preset in ("fast", "medium"):
            dis, exact = rows[f"DIS {preset}", where], rows["exact", where]
            ratio = np.median(np.array(dis) / np.array(exact))
            r, rank = pearsonr(np.log(dis), np.log(exact))[0], spearmanr(dis, exact)[0]
            print(f"{where}, DIS {preset}: {count} clips, r of logs {r:.3f}, rank {rank:.3f}, median ratio to exact {ratio:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--studio", type=int, default=0, metavar="N", help="compare DIS with exact flow on N studio clips instead"
    )
    parser.add_argument("--workers", type=int, default=2, help="threads of a measurement (default: 2)")
    args = parser.parse_args()
    bench_studio(args.studio) if args.studio else bench_speed(args.workers)
