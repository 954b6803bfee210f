"""Video try-on for programs that know diffusers: a pipeline of one model, called on frames.

pipeline = VideoTryOnPipeline.from_pretrained("runs/studio/model").to("cuda")
frames = pipeline(frames, garment, num_inference_steps=8)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .config import overlay
from .errors import MisuseError
from .frames import from_arrays
from .models.unet import TryOnUNet
from .render.checkpoint import Checkpoint, read_checkpoint
from .render.diffusion_engine import PIECE, DiffusionEngine, Film, load_network
from .render.settings import DiffusionSettings, RenderSettings
from .values import Clip
from .worn import prepare_any_garment

Pictures = Tensor | np.ndarray | Sequence[Any]
"""Frames as uint8 [T, 3, H, W] tensor, uint8 [T, H, W, 3] array, or a sequence of pictures: tensors [3, H, W], arrays [H, W, 3]
or PIL images."""

_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


class VideoTryOnPipeline:
    """A trained model with all that stands around it: finding the person, fitting the garment, sampling, pasting back. The same
    frames as `vidvton render --engine diffusion` with the same settings."""

    def __init__(self, model: TryOnUNet, checkpoint: Checkpoint) -> None:
        self.model, self.checkpoint = model, checkpoint

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32, attention: str = "sdpa"
    ) -> VideoTryOnPipeline:
        """The pipeline of the model in `folder`, on the CPU. Errors as `models.bundle.load_bundle`."""
        if dtype not in _PRECISIONS:
            raise MisuseError(f"dtype {dtype} was given, expected torch.float32, torch.bfloat16 or torch.float16")
        settings = RenderSettings(diffusion=DiffusionSettings(model=str(folder), device="cpu", attention=attention))
        checkpoint = replace(read_checkpoint(Path(folder), settings.diffusion), precision=_PRECISIONS[dtype])
        return cls(load_network(checkpoint, settings), checkpoint)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> VideoTryOnPipeline:
        """This pipeline, its model moved to `device` and computing in `dtype`."""
        self.model = self.model.to(device=device, dtype=dtype)
        precision = _PRECISIONS.get(self.model.dtype, "fp32")
        self.checkpoint = replace(self.checkpoint, device=str(self.model.device), precision=precision)
        return self

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def __call__(
        self,
        frames: Pictures,
        garment: Any,
        *,
        category: str | None = None,
        num_inference_steps: int = 8,
        guidance_scale: float | Sequence[float] = 1.0,
        strength: float = 1.0,
        seed: int = 0,
        who: str = "largest",
        frame_rate: float = 25.0,
        detail: bool = True,
    ) -> Tensor:
        """[T, 3, H, W] uint8: `frames` with `garment` worn, of their size; what lies outside the region is theirs, bit for bit.

        `frames` as `Pictures`, from one clip at `frame_rate` frames/s; `garment` one picture or a list of them (a top and a
        skirt); `category` upper, lower or full (None: found out); `guidance_scale` one weight for all conditions or four, for
        nothing, person, garment and pose; `strength` as `--strength`. MisuseError for pictures of another form and settings out
        of range, VidvtonError where nobody is seen.
        """
        clip = _clip_of(frames, frame_rate)
        given = garment if isinstance(garment, (list, tuple)) else [garment]
        garments = tuple(prepare_any_garment(_picture(g), category=category) for g in given)
        weights = [1.0] + [float(guidance_scale)] * 3 if isinstance(guidance_scale, (int, float)) else guidance_scale
        diffusion = {"steps": num_inference_steps, "guidance": list(weights), "strength": float(strength), "detail": detail}
        changes = {"engine": "diffusion", "who": who, "seed": seed, "diffusion": diffusion}
        settings = overlay(RenderSettings(), changes, name="the pipeline's arguments")

        def pieces(start: int) -> Iterator[Clip]:
            return (clip.window(at, min(at + PIECE, len(clip))) for at in range(start, len(clip), PIECE))

        with tempfile.TemporaryDirectory(prefix="vidvton-pipeline-") as work:
            film = Film(pieces, clip.size, frame_rate)
            engine = DiffusionEngine(film, garments, Path(work), settings, self.checkpoint, network=self.model)
            for _ in engine.prepare():
                pass
            dressed = torch.cat([piece.frames for piece in engine.dress(0, engine.num_frames())])
            engine.close()
            return dressed


def _clip_of(frames: Pictures, rate: float) -> Clip:
    """The frames as a clip of even times."""
    if isinstance(frames, np.ndarray) and frames.ndim == 4:
        frames = from_arrays(np.ascontiguousarray(frames))
    elif not isinstance(frames, Tensor):
        if not len(frames):
            raise MisuseError("no frames were given, expected at least one")
        frames = torch.stack([_picture(frame) for frame in frames])
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8 or not len(frames):
        raise MisuseError(f"frames of {list(frames.shape)} {frames.dtype} were given, expected uint8 [T, 3, H, W] or pictures")
    lying = from_arrays(np.ascontiguousarray(frames.movedim(1, -1).cpu().numpy()))  # channels last, as frames from a file lie
    return Clip(lying, torch.arange(len(frames)), 1 / Fraction(rate).limit_denominator(1001))


def _picture(picture: Any) -> Tensor:
    """[3, H, W] uint8 of a tensor, array or PIL image."""
    if not isinstance(picture, Tensor):
        array = np.asarray(picture)
        if array.ndim == 3 and array.shape[2] in (3, 4):
            picture = torch.from_numpy(np.ascontiguousarray(array[..., :3])).movedim(-1, 0)
    if not isinstance(picture, Tensor) or picture.ndim != 3 or picture.shape[0] != 3 or picture.dtype != torch.uint8:
        raise MisuseError(f"a {type(picture).__name__} was given, expected an RGB picture: uint8 [3, H, W] or [H, W, 3]")
    return picture.cpu()
