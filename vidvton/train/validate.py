"""Looking at what has been learned, on clips that nothing learned from: error by noise level, sampled results, flicker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from vidvton.diffusion.noise import clip_noise
from vidvton.diffusion.precondition import clip, precondition
from vidvton.diffusion.sample import sample
from vidvton.diffusion.schedule import Schedule, diffuse
from vidvton.metrics.image import squared_error
from vidvton.metrics.temporal import second_difference

from . import ema
from .config import Stage, TrainConfig, Validate
from .dataset import Dataset, Sample
from .learner import Learner
from .order import key
from .strip import Strip


@dataclass(frozen=True)
class Findings:
    """`levels`: mean squared error of the x0 estimate in the region (0-1 scale) by the schedule's time; of sampled results `psnr`
    (dB, in the region) and `flicker` beside the truth's own, or None where none were sampled; and their strips."""

    levels: dict[str, float]
    psnr: float | None
    flicker: float | None
    flicker_truth: float | None
    strips: list[Strip]

    def describe(self) -> str:
        """ "error by noise 0.2: 0.0021, 0.5: ...; PSNR 21.3 dB, flicker 3.1 (truth 1.9)" """
        text = "error by noise " + ", ".join(f"{name}: {value:.4g}" for name, value in self.levels.items())
        if self.psnr is not None:
            text += f"; PSNR {self.psnr:.2f} dB in the region"
        if self.flicker is not None:
            text += f", flicker {self.flicker:.2f} (truth {self.flicker_truth:.2f})"
        return text

    def scores(self) -> dict[str, float]:
        """What was measured of sampled results, by name."""
        found = {"psnr": self.psnr, "flicker": self.flicker, "flicker_truth": self.flicker_truth}
        return {name: value for name, value in found.items() if value is not None}

    def values(self) -> dict[str, object]:
        """For the journal."""
        return {"levels": self.levels} | self.scores()


@torch.no_grad()
def validate(
    learner: Learner,
    held_out: Dataset,
    config: TrainConfig,
    settings: Validate,
    stage: Stage,
    *,
    precision: Callable[[], AbstractContextManager],
    device: torch.device,
) -> Findings:
    """What the averaged weights do on the first frames of the first clips of `held_out`, which must be long enough for `stage`;
    `precision` opens the context in which the network computes. The same windows and the same noise every time."""
    learner.module.eval()
    errors: dict[str, list[float]] = {f"{level:g}": [] for level in settings.levels}
    seen: list[tuple[float, float | None, float | None, Strip]] = []
    with ema.wearing(learner.weights, learner.average):
        for item in range(min(settings.clips, len(held_out))):
            data = config.data
            window = held_out.window(item, frames=stage.frames, size=stage.size, slots=data.garments, hint=data.hint)
            conditioning, x0 = window.conditioning.to(device), window.target[None].to(device) * 2 - 1
            with precision():
                encoded = learner.passing.encode(conditioning)
            predict = partial(_predict, learner, precision, encoded)
            denoise = clip(precondition(predict, learner.settings.prediction))
            schedule = Schedule.for_size(stage.size)
            for level in settings.levels:
                sigma = schedule.sigma(torch.tensor([level])).to(device)
                noise = clip_noise(key(config.seed, "validate", item), 0, stage.frames, x0.shape[2:])[None].to(device)
                estimate = denoise(diffuse(x0, noise, sigma), sigma)
                errors[f"{level:g}"].append(float(_inside((estimate - x0).square().mean(2) / 4, conditioning.region)))
            if item < settings.strips:
                noise = clip_noise(key(config.seed, "strip", item), 0, stage.frames, x0.shape[2:])[None].to(device)
                for x in sample(denoise, noise, schedule, steps=settings.steps):
                    result = x
                source = held_out_source(held_out, item, window, stage)
                seen.append(_judge(window, (result[0].float().cpu() + 1) / 2, source))
    learner.module.train()
    levels = {name: fmean(values) for name, values in errors.items()}
    psnr = fmean(s[0] for s in seen) if seen else None
    moving = [s for s in seen if s[1] is not None]
    flicker = fmean(s[1] for s in moving) if moving else None
    truth = fmean(s[2] for s in moving) if moving else None
    return Findings(levels, psnr, flicker, truth, [s[3] for s in seen])


def _predict(learner: Learner, precision: Callable[[], AbstractContextManager], encoded, x: Tensor, level: Tensor) -> Tensor:
    with precision():
        return learner.passing.predict(x, level, encoded).float()


def held_out_source(held_out: Dataset, item: int, window: Sample, stage: Stage) -> Tensor:
    """The frames the person was filmed in, [T, 3, H, W] 0-1 at the network's size, which the agnostic frames were made of."""
    from vidvton.collate import GREY, whole_view

    scene = held_out.scene(item, range(len(window.target)))
    return whole_view(len(scene), scene.size, stage.size).apply(scene.source, fill=GREY)


def _inside(values: Tensor, region: Tensor) -> Tensor:
    """Mean of `values` [B, T, H, W] where `region` [B, T, 1, H, W] says so."""
    inside = region[:, :, 0]
    return (values * inside).sum() / inside.sum().clamp(min=1)


def _judge(window: Sample, result: Tensor, source: Tensor) -> tuple[float, float | None, float | None, Strip]:
    """(PSNR in the region, flicker, the truth's flicker, strip) of one sampled `result` [T, 3, H, W] 0-1, pasted back."""
    conditioning, truth = window.conditioning, window.target
    region = conditioning.region[0]
    result = torch.lerp(source, result.clamp(0, 1), region)
    error = torch.stack([squared_error(a, b) for a, b in zip(result, truth)])
    psnr = float(-10 * torch.log10(_inside(error[None], region[None]).clamp(min=1e-10)))
    still = len(truth) < 3
    flickers = [None if still else _flicker(frames, region) for frames in (result, truth)]
    garment = conditioning.garments[0, 0, :3] + (1 - conditioning.garments[0, 0, 3:])
    warped, alpha = conditioning.warped[0].split((3, 1), dim=1)
    pictures = {
        "source": source,
        "agnostic": conditioning.agnostic[0],
        "garment": garment[None],
        "warp hint": warped + (1 - alpha) * conditioning.agnostic[0],
        "result": result,
        "truth": truth,
    }
    return psnr, flickers[0], flickers[1], Strip(window.name, pictures)


def _flicker(frames: Tensor, region: Tensor) -> float:
    """Root of the mean second difference in the region, in levels of 255: what jumps to and fro."""
    energy = [second_difference(*frames[t : t + 3]) for t in range(len(frames) - 2)]
    inside = region[1:-1, 0]
    return float(((torch.stack(energy) * inside).sum() / inside.sum().clamp(min=1)).sqrt() * 255)
