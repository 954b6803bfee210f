"""The command line: parse, call, exit code. Heavy imports stand inside the commands, so that help is quick."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from . import __version__
from .errors import MisuseError, VidvtonError

if TYPE_CHECKING:
    from .render.plan import RenderPlan, RenderRequest
    from .render.settings import RenderSettings

# Every core gets a process of its own (workers.py); threads inside a small matrix product would only get in their way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

DONE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="vidvton",
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich would cost more than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 misuse, 130 interrupted. Errors are one line on stderr."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:  # not in the main thread
        pass
    try:
        code = app(arguments, standalone_mode=False, prog_name="vidvton") or DONE
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _fail(error, error.format_message().rstrip("."), getattr(error, "exit_code", MISUSE))
    except MisuseError as error:
        return _fail(error, str(error), MISUSE)
    except VidvtonError as error:
        return _fail(error, str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(None, "stopped", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; let the exit be quiet
        return FAILED
    except Exception as error:
        return _fail(error, explain(error), FAILED)


def explain(error: Exception) -> str:
    """One sentence for an error nobody turned into one before."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space and run the command again"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; close other programs or give a smaller clip"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else f"the system refused: {error.strerror}"
    return f"something unexpected went wrong ({type(error).__name__}: {error}); VIDVTON_DEBUG=1 shows where"


def _fail(error: BaseException | None, sentence: str, code: int) -> int:
    if error is not None and os.environ.get("VIDVTON_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"vidvton: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidvton {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def vidvton(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Video virtual try-on: the same clip, with the garment worn."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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
    engine: Annotated[str | None, typer.Option(metavar="WORD", help="auto or warp [default: auto]")] = None,
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
    from .render.plan import RenderRequest, make_plan

    video = {"codec": codec, "crf": crf, "preset": preset}
    limits = {"max_pixels": max_pixels, "max_seconds": max_seconds}
    settings = _settings(config, {"engine": engine, "who": who, "seed": seed, "video": video, "limits": limits})
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


@app.command()
def garment(
    picture: Annotated[Path, typer.Argument(help="Picture of a garment.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="Where the sheet goes (a picture).", show_default=False)
    ],
    category: Annotated[str | None, typer.Option(metavar="WORD", help="upper, lower or full [default: found out]")] = None,
    max_pixels: Annotated[int, typer.Option(metavar="PIXELS", help="Largest picture to read, in pixels.")] = 64_000_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists [default: off]")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found as JSON instead of the output's path [default: off]")
    ] = False,
) -> None:
    """Draw what is understood of a garment picture: outline, parts, landmarks, category and cut."""
    from .garment import draw_sheet
    from .media.files import check_writable
    from .media.images import read_image, write_image
    from .render.plan import check_categories, check_picture_output, read_garment
    from .render.settings import LimitSettings, RenderSettings

    check_categories((category,), 1)
    check_picture_output(output, picture)
    check_writable(output, overwrite=overwrite)
    settings = RenderSettings(limits=LimitSettings(max_pixels=max_pixels))
    found = read_garment(picture, category, settings)
    write_image(output, draw_sheet(found, read_image(picture, max_pixels=max_pixels).image), overwrite=overwrite)
    if as_json:
        from .values import LANDMARKS

        points = dict(zip(LANDMARKS[found.category], [[round(v, 2) for v in row] for row in found.landmarks.tolist()]))
        size = list(found.image.shape[1:])
        facts = {"picture": str(picture), "sheet": str(output), "category": found.category, "layout": vars(found.layout)}
        print(json.dumps({**facts, "size": size, "landmarks": points}))
    else:
        print(output)


@app.command()
def synth(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the set; one that holds part of it goes on.", show_default=False)
    ],
    clips: Annotated[int, typer.Option("--clips", "-n", metavar="NUMBER", help="How many clips the set has.")] = 8,
    frames: Annotated[int, typer.Option(metavar="NUMBER", help="Frames in each clip, at 25 a second.")] = 64,
    size: Annotated[str, typer.Option(metavar="HxW", help="Height and width in pixels.")] = "512x384",
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Seed of everything random; the same seed gives the same files.")
    ] = 0,
    workers: Annotated[int, typer.Option(metavar="NUMBER", help="Processes side by side; 0 is one per processor.")] = 0,
    motion: Annotated[
        str | None, typer.Option(metavar="WORD", help="One motion for all, e.g. turn, dance, sit [default: mixed]")
    ] = None,
    garment: Annotated[
        str | None, typer.Option(metavar="WORD", help="One garment for all, e.g. tee, dress [default: mixed]")
    ] = None,
    background: Annotated[
        str | None, typer.Option(metavar="WORD", help="One place for all, e.g. studio [default: mixed]")
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants/--no-variants", help="Also each clip with another garment and another person.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make clips that stand already anew [default: off]")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Make clips of people who do not exist, in garments that do not either, with everything about them known.

    Stopped and started again with the same command, it goes on with the clip it was at.
    """
    from .studio import SetPlan, make_dataset, parse_size
    from .terminal import Display

    plan = SetPlan(seed, frames, parse_size(size), variants=variants, motion=motion, garment=garment, place=background)
    try:
        with Display(quiet=quiet, resumed=True) as display:
            for step in make_dataset(output, plan, clips=clips, workers=workers, overwrite=overwrite):
                display.show(step)
    except KeyboardInterrupt:
        _fail(
            None, f"stopped; the clips that are complete stay in {output}, and the same command goes on from there", INTERRUPTED
        )
        raise typer.Exit(INTERRUPTED) from None
    print(output)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON [default: off]")] = False) -> None:
    """Check this installation: versions, devices, codecs, models, and known traps. Exit code 1 if something needed is broken."""
    from .doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:<7} {finding.name:<20} {finding.text}")
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        raise VidvtonError(f"this installation is broken: {', '.join(broken)}; see the lines above")


def _settings(config: Path | None, options: dict[str, object]) -> RenderSettings:
    """Defaults, then the file, then the options that were given."""
    from .config import overlay, read_config
    from .render.settings import RenderSettings

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
    from .render.engines import make_engine
    from .render.report import report_text
    from .render.video import render_clip
    from .terminal import Display

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
        _fail(None, f"stopped{kept}", INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None
