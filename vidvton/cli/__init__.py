"""The command line: parse, call, exit code. Heavy imports stand inside the commands, so that help is quick."""

from . import render, garment, synth, prepare, model, train, bench, doctor  # noqa: F401, I001  (in the order the help lists them)
from .shell import app, explain, main

__all__ = ["app", "explain", "main"]
