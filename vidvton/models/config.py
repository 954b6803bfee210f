"""The knobs that decide what a network is; `configs/model/*.yaml` are the sizes that ship."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..config import Strict


class ModelConfig(Strict):
    """Architecture of a `TryOnUNet`. Lists have one entry a level, from the finest to the coarsest; the last two levels are
    spatio-temporal, those before them spatial only, and the DiT blocks stand at the grid of the last.
    """

    size: tuple[int, int] = (256, 192)
    """(height, width) in pixels the network is meant for; it runs at any multiple of `multiple`."""
    frames: int = Field(64, ge=1, le=512)
    """Frames it is meant to see in one pass; it runs at any number."""
    patch: int = Field(4, ge=1, le=16)
    """Side in pixels of the squares that become one token (pixel unshuffle)."""
    widths: tuple[int, ...] = (64, 96, 128, 192, 192)
    """Channels of each level."""
    strides: tuple[int, ...] = (1, 2, 2, 1, 1)
    """Downsampling on entering each level."""
    blocks: tuple[int, ...] = (1, 1, 1, 1, 1)
    """Residual blocks of each level on the way down, and as many on the way up."""
    encoder_widths: tuple[int, ...] = (32, 48, 64, 96, 128)
    """Channels of each level of the person and the garment encoder."""
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 1, 1)
    """Residual blocks of each level of the encoders."""
    dit_blocks: int = Field(8, ge=1, le=64)
    head_width: int = Field(64, ge=8, le=256)
    """Channels of one attention head."""
    mlp_ratio: float = Field(2.0, gt=0, le=8)
    """Hidden channels of a DiT block's MLP, times its width."""
    embedding_width: int = Field(128, ge=16, le=4096)
    """Channels of the vector that carries noise level, poses and the like into every block."""
    temporal: bool = True
    """Whether the network has temporal layers; without them it is the image network."""
    temporal_ratio: float = Field(0.5, gt=0, le=1)
    """Inner channels of the temporal layers, times the level's width."""
    temporal_stride: Literal[1, 2] = 1
    """2 halves the frames between the two spatio-temporal levels: the 64-frame stage."""
    image_embedding: int = Field(0, ge=0, le=8192)
    """Channels of the optional global image embedding of the garment; 0 for none."""
    prediction: Literal["v", "eps", "x0"] = "v"
    """What `predict` returns."""
    hint_residual: bool = False
    """Whether the network's output is added to the picture that it is shown: the warp engine's hint over the agnostic frames. A
    new network then makes what the warp makes, and has its faults alone to learn."""

    @model_validator(mode="after")
    def _levels_agree(self) -> ModelConfig:
        levels = len(self.widths)
        for name in ("strides", "blocks", "encoder_widths", "encoder_blocks"):
            if len(getattr(self, name)) != levels:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, expected {levels}, one for each of widths")
        if levels < 3:
            raise ValueError(f"widths has {levels} entries, expected at least 3: the last two levels are spatio-temporal")
        if self.strides[0] != 1 or not set(self.strides) <= {1, 2}:
            raise ValueError(f"strides are {list(self.strides)}, expected 1 first and then 1 or 2")
        if any(width < 16 or width % 16 for width in self.widths + self.encoder_widths):
            raise ValueError("every width must be a multiple of 16, the channels of a group in a group norm")
        if min(self.blocks + self.encoder_blocks) < 1:
            raise ValueError("blocks and encoder_blocks must be at least 1")
        if self.widths[-1] % self.head_width:
            raise ValueError(f"head_width {self.head_width} does not divide the last width {self.widths[-1]}")
        if any(side < self.multiple or side % self.multiple for side in self.size):
            raise ValueError(f"size {list(self.size)} is not a multiple of {self.multiple}, patch times all strides")
        if self.hint_residual and self.prediction != "x0":
            raise ValueError(f"hint_residual needs prediction x0, not {self.prediction}: what is added to a picture is a picture")
        if self.temporal_stride == 2 and not self.temporal:
            raise ValueError("temporal_stride 2 needs temporal layers")
        return self

    @property
    def multiple(self) -> int:
        """Height and width in pixels must be multiples of this: patch times all strides."""
        out = self.patch
        for stride in self.strides:
            out *= stride
        return out

    @property
    def heads(self) -> int:
        """Attention heads of a DiT block."""
        return self.widths[-1] // self.head_width

    def for_frames(self, frames: int) -> ModelConfig:
        """The network of the training stage with this many frames (Fashion-VDM, progressive temporal training): one frame is the
        image network, fewer frames than the network is meant for do without temporal down and up."""
        changes: dict[str, object] = {"frames": frames}
        if frames == 1:
            changes["temporal"] = False
        if frames < self.frames:
            changes["temporal_stride"] = 1
        return self.model_copy(update=changes)

    @property
    def image(self) -> ModelConfig:
        """The image network of the same sizes: no temporal layers."""
        return self.for_frames(1)
