"""`vidvton bench clip`, `vidvton bench run`, `vidvton bench compare`."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shell import INTERRUPTED, app, fail

if TYPE_CHECKING:
    from ..bench.clip import Measured
    from ..bench.results import BenchResult
    from ..bench.statistics import Change

bench = typer.Typer(
    name="bench", help="Measure how much a try-on clip flickers, and compare methods.", rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip
app.add_typer(bench)


@bench.command()
def clip(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Anybody's try-on clip, or a folder of its pictures.", show_default=False)
    ],
    source: Annotated[
        Path, typer.Option("--source", "-s", metavar="CLIP", help="The clip it was made from.", show_default=False)
    ],
    garment: Annotated[
        Path | None, typer.Option("--garment", "-g", metavar="PICTURE", help="The garment that was to be worn [default: none]")
    ] = None,
    category: Annotated[str | None, typer.Option(metavar="WORD", help="upper, lower or full [default: found out]")] = None,
    region: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK",
            help="Where the garment was to be generated, white: a clip or one picture [default: the person is parsed]",
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="CLIP", help="The same clip with the garment really worn [default: none]")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report that opens offline [default: none]")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the raw sums as JSON, - for stdout [default: none]")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown [default: none]")] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Names between commas, or all [default: all that need no weights]")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=FILE", help="A file of weights, e.g. lpips-alex=FILE; repeat for more [default: none]"),
    ] = None,
    align: Annotated[str, typer.Option(metavar="WORD", help="How frames are matched: auto, time or number.")] = "auto",
    offset: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Added to the output's times [default: found out]")
    ] = None,
    window: Annotated[
        int, typer.Option(metavar="FRAMES", help="Length of the generator's windows, for the seam score; 0: no windows.")
    ] = 0,
    overlap: Annotated[int, typer.Option(metavar="FRAMES", help="Frames by which its windows overlap.")] = 0,
    max_side: Annotated[int, typer.Option(metavar="PIXELS", help="Longer side at which the clips are measured.")] = 832,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Also measure damaged copies of the source, to prove the metrics.")
    ] = True,
    who: Annotated[str, typer.Option(metavar="WHO", help="Whom the region is on, as in vidvton render.")] = "largest",
    workers: Annotated[int, typer.Option(metavar="NUMBER", help="Threads; 0 is one per processor.")] = 0,
    max_pixels: Annotated[int, typer.Option(metavar="PIXELS", help="Largest picture or frame to read, in pixels.")] = 64_000_000,
    max_seconds: Annotated[float, typer.Option(metavar="SECONDS", help="Longest clip to read, in seconds.")] = 1800.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace reports that exist [default: off]")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how the clips fit, and measure nothing [default: off]")] = False,
) -> None:
    """Measure one try-on clip beside its source; prints a table.

    Another frame rate, size or count is aligned by time, and what does not fit is reported beside the scores.
    """
    import tempfile

    from ..bench.clip import Request, Settings, check_metrics, check_weights, measure_pair
    from ..errors import MisuseError
    from ..media.files import check_writable
    from ..media.info import Limits
    from ..values import CATEGORIES

    if category is not None and category not in CATEGORIES:
        from ..config import nearest

        raise MisuseError(f"category {category!r} is unknown; {nearest(category, CATEGORIES)}")
    if overlap and overlap >= window:
        raise MisuseError(f"windows of {window} frames cannot overlap by {overlap}; give --window greater than --overlap")
    written = [p for p in (html, json_file, markdown) if p is not None and str(p) != "-"]
    for path in written:
        check_writable(path, overwrite=overwrite)
    names = check_metrics(tuple(w.strip() for w in metrics.split(",") if w.strip())) if metrics else None
    files = check_weights({k: Path(v) for k, v in map(_key_and_file, weights or [])})
    chosen = {} if names is None else {"metrics": names}
    settings = Settings(
        weights=files, max_side=max_side, way=align, offset=offset, window=window, overlap=overlap, controls=controls,
        pictures=html is not None, source_pictures=html is not None, who=who, workers=workers,
        limits=Limits(max_pixels=max_pixels, max_seconds=max_seconds), **chosen,
    )  # fmt: skip
    request = Request(output=output, source=source, garment=garment, category=category, region=region, truth=truth)
    if dry_run:
        _print_fit(request, settings)
        return
    with tempfile.TemporaryDirectory(prefix="vidvton-bench-") as folder:
        work = Path(folder)
        found = measure_pair(request, settings, work / "work", work / "pictures", case=source.stem)
        result = _as_result(found, output)
        _write_clip_reports(result, work / "pictures", html=html, json_file=json_file, markdown=markdown, overwrite=overwrite)
    if json_file is None or str(json_file) != "-":
        _print_rows(result)


@bench.command()
def run(
    config: Annotated[Path, typer.Argument(metavar="SUITE", help="A suite, e.g. configs/bench/full.yaml.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for everything; one that holds part of it goes on.", show_default=False
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Model of the diffusion methods that name none [default: as the suite says]"),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="NUMBER", help="Processes side by side; 0 is as the suite says.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing [default: off]")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of the report's path [default: off]")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Run cases x methods, and write DIR/report.html, DIR/report.md and DIR/result.json.

    Stopped or killed and started again with the same command, it goes on where it was; rows that failed are tried again.
    """
    from ..bench.results import result_text
    from ..bench.runs import plan_suite, run_suite
    from ..bench.suite import Suite
    from ..config import overlay, read_config
    from ..errors import MisuseError
    from ..terminal import Display

    suite = overlay(read_config(config, Suite), {"model": model}, name="the options")
    if output.exists() and not output.is_dir():
        raise MisuseError(f"{output} is a file, expected a folder; choose another name")
    if dry_run:
        _print_plan(plan_suite(suite, output), suite, as_json=as_json)
        return
    command = ["vidvton", "bench", "run", str(config), "-o", str(output)] + (["--model", model] if model else [])
    try:
        with Display(quiet=quiet, resumed=True) as display:
            steps = run_suite(suite, output, command=command, workers=workers)
            with contextlib.closing(steps):
                while True:
                    try:
                        display.show(next(steps))
                    except StopIteration as end:
                        result = end.value
                        break
    except KeyboardInterrupt:
        fail(None, f"stopped; what is done stays in {output}, and the same command goes on from there", INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None
    print(result_text(result) if as_json else output / "report.html")


@bench.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="A result that vidvton bench wrote.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Another one, with cases in common.", show_default=False)],
    everything: Annotated[bool, typer.Option("--all", help="Also list what changed within noise [default: off]")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table [default: off]")] = False,
) -> None:
    """Say what changed from A to B beyond noise (99 % intervals of the paired differences)."""
    from ..bench.results import read_result
    from ..bench.statistics import compare_results
    from ..errors import MisuseError

    a, b = read_result(before), read_result(after)
    changes = compare_results(a, b)
    if not changes:
        raise MisuseError(f"{before} and {after} share no clip of one method; give results of the same cases and methods")
    if as_json:
        print(json.dumps([_change_row(c) for c in changes], indent=1))
        return
    _print_changes(changes, everything=everything)


