"""Two gloo processes for tests that need them: forked from a server that has torch loaded, so that a test costs no import."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import pytest
from crowd import in_group, run_together


@pytest.fixture
def gloo(tmp_path):
    """`gloo(work, count, *arguments)` runs `work(rank, count, *arguments)` in `count` processes that can talk to each other."""
    context = multiprocessing.get_context("forkserver")
    runs = 0

    def start(work: Callable, count: int, *arguments) -> None:
        nonlocal runs
        runs += 1
        meeting = tmp_path / f"meeting-{runs}"
        crowd = [context.Process(target=in_group, args=(work, r, count, meeting, arguments)) for r in range(count)]
        run_together(crowd, 100)

    return start
