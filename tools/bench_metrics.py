#!/usr/bin/env python3
"""How fast a clip is measured, and how far DIS flow may be trusted: python tools/bench_metrics.py [--studio DIR ...]

Speed: all weight-free metrics of a 64-frame 512x384 pair (output and source both measured, with region, garment, truth and window
boundaries) on two workers, and of one four times as long; --long shows that memory does not follow the length. Wall time and
processor time are both printed: on a busy machine only the second says what the work costs.
--studio DIR ...: sets made by `vidvton synth DIR`; warping errors of their clips with DIS flow (two presets) and with exact flow,
and the correlation over clips.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr

from vidvton.frames import resize
from vidvton.media.reader import open_clip
from vidvton.metrics.controls import control
from vidvton.metrics.measure import GarmentPicture, measure
from vidvton.metrics.series import Piece, score
from vidvton.metrics.table import WEIGHT_FREE
from vidvton.synth.truth import FLOW_STEP

ROOT = Path(__file__).resolve().parents[1]
SIZE = (512, 384)
CASES = ((8, True), (64, False), (64, True), (256, True))  # frames, whether the truth is there
LONG, SMALL = ((64, True), (512, True), (2048, True)), (128, 96)
NAMES = ("warping-error", "warping-error-exact")


def first_frames(path: Path, count: int) -> torch.Tensor:
    """The first `count` frames of a clip, [T, 3, H, W] uint8."""
    return next(iter(open_clip(path).clips(count))).frames[:count].contiguous()


def bench_speed(workers: int, size: tuple[int, int], cases: Sequence[tuple[int, bool]]) -> None:
    """Prints seconds and memory of pairs of some lengths."""
    frames = resize(first_frames(ROOT / "examples/clip.mp4", 24), size)
    h, w = size
    rows, columns = slice(h // 5, h * 4 // 5), slice(w // 4, w * 3 // 4)
    region = torch.zeros(len(frames), 1, *size, dtype=torch.bool)
    region[:, :, rows, columns] = True
    noisy = torch.cat(list(control("colour-noise", [(frames, region)])))
    worn = frames[0, :, rows, columns].clone()
    picture = GarmentPicture(worn, torch.ones(worn.shape[1:], dtype=torch.bool))
    turn = 2 * len(frames) - 2

    def pieces(count: int, truth: bool) -> Iterator[Piece]:  # there and back again, so that every frame moves
        for start in range(0, count, 8):
            picked = torch.tensor([min(t % turn, turn - t % turn) for t in range(start, start + 8)])
            yield Piece(noisy[picked], frames[picked], region[picked], truth=frames[picked] if truth else None)

    for count, truth in cases:
        wall, cpu = time.perf_counter(), time.process_time()
        got = measure(pieces(count, truth), names=WEIGHT_FREE, garment=picture, boundaries=[16, 32, 48], workers=workers)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        names = len({s.name for s in got.series})
        what = f"{count} frames {h}x{w}, {'with' if truth else 'without'} truth, {names} metrics"
        print(f"{what}: {wall:.1f} s on {workers} workers, {cpu:.1f} s of processor, peak {peak:.0f} MiB", flush=True)
    print("target: 64 frames of 512x384 in at most 20 s on two cores; the peak must not follow the length (--long)")


def bench_studio(folders: list[Path], most: int) -> None:
    """Prints warping errors with DIS and exact flow, per clip, and their correlations over clips."""
    rows: dict[tuple[str, str], list[float]] = defaultdict(list)
    for truth in sorted(path for folder in folders for path in folder.glob("*/truth/*.npz") if ".garment" not in path.name):
        video = truth.parents[1] / "videos" / f"{truth.stem}.mp4"
        if not video.exists():
            continue
        frames = first_frames(video, most)
        with np.load(truth) as arrays:
            region, hidden, moves = (torch.from_numpy(arrays[n][:most]) for n in ("region", "hidden_forward", "flow_forward"))
        moves = (moves.float() * FLOW_STEP).permute(0, 3, 1, 2).contiguous()
        for preset in ("fast", "medium"):
            piece = Piece(frames, frames, region[:, None], flow=moves, hidden=hidden[:, None])
            got = measure([piece], names=NAMES if preset == "medium" else NAMES[:1], source_too=False, flow_preset=preset)
            for s in got.series:
                rows["exact" if s.name == NAMES[1] else f"DIS {preset}", s.where].append(score(s))
        print(f"{truth.stem}: " + ", ".join(f"{name} {v[-1]:.2e}" for (name, w), v in rows.items() if w == "region"), flush=True)
    for where in ("frame", "region", "background"):
        for preset in ("fast", "medium"):
            dis, exact = (np.array(rows[name, where]) for name in (f"DIS {preset}", "exact"))
            r, rank = pearsonr(np.log(dis), np.log(exact))[0], spearmanr(dis, exact)[0]
            ratio = np.median(dis / exact)
            print(
                f"{where}, DIS {preset}: {len(dis)} clips, r of logs {r:.3f}, rank {rank:.3f}, median ratio to exact {ratio:.2f}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studio", type=Path, nargs="+", metavar="DIR", help="compare DIS with exact flow on these sets instead")
    parser.add_argument("--frames", type=int, default=24, help="frames of each clip that are read with --studio (default: 24)")
    parser.add_argument("--workers", type=int, default=2, help="threads of a measurement (default: 2)")
    parser.add_argument("--long", action="store_true", help="small frames, up to 2048 of them: does memory follow the length?")
    args = parser.parse_args()
    if args.studio:
        bench_studio(args.studio, args.frames)
    elif args.long:
        bench_speed(args.workers, SMALL, LONG)
    else:
        bench_speed(args.workers, SIZE, CASES)
