"""What the eye checks in a report: x-t slices, the worst frames with zoom, and small players. Files, drawn in one more pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..frames import resize
from ..media.images import write_image
from ..media.info import ClipInfo
from ..media.writer import VideoWriter
from ..metrics.series import Piece, Series, per_frame
from ..values import Clip
from .results import Pictures, WorstFrame

PLAYER_SIDE, SLICE_ROWS, WORST = 320, 192, 3
"""Longer side of a player in pixels; least height of a slice; how many worst frames are shown."""
_APART = 6  # frames between two that are shown
_GAIN = 6  # by which the change between frames is made visible
_PANEL, _GAP, _PAPER = 260, 6, 245


@dataclass(frozen=True)
class Sight:
    """What pictures of a case show, in measured pixels: the `row` of a slice and the `zoom` box (top, left, bottom, right)."""

    row: int
    zoom: tuple[int, int, int, int]


def choose_sight(piece: Piece) -> Sight:
    """The row through the middle of the region of the first piece, and a box around it; the frame's middle without a region."""
    height, width = piece.size
    seen = None if piece.region is None else piece.region.any(0)[0]
    if seen is None or not seen.any():
        return Sight(height // 2, (0, 0, height, width))
    rows, columns = torch.nonzero(seen.any(1))[:, 0], torch.nonzero(seen.any(0))[:, 0]
    margin = max(height, width) // 24
    box = (
        max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin),
        min(height, int(rows[-1]) + 1 + margin), min(width, int(columns[-1]) + 1 + margin),
    )  # fmt: skip
    weight = seen.sum(1).float()
    return Sight(int((weight * torch.arange(height)).sum() / weight.sum()), box)


def worst_frames(series: Iterable[Series], times: np.ndarray, fps: float) -> list[WorstFrame]:
    """The frames where the output is worst: by warping error in the region, else in the frame; some frames apart."""
    found = {(s.name, s.where): s for s in series if s.of == "output"}
    chosen = next((found[k] for k in (("warping-error", "region"), ("warping-error", "frame")) if k in found), None)
    if chosen is None:
        return []
    values, taken = per_frame(chosen), []
    for k in np.argsort(-np.nan_to_num(values, nan=-1.0)).tolist():
        frame = int(chosen.frames[k])
        if len(taken) == WORST or np.isnan(values[k]):
            break
        if frame > 0 and all(abs(frame - t.frame) >= _APART for t in taken):
            seconds = float(times[frame]) if frame < len(times) else frame / fps
            taken.append(WorstFrame(frame, seconds, float(values[k]), chosen.name, ""))
    return taken


def draw_pictures(
    pieces: Callable[[], Iterator[Piece]], folder: Path, name: str, *, rate: float, worst: list[WorstFrame] | None = None,
    shown: Callable[[Piece], Tensor] = lambda piece: piece.output,
) -> Pictures:  # fmt: skip
    """Draws the pictures of one video of a case into `folder` (files begin with `name`); paths in the result are bare names."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Tensor] = []
    wanted = {w.frame: w for w in worst or []}
    drawn: list[WorstFrame] = []
    film, sight, before, at = None, None, None, 0
    try:
        for piece in pieces():
            frames = shown(piece)
            sight = sight or choose_sight(piece)
            film = film or _Player(folder / f"{name}.mp4", piece.size, rate)
            rows.append(frames[:, :, sight.row].clone())
            film.write(frames)
            for k in range(len(frames)):
                if at + k in wanted and before is not None:
                    picture = f"{name}_worst_{at + k:05}.webp"
                    write_image(folder / picture, _worst_sheet(piece.source[k], before, frames[k], sight))
                    found = wanted[at + k]
                    drawn.append(WorstFrame(found.frame, found.seconds, found.value, found.metric, picture))
                before = frames[k]
            at += len(frames)
    except BaseException:
        if film is not None:
            film.abandon()
        raise
    film.close()
    write_image(folder / f"{name}_slice.webp", draw_slice(torch.cat(rows)))
    drawn.sort(key=lambda w: -w.value)
    return Pictures(slice=f"{name}_slice.webp", video=f"{name}.mp4", worst=tuple(drawn))


def draw_slice(rows: Tensor) -> Tensor:
    """[3, H, W] uint8 from rows [T, 3, W]: x to the right, time downwards; every frame as often as makes at least SLICE_ROWS."""
    step = max(1, len(rows) // (2 * SLICE_ROWS))
    picture = rows[::step].permute(1, 0, 2)
    repeat = max(1, -(-SLICE_ROWS // picture.shape[1]))
    return picture.repeat_interleave(repeat, 1)


def _worst_sheet(source: Tensor, before: Tensor, frame: Tensor, sight: Sight) -> Tensor:
    """[3, H, W] uint8: the whole frame with the box marked, then inside the box source, frame before, frame, and their change."""
    top, left, bottom, right = sight.zoom
    change = (128 + (frame.int() - before.int()) * _GAIN).clamp(0, 255).to(torch.uint8)
    marked = frame.clone()
    for rows, columns in (((top, top + 2), (left, right)), ((bottom - 2, bottom), (left, right)),
                          ((top, bottom), (left, left + 2)), ((top, bottom), (right - 2, right))):  # fmt: skip
        marked[:, slice(*rows), slice(*columns)] = torch.tensor([255, 170, 0], dtype=torch.uint8)[:, None, None]
    panels = [marked] + [p[:, top:bottom, left:right] for p in (source, before, frame, change)]
    sized = [resize(p, (_PANEL, max(8, round(_PANEL * p.shape[2] / p.shape[1])))) for p in panels]
    width = sum(p.shape[2] for p in sized) + _GAP * (len(sized) - 1)
    sheet, x = torch.full((3, _PANEL, width), _PAPER, dtype=torch.uint8), 0
    for panel in sized:
        sheet[:, :, x : x + panel.shape[2]] = panel
        x += panel.shape[2] + _GAP
    return sheet


class _Player:
    """A small H.264 film that any browser plays."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        ratio = min(1.0, PLAYER_SIDE / max(size))
        self._size = tuple(max(2, round(v * ratio / 2) * 2) for v in size)
        per_second = Fraction(rate).limit_denominator(1001)
        self._base, self._at = 1 / per_second, 0
        info = ClipInfo(path, "video", self._size[1], self._size[0], self._base, per_second, 0, "h264", "yuv420p")
        self._writer = VideoWriter(path, info, crf=26, preset="veryfast", overwrite=True, sound=False)

    def write(self, frames: Tensor) -> None:
        small = resize(frames, self._size).contiguous(memory_format=torch.channels_last)
        self._writer.write(Clip(small, torch.arange(self._at, self._at + len(small)), self._base))
        self._at += len(small)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.__exit__(RuntimeError)
