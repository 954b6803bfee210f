"""A run before it starts: every check that can be made without training, and its description for --dry-run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidvton.config import read_config
from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.config import ModelConfig
from vidvton.progress import Note, Progress
from vidvton.studio import SetPlan

from .config import Stage, TrainConfig, read_train_config, share_out
from .dataset import Dataset, open_dataset
from .from_studio import from_studio, studio_folders
from .loader import Sets
from .stages import is_image_step

HELD_OUT_SEED = 1_000_003
"""Added to the studio's seed for held-out clips: other people, garments and places."""


@dataclass(frozen=True)
class Plan:
    """Everything a run is made from: its configuration, the video network's architecture, what it trains on and what it is looked
    at with (None: it is not)."""

    config: TrainConfig
    model: ModelConfig
    sets: Sets
    held_out: Dataset | None


def read_plan(path: Path) -> tuple[TrainConfig, ModelConfig]:
    """The configuration at `path` and the network's it names. MisuseError for anything wrong in either, and for stages whose
    pictures the network cannot take."""
    config = read_train_config(path)
    model = read_config(Path(config.model), ModelConfig)
    for stage in config.stages:
        height, width = stage.size
        if height % model.multiple or width % model.multiple:
            raise MisuseError(
                f"stage {stage.name!r} has pictures of {height}x{width}, and the network of {config.model} takes multiples of "
                f"{model.multiple}; round its size"
            )
        if stage.temporal_halving and stage.frames < 2:
            raise MisuseError(f"stage {stage.name!r} halves {stage.frames} frames in time; give it more frames")
    return _with_studio(config), model


def make_studio(config: TrainConfig) -> Iterator[Progress | Note]:
    """Makes and prepares the studio's sets where the configuration asks for them; what stands already is kept. The first process
    does it, while the others wait. Errors as `from_studio`."""
    studio = config.data.studio
    if studio is None:
        return
    home = Path(studio.folder)
    for folder, clips, seed in (("train", studio.clips, studio.seed), ("held_out", studio.held_out, studio.seed + HELD_OUT_SEED)):
        if (studio_folders(home / folder)[1] / "dataset.json").is_file():
            continue
        plan = SetPlan(seed=seed, frames=studio.frames, size=studio.size, variants=studio.variants)
        yield from from_studio(home / folder, plan, clips=clips)


def _with_studio(config: TrainConfig) -> TrainConfig:
    """The configuration with the studio's folders to train on and to look at, where it names none of its own."""
    studio, data = config.data.studio, config.data
    if studio is None:
        return config
    made = {"train": "train", "validation": "held_out"}
    folders = {
        key: getattr(data, key) or (str(studio_folders(Path(studio.folder) / made[key])[1]),) for key in ("train", "validation")
    }
    return config.model_copy(update={"data": data.model_copy(update=folders)})


def open_plan(config: TrainConfig, model: ModelConfig, *, world_size: int) -> Plan:
    """The whole plan, data opened. MisuseError or VidvtonError for folders that are missing, unfinished or empty, clips too short
    for a stage, and batches that `world_size` processes cannot share."""
    for stage in config.stages:
        check_batches(stage, world_size)
    clips = open_dataset(config.data.train)
    sets = Sets(clips, open_dataset(config.data.images) if config.data.images else clips)
    held_out = open_dataset(config.data.validation) if config.data.validation else None
    for stage in config.stages:
        for what, dataset in (("train", clips), ("validation", held_out)):
            try:
                _ = dataset and dataset.at_least(stage.frames)
            except VidvtonError as error:
                raise MisuseError(f"data.{what} has nothing for stage {stage.name!r}: {error}") from error
    return Plan(config, model, sets, held_out)


def check_batches(stage: Stage, world_size: int) -> None:
    """MisuseError, with the three numbers, where a batch of `stage` cannot be shared by `world_size` processes."""
    kinds = {is_image_step(stage, step) for step in range(min(stage.steps, 1000))}
    for images in sorted(kinds):
        share_out(stage, world_size, images=images)


def describe_plan(config: TrainConfig, model: ModelConfig, *, world_size: int) -> list[str]:
    """What a run would do, a line for each stage."""
    lines = [f"{config.total_steps} steps in {len(config.stages)} stages, {config.precision}, seed {config.seed}"]
    for stage in config.stages:
        height, width = stage.size
        share = share_out(stage, world_size, images=stage.frames == 1)
        kind = "temporal layers" if stage.trains == "temporal" else "all layers"
        first = f", the first {stage.temporal_first} temporal layers alone" if stage.temporal_first else ""
        images = f", {stage.images:.0%} of them on single frames" if stage.frames > 1 and stage.images else ""
        lines.append(
            f"{stage.name}: {stage.steps} steps{images} on {stage.frames} frames of {height}x{width}, batch {stage.batch} "
            f"({world_size} x {stage.accumulate} x {share}), rate {stage.rate:g}, {kind}{first}"
            + (", halved in time" if stage.temporal_halving and model.temporal else "")
        )
    return lines
