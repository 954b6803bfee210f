"""Arrays on disk: whole, or nothing of them and no more than one complaint."""

import gc
import resource
import signal
import sys
import threading

import numpy as np
import pytest

from vidvton.whole import open_arrays, write_arrays


def test_arrays_come_back(tmp_path):
    write_arrays(tmp_path / "a.npz", {"x": np.arange(5), "y": np.ones((2, 3), bool)})
    with open_arrays(tmp_path / "a.npz") as stored:
        assert np.array_equal(stored["x"], np.arange(5)) and stored["y"].shape == (2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_what_does_not_fit_leaves_what_was_there_and_nothing_on_stderr(tmp_path, capfd):
    write_arrays(tmp_path / "a.npz", {"x": np.zeros(3)})
    before = (tmp_path / "a.npz").read_bytes()
    limit, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(OSError):
            write_arrays(tmp_path / "a.npz", {"x": np.random.default_rng(0).random(100_000)})
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"] and (tmp_path / "a.npz").read_bytes() == before
    assert capfd.readouterr().err == ""


def test_many_threads_read_while_the_garbage_collector_runs_python_code(tmp_path):
    """As hypothesis and jax make it do: Python 3.11's parser, which numpy asks for the headers, minds."""
    write_arrays(tmp_path / "a.npz", {f"x{k}": np.zeros(10, np.int64) for k in range(12)})
    failed, interval, threshold = [], sys.getswitchinterval(), gc.get_threshold()

    def read() -> None:
        try:
            for _ in range(30):
                with open_arrays(tmp_path / "a.npz") as stored:
                    assert all(len(stored[name]) == 10 for name in stored)
        except BaseException as problem:
            failed.append(problem)

    busy = lambda *_: sum(range(50))  # noqa: E731
    gc.callbacks.append(busy)
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    try:
        crowd = [threading.Thread(target=read) for _ in range(4)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    finally:
        gc.callbacks.remove(busy)
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
    assert failed == []
