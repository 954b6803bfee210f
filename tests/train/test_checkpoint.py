"""Checkpoints are whole or absent, the newest that verifies is found, and any number of processes reads what any number wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pytest
import torch
from torch import nn

from vidvton.errors import VidvtonError
from vidvton.train.checkpoint import TensorFile, find_newest, folder_of, prune, read_facts, save_checkpoint, verify
from vidvton.train.journal import Journal, read_journal
from vidvton.train.processes import Processes
from vidvton.train.stopping import StopWatch


def tensors(seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    made = torch.Generator().manual_seed(seed)
    weights = {"a.weight": torch.randn(5, 3, generator=made), "a.bias": torch.randn(5, generator=made).bfloat16()}
    return {"model": weights, "optimizer": {"a.weight/step": torch.tensor(7.0)}}


def save(root, step, seed=0):
    return save_checkpoint(root, step, tensors(seed), {"seed": seed}, Processes())


def test_what_is_saved_is_read_back(tmp_path):
    folder = save(tmp_path, 12)
    assert folder == folder_of(tmp_path, 12) and verify(folder) is None
    assert read_facts(folder)["step"] == 12 and read_facts(folder)["seed"] == 0
    for stem, named in tensors().items():
        stored = TensorFile(folder, stem)
        assert stored.names() == sorted(named)
        for name, tensor in named.items():
            assert torch.equal(stored.whole(name), tensor) and stored.whole(name).dtype == tensor.dtype
    assert torch.equal(TensorFile(folder, "model").rows("a.weight", 1, 4), tensors()["model"]["a.weight"][1:4])
    with pytest.raises(ValueError, match=r"a.weight has shape \[5, 3\], expected \[3, 5\]"):
        TensorFile(folder, "model").into("a.weight", torch.zeros(3, 5))
    assert sorted(p.name for p in tmp_path.iterdir()) == [folder.name]


DAMAGES = {
    "cut": (lambda p: os.truncate(p / "model.safetensors", 100), "has 100 bytes"),
    "flipped": (lambda p: flip(p / "model.safetensors"), "hash"),
    "gone": (lambda p: (p / "optimizer.safetensors").unlink(), "optimizer.safetensors is missing"),
    "state": (lambda p: (p / "state.json").write_text("{}"), "state.json has 2 bytes"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "no manifest"),
    "half a manifest": (lambda p: os.truncate(p / "manifest.json", 50), "cannot be read"),
    "another manifest": (lambda p: swap(p / "manifest.json", '"bytes": ', '"bytes": 1'), "damaged"),
    "nonsense": (lambda p: (p / "manifest.json").write_text("[1]"), "cannot be read"),
}


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


def swap(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("word", DAMAGES)
def test_a_damaged_newest_falls_back_to_the_newest_that_verifies(tmp_path, word):
    for step in (5, 10, 15):
        save(tmp_path, step, seed=step)
    damage, expected = DAMAGES[word]
    damage(folder_of(tmp_path, 15))
    found, notes = find_newest(tmp_path)
    assert found == folder_of(tmp_path, 10)
    assert len(notes) == 1 and "step-00000015" in notes[0] and expected in notes[0]
    assert verify(save(tmp_path, 15, seed=3)) is None  # and the damaged one can be replaced


def test_nothing_to_find(tmp_path):
    assert find_newest(tmp_path / "none") == (None, [])
    (tmp_path / ".step-00000001.part").mkdir()
    assert find_newest(tmp_path) == (None, [])


def test_pruning_keeps_the_newest_the_asked_for_and_never_what_was_just_written(tmp_path):
    for step in (5, 10, 15, 20, 90):  # 90 is damaged and from before a fall back
        save(tmp_path, step)
    (folder_of(tmp_path, 90) / "model.safetensors").unlink()
    (tmp_path / ".step-00000021.part").mkdir()
    prune(tmp_path, 20, keep=2, also=[5, 95])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000005", "step-00000015", "step-00000020"]


def test_a_full_disk_while_saving_keeps_the_last_good_one(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        save(disk, 5)
        large = {"model": {"weight": torch.zeros(1 << 19)}}
        with pytest.raises(VidvtonError, match="disk is full .* step 10 .* checkpoint of step 5 stands.*same command"):
            save_checkpoint(disk, 10, large, {}, Processes())
        assert [p.name for p in disk.iterdir()] == ["step-00000005"]
        assert find_newest(disk) == (folder_of(disk, 5), [])
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(VidvtonError, match="no earlier checkpoint stands"):
        save(tmp_path / "root", 5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 7), nn.SiLU(), nn.Linear(7, 5))


def write_sharded(rank, count, root):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    sharded = network()
    fully_shard(sharded)
    sharded.load_state_dict(sharded.state_dict())
    named = dict(sharded.named_parameters())
    assert all(isinstance(value, DTensor) for value in named.values())
    facts = {"plain": torch.tensor(3.0)}
    save_checkpoint(root, 1, {"model": named, "optimizer": facts}, {}, Processes(rank, count))


def read_sharded(rank, count, root):
    from torch.distributed.fsdp import fully_shard

    sharded = network()
    with torch.no_grad():
        for value in sharded.parameters():
            value.zero_()
    fully_shard(sharded)
    stored = TensorFile(folder_of(root, 1), "model")
    for name, value in sharded.named_parameters():
        stored.into(name, value)
    whole = {name: value.full_tensor() for name, value in sharded.named_parameters()}
    for name, value in network().named_parameters():
        assert torch.equal(whole[name], value), name


def test_two_processes_shards_are_read_by_one_two_and_three(tmp_path, gloo):
    gloo(write_sharded, 2, tmp_path)
    folder = folder_of(tmp_path, 1)
    assert verify(folder) is None
    names = sorted(p.name for p in folder.glob("*.safetensors"))
    assert names == ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors", "optimizer.safetensors"]
    stored = TensorFile(folder, "model")
    for name, value in network().named_parameters():
        assert torch.equal(stored.whole(name), value)
    gloo(read_sharded, 2, tmp_path)
    gloo(read_sharded, 3, tmp_path)


def failing_second(rank, count, root):
    # The second process alone finds its place gone: both must hear of it, and nothing may get the final name.
    if rank == 1:
        import vidvton.train.checkpoint as checkpoint

        def full(*arguments, **settings):
            raise OSError(28, "No space left on device")

        checkpoint.save_file = full
    from torch.distributed.fsdp import fully_shard

    sharded = network()
    fully_shard(sharded)
    with pytest.raises(VidvtonError, match="disk is full" if rank == 1 else "another process"):
        save_checkpoint(root, 1, {"model": dict(sharded.named_parameters())}, {}, Processes(rank, count))


def test_one_process_that_cannot_write_stops_all(tmp_path, gloo):
    root = tmp_path / "root"
    gloo(failing_second, 2, root)
    assert not list(root.iterdir())


def told_alone(rank, count):
    processes, steps = Processes(rank, count), 0
    with StopWatch() as stop:
        for step in range(9):
            steps += 1
            if rank == 1 and step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            if not processes.all_agree(not stop.asked):
                break
    assert steps == 5


def test_one_process_that_is_told_stops_all_at_one_step(gloo):
    gloo(told_alone, 2)


def test_the_journal_forgets_steps_that_will_be_done_again_and_survives_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path, 0)
    for step in (1, 2, 3):
        journal.write(step, "train", {"loss": float("nan") if step == 2 else step / 2, "levels": {0.5: 1.0}})
    with open(path, "a") as file:
        file.write('{"step": 4, "lo')
    assert [r["step"] for r in read_journal(path)] == [1, 2, 3]
    Journal(path, 2).write(3, "train", {"loss": 9.0})
    records = read_journal(path)
    assert [(r["step"], r["loss"]) for r in records] == [(1, 0.5), (2, None), (3, 9.0)]
    assert records[0]["levels"] == {"0.5": 1.0}
    assert all(json.loads(line) for line in path.read_text().splitlines())
    shutil.rmtree(tmp_path)
