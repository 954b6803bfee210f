"""Places to film in: seamless studio, gradient, textured room, a street of boxes, a passing crowd; every pixel is a point in
the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidvton.errors import MisuseError
from vidvton.synth.camera import Camera
from vidvton.synth.fabric import Colour, hashed, linear, value_noise

PLACES = ("studio", "gradient", "room", "street", "crowd")
"""Background words."""


@dataclass(frozen=True)
class Backdrop:
    """`place` one of PLACES; `wall` and `floor` sRGB colours; `distance` metres from the person to the wall behind; `seed`
    arranges the rest."""

    place: str = "studio"
    wall: Colour = (0.85, 0.85, 0.86)
    floor: Colour = (0.78, 0.78, 0.79)
    distance: float = 2.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise MisuseError(f"the background {self.place!r} is not known; choose one of {', '.join(PLACES)}")


@dataclass(frozen=True)
class Box:
    """An upright box that stands in the place: corners `low` and `high` in metres, sRGB `colour`."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: Colour


@dataclass(frozen=True)
class Behind:
    """What is seen behind the person: `colour` [T, H, W, 3] linear, `point` [T, H, W, 3] world metres, `speed` [T, H, W, 3]
    metres a second,
    `depth` [T, H, W] metres, `floor` [T, H, W] bool where it is ground that takes a shadow."""

    colour: Tensor
    point: Tensor
    speed: Tensor
    depth: Tensor
    floor: Tensor


def see_behind(b: Backdrop, camera: Camera, size: tuple[int, int], times: Tensor, props: tuple[Box, ...] = ()) -> Behind:
    """The backdrop through each of the camera's frames, at `times` [T] seconds."""
    rays = camera.rays(size)
    origin = camera.centre[:, None, None]
    far = torch.full(rays.shape[:3], 60.0, device=rays.device)
    floor_at = torch.where(rays[..., 1] < -1e-4, -origin[..., 1] / rays[..., 1].clamp_max(-1e-4), far)
    deep = 40.0 if b.place == "street" else b.distance
    wall_at = torch.where(rays[..., 2] < -1e-4, (-deep - origin[..., 2]) / rays[..., 2].clamp_max(-1e-4), far)
    is_floor = (floor_at < wall_at) & (floor_at < far)
    depth = torch.minimum(torch.minimum(floor_at, wall_at), far)
    point = origin + depth[..., None] * rays
    colour = _PAINT[b.place](b, point, is_floor, rays)
    speed = point.new_zeros(1).expand_as(point)  # nothing moves, at no cost of memory
    if b.place == "street":
        colour, point, depth, is_floor = _boxes(b, origin, rays, colour, point, depth, is_floor)
    if b.place == "crowd":
        colour, point, depth, is_floor, speed = _crowd(b, origin, rays, times, colour, point, depth, is_floor)
    for box in props:
        hit, enter, face = _strike(origin, rays, depth, box.low, box.high)
        tint = _tone(box.colour, point) * face.new_tensor([0.75, 1.1, 0.9])[face.long()][..., None]
        colour, point = (
            torch.where(hit[..., None], tint, colour),
            torch.where(hit[..., None], origin + enter[..., None] * rays, point),
        )
        speed = speed if speed.stride(-1) == 0 else speed * ~hit[..., None]
        depth, is_floor = torch.where(hit, enter, depth), is_floor & ~hit
    return Behind(colour, point, speed, depth, is_floor)


