"""The built-in controls: clips made from the source whose damage is known, and which way each metric must move for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

CONTROLS = ("source", "frozen", "shuffled", "colour-noise", "wobbling-mask")
"""The source itself; its first frame for ever; its frames in another order within every 16; a colour cast of its own on every frame;
the region's outline moved at random from frame to frame."""


def control(name: str, frames: Iterable[tuple[Tensor, Tensor | None]], *, seed: int = 0) -> Iterator[Tensor]:
    """The control `name` of a source streamed as (frames uint8 [T, 3, H, W], region bool [T, 1, H, W] or None) pieces.

    Yields uint8 pieces of the same lengths in order. Depends on the seed and the frame index alone, not on how the clip is cut;
    holds at most 16 frames. ValueError for "wobbling-mask" without a region.
    """
    raise NotImplementedError


def expected_moves(name: str) -> dict[tuple[str, str], int]:
    """How a control's score must stand to the source's own: (metric, where) -> +1 higher, -1 lower, 0 the same.

    Only what must hold is listed.
    """
    raise NotImplementedError
