"""The model a render is to use: found, checked and named by its content before anything is written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import MisuseError
from ..models.config import ModelConfig
from .settings import DiffusionSettings, RenderSettings

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
"""Where weights lie that come with the package."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder, what its configuration says, the SHA-256 over its files (and the person features to be used with it), and
    where and how it is to run."""

    folder: Path
    config: ModelConfig
    digest: str
    device: str
    precision: str

    @property
    def identity(self) -> dict[str, str]:
        """What decides the frames, in JSON values."""
        return {"model": self.digest, "device": self.device.partition(":")[0], "precision": self.precision}

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return _DTYPES[self.precision]


def choose_engine(settings: RenderSettings) -> tuple[str, Checkpoint | None]:
    """(engine, its model): `auto` is diffusion where a model is given or ships, else warp.

    MisuseError where engine and model do not fit, the folder is missing or is not a model's, or the machine cannot run it.
    """
    given = settings.diffusion.model
    if settings.engine == "warp":
        if given is not None:
            raise MisuseError(
                "a model was given for the warp engine, which has none; leave out --model, or use --engine diffusion"
            )
        return "warp", None
    shipped = (SHIPPED / "config.json").exists()
    if given is None and not shipped:
        if settings.engine == "auto":
            return "warp", None
        raise MisuseError("the diffusion engine needs a trained model and none ships with this version; add --model FOLDER")
    return "diffusion", read_checkpoint(Path(given) if given is not None else SHIPPED, settings.diffusion)


def read_checkpoint(folder: Path, settings: DiffusionSettings) -> Checkpoint:
    """The checkpoint in `folder`; errors as `choose_engine`. Its weights are read when they are needed."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise MisuseError(f"the model folder {folder} {what}; expected a folder with config.json and safetensors weights")
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    weights = [name for name in names if name.endswith(".safetensors")]
    if not weights:
        pickles = [name for name in names if name.endswith(_PICKLES)]
        if pickles:
            raise MisuseError(
                f"{folder / pickles[0]} is a pickle, which may run code when read; convert the weights to safetensors"
            )
        raise MisuseError(f"{folder} holds no safetensors weights, expected a model's folder as `vidvton train` writes it")
    from ..models.bundle import read_model_config  # heavy: diffusers

    config = read_model_config(folder)
    digest, files = hashlib.sha256(), [folder / name for name in ("config.json", *weights)]
    if settings.person_features is not None:
        files.append(Path(settings.person_features))
        if not files[-1].is_file():
            raise MisuseError(f"there is no file {files[-1]} of person features; make one with `vidvton model tune`")
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    device = _device(settings.device)
    return Checkpoint(folder, config, digest.hexdigest(), device, _precision(settings.precision, device))


def _device(word: str) -> str:
    if word == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if word.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(word.partition(":")[2] or 0) >= count:
            raise MisuseError(f"device {word} was asked for and this machine has {count} usable GPUs; use --device cpu")
    return word


def _precision(word: str, device: str) -> str:
    if word == "auto":
        return "fp32" if device == "cpu" else "bf16"
    if word == "fp16" and device == "cpu":
        raise MisuseError("precision fp16 runs on GPUs only and the device is cpu; use --precision bf16 or fp32")
    return word
