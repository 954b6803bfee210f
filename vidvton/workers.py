"""Worker processes for work that holds Python's lock: forked, so that they start at once and share what is already in memory."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.util import Finalize
from typing import TypeVar

Task, Result = TypeVar("Task"), TypeVar("Result")
_PR_SET_PDEATHSIG = 1


def worker_count() -> int:
    """How many processes this machine runs at once, at most 8; VIDVTON_WORKERS overrides it (1: no processes, all in this
    one)."""
    given = os.environ.get("VIDVTON_WORKERS", "")
    return max(1, int(given)) if given.isdigit() else min(len(os.sched_getaffinity(0)), 8)


def fork_workers(count: int, context: object = None) -> Executor:
    """`count` processes forked right now, with all that is in memory; they end with this process, however it ends.

    Tasks and results are pickled; `context` is not: a worker reads it with `worker_context`.
    """
    fork = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(count, mp_context=fork, initializer=_settle_in, initargs=(os.getpid(), context))
    for job in [pool.submit(os.getpid) for _ in range(count)]:
        job.result()
    # A process that `multiprocessing` itself started waits at its end for its children first, which would wait for work for ever.
    Finalize(pool, _close, (weakref.ref(pool),), exitpriority=10)
    return pool


def _close(pool: weakref.ref[ProcessPoolExecutor]) -> None:
    if (still := pool()) is not None:
        still.shutdown(cancel_futures=True)


_context: object = None  # set once in a worker process, never here


def worker_context() -> object:
    """What `fork_workers` was given, inside a worker."""
    return _context


def _settle_in(parent: int, context: object) -> None:
    global _context
    _context = context
    live_as_worker()
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def live_as_worker() -> None:
    """For a process that works for another: Ctrl-C is the other's affair, and when the process that forked this one dies, however
    it does, this one dies too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def in_order(pool: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], *, ahead: int) -> Iterator[Result]:
    """Results of `work` over `tasks`, in their order, with at most `ahead` of them under way, so that memory stays bounded."""
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
