#!/usr/bin/env python3
"""What a training run costs on GPUs, by the formulas of docs/scaling.md: memory, step time and dollars per stage.

    tools/plan_training.py configs/train/progressive.yaml [--gpus 1,8,64] [--fit] [--write FILE] [--model FILE] [--peak 989e12]
                           [--share 0.35] [--memory 80] [--price 2.5]

Arithmetic and activations are counted on the meta device (nothing is allocated); the share of a GPU's peak is assumed. Each
process holds `batch` / (GPUs x `accumulate`) samples at once, as in training, and what training refuses is refused. `--fit` takes
the fewest accumulated parts that fit, `--write` keeps that configuration. `--model` plans another network at its own size.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vidvton.config import read_config, write_config  # noqa: E402
from vidvton.errors import MisuseError  # noqa: E402
from vidvton.models.config import ModelConfig  # noqa: E402
from vidvton.models.info import _empty_conditioning, peak_bytes  # noqa: E402
from vidvton.models.unet import TryOnUNet  # noqa: E402
from vidvton.train.config import Stage, TrainConfig, share_out  # noqa: E402
from vidvton.train.network import Pass, settings_for  # noqa: E402
from vidvton.train.plan import check_batches, read_plan  # noqa: E402

STATE, CASTS = 20, 2  # bytes a parameter: weight 4, gradient 4, Adam's moments 8, average 4; autocast's copy to compute in
FILL = 0.8  # of a GPU's memory: activations were counted up to 12 % low (docs/scaling.md), and libraries' workspaces come on top


class Sample(NamedTuple):
    """One sample forwards and backwards: the network's parameters, FLOPs, bytes of activations and their gradients in bf16."""

    parameters: int
    flops: float
    held: float


