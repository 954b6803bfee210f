"""Filming a performance: draw, light and develop each frame, and keep what every pixel saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.backdrop import Backdrop, Behind, Box, see_behind
from vidvton.synth.camera import Camera
from vidvton.synth.figure import GARMENT, HAIR, SHOES, SKIN
from vidvton.synth.light import Light, Shadows, cast_shadows, shade
from vidvton.synth.look import hair_colour, shoe_colour, skin_colour
from vidvton.synth.raster import Hits, blend, rasterize
from vidvton.synth.shop import wear
from vidvton.synth.skeleton import INDEX
from vidvton.synth.stage import Performance, corners_at

EXPOSURE = 0.84


@dataclass(frozen=True)
class Shot:
    """All that decides a clip's pixels before the sensor. `size` (height, width); `props` stand behind the person;
    `shutter` is the share of a frame's time that the exposure lasts, 0 for no motion blur."""

    performance: Performance
    camera: Camera
    light: Light
    backdrop: Backdrop
    size: tuple[int, int]
    fps: float
    props: tuple[Box, ...] = ()
    shutter: float = 0.0


@dataclass(frozen=True)
class Plate:
    """Some frames of a shot. `frames` [n] their numbers; `colour` [n, 3, H, W] linear light; `hits` what each pixel centre
    sees of the
    person; `normal` [N, 3] and `world` [N, 3] at the hits, unit and metres; `behind` the backdrop; `lit` [n, H, W] 0-1 key
    light at the pixel
    centre (1 on walls)."""

    frames: Tensor
    colour: Tensor
    hits: Hits
    normal: Tensor
    world: Tensor
    behind: Behind
    lit: Tensor
    touched: Tensor


def shoot(shot: Shot, *, batch: int = 4) -> Iterator[Plate]:
    """The shot's frames in order, `batch` at a time."""
    for start in range(0, len(shot.performance), batch):
        yield _plate(shot, torch.arange(start, min(start + batch, len(shot.performance))))


def _samples(screen: Tensor) -> Tensor:
    """Pixels as samples of a grid twice as fine, every even sample at a pixel's centre."""
    xy = 2 * (screen[..., :2] - 0.5) + 0.5
    z = screen[..., 2:]
    return torch.cat([xy, torch.where(z > 0.05, 1 / z.clamp_min(0.05), torch.zeros_like(z))], -1)


def _plate(shot: Shot, frames: Tensor) -> Plate:
    p = shot.performance
    device = p.figure.points.device
    camera = shot.camera.window(frames).to(device)
    world, normals = corners_at(p, frames)
    plate = _expose(shot, frames, world, normals, camera)
    if shot.shutter <= 0:
        return plate
    colour = plate.colour
    for step in (-1, 1):  # the truth stays that of the middle of the exposure
        there = (frames + step).clamp(0, len(p) - 1)
        beside = shot.camera.window(there).to(device)
        after, facing = corners_at(p, there)
        u = shot.shutter / 3
        normal = F.normalize(torch.lerp(normals, facing, u), dim=-1)
        colour = colour + _expose(shot, frames, torch.lerp(world, after, u), normal, camera.towards(beside, u)).colour
    return replace(plate, colour=colour / 3)


def _expose(shot: Shot, frames: Tensor, world: Tensor, normals: Tensor, camera: Camera) -> Plate:
    """What an instant looks like: corners at `world` [n, V, 3] with `normals`, through `camera`."""
    p, size = shot.performance, shot.size
    figure = p.figure
    device = figure.points.device
    fine = (2 * size[0], 2 * size[1])
    hits = rasterize(_samples(camera.project(world, size)), figure.faces, fine, keep=figure.keep, two_sided=figure.two_sided)
    shadow_size = 160 if size[0] <= 320 else 256
    shadows = cast_shadows(shot.light, world, figure.faces, figure.keep, p.joints[frames, 0].to(device), shadow_size)
    point = blend(world, figure.faces, hits)
    normal = F.normalize(blend(normals, figure.faces, hits), dim=-1)
    view = F.normalize(camera.centre[hits.frame] - point, dim=-1)
    backs = _backs(figure.faces, world, hits, camera) | figure.inner[hits.face]
    normal = torch.where(backs[:, None], -normal, normal)
    lit = shadows.lit(point + 0.012 * normal, hits.frame)
    albedo, wrap, gloss = _material(shot, frames, hits, camera)
    light = shade(albedo, normal, view, lit, shot.light, wrap=wrap, gloss=gloss) * torch.where(backs, 0.45, 1.0)[:, None]
    behind = see_behind(shot.backdrop, camera, size, frames / shot.fps, shot.props)
    ground_lit, floor_lit = _ground(behind, shadows, p.joints[frames].to(device), shot.light)
    ground = torch.cat([behind.colour * ground_lit[..., None], floor_lit[..., None]], -1)
    picture = _over(torch.cat([light, lit[:, None]], -1), hits, ground)
    centre, keep = _centres(hits)
    touched = _touched(figure.layer[hits.face], hits, len(p.cloths))
    return Plate(frames, EXPOSURE * picture[:, :3], centre, normal[keep], point[keep], behind, picture[:, 3], touched)