def _key_and_file(text: str) -> tuple[str, str]:
    from ..errors import MisuseError

    key, sign, path = text.partition("=")
    if not sign or not path:
        raise MisuseError(f"the weights {text!r} cannot be read; write KEY=FILE, for example lpips-alex=alex.pt")
    return key, path


def _print_fit(request: object, settings: object) -> None:
    from ..bench.align import align, index_clip

    source, output = (index_clip(p, limits=settings.limits) for p in (request.source, request.output))
    found = align(source, output, way=settings.way, offset=settings.offset)
    print(f"pairs     {len(found.pairs)}")
    print(f"metrics   {', '.join(settings.metrics)}")
    for line in found.misfit.sentences() or ("every frame has its partner, at the same time and size",):
        print(f"fit       {line}")


def _as_result(found: Measured, output: Path) -> BenchResult:
    from ..bench.results import BenchResult, MethodFacts, SetDistance, provenance
    from ..metrics.distribution import distance

    distances = []
    for name in dict.fromkeys(f.name for f in found.features):
        mine = [f for f in found.features if (f.name, f.of) == (name, "output")]
        against = "truth" if any((f.name, f.of) == (name, "truth") for f in found.features) else "source"
        other = [f for f in found.features if (f.name, f.of) == (name, against)]
        rows = sum(len(f.values) for f in mine)
        distances.append(SetDistance(name, found.case.set, "output", against, distance(mine, other), rows))
    made = provenance(["vidvton", *(shlex.quote(word) for word in sys.argv[1:])])
    return BenchResult(
        f"{output.name} beside its source", (found.case,), (MethodFacts("output", "folder", output.name),), (found.clip,),
        (found.controls,), (), tuple(distances), made,
    )  # fmt: skip


