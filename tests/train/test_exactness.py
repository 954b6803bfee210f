"""A run is a function of its configuration: stopped, killed or shared among processes, the weights come out the same."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from crowd import run_together
from drawn_run import LIGHT, RUN, differing, run, tensors, write_run

from vidvton.train.checkpoint import find_newest
from vidvton.train.journal import read_journal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """(configuration, folder of a run that nothing disturbed)."""
    home = tmp_path_factory.mktemp("runs")
    config = write_run(home)
    run(config, home / "unbroken")
    return config, home / "unbroken"


def losses(out: Path) -> list[tuple[int, float]]:
    return [(r["step"], r["loss"]) for r in read_journal(out / "metrics.jsonl") if r["kind"] == "train"]


@pytest.mark.parametrize(
    "stops", [pytest.param((3,), marks=pytest.mark.slow), pytest.param((2,), marks=pytest.mark.slow), (1, 4)], ids=str
)
def test_stopped_and_started_again_gives_the_same_bits(unbroken, tmp_path, stops):
    config, whole = unbroken
    for step in stops:
        run(config, tmp_path / "run", until=step)
    said = run(config, tmp_path / "run")
    assert said[0].startswith(f"going on after step {stops[-1]} of 6")
    assert differing(tensors(whole), tensors(tmp_path / "run")) == []
    assert losses(whole) == losses(tmp_path / "run") and len(losses(whole)) == 6


def test_another_seed_gives_other_bits(unbroken, tmp_path):
    config, whole = unbroken
    other = config.with_name("other.yaml")
    other.write_text(LIGHT + "seed: 1\n")
    run(other, tmp_path / "run")
    assert len(differing(tensors(whole), tensors(tmp_path / "run"))) > 10


def test_workers_change_nothing(unbroken, tmp_path):
    config, whole = unbroken
    other = config.with_name("workers.yaml")
    other.write_text(RUN.replace("workers: 0", "workers: 2").replace("every: 1,", "every: 99,"))
    run(other, tmp_path / "run")
    assert differing(tensors(whole), tensors(tmp_path / "run")) == []


def test_a_damaged_newest_checkpoint_falls_back_says_so_and_ends_the_same(unbroken, tmp_path):
    config, whole = unbroken
    shutil.copytree(whole, tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    os.truncate(newest / "ema.safetensors", 64)
    said = run(config, tmp_path / "run")
    assert "skipping checkpoint step-00000006: ema.safetensors has 64 bytes" in said[0]
    assert "going on after step 5" in said[1]
    assert differing(tensors(whole), tensors(tmp_path / "run")) == []


def train_in_child(config: Path, out: Path) -> None:
    torch.set_num_threads(1)
    run(config, out)


def test_killed_three_times_the_weights_are_those_of_the_unbroken_run(unbroken, tmp_path):
    config, whole = unbroken
    context = multiprocessing.get_context("forkserver")
    chance = random.Random(3)
    for turn in range(20):
        child = context.Process(target=train_in_child, args=(config, tmp_path / "run"))
        child.start()
        if turn < 3:
            began, wanted = time.monotonic(), len(losses(tmp_path / "run")) + chance.randint(1, 2)
            while child.is_alive() and len(losses(tmp_path / "run")) < min(wanted, 5) and time.monotonic() - began < 60:
                time.sleep(0.01)
            time.sleep(chance.random() * 0.1)
            child.kill()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
    assert differing(tensors(whole), tensors(tmp_path / "run")) == []


def torchrun(processes: int, config: Path, out: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += ["-m", "vidvton", "train", str(config), "--out", str(out), "-q"]
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet | environment, timeout=220)


def largest_difference(first: dict, second: dict) -> float:
    assert first.keys() == second.keys()
    return max(float((first[n] - second[n]).abs().max()) for n in first if n.startswith(("model/", "ema/")))


def train_as_rank(rank: int, world: int, port: int, config: Path, out: Path) -> None:
    """What torchrun would start, in a process that has torch loaded."""
    where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in where.items()} | {"MASTER_ADDR": "127.0.0.1"})
    train_in_child(config, out)


def two_forked(config: Path, out: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    crowd = [context.Process(target=train_as_rank, args=(rank, 2, port, config, out)) for rank in (0, 1)]
    run_together(crowd, 200)


def two_launched(config: Path, out: Path) -> None:
    done = torchrun(2, config, out)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("start", [two_forked, pytest.param(two_launched, marks=pytest.mark.slow)])
def test_two_processes_train_what_one_does_up_to_rounding(unbroken, tmp_path, start):
    config, whole = unbroken
    start(config, tmp_path / "run")
    ours, theirs = tensors(whole), tensors(tmp_path / "run")
    assert largest_difference(ours, theirs) < 1e-6
    state = json.loads((find_newest(tmp_path / "run" / "checkpoints")[0] / "state.json").read_text())
    assert state["processes"] == 2
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    for (_, one), (_, two) in zip(losses(whole), losses(tmp_path / "run")):
        assert one == pytest.approx(two, rel=1e-4)


def test_a_run_goes_on_with_its_share_worked_off_in_other_parts(unbroken, tmp_path):
    config, whole = unbroken
    run(config, tmp_path / "run", until=3)
    parts = config.with_name("parts.yaml")
    parts.write_text(RUN.replace("accumulate: 2", "accumulate: 1").replace("temporal_halving", "accumulate: 4, temporal_halving"))
    said = run(parts, tmp_path / "run")
    assert said[0].startswith("going on after step 3")
    assert largest_difference(tensors(whole), tensors(tmp_path / "run")) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_accelerate_launches_its_shipped_configurations(unbroken, tmp_path, name):
    """configs/train/accelerate/*.yaml with two processes in place of eight; without a GPU they meet over gloo."""
    config, whole = unbroken
    shipped = ROOT / "configs" / "train" / "accelerate" / f"{name}.yaml"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(shipped), "--num_processes", "2"]
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [*command, "-m", "vidvton", "train", str(config), "--out", str(tmp_path / "run"), "-q"],
        capture_output=True, text=True, env=os.environ | quiet, timeout=220,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    newest = tmp_path / "run" / "checkpoints" / "step-00000006"
    assert json.loads((newest / "state.json").read_text())["processes"] == 2
    assert len(list(newest.glob("model-*-of-00002.safetensors"))) == (2 if name == "fsdp" else 0)
    assert largest_difference(tensors(whole), tensors(tmp_path / "run")) < 2e-5


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_up_to_rounding(tmp_path):
    first = RUN[: RUN.index("  - {name: halved")].replace("accumulate: 2", "accumulate: 1")
    for name, text in (("plain", first), ("compiled", first + "compile: true\n")):
        run(write_run(tmp_path / name, text), tmp_path / name / "run")
    plain, compiled = (tmp_path / name / "run" for name in ("plain", "compiled"))
    assert largest_difference(tensors(plain), tensors(compiled)) < 1e-4
    for (_, one), (_, two) in zip(losses(plain), losses(compiled)):
        assert one == pytest.approx(two, rel=1e-3)


@pytest.mark.slow
def test_weights_split_over_two_processes_go_on_in_one_and_in_two(unbroken, tmp_path):
    config, whole = unbroken
    short = config.with_name("short.yaml")
    short.write_text(RUN.replace("save: {every: 1, keep: 2}", "save: {every: 1, keep: 99}"))
    done = torchrun(2, short, tmp_path / "run", ACCELERATE_USE_FSDP="true")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / "run" / "checkpoints" / "step-00000006").glob("model-*-of-00002.safetensors"))) == 2
    assert largest_difference(tensors(whole), tensors(tmp_path / "run")) < 2e-5
    for processes in ("one", "two"):
        shutil.copytree(tmp_path / "run", tmp_path / processes)
        for folder in sorted((tmp_path / processes / "checkpoints").iterdir())[3:]:
            shutil.rmtree(folder)  # go on after step 3, in the middle of a stage
        assert find_newest(tmp_path / processes / "checkpoints")[0].name == "step-00000003"
    said = run(short, tmp_path / "one")  # one process, from two processes' pieces
    assert said[0].startswith("going on after step 3")
    assert largest_difference(tensors(whole), tensors(tmp_path / "one")) < 2e-5
    again = torchrun(2, short, tmp_path / "two", ACCELERATE_USE_FSDP="true")
    assert again.returncode == 0, again.stderr[-2000:]
    for name in ("one", "two"):
        assert losses(tmp_path / name)[:3] == losses(tmp_path / "run")[:3] and len(losses(tmp_path / name)) == 6
    assert differing(tensors(tmp_path / "run"), tensors(tmp_path / "two")) == []


def last_step(out: Path) -> int:
    done = losses(out) if (out / "metrics.jsonl").exists() else []
    return done[-1][0] if done else 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_points_of_a_run(tmp_path):
    """The command itself: one run of 132 steps, killed after 20 random ones of them (while it trains, looks, saves, prunes,
    exports a stage's model), and 4 times more while it starts; every start trains on, and what is compared is that very run."""
    config = write_run(tmp_path, RUN.replace("steps: 2", "steps: 44").replace("every: 1,", "every: 2,"))
    run(config, tmp_path / "unbroken")
    out, chance = tmp_path / "run", random.Random(0)
    command = [sys.executable, "-m", "vidvton", "train", str(config), "--out", str(out), "-q"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    killed_after = []
    for turn, wanted in enumerate(sorted(chance.sample(range(1, 101), 20))):
        if turn % 5 == 4:
            child = start()
            time.sleep(chance.uniform(0.2, 2.0))
            child.kill()
            child.communicate()
        before = last_step(out)
        child = start()
        while child.poll() is None and last_step(out) < max(wanted, before + 1):  # it has started, and trained itself
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        child.kill()
        said = child.communicate()[1]
        assert child.returncode == -signal.SIGKILL, f"through before kill {turn + 1}: {said}"
        killed_after.append(last_step(out))
    print("killed after steps", killed_after)
    assert len(killed_after) == 20 and all(any(a < step <= a + 44 for step in killed_after) for a in (0, 44, 88))
    child = start()
    said = child.communicate()[1]
    assert child.returncode == 0, said
    assert differing(tensors(tmp_path / "unbroken"), tensors(out)) == []
    assert losses(tmp_path / "unbroken") == losses(out) and len(losses(out)) == 132
    card = json.loads((out / "model" / "model_card.json").read_text())
    assert card["position"]["step"] == 132
