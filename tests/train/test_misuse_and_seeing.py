"""What goes wrong is one sentence; what is seen of a run is there: journal, strips, curves, model, the tracker."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from drawn_run import LIGHT, MODEL, RUN, run, write_run
from drawn_set import write_set
from PIL import Image
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vidvton import cli
from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.bundle import load_bundle, read_card
from vidvton.train.config import Loss
from vidvton.train.journal import read_journal
from vidvton.train.launch import launch
from vidvton.train.perceptual import Features, load_features, perceptual_distance
from vidvton.train.plan import open_plan, read_plan
from vidvton.train.plot import plot_run
from vidvton.train.terms import estimate_x0, loss_terms, temporal_difference

ONE_STAGE = RUN.split("  - {name: video")[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def tracked(home):
    """(folder, what was said) of a whole run with a tracker."""
    out = home / "tracked"
    start = launch(tracker="tensorboard", out=out)
    assert not out.exists()  # a tracker's files in a new folder would make it look like another's
    said = run(home / "run.yaml", out, start=start)
    start.end()
    return out, said


def text(home, name: str, changed: str):
    path = home / f"{name}.yaml"
    path.write_text(changed)
    return path


def train_by_command(capsys, *words) -> tuple[int, str]:
    code = cli.main(["train", *map(str, words)])
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0, said
    return code, said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("train: [train]", "train: [nowhere]", ["no folder", "nowhere", "vidvton prepare"]),
        ("train: [train]", "train: [empty]", ["empty", "without samples"]),
        ("train: [train]", "train: [unfinished]", ["unfinished", "no finished set"]),
        ("frames: 8, size", "frames: 9, size", ["data.train", "'halved'", "longest of 5 has 8"]),
        ("rate: 1.0e-2", "rat: 1.0e-2", ["'defaults.rat'", "'rate'"]),
        ("size: [32, 32], steps: 2}", "size: [32, 36], steps: 2}", ["'image'", "32x36", "multiples of 8"]),
        ("model: model.yaml", "model: other.yaml", ["other.yaml", "cannot be read"]),
        ("seed: 0", "start_from: nothing", ["nothing", "model folder"]),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(home, capsys, tmp_path, old, new, words):
    if not (home / "empty").exists():
        write_set(home / "empty", clips=0)
        (home / "unfinished").mkdir()
    config = text(home, "wrong", (RUN + "seed: 0\n").replace(old, new, 1))
    code, said = train_by_command(capsys, config, "--out", tmp_path / "run", "-q")
    assert code == 2, said
    for word in words:
        assert word in said


def test_a_world_that_does_not_divide_the_batch_names_the_three_numbers(home):
    config, model = read_plan(home / "run.yaml")
    with pytest.raises(MisuseError, match="batch of 4, which 3 processes x 1 accumulated"):
        open_plan(config, model, world_size=3)


def test_going_on_with_another_configuration_names_the_keys(home, capsys, tmp_path):
    run(text(home, "first", ONE_STAGE), tmp_path / "run")
    other = text(home, "second", ONE_STAGE.replace("rate: 1.0e-2", "rate: 2.0e-2").replace("keep: 2", "keep: 3"))
    code, said = train_by_command(capsys, other, "--out", tmp_path / "run")
    assert code == 2 and "stages.0.rate was 0.01, is 0.02" in said and "keep" not in said
    (home / "model.yaml").write_text(MODEL.replace("dit_blocks: 1", "dit_blocks: 2"))
    code, said = train_by_command(capsys, home / "first.yaml", "--out", tmp_path / "run")
    (home / "model.yaml").write_text(MODEL)
    assert code == 2 and "model.dit_blocks was 1, is 2" in said
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "letter.txt").write_text("dear")
    code, said = train_by_command(capsys, home / "first.yaml", "--out", tmp_path / "strange")
    assert code == 2 and "holds no run" in said


def test_a_bundle_of_another_model_to_start_from(home, tmp_path):
    (home / "model.yaml").write_text(MODEL.replace("dit_blocks: 1", "dit_blocks: 2"))
    run(text(home, "two", ONE_STAGE), tmp_path / "two")
    (home / "model.yaml").write_text(MODEL)
    config = text(home, "from", ONE_STAGE + f"start_from: {tmp_path / 'two' / 'model'}\n")
    # The list of stages ends the text, so the key goes in front.
    config.write_text(f"start_from: {tmp_path / 'two' / 'model'}\n" + ONE_STAGE)
    with pytest.raises(VidvtonError, match="checkpoint of another model .dit_blocks was 2, is 1"):
        run(config, tmp_path / "run")


def test_two_runs_cannot_work_in_one_folder(home, tmp_path):
    from vidvton.train.processes import Processes
    from vidvton.train.run_folder import open_run

    config, model = read_plan(home / "run.yaml")
    with open_run(tmp_path / "run", config, model, Processes()):
        with pytest.raises(MisuseError, match="another run is working in"):
            with open_run(tmp_path / "run", config, model, Processes()):
                pass


def test_steps_that_are_not_finite_are_skipped_counted_and_in_the_end_stop(home, tmp_path, monkeypatch):
    from vidvton.train import loop

    honest, calls = loop.loss_terms, []

    def poisoned(*given, **settings):
        calls.append(0)
        terms = honest(*given, **settings)
        return terms if len(calls) not in bad else type(terms)(terms.total * float("nan"), terms.diffusion)

    monkeypatch.setattr(loop, "loss_terms", poisoned)
    bad = {2}
    said = run(text(home, "nan", ONE_STAGE.replace("steps: 2", "steps: 4")), tmp_path / "run")
    assert sum("gave no finite gradient and was skipped (1 so far" in line for line in said) == 1
    train_lines = [r for r in read_journal(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "train"]
    assert [r["skipped"] for r in train_lines] == [0, 1, 1, 1] and [r["updates"] for r in train_lines] == [1, 1, 2, 3]
    weights = load_bundle(tmp_path / "run" / "model").state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())
    bad, limit = set(range(999)), "optimizer: {max_skips: 3}\n"
    with pytest.raises(VidvtonError, match="3 steps in a row, up to step 2 of stage 'image' .samples clip"):
        never = limit + ONE_STAGE.replace("steps: 2", "steps: 9").replace("optimizer: {eps: 1.0e-4}", "")
        run(text(home, "never", never), tmp_path / "never")


def test_unreadable_samples_are_replaced_named_and_too_many_of_them_an_error(home, tmp_path):
    folder = write_set(tmp_path / "damaged", clips=4, seed=9)
    shard = folder / "shard-00000.tar"
    index = json.loads((folder / "index.json").read_text())
    members = index["samples"][1]["members"]
    place, size = members[next(name for name in members if name.endswith(".mp4"))]
    data = bytearray(shard.read_bytes())
    data[place : place + size] = bytes(size)
    shard.write_bytes(bytes(data))
    patient = ONE_STAGE.replace("train: [train]", f"train: [{folder}], bad_share: 0.5")
    said = run(text(home, "patient", patient), tmp_path / "run")
    assert sum(line == "sample clip1 cannot be read; others stand in for it" for line in said) == 1
    strict = patient.replace("bad_share: 0.5", "bad_share: 0.0")
    with pytest.raises(VidvtonError, match=r"of \d+ samples could not be read \(clip1\)"):
        run(text(home, "strict", strict), tmp_path / "strict")


def test_what_a_run_leaves_to_look_at(tracked):
    out, said = tracked
    records = read_journal(out / "metrics.jsonl")
    trained = [r for r in records if r["kind"] == "train"]
    assert [r["stage"] for r in trained] == ["image"] * 2 + ["video"] * 2 + ["halved"] * 2
    for name in ("loss", "grad_norm", "rate", "frames_per_second", "data_wait", "memory_gib"):
        assert all(r[name] > 0 for r in trained), name
    assert "temporal" in trained[-1] and "temporal" not in trained[0]
    looks = [r for r in records if r["kind"] == "validate"]
    assert [r["step"] for r in looks] == [2, 4, 6] and all(set(r["levels"]) == {"0.5"} for r in looks)
    assert "flicker" not in looks[0] and looks[2]["flicker"] > 0 and looks[2]["flicker_truth"] >= 0
    assert any("frames/s, waiting" in line and "GiB" in line for line in said)
    strip = Image.open(out / "samples" / "step-00000006.png")
    assert strip.width > 5 * 32 and len(strip.convert("RGB").getcolors(1 << 20)) > 50
    curves = Image.open(plot_run(out))
    assert curves.width == 1200 and curves.height > 1000
    told = EventAccumulator(str(next((out / "tracker").rglob("events.out.tfevents*")).parent)).Reload()
    assert [(e.step, e.value) for e in told.Scalars("held_out/psnr")] == [(r["step"], pytest.approx(r["psnr"])) for r in looks]
    assert {"loss", "held_out/0.5", "held_out/flicker", "held_out/flicker_truth"} <= set(told.Tags()["scalars"])
    shown = told.Images("held_out/strips")
    assert [picture.step for picture in shown] == [2, 4, 6] and (shown[-1].width, shown[-1].height) == strip.size
    card = read_card(out / "model")
    assert card.position["step"] == 6 and card.position["stage"] == "halved"
    assert load_bundle(out / "model").config.temporal_stride == 2


def test_a_finished_run_has_nothing_to_do(home, tmp_path):
    config = text(home, "done", ONE_STAGE)
    run(config, tmp_path / "run")
    card = tmp_path / "run" / "model" / "model_card.json"
    card.write_text(card.read_text().replace('"step": 2', '"step": 1'))  # as if it had been killed before the last export
    said = run(config, tmp_path / "run")
    assert said[-1].startswith("done: 2 steps") and len(said) == 2
    assert read_card(tmp_path / "run" / "model").position["step"] == 2


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_train(home, tmp_path, precision):
    config = text(home, precision, f"precision: {precision}\n" + LIGHT)
    run(config, tmp_path / "run")
    trained = [r for r in read_journal(tmp_path / "run" / "metrics.jsonl") if r["kind"] == "train"]
    assert trained[-1]["updates"] >= 5 and all(r["loss"] < 2 for r in trained)


def test_gradient_checkpointing_changes_no_weight_beyond_rounding(home, tracked, tmp_path):
    run(text(home, "again", "checkpointing: true\n" + LIGHT), tmp_path / "again")
    ours, theirs = (load_bundle(out / "model").state_dict() for out in (tracked[0], tmp_path / "again"))
    assert max(float((ours[n] - theirs[n]).abs().max()) for n in ours) < 1e-5


def test_dry_run_writes_nothing(home, tmp_path, capsys):
    assert cli.main(["train", str(home / "run.yaml"), "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "6 steps in 3 stages" in said and "halved in time" in said and not (tmp_path / "run").exists()


def test_temporal_difference_sees_flicker_and_not_a_shift():
    truth, region = torch.rand(1, 4, 3, 8, 8), torch.ones(1, 4, 1, 8, 8)
    assert temporal_difference(truth + 0.3, truth, region) == pytest.approx(0, abs=1e-10)
    flicker = truth + torch.tensor([1.0, -1, 1, -1]).reshape(1, 4, 1, 1, 1) * 0.1
    assert temporal_difference(flicker, truth, region) == pytest.approx(0.04, rel=1e-4)
    assert temporal_difference(flicker, truth, region * 0) == 0


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_an_exact_prediction_has_no_loss_in_any_term(prediction):
    from vidvton.diffusion.loss import target

    x0, noise, sigma = torch.rand(2, 3, 3, 8, 8) * 2 - 1, torch.randn(2, 3, 3, 8, 8), torch.tensor([0.3, 0.9])
    exact = target(prediction, x0, noise, sigma)
    assert torch.allclose(estimate_x0(exact, x0, noise, sigma, prediction), x0, atol=1e-4)
    settings = Loss(temporal=1.0)
    terms = loss_terms(exact, x0, noise, sigma, prediction, settings, region=torch.ones(2, 3, 1, 8, 8))
    assert terms.total.item() == pytest.approx(0, abs=1e-8)
    worse = loss_terms(exact + 0.1, x0, noise, sigma, prediction, settings, region=torch.ones(2, 3, 1, 8, 8))
    assert worse.total > 0 and worse.perceptual is None


def test_perceptual_features_come_from_a_safetensors_file(tmp_path):
    path = tmp_path / "vgg.safetensors"
    save_file(Features().state_dict() | {"classifier.0.bias": torch.zeros(3)}, path)
    features = load_features(path)
    truth, region = torch.rand(1, 2, 3, 16, 16) * 2 - 1, torch.zeros(1, 2, 1, 16, 16)
    region[..., 4:12, 4:12] = 1
    assert perceptual_distance(features, truth, truth, region) == 0
    near, far = truth + 0.02, torch.flip(truth, [-1])
    distances = [float(perceptual_distance(features, clip, truth, region)) for clip in (near, far)]
    assert 0 < distances[0] < distances[1]
    assert perceptual_distance(features, torch.where(region > 0, truth, far), truth, region) == 0
    with pytest.raises(MisuseError, match="no features.0.weight"):
        save_file({"x": torch.zeros(1)}, path)
        load_features(path)
    with pytest.raises(MisuseError, match="cannot be read"):
        load_features(tmp_path / "none")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb.*")
def test_wandb_offline_writes_below_the_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="extra track")
    monkeypatch.setenv("WANDB_MODE", "offline")
    start = launch(tracker="wandb", out=tmp_path / "run")
    start.open_tracker({"seed": 0, "data": {"workers": 0}})
    start.track({"loss": 1.0}, step=1)
    start.show("held_out/strips", np.full((8, 16, 3), 200, np.uint8), step=1)
    start.end()
    assert list((tmp_path / "run" / "tracker").rglob("*.wandb"))
    picture = Image.open(next((tmp_path / "run" / "tracker").rglob("held_out/strips*.png")))
    assert picture.size == (16, 8) and picture.convert("RGB").getpixel((3, 3)) == (200, 200, 200)


def test_an_unknown_tracker():
    with pytest.raises(MisuseError, match="'tensorbord' is not known, expected tensorboard or wandb"):
        launch(tracker="tensorbord")
