"""`vidvton model tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .model import model as group


@group.command()
def tune(
    clip: Annotated[Path, typer.Argument(help="A clip of the person: the one to be rendered.", show_default=False)],
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="A trained model.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the features go (.safetensors).", show_default=False)
    ],
    garment: Annotated[
        Path | None,
        typer.Option("--garment", "-g", metavar="PICTURE", help="What is worn in the clip [default: not shown to the network]"),
    ] = None,
    category: Annotated[
        str | None, typer.Option(metavar="WORD", help="upper, lower or full: what is to be replaced later [default: found out]")
    ] = None,
    who: Annotated[str, typer.Option(metavar="WHO", help="Whom: as in render.")] = "largest",
    steps: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Steps of Adam.")] = 200,
    rate: Annotated[float, typer.Option(metavar="NUMBER", help="Learning rate.")] = 0.01,
    rank: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Maps that the frames mix.")] = 4,
    window: Annotated[int, typer.Option(metavar="FRAMES", min=1, help="Frames of one step; less needs less memory.")] = 16,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of noise and order.")] = 0,
    device: Annotated[str, typer.Option(metavar="WORD", help="auto, cpu, cuda or cuda:N.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists [default: off]")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Learn what one clip shows of its person and the network cannot know: for `render --person-features`.

    The network's weights stay as they are; the file holds features of this clip alone, some tenths of a megabyte.
    """
    from ..config import overlay
    from ..media.files import check_writable, written_beside
    from ..models.person_features import save_features
    from ..render.settings import RenderSettings
    from ..render.tune import Tuning, tune_clip
    from ..terminal import Display

    check_writable(output, overwrite=overwrite)
    diffusion = {"model": str(model), "device": device, "precision": "fp32"}
    settings = overlay(RenderSettings(), {"engine": "diffusion", "who": who, "diffusion": diffusion}, name="the options")
    tuning = Tuning(steps, rate, rank, window, worn=garment is not None, seed=seed)
    with Display(quiet=quiet) as display:
        run = tune_clip(clip, garment, category, settings, tuning)
        while True:
            try:
                display.show(next(run))
            except StopIteration as end:
                features = end.value
                break
    with written_beside(output, overwrite=overwrite) as part:
        save_features(features, part)
    print(output)
