"""From a checkpoint to a model that renders: the averaged weights as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from vidvton.errors import VidvtonError
from vidvton.models.bundle import ModelCard, read_card, save_bundle
from vidvton.models.unet import TryOnUNet

from .checkpoint import averaged, read_architecture, read_facts
from .plan import Plan


def export_model(checkpoint: Path, plan: Plan, folder: Path) -> None:
    """Writes the averaged weights of `checkpoint` (its own, where no average was kept) as a bundle to `folder`, replacing an
    older one when it is whole. VidvtonError where the disk refuses; the older one then stands."""
    facts, stored = read_facts(checkpoint), averaged(checkpoint)
    with torch.random.fork_rng(devices=[]):
        network = TryOnUNet(read_architecture(checkpoint))
    network.load_state_dict({name: stored.whole(name) for name in stored.names()})
    try:
        save_bundle(network, folder, card_of(facts, plan), overwrite=True)
    except (OSError, SafetensorError) as error:
        raise VidvtonError(
            f"{folder} could not be written ({error}); the checkpoint of step {facts['step']} stands: free some space and run "
            "the same command again"
        ) from error


def is_exported(step: int, folder: Path) -> bool:
    """Whether the bundle in `folder` is that of `step`."""
    return folder.is_dir() and read_card(folder).position.get("step") == step


def card_of(facts: Mapping[str, Any], plan: Plan) -> ModelCard:
    """The model card: where in its training the model stands, on what data, and at which size it was trained last."""
    stage = next(stage for stage in plan.config.stages if stage.name == facts["stage"])
    height, width = stage.size
    position = {"step": facts["step"], "of": plan.config.total_steps, "stage": stage.name, "frames": stage.frames}
    position |= {"height": height, "width": width, "seed": plan.config.seed}
    hint = "with" if plan.config.data.hint else "without"
    return ModelCard(
        name=Path(plan.config.model).stem,
        position=position,
        data=f"{len(plan.sets.clips)} clips, {hint} the warp engine's hint",
        notes=f"{facts['counts']['updates']} updates in {plan.config.precision}, averaged weights",
    )
