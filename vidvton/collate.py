"""Clip, person and garments become what the network is given: the same function for rendering, training and the bench.

A `View` says which part of each frame the network sees and leads back from its pixels to the source's. Frames are letterboxed
(grey around, nothing to generate there), garments likewise, and both carry their colours multiplied by alpha.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import MisuseError
from .frames import Letterbox, to_float
from .values import (
    CATEGORIES,
    GROUPS,
    LAYOUT_WORDS,
    POINTS,
    AgnosticFrames,
    Conditioning,
    Garment,
    Layout,
    TryOnInputs,
)

GREY = 128 / 255
"""What is not known, on the 0-1 scale: the grey of agnostic frames."""


@dataclass(frozen=True)
class View:
    """The part of each frame that the network sees: `boxes` [T, 4] int64 xyxy in source pixels, inside the frame, letterboxed to
    the network's (height, width) `size`."""

    boxes: Tensor
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.boxes)

    def window(self, start: int, stop: int) -> View:
        """Frames `start` to `stop`."""
        return View(self.boxes[start:stop], self.size)

    def letterbox(self, t: int) -> Letterbox:
        """How frame `t`'s box sits in the network's picture."""
        left, top, right, bottom = self.boxes[t].tolist()
        return Letterbox((bottom - top, right - left), self.size)

    def apply(self, frames: Tensor, *, fill: float = 0.0) -> Tensor:
        """[T, C, h, w] float32 0-1 at the network's size of source `frames` [T, C, H, W] (uint8 0-255, bool or float 0-1)."""
        out = frames.new_empty((len(frames), frames.shape[1], *self.size), dtype=torch.float32)
        for first, last in self._runs():
            cuts = [frames[t, :, y0:y1, x0:x1] for t, (x0, y0, x1, y1) in enumerate(self.boxes[first:last].tolist(), first)]
            part = torch.stack(cuts)
            part = to_float(part) if part.dtype == torch.uint8 else part.float()
            out[first:last] = self.letterbox(first).apply(part, fill=fill)
        return out

    def points(self, points: Tensor) -> Tensor:
        """Source points [T, K, 2] (x, y) as shares of the network's picture's width and height."""
        out = torch.empty_like(points)
        for t in range(len(self)):
            out[t] = self.letterbox(t).points(points[t] - self.boxes[t, :2].to(points))
        return out / out.new_tensor([self.size[1], self.size[0]])

    def invert(self, frame: Tensor, t: int) -> Tensor:
        """[C, H, W] of the size of frame `t`'s box, from a picture [C, h, w] at the network's size."""
        return self.letterbox(t).invert(frame)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Spans of frames whose boxes have one size."""
        extent = self.boxes[:, 2:] - self.boxes[:, :2]
        starts = [0, *((extent[1:] != extent[:-1]).any(1).nonzero()[:, 0] + 1).tolist()]
        yield from zip(starts, [*starts[1:], len(self)])


def whole_view(frames: int, source: tuple[int, int], size: tuple[int, int]) -> View:
    """The whole of `frames` frames of (height, width) `source`."""
    return View(torch.tensor([0, 0, source[1], source[0]]).repeat(frames, 1), size)


def crop_view(boxes: Tensor, source: tuple[int, int], size: tuple[int, int]) -> View:
    """The crops `boxes` [T, 4] int64 of frames of (height, width) `source`, each widened or heightened about its middle to the
    network's proportions as far as the frame reaches, so that little of the network's picture stays empty."""
    height, width = (boxes[:, 3] - boxes[:, 1]).double(), (boxes[:, 2] - boxes[:, 0]).double()
    ratio = size[1] / size[0]
    grown = torch.stack([torch.maximum(width, height * ratio), torch.maximum(height, width / ratio)], 1).round()
    limits = boxes.new_tensor([source[1], source[0]])
    extent = torch.minimum(grown.to(boxes.dtype), limits)
    corner = torch.div(boxes[:, :2] + boxes[:, 2:] - extent, 2, rounding_mode="floor")
    corner = torch.minimum(corner.clamp(min=0), limits - extent)
    return View(torch.cat([corner, corner + extent], 1), size)


class FrameConditions(NamedTuple):
    """The parts of a Conditioning that have one row a frame, unbatched."""

    agnostic: Tensor
    region: Tensor
    pose: Tensor
    warped: Tensor


class GarmentConditions(NamedTuple):
    """The parts of a Conditioning that have one row a garment, unbatched."""

    garments: Tensor
    points: Tensor
    slots: Tensor
    layout: Tensor


def frame_conditions(
    agnostic: AgnosticFrames, keypoints: Tensor, dressed: Tensor | None, view: View, *, hard: bool = False
) -> FrameConditions:
    """What the network is told of each frame in `view`: agnostic [T, 3, h, w], region [T, 1, h, w], pose [T, 33, 3] and warped
    [T, 4, h, w], as in `Conditioning`.

    `keypoints` [T, 33, 3] (x, y, score) in source pixels; `dressed` [T, 3, H, W] uint8 or float 0-1 the frames as the warp engine
    dresses them, of which the region is shown (None: no hint). The region is the share of a pixel that is to be generated, or
    with `hard` 1 wherever there is any.
    """
    region = view.apply(agnostic.region)
    if hard:
        region = (region > 0).float()
    if dressed is None:
        hint = torch.zeros(len(view), 4, *view.size)
    else:
        inside, shown = agnostic.region.float(), dressed if dressed.is_floating_point() else to_float(dressed)
        hint = view.apply(torch.cat([shown * inside, inside], 1))
    return FrameConditions(view.apply(agnostic.frames, fill=GREY), region, _shares(keypoints, view), hint)


def _shares(keypoints: Tensor, view: View) -> Tensor:
    """[T, 33, 3]: points as shares of the network's picture; a point that is not seen at all is zero."""
    seen = keypoints[..., 2:] > 0
    points = torch.cat([view.points(keypoints[..., :2].float()), keypoints[..., 2:].float()], -1)
    return torch.where(seen, points, torch.zeros(()))


