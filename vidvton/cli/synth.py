"""`vidvton synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shell import INTERRUPTED, app, fail


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
    from ..studio import SetPlan, make_dataset, parse_size
    from ..terminal import Display

    plan = SetPlan(seed, frames, parse_size(size), variants=variants, motion=motion, garment=garment, place=background)
    try:
        with Display(quiet=quiet, resumed=True) as display:
            for step in make_dataset(output, plan, clips=clips, workers=workers, overwrite=overwrite):
                display.show(step)
    except KeyboardInterrupt:
        fail(None, f"stopped; the clips that are complete stay in {output}, and the same command goes on from there", INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None
    print(output)
