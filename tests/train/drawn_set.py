"""A prepared set without a studio: a square that wears a colour and moves, as shards that `open_dataset` opens."""

from __future__ import annotations

from pathlib import Path

import torch

from vidvton.train.scene import Scene, encode_scene
from vidvton.train.shards import FORMAT, join_samples, list_shard, tar_sample, write_index, write_text
from vidvton.values import LANDMARKS, Garment, Layout


def drawn_scene(name: str, *, frames: int, size: tuple[int, int] = (32, 32), seed: int = 0) -> Scene:
    """`frames` frames of a coloured square on noise; the source wears another colour, and the warp hint is the right one."""
    draw = torch.Generator().manual_seed(seed)
    height, width = size
    back = torch.randint(60, 200, (3, height, width), generator=draw, dtype=torch.uint8)
    worn, sold = torch.randint(0, 256, (2, 3, 1, 1), generator=draw, dtype=torch.uint8)
    side, row = height // 2, height // 4
    region = torch.zeros(frames, 1, height, width, dtype=torch.bool)
    for t in range(frames):
        left = width // 8 + t % (width // 4)
        region[t, 0, row : row + side, left : left + side] = True
    source, truth = torch.where(region, worn, back), torch.where(region, sold, back)
    keypoints = torch.zeros(frames, 33, 3)
    keypoints[:, 11] = torch.tensor([width / 2, row, 1.0])
    alpha = (region * 255).to(torch.uint8)
    warped = torch.where(region, sold, torch.zeros_like(back))
    return Scene(name, name, truth, source, region, keypoints, warped, alpha, (drawn_garment(sold, size),))


def drawn_garment(colour: torch.Tensor, size: tuple[int, int]) -> Garment:
    height, width = size
    alpha = torch.zeros(height, width)
    alpha[4:-4, 4:-4] = 1
    landmarks = torch.zeros(len(LANDMARKS["upper"]), 3)
    landmarks[0] = torch.tensor([width / 2, 5.0, 1.0])
    image = colour.expand(3, height, width).contiguous()
    fabric = colour.flatten() / 255
    return Garment(image, alpha, (alpha > 0).to(torch.uint8), "upper", landmarks, Layout(sleeve="short"), fabric)


def write_set(folder: Path, *, clips: int = 5, frames: int = 8, size: tuple[int, int] = (32, 32), seed: int = 0) -> Path:
    """A prepared set of `clips` drawn scenes in `folder`."""
    folder.mkdir(parents=True)
    parts = []
    for n in range(clips):
        parts.append(folder / f"{n}.part")
        scene = drawn_scene(f"clip{n}", frames=frames, size=size, seed=seed + n)
        parts[-1].write_bytes(tar_sample(f"{n:06d}", encode_scene(scene)))
    join_samples(parts, folder / "shard-00000.tar")
    for part in parts:
        part.unlink()
    write_index(folder, list_shard(folder / "shard-00000.tar"))
    write_text(folder / "dataset.json", f'{{"format": {FORMAT}, "samples": {clips}}}')
    return folder
