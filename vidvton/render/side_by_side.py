"""Source, garments and result beside each other, as one wide clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..frames import Letterbox, resize
from ..media.info import ClipInfo, Limits
from ..media.reader import open_clip
from ..values import Clip, Garment

PAPER = 245


class SideBySide:
    """Joins dressed pieces with the source and a panel of the garments. `info` describes the wide clip."""

    def __init__(self, source: Path, limits: Limits, info: ClipInfo, garments: tuple[Garment, ...]) -> None:
        self._source, self._limits = source, limits
        width = max(16, round(min(info.width, info.height) * 0.5)) // 2 * 2
        self._panel = garment_panel(garments, (info.height, width), aspect=float(info.sample_aspect_ratio))
        self.info = replace(info, width=2 * info.width + width)

    def joined(self, pieces: Iterator[Clip], start: int) -> Iterator[Clip]:
        """Each piece of dressed frames, the first of which is frame `start` of the clip, as source | garments | result."""
        frames = open_clip(self._source, limits=self._limits).clips(1, start=start)
        for piece in pieces:
            source = torch.cat([next(frames).frames for _ in range(len(piece))])
            height, width = piece.size
            wide = torch.empty((len(piece), height, self.info.width, 3), dtype=torch.uint8).movedim(-1, 1)
            wide[..., :width] = source
            wide[..., width:-width] = self._panel
            wide[..., -width:] = piece.frames
            yield Clip(wide, piece.pts, piece.time_base)


def garment_panel(garments: tuple[Garment, ...], size: tuple[int, int], *, aspect: float = 1.0) -> Tensor:
    """[3, H, W] uint8 of (height, width) `size`: the garments below each other on light paper; `aspect` is that of a pixel."""
    height, width = size
    panel = torch.full((3, height, width), PAPER, dtype=torch.uint8)
    share = height // len(garments)
    margin = max(1, min(share, width) // 20)
    for row, garment in enumerate(garments):
        box = (max(1, share - 2 * margin), max(1, width - 2 * margin))
        square = (box[0], max(1, round(box[1] * aspect)))  # where pixels are not square, draw as if they were, then squeeze
        on_paper = (garment.image * garment.alpha + PAPER * (1 - garment.alpha)).round().to(torch.uint8)
        picture = resize(Letterbox(tuple(garment.image.shape[1:]), square).apply(on_paper, fill=PAPER), box)
        top = row * share + margin
        panel[:, top : top + box[0], margin : margin + box[1]] = picture
    return panel
