"""Processes that work together in a test."""

from __future__ import annotations

from multiprocessing.process import BaseProcess


def run_together(crowd: list[BaseProcess], seconds: float) -> None:
    """Starts the processes and waits `seconds` for each; all must end well, and none is left behind."""
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
    assert [process.exitcode for process in crowd] == [0] * len(crowd)