@lru_cache(maxsize=64)
def count(settings: ModelConfig, frames: int, checkpointing: bool) -> Sample:
    samples = max(1, 16 // frames)  # of one picture alone the most is held at the end, by gradients of weights
    with torch.device("meta"):
        network = TryOnUNet(settings).to(torch.bfloat16)
        x, level = torch.empty(samples, frames, 3, *settings.size, dtype=torch.bfloat16), torch.empty(samples)
    network.gradient_checkpointing = checkpointing
    one = _empty_conditioning(settings, frames).to(dtype=torch.bfloat16)
    fields = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    given = dataclasses.replace(one, **{k: v.repeat(samples, *[1] * (v.ndim - 1)) for k, v in fields.items() if v is not None})
    with FlopCounterMode(display=False) as counter:
        most = peak_bytes(lambda: Pass(network)(x, level, given).sum().backward())
    parameters = sum(p.numel() for p in network.parameters())
    return Sample(parameters, counter.get_total_flops() / samples, most / samples)


class Cost(NamedTuple):
    """A stage on some GPUs: samples that one holds at once, windows and single frames (0: none of them), bytes on each with
    copied weights and with sharded ones, and FLOPs of a step, all GPUs together."""

    windows: int
    images: int
    copied: float
    sharded: float
    work: float


def cost(stage: Stage, model: ModelConfig, gpus: int, *, checkpointing: bool) -> Cost:
    """MisuseError, as training, where the GPUs cannot share a batch."""
    check_batches(stage, gpus)
    settings, share = settings_for(model, stage), 1.0 if stage.frames == 1 else stage.images
    window, image = (count(settings, frames, checkpointing) for frames in (stage.frames, 1))
    windows = share_out(stage, gpus) if share < 1 else 0
    images = share_out(stage, gpus, images=True) if share > 0 else 0
    held = max(windows * window.held, images * image.held) + CASTS * window.parameters
    work = stage.accumulate * gpus * ((1 - share) * windows * window.flops + share * images * image.flops)
    return Cost(windows, images, held + (state := STATE * window.parameters), held + state / gpus, work)


def fitted(stage: Stage, model: ModelConfig, gpus: int, room: float, *, checkpointing: bool) -> Stage:
    """`stage` with the fewest accumulated parts that `room` bytes hold; with the most there can be where nothing fits."""
    batches = stage.batch, stage.batch if stage.frames == 1 else stage.image_batch or stage.batch
    for parts in (n for n in range(1, stage.batch + 1) if not any(batch % (gpus * n) for batch in batches)):
        stage = stage.model_copy(update={"accumulate": parts})
        if cost(stage, model, gpus, checkpointing=checkpointing).copied <= room:
            break
    return stage


def rows(config: TrainConfig, model: ModelConfig, gpus: int, given: argparse.Namespace) -> list[str]:
    """A Markdown row for each stage, and their sum."""
    out, hours, room = [], 0.0, FILL * given.memory * 1e9
    for stage in config.stages:
        found = cost(stage, model, gpus, checkpointing=config.checkpointing)
        seconds = found.work / (gpus * given.peak * given.share)
        hours += (own := seconds * stage.steps / 3600)
        at_once = " / ".join(str(n) for n in (found.windows, found.images) if n)
        holds = f"{found.copied / 1e9:.3g}"
        if found.copied > room:
            holds += f", sharded {found.sharded / 1e9:.3g}" + ("" if found.sharded <= room else ": **too much**")
        spent = [*(f"{n:.3g}" for n in (found.work / 1e12, seconds, own)), f"{own * gpus * given.price:,.0f}"]
        out.append(f"| {' | '.join([stage.name, str(gpus), str(stage.accumulate), at_once, holds, *spent])} |")
    return [*out, f"| **all** | {gpus} | | | | | | {hours:.3g} | **{hours * gpus * given.price:,.0f}** |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--model", type=Path, help="another network than the configuration's, at its own size")
    parser.add_argument("--gpus", default="1,8,64")
    parser.add_argument("--fit", action="store_true", help="as few accumulated parts as fit, whatever the configuration says")
    parser.add_argument("--write", type=Path, help="keep the fitted configuration, of one number of GPUs, in this file")
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s of one GPU in bf16, dense (H100 SXM)")
    parser.add_argument("--share", type=float, default=0.35, help="share of it that training reaches (assumed)")
    parser.add_argument("--memory", type=float, default=80, help="GB of one GPU")
    parser.add_argument("--price", type=float, default=2.5, help="dollars for one GPU and hour (assumed)")
    given = parser.parse_args()
    if given.write and ("," in given.gpus or not given.fit or given.model or given.write.exists()):
        parser.error("--write needs --fit, one number of GPUs, the configuration's own network and a file that is not there yet")
    config, model = read_plan(given.config)
    stages = config.stages
    if given.model is not None:
        before, model = model.size, read_config(given.model, ModelConfig)
        sizes = [tuple(n * new // old for n, new, old in zip(s.size, model.size, before)) for s in stages]
        stages = tuple(s.model_copy(update={"size": size}) for s, size in zip(stages, sizes))
    words = ("stage", "GPUs", "accumulate", "samples at once", "GB a GPU", "TFLOP a step", "s a step", "hours", "dollars")
    print(f"| {' | '.join(words)} |\n" + "|---" * len(words) + "|")
    for gpus in map(int, given.gpus.split(",")):
        if given.fit:
            asked = {"room": FILL * given.memory * 1e9, "checkpointing": config.checkpointing}
            stages = tuple(fitted(stage, model, gpus, **asked) for stage in stages)
        config = config.model_copy(update={"stages": stages})
        print("\n".join(rows(config, model, gpus, given)), flush=True)
    if given.write:
        head = f"# {given.config.name}, fitted to {gpus} x {given.memory:g} GB by tools/plan_training.py\n"
        given.write.parent.mkdir(parents=True, exist_ok=True)
        given.write.write_text(head + write_config(config), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except MisuseError as error:
        sys.exit(f"error: {error}")
