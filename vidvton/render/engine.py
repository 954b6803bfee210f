"""What the render shell asks of an engine, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..progress import Note, Progress
from ..values import Clip


@dataclass(frozen=True)
class GarmentFacts:
    """What was understood of one garment: its category and its cut (`layout`: sleeve, leg, open; None where it has none)."""

    category: str
    layout: dict[str, str | bool | None] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineSummary:
    """What an engine found out, for the report. `quality` (0-1) and `present` have one value per frame of the clip."""

    persons: int
    quality: tuple[float, ...]
    present: tuple[bool, ...]
    garments: tuple[GarmentFacts, ...]
    warnings: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)


class Engine(Protocol):
    """Dresses the person of one clip. An engine is made for one clip, one set of garments and one work folder.

    `prepare` analyses the clip into the work folder; it can be killed at any moment, and called again it skips what is there.
    After it, `num_frames` is exact and `dress` may be asked for any span, in any order, any number of times: a frame looks the
    same whatever `start` was. `dress` yields consecutive pieces at the source's size with the source's times, and everything
    outside the feathered region is the source's own, bit for bit. `glimpse` is one frame by itself, for a quick look: what
    frames lend each other may be left out.
    """

    name: str

    def prepare(self) -> Iterator[Progress | Note]: ...

    def num_frames(self) -> int: ...

    def dress(self, start: int, stop: int) -> Iterator[Clip]: ...

    def glimpse(self, t: int) -> Clip: ...

    def summary(self) -> EngineSummary: ...
