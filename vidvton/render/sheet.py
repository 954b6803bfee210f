"""Contact sheets: pictures in columns, captions above."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..frames import from_arrays, resize

PAPER, INK, GAP, CAPTION = 250, 30, 6, 18


def draw_sheet(columns: list[tuple[str, list[Tensor]]], *, cell_height: int = 360) -> Tensor:
    """[3, H, W] uint8: a column per (caption, pictures [3, h, w] uint8), pictures below each other, `cell_height` pixels high."""
    if not columns:
        raise ValueError("a sheet needs at least one column")
    drawn = [_column(caption, pictures, cell_height) for caption, pictures in columns]
    height = max(column.shape[1] for column in drawn)
    gap = torch.full((3, height, GAP), PAPER, dtype=torch.uint8)
    parts = [gap]
    for column in drawn:
        parts += [torch.nn.functional.pad(column, (0, 0, 0, height - column.shape[1]), value=PAPER), gap]
    return torch.cat(parts, dim=2)


def label(text: str, width: int, height: int = CAPTION) -> Tensor:
    """[3, height, width] uint8: `text` in dark on paper, cut off where it does not fit."""
    strip = Image.new("RGB", (width, height), (PAPER,) * 3)
    font = ImageFont.load_default(max(8, height - 6))
    ImageDraw.Draw(strip).text((2, height / 2), text, fill=(INK,) * 3, font=font, anchor="lm")
    return from_arrays(np.array(strip))


def _column(caption: str, pictures: list[Tensor], cell_height: int) -> Tensor:
    scales = [cell_height / picture.shape[1] for picture in pictures]
    scaled = [resize(p, (cell_height, max(1, round(p.shape[2] * scale)))) for p, scale in zip(pictures, scales)]
    width = max(picture.shape[2] for picture in scaled)
    parts = [label(caption, width)]
    for picture in scaled:
        parts.append(torch.nn.functional.pad(picture, (0, width - picture.shape[2], 0, GAP), value=PAPER))
    return torch.cat(parts, dim=1)