def garment_conditions(garments: Sequence[Garment], size: tuple[int, int], *, slots: int | None = None) -> GarmentConditions:
    """What the network is told of the garments, letterboxed to (height, width) `size`: pictures [G, 4, h, w] colour times alpha
    and alpha, points [G, POINTS, 3] as shares, slots [G], layout [G, 6]. `slots` is G (None: as many as garments); the rest is
    empty. MisuseError for more garments than slots."""
    count = len(garments) if slots is None else slots
    if len(garments) > count:
        raise MisuseError(f"{len(garments)} garments were given and the model takes {count}; give fewer")
    out = GarmentConditions(
        torch.zeros(count, 4, *size),
        torch.zeros(count, POINTS, 3),
        torch.full((count,), -1, dtype=torch.int64),
        torch.zeros(count, len(LAYOUT_WORDS), dtype=torch.int64),
    )
    for row, garment in enumerate(garments):
        box = Letterbox(tuple(garment.image.shape[1:]), size)
        out.garments[row] = box.apply(torch.cat([to_float(garment.image) * garment.alpha, garment.alpha[None]]))
        marks = garment.landmarks
        places = box.points(marks[:, :2]) / marks.new_tensor([size[1], size[0]])
        seen = marks[:, 2:] > 0
        out.points[row, : len(marks)] = torch.where(seen, torch.cat([places, marks[:, 2:]], 1), torch.zeros(()))
        out.slots[row] = CATEGORIES.index(garment.category)
        out.layout[row] = from_layout(garment.layout)
    return out


def from_layout(layout: Layout, *, rolled: bool | None = None, tucked: bool | None = None, outer: bool | None = None) -> Tensor:
    """[6] int64 codes of LAYOUT_WORDS: 0 is N/A, n the n-th word. How a garment is worn (`rolled`, `tucked`, `outer`) is the
    wearer's wish and not in its picture; None leaves it to the network."""
    words = {"sleeve": layout.sleeve, "leg": layout.leg, "rolled": rolled, "tucked": tucked, "outer": outer, "open": layout.open}
    codes = []
    for name, known in LAYOUT_WORDS.items():
        word = words[name]
        word = ("no", "yes")[word] if isinstance(word, bool) else word
        if word is not None and word not in known:
            raise MisuseError(f"layout {name} is {word!r}, expected one of {', '.join(known)}")
        codes.append(0 if word is None else known.index(word) + 1)
    return torch.tensor(codes, dtype=torch.int64)


def conditions(frames: FrameConditions, garments: GarmentConditions, *, embedding: Tensor | None = None) -> Conditioning:
    """One sample (B = 1) with every group given and no noise on it; `embedding` [D]."""
    return Conditioning(
        *(part[None] for part in frames),
        garments=garments.garments[None],
        garment_points=garments.points[None],
        slots=garments.slots[None],
        layout=garments.layout[None],
        given=torch.ones(1, len(GROUPS), dtype=torch.bool),
        augmentation=torch.zeros(1),
        embedding=None if embedding is None else embedding[None],
    )


def collate(
    inputs: TryOnInputs,
    size: tuple[int, int],
    *,
    view: View | None = None,
    garment_size: tuple[int, int] | None = None,
    slots: int | None = None,
    hint: bool = True,
    hard: bool = False,
) -> Conditioning:
    """`inputs` as one sample (B = 1) at the network's (height, width) `size`, float32.

    `view` None shows whole frames, letterboxed; `garment_size` None is `size`; `slots` as in `garment_conditions`; without
    `hint` the warped garment is left out; `hard` as in `frame_conditions`.
    """
    view = whole_view(len(inputs.clip), inputs.clip.size, size) if view is None else view
    if len(view) != len(inputs.clip) or tuple(view.size) != tuple(size):
        raise ValueError(f"a view of {len(view)} frames at {view.size} was given for {len(inputs.clip)} frames at {size}")
    dressed = torch.lerp(to_float(inputs.clip.frames), inputs.warped.frames, inputs.warped.alpha) if hint else None
    per_frame = frame_conditions(inputs.agnostic, inputs.person.keypoints, dressed, view, hard=hard)
    return conditions(per_frame, garment_conditions(inputs.garments, garment_size or size, slots=slots))


def stack(samples: Sequence[Conditioning]) -> Conditioning:
    """Samples of equal shapes (the same frames, sizes and slots) as one batch."""
    first = samples[0]
    joined = {
        f.name: torch.cat([getattr(s, f.name) for s in samples])
        for f in fields(Conditioning)
        if getattr(first, f.name) is not None
    }
    return replace(first, **joined)
