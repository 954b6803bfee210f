"""`vidvton train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MisuseError
from .shell import INTERRUPTED, MISUSE, app, fail


@app.command()
def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Training configuration, YAML.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Folder of the run; one begun goes on [default: runs/CONFIG's name]")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Only draw the curves of a run to RUN/curves.png.", show_default=False)
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(metavar="WORD", help="Also tell tensorboard or wandb [default: metrics.jsonl alone]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done [default: off]")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Train a network in stages, from single frames to long windows.

    Stopped or killed and started again with the same command, it goes on from its newest checkpoint, to the same weights; Ctrl-C
    and SIGTERM first finish the step and save it (a second one, seconds later, does not wait). The same under torchrun and
    accelerate launch, with -m vidvton train CONFIG.
    """
    if plot is not None:
        from ..train.plot import plot_run

        print(plot_run(plot))
        return
    if config is None:
        raise MisuseError("no configuration was given; name one, for example configs/train/debug.yaml, or --plot RUN")
    try:
        _run(config, out or Path("runs") / config.stem, tracker, dry_run=dry_run, quiet=quiet)
    except MisuseError:
        if os.environ.get("RANK", "0") == "0":
            raise
        raise typer.Exit(MISUSE) from None  # every process finds the same; one says it
    except KeyboardInterrupt as stopped:
        if os.environ.get("RANK", "0") == "0":
            fail(None, str(stopped) or "stopped; the same command goes on from the newest checkpoint", INTERRUPTED)
        raise typer.Exit(INTERRUPTED) from None


def _run(config: Path, out: Path, tracker: str | None, *, dry_run: bool, quiet: bool) -> None:
    from ..terminal import Display
    from ..train.launch import check_tracker, launch
    from ..train.plan import check_plan, check_start, describe_plan, make_studio, open_plan, read_plan
    from ..train.run_folder import check_data, check_run, has_begun

    settings, model = read_plan(config)
    check_run(out, settings, model)
    if not has_begun(out):
        check_start(settings, model)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    lines = describe_plan(settings, model, world_size=world)
    if dry_run:
        print("\n".join([*lines, f"into {out}"]))
        check_tracker(tracker)
        plan = check_plan(settings, model, world_size=world)
        said = ["the studio's clips are made and prepared first"] if plan is None else check_data(out, plan.record)
        print("\n".join(said), end="\n" if said else "")
        return
    from ..train.loop import train as run_training
    from ..train.stopping import Stopped

    start = launch(tracker=tracker, out=out)
    with Display(quiet=quiet or not start.processes.is_first, resumed=True) as display:
        if start.processes.is_first:
            for step in make_studio(settings):
                display.show(step)
        start.processes.wait()
        plan = open_plan(settings, model, world_size=start.processes.count)
        try:
            for note in run_training(plan, out, start):
                display.show(note)
        except Stopped:
            start.end()
            raise
    start.end()
    if start.processes.is_first:
        print(out)