def _strike(
    origin: Tensor, rays: Tensor, depth: Tensor, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """(hit bool, depth, axis 0-2 of the face struck) of rays on a box nearer than `depth`, each [T, H, W]."""
    safe = torch.where(rays.abs() < 1e-5, torch.full_like(rays, 1e-5), rays)
    a, c = (rays.new_tensor(low) - origin) / safe, (rays.new_tensor(high) - origin) / safe
    enter, axis = torch.minimum(a, c).max(-1)
    leave = torch.maximum(a, c).amin(-1)
    return (enter < leave) & (enter > 0.1) & (enter < depth), enter, axis.float()


def _tone(colour: Colour, like: Tensor) -> Tensor:
    return linear(like.new_tensor(colour))


def _studio(b: Backdrop, point: Tensor, floor: Tensor, rays: Tensor) -> Tensor:
    wall, ground = _tone(b.wall, point), _tone(b.floor, point)
    # A seamless paper roll: the floor runs up into the wall.
    up = torch.where(
        floor, ((-point[..., 2] - b.distance + 1.6) / 1.6).clamp(0, 1) * 0.5, 0.5 + 0.5 * (point[..., 1] / 0.8).clamp(0, 1)
    )
    glow = 1.06 - 0.10 * ((point[..., 0] ** 2 + (point[..., 1] - 1.2) ** 2) / 9).clamp(0, 1)
    return torch.lerp(ground, wall, up[..., None]) * glow[..., None]


def _gradient(b: Backdrop, point: Tensor, floor: Tensor, rays: Tensor) -> Tensor:
    wall, ground = _tone(b.wall, point), _tone(b.floor, point)
    other = 0.8 * torch.lerp(wall.flip(-1), wall.mean().expand(3), 0.5)
    rise = (point[..., 1:2] / 2.6).clamp(0, 1)
    cloud = value_noise(point[..., 0] / 0.9 + 5, point[..., 1] / 0.9 + 5, b.seed)[..., None]
    return torch.where(floor[..., None], ground * (0.92 + 0.08 * cloud), torch.lerp(other, wall, rise) * (0.85 + 0.3 * cloud))


def _room(b: Backdrop, point: Tensor, floor: Tensor, rays: Tensor) -> Tensor:
    x, y, z = point.unbind(-1)
    wall, ground = _tone(b.wall, point), _tone(b.floor, point)
    style = b.seed % 3
    paint = wall * (0.96 + 0.08 * value_noise(x * 3 + 40, y * 3 + 40, b.seed))[..., None]
    if style == 0:  # bricks
        row = (y / 0.075).floor()
        brick = (x / 0.22 + 0.5 * (row % 2)).floor()
        mortar = (((y / 0.075) % 1 - 0.5).abs() > 0.43) | (((x / 0.22 + 0.5 * (row % 2)) % 1 - 0.5).abs() > 0.475)
        paint = wall * (0.75 + 0.4 * hashed(brick, row, b.seed))[..., None]
        paint = torch.where(mortar[..., None], paint.new_tensor([0.5, 0.48, 0.45]), paint)
    elif style == 1:  # striped paper
        paint = paint * (0.90 + 0.12 * ((x / 0.17) % 1 > 0.5).float())[..., None]
    for k in range(3):  # pictures and a shelf
        rng = np.random.default_rng([b.seed, k])
        cx, cy, w, h = rng.uniform(-2.2, 2.2), rng.uniform(1.1, 2.3), rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
        inside = torch.maximum((x - cx).abs() / w, (y - cy).abs() / h)
        ink = (
            _tone(tuple(rng.uniform(0.2, 0.8) + rng.uniform(-0.14, 0.14, 3)), point)
            * (0.7 + 0.6 * value_noise(x * 9, y * 9, b.seed + k))[..., None]
        )
        paint = torch.where((inside < 1)[..., None], paint * 0.25, paint)
        paint = torch.where((inside < 0.88)[..., None], ink, paint)
    paint = torch.where((y < 0.11)[..., None], wall.clamp_min(0.35) * 1.1, paint)
    board = (x / 0.14).floor()
    run = (z / 1.1 + hashed(board, board * 0, b.seed) * 3).floor()
    wood = ground * (0.75 + 0.35 * hashed(board, run, b.seed) + 0.10 * value_noise(x * 60, z * 5, b.seed))[..., None]
    wood = torch.where((((x / 0.14) % 1) < 0.03)[..., None], wood * 0.5, wood)
    return torch.where(floor[..., None], wood, paint)


def _street(b: Backdrop, point: Tensor, floor: Tensor, rays: Tensor) -> Tensor:
    x, _, z = point.unbind(-1)
    rise = (rays[..., 1:2] / rays.norm(dim=-1, keepdim=True) * 2.5 + 0.15).clamp(0, 1)
    sky = torch.lerp(point.new_tensor([0.80, 0.84, 0.90]), point.new_tensor([0.30, 0.48, 0.80]), rise)
    ground = _tone(b.floor, point) * 0.7
    slab = (((x / 0.6) % 1 < 0.02) | ((z / 0.6) % 1 < 0.02)) & (z > -3.5)
    road = ground * (0.85 + 0.2 * value_noise(x * 14 + 900, z * 14 + 900, b.seed) * (z > -8) + 0.1)[..., None]
    road = torch.where(slab[..., None], road * 0.72, road)
    line = ((z + 6).abs() < 0.09) & ((x / 1.6) % 1 < 0.55)
    road = torch.where(line[..., None], point.new_tensor([0.8, 0.8, 0.76]), torch.where((z < -3.5)[..., None], road * 0.55, road))
    return torch.where(floor[..., None], road, sky)


_PAINT = {"studio": _studio, "gradient": _gradient, "room": _room, "street": _street, "crowd": _gradient}


def _boxes(
    b: Backdrop, origin: Tensor, rays: Tensor, colour: Tensor, point: Tensor, depth: Tensor, floor: Tensor
) -> tuple[Tensor, ...]:
    rng = np.random.default_rng([b.seed, 5])
    for _ in range(9):
        w, h, d = rng.uniform(0.8, 4), rng.uniform(1.0, 9), rng.uniform(1, 4)
        cx, cz = rng.uniform(-11, 11), rng.uniform(-26, -8)
        hit, enter, axis = _strike(origin, rays, depth, (cx - w, -0.01, cz - d), (cx + w, h, cz + d))
        if not bool(hit.any()):
            continue
        p = origin + enter[..., None] * rays
        x, y, z = p.unbind(-1)
        side = axis == 0
        along = torch.where(side, z, x)
        pane = ((along / 1.1 + cx) % 1 < 0.55) & ((y / 1.3) % 1 > 0.35) & (y < h - 0.3) & (y > 0.6)
        tint = _tone(tuple(rng.uniform(0.35, 0.8) + rng.uniform(-0.09, 0.09, 3)), point) * torch.where(side, 0.62, 1.0)[..., None]
        glass = (
            point.new_tensor([0.10, 0.13, 0.18])
            * (0.6 + hashed((along / 1.1 + cx).floor(), (y / 1.3).floor(), b.seed))[..., None]
        )
        tint = torch.where(pane[..., None], glass, tint)
        colour, point = torch.where(hit[..., None], tint, colour), torch.where(hit[..., None], p, point)
        depth, floor = torch.where(hit, enter, depth), floor & ~hit
    return colour, point, depth, floor


def _crowd(
    b: Backdrop, origin: Tensor, rays: Tensor, times: Tensor, colour: Tensor, point: Tensor, depth: Tensor, floor: Tensor
) -> tuple[Tensor, ...]:
    rng = np.random.default_rng([b.seed, 6])
    speed = torch.zeros_like(point)
    for _ in range(7):
        z = -rng.uniform(0.9, max(b.distance - 0.3, 1.0))
        pace, start, tall = rng.choice([-1, 1]) * rng.uniform(0.2, 1.1), rng.uniform(-2.5, 2.5), rng.uniform(1.3, 1.85)
        coat, skin, wide = rng.uniform(0.1, 0.8, 3), rng.uniform(0.35, 0.8), rng.uniform(0.17, 0.27)
        at = torch.where(rays[..., 2] < -1e-4, (z - origin[..., 2]) / rays[..., 2].clamp_max(-1e-4), -1.0)
        p = origin + at[..., None] * rays
        centre = (start + pace * times.to(p.device) + 3.5) % 7 - 3.5
        x, y = p[..., 0] - centre[:, None, None], p[..., 1]
        torso = torch.hypot(x / wide, (y - tall * 0.62) / (tall * 0.26)) < 1
        legs = (x.abs() < wide * 0.7) & (y > 0) & (y < tall * 0.5)
        head = torch.hypot(x / (tall * 0.06), (y - tall * 0.93) / (tall * 0.075)) < 1
        hit = (torso | legs | head) & (at > 0.3) & (at < depth)
        tint = torch.where(head[..., None], _tone((skin, skin * 0.78, skin * 0.65), p), _tone(tuple(coat), p))
        tint = (
            torch.where((legs & ~torso)[..., None], _tone(tuple(coat[::-1] * 0.5), p), tint)
            * (1 - 0.4 * (x / wide).clamp(-1, 1) ** 2)[..., None]
        )
        colour, point = torch.where(hit[..., None], tint, colour), torch.where(hit[..., None], p, point)
        depth, floor = torch.where(hit, at, depth), floor & ~hit
        moving = torch.zeros_like(point)
        moving[..., 0] = pace
        speed = torch.where(hit[..., None], moving, speed)
    return colour, point, depth, floor, speed
