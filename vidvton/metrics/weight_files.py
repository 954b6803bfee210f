"""Files of weights: safetensors, state dicts and TorchScript, read without unpickling objects, fitted to a network exactly."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import MisuseError

_WRAPPINGS = ("state_dict", "model", "teacher")
_PREFIXES = ("module.", "backbone.")


def is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as box:
        return any("/code/" in name for name in box.namelist())


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, a saved state dict (alone or under "state_dict", "model", "teacher"; "module."
    and "backbone." prefixes are taken off), or the parameters of a TorchScript archive. All on the CPU, floats as float32.

    MisuseError for a file that is not there or holds anything else.
    """
    if not path.is_file():
        raise MisuseError(f"the weights {path} are not there; give a .safetensors, .pth or .pt file")
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        elif is_script(path):
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError, _unpickling_error()) as error:
        reason = str(error).strip().splitlines()[:1]
        raise MisuseError(f"the weights {path} cannot be read as plain tensors ({''.join(reason)[:120]})") from None
    while isinstance(state, Mapping) and (inner := next((k for k in _WRAPPINGS if isinstance(state.get(k), Mapping)), None)):
        state = state[inner]
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise MisuseError(f"the weights {path} hold no table of tensors; give a state dict")
    return {_bare(str(k)): v.detach().float() if v.is_floating_point() else v.detach() for k, v in state.items()}


def _unpickling_error() -> type[Exception]:
    """What `torch.load(weights_only=True)` raises at anything but tensors; named through torch, which opens them, not we."""
    return torch.serialization.pickle.UnpicklingError


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def fit(network: nn.Module, state: Mapping[str, Tensor], path: Path, *, unused: tuple[str, ...] = ()) -> nn.Module:
    """`network` with the tensors of `state`, every one of its own and no other, ready to be used (evaluation, no gradients).

    Names that start with one of `unused` (classifier heads, a text tower) are left aside. MisuseError naming the first tensor
    that is missing, left over, or of another shape.
    """
    own = network.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith(unused)} if unused else dict(state)
    counters = [name for name in own if name.endswith("num_batches_tracked") and name not in given]
    given |= {name: own[name] for name in counters}
    lacking, extra = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if lacking or extra:
        what = f"lack {lacking[0]!r}" if lacking else f"have {extra[0]!r} too many"
        raise MisuseError(f"the weights {path} do not fit {type(network).__name__}: they {what}")
    for name, value in given.items():
        if value.shape != own[name].shape:
            shapes = f"{list(value.shape)}, expected {list(own[name].shape)}"
            raise MisuseError(f"the weights {path} do not fit {type(network).__name__}: {name!r} is {shapes}")
    network.load_state_dict(given)
    return network.eval().requires_grad_(False)
