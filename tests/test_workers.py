"""Worker processes end with the process they work for, however that one was started."""

from __future__ import annotations

import multiprocessing
import os
import time

import ready

from vidvton.workers import fork_workers

_kept = []


def leave_workers_open(path: str) -> None:
    pool = fork_workers(2)
    _kept.append(pool)  # still there when the process ends
    with open(path, "w") as file:
        file.write(" ".join(str(pool.submit(os.getpid).result()) for _ in range(2)))


def test_a_process_of_multiprocessing_ends_though_its_workers_were_left_open(tmp_path):
    ready.serve()
    process = multiprocessing.get_context("forkserver").Process(target=leave_workers_open, args=(str(tmp_path / "pids"),))
    process.start()
    process.join(60)
    alive = process.is_alive()
    process.kill()
    assert not alive and process.exitcode == 0
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        for _ in range(100):
            if not os.path.exists(f"/proc/{pid}"):
                break
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{pid}")
