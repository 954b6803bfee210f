"""The knobs of a render, as `configs/render/*.yaml` and the command line set them."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ..config import Strict


class VideoSettings(Strict):
    """How the result is encoded."""

    codec: Literal["h264", "hevc", "vp9", "av1", "ffv1"] = "h264"
    crf: int | None = Field(None, ge=0, le=63)
    """Constant quality, lower is better and larger: h264 and hevc 0-51, vp9 and av1 0-63, ffv1 is lossless and ignores it.
    None takes the codec's usual one (h264 18)."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] | None = None
    """Speed of h264 and hevc encoding; None takes fast."""
    segment: int = Field(96, ge=1, le=4096)
    """Frames a segment: what is encoded at once, and what is lost at most when a run is killed."""

    @model_validator(mode="after")
    def _crf_fits(self) -> VideoSettings:
        if self.codec in ("h264", "hevc") and self.crf is not None and self.crf > 51:
            raise ValueError(f"crf {self.crf} is out of range for {self.codec}, expected 0 to 51")
        return self


class LimitSettings(Strict):
    """How much of a file may be decoded, so that a few crafted bytes cannot fill the memory or the disk."""

    max_pixels: int = Field(64_000_000, ge=1)
    """Pixels of one picture or frame."""
    max_seconds: float = Field(1800.0, gt=0)
    """Length of a clip in seconds."""


class WarpSettings(Strict):
    """The warp engine's own."""

    steady: float = Field(0.85, ge=0, le=0.95)
    """How much of every frame comes from the one before, carried along the motion: more is steadier and softer, 0 is off."""
    untucked: bool = False
    """Whether tops hang to their own length over what is worn below, even where the old top is tucked in."""


class DiffusionSettings(Strict):
    """The diffusion engine's own."""

    model: str | None = None
    """Folder of a trained model; None takes the one that ships, where one does."""
    steps: int = Field(8, ge=1, le=1000)
    """Sampling steps; more are better and slower."""
    sampler: Literal["ddim", "dpm++", "unipc"] = "dpm++"
    guidance: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """Weights of split guidance: nothing given, then each group of `order` as it is added. Equal neighbours save an evaluation,
    all 1 is no guidance."""
    order: tuple[Literal["person", "garment", "pose"], ...] = ("person", "garment", "pose")
    strength: float = Field(1.0, gt=0, le=1)
    """Noise level 0-1 to start from: 1 is pure noise, less keeps more of the warp engine's result and needs fewer steps."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Numbers the network computes in; auto is bf16 on a GPU, else fp32. fp16 is for GPUs only."""
    attention: Literal["sdpa", "xformers"] = "sdpa"
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto takes a GPU where there is one."""
    window: int | None = Field(None, ge=1, le=4096)
    """Frames sampled at once; None takes what the model was made for. Less needs less memory."""
    overlap: int | None = Field(None, ge=0, le=4095)
    """Frames that a window shares with the next; None takes a quarter of it."""
    frames_at_a_time: int | None = Field(None, ge=1)
    """Frames the network's spatial layers hold at once; None takes a whole window. Less needs less memory."""
    offload_encoders: bool = False
    """Whether the encoders leave the GPU once they have run."""
    augmentation: float = Field(0.0, ge=0, le=1)
    """Level of the noise on what the network is shown."""
    hint: bool = True
    """Whether the network is shown the warped garment."""
    detail: bool = True
    """Whether fine detail comes from the warped garment and the source where the network agrees with them."""
    person_features: str | None = None
    """A file of `vidvton model tune` for this clip."""

    @field_validator("guidance")
    @classmethod
    def _guidance_counts(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if len(weights) != 4 or not any(weights):
            raise ValueError("expected 4 weights that are not all 0: nothing given, then each group of order")
        return weights

    @field_validator("order")
    @classmethod
    def _order_is_whole(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(order) != ["garment", "person", "pose"]:
            raise ValueError("expected person, garment and pose, each once")
        return order

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError("expected auto, cpu, cuda or cuda:N")
        return device

    @model_validator(mode="after")
    def _overlap_fits(self) -> DiffusionSettings:
        if self.overlap is not None and self.window is not None and self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} is out of range for windows of {self.window} frames, expected less")
        return self


class RenderSettings(Strict):
    """Everything that decides what a render looks like, besides the clip and the garments."""

    engine: Literal["auto", "warp", "diffusion"] = "auto"
    """`auto` is diffusion where a model is given or ships, else warp."""
    who: str = "largest"
    """Whom to dress: `largest`, a number counted from the left starting at 1, or a point `x,y` in pixels of the first frame."""
    seed: int = Field(0, ge=0, lt=2**63)
    video: VideoSettings = VideoSettings()
    limits: LimitSettings = LimitSettings()
    warp: WarpSettings = WarpSettings()
    diffusion: DiffusionSettings = DiffusionSettings()

    @field_validator("who")
    @classmethod
    def _who_is_known(cls, who: str) -> str:
        if not re.fullmatch(r"largest|[1-9]\d*|\d+(\.\d+)?,\d+(\.\d+)?", who):
            raise ValueError("expected largest, a number from 1 or a point x,y in pixels")
        return who
