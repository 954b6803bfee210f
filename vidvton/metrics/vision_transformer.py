"""Vision transformers as DINO and CLIP publish them, for likeness between frames."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MisuseError
from .weight_files import fit, read_state


class Layer(nn.Module):
    """Pre-norm attention and MLP; `quick` takes CLIP's x * sigmoid(1.702 x) for GELU."""

    def __init__(self, width: int, heads: int, hidden: int, *, quick: bool, eps: float) -> None:
        super().__init__()
        self.heads, self.quick = heads, quick
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
        y = self.mlp["fc1"](self.norm2(x))
        y = y * torch.sigmoid(1.702 * y) if self.quick else F.gelu(y)
        return x + self.mlp["fc2"](y)


class VisionTransformer(nn.Module):
    """The class token of a ViT, names as in DINO's files; `clip` adds CLIP's first norm, quick GELU and projection."""

    def __init__(self, *, patch: int, width: int, depth: int, hidden: int, tokens: int, out: int | None, clip: bool) -> None:
        super().__init__()
        eps = 1e-5 if clip else 1e-6
        self.patch = patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch, bias=not clip)})
        self.norm_pre = nn.LayerNorm(width, eps=eps) if clip else nn.Identity()
        self.blocks = nn.ModuleList(Layer(width, width // 64, hidden, quick=clip, eps=eps) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=eps)
        self.projection = nn.Parameter(torch.zeros(width, out)) if out else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of pictures [B, 3, H, W], normalised, sides multiples of the patch; positions are resized bicubically."""
        x = self.patch_embed["proj"](x)
        grid = x.shape[2:]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1)
        x = self.norm_pre(x + self._positions(tuple(grid)))
        for block in self.blocks:
            x = block(x)
        token = self.norm(x)[:, 0]
        return token if self.projection is None else token @ self.projection

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if grid == (side, side):
            return self.pos_embed
        places = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        places = F.interpolate(places, size=grid, mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], places.flatten(2).transpose(1, 2)], 1)


_CLIP_NAMES = (
    (r"^class_embedding$", "cls_token"), (r"^positional_embedding$", "pos_embed"), (r"^conv1\.", "patch_embed.proj."),
    (r"^ln_pre\.", "norm_pre."), (r"^ln_post\.", "norm."), (r"^proj$", "projection"),
    (r"^transformer\.resblocks\.", "blocks."), (r"\.ln_(\d)\.", r".norm\1."), (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."), (r"\.mlp\.c_fc\.", ".mlp.fc1."), (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)  # fmt: skip


def load_transformer(path: Path, *, clip: bool) -> VisionTransformer:
    """The network of DINO's or OpenAI's CLIP's file, of any size (ViT-B/16, ViT-B/32 ...): its shape is read from the tensors.

    Of CLIP the image tower alone is taken. MisuseError for a file that does not fit.
    """
    state = read_state(path)
    if clip:
        tower = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
        state = {}
        for name, value in tower.items():
            for pattern, new in _CLIP_NAMES:
                name = re.sub(pattern, new, name)
            state[name] = value
        if "cls_token" in state and "pos_embed" in state:
            state["cls_token"], state["pos_embed"] = state["cls_token"].reshape(1, 1, -1), state["pos_embed"][None]
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight")
    if any(name not in state for name in needed):
        raise MisuseError(f"the weights {path} are not those of a {'CLIP' if clip else 'DINO'} vision transformer")
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    network = VisionTransformer(
        patch=state["patch_embed.proj.weight"].shape[-1],
        width=state["cls_token"].shape[-1],
        depth=depth,
        hidden=len(state["blocks.0.mlp.fc1.weight"]),
        tokens=state["pos_embed"].shape[1],
        out=state["projection"].shape[1] if "projection" in state else None,
        clip=clip,
    )
    return fit(network, state, path, unused=("head",))
