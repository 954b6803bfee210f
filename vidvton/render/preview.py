"""A few frames instead of a whole render, on one sheet: source above, result below."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ..errors import VidvtonError
from ..media.images import write_image
from ..media.info import Limits
from ..media.reader import open_clip
from ..progress import Progress
from .engine import Engine
from .plan import RenderPlan, limits_of
from .sheet import draw_sheet


def spread(frames: int, count: int) -> list[int]:
    """At most `count` frame indices spread evenly over `frames`, each in the middle of its share."""
    count = min(frames, count)
    return [(2 * i + 1) * frames // (2 * count) for i in range(count)]


def draw_preview(plan: RenderPlan, engine: Engine, frames: int) -> Iterator[Progress]:
    """Dress the frames `spread` picks and write the sheet to `plan.output`. `engine` must be prepared."""
    assert plan.request.preview is not None
    wanted = spread(frames, plan.request.preview)
    columns = []
    yield Progress("preview", 0, len(wanted))
    for done, (index, source) in enumerate(picked(plan.request.source, wanted, limits_of(plan.settings)), start=1):
        piece = engine.glimpse(index)
        seconds = float(int(piece.pts[0]) * Fraction(piece.time_base))
        columns.append((f"{index}  {seconds:.2f} s", [source, piece.frames[0]]))
        yield Progress("preview", done, len(wanted))
    write_image(plan.output, draw_sheet(columns), overwrite=plan.overwrite)


def picked(source: Path, wanted: list[int], limits: Limits) -> Iterator[tuple[int, Tensor]]:
    """(index, frame [3, H, W] uint8) for each of the ascending indices `wanted`, in one pass over the clip."""
    left = list(wanted)
    at = 0
    for clip in open_clip(source, limits=limits).clips(8):
        while left and left[0] < at + len(clip):
            yield left[0], clip.frames[left[0] - at]
            left.pop(0)
        at += len(clip)
        if not left:
            return
    raise VidvtonError(f"{source} ended at frame {at} before frame {left[0]}; the clip may have changed while it was read")
