"""The command line: parse, call, exit code. Heavy imports stand inside the commands, so that help is quick."""

import os

# NumPy's matrix products are small here: a second BLAS thread only spins, on the core that another of our processes needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from . import render, garment, synth, prepare, model, tune, train, bench, doctor  # noqa: F401, I001  (the order of the help)
from .shell import app, explain, main

__all__ = ["app", "explain", "main"]
