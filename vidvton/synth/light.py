"""Light: one sun or lamp with soft shadows, a sky above and a floor below that fill, and how skin, hair and cloth answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.raster import rasterize


@dataclass(frozen=True)
class Light:
    """`azimuth` degrees from the camera's side (0) towards the picture's right, `elevation` degrees, `key` and `fill`
    strengths, `warmth`
    -1 to 1 of the key, `soft` 0-1 how soft shadows are."""

    azimuth: float = 30.0
    elevation: float = 50.0
    key: float = 0.85
    fill: float = 0.55
    warmth: float = 0.1
    soft: float = 0.5

    @property
    def direction(self) -> Tensor:
        """[3] unit, from the person to the light."""
        a, e = math.radians(self.azimuth), math.radians(self.elevation)
        return torch.tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])

    @property
    def colour(self) -> Tensor:
        """[3] linear strength of the key light."""
        return self.key * torch.tensor([1 + 0.12 * self.warmth, 1.0, 1 - 0.16 * self.warmth])


@dataclass(frozen=True)
class Shadows:
    """How far light reaches, per frame: `reach` [T, 1, S, S], blurred, of a square `extent` metres wide around `centre` [T,
    3] across
    `axes` [3, 3] (right, up, towards the light)."""

    reach: Tensor
    centre: Tensor
    axes: Tensor
    extent: float

    def lit(self, points: Tensor, frame: Tensor, bias: float = 0.025) -> Tensor:
        """[N] 0-1 how much of the key light reaches world `points` [N, 3] in frames [N] of the map; exponential shadow map."""
        local = (points - self.centre[frame]) @ self.axes.T
        size = self.reach.shape[-1]
        uv = (local[:, :2] / self.extent + 0.5) * size - 0.5
        inside = ((uv > 0) & (uv < size - 1)).all(-1)
        uv = uv.clamp(0, size - 1.001)
        i = uv.floor().long()
        w = uv - i
        flat = self.reach.flatten()
        at = (frame * size + i[:, 1]) * size + i[:, 0]
        top = torch.lerp(flat[at], flat[at + 1], w[:, 0])
        low = torch.lerp(flat[at + size], flat[at + size + 1], w[:, 0])
        blocked = torch.lerp(top, low, w[:, 1])
        lit = (torch.exp(_SHARP * (local[:, 2] + bias)) / blocked.clamp_min(1e-37)).clamp(0, 1)
        return torch.where(inside, lit, 1.0)


_SHARP = 30.0


def cast_shadows(light: Light, world: Tensor, faces: Tensor, keep: Tensor, centre: Tensor, size: int) -> Shadows:
    """The shadow map of triangles at `world` [T, V, 3]: parallel light, `size` samples square around `centre` [T, 3]
    (the hips, which no garment moves)."""
    toward = light.direction.to(world.device)
    right = F.normalize(torch.linalg.cross(torch.tensor([0.0, 1, 0], device=world.device), toward), dim=0)
    axes = torch.stack([right, torch.linalg.cross(toward, right), toward])
    extent = 2.6
    local = (world - centre[:, None]) @ axes.T
    uv = (local[..., :2] / extent + 0.5) * size
    height = local[..., 2]
    screen = torch.cat([uv, (height + 3.0)[..., None]], -1)
    hits = rasterize(
        screen, faces, (size, size), keep=keep, two_sided=torch.ones(len(faces), dtype=torch.bool, device=faces.device)
    )
    # The raster keeps the largest "one over depth", which here is the height towards the light; its own depth is that value
    # inverted.
    top = torch.full(hits.covered.shape, -2.7, device=world.device)
    top[hits.covered] = 1 / hits.depth - 3.0
    reach = torch.exp(_SHARP * top)[:, None]
    width = 1 + 2 * round((1.6 + 2.6 * light.soft) * size / 256)
    for _ in range(2):
        reach = F.avg_pool2d(F.pad(reach, [width // 2] * 4, mode="replicate"), width, stride=1)
    return Shadows(reach, centre, axes, extent)


def shade(albedo: Tensor, normal: Tensor, view: Tensor, lit: Tensor, light: Light, *, wrap: Tensor, gloss: Tensor) -> Tensor:
    """Linear light [N, 3] leaving surfaces: `albedo` [N, 3], unit `normal` and `view` (towards the camera) [N, 3], `lit`
    [N], `wrap` [N] how
    far light creeps around (skin), `gloss` [N] strength of the shine."""
    toward = light.direction.to(albedo.device)
    colour = light.colour.to(albedo.device)
    facing = normal @ toward
    diffuse = ((facing + wrap) / (1 + wrap)).clamp_min(0) * lit
    up = 0.5 + 0.5 * normal[:, 1]
    sky, ground = albedo.new_tensor([0.95, 0.99, 1.06]), albedo.new_tensor([0.62, 0.57, 0.52])
    ambient = light.fill * torch.lerp(ground.expand_as(albedo), sky.expand_as(albedo), up[:, None])
    # Light from the camera's side keeps faces readable, as a photographer's fill card does.
    front = (normal * view).sum(-1).clamp_min(0)
    ambient = ambient * (0.62 + 0.38 * front)[:, None]
    half = F.normalize(view + toward, dim=-1)
    shine = (normal * half).sum(-1).clamp_min(0).pow(22) * gloss * lit
    return albedo * (diffuse[:, None] * colour + ambient) + shine[:, None] * colour
