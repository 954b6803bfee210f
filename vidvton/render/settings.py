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

    height: int = Field(832, ge=64, le=4096)
    """Height in pixels of the person-centred crop the engine works on."""
    width: int = Field(624, ge=64, le=4096)
    """Width in pixels of that crop."""


class RenderSettings(Strict):
    """Everything that decides what a render looks like, besides the clip and the garments."""

    engine: Literal["auto", "warp"] = "auto"
    who: str = "largest"
    """Whom to dress: `largest`, a number counted from the left starting at 1, or a point `x,y` in pixels of the first frame."""
    seed: int = Field(0, ge=0, lt=2**63)
    video: VideoSettings = VideoSettings()
    limits: LimitSettings = LimitSettings()
    warp: WarpSettings = WarpSettings()

    @field_validator("who")
    @classmethod
    def _who_is_known(cls, who: str) -> str:
        if not re.fullmatch(r"largest|[1-9]\d*|\d+(\.\d+)?,\d+(\.\d+)?", who):
            raise ValueError("expected largest, a number from 1 or a point x,y in pixels")
        return who
