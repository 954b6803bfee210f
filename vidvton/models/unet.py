"""The try-on network, from above: encode a conditioning once, predict per step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import MisuseError, VidvtonError
from ..values import GROUPS, POINTS, Conditioning
from .attention import check_attention
from .blocks import (
    CHANNELS_IN_GROUP,
    DiTBlock,
    Down,
    Merge,
    ResBlock,
    SpaceTimeBlock,
    TemporalDown,
    TemporalUp,
    picture_of,
    plus,
    silu,
    tokens_of,
)
from .config import ModelConfig
from .encoders import Encoded, Fourier, GarmentTokens, PictureEncoder, grid_positions, shuffled, unshuffled

KEYPOINTS = 33


class TryOnUNet(ModelMixin, ConfigMixin):
    """Noisy frames and what is known of person and garments, to a prediction of the clean clip.

    Spatial-only levels, two spatio-temporal levels, DiT blocks at the coarsest grid, and the mirror up (Fashion-VDM, architecture
    figure; M&M VTO's VTO-UDiT inside). Without temporal layers (`config.temporal`) it is the image network, whose weights are a
    part of the video network's.

    `frames_at_a_time` bounds how many frames the spatial layers hold at once (None: all); `gradient_checkpointing` computes
    blocks again in the backward pass instead of keeping them; `offload_encoders` sends the encoders to main memory after each
    `encode`.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = True
    to = nn.Module.to  # diffusers' own warns of modules to be kept in float32 where there are none

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.register_to_config(**config.model_dump(mode="json"))
        self._settings = config
        self.frames_at_a_time: int | None = None
        self.gradient_checkpointing = False
        self.offload_encoders = False
        widths, width, vector = config.widths, config.widths[-1], config.embedding_width
        self.level = Fourier(vector)
        self.augmentation = Fourier(vector)
        self.withheld = nn.Parameter(torch.randn(len(GROUPS), vector) * 0.1)
        self.pose = nn.Linear(KEYPOINTS * 3, vector)
        self.garment_pose = nn.Linear(POINTS * 3, vector)
        self.image = nn.Linear(config.image_embedding, vector, bias=False) if config.image_embedding else None
        self.person = PictureEncoder(4, KEYPOINTS, config)
        self.garment = GarmentTokens(POINTS, config)
        self.stem = nn.Linear(3 * config.patch**2, widths[0])
        self.stem_given = nn.Linear(8 * config.patch**2, widths[0], bias=False)
        self.enter = nn.ModuleList(Down(*step) for step in zip(widths[:-1], widths[1:], config.strides[1:]))
        self.leave = nn.ModuleList(Merge(*step) for step in zip(widths[1:], widths[:-1], config.strides[1:]))
        self.down = nn.ModuleList(_level(config, i) for i in range(len(widths)))
        self.up = nn.ModuleList(_level(config, i) for i in range(len(widths)))
        halved = config.temporal_stride == 2
        self.temporal_down = TemporalDown(widths[-2]) if halved else None
        self.temporal_up = TemporalUp(widths[-1]) if halved else None
        self.modulation = nn.Linear(vector, 6 * width)
        self.dit = nn.ModuleList(DiTBlock(width, config.heads, config.mlp_ratio) for _ in range(config.dit_blocks))
        self.norm = nn.GroupNorm(widths[0] // CHANNELS_IN_GROUP, widths[0])
        self.out = nn.Linear(widths[0], 3 * config.patch**2)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self._settings

    @classmethod
    def from_config(cls, config: dict[str, Any], return_unused_kwargs: bool = False, **kwargs: Any) -> Any:
        """diffusers' way of making a model of a configuration's dictionary (keys with a leading underscore are its own)."""
        plain = {key: value for key, value in dict(config).items() if not key.startswith("_")}
        model = cls(ModelConfig.model_validate_json(json.dumps(plain)))
        return (model, kwargs) if return_unused_kwargs else model

    def use_attention(self, kind: str) -> None:
        """Compute attention by `kind`, one of ATTENTIONS; VidvtonError, naming the reason, where it cannot run."""
        check_attention(kind, self.stem.weight.device)
        for module in self.modules():
            if hasattr(module, "attention"):
                module.attention = kind

    def encode(self, conditioning: Conditioning) -> Encoded:
        """Everything that does not depend on the noisy frames, once per clip. MisuseError for sizes the network cannot take."""
        c, kind, t = conditioning, self.stem.weight.dtype, conditioning.num_frames
        self._check_size(c.size, "frames")
        self._check_size((c.garments.shape[3], c.garments.shape[4]), "garments")
        sample = self._sample_vector(c)
        vector = F.silu(sample)
        agnostic, hint = _signed(c.agnostic, c.given[:, 0]), _signed_cutout(c.warped)
        seen = torch.cat([agnostic, c.region], dim=2).to(kind)
        known = torch.cat([seen, hint.to(kind)], dim=2).flatten(0, 1)
        stem = self.stem_given(unshuffled(known, self.config.patch)).unflatten(0, (-1, t))
        with _aboard(self, self.person):
            frames, points, vectors = seen.flatten(0, 1), c.pose.flatten(0, 1), vector.repeat_interleave(t, dim=0)
            parts = [self.person(frames[i], points[i], vectors[i]) for i in self._chunks(len(frames))]
        with _aboard(self, self.garment):
            pictures = _signed_cutout(c.garments).to(kind)
            tokens, words, filled = self.garment(pictures, c.garment_points, c.slots, c.layout, vector)
        layout = torch.stack([torch.stack(block.keys_of_layout(words)) for block in self.dit])
        garments = torch.stack([torch.stack(block.keys_of_garments(tokens)) for block in self.dit])
        return Encoded(
            stem=stem,
            person=torch.cat(parts).unflatten(0, (-1, t)),
            pose=self.pose(c.pose.flatten(2).to(kind)),
            sample=sample,
            layout=layout,
            garments=garments,
            # The meta device counts costs and has no values to look at.
            filled=None if filled.is_meta or bool(filled.all()) else filled,
            shown=hint[:, :, :3] + (1 - hint[:, :, 3:]) * agnostic if self.config.hint_residual else None,
        )

    def _sample_vector(self, c: Conditioning) -> Tensor:
        """[B, E]: augmentation level, what is withheld, garments' points, global image embedding."""
        kind = self.stem.weight.dtype
        vector = self.augmentation(c.augmentation) + (~c.given).to(kind) @ self.withheld
        points = self.garment_pose(c.garment_points.flatten(2).to(kind))
        vector = vector + (points * (c.slots >= 0)[:, :, None]).sum(1)
        if self.image is None:
            if c.embedding is not None:
                raise MisuseError("a global image embedding was given and this network takes none (image_embedding is 0)")
            return vector
        width = self.config.image_embedding
        embedding = vector.new_zeros(len(vector), width) if c.embedding is None else c.embedding.to(kind)
        if embedding.shape[1] != width:
            raise MisuseError(f"the global image embedding has {embedding.shape[1]} channels, expected {width} (image_embedding)")
        return vector + self.image(embedding)

    def predict(self, x: Tensor, noise_level: Tensor, encoded: Encoded) -> Tensor:
        """v, eps or x0 (as `config.prediction` says), shaped and typed like x [B, T, 3, H, W] in -1 to 1; noise_level [B] 0-1.

        One frame takes the image path: every temporal layer is skipped.
        """
        b, t = x.shape[:2]
        self._check_size((x.shape[3], x.shape[4]), "noisy frames")
        if encoded.stem.shape[:2] != (b, t):
            raise VidvtonError(f"x has {b} samples of {t} frames, the encoded conditioning {list(encoded.stem.shape[:2])}")
        kind = self.stem.weight.dtype
        # The pose joins every spatial layer: a vector that is constant over a frame, concatenated and convolved, is a linear
        # layer of it added to all pixels.
        vector = silu((self.level(noise_level) + encoded.sample)[:, None] + encoded.pose)
        frames, known = x.flatten(0, 1), encoded.stem.flatten(0, 1)
        vector = vector.flatten(0, 1)
        kept = []
        for part in self._chunks(b * t):
            h = self.stem(unshuffled(frames[part].to(kind), self.config.patch))
            kept.append(self._down_spatial(plus(h, known[part]).permute(0, 3, 1, 2), vector[part]))
        h = self._middle(torch.cat([left.pop() for left in kept]), vector, encoded, t)
        out = []
        for part in self._chunks(b * t):
            y = self._up_spatial(h[part], kept.pop(0), vector[part])
            y = self.out(silu(self.norm(y)).permute(0, 2, 3, 1))
            out.append(shuffled(y, self.config.patch).to(x.dtype))
        made = torch.cat(out).unflatten(0, (b, t))
        return made if encoded.shown is None else made + encoded.shown.to(made.dtype)

    def _down_spatial(self, h: Tensor, vector: Tensor) -> list[Tensor]:
        """The pictures each spatial-only level leaves, and at the end what enters the first spatio-temporal level."""
        left = []
        for i in range(len(self.config.widths) - 2):
            for block in self.down[i]:
                h = self._run(block, h, vector)
            left.append(h)
            h = self.enter[i](h)
        return [*left, h]

    def _up_spatial(self, h: Tensor, skips: list[Tensor], vector: Tensor) -> Tensor:
        for i in reversed(range(len(skips))):
            h = self.leave[i](h, skips[i])
            for block in self.up[i]:
                h = self._run(block, h, vector)
        return h

    def _middle(self, h: Tensor, vector: Tensor, encoded: Encoded, frames: int) -> Tensor:
        """Both spatio-temporal levels with the DiT blocks between them, and back."""
        fine = len(self.config.widths) - 2
        person, halved = encoded.person, self.temporal_down is not None and frames > 1
        for block in self.down[fine]:
            h = self._run(block, h, vector, frames)
        skip, coarse_vector, coarse_frames = h, vector, frames
        if halved:
            h, coarse_frames = self.temporal_down(_even(h, frames), frames + frames % 2), (frames + 1) // 2
            coarse_vector = _pairs(vector.unflatten(0, (-1, frames))).flatten(0, 1)
            person = _pairs(person)
        h = self.enter[fine](h)
        for block in self.down[-1]:
            h = self._run(block, h, coarse_vector, coarse_frames)
        h = self._transformed(h, coarse_vector, person.flatten(0, 1), encoded)
        for block in self.up[-1]:
            h = self._run(block, h, coarse_vector, coarse_frames)
        if halved:
            h = self.temporal_up(h)
            h = h.unflatten(0, (-1, 2 * coarse_frames))[:, :frames].flatten(0, 1)
        h = self.leave[fine](h, skip)
        for block in self.up[fine]:
            h = self._run(block, h, vector, frames)
        return h

    def _transformed(self, h: Tensor, vector: Tensor, person: Tensor, encoded: Encoded) -> Tensor:
        """The DiT blocks."""
        size = (h.shape[2], h.shape[3])
        tokens = tokens_of(h)
        tokens = tokens + grid_positions(size, tokens.shape[2], tokens)
        modulation = self.modulation(vector)
        biases = encoded.biases(tokens.shape[1])
        for i, block in enumerate(self.dit):
            tokens = self._run(block, tokens, modulation, person, tuple(encoded.layout[i]), tuple(encoded.garments[i]), biases)
        return picture_of(tokens, size)

    def _run(self, block: nn.Module, *inputs: Any) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    def _chunks(self, count: int) -> Iterator[slice]:
        step = self.frames_at_a_time or count
        return (slice(start, min(start + step, count)) for start in range(0, count, step))

    def _check_size(self, size: tuple[int, int], what: str) -> None:
        multiple = self.config.multiple
        if size[0] % multiple or size[1] % multiple or min(size) < multiple:
            raise MisuseError(f"{what} of {size[0]}x{size[1]} were given, expected height and width in multiples of {multiple}")


def _level(config: ModelConfig, i: int) -> nn.ModuleList:
    width, vector = config.widths[i], config.embedding_width
    ratio = config.temporal_ratio if config.temporal else None
    if i < len(config.widths) - 2:
        return nn.ModuleList(ResBlock(width, vector) for _ in range(config.blocks[i]))
    return nn.ModuleList(SpaceTimeBlock(width, vector, ratio) for _ in range(config.blocks[i]))


def _signed(pictures: Tensor, given: Tensor) -> Tensor:
    """0-1 as -1 to 1, and zero where not given [B]."""
    return (pictures * 2 - 1) * given.to(pictures.dtype).view(-1, *[1] * (pictures.ndim - 1))


def _signed_cutout(pictures: Tensor) -> Tensor:
    """Colour times alpha and alpha, as colour in -1 to 1 times alpha and alpha: what is empty is zero."""
    colour, alpha = pictures.split((3, 1), dim=2)
    return torch.cat([colour * 2 - alpha, alpha], dim=2)


def _even(x: Tensor, frames: int) -> Tensor:
    """[B * T, ...] with the last frame of every sample twice where T is odd."""
    if frames % 2 == 0:
        return x
    x = x.unflatten(0, (-1, frames))
    return torch.cat([x, x[:, -1:]], dim=1).flatten(0, 1)


def _pairs(x: Tensor) -> Tensor:
    """[B, T, ...] averaged over pairs of frames, the last one alone where T is odd."""
    if x.shape[1] % 2:
        x = torch.cat([x, x[:, -1:]], dim=1)
    return x.unflatten(1, (-1, 2)).mean(2)


class _aboard:
    """Within it, `part` is on the model's device; after it, in main memory where the model offloads its encoders."""

    def __init__(self, model: TryOnUNet, part: nn.Module) -> None:
        self.part, self.wanted, self.device = part, model.offload_encoders, model.stem.weight.device

    def __enter__(self) -> None:
        if self.wanted:
            self.part.to(self.device)

    def __exit__(self, *error: object) -> None:
        if self.wanted:
            self.part.to("cpu")
