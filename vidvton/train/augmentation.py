"""Changes that leave a training sample true: mirrored, cropped, recoloured, region grown or shrunk, garment picture noisy.

Everything drawn is a function of one seed and the same for all frames of a window, so that nothing flickers that did not before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..collate import View
from ..values import LANDMARKS, Garment, Part
from .scene import Scene

# MediaPipe's order: nose, then pairs whose left comes first, except the eyes, which come in threes.
SWAPPED_POINTS = (0, 4, 5, 6, 1, 2, 3, *(n + 1 if n % 2 else n - 1 for n in range(7, 33)))
"""`keypoints[..., SWAPPED_POINTS, :]` exchanges the person's left and right."""
SWAPPED_PARTS = (Part.NONE, Part.TORSO, Part.RIGHT_SLEEVE, Part.LEFT_SLEEVE, Part.RIGHT_LEG, Part.LEFT_LEG, Part.SKIRT)
"""What a part is called on the mirrored garment, by its number."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a sample. `flips`: half of all samples are mirrored. `crops` is the largest share of the frame's sides
    cut away; `colour` 0-1 how far brightness, contrast, saturation and tint of scene and garment together may go; `light` 0-1
    the same for the garment picture alone (a shop's light is another), `noise` 0-1 the largest standard deviation of noise on
    it; `grow` and `shrink` the largest shares of the frame's height by which the region's edge moves out or in."""

    flips: bool = True
    crops: float = 0.1
    colour: float = 0.0
    light: float = 0.0
    noise: float = 0.0
    grow: float = 0.02
    shrink: float = 0.003


def augment(scene: Scene, how: Augmentation, seed: int) -> Scene:
    """`scene` mirrored, recoloured and with another region, as `how` allows; a function of `seed`."""
    draw = torch.Generator().manual_seed(seed)
    flip, tone, own, moved, rough = torch.rand(5, generator=draw, dtype=torch.float64).tolist()
    tints = torch.rand(2, 4, generator=draw) * 2 - 1
    if how.flips and flip < 0.5:
        scene = mirrored(scene)
    if how.colour > 0 and tone < 0.8:
        scene = recoloured(scene, tints[0] * how.colour)
    if how.grow > 0 or how.shrink > 0:
        edge = -how.shrink + moved * (how.grow + how.shrink)
        scene = replace(scene, region=grown(scene.region, round(edge * scene.size[0])))
    if how.light > 0 or how.noise > 0:
        shifts = tints[1] * (how.light if own < 0.8 else 0.0)
        garments = tuple(_as_photographed(g, shifts, rough * how.noise, draw) for g in scene.garments)
        scene = replace(scene, garments=garments)
    return scene


def mirrored(scene: Scene) -> Scene:
    """The scene in a mirror: what was the person's left is now their right, in pictures, points, landmarks and sleeves."""
    points = scene.keypoints[:, list(SWAPPED_POINTS)].clone()
    points[..., 0] = torch.where(points[..., 2] > 0, scene.size[1] - points[..., 0], points[..., 0])
    truth = scene.truth.flip(-1)
    return replace(
        scene,
        truth=truth,
        source=truth if scene.source is scene.truth else scene.source.flip(-1),
        region=scene.region.flip(-1),
        keypoints=points,
        warped=scene.warped.flip(-1),
        alpha=scene.alpha.flip(-1),
        garments=tuple(mirrored_garment(g) for g in scene.garments),
    )


def mirrored_garment(garment: Garment) -> Garment:
    """A garment in a mirror, its left and right parts and landmarks exchanged."""
    names = LANDMARKS[garment.category]
    order = [names.index(_other_side(name)) for name in names]
    marks = garment.landmarks[order].clone()
    marks[:, 0] = torch.where(marks[:, 2] > 0, garment.image.shape[2] - marks[:, 0], marks[:, 0])
    parts = torch.tensor([int(p) for p in SWAPPED_PARTS], dtype=torch.uint8)[garment.parts.flip(-1).long()]
    return replace(garment, image=garment.image.flip(-1), alpha=garment.alpha.flip(-1), parts=parts, landmarks=marks)


def _other_side(name: str) -> str:
    words = {"left": "right", "right": "left"}
    return "_".join(words.get(word, word) for word in name.split("_"))


def recoloured(scene: Scene, shifts: Tensor) -> Scene:
    """Frames, warp and garment pictures in another light, all alike. `shifts` [4] in -1 to 1: brightness, contrast, saturation
    and warmth."""
    truth = _toned(scene.truth, shifts)
    return replace(
        scene,
        truth=truth,
        source=truth if scene.source is scene.truth else _toned(scene.source, shifts),
        warped=_toned(scene.warped, shifts),
        garments=tuple(replace(g, image=_toned(g.image, shifts)) for g in scene.garments),
    )


def _toned(frames: Tensor, shifts: Tensor) -> Tensor:
    """uint8 pictures [..., 3, H, W] through one colour matrix, so that black and white move little and greys stay greys."""
    bright, contrast, saturation, warmth = (shifts * torch.tensor([0.15, 0.25, 0.35, 0.08])).tolist()
    luma = torch.tensor([0.2126, 0.7152, 0.0722])
    matrix = (torch.eye(3) * (1 + saturation) - saturation * luma.expand(3, 3)) * (1 + contrast)
    matrix = torch.diag(torch.tensor([1 + warmth, 1.0, 1 - warmth])) @ matrix
    offset = 127.5 * (1 - (1 + contrast)) + 255 * bright
    out = torch.einsum("ij,...jhw->...ihw", matrix, frames.float()) + offset
    return out.round().clamp(0, 255).to(torch.uint8)


def grown(region: Tensor, pixels: int) -> Tensor:
    """`region` [T, 1, H, W] bool with its edge moved out by `pixels` (in, where negative), as by a square."""
    if pixels == 0:
        return region
    inside = region if pixels > 0 else ~region
    for axis in (-1, -2):
        inside = _spread(inside, abs(pixels), axis)
    return inside if pixels > 0 else ~inside


def _spread(inside: Tensor, pixels: int, axis: int) -> Tensor:
    """Bool pictures with what is inside carried `pixels` both ways along `axis`, in steps that double."""
    out, done = inside.clone(), 0
    length = inside.shape[axis]
    while done < pixels:
        step = min(done + 1 if done else 1, pixels - done, length - 1)
        if step < 1:
            break
        before = out.clone()
        kept = length - step
        out.narrow(axis, step, kept).logical_or_(before.narrow(axis, 0, kept))
        out.narrow(axis, 0, kept).logical_or_(before.narrow(axis, step, kept))
        done += step
    return out


def _as_photographed(garment: Garment, shifts: Tensor, noise: float, draw: torch.Generator) -> Garment:
    image = _toned(garment.image, shifts)
    if noise > 0:
        grain = torch.randn(image.shape, generator=draw) * (255 * noise)
        image = (image.float() + grain).round().clamp(0, 255).to(torch.uint8)
    return replace(garment, image=image)


def drawn_view(frames: int, source: tuple[int, int], size: tuple[int, int], crops: float, seed: int) -> View:
    """A view of `frames` frames of (height, width) `source`: a box of the network's proportions where `crops` allows, its sides
    up to that share shorter than the frame's, anywhere in it, the same in all frames."""
    draw = torch.Generator().manual_seed(seed)
    less, across, down = torch.rand(3, generator=draw, dtype=torch.float64).tolist()
    height, width = (max(2, round(n * (1 - crops * less))) for n in source)
    top, left = round((source[0] - height) * down), round((source[1] - width) * across)
    return View(torch.tensor([left, top, left + width, top + height]).repeat(frames, 1), size)
