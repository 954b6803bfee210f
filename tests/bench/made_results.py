"""Benchmark results with known numbers, for the tests of statistics and reports: no film is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from moving_clips import BLUE, frames_at, moments

from vidvton.bench.pictures import draw_pictures, worst_frames
from vidvton.bench.results import BenchResult, CaseFacts, ClipResult, ControlResult, Failure, MethodFacts, SetDistance, provenance
from vidvton.metrics.controls import CONTROLS
from vidvton.metrics.series import NotMeasured, Piece, Series
from vidvton.metrics.table import find_metric

FRAMES = 40
LEVELS = {  # metric, where: the source's own value, and what each unit of a method's badness adds
    ("warping-error", "region"): (4e-4, 3e-4),
    ("warping-error", "background"): (2e-4, 0.0),
    ("warping-error", "frame"): (3e-4, 1e-4),
    ("temporal-flickering", "region"): (0.985, -0.01),
    ("garment-flicker", "region"): (2e-4, 6e-4),
    ("identity", "background"): (0.0, 0.4),
    ("leak", "region"): (1.0, -0.3),
    ("garment-colour", "region"): (21.0, -4.0),
    ("garment-print", "region"): (0.02, 0.1),
    ("ssim", "region"): (0.62, 0.05),
}


def series(name: str, where: str, of: str, level: float, *, spread: float, seed: int) -> Series:
    frames = np.arange(1 if find_metric(name).per == "pair" else 0, FRAMES)
    noise = np.random.default_rng(seed).normal(0, spread, len(frames))
    counts = np.full(len(frames), 100.0)
    return Series(name, of, where, frames, (level * (1 + 0.2 * noise)) * counts, counts)


def make_result(methods: dict[str, float], *, clips: int = 6, seed: int = 0, title: str = "Flicker benchmark") -> BenchResult:
    """A result in which each method's badness is its number."""
    cases = tuple(
        CaseFacts(
            f"studio-{k:03}",
            "studio",
            f"/clips/{k}.mkv",
            FRAMES,
            (96, 72),
            25.0,
            garment="top.png",
            region="exact, studio",
            truth="exact",
            hashes={"source": f"{k:064x}"},
        )
        for k in range(clips)
    )
    results = []
    for k, case in enumerate(cases):
        for m, (method, bad) in enumerate(methods.items()):
            found = []
            for n, ((name, where), (own, slope)) in enumerate(LEVELS.items()):
                clip_level = 1 + 0.1 * np.random.default_rng([seed, k, n]).normal()
                jitter = 1 + 0.03 * np.random.default_rng([seed, k, n, m]).normal()
                found.append(series(name, where, "source", own * clip_level, spread=0.3, seed=k))
                found.append(
                    series(name, where, "output", own * clip_level + bad * slope * jitter, spread=0.3 + bad / 4, seed=k + m)
                )
            missing = (NotMeasured("lpips-alex", "weights lpips-alex"), NotMeasured("fid", "weights inception"))
            results.append(
                ClipResult(
                    case.name,
                    method,
                    FRAMES,
                    (96, 72),
                    tuple(found),
                    missing,
                    notes=("region: exact",),
                    digest=f"{m:064x}",
                    seconds=1.0,
                )
            )
    return BenchResult(
        title,
        cases,
        tuple(MethodFacts(m, "folder", f"badness {bad:g}") for m, bad in methods.items()),
        tuple(results),
        failures=(Failure("studio-001", "diffusion", "render", "the checkpoint runs/x is not there; give a model folder"),),
        distances=(SetDistance("fid", "studio", next(iter(methods)), "truth", 12.34, 240),),
        provenance=provenance(["vidvton", "bench", "run", "configs/bench/full.yaml", "-o", "DIR"]),
    )


def control_series(moves, *, broken: str = "") -> ControlResult:
    """Controls of the first case that move as `moves` (control name -> expected_moves) says, all but the metric `broken`."""
    found = []
    names = {key for control in CONTROLS for key in moves(control)}
    for name, where in sorted(names):
        found.append(series(name, where, "source", 0.5, spread=0.0, seed=0))
        for control in CONTROLS:
            way = moves(control).get((name, where))
            if way is not None:
                step = 0 if name == broken else -way if find_metric(name).kind == "psnr" else way  # of squared errors
                found.append(series(name, where, control, 0.5 + 0.2 * step, spread=0.0, seed=0))
    return ControlResult("studio-000", tuple(found))


def draw_case(result: BenchResult, folder: Path, flicker: dict[str, float]) -> BenchResult:
    """The result with pictures of its first case, made from the drawn figure, `flicker` grey levels a method."""
    from dataclasses import replace

    case = result.cases[0]
    source, region = frames_at(moments(FRAMES))

    def pieces(output):
        return lambda: iter([Piece(output=output, source=source, region=region)])

    clips = []
    for clip in result.clips:
        if clip.case == case.name:
            output = frames_at(moments(FRAMES), shirt=BLUE, flicker=flicker[clip.method])[0]
            worst = worst_frames(clip.series, np.arange(FRAMES) / 25, 25.0)
            drawn = draw_pictures(pieces(output), folder, f"{case.name}_{clip.method}", rate=25.0, worst=worst)
            clip = replace(clip, pictures=drawn)
        clips.append(clip)
    own = draw_pictures(pieces(source), folder, f"{case.name}_-source", rate=25.0)
    pictures = {"source_slice": own.slice, "source_video": own.video}
    controls = result.controls or (ControlResult(case.name, ()),)
    return replace(result, clips=tuple(clips), controls=(replace(controls[0], pictures=pictures), *controls[1:]))
