#!/usr/bin/env python3
"""Steps and strength against quality: what few-step sampling from the noised warp costs, on studio clips whose truth is known.

    tools/bench_steps.py SET --model runs/studio/model [--clips 4] [--frames 16] [--markdown FILE]

SET is a prepared set (`vidvton prepare`) of studio clips the model was not trained on. For every strength and number of steps
a window of each clip is sampled, laid back into the frames as they were filmed, and compared with the truth: PSNR and SSIM in the
region, and the seconds a frame took. `warp` is the start itself, unsampled. The same noise everywhere.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from statistics import fmean

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vidvton.frames import to_uint8  # noqa: E402
from vidvton.metrics.image import squared_error, ssim  # noqa: E402
from vidvton.models.bundle import load_bundle  # noqa: E402
from vidvton.train.dataset import open_dataset  # noqa: E402
from vidvton.tryon import Sampling, generate, warp_start  # noqa: E402

STRENGTHS, STEPS = (1.0, 0.85, 0.7, 0.5, 0.3), (1, 2, 4, 8, 16)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def judge(frames: torch.Tensor, window) -> tuple[float, float]:
    """(PSNR in dB, SSIM) of `frames` [T, 3, H, W] 0-1 in the region of `window`, means over its frames."""
    region, truth = window.conditioning.region[0, :, 0] > 0.5, window.target
    errors, likenesses = [], []
    for made, wanted, inside in zip(frames, truth, region):
        if not inside.any():
            continue
        errors.append(float(squared_error(made, wanted)[inside].mean()))
        likeness, valid = ssim(to_uint8(made), to_uint8(wanted))
        likenesses.append(float(likeness[inside & valid].mean()))
    return -10 * torch.log10(torch.tensor(fmean(errors))).item(), fmean(likenesses)


def run(model, window, sampling: Sampling) -> tuple[float, float, float]:
    """(PSNR, SSIM, seconds a frame) of one sampled window."""
    began = time.perf_counter()
    *_, frames = generate(model, window.conditioning, sampling)
    spent = time.perf_counter() - began
    region = window.conditioning.region[0]
    return *judge(frames[0] * region + window.conditioning.agnostic[0] * (1 - region), window), spent / len(frames[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--guidance", type=float, nargs=4, default=(1.0, 1.0, 1.0, 1.0))
    parser.add_argument("--sampler", default="dpm++")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    given = parser.parse_args()
    model = load_bundle(given.model, device=given.device, dtype=PRECISIONS[given.precision])
    data = open_dataset(given.set).at_least(given.frames)
    windows = [data.window(i, frames=given.frames, size=model.config.size) for i in range(min(given.clips, len(data)))]
    lines = ["| strength | steps | PSNR, dB | SSIM | s a frame |", "|---|---|---|---|---|"]
    starts = [judge((warp_start(w.conditioning)[0] + 1) / 2, w) for w in windows]
    lines.append(f"| warp | 0 | {fmean(p for p, _ in starts):.2f} | {fmean(s for _, s in starts):.4f} | - |")
    for strength, steps in itertools.product(given.strengths, given.steps):
        sampling = Sampling(steps=steps, sampler=given.sampler, strength=strength, weights=tuple(given.guidance))
        psnr, likeness, seconds = (fmean(column) for column in zip(*[run(model, w, sampling) for w in windows]))
        lines.append(f"| {strength:g} | {steps} | {psnr:.2f} | {likeness:.4f} | {seconds:.3f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines)
    print(text)
    if given.markdown:
        given.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
