"""Clips cut anew: whatever the lengths of the pieces that come in, blocks of 16 frames at fixed places go on.

Everything is measured block by block, each with the two frames before it, so that blocks need nothing of each other: results
depend neither on how the clip came in nor on how many blocks are measured at once, and memory holds a few blocks, however long
the clip is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from .series import Piece

BLOCK = 16
LEAD = 2


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` of a clip; `piece` also holds the `lead` (0 to 2) frames before `start`, first."""

    start: int
    lead: int
    piece: Piece

    @property
    def stop(self) -> int:
        return self.start + len(self.piece) - self.lead


def cut(pieces: Iterable[Piece]) -> Iterator[Block]:
    """The blocks of a clip, in order. ValueError where pieces do not agree in size or in what they hold; empty pieces pass."""
    held: Piece | None = None
    start, lead = 0, 0
    for piece in pieces:
        held = piece if held is None else _joined(held, piece)
        while len(held) - lead >= BLOCK:
            yield Block(start, lead, _part(held, 0, lead + BLOCK))
            held = _part(held, lead + BLOCK - LEAD, len(held))
            start, lead = start + BLOCK, LEAD
    if held is not None and len(held) > lead:
        yield Block(start, lead, held)


_TENSORS = ("output", "source", "region", "truth", "flow", "hidden", "coordinates")


def _joined(first: Piece, second: Piece) -> Piece:
    if first.size != second.size:
        raise ValueError(f"pieces of one clip have sizes {first.size} and {second.size}")
    joined = {}
    for name in _TENSORS:
        a, b = getattr(first, name), getattr(second, name)
        if (a is None) != (b is None):
            raise ValueError(f"Piece.{name} is given in some pieces of a clip and not in others")
        joined[name] = None if a is None else torch.cat([a, b])
    names = [name for name, _ in first.also]
    if names != [name for name, _ in second.also]:
        raise ValueError("Piece.also names other videos in some pieces of a clip")
    also = tuple((name, torch.cat([a, b])) for name, (_, a), (_, b) in zip(names, first.also, second.also))
    return Piece(**joined, also=also)


def _part(piece: Piece, start: int, stop: int) -> Piece:
    """Frames `start` to `stop` of a piece, without a copy."""
    cuts = {name: None if getattr(piece, name) is None else getattr(piece, name)[start:stop] for name in _TENSORS}
    return replace(piece, **cuts, also=tuple((name, video[start:stop]) for name, video in piece.also))
