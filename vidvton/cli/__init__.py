"""The command line: parse, call, exit code. Heavy imports stand inside the commands, so that help is quick."""

from . import render, garment, synth, prepare, model, tune, train, bench, doctor  # noqa: F401, I001  (the order of the help)
from .shell import app, explain, main

__all__ = ["app", "explain", "main"]
