"""`vidvton render`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shell import INTERRUPTED, app, fail

if TYPE_CHECKING:
    from ..render.plan import RenderPlan, RenderRequest
    from ..render.settings import RenderSettings


@app.command()
def render(
    clip: Annotated[Path, typer.Argument(help="A clip, a photo, or a folder of pictures.", show_default=False)],
    garment: Annotated[
        list[Path],
        typer.Option("--garment", "-g", metavar="PICTURE", help="A garment; repeat for a top and a skirt.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Where the result goes, of the same kind as the clip.", show_default=False
        ),
    ],
    category: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="upper, lower or full; one for all garments or one each [default: found out]"),
    ] = None,
    who: Annotated[
        str | None,
        typer.Option(
            metavar="WHO", help="Whom to dress: largest, a number from the left (1, 2, ...), or x,y in pixels [default: largest]"
        ),
    ] = None,
    untucked: Annotated[
        bool,
        typer.Option("--untucked", help="Let a top hang over what is worn below, though the old one is tucked in [default: off]"),
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="auto, warp or diffusion; auto is diffusion where there is a model [default: auto]"),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A trained model for the diffusion engine [default: none; none ships]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Sampling steps of the diffusion engine [default: 8]")
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(metavar="W[,W,W,W]", help="Weight of all conditions, or of none, person, garment, pose [default: 1]"),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(metavar="0-1", help="Noise to start from: 1 all, less keeps more of the warped garment [default: 1]"),
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="WORD", help="auto, fp32, bf16 or fp16 [default: auto]")] = None,
    attention: Annotated[str | None, typer.Option(metavar="WORD", help="sdpa or xformers [default: sdpa]")] = None,
    device: Annotated[str | None, typer.Option(metavar="WORD", help="auto, cpu, cuda or cuda:N [default: auto]")] = None,
    window: Annotated[
        int | None,
        typer.Option(metavar="FRAMES", help="Frames sampled at once; less needs less memory [default: the model's]"),
    ] = None,
    person_features: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Features of this person from `vidvton model tune` [default: none]")
    ] = None,
    codec: Annotated[
        str | None, typer.Option(metavar="WORD", help="h264, hevc, vp9, av1 or ffv1 (lossless) [default: h264]")
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Constant quality 0-51 (vp9, av1 0-63), lower is better [default: 18 for h264]"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="WORD", help="Speed of h264 and hevc, ultrafast to veryslow [default: fast]")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Seed of what is random in an engine [default: 0]")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Largest picture or frame to read, in pixels [default: 64000000]")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest clip to read, in seconds [default: 1800]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings from a YAML file; options win over it [default: none]")
    ] = None,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Write source | garment | result [default: off]")] = False,
    preview: Annotated[
        int | None,
        typer.Option(
            metavar="FRAMES", help="Only a sheet of this many frames, OUTPUT.preview.png if OUTPUT is no .png [default: off]"
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a report here, as JSON [default: none]")] = None,
    work: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for unfinished work [default: .OUTPUT.work beside the output]")
    ] = None,
    keep_work: Annotated[bool, typer.Option("--keep-work", help="Keep that folder when all is done [default: off]")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists [default: off]")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing [default: off]")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report or plan as JSON, not the output's path [default: off]")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Put garments on the person in a clip, a photo, or a folder of pictures.

    Same frames, times, size and sound; killed and started again with the same command, it goes on where it stopped.
    """
    if model is not None or engine == "diffusion":
        from ..allocator import keep_memory

        keep_memory()
    from ..render.plan import RenderRequest, make_plan

    video = {"codec": codec, "crf": crf, "preset": preset}
    limits = {"max_pixels": max_pixels, "max_seconds": max_seconds}
    diffusion = {
        "model": None if model is None else str(model),
        "steps": steps,
        "guidance": None if guidance is None else _weights(guidance),
        "strength": strength,
        "precision": precision,
        "attention": attention,
        "device": device,
        "window": window,
        "person_features": None if person_features is None else str(person_features),
    }
    groups = {"video": video, "limits": limits, "warp": {"untucked": True} if untucked else {}, "diffusion": diffusion}
    settings = _settings(config, {"engine": engine, "who": who, "seed": seed, **groups})
    request = RenderRequest(
        source=clip,
        garments=tuple(garment),
        output=output,
        settings=settings,
        categories=tuple(category or ()),
        work=work,
        keep_work=keep_work,
        overwrite=overwrite,
        report=report,
        side_by_side=side_by_side,
        preview=preview,
    )
    plan = make_plan(request)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    _carry_out(plan, as_json=as_json, quiet=quiet)


def _weights(text: str) -> list[float]:
    """Guidance weights from `2` (nothing 1, every group 2) or `1,1,3,1`."""
    from ..errors import MisuseError

    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        raise MisuseError(f"guidance is {text!r}, expected one number or four with commas between (1,1,3,1)") from None
    return [1.0, *weights * 3] if len(weights) == 1 else weights


def _settings(config: Path | None, options: dict[str, object]) -> RenderSettings:
    """Defaults, then the file, then the options that were given."""
    from ..config import overlay, read_config
    from ..render.settings import RenderSettings

    settings = read_config(config, RenderSettings) if config is not None else RenderSettings()
    return overlay(settings, options, name="the options")


def _print_plan(plan: RenderPlan, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(plan.as_json(), indent=1))
        return
    for what, how in plan.rows():
        print(f"{what:<9} {how}")


def _carry_out(plan: RenderPlan, *, as_json: bool, quiet: bool) -> None:
    """Render with progress on stderr, then the path (or the report) on stdout."""
    from ..render.engines import make_engine
    from ..render.report import report_text
    from ..render.video import render_clip
    from ..terminal import Display

    with Display(quiet=quiet, resumed=plan.segments_done is not None) as display, _kept_work_said(plan.request, plan.work):
        steps = render_clip(plan, make_engine)
        with contextlib.closing(steps):
            while True:
                try:
                    display.show(next(steps))
                except StopIteration as end:
                    report = end.value
                    break
    print(report_text(report) if as_json else report.output)


@contextlib.contextmanager
def _kept_work_said(request: RenderRequest, work: Path) -> Iterator[None]:
    """Ctrl-C in one line that says what becomes of the work done so far."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f"; what is done so far is kept in {work}, and the same command goes on from there" if work.exists() else ""
        fail(None, f"stopped{kept}", INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None
