"""Kept memory: large blocks come back without the kernel clearing their pages again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import resource, sys
from vidvton.allocator import keep_memory
kept = keep_memory() if sys.argv[1] == "keep" else None
import numpy
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        numpy.ones(32 << 20, dtype=numpy.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""


def run(word: str) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", CODE, word], capture_output=True, text=True, cwd=ROOT, check=True)
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_large_blocks_are_kept_when_asked_for():
    (_, fresh), (kept, again) = run("leave"), run("keep")
    if kept != "True":
        pytest.skip("another libc than glibc")
    assert again < 50 and fresh > 10 * max(again, 1), (fresh, again)
