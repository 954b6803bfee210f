"""`vidvton model`: what a network is and costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shell import app

if TYPE_CHECKING:
    from ..models.info import ModelInfo

model = typer.Typer(
    help="What a network is and costs.", no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
app.add_typer(model, name="model")


@model.command()
def info(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A configs/model/*.yaml or a saved model's folder.", show_default=False)
    ],
    frames: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Frames of a window [default: the configuration's]", show_default=False),
    ] = None,
    frames_at_a_time: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Frames the spatial layers hold at once [default: all]", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout [default: off]")] = False,
) -> None:
    """Count a network's parameters, arithmetic and memory without making it; any size can be asked about."""
    import json as writer
    from dataclasses import asdict

    from ..config import read_config
    from ..models.bundle import read_model_config
    from ..models.config import ModelConfig
    from ..models.info import describe

    config = read_model_config(source) if source.is_dir() else read_config(source, ModelConfig)
    counted = describe(config, frames=frames, frames_at_a_time=frames_at_a_time)
    if json:
        out = {"config": config.model_dump(mode="json"), "total_parameters": counted.total_parameters, **asdict(counted)}
        print(writer.dumps(out, indent=2))
    else:
        print(_as_text(counted))


def _as_text(counted: ModelInfo) -> str:
    """The counts as the lines a reader wants first."""
    height, width = counted.size
    lines = [
        f"{height}x{width}, windows of {counted.frames} frames",
        "",
        f"{'parameters':<20}{counted.total_parameters / 1e6:>10.2f} M",
    ]
    lines += [f"  {part:<18}{number / 1e6:>10.2f} M" for part, number in counted.parameters.items()]
    lines += ["", f"{'a frame a step':<20}{counted.step_flops / 1e9:>10.2f} GFLOP"]
    lines += [f"{'a frame once':<20}{counted.encode_flops / 1e9:>10.2f} GFLOP (encoders)", ""]
    lines += [f"{'memory of a window':<20}{'weights':>10} {'encoded':>10} {'peak':>10}"]
    for precision, memory in counted.memory.items():
        mebibytes = (f"{number / 2**20:>6.0f} MiB" for number in (memory.weights, memory.encoded, memory.peak))
        lines.append(f"  {precision:<18}" + " ".join(mebibytes))
    return "\n".join(lines)
