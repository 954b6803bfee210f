"""The command line in processes of their own that need not import anything: they are forked from a server that has, which
saves each of them four seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

_LOADED = ["vidvton.cli", "vidvton.render.video", "vidvton.render.warp_engine", "vidvton.people.mediapipe_pose"]
_LOADED += ["vidvton.train.loop", "vidvton.train.plan", "vidvton.train.preprocess", "vidvton.bench.jobs", "vidvton.studio"]
_LOADED += ["torch.distributed", "torch.distributed.tensor", "safetensors.torch"]


def serve() -> None:
    """Starts this process's server; it imports while the first tests run."""
    forkserver.set_forkserver_preload(_LOADED)
    forkserver.ensure_running()


def start(
    arguments: list[str],
    folder: Path,
    *,
    out: Path,
    err: Path,
    environment: Mapping[str, str] = {},
    before: Callable[[], None] | None = None,
) -> BaseProcess:
    """`vidvton ARGUMENTS` begun in `folder`, what it prints in the files `out` and `err`; `before` is called first, in it."""
    err.touch()
    process = get_context("forkserver").Process(target=_carry_out, args=(arguments, folder, out, err, dict(environment), before))
    process.start()
    return process


def run(arguments: list[str], folder: Path, *, seconds: float = 200, **given) -> subprocess.CompletedProcess:
    """`vidvton ARGUMENTS` carried out in `folder`, as `subprocess.run` gives it back."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept) / "out", Path(kept) / "err"
        process = start(arguments, folder, out=out, err=err, **given)
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, seconds)
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def _carry_out(arguments: list[str], folder: Path, out: Path, err: Path, environment: dict, before: Callable | None) -> None:
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["vidvton", *arguments]
    if before is not None:
        before()
    from vidvton.cli import main

    sys.exit(main(arguments))