def _write_clip_reports(
    result: BenchResult, pictures: Path, *, html: Path | None, json_file: Path | None, markdown: Path | None, overwrite: bool
) -> None:
    from ..bench.report import write_html, write_markdown
    from ..bench.results import result_text, write_result

    if html is not None:
        write_html(html, result, pictures, overwrite=overwrite)
    if markdown is not None:
        write_markdown(markdown, result, overwrite=overwrite)
    if json_file is not None and str(json_file) == "-":
        print(result_text(result))
    elif json_file is not None:
        write_result(json_file, result, overwrite=overwrite)


def _print_rows(result: BenchResult) -> None:
    """The table for people: every metric and place, the source's own value, the difference."""
    from ..bench.view import show_sets

    for shown in show_sets(result):
        print(f"{'metric':<44} {'output':>10} {'source':>10} {'difference':>11}  unit")
        for row in shown.rows:
            cell = row.cells[0]
            name = f"{row.metric.title} {row.arrow} ({row.where})"
            print(f"{name:<44} {cell.value:>10} {row.source:>10} {cell.difference:>11}  {row.unit}")
        for line in shown.warnings:
            print(f"warning   {line}")
    clip = result.clips[0]
    for line in (*(clip.misfit.sentences() if clip.misfit else ()), *clip.notes):
        print(f"note      {line}")
    for row in clip.missing:
        print(f"{row.name:<44} {row}")


def _print_plan(plan: object, suite: object, *, as_json: bool) -> None:
    rows = {"cases": [c.name for c in plan.cases], "methods": [m.name for m in suite.methods], "jobs": len(plan.jobs)}
    rows |= {"left": len(plan.left), "troubles": [c.trouble for c in plan.cases if c.trouble]}
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    print(f"cases     {len(plan.cases)}: {', '.join(rows['cases'][:12])}{' ...' if len(plan.cases) > 12 else ''}")
    print(f"methods   {', '.join(rows['methods'])}")
    print(f"jobs      {rows['jobs']}, of which {rows['jobs'] - rows['left']} are done already")
    for line in rows["troubles"]:
        print(f"trouble   {line}")


def _change_row(change: Change) -> dict[str, object]:
    import math

    def plain(value: float) -> float | None:
        return value if math.isfinite(value) else None

    interval = change.difference
    return {
        "method": change.method, "metric": change.metric.name, "where": change.where, "clips": change.clips,
        "before": plain(change.before), "after": plain(change.after), "difference": plain(interval.mean),
        "low": plain(interval.low), "high": plain(interval.high), "verdict": change.verdict,
    }  # fmt: skip


def _print_changes(changes: tuple[Change, ...], *, everything: bool) -> None:
    from ..bench.charts import number
    from ..bench.statistics import NOISE, SAME
    from ..bench.view import scale_of, signed

    quiet = (NOISE, SAME)
    shown = [c for c in changes if everything or c.verdict not in quiet]
    for change in shown:
        scale, unit = scale_of(change.metric)
        name = f"{change.method}: {change.metric.title} ({change.where})"
        bounds = change.difference
        spread = f" ({number(bounds.low * scale)} to {number(bounds.high * scale)})" if bounds.known else ""
        print(
            f"{name:<56} {number(change.before * scale):>9} -> {number(change.after * scale):<9} {signed(bounds.mean * scale)}"
            f"{spread} {unit}  {change.verdict}"
        )
    counts = {v: sum(c.verdict == v for c in changes) for v in dict.fromkeys(c.verdict for c in changes)}
    clips = max(c.clips for c in changes)
    print(f"{len(changes)} rows over {clips} shared {'clip' if clips == 1 else 'clips'}: "
          + ", ".join(f"{n} {v}" for v, n in counts.items()))  # fmt: skip
