#!/usr/bin/env python3
"""Engines against each other on held-out studio clips, where the truth is known: PSNR, SSIM and warping error in the region.

    tools/compare_engines.py SET OUT --model runs/studio/model [--clips 6] [--steps 8] [--guidance 1] [--markdown FILE]

SET is what `vidvton synth` made (not the prepared set). Each clip shows a person in another garment; every engine dresses them in
the one that the truth wears, through `vidvton render` as a user would, lossless. The region is where truth and source both are to
be generated. Rendered clips stay in OUT, so that an interrupted comparison goes on; sheets of a few frames lie beside them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vidvton.media.images import write_image  # noqa: E402
from vidvton.media.reader import open_clip  # noqa: E402
from vidvton.metrics.measure import measure  # noqa: E402
from vidvton.metrics.series import Piece, score  # noqa: E402

NAMES = ("psnr", "ssim", "warping-error", "second-difference", "leak")
COLUMNS = ("PSNR, dB", "SSIM", "warping error x1000", "second difference x1000", "leak of the old garment")
SCALES = (1.0, 1.0, 1000.0, 1000.0, 1.0)


def frames_of(path: Path) -> torch.Tensor:
    """[T, 3, H, W] uint8 of a whole clip."""
    return torch.cat([clip.frames for clip in open_clip(path).clips(64)])


def render(source: Path, garment: Path, category: str, out: Path, options: list[str]) -> float:
    """Renders one clip unless it is there; returns the seconds it took (0 where it was there)."""
    if out.exists():
        return 0.0
    command = [sys.executable, "-m", "vidvton", "render", str(source), "--garment", str(garment), "--category", category]
    began = time.perf_counter()
    command += ["-o", str(out), "--codec", "ffv1", "-q", *options]
    done = subprocess.run(command, cwd=ROOT, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return time.perf_counter() - began


def examine(home: Path, name: str, result: torch.Tensor) -> dict[str, float]:
    """The metrics of one result in the region."""
    source = frames_of(home / "videos_other_garment" / f"{name}.mp4")
    truth = frames_of(home / "videos" / f"{name}.mp4")
    changed = (source.int() - truth.int()).abs().amax(1, keepdim=True) > 24
    region = (frames_of(home / "agnostic_mask" / f"{name}.mp4")[:, :1] > 127) | changed
    # The flow is the truth's: what a result should move along.
    moving = measure([Piece(result, truth, region)], names=("warping-error", "second-difference"), source_too=True)
    still = measure([Piece(result, source, region, truth)], names=("psnr", "ssim", "leak"), source_too=False)
    found = {}
    for key in NAMES:
        series = (still if key in ("psnr", "ssim", "leak") else moving).find(key, where="region")
        found[key] = float("nan") if series is None else score(series)
        own = moving.find(key, of="source", where="region")
        if own is not None:
            found[f"{key} of the truth"] = score(own)
    return found


def sheet(pictures: list[torch.Tensor], path: Path) -> None:
    """Source, engines' results and truth beside each other, three frames below each other."""
    count = len(pictures[0])
    rows = [torch.cat([clip[min(t, len(clip) - 1)] for clip in pictures], dim=2) for t in (0, count // 2, count - 1)]
    write_image(path, torch.cat(rows, dim=1), overwrite=True)


def table(results: dict[str, list[dict[str, float]]], seconds: dict[str, float]) -> str:
    """Means over clips, Markdown."""
    lines = ["| engine | " + " | ".join(COLUMNS) + " | s a clip |", "|---" * (len(COLUMNS) + 2) + "|"]
    for engine, clips in results.items():
        cells = []
        for key, scale in zip(NAMES, SCALES):
            values = [clip[key] for clip in clips if clip[key] == clip[key]]
            cells.append(f"{fmean(values) * scale:.3f}" if values else "-")
        lines.append(f"| {engine} | " + " | ".join(cells) + f" | {seconds[engine]:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", default="1")
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    given = parser.parse_args()
    given.set, given.out = given.set.resolve(), given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    diffusion = ["--engine", "diffusion", "--model", str(given.model.resolve()), "--steps", str(given.steps)]
    engines = {"warp": ["--engine", "warp"], "diffusion": [*diffusion, "--guidance", given.guidance]}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in ("source as it is", *engines)}
    spent = dict.fromkeys(results, 0.0)
    for note in sorted((given.set / "clips").glob("*.json"))[: given.clips]:
        facts = json.loads(note.read_text())
        home, name = given.set / facts["folder"], facts["id"]
        source = home / "videos_other_garment" / f"{name}.mp4"
        pictures = [frames_of(source)]
        results["source as it is"].append(examine(home, name, pictures[0]))
        for engine, options in engines.items():
            out = given.out / f"{name}-{engine}.mkv"
            try:
                spent[engine] += render(source, home / "images" / f"{name}.png", facts["category"], out, options)
            except RuntimeError as problem:
                print(f"{name} {engine}: {problem}", file=sys.stderr)
                continue
            pictures.append(frames_of(out))
            results[engine].append(examine(home, name, pictures[-1]))
            print(name, facts["category"], engine, {k: round(v, 5) for k, v in results[engine][-1].items()}, file=sys.stderr)
        sheet([*pictures, frames_of(home / "videos" / f"{name}.mp4")], given.out / f"{name}.png")
    seconds = {name: spent[name] / max(1, len(clips)) for name, clips in results.items()}
    text = table(results, seconds)
    print(text)
    (given.out / "results.json").write_text(json.dumps(results, indent=1))
    if given.markdown:
        given.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
