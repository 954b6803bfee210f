"""A whole data set made ready: from the studio for real, and the machinery around it: resuming, bad pairs, dying workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidvton.cli import main
from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import resize
from vidvton.media.film import write_film
from vidvton.media.images import read_image, write_image
from vidvton.media.reader import VideoReader
from vidvton.people.skeleton import to_body_25
from vidvton.studio import SetPlan, make_one
from vidvton.train.annotations import read_studio
from vidvton.train.dataset import open_dataset
from vidvton.train.pairs import Pair
from vidvton.train.prepare_set import Task, asdict_task, make_part, plan_set, prepare_set, run_here, task_from
from vidvton.train.prepare_settings import PrepareSettings
from vidvton.train.preprocess import Shape, prepare_pair
from vidvton.train.readers import read_listing

SETTINGS = PrepareSettings(size=(96, 72), shortest=2, longest=4)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    home = tmp_path_factory.mktemp("studio") / "made"
    plan = SetPlan(seed=2, frames=6, size=(96, 72), garment="tee", motion="stand", place="studio", variants=False)
    (home / "clips").mkdir(parents=True)
    (home / "manifest.json").write_text("{}")
    make_one(home, plan, 0)
    upper = home / "upper_body"
    for word, suffix in (("images", "png"), ("cloth_mask", "png"), ("videos", "mp4")):
        (upper / f"{word}_other_garment").mkdir()
        shutil.copy(upper / word / f"000000.{suffix}", upper / f"{word}_other_garment")
    # The studio takes its time over another garment; the same tee in inverted colours is another one too.
    clip = next(VideoReader(upper / "videos" / "000000.mp4").clips(6))
    with np.load(upper / "truth" / "000000.npz") as truth:
        cloth = torch.from_numpy(truth["garment"] > 0)[:, None] & torch.from_numpy(truth["region"])[:, None]
    (upper / "videos_other_garment" / "000000.mp4").write_bytes(write_film(torch.where(cloth, 255 - clip.frames, clip.frames)))
    picture = read_image(upper / "images" / "000000.png").image
    write_image(upper / "images_other_garment" / "000000.png", 255 - picture)
    return home


@pytest.fixture(scope="module")
def scenes(studio):
    """The first pair, prepared in pieces of at most 4 frames."""
    return prepare_pair(read_listing(studio).pairs[0], Shape((96, 72), longest=4, shortest=2))


def test_a_studio_clip_is_prepared_from_its_truth(studio, scenes):
    assert [s.name for s in scenes] == ["000000@00000", "000000@00004"] and [len(s) for s in scenes] == [4, 2]
    scene = scenes[0]
    assert scene.source is scene.truth and scene.garments[0].category == "upper"
    with torch.no_grad():
        frames = next(VideoReader(studio / "upper_body" / "videos" / "000000.mp4").clips(8)).frames
    # The view may be a crop; where the person fills the frame it is the frame itself.
    assert scene.truth.shape == (4, 3, 96, 72) and abs(scene.truth.float().mean() - frames[:4].float().mean()) < 25
    region, known = scene.region, scene.alpha > 250
    assert 0.02 < region.float().mean() < 0.6 and known[region].float().mean() > 0.99
    off = (scene.warped.float() - scene.truth.float()).abs().mean(1, keepdim=True)
    assert 1 < off[region].mean() < 40  # the warped tee is the one that is worn
    assert off[known & ~region].mean() < 3  # elsewhere the frame is as it was
    seen = scene.keypoints[..., 2] > 0.5
    assert seen[:, 11:13].all() and (scene.keypoints[:, 11, 0] > scene.keypoints[:, 12, 0]).all()  # left is on the right


def test_the_other_garment_has_its_own_truth(studio):
    pair = read_listing(studio).pairs[1]
    (scene,) = prepare_pair(pair, Shape((96, 72), shortest=2))
    assert scene.group == "000000" and scene.source is not scene.truth
    inside = scene.region.expand(-1, 3, -1, -1)
    change = (scene.truth.float() - scene.source.float()).abs()
    assert change[inside].mean() > 3 * change[~inside].mean()


def test_points_and_parses_of_a_data_set_take_the_estimators_place(studio, tmp_path, monkeypatch):
    """VITON-HD's layout with OpenPose and CIHP files made from the studio's truth: no pose model is asked."""
    upper = studio / "upper_body"
    frames = next(VideoReader(upper / "videos" / "000000.mp4").clips(1)).frames
    known = read_studio(upper / "truth" / "000000.npz")
    home = tmp_path / "train"
    for folder in ("image", "cloth", "openpose_json", "image-parse-v3"):
        (home / folder).mkdir(parents=True)
    write_image(home / "image" / "1.png", frames[0])
    shutil.copy(upper / "images" / "000000.png", home / "cloth" / "1.png")
    points = to_body_25(known.track.keypoints[0]).flatten().tolist()
    (home / "openpose_json" / "1_keypoints.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": points}]}))
    Image.fromarray(known.labels[0].numpy()).save(home / "image-parse-v3" / "1.png")

    def asked(*_):
        raise AssertionError("the estimators were asked")

    monkeypatch.setattr("vidvton.train.preprocess.analyse_clip", asked)
    (scene,) = prepare_pair(read_listing(tmp_path).pairs[0], Shape((96, 72)))
    true = prepare_pair(read_listing(studio).pairs[0], Shape((96, 72), shortest=2))[0]
    both = (scene.region[0] & true.region[0]).sum() / (scene.region[0] | true.region[0]).sum()
    assert both > 0.5  # found from labels and points here, from the body's own shape there
    assert (scene.keypoints[0, 11:17, :2] - true.keypoints[0, 11:17, :2]).abs().max() < 2
    assert (scene.alpha > 127).float().mean() > 0.5 * (true.alpha[:1] > 127).float().mean() > 0


def test_pairs_that_do_not_fit_together_are_told(studio, tmp_path):
    pair = read_listing(studio).pairs[0]
    nothing = tmp_path / "none.png"
    with pytest.raises(MisuseError, match="none.png"):
        prepare_pair(replace(pair, garment=nothing), Shape((96, 72)))
    other = next((studio / "upper_body" / "videos_other_garment").iterdir())
    short = tmp_path / "short.mp4"
    short.write_bytes(write_film(torch.zeros(3, 3, 128, 96, dtype=torch.uint8)))
    with pytest.raises(VidvtonError, match="has 3 frames and .* has more"):
        prepare_pair(replace(pair, truth=short), Shape((96, 72)))
    with pytest.raises(VidvtonError, match="truth .* cannot be read"):
        prepare_pair(replace(pair, known=other), Shape((96, 72)))


def work_folder(tmp_path, studio, count=4):
    pair = read_listing(studio).pairs[0]
    (tmp_path / "work").mkdir()
    return [Task(n, replace(pair, name=f"p{n}"), tmp_path / "work", SETTINGS) for n in range(count)]


def test_a_part_is_whole_or_a_reason(tmp_path, studio):
    good, bad = work_folder(tmp_path, studio, 2)
    bad = replace(bad, pair=replace(bad.pair, garment=tmp_path / "gone.png"))
    assert make_part(good) == "" and good.part.stat().st_size % 512 == 0
    assert "p1: there is no file" in make_part(bad) and bad.bad.read_text().startswith("p1: there is no file")
    assert sorted(p.name for p in (tmp_path / "work").iterdir()) == ["000000.part", "000001.bad"]


def test_tasks_travel_as_text(tmp_path, studio):
    task = work_folder(tmp_path, studio, 1)[0]
    task = replace(task, pair=replace(task.pair, poses=(Path("a.json"), Path("b.json"))))
    assert task_from(asdict_task(task)) == task


def dying(task):
    """Stands for `make_part`: number 2 kills its process every time, number 1 the first time."""
    task.begun.touch()
    time.sleep(0.02)
    once = task.work / "once"
    if task.number == 2 or (task.number == 1 and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    task.part.write_bytes(b"")
    task.begun.unlink()
    return ""


def test_workers_that_die_are_replaced_and_what_kills_them_is_given_up(tmp_path, studio):
    tasks = work_folder(tmp_path, studio, 5)
    reasons = list(run_here(tasks, 2, dying))
    assert len(reasons) == 5 and [r for r in reasons if r] == ["p2: the process that worked on it died, twice (out of memory?)"]
    assert [t.part.exists() for t in tasks] == [True, True, False, True, True] and tasks[2].bad.exists()


@pytest.fixture(scope="module")
def prepared(studio, tmp_path_factory):
    """OUT of a run that is stopped after the first pair and taken up again."""
    out = tmp_path_factory.mktemp("prepared") / "set"
    settings = PrepareSettings(size=(96, 72), shortest=2)
    steps = prepare_set(studio, out, settings, workers=1)
    next(step for step in steps if getattr(step, "done", 0) == 1)
    steps.close()
    first = {p.name: p.stat().st_mtime_ns for p in (out / "work").glob("*.part")}
    kept = []
    for step in prepare_set(studio, out, settings, workers=1):
        if not kept:
            kept.append(step)
        if getattr(step, "stage", "") == "prepare":
            kept.append((step.done, {p.name: p.stat().st_mtime_ns for p in (out / "work").glob("*.part")}))
    return out, first, kept


def test_a_stopped_run_goes_on_where_it_was(prepared):
    out, first, (note, begun, *_) = prepared
    assert "read as studio: 2 pairs, with 2 garment mask, 2 known, 1 truth" == note.text
    assert len(first) >= 1 and begun == (len(first), first)  # what was through is not done again
    assert sorted(p.name for p in out.iterdir()) == ["dataset.json", "index.json", "shard-00000.tar"]
    data = open_dataset(out)
    assert [data.name(i) for i in range(len(data))] == ["000000@00000", "000000_other_garment@00000"]
    sample = data.sample(1, frames=4, size=(64, 48), seed=0)
    assert sample.target.shape == (4, 3, 64, 48) and sample.conditioning.warped.any()


@pytest.mark.slow
def test_a_killed_command_goes_on(studio, tmp_path):
    out = tmp_path / "set"
    command = [sys.executable, "-m", "vidvton", "prepare", str(studio), str(out), "--size", "96x72", "--workers", "1", "-q"]
    (tmp_path / "short.yaml").write_text("shortest: 2\n")
    process = subprocess.Popen([*command, "--config", str(tmp_path / "short.yaml")], stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not list((out / "work").glob("*.begun")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run([*command, "--config", str(tmp_path / "short.yaml")], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and len(open_dataset(out)) == 2, done.stderr


def test_a_finished_set_is_left_alone_and_another_plan_is_refused(prepared, studio, tmp_path, capsys):
    out = prepared[0]
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    (tmp_path / "short.yaml").write_text("shortest: 2\n")
    options = ["--config", str(tmp_path / "short.yaml"), "-q"]
    assert main(["prepare", str(studio), str(out), "--size", "96x72", "--json", *options]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["samples"] == 2 and facts["frames"] == 12 and facts["unusable"] == []
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert main(["prepare", str(studio), str(out), "--size", "64x64", *options]) == 2
    assert "prepared with size [96, 72], not [64, 64]" in capsys.readouterr().err


def test_dry_runs_say_what_there_is(studio, tmp_path, capsys):
    assert main(["prepare", str(studio), str(tmp_path / "set"), "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "2 pairs would be prepared" in said.out and "with 2 garment mask, 2 known, 1 truth" in said.err
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/none", "{tmp}/out"], "there is no folder"),
        (["{studio}", "{tmp}/file"], "is a file; give a folder"),
        (["{studio}", "{studio}/set"], "lies inside the data set"),
        (["{studio}", "{tmp}/full"], "is not empty and holds no set"),
        (["{studio}", "{tmp}/out", "--size", "31x40"], "expected [height, width] in pixels, even, from 32 to 4096"),
        (["{studio}", "{tmp}/out", "--layout", "vitonhd"], "'viton-hd'"),
        (["{studio}", "{tmp}/out", "--executor", "dask"], "there is no executor 'dask'; use one of local, ray"),
        (["{studio}", "{tmp}/out", "--config", "{tmp}/wrong.yaml"], "unknown key 'sise'; did you mean 'size'?"),
        (["{studio}", "{tmp}/out", "--workers", "-1"], "-1 worker processes"),
    ],
)
def test_misuse_is_one_sentence(studio, tmp_path, capsys, arguments, sentence):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "wrong.yaml").write_text("sise: [96, 72]\n")
    assert main(["prepare", *(a.format(tmp=tmp_path, studio=studio) for a in arguments)]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "read as" not in line]
    assert len(error) == 1 and sentence in error[0]
    assert not (tmp_path / "out").exists() and (tmp_path / "full" / "mine.txt").exists()


def broken_viton(root, count):
    for n in range(count):
        for side in ("image", "cloth"):
            path = root / "train" / side / f"{n:05d}_00.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no picture")
    return root


def test_too_many_bad_pairs_end_the_run_and_are_named(tmp_path, studio):
    source = broken_viton(tmp_path / "viton", 4)
    with pytest.raises(VidvtonError, match=r"1 of 4 pairs cannot be used, more than the 0 % .*: 0000\d_00: .* is not a picture"):
        list(prepare_set(source, tmp_path / "out", PrepareSettings(bad_share=0.0), workers=1))
    with pytest.raises(VidvtonError, match="none of 4 pairs of .* could be used: 00000_00"):
        list(prepare_set(source, tmp_path / "out", PrepareSettings(bad_share=1.0), workers=1))
    assert len(list((tmp_path / "out" / "work").glob("*.bad"))) == 4 and not (tmp_path / "out" / "dataset.json").exists()


def test_bad_pairs_within_the_share_are_left_out_and_listed(tmp_path, studio):
    """One good pair is there from an earlier run; the other is broken now."""
    out, work = tmp_path / "out", tmp_path / "out" / "work"
    source = broken_viton(tmp_path / "viton", 2)
    settings = PrepareSettings(bad_share=0.5, size=(96, 72), shortest=2)
    steps = prepare_set(source, out, settings, workers=1)
    next(step for step in steps if getattr(step, "stage", "") == "prepare")
    steps.close()
    good = Task(0, replace(read_listing(studio).pairs[0], name="kept"), work, settings)
    assert make_part(good) == ""
    notes = [s.text for s in prepare_set(source, out, settings, workers=1) if hasattr(s, "text")]
    assert "1 of 2 pairs could not be used: 00001_00" in notes[-1]
    facts = json.loads((out / "dataset.json").read_text())
    assert facts["samples"] == 2 - 1 and len(facts["unusable"]) == 1 and "00001_00" in facts["unusable"][0]
    assert len(open_dataset(out)) == 1 and not work.exists()


def test_limits_and_variants_are_part_of_the_plan(studio):
    assert len(plan_set(studio, SETTINGS.model_copy(update={"limit": 1})).pairs) == 1
    assert len(plan_set(studio, SETTINGS.model_copy(update={"variants": False})).pairs) == 1
    assert isinstance(plan_set(studio, SETTINGS).pairs[0], Pair)


@pytest.mark.slow
def test_ray_makes_the_same_set(studio, tmp_path):
    pytest.importorskip("ray")
    settings = PrepareSettings(size=(96, 72), shortest=2)
    list(prepare_set(studio, tmp_path / "here", settings, workers=1))
    list(prepare_set(studio, tmp_path / "there", settings, workers=1, executor="ray"))
    one, two = open_dataset(tmp_path / "here"), open_dataset(tmp_path / "there")
    assert len(one) == len(two) == 2
    for item in range(2):
        a, b = (d.window(item, frames=6, size=(96, 72)) for d in (one, two))
        assert a.name == b.name and torch.equal(a.conditioning.region, b.conditioning.region)
        assert torch.equal(a.conditioning.pose, b.conditioning.pose) and (a.target - b.target).abs().mean() < 0.002


@pytest.mark.slow
def test_a_picture_with_nothing_known_goes_through_the_estimators(studio, tmp_path):
    """VITON-HD's layout with a studio frame: pose, parse, region and warp are found."""
    frames = next(VideoReader(studio / "upper_body" / "videos" / "000000.mp4").clips(1)).frames
    for side in ("image", "cloth"):
        (tmp_path / "viton" / "train" / side).mkdir(parents=True)
    write_image(tmp_path / "viton/train/image/00001_00.png", resize(frames[0], (512, 384)))
    garment = next((studio / "upper_body" / "images").iterdir())
    (tmp_path / "viton/train/cloth/00001_00.png").write_bytes(garment.read_bytes())
    (scene,) = prepare_pair(read_listing(tmp_path / "viton").pairs[0], Shape((256, 192)))
    assert len(scene) == 1 and scene.region.any() and (scene.alpha > 127).any() and scene.keypoints[0, 11, 2] > 0
