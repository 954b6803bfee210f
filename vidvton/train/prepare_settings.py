"""How a data set is prepared, from YAML or the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ..config import Strict


class PrepareSettings(Strict):
    """`layout` is how the data set lies on disk (auto: found out), `split` train or test where it has both. Samples are stored at
    `size` (height, width), at most `longest` frames each; runs of fewer than `shortest` frames of a clip that show the person are
    left out. More than `bad_share` of pairs that cannot be used is an error. `variants` also takes the studio's clips dressed in
    the other garment. `limit` takes only so many pairs (0: all). A shard ends with the sample that fills `shard_mib`.
    """

    layout: Literal["auto", "viton-hd", "dresscode", "vivid", "vvt", "studio"] = "auto"
    split: Literal["train", "test"] = "train"
    size: tuple[int, int] = (256, 192)
    longest: int = Field(default=128, ge=1, le=4096)
    shortest: int = Field(default=8, ge=1)
    bad_share: float = Field(default=0.05, ge=0, le=1)
    variants: bool = True
    limit: int = Field(default=0, ge=0)
    shard_mib: int = Field(default=256, ge=1, le=65536)

    @field_validator("size")
    @classmethod
    def _sides(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 32 or max(size) > 4096 or size[0] % 2 or size[1] % 2:
            raise ValueError("expected [height, width] in pixels, even, from 32 to 4096")
        return size

    @model_validator(mode="after")
    def _lengths(self) -> PrepareSettings:
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is above longest {self.longest}")
        return self
