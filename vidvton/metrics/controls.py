"""The built-in controls: clips made from the source whose damage is known, and which way each metric must move for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CONTROLS = ("source", "frozen", "shuffled", "colour-noise", "wobbling-mask")
"""The source itself; its first frame for ever; its frames in another order within every 16; a colour cast of its own on every
frame; the region's outline moved at random from frame to frame."""
_SHUFFLED = 16
_CAST = 8.0  # levels
_WOBBLE = 4  # pixels each way

Streamed = tuple[Tensor, Tensor | None]


def control(name: str, frames: Iterable[Streamed], *, seed: int = 0) -> Iterator[Tensor]:
    """The control `name` of a source streamed as (frames uint8 [T, 3, H, W], region bool [T, 1, H, W] or None) pieces.

    Yields uint8 pieces of the same lengths, in order ("shuffled" up to 16 frames late). Depends on the seed and the frame's index
    alone, not on how the clip is cut; holds at most a piece and 16 frames. ValueError for an unknown name and for "wobbling-mask"
    without a region.
    """
    if name == "source":
        return (piece for piece, _ in frames)
    made = {"frozen": _frozen, "shuffled": _shuffled, "colour-noise": _cast, "wobbling-mask": _wobbling}
    if name not in made:
        raise ValueError(f"there is no control called {name!r}; there are {', '.join(CONTROLS)}")
    return made[name](frames, seed)


def _frozen(frames: Iterable[Streamed], seed: int) -> Iterator[Tensor]:
    first = None
    for piece, _ in frames:
        first = piece[:1].clone() if first is None else first
        yield first.expand_as(piece)


def _shuffled(frames: Iterable[Streamed], seed: int) -> Iterator[Tensor]:
    held, ready, start = None, [], 0
    lengths: deque[int] = deque()
    for piece, _ in frames:
        lengths.append(len(piece))
        held = piece if held is None else torch.cat([held, piece])
        while len(held) >= _SHUFFLED:
            ready.append(held[_order(seed, start, _SHUFFLED)])
            held, start = held[_SHUFFLED:], start + _SHUFFLED
        yield from _as_cut(ready, lengths)
    if held is not None:
        ready.append(held[_order(seed, start, len(held))])
        yield from _as_cut(ready, lengths)


def _as_cut(ready: list[Tensor], lengths: deque[int]) -> Iterator[Tensor]:
    """Pieces of the `lengths` that the frames in `ready` suffice for, taken off both."""
    while lengths and sum(map(len, ready)) >= lengths[0]:
        frames = torch.cat(ready)
        yield frames[: lengths[0]]
        ready[:] = [frames[lengths.popleft() :]]


def _order(seed: int, start: int, count: int) -> Tensor:
    """A permutation of `count` frames; of two or more, never the one that leaves them as they are."""
    order = np.random.default_rng([seed, start]).permutation(count)
    if count > 1 and (order == np.arange(count)).all():
        order = order[::-1].copy()
    return torch.from_numpy(order)


def _cast(frames: Iterable[Streamed], seed: int) -> Iterator[Tensor]:
    frame = 0
    for piece, _ in frames:
        casts = [np.random.default_rng([seed, frame + i]).normal(0, _CAST, 3) for i in range(len(piece))]
        frame += len(piece)
        cast = torch.from_numpy(np.array(casts, np.float32).reshape(-1, 3, 1, 1))
        yield (piece.float() + cast).round().clamp(0, 255).to(torch.uint8)


def _wobbling(frames: Iterable[Streamed], seed: int) -> Iterator[Tensor]:
    """As a careless composite would: the region moved by a few pixels; where it now covers the background it shows its own mean
    colour, and where it no longer covers itself, the mean of what lies around it."""
    frame = 0
    for piece, region in frames:
        if region is None:
            raise ValueError("the control 'wobbling-mask' needs a region")
        out = piece.clone()
        for i in range(len(piece)):
            dx, dy = np.random.default_rng([seed, frame + i]).integers(-_WOBBLE, _WOBBLE + 1, 2)
            mask = region[i, 0]
            moved = _moved(mask, int(dx), int(dy))
            wide = F.max_pool2d(mask.float()[None, None], 4 * _WOBBLE + 1, 1, 2 * _WOBBLE)[0, 0] > 0
            around = wide & ~mask
            for where, whose in ((moved & ~mask, mask), (mask & ~moved, around if bool(around.any()) else mask)):
                if bool(where.any()):
                    out[i][:, where] = piece[i][:, whose].float().mean(1, keepdim=True).round().to(torch.uint8)
        frame += len(piece)
        yield out


def _moved(mask: Tensor, dx: int, dy: int) -> Tensor:
    """`mask` [H, W] moved by whole pixels; what comes in from outside the picture is what was at its border."""
    height, width = mask.shape
    rows = (torch.arange(height) - dy).clamp(0, height - 1)
    columns = (torch.arange(width) - dx).clamp(0, width - 1)
    return mask[rows][:, columns]


def expected_moves(name: str) -> dict[tuple[str, str], int]:
    """How a control's score must stand to the source's own: (metric, where) -> +1 higher, -1 lower, 0 the same.

    Only what must hold for every clip in which something moves, also outside the region, is listed; against a truth only where
    that shows what the source shows (the background). Seams, drift and the garment's colour and print have no control among
    these. ValueError for an unknown control.
    """
    up = [("warping-error", w) for w in ("frame", "background", "region")]
    up += [("warping-error-exact", "frame"), ("second-difference", "frame"), ("tof-source", "frame")]
    less_like = dict.fromkeys([(metric, "background") for metric in ("psnr", "ssim", "gradient-similarity")], -1)
    less_like |= {(f"lpips-{backbone}", "background"): 1 for backbone in ("alex", "vgg", "squeeze")}
    less_left = {("leak", "region"): -1, ("leak-pixels", "region"): -1}
    if name == "source":
        same = [*up, ("temporal-flickering", "frame"), ("identity", "background"), *less_left, *less_like]
        return dict.fromkeys(same, 0)
    if name == "frozen":
        higher = [("warping-error", "frame"), ("warping-error-exact", "frame"), ("tof-source", "frame"), ("tof", "frame")]
        higher += [("temporal-flickering", "frame"), ("garment-flicker", "region"), ("identity", "background")]
        higher += [("clip-f", "frame"), ("dino-consistency", "frame")]
        return dict.fromkeys(higher, 1) | {("second-difference", "frame"): -1} | less_left | less_like
    damaged = dict.fromkeys([*up, ("identity", "background")], 1) | {("temporal-flickering", "frame"): -1}
    if name == "shuffled":
        more = {("garment-flicker", "region"): 1, ("tof", "frame"): 1, ("clip-f", "frame"): -1}
        return damaged | more | less_left | less_like
    if name == "colour-noise":
        return damaged | {("garment-flicker", "region"): 1, ("leak-pixels", "region"): -1, ("psnr", "background"): -1}
    if name == "wobbling-mask":
        return damaged | less_left | less_like
    raise ValueError(f"there is no control called {name!r}; there are {', '.join(CONTROLS)}")
