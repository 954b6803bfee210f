#!/usr/bin/env python3
"""What a training run costs on GPUs, by the formulas of docs/scaling.md: memory, step time and dollars per stage.

    tools/plan_training.py configs/train/progressive.yaml [--model configs/model/large.yaml] [--gpus 1,8,64] [--peak 989e12]
                           [--share 0.35] [--memory 80] [--price 2.5]

Arithmetic and activations are counted on the meta device (nothing is allocated), exactly; only the share of the peak that a GPU
reaches is assumed.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vidvton.models.config import ModelConfig  # noqa: E402
from vidvton.models.info import _empty_conditioning, peak_bytes  # noqa: E402
from vidvton.models.unet import TryOnUNet  # noqa: E402
from vidvton.train.config import Stage, TrainConfig  # noqa: E402
from vidvton.train.network import Pass, settings_for  # noqa: E402
from vidvton.train.plan import read_plan  # noqa: E402

STATE = 20
"""Bytes a parameter: weight 4, gradient 4, Adam's two moments 8, average 4."""


@lru_cache(maxsize=64)
def count(model: ModelConfig, stage: Stage, *, frames: int, checkpointing: bool) -> tuple[int, float, int]:
    """(parameters, FLOPs of one sample forwards and backwards, bytes of one sample's activations and gradients in bf16)."""
    settings = settings_for(model, stage)
    with torch.device("meta"):
        network = TryOnUNet(settings).to(torch.bfloat16)
        x, level = torch.empty(1, frames, 3, *stage.size, dtype=torch.bfloat16), torch.empty(1)
    network.gradient_checkpointing = checkpointing
    conditioning = _empty_conditioning(settings, frames).to(dtype=torch.bfloat16)
    parameters = sum(p.numel() for p in network.parameters())

    def step() -> None:
        Pass(network)(x, level, conditioning).sum().backward()

    with FlopCounterMode(display=False) as counter:
        most = peak_bytes(step)
    return parameters, float(counter.get_total_flops()), most - 2 * parameters


def rows(config: TrainConfig, model: ModelConfig, gpus: int, given: argparse.Namespace) -> list[str]:
    """A Markdown row for each stage, and their sum."""
    out, hours = [], 0.0
    for stage in config.stages:
        parameters, flops, activations = count(model, stage, frames=stage.frames, checkpointing=config.checkpointing)
        images = 1.0 if stage.frames == 1 else stage.images
        one = flops if stage.frames == 1 else count(model, stage, frames=1, checkpointing=config.checkpointing)[1]
        work = (1 - images) * stage.batch * flops + images * (stage.image_batch or stage.batch) * one
        seconds = work / (gpus * given.peak * given.share)
        copies = STATE * parameters
        room = given.memory * 1e9
        # As many samples at a time as fit; what does not fit is accumulated.
        at_once = max(1, min(-(-stage.batch // gpus), int((room * 0.9 - copies) // activations)))
        held, sharded = copies + at_once * activations, copies / gpus + at_once * activations
        stage_hours = seconds * stage.steps / 3600
        hours += stage_hours
        fits = f"{held / 1e9:.3g}" if held < room else f"{held / 1e9:.3g} (sharded {sharded / 1e9:.3g})"
        out.append(
            f"| {stage.name} | {gpus} | {at_once} | {fits} | {work / 1e12:.3g} | {seconds:.3g} | {stage_hours:.3g} | "
            f"{stage_hours * gpus * given.price:,.0f} |"
        )
    out.append(f"| **all** | {gpus} | | | | | {hours:.3g} | **{hours * gpus * given.price:,.0f}** |")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--model", type=Path, help="another network than the configuration's")
    parser.add_argument("--gpus", default="1,8,64")
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s of one GPU in bf16, dense (H100 SXM)")
    parser.add_argument("--share", type=float, default=0.35, help="share of it that training reaches (assumed)")
    parser.add_argument("--memory", type=float, default=80, help="GB of one GPU")
    parser.add_argument("--price", type=float, default=2.5, help="dollars for one GPU and hour (assumed)")
    given = parser.parse_args()
    config, model = read_plan(given.config)
    if given.model is not None:
        from vidvton.config import read_config

        model = read_config(given.model, ModelConfig)
    print("| stage | GPUs | samples at once | GB a GPU | TFLOP a step | s a step | hours | dollars |\n" + "|---" * 8 + "|")
    for gpus in map(int, given.gpus.split(",")):
        print("\n".join(rows(config, model, gpus, given)))


if __name__ == "__main__":
    main()
