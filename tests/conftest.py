"""One thread a process: the suite runs in two processes on two cores, in which threads of both would wait for one another; and
training is exact to the bit only for an equal number of threads. And each keeps a server of ready processes, and understands a
garment's picture once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ready

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")


def pytest_sessionstart(session: pytest.Session) -> None:
    if not session.config.getoption("collectonly") and not getattr(session.config.option, "numprocesses", None):
        ready.serve()


LONGEST = (
    "prepare_garment",
    "track_people",
    "studio_sets",
    "bench_suite",
    "end_to_end",
    "readme",
    "exactness",
    "video",
    "diffusion_engine",
)
"""Files of tests that take longest, which begin first, lest one of them is all that is left in the end; before all two that need
no ready process, while the servers import."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session", autouse=True)
def garments_are_read_once() -> Iterator[None]:
    """Plans of renders in this process share what they find in one and the same picture, which takes a second each time."""
    from vidvton.render import plan

    read, known = plan.read_garment, {}

    def read_once(path: Path, category: str | None, settings):
        key = path.read_bytes() if path.is_file() else None, category, settings.limits.max_pixels
        if key not in known:  # what cannot be read raises, each time
            known[key] = read(path, category, settings)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "read_garment", read_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def whole_films_end_at_once() -> Iterator[None]:
    """Before a film's last frame the reader waits for damage that a thread may still find in it, hundreds of times in this suite.
    Films here are whole, but for those of test_hostile, where the reader waits as ever."""
    from vidvton.media import source

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_LAST_FRAME", 0.0)
        yield
