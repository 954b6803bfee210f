"""Where a run is: progress is one integer, and the stage, what learns in it and how fast are pure functions of that integer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .config import Stage


@dataclass(frozen=True)
class Position:
    """Step `step` (from 0) of stage number `stage`. At the very end of a run it is the last stage's number of steps and
    `finished` is set."""

    stage: int
    step: int
    finished: bool = False


def locate(stages: Sequence[Stage], step: int) -> Position:
    """Where a run of `stages` stands after `step` optimiser steps. ValueError outside 0 to the total."""
    left = step
    for number, stage in enumerate(stages):
        if 0 <= left < stage.steps:
            return Position(number, left)
        left -= stage.steps
    if step < 0 or left != 0:
        raise ValueError(f"step {step} lies outside a run of {sum(stage.steps for stage in stages)} steps")
    return Position(len(stages) - 1, stages[-1].steps, finished=True)


def first_step(stages: Sequence[Stage], number: int) -> int:
    """The step at which stage `number` begins."""
    return sum(stage.steps for stage in stages[:number])


def work_left(stages: Sequence[Stage], step: int) -> float:
    """Pixels still to be trained on after `step`: what the time left is proportional to, near enough."""
    left = 0.0
    for number, stage in enumerate(stages):
        steps = stage.steps - min(max(step - first_step(stages, number), 0), stage.steps)
        left += steps * work(stage)
    return left


def work(stage: Stage) -> float:
    """Pixels a mean step of `stage` trains on."""
    images = 1.0 if stage.frames == 1 else stage.images
    samples = (1 - images) * stage.batch * stage.frames + images * (stage.image_batch or stage.batch)
    return samples * stage.size[0] * stage.size[1]


def only_temporal(stage: Stage, step: int) -> bool:
    """Whether only temporal layers learn at step `step` of `stage`."""
    return stage.trains == "temporal" or step < stage.temporal_first


def learning_rate(stage: Stage, step: int) -> float:
    """The learning rate at step `step` of `stage`: a linear warm-up, then constant or a cosine down to `final_rate` * `rate`."""
    rate = stage.rate * min(1.0, (step + 1) / (stage.warmup + 1))
    if stage.decay == "cosine":
        done = step / max(1, stage.steps - 1)
        rate *= stage.final_rate + (1 - stage.final_rate) * 0.5 * (1 + math.cos(math.pi * done))
    return rate


def is_image_step(stage: Stage, step: int) -> bool:
    """Whether step `step` of `stage` trains on single frames; a share `images` of a video stage's steps, evenly spread."""
    return stage.frames == 1 or image_steps(stage, step + 1) > image_steps(stage, step)


def image_steps(stage: Stage, step: int) -> int:
    """How many of the first `step` steps of `stage` train on single frames: none while only temporal layers learn, which single
    frames do not reach. Whole thousandths, so that no rounding drifts."""
    if stage.frames == 1:
        return step
    alone = step if stage.trains == "temporal" else min(step, stage.temporal_first)
    return (step - alone) * round(stage.images * 1000) // 1000
