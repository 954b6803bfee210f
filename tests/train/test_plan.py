"""What a run is held to before it begins: every check of --dry-run, its data by what they hold, the weights it starts from."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import torch
from drawn_run import MODEL, RUN, differing, run, tensors, write_run
from safetensors.torch import save_file

from vidvton import cli
from vidvton.config import parse_config
from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.config import ModelConfig
from vidvton.train.config import read_train_config
from vidvton.train.export import export_model
from vidvton.train.network import check_same_model
from vidvton.train.perceptual import Features
from vidvton.train.plan import check_plan, check_start, open_plan, read_plan
from vidvton.train.run_folder import check_data, check_run
from vidvton.train.start import find_start, read_settings, read_weights

ONE_STAGE = RUN.split("  - {name: video")[0]
LINE = "data: {train: [train], validation: [held], workers: 0}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a network, sets, the configuration of one short stage, and a run of it in `done`."""
    folder = tmp_path_factory.mktemp("home")
    run(write_run(folder, ONE_STAGE), folder / "done")
    return folder


@pytest.fixture(scope="module")
def whole(home):
    """(configuration, folder) of a run one step longer than `done`, whole from the start."""
    path = home / "longer.yaml"
    path.write_text(ONE_STAGE.replace("validation: [held], ", "").replace("steps: 2}", "steps: 3}").replace("keep: 2", "keep: 9"))
    run(path, home / "whole")
    return path, home / "whole"


def text(home, changed: str, *, head: str = ""):
    path = home / "changed.yaml"
    path.write_text(head + changed)
    return path


def opened(path, *, world_size: int = 1):
    config, model = read_plan(path)
    return open_plan(config, model, world_size=world_size)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("train: [train]", "train: [nowhere]", ["no folder", "nowhere"]),
        ("validation: [held]", "validation: [nowhere]", ["no folder", "nowhere"]),
        ("frames: 8, size", "frames: 9, size", ["data.train", "'halved'", "has 8"]),
        ("images: 0.5, accumulate: 2", "images: 1.0, image_batch: 3", ["'video' has a batch of 3", "2 processes x 1"]),
        ("loss: {temporal: 0.5}", "loss: {perceptual: 0.5, perceptual_weights: no.safetensors}", ["/no.safetensors cannot be"]),
        ("validation: [held]", "validation: [train]", ["data.validation", "trained on"]),
        ("validation: [held]", "held_out: 0.01", ["data.held_out 0.01 takes 0 of 5 clips and leaves 5"]),
        ("validation: [held]", "validation: [held], held_out: 0.5", ["held_out takes its clips from train"]),
    ],
)
def test_a_dry_run_makes_every_check_and_writes_nothing(home, capsys, monkeypatch, tmp_path, old, new, words):
    assert old in RUN
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = text(home, RUN.replace(old, new, 1))
    before = sorted(home.rglob("*"))
    assert cli.main(["train", str(config), "--out", str(tmp_path / "run"), "--dry-run"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and all(word in said for word in words), said
    assert not (tmp_path / "run").exists() and sorted(home.rglob("*")) == before


def test_what_stands_is_checked_before_the_studio_makes_the_rest(home):
    studio = RUN.replace(LINE, "data: {studio: {folder: made, frames: 8}, images: [train]}")
    config, model = read_plan(text(home, studio))
    assert check_plan(config, model, world_size=1) is None and not (home / "made").exists()
    config, model = read_plan(text(home, studio.replace("images: [train]", "images: [nowhere]")))
    with pytest.raises(MisuseError, match="no folder .*nowhere"):
        check_plan(config, model, world_size=1)
    config, model = read_plan(text(home, studio.replace("frames: 8}", "frames: 6}")))
    with pytest.raises(MisuseError, match="makes clips of 6 frames, and a stage trains on 8"):
        check_plan(config, model, world_size=1)


def test_a_held_out_share_is_looked_at_and_never_trained_on(home):
    plan = opened(text(home, ONE_STAGE.replace("validation: [held]", "images: [train], held_out: 0.5")))
    groups = [
        {stored.facts["group"] for _, stored in data.entries} for data in (plan.sets.clips, plan.sets.images, plan.held_out)
    ]
    assert groups[0] == groups[1] and groups[0].isdisjoint(groups[2]) and len(groups[0] | groups[2]) == 5
    assert groups == [
        {stored.facts["group"] for _, stored in data.entries}
        for again in [opened(home / "changed.yaml")]
        for data in (again.sets.clips, again.sets.images, again.held_out)
    ]


def test_perceptual_weights_lie_beside_the_configuration_and_are_loaded_when_it_is_opened(home):
    save_file({name: value.contiguous() for name, value in Features().state_dict().items()}, home / "vgg.safetensors")
    words = "loss: {perceptual: 0.1, perceptual_weights: vgg.safetensors}"
    config = text(home, RUN.replace("loss: {temporal: 0.5}", words))
    weights = read_train_config(config).stages[2].loss.perceptual_weights
    assert weights == str(home / "vgg.safetensors")
    assert list(opened(config).features) == [weights]
    assert opened(home / "run.yaml").features == {}


def settings(**changes) -> ModelConfig:
    return parse_config(MODEL, ModelConfig, name="model").model_copy(update=changes)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({}, {"prediction": "x0"}, "prediction was v, is x0"),
        ({}, {"head_width": 8}, "head_width was 16, is 8"),
        ({"temporal": False}, {"hint_residual": True, "prediction": "x0"}, "prediction was v, is x0; hint_residual was False"),
        ({}, {"temporal": False}, "temporal was True, is False"),
        ({"temporal_stride": 2}, {}, "temporal_stride was 2, is 1"),
    ],
)
def test_another_model_is_told_by_its_settings_even_where_the_shapes_agree(before, now, words):
    with pytest.raises(MisuseError, match=f"start is a checkpoint of another model .{words}"):
        check_same_model(settings(**before), settings(**now), "start")


