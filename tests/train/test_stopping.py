"""Told to stop, a run finishes its step, saves it, and goes on from there to the weights of a run that was never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawn_run import RUN, differing, run, tensors, write_run

from vidvton import cli
from vidvton.train import loop, stopping
from vidvton.train.checkpoint import find_newest, steps_in
from vidvton.train.journal import read_journal
from vidvton.train.stopping import StopWatch

ROOT = Path(__file__).resolve().parents[2]
SELDOM = (
    RUN.replace("save: {every: 1, keep: 2}", "save: {every: 99}")
    .replace("validation: [held], ", "")
    .split("  - {name: halved")[0]
)


def test_signals_wait_and_later_ones_do_not(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with StopWatch() as stop:
        assert not stop.asked
        for number in (signal.SIGTERM, signal.SIGINT):  # as torchrun and a terminal send them together
            os.kill(os.getpid(), number)
            assert stop.asked
        monkeypatch.setattr(stopping, "PATIENCE", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stopped_run_has_saved_its_step_and_goes_on_to_the_same_bits(tmp_path, capsys, monkeypatch):
    config, out = write_run(tmp_path, SELDOM), tmp_path / "run"
    honest, calls = loop.loss_terms, []

    def signalled(*given, **settings):
        calls.append(0)
        if len(calls) == 3:  # the first of two parts of the third step, in the middle of a stage
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(*given, **settings)

    with monkeypatch.context() as told:
        told.setattr(loop, "loss_terms", signalled)
        command = ["train", str(config), "--out", str(out), "-q"]
        assert cli.main(command) == 130
    said = capsys.readouterr().err.strip()
    assert said == "vidvton: stopped after step 3, which is saved; the same command goes on from there", said
    assert sorted(steps_in(out / "checkpoints")) == [2, 3] and len(calls) == 4
    assert cli.main(command) == 0
    run(config, tmp_path / "unbroken")
    assert differing(tensors(tmp_path / "unbroken"), tensors(out)) == []


@pytest.mark.slow
def test_torchrun_told_to_stop_stops_both_processes_saved_and_they_go_on(tmp_path):
    """The agent is told, as by Slurm; it tells both processes, which are in different places then."""
    config, out = write_run(tmp_path, SELDOM.replace("steps: 2", "steps: 30")), tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vidvton", "train"]
    command += [str(config), "--out", str(out), "-q"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while len(read_journal(out / "metrics.jsonl")) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.terminate()
    said = child.communicate(timeout=100)[1]
    newest, notes = find_newest(out / "checkpoints")
    assert newest is not None and not notes, said
    step = int(newest.name[5:])
    assert 7 <= step < 60 and said.count(f"stopped after step {step}, which is saved") == 1, said
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run(config, tmp_path / "unbroken")
    ours, theirs = tensors(tmp_path / "unbroken"), tensors(out)
    assert max(float((ours[n] - theirs[n]).abs().max()) for n in ours if n.startswith(("model/", "ema/"))) < 1e-5
