"""Processes that work together in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path


def run_together(crowd: list[BaseProcess], seconds: float) -> None:
    """Starts the processes and gives them `seconds`; all must end well, and none is left behind."""
    until = time.monotonic() + seconds
    try:
        for process in crowd:
            process.start()
        for process in crowd:
            process.join(max(until - time.monotonic(), 0))
    finally:
        for process in crowd:
            if process.is_alive():
                process.kill()
                process.join()
    assert [process.exitcode for process in crowd] == [0] * len(crowd)


def in_group(work: Callable, rank: int, count: int, meeting: Path, arguments: tuple) -> None:
    """`work(rank, count, *arguments)` as one of `count` processes of a gloo group that meet at a file."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        work(rank, count, *arguments)
    finally:
        dist.destroy_process_group()