def test_sizes_frames_and_new_temporal_layers_make_no_other_model():
    check_same_model(settings(), settings(size=(64, 64), frames=16, temporal_stride=2), "start")
    check_same_model(settings(temporal=False), settings(temporal_ratio=0.25, temporal_stride=2), "start")


def test_another_model_to_start_from_is_found_when_the_plan_is_opened(home, tmp_path):
    (home / "x0.yaml").write_text(MODEL + "prediction: x0\n")
    other = ONE_STAGE.replace("model: model.yaml", f"model: x0.yaml\nstart_from: {home / 'done' / 'model'}")
    with pytest.raises(MisuseError, match="done/model is a checkpoint of another model .prediction was v, is x0"):
        check_start(*read_plan(text(home, other)))
    shutil.copytree(home / "done" / "checkpoints", tmp_path / "run" / "checkpoints")  # of a run whose settings nobody kept
    (tmp_path / "run" / "vidvton-train.lock").touch()
    with pytest.raises(MisuseError, match="step-00000002 is a checkpoint of another model .prediction was v, is x0"):
        longer = other.replace("steps: 2}", "steps: 3}").replace(f"start_from: {home / 'done' / 'model'}\n", "")
        run(text(home, longer), tmp_path / "run")


def test_weights_to_start_from_are_a_model_a_checkpoint_or_the_newest_of_a_runs(home, capsys, tmp_path):
    newest = home / "done" / "checkpoints" / "step-00000002"
    assert find_start(home / "done" / "model") == home / "done" / "model"
    assert find_start(home / "done" / "checkpoints") == find_start(newest) == newest
    assert not read_settings(newest).temporal
    ours, exported = read_weights(newest), read_weights(home / "done" / "model")
    assert ours.keys() == exported.keys() and all(torch.equal(ours[name], exported[name]) for name in ours)
    begun = text(home, ONE_STAGE.replace("rate: 1.0e-2", "rate: 1.0e-30"), head=f"start_from: {newest.parent}\n")
    run(begun, tmp_path / "run")
    after = tensors(tmp_path / "run")
    assert all(torch.equal(after[f"model/{name}"], ours[name]) for name in ours)
    damaged = tmp_path / "checkpoints" / "step-00000002"
    shutil.copytree(newest, damaged)
    (damaged / "ema.safetensors").unlink()
    for path in (damaged, damaged.parent):
        with pytest.raises(VidvtonError, match="ema.safetensors is missing.*give another"):
            find_start(path)
    command = ["train", str(text(home, ONE_STAGE, head="start_from: gone\n")), "--out", str(tmp_path / "other"), "--dry-run"]
    assert cli.main(command) == 2 and "gone, which is no model folder" in capsys.readouterr().err
    shutil.copytree(home / "done" / "checkpoints", tmp_path / "other" / "checkpoints")  # begun: its start is behind it
    (tmp_path / "other" / "vidvton-train.lock").touch()
    assert cli.main(command) == 0
    with pytest.raises(MisuseError, match="names the run .*done; give .*model or .*checkpoints"):
        find_start(home / "done")


