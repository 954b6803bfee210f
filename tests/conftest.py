"""One thread a process: the suite runs in two processes on two cores, in which threads of both would wait for one another; and
training is exact to the bit only for an equal number of threads."""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
