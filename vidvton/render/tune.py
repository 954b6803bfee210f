"""Features tuned to the person of one clip (M&M VTO 2.4): what the agnostic frames hide of them, learned from the clip itself.

The network is asked to make the clip as it was filmed, the person in their own garment; every weight stays as it is, only the
offsets of `models.person_features` follow the gradient.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidvton.analysis import cut
from vidvton.collate import GREY, View
from vidvton.config import nearest
from vidvton.diffusion.loss import diffusion_loss
from vidvton.diffusion.noise import clip_noise, generator_for
from vidvton.diffusion.schedule import Schedule, diffuse, to_level
from vidvton.errors import MisuseError
from vidvton.frames import as_arrays, from_arrays
from vidvton.garment import prepare_garment
from vidvton.models.person_features import PersonFeatures, start_features
from vidvton.progress import Note, Progress
from vidvton.render.checkpoint import choose_engine
from vidvton.render.conditions import Conditions, Stage
from vidvton.render.diffusion_engine import DiffusionEngine, Film, film_of, load_network
from vidvton.render.plan import limits_of, read_garment
from vidvton.render.settings import RenderSettings
from vidvton.tryon import Network, encode
from vidvton.values import CATEGORIES, GROUPS, Garment


@dataclass(frozen=True)
class Tuning:
    """How features are tuned: `steps` of Adam at `rate`, each on a window of `window` frames; `rank` maps; `worn` says that the
    garment given is the one worn in the clip (else it is withheld); the region counts `region_weight` times."""

    steps: int = 200
    rate: float = 0.01
    rank: int = 4
    window: int = 16
    worn: bool = True
    region_weight: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class _Window:
    """Frames `start` to `stop`: what the encoders say of them, how they were filmed [1, T, 3, h, w] -1 to 1, and their region."""

    start: int
    stop: int
    encoded: Any
    truth: Tensor
    region: Tensor


def tune_person(
    model: Network, stage: Stage, conditions: Conditions, film: Film, tuning: Tuning
) -> Generator[Progress, None, PersonFeatures]:
    """Tune features to the person of `film`, whose `conditions` are there; returns them, a row for every frame.

    Memory grows with the clip (about a megabyte a frame for 256x192): clips to tune on are short.
    """
    windows = []
    for window in _windows(model, stage, conditions, film, tuning):
        windows.append(window)
        yield Progress("encode", window.stop, len(stage.worn.analysis.track))
    first, count = windows[0].encoded, len(stage.worn.analysis.track)
    features = start_features(replace(first, person=first.person[:, :1].expand(-1, count, -1, -1)), rank=tuning.rank)
    for weight in model.parameters():
        weight.requires_grad_(False)
    optimizer = torch.optim.Adam([features.maps, features.mix], lr=tuning.rate)
    schedule = Schedule.for_size(stage.size)
    for step in range(tuning.steps):
        draw = generator_for("tune", tuning.seed, step)
        window = windows[int(torch.randint(len(windows), (1,), generator=draw))]
        optimizer.zero_grad()
        _loss(model, window, features, schedule, tuning, step, draw).backward()
        optimizer.step()
        yield Progress("tune", step + 1, tuning.steps, "steps")
    return PersonFeatures(features.maps.detach(), features.mix.detach())


def _loss(
    model: Network,
    window: _Window,
    features: PersonFeatures,
    schedule: Schedule,
    tuning: Tuning,
    step: int,
    draw: torch.Generator,
) -> Tensor:
    sigma = schedule.sigma(torch.rand(1, generator=draw)).to(window.truth.device)
    noise = clip_noise(_seed_of(tuning.seed, step), window.start, window.stop, window.truth.shape[2:])[None].to(window.truth)
    encoded = window.encoded.with_person_features(features.window(window.start, window.stop).offsets())
    output = model.predict(diffuse(window.truth, noise, sigma).to(model.dtype), to_level(sigma), encoded)
    loss = diffusion_loss(
        output,
        window.truth,
        noise,
        sigma,
        model.config.prediction,
        region=window.region,
        region_weight=tuning.region_weight,
    )
    return loss.mean()


def _seed_of(seed: int, step: int) -> int:
    """A seed of a step's own."""
    return int(torch.randint(2**62, (1,), generator=generator_for("tune noise", seed, step)))


def _windows(model: Network, stage: Stage, conditions: Conditions, film: Film, tuning: Tuning) -> Iterator[_Window]:
    """Windows over all shots that show the person, none reaching over a cut."""
    given = GROUPS if tuning.worn else tuple(name for name in GROUPS if name != "garment")
    frames = (frame for clip in film.clips(0) for frame in as_arrays(clip.frames))
    position = 0
    for shot in stage.worn.analysis.shots:
        for start in range(shot.start, shot.stop, tuning.window):
            stop = min(start + tuning.window, shot.stop)
            pictures = [next(frames) for _ in range(position, stop)]
            position = stop
            if shot.body is None:
                continue
            told = conditions.conditioning(start, stop)
            with torch.no_grad():
                encoded = encode(model, told, given)
            truth = _shown(stage, pictures, start).to(model.device)
            yield _Window(start, stop, encoded, truth, told.region.to(model.device))


def _shown(stage: Stage, pictures: list, start: int) -> Tensor:
    """[1, T, 3, h, w] -1 to 1: source frames as the network sees frames."""
    wide = [cut(p, stage.boxes[t], stage.canvas[t]) for t, p in enumerate(pictures, start)]
    height, width = wide[0].shape[:2]
    stacked = torch.stack([from_arrays(w.copy()) for w in wide])
    view = View(torch.tensor([0, 0, width, height]).repeat(len(wide), 1), stage.size)
    return view.apply(stacked, fill=GREY)[None] * 2 - 1


def tune_clip(
    clip: Path, garment: Path | None, category: str | None, settings: RenderSettings, tuning: Tuning
) -> Generator[Progress | Note, None, PersonFeatures]:
    """Features of the person in `clip`, who wears `garment` (None: a garment nobody shows the network, of `category`).

    Raises what a render's plan and analysis raise, and MisuseError where neither garment nor category is given.
    """
    if garment is None and category is None:
        raise MisuseError("neither a garment nor a category was given; say with --category what is to be replaced later")
    if not clip.exists():
        raise MisuseError(f"there is no file {clip}; give a clip")
    _, checkpoint = choose_engine(settings)
    worn = _unseen(category) if garment is None else read_garment(garment, category, settings)
    film = film_of(clip, limits_of(settings))
    with tempfile.TemporaryDirectory(prefix="vidvton-tune-") as work:
        engine = DiffusionEngine(film, (worn,), Path(work), settings, checkpoint)
        yield from engine.prepare_conditions()
        model = load_network(checkpoint, settings)
        return (yield from tune_person(model, engine.stage, engine.conditions, film, tuning))


def _unseen(category: str) -> Garment:
    """A plain garment of `category`, for the analysis alone; the network is not shown it."""
    if category not in CATEGORIES:
        raise MisuseError(f"category {category!r} is unknown; {nearest(category, CATEGORIES)}")
    picture = np.full((96, 80, 3), 255, np.uint8)
    picture[16:80, 20:60] = (110, 110, 115)
    return prepare_garment(torch.from_numpy(picture).movedim(-1, 0), category=category)
