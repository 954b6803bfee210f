"""How progress looks on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from .progress import Note, Pace, Progress

PLAIN_EVERY = 10.0
"""Seconds between two plain lines of one stage."""


class Display:
    """Shows `Progress` and `Note` events on `stream`; a context manager. A quiet one shows nothing."""

    def __init__(self, *, quiet: bool = False, resumed: bool = False, stream: TextIO | None = None) -> None:
        """`resumed` says that a stage may begin with frames another run has done, which count for nothing in its rate."""
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = quiet
        self.resumed = resumed
        self.last: Progress | None = None
        self._moment = time.monotonic()
        self._pace: Pace | None = None
        self._said, self._told = 0.0, ""
        self._bar = None if quiet or not self.stream.isatty() else _Bar(self.stream)

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._close_stage()

    def show(self, event: object) -> None:
        """Show one event; anything with a `text` is a note, anything else has `stage`, `done` and `total`."""
        text = getattr(event, "text", None)
        if text is not None:
            self.note(Note(text))
            return
        step = Progress(event.stage, event.done, event.total, getattr(event, "unit", "frames"))  # type: ignore[attr-defined]
        now = time.monotonic()
        fresh = self.last is None or self.last.stage != step.stage
        if fresh:
            self._close_stage()
            self._pace = Pace.start(step.done, now) if self.resumed else Pace.start(0, self._moment)
        self._pace.update(step.done, now)
        self.last, self._moment = step, now
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.show(step, self._pace, fresh)
        elif fresh or now - self._said >= PLAIN_EVERY:
            self._said, self._told = now, describe(step, self._pace)
            self._line(self._told)

    def note(self, note: Note) -> None:
        """Say a sentence above the bar."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.say(note.text)
        else:
            self._line(note.text)

    def _close_stage(self) -> None:
        if self._bar is None and not self.quiet and self.last is not None and self._pace is not None:
            text = describe(self.last, self._pace)
            if self._pace.done > self._pace.first and text != self._told:
                self._line(text)

    def _line(self, text: str) -> None:
        print(f"vidvton: {text}", file=self.stream, flush=True)


class _Bar:
    """A rich progress bar, one row a stage."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Rows

        self._rows = Rows(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<8}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
            console=Console(file=stream),
        )
        self._task = None

    def start(self) -> None:
        self._rows.start()

    def stop(self) -> None:
        self._rows.stop()

    def say(self, text: str) -> None:
        self._rows.console.print(f"vidvton: {text}", markup=False, highlight=False)

    def show(self, step: Progress, pace: Pace, fresh: bool) -> None:
        facts = describe(step, pace).removeprefix(step.stage).strip()
        if fresh:
            self._task = self._rows.add_task(step.stage, total=step.total, completed=step.done, facts=facts)
        else:
            self._rows.update(self._task, total=step.total, completed=step.done, facts=facts)


def describe(step: Progress, pace: Pace) -> str:
    """ "dress 120/500 frames, 31.2 frames/s, 0:12 left" """
    of = "" if step.total is None else f"/{step.total}"
    parts = [f"{step.stage} {step.done}{of} {step.unit}"]
    if pace.rate is not None:
        parts.append(f"{pace.rate:.1f} {step.unit}/s")
        left = pace.left(step.total)
        if left:
            parts.append(f"{clock(left)} left")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Minutes and seconds, "1:05"; with hours where there are some, "2:03:00"."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
