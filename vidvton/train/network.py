"""The network of a stage: built, grown from the stage before, spread over processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.blocks import DiTBlock, ResBlock, SpaceTimeBlock
from vidvton.models.config import ModelConfig
from vidvton.models.encoders import Encoded, PictureEncoder
from vidvton.models.inflate import inflate
from vidvton.models.unet import TryOnUNet
from vidvton.values import Conditioning

from .config import Stage, differing_keys
from .order import key
from .processes import Processes


class Pass(nn.Module):
    """One training pass as a module's `forward`, where DDP and FSDP listen; `encode` and `predict` are its two halves."""

    def __init__(self, network: TryOnUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, level: Tensor, conditioning: Conditioning) -> Tensor:
        """What the network predicts of x [B, T, 3, H, W] at noise level [B]."""
        return self.network.predict(x, level, self.network.encode(conditioning))

    def encode(self, conditioning: Conditioning) -> Encoded:
        """As the network's."""
        return self.network.encode(conditioning)

    def predict(self, x: Tensor, level: Tensor, encoded: Encoded) -> Tensor:
        """As the network's."""
        return self.network.predict(x, level, encoded)


def settings_for(model: ModelConfig, stage: Stage) -> ModelConfig:
    """The architecture that trains in `stage`: the image network for one frame, else the video network, with its temporal down
    and up where the stage asks for them."""
    if stage.frames == 1:
        return model.image.model_copy(update={"size": stage.size})
    changes = {
        "size": stage.size,
        "temporal": True,
        "temporal_stride": 2 if stage.temporal_halving else 1,
        "frames": stage.frames,
    }
    return model.model_copy(update=changes)


def build(settings: ModelConfig, seed: int) -> TryOnUNet:
    """A new network whose first weights are a function of `settings` and `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "weights"))
        return TryOnUNet(settings)


def check_same_model(before: ModelConfig, now: ModelConfig, where: str) -> None:
    """MisuseError, naming the keys that differ, where weights of a network `before` mean nothing to one of `now`, whether or not
    their shapes agree; `where` is what it calls the checkpoint.

    Size and frames may differ; temporal layers, and temporal down and up, may be new.
    """
    free = {"size", "frames"}
    if not before.temporal:
        free |= {"temporal", "temporal_ratio", "temporal_stride"}
    elif before.temporal_stride == 1:
        free.add("temporal_stride")
    differing = differing_keys(*(settings.model_dump(mode="json", exclude=free) for settings in (before, now)))
    if differing:
        raise MisuseError(f"{where} is a checkpoint of another model ({'; '.join(differing)}); give one of this model")


def grow(network: TryOnUNet, weights: dict[str, Tensor], settings: ModelConfig, where: str) -> None:
    """Loads `weights` of a network of `settings` into `network`: those of the same architecture, or of an earlier stage's, whose
    temporal layers, or temporal down and up, are then the network's own new ones. MisuseError and VidvtonError, naming what
    differs, for any other; `where` is what it calls the checkpoint."""
    check_same_model(settings, network.config, where)
    try:
        inflate(network, weights)
    except VidvtonError as error:
        raise VidvtonError(f"{where} is a checkpoint of another model: {error}") from error


def shard(module: Pass, processes: Processes) -> None:
    """Splits weights, gradients and what the optimiser will keep over all processes (FSDP2), block by block, in place."""
    from torch.distributed.device_mesh import init_device_mesh

    module.network.to(memory_format=torch.contiguous_format)  # FSDP2 takes no other
    mesh = init_device_mesh(processes.device.type, (processes.count,))
    units: list[str] = []
    for name, part in module.network.named_modules():
        inside = any(name.startswith(unit + ".") for unit in units)  # a block within a block goes with the outer one
        if inside or not isinstance(part, DiTBlock | SpaceTimeBlock | ResBlock | PictureEncoder):
            continue
        units.append(name)
        fully_shard(part, mesh=mesh)
        if isinstance(part, DiTBlock):
            for method in ("keys_of_layout", "keys_of_garments"):
                register_fsdp_forward_method(part, method)
    fully_shard(module, mesh=mesh)
    for method in ("encode", "predict"):
        register_fsdp_forward_method(module, method)
