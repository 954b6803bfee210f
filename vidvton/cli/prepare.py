"""`vidvton prepare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .shell import INTERRUPTED, app, fail


@app.command()
def prepare(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a data set, as downloaded.", show_default=False)],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the set; one that holds part of it goes on.", show_default=False)
    ],
    layout: Annotated[
        str | None, typer.Option(metavar="WORD", help="viton-hd, dresscode, vivid, vvt or studio [default: found out]")
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="WORD", help="train or test [default: train]")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Height and width samples are stored at, pixels [default: 256x192]")
    ] = None,
    longest: Annotated[
        int | None, typer.Option(metavar="FRAMES", help="Most frames of one sample; longer clips give several [default: 128]")
    ] = None,
    bad_share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share 0-1 of pairs that may be unusable [default: 0.05]")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="NUMBER", help="Only so many pairs; 0 is all [default: 0]")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Settings; options given beside it win.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(metavar="NUMBER", help="Processes side by side; 0 is one per processor.")] = 0,
    executor: Annotated[str, typer.Option(metavar="WORD", help="local, or ray for a Ray cluster (extra: ray).")] = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be prepared, write nothing [default: off]")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a set that stands there [default: off]")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON instead of the folder [default: off]")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr [default: off]")] = False,
) -> None:
    """Find persons, regions, warps and garments of a data set once, and store them for training.

    Masks, poses and parses that the data set brings are used. Stopped and started again with the same command, it goes on.
    """
    from ..config import overlay, read_config
    from ..studio import parse_size
    from ..terminal import Display
    from ..train.prepare_set import notes_on, plan_set, prepare_set
    from ..train.prepare_settings import PrepareSettings
    from ..train.shards import read_facts

    given = {
        "layout": layout, "split": split, "size": None if size is None else list(parse_size(size)), "longest": longest,
        "bad_share": bad_share, "limit": limit,
    }  # fmt: skip
    settings = PrepareSettings() if config is None else read_config(config, PrepareSettings)
    settings = overlay(settings, given, name="the options" if config is None else str(config))
    with Display(quiet=quiet, resumed=True) as display:
        if dry_run:
            listing = plan_set(dataset, settings)
            for note in notes_on(listing):
                display.show(note)
            facts = {"pairs": len(listing.pairs), "mismatches": list(listing.mismatches), "layout": listing.layout}
            print(json.dumps(facts) if as_json else f"{len(listing.pairs)} pairs would be prepared into {output}")
            return
        try:
            for step in prepare_set(dataset, output, settings, workers=workers, executor=executor, overwrite=overwrite):
                display.show(step)
        except KeyboardInterrupt:
            fail(
                None,
                f"stopped; the pairs that are through stay in {output}, and the same command goes on from there",
                INTERRUPTED,
            )
            raise typer.Exit(INTERRUPTED) from None
    print(json.dumps({"set": str(output), **read_facts(output)}) if as_json else output)
