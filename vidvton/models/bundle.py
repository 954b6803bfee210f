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


def save_bundle(model: TryOnUNet, folder: Path, card: ModelCard, *, overwrite: bool = False) -> None:
    """Write `model` as a folder, whole or not at all. MisuseError where it exists and `overwrite` is not given."""
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise MisuseError(f"{folder} exists; give another name or overwrite it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        weights = {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}
        save_file(weights, building / WEIGHTS, metadata={"format": "pt"})
        config = {"_class_name": type(model).__name__, **model.config.model_dump(mode="json")}
        for name, content in ((CONFIG, config), (CARD, asdict(card))):
            (building / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        building.chmod(0o755)
        (building / WEIGHTS).chmod(0o644)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


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
    path = folder / WEIGHTS
    if not path.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        if pickled:
            raise VidvtonError(f"{folder} holds pickled weights ({pickled[0]}), which may run code; convert them to {WEIGHTS}")
        raise MisuseError(f"{folder} holds no {WEIGHTS}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise VidvtonError(f"{path} is damaged or not a safetensors file ({error})") from error