def _touched(layer: Tensor, hits: Hits, garments: int) -> Tensor:
    """[n, H, W] uint8, bit i set where any fine sample that the pixel is mixed from shows garment i."""
    n, height, width = hits.covered.shape
    out = torch.zeros(n, height // 2, width // 2, dtype=torch.uint8, device=layer.device)
    for i in range(garments):
        fine = torch.zeros(n, 1, height, width, device=layer.device)
        fine[:, 0][hits.covered] = (layer == GARMENT + i).float()
        out |= (F.max_pool2d(F.pad(fine, (1, 0, 1, 0), mode="replicate"), 3, 2)[:, 0] > 0).to(torch.uint8) << i
    return out


def _backs(faces: Tensor, world: Tensor, hits: Hits, camera: Camera) -> Tensor:
    """[N] bool: the sample sees a face from behind (the inside of a garment)."""
    a, b, c = world[hits.frame[:, None], faces[hits.face]].unbind(1)
    return (torch.cross(b - a, c - a, dim=-1) * (camera.centre[hits.frame] - a)).sum(-1) < 0


def _material(shot: Shot, frames: Tensor, hits: Hits, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """(albedo [N, 3] linear, wrap [N], gloss [N]) at the hits."""
    p, f = shot.performance, shot.performance.figure
    look, body = p.dressed.look, p.dressed.body
    layer = f.layer[hits.face]
    albedo = torch.zeros(len(layer), 3, device=layer.device)
    wrap, gloss = torch.full_like(albedo[:, 0], 0.12), torch.full_like(albedo[:, 0], 0.02)
    # How far apart samples lie on cloth, frame by frame and from the hips alone: neither garments nor batches may change it.
    hips = camera.local(p.joints[frames, :1].to(layer.device))[:, 0, 2]
    spacing = hips / (camera.focal * shot.size[0] * 2) / look.body.scale
    for kind in torch.unique(layer).tolist():
        at = (layer == kind).nonzero()[:, 0]
        if kind >= GARMENT:
            i = kind - GARMENT
            spec = p.dressed.patterns[i].spec
            flat = blend(torch.cat([f.flat, f.side[:, None], f.keep[:, None]], -1), f.faces, hits, at)
            levels = torch.tensor([p.cloths[i].level(metres) for metres in spacing.tolist()], device=layer.device)[hits.frame[at]]
            for level in torch.unique(levels).tolist():
                some = levels == level
                albedo[at[some]] = wear(p.cloths[i], spec, flat[some], level)
            gloss[at] = spec.fabric.gloss
            continue
        rest = blend(f.points, f.faces, hits, at)
        if kind == SKIN:
            albedo[at], wrap[at], gloss[at] = skin_colour(body, look, rest), 0.30, 0.05
        elif kind == HAIR:
            albedo[at], gloss[at] = hair_colour(look, rest), 0.06
        elif kind == SHOES:
            albedo[at], gloss[at] = shoe_colour(look, rest), 0.12
    return albedo, wrap, gloss


def _ground(behind: Behind, shadows: Shadows, joints: Tensor, light: Light) -> tuple[Tensor, Tensor]:
    """(factor [n, H, W] the backdrop is darkened by, key light [n, H, W] 0-1) from the person's shadow and the feet's contact."""
    factor, lit_map = torch.ones_like(behind.depth), torch.ones_like(behind.depth)
    frame, y, x = behind.floor.nonzero(as_tuple=True)
    if len(frame):
        point = behind.point[frame, y, x]
        lit = shadows.lit(point, frame, bias=0.01)
        share = light.key / (light.key + light.fill)
        dark = 1 - 0.75 * share * (1 - lit)
        for side in ("left", "right"):
            foot = (joints[:, INDEX[f"{side}_ankle"]] + joints[:, INDEX[f"{side}_toe"]]) / 2
            away = ((point - foot[frame]) * point.new_tensor([1.0, 1.6, 1.0])).norm(dim=-1)
            dark = dark * (1 - 0.45 * torch.exp(-((away / 0.13) ** 2)))
        factor[frame, y, x], lit_map[frame, y, x] = dark, lit
    return factor, lit_map


def _over(light: Tensor, hits: Hits, backdrop: Tensor) -> Tensor:
    """[n, C, H, W]: values [N, C] of the person's fine samples, filtered by a tent one pixel wide, over the backdrop [n, H,
    W, C]."""
    n, height, width = hits.covered.shape
    fine = torch.zeros(n * height * width, light.shape[1] + 1, device=light.device)
    fine[hits.covered.flatten().nonzero()[:, 0]] = torch.cat([light, torch.ones_like(light[:, :1])], -1)
    fine = F.pad(fine.view(n, height, width, -1).permute(0, 3, 1, 2), (1, 0, 1, 0), mode="replicate")
    rows = (fine[..., 0:-2:2, :] + 2 * fine[..., 1:-1:2, :] + fine[..., 2::2, :]) / 4
    person = (rows[..., 0:-2:2] + 2 * rows[..., 1:-1:2] + rows[..., 2::2]) / 4
    return person[:, :-1] + (1 - person[:, -1:]) * backdrop.permute(0, 3, 1, 2)


def _centres(hits: Hits) -> tuple[Hits, Tensor]:
    """(the hits at pixel centres alone, which of all hits they are)."""
    n, height, width = hits.covered.shape
    place = hits.covered.flatten().nonzero()[:, 0]
    inside = place % (height * width)
    keep = ((inside // width % 2 == 0) & (inside % width % 2 == 0)).nonzero()[:, 0]
    covered = hits.covered[:, ::2, ::2].contiguous()
    return Hits(covered, hits.frame[keep], hits.face[keep], hits.weights[keep], hits.depth[keep]), keep
