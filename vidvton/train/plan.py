"""A run before it starts: every check that can be made without training, and its description for --dry-run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidvton.config import read_config
from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.config import ModelConfig
from vidvton.progress import Note, Progress
from vidvton.studio import SetPlan

from .config import Data, Stage, TrainConfig, read_train_config, share_out
from .data_record import Record, record_of
from .dataset import Dataset, open_dataset
from .from_studio import from_studio, studio_folders
from .loader import Sets
from .network import check_same_model, settings_for
from .perceptual import Features, load_features
from .stages import image_steps
from .start import find_start, read_settings

HELD_OUT_SEED = 1_000_003
"""Added to the studio's seed for held-out clips: other people, garments and places."""


@dataclass(frozen=True)
class Plan:
    """Everything a run is made from: its configuration, the video network's architecture, what it trains on, what it is looked
    at with (None: it is not), the record of both for its folder, and the perceptual losses' networks by their files' names."""

    config: TrainConfig
    model: ModelConfig
    sets: Sets
    held_out: Dataset | None
    record: Record
    features: Mapping[str, Features] = field(default_factory=dict)


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
        if _stands(studio_folders(home / folder)[1]):
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


def _stands(folder: Path) -> bool:
    return (folder / "dataset.json").is_file()


def open_plan(config: TrainConfig, model: ModelConfig, *, world_size: int) -> Plan:
    """The whole plan, data opened. MisuseError or VidvtonError for folders that are missing, unfinished or empty, clips too short
    for a stage, a perceptual loss's weights that cannot be read, and batches that `world_size` processes cannot share."""
    features = _load_features(config, world_size=world_size)
    sets, held_out = _open_sets(config.data)
    for stage in config.stages:
        for what, dataset in (("train", sets.clips), ("held_out" if config.data.held_out else "validation", held_out)):
            try:
                _ = dataset and dataset.at_least(stage.frames)
            except VidvtonError as error:
                raise MisuseError(f"data.{what} has nothing for stage {stage.name!r}: {error}") from error
    return Plan(config, model, sets, held_out, record_of(config.data), features)


def check_plan(config: TrainConfig, model: ModelConfig, *, world_size: int) -> Plan | None:
    """`open_plan` for a run that is not to begin: None, after every check that can be made so early, where the studio's sets are
    still to be made. Errors as `open_plan`, and MisuseError where those sets will be too short for a stage."""
    studio = config.data.studio
    named = {kind: getattr(config.data, kind) for kind in ("train", "images", "validation")}
    made = {str(studio_folders(Path(studio.folder) / word)[1]) for word in ("train", "held_out")} if studio else set()
    missing = {folder for folder in made if any(folder in names for names in named.values()) and not _stands(Path(folder))}
    if studio is None or not missing:
        return open_plan(config, model, world_size=world_size)
    _load_features(config, world_size=world_size)
    longest = max(stage.frames for stage in config.stages)
    for names in filter(None, named.values()):
        others = [name for name in names if name not in missing]
        if others:
            open_dataset(others)
        elif longest > studio.frames:
            raise MisuseError(
                f"data.studio makes clips of {studio.frames} frames, and a stage trains on {longest}; make longer ones"
            )
    return None


def check_start(config: TrainConfig, model: ModelConfig) -> None:
    """MisuseError or VidvtonError where the weights that a new run begins with are not there, damaged, or of another model."""
    if config.start_from is not None:
        start = find_start(Path(config.start_from))
        check_same_model(read_settings(start), settings_for(model, config.stages[0]), str(start))


def _load_features(config: TrainConfig, *, world_size: int) -> dict[str, Features]:
    """The perceptual losses' networks by their files' names, after the batches were checked."""
    for stage in config.stages:
        check_batches(stage, world_size)
    files = {stage.loss.perceptual_weights for stage in config.stages if stage.loss.perceptual > 0}
    return {file: load_features(Path(file)) for file in sorted(filter(None, files))}


def _open_sets(data: Data) -> tuple[Sets, Dataset | None]:
    """What to train on and what to look at, no recording in both."""
    clips = open_dataset(data.train)
    images = open_dataset(data.images) if data.images else clips
    if data.held_out == 0:
        return Sets(clips, images), open_dataset(data.validation) if data.validation else None
    rest, held_out = clips.parted(data.held_out)
    sets = Sets(rest, images.parted(data.held_out)[0])
    if not all(map(len, (sets.clips, sets.images, held_out))):
        raise MisuseError(
            f"data.held_out {data.held_out:g} takes {len(held_out)} of {len(clips)} clips and leaves {len(rest)} to train on; "
            "give another share, or a set of its own in data.validation"
        )
    return sets, held_out


def check_batches(stage: Stage, world_size: int) -> None:
    """MisuseError, with the three numbers, where a batch of `stage` cannot be shared by `world_size` processes."""
    single = image_steps(stage, stage.steps)
    for images, steps in ((False, stage.steps - single), (True, single)):
        if steps:
            share_out(stage, world_size, images=images)


def describe_plan(config: TrainConfig, model: ModelConfig, *, world_size: int) -> list[str]:
    """What a run would do, a line for each stage. MisuseError as `check_batches`."""
    lines = [f"{config.total_steps} steps in {len(config.stages)} stages, {config.precision}, seed {config.seed}"]
    for stage in config.stages:
        check_batches(stage, world_size)
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
