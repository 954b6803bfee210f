"""Training configurations: defaults fill stages, doubtful ones are one sentence, and a changed run names the changed keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vidvton.config import parse_config, write_config
from vidvton.errors import MisuseError
from vidvton.train.config import TrainConfig, differing_keys, read_train_config, share_out
from vidvton.train.plan import check_batches, describe_plan, read_plan

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "configs" / "train").glob("*.yaml"))

TEXT = """
model: ../model/tiny.yaml
data: {train: [sets/train], validation: [sets/held], workers: 0}
defaults: {batch: 8, rate: 2.0e-4, dropout: {person: 0.2}, loss: {region: 3.0, min_snr: 0.0}}
stages:
  - {name: image, frames: 1, size: [64, 48], steps: 10}
  - {name: video, frames: 8, size: [64, 48], steps: 20, batch: 4, loss: {min_snr: 2.0}, temporal_first: 5}
"""


def parse(text: str) -> TrainConfig:
    return parse_config(text, TrainConfig, name="run.yaml")


def test_stages_take_from_the_defaults_what_they_leave_out():
    first, second = parse(TEXT).stages
    assert (first.batch, second.batch) == (8, 4)
    assert first.rate == second.rate == 2e-4
    assert second.dropout.shares() == (0.2, 0.1, 0.1)
    assert (second.loss.min_snr, second.loss.region, first.loss.min_snr) == (2.0, 3.0, 0.0)
    assert parse(TEXT).total_steps == 30


def test_a_written_configuration_reads_back_equal():
    config = parse(TEXT)
    assert parse(write_config(config)).model_dump() == config.model_dump()


def test_paths_are_taken_from_the_files_own_folder(tmp_path):
    home = tmp_path / "configs"
    home.mkdir()
    (home / "run.yaml").write_text(TEXT)
    config = read_train_config(home / "run.yaml")
    assert config.model == str(home / "../model/tiny.yaml")
    assert config.data.train == (str(home / "sets/train"),)
    assert config.start_from is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("defaults: {batch: 8", "defaults: {bach: 8", ["'defaults.bach'", "'batch'"]),
        ("steps: 10", "step: 10", ["'stages.0.step'", "'steps'"]),
        ("rate: 2.0e-4", "rate: 2e-4", ["defaults.rate", "write 0.0002"]),
        ("frames: 8", "frames: 0", ["stages.1.frames"]),
        ("frames: 8", "frames: 1", ["video", "nothing temporal"]),
        ("name: video", "name: image", ["two stages", "'image'"]),
        ("size: [64, 48], steps: 10", "size: [64, 4], steps: 10", ["stages.0.size", "height, width"]),
        ("batch: 4", "batch: 5, accumulate: 2", ["batch 5", "accumulate 2"]),
        ("data: {train: [sets/train],", "data: {", ["data", "train", "studio"]),
        ("min_snr: 2.0", "perceptual: 1.0", ["perceptual_weights"]),
        ("model: ../model/tiny.yaml", "", ["'model' is missing"]),
    ],
)
def test_what_is_doubtful_is_one_sentence(old, new, words):
    assert old in TEXT
    with pytest.raises(MisuseError) as caught:
        parse(TEXT.replace(old, new))
    for word in words:
        assert word in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


def test_differing_keys_are_named_and_harmless_ones_are_not():
    before = parse(TEXT).model_dump(mode="json")
    now = parse(TEXT.replace("batch: 4", "batch: 2").replace("workers: 0", "workers: 2") + "seed: 7\nlog_every: 3\n")
    named = differing_keys(before, now.model_dump(mode="json"))
    assert named == ["seed was 0, is 7", "stages.1.batch was 4, is 2"]
    shorter = parse(TEXT.rsplit("\n  -", 1)[0]).model_dump(mode="json")
    assert differing_keys(before, shorter) == ["stages was 2 entries, is 1 entries"]


def test_a_batch_that_the_processes_cannot_share_names_the_three_numbers():
    stage = parse(TEXT.replace("batch: 4", "batch: 4, accumulate: 2")).stages[1]
    assert share_out(stage, 2) == 1
    with pytest.raises(MisuseError, match="batch of 4, which 3 processes x 2 accumulated"):
        share_out(stage, 3)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_training_configuration_loads_and_fits_its_network(path):
    config, model = read_plan(path)
    assert len(describe_plan(config, model, world_size=1)) == 1 + len(config.stages)
    if path.stem in ("debug", "progressive"):
        assert [s.frames for s in config.stages if s.frames > 1] == [8, 16, 32, 64]
        assert config.stages[0].frames == 1 and config.stages[-1].temporal_halving
        assert any(s.temporal_first for s in config.stages)


PROGRESSIVE = ROOT / "configs" / "train" / "progressive.yaml"


@pytest.mark.parametrize("world_size", [1, 8, 64])
def test_the_progressive_run_can_be_shared_by_many_gpus(world_size):
    config, _ = read_plan(PROGRESSIVE)
    for stage in config.stages:
        check_batches(stage, world_size)


def test_what_the_slurm_example_starts_can_be_shared_by_its_processes():
    text = (ROOT / "examples" / "train.slurm").read_text()
    found = {name: re.search(pattern, text)[1] for name, pattern in {
        "nodes": r"#SBATCH --nodes=(\d+)", "gpus": r"#SBATCH --gpus-per-node=(\d+)",
        "each": r"--nproc-per-node (\d+)", "config": r"vidvton train (\S+)",
    }.items()}  # fmt: skip
    assert found["gpus"] == found["each"] and '--nnodes "$SLURM_NNODES"' in text
    config, model = read_plan(ROOT / found["config"])
    processes = int(found["nodes"]) * int(found["each"])
    assert processes == 64
    for stage in config.stages:
        check_batches(stage, processes)
    assert len(describe_plan(config, model, world_size=processes)) == 1 + len(config.stages)


def test_the_progressive_run_s_head_prepares_every_set_that_it_reads():
    config, _ = read_plan(PROGRESSIVE)
    text = PROGRESSIVE.read_text()
    made = {ROOT / folder: size for folder, size in re.findall(r"^#   vidvton prepare \S+ (\S+) --size (\S+)$", text, re.M)}
    read = {Path(f).resolve() for f in (*config.data.train, *config.data.images, *config.data.validation)}
    assert set(made) == read  # commands are pasted at the repository's root; the configuration's own folders are relative to it
    assert set(made.values()) == {"{}x{}".format(*config.stages[-1].size)}


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_accelerate_reads_its_configurations(name):
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "configs" / "train" / "accelerate" / f"{name}.yaml"
    config = load_config_from_file(str(path))
    assert config.num_processes == 8 and str(config.mixed_precision) == "no"
    assert (config.fsdp_config or {}).get("fsdp_version") == (2 if name == "fsdp" else None)


def test_single_frames_that_come_late_in_a_stage_must_be_shared_too():
    late = "temporal_first: 1500, images: 0.5, image_batch: 3"
    stage = parse(TEXT.replace("steps: 20", "steps: 2000").replace("temporal_first: 5", late)).stages[1]
    with pytest.raises(MisuseError, match="'video' has a batch of 3, which 2 processes"):
        check_batches(stage, 2)
    check_batches(stage.model_copy(update={"images": 0.0}), 2)
