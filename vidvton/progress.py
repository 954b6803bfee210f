"""What long work says while it goes on: how far it is, and the odd sentence worth telling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Progress(NamedTuple):
    """`done` of `total` frames (or other `unit`s) of `stage`; `total` is None while nobody can know."""

    stage: str
    done: int
    total: int | None
    unit: str = "frames"


class Note(NamedTuple):
    """One sentence for the user, said once."""

    text: str


@dataclass
class Pace:
    """The speed of one stage, from what this process did itself: work found done when it resumed does not count."""

    first: int
    began: float
    done: int = field(default=0)
    now: float = field(default=0.0)

    @classmethod
    def start(cls, done: int, now: float) -> Pace:
        """A pace that counts from `done` frames at `now` seconds."""
        return cls(first=done, began=now, done=done, now=now)

    def update(self, done: int, now: float) -> None:
        self.done, self.now = max(done, self.done), now

    @property
    def rate(self) -> float | None:
        """Frames per second, or None before there is anything to divide."""
        spent = self.now - self.began
        return (self.done - self.first) / spent if spent > 0 and self.done > self.first else None

    def left(self, total: int | None) -> float | None:
        """Seconds to go, or None where it cannot be known."""
        return None if total is None or self.rate is None else max(0, total - self.done) / self.rate
