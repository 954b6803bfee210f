"""Being told to stop: Ctrl-C and SIGTERM wait for the end of a step, so that nothing that was trained is lost."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType

PATIENCE = 3.0
"""Seconds in which further signals count as the first: torchrun, Slurm and a terminal each send their own."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was told to stop; all its processes have finished the step, saved it, and know it. The text is for the user."""


class StopWatch:
    """While the context lasts, SIGINT and SIGTERM set `asked` instead of breaking in; one that comes more than PATIENCE seconds
    after the first raises KeyboardInterrupt at once. Outside the main thread, where signals cannot be taken, it does nothing."""

    def __init__(self) -> None:
        self.asked = False
        self._since = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopWatch:
        try:
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        except ValueError:  # not in the main thread
            pass
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked and time.monotonic() - self._since > PATIENCE:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._since = True, time.monotonic()


def ignore_stops(worker: int) -> None:
    """For loader worker number `worker`: when to stop is its process's affair, which still needs the samples of its last step."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
