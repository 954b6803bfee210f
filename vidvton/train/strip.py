"""Sheets to see by: source, agnostic, garment, warp, result and truth beside each other, a few frames below each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vidvton.media.files import disk_errors, written_beside

COLUMNS = ("source", "agnostic", "garment", "warp hint", "result", "truth")
GAP, CAPTION = 4, 18
PAPER, INK = (250, 250, 250), (40, 44, 52)


@dataclass(frozen=True)
class Strip:
    """One clip: `pictures` by the names of COLUMNS, each [T, 3, H, W] float 0-1 (the garment [1, 3, h, w]), and its `title`."""

    title: str
    pictures: dict[str, Tensor]


def draw_strips(strips: list[Strip], *, rows: int = 3) -> np.ndarray:
    """A sheet of all `strips`, at most `rows` evenly spread frames of each: [H, W, 3] uint8."""
    blocks = [_block(strip, rows) for strip in strips]
    width = max(block.width for block in blocks)
    sheet = Image.new("RGB", (width, sum(block.height for block in blocks)), PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return np.asarray(sheet)


def write_sheet(sheet: np.ndarray, path: Path) -> None:
    """Writes what `draw_strips` drew as a PNG; an older file of that name is replaced. VidvtonError where the disk refuses."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path, overwrite=True) as part:
        Image.fromarray(sheet).save(part, format="PNG")


def _block(strip: Strip, rows: int) -> Image.Image:
    frames, _, height, width = strip.pictures["truth"].shape
    chosen = sorted({round(i * (frames - 1) / max(1, min(rows, frames) - 1)) for i in range(min(rows, frames))})
    zoom = max(1, round(160 / width))
    width, height = width * zoom, height * zoom
    size = (len(COLUMNS) * (width + GAP) + GAP, CAPTION + len(chosen) * (height + GAP) + GAP)
    block = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(block), ImageFont.load_default(12)
    for column, name in enumerate(COLUMNS):
        left = GAP + column * (width + GAP)
        pen.text((left, 2), name if column else f"source  {strip.title}"[: width // 8], fill=INK, font=font)
        for row, frame in enumerate(chosen):
            pictures = strip.pictures[name]
            picture = pictures[min(frame, len(pictures) - 1)]
            block.paste(_image(picture, (width, height)), (left, CAPTION + row * (height + GAP)))
    return block


def _image(picture: Tensor, size: tuple[int, int]) -> Image.Image:
    values = (picture.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(np.ascontiguousarray(values))
    return image.resize(size, Image.Resampling.BICUBIC if image.width < size[0] else Image.Resampling.BOX)