def test_a_run_goes_on_with_the_same_data_wherever_they_lie_and_with_no_other(home, tmp_path):
    shutil.copytree(home / "done", tmp_path / "run")
    shutil.copytree(home / "train", tmp_path / "moved")
    (home / "model.yaml").rename(home / "renamed.yaml")
    moved = ONE_STAGE.replace("[train]", f"[{tmp_path / 'moved'}]").replace("model: model.yaml", "model: renamed.yaml")
    config, model = read_plan(text(home, moved))
    (home / "renamed.yaml").rename(home / "model.yaml")
    plan = open_plan(config, model, world_size=1)
    check_run(tmp_path / "run", config, model)
    assert check_data(tmp_path / "run", plan.record) == []
    other = opened(text(home, ONE_STAGE.replace("[train]", "[held]").replace("[held], workers", "[train], workers")))
    with pytest.raises(
        MisuseError, match="run was begun with other data .data.train.0 was .*train with index .*, is .*held with"
    ):
        check_data(tmp_path / "run", other.record)
    two = opened(text(home, ONE_STAGE.replace("[train]", "[train, held]").replace("validation: [held], ", "")))
    with pytest.raises(MisuseError, match="data.train had 1 sets, has 2"):
        check_data(tmp_path / "run", two.record)
    record = dict(plan.record, validation=[{"folder": "elsewhere", "index": "0" * 64}])
    assert "do not compare with the earlier ones" in check_data(tmp_path / "run", record)[0]


def test_data_changed_under_a_run_stop_it(home, capsys, tmp_path):
    folder = shutil.copytree(home / "train", tmp_path / "set")
    config = text(home, ONE_STAGE.replace("[train]", f"[{folder}]"))
    run(config, tmp_path / "run")
    index = json.loads((folder / "index.json").read_text())
    index["samples"].pop()
    (folder / "index.json").write_text(json.dumps(index))
    config.write_text(config.read_text().replace("steps: 2}", "steps: 3}"))
    for word in ("--dry-run", "-q"):
        assert cli.main(["train", str(config), "--out", str(tmp_path / "run"), word]) == 2
        assert "was begun with other data (data.train.0 was" in capsys.readouterr().err


def test_a_start_that_fails_before_its_first_step_binds_nobody(home, tmp_path, monkeypatch):
    from vidvton.train import loop

    with monkeypatch.context() as broken:
        broken.setattr(loop, "loss_terms", lambda *given, **settings: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(home / "run.yaml", tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.yaml")) and not (tmp_path / "run" / "data.json").exists()
    run(text(home, ONE_STAGE.replace("rate: 1.0e-2", "rate: 2.0e-2")), tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").glob("*.yaml")) == ["config.yaml", "model.yaml"]


def test_a_finished_run_made_longer_is_the_run_that_was_long_from_the_start(home, whole, tmp_path):
    shutil.copytree(home / "done", tmp_path / "run")
    said = run(whole[0], tmp_path / "run")
    assert said[1].startswith("going on after step 2 of 3")
    assert differing(tensors(whole[1]), tensors(tmp_path / "run")) == []
    config, model = read_plan(home / "run.yaml")
    with pytest.raises(MisuseError, match="stages.0.steps was 3, is 2"):
        check_run(tmp_path / "run", config, model)
    config, model = read_plan(text(home, ONE_STAGE.replace("steps: 2}", "steps: 4, decay: cosine}")))
    with pytest.raises(MisuseError, match="stages.0.decay was constant"):
        check_run(tmp_path / "run", config, model)


def test_checkpoints_of_which_none_verifies_are_no_secret(home, tmp_path):
    shutil.copytree(home / "done", tmp_path / "run")
    for folder in (tmp_path / "run" / "checkpoints").iterdir():
        (folder / "manifest.json").unlink()
    said = run(home / "run.yaml", tmp_path / "run")
    assert said[2].startswith("none of the 2 checkpoints in") and "beginning again from nothing" in said[2]


def test_a_run_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(home, whole, capsys, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(p.stat().st_size for p in (home / "done" / "checkpoints" / "step-00000002").iterdir())
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={int(2.5 * size)}", "tmpfs", str(disk)]
    if subprocess.run(mounting, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        assert cli.main(["train", str(whole[0]), "--out", str(disk / "run"), "-q"]) == 1
        said = capsys.readouterr().err.strip()
        assert "the disk is full" in said and "the checkpoint of step 2 stands" in said and "\n" not in said, said
        subprocess.run(["mount", "-o", f"remount,size={20 * size}", str(disk)], check=True)
        assert cli.main(["train", str(whole[0]), "--out", str(disk / "run"), "-q"]) == 0
        assert differing(tensors(whole[1]), tensors(disk / "run")) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_model_that_cannot_be_written_is_a_sentence(home, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    newest = home / "done" / "checkpoints" / "step-00000002"
    with pytest.raises(VidvtonError, match="file/model could not be written .*checkpoint of step 2 stands"):
        export_model(newest, opened(home / "run.yaml"), tmp_path / "file" / "model")
