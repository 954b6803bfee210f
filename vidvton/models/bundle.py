"""A network as a folder, in diffusers' convention: config.json, diffusion_pytorch_model.safetensors, and model_card.json."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .. import __version__
from ..config import parse_config
from ..errors import MisuseError, VidvtonError
from .attention import check_attention
from .config import ModelConfig
from .inflate import load_weights
from .unet import TryOnUNet

CONFIG, WEIGHTS, CARD = "config.json", "diffusion_pytorch_model.safetensors", "model_card.json"
INDEX = f"{WEIGHTS}.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MAX_BYTES = 1 << 20
"""Of a JSON file; anything larger is not one of ours."""


@dataclass(frozen=True)
class ModelCard:
    """What a reader should know of a network's weights. `position` says where in its training it was taken (stage, step, samples
    seen, ...), in words of the training loop's own."""

    name: str = ""
    position: Mapping[str, int | float | str] = field(default_factory=dict)
    data: str = ""
    notes: str = ""
    version: str = __version__


def save_bundle(model: TryOnUNet, folder: Path, card: ModelCard, *, overwrite: bool = False, largest: int | None = None) -> None:
    """Write `model` as a folder, whole or not at all, its weights in files of at most `largest` bytes (None: in one).

    MisuseError where the folder exists and `overwrite` is not given.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise MisuseError(f"{folder} exists; give another name or overwrite it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        weights = {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}
        _write_weights(weights, building, largest)
        config = {"_class_name": type(model).__name__, **model.config.model_dump(mode="json")}
        for name, content in ((CONFIG, config), (CARD, asdict(card))):
            (building / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        building.chmod(0o755)
        for path in building.glob("*.safetensors"):
            path.chmod(0o644)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write_weights(weights: dict[str, torch.Tensor], folder: Path, largest: int | None) -> None:
    if largest is None:
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        return
    pattern = WEIGHTS.replace(".safetensors", "{suffix}.safetensors")
    parts = split_torch_state_dict_into_shards(weights, filename_pattern=pattern, max_shard_size=largest)
    for name, held in parts.filename_to_tensors.items():
        save_file({key: weights[key] for key in held}, folder / name, metadata={"format": "pt"})
    if parts.is_sharded:
        index = {"metadata": parts.metadata, "weight_map": parts.tensor_to_filename}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def load_bundle(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None, attention: str = "sdpa"
) -> TryOnUNet:
    """The network in `folder`, in evaluation mode, in `dtype` (None: as it was saved), computing attention by `attention`.

    MisuseError for a folder that holds none; VidvtonError for pickled weights, another architecture (naming the first differing
    keys), NaN weights, and attention that cannot run on the device.
    """
    folder, device = Path(folder), torch.device(device)
    check_attention(attention, device)
    config = read_model_config(folder)
    weights = _read_weights(folder)
    model = TryOnUNet(config)
    try:
        load_weights(model, weights)
    except VidvtonError as error:
        raise VidvtonError(f"{folder}: {error}") from error
    model = model.to(device=device, dtype=dtype or next(iter(weights.values())).dtype).eval()
    model.use_attention(attention)
    return model


def read_model_config(folder: Path) -> ModelConfig:
    """The architecture a bundle was saved with; errors as `load_bundle`."""
    data = _read_json(Path(folder) / CONFIG)
    name = data.get("_class_name", "none")
    if name != TryOnUNet.__name__:
        raise MisuseError(f"{folder} holds a network of class {name}, expected {TryOnUNet.__name__}")
    plain = {key: value for key, value in data.items() if not key.startswith("_")}
    return parse_config(json.dumps(plain), ModelConfig, name=str(Path(folder) / CONFIG))  # JSON is YAML


def read_card(folder: Path) -> ModelCard:
    """The model card of a bundle; what it does not say is empty."""
    path = Path(folder) / CARD
    data = _read_json(path) if path.exists() else {}
    return ModelCard(**{f.name: data[f.name] for f in fields(ModelCard) if f.name in data})


def _read_json(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MisuseError(f"{path} has {path.stat().st_size} bytes, expected a short JSON file")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MisuseError(f"{path.parent} is not a model folder: {path.name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise MisuseError(f"{path} is not JSON, expected what save_bundle wrote") from error
    if not isinstance(data, dict):
        raise MisuseError(f"{path} holds no keys and values, expected what save_bundle wrote")
    return data


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """From one file, or from several that an index names (diffusers' convention)."""
    path = folder / WEIGHTS
    if (folder / INDEX).is_file():
        return _read_parts(folder, _read_json(folder / INDEX).get("weight_map"))
    if not path.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        if pickled:
            raise VidvtonError(f"{folder} holds pickled weights ({pickled[0]}), which may run code; convert them to {WEIGHTS}")
        raise MisuseError(f"{folder} holds no {WEIGHTS}")
    return _read_tensors(path)


def _read_parts(folder: Path, places: object) -> dict[str, torch.Tensor]:
    names = set(places.values()) if isinstance(places, dict) and all(isinstance(n, str) for n in places.values()) else set()
    if not names or any(Path(n).name != n or not n.endswith(".safetensors") for n in names):
        raise VidvtonError(f"{folder / INDEX} does not name safetensors files beside it")
    weights: dict[str, torch.Tensor] = {}
    for name in sorted(names):
        weights |= _read_tensors(folder / name)
    if set(weights) != set(places):
        differing = sorted(set(weights) ^ set(places))[0]
        raise VidvtonError(f"{folder / INDEX} and the files it names differ, first in {differing}")
    return weights


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise VidvtonError(f"{path} is damaged or not a safetensors file ({error})") from error
