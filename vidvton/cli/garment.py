"""`vidvton garment`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .shell import app


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
    from ..garment import draw_sheet
    from ..media.files import check_writable
    from ..media.images import read_image, write_image
    from ..render.plan import check_categories, check_picture_output, read_garment
    from ..render.settings import LimitSettings, RenderSettings

    check_categories((category,), 1)
    check_picture_output(output, picture)
    check_writable(output, overwrite=overwrite)
    settings = RenderSettings(limits=LimitSettings(max_pixels=max_pixels))
    found = read_garment(picture, category, settings)
    write_image(output, draw_sheet(found, read_image(picture, max_pixels=max_pixels).image), overwrite=overwrite)
    if as_json:
        from ..values import LANDMARKS

        points = dict(zip(LANDMARKS[found.category], [[round(v, 2) for v in row] for row in found.landmarks.tolist()]))
        size = list(found.image.shape[1:])
        facts = {"picture": str(picture), "sheet": str(output), "category": found.category, "layout": vars(found.layout)}
        print(json.dumps({**facts, "size": size, "landmarks": points}))
    else:
        print(output)
