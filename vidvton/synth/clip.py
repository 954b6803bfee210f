"""Making one clip: frames and truth from a script, the shop pictures, and the agnostic frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidvton.synth.agnostic import GREY
from vidvton.synth.body import anatomy
from vidvton.synth.film import Shot, shoot
from vidvton.synth.garments import cut_for
from vidvton.synth.scene import Script, make_shot
from vidvton.synth.sensor import develop
from vidvton.synth.shop import ShopPicture, lay_flat, shop_picture
from vidvton.synth.trim import flat_bounds, make_cloth
from vidvton.synth.truth import Truth, find_truth, plate_truth, sight


@dataclass(frozen=True)
class SynthClip:
    """A made clip: `frames` [T, 3, H, W] uint8 and the `truth` of every pixel."""

    script: Script
    shot: Shot
    frames: Tensor
    truth: Truth


def make_clip(script: Script, *, device: str = "cpu", batch: int = 4) -> SynthClip:
    """Films a script. Same script, same bytes on the same machine and device."""
    shot = make_shot(script, device=device)
    frames, pieces, sights = [], [], []
    for plate in shoot(shot, batch=batch):
        frames.append(develop(plate.colour, script.sensor, seed=script.seed, frames=plate.frames).cpu())
        pieces.append(plate_truth(shot, plate))
        sights.append(sight(plate))
    truth = find_truth(shot, pieces, sights, script.target.category)
    return SynthClip(script, shot, torch.cat(frames).contiguous(memory_format=torch.channels_last), truth)


def make_frames(script: Script, *, device: str = "cpu", batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """(frames [T, 3, H, W] uint8, where the sold garment has any part in the colour [T, H, W] bool, key light [T, H, W]
    uint8) without the rest
    of the truth:
    for the same clip with another garment or person."""
    shot = make_shot(script, device=device)
    frames, worn, light = [], [], []
    for plate in shoot(shot, batch=batch):
        frames.append(develop(plate.colour, script.sensor, seed=script.seed, frames=plate.frames).cpu())
        worn.append(((plate.touched >> script.sold) & 1).bool().cpu())
        light.append((plate.lit * 255).round().to(torch.uint8).cpu())
    return torch.cat(frames).contiguous(memory_format=torch.channels_last), torch.cat(worn), torch.cat(light)


def agnostic_frames(frames: Tensor, region: Tensor) -> Tensor:
    """[T, 3, H, W] uint8 with the region [T, H, W] bool greyed."""
    return torch.where(region[:, None], torch.tensor(GREY, dtype=torch.uint8), frames)


def make_shop_pictures(script: Script, size: tuple[int, int]) -> tuple[ShopPicture, ShopPicture]:
    """(front, back) of the sold garment at (height, width) `size`, cut for the script's person."""
    g = cut_for(script.target, anatomy(script.look.body))
    figure = lay_flat(g)
    cloth = make_cloth(g, flat_bounds(g, figure.points, figure.keep), texel=0.0014)
    return shop_picture(g, cloth, figure, size), shop_picture(g, cloth, figure, size, back=True)
