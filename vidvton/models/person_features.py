"""Person features tuned to one person (M&M VTO 2.4): every weight stays as it is, only offsets to the person encoder's feature
maps are optimised, which brings back what the agnostic frames hide (body shape, tattoos) in a small file.

For a clip the offsets are of low rank in time: frame t adds sum_r mix[t, r] * maps[r]. One map shared by all frames (rank 1, all
ones) could not follow a person who moves, for the features are aligned with pixels; a map of its own for every frame would
need 64 times the space and let flicker in. `mix` starts with its first column at one and the rest small, `maps` at zero, so that
the start changes nothing and rank 1 is contained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import MisuseError, VidvtonError
from .encoders import Encoded


@dataclass(frozen=True)
class PersonFeatures:
    """Offsets to person features: `maps` [R, S, C] float32 at the DiT's grid of S tokens, `mix` [T, R] float32 a row a frame."""

    maps: Tensor
    mix: Tensor

    def __post_init__(self) -> None:
        if self.maps.ndim != 3 or self.mix.ndim != 2 or self.mix.shape[1] != self.maps.shape[0]:
            raise ValueError(f"maps {list(self.maps.shape)} and mix {list(self.mix.shape)} should be [R, S, C] and [T, R]")

    def offsets(self) -> Tensor:
        """[T, S, C], for `Encoded.with_person_features`."""
        return torch.einsum("tr,rsc->tsc", self.mix, self.maps)

    def window(self, start: int, stop: int) -> PersonFeatures:
        """Frames `start` to `stop`, without a copy."""
        return PersonFeatures(self.maps, self.mix[start:stop])


def start_features(encoded: Encoded, *, rank: int = 4, seed: int = 0) -> PersonFeatures:
    """Offsets of zero for the clip in `encoded`, on its device, wanting gradients: hand both tensors to an optimiser."""
    if rank < 1:
        raise MisuseError(f"rank is {rank}, expected at least 1")
    _, frames, tokens, width = encoded.person.shape
    device = encoded.person.device
    mix = torch.randn(frames, rank, generator=torch.Generator().manual_seed(seed)) * 0.1
    mix[:, 0] = 1
    return PersonFeatures(torch.zeros(rank, tokens, width, device=device).requires_grad_(), mix.to(device).requires_grad_())


def save_features(features: PersonFeatures, path: Path) -> None:
    """Write the offsets as a safetensors file, about 4 bytes times R * S * C."""
    tensors = {"maps": features.maps, "mix": features.mix}
    save_file({name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}, path)


def load_features(path: Path) -> PersonFeatures:
    """The offsets in a file that `save_features` wrote. MisuseError where it cannot be read or holds something else, VidvtonError
    for NaN."""
    try:
        tensors = load_file(path)
        features = PersonFeatures(tensors["maps"], tensors["mix"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise MisuseError(f"{path} cannot be read as person features ({error}); expected a file made by tuning") from error
    if not all(bool(torch.isfinite(x).all()) for x in (features.maps, features.mix)):
        raise VidvtonError(f"{path} holds NaN or infinity; tune again with a smaller rate")
    return features
