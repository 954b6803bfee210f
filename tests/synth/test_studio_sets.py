"""Sets on disk: layout, the same bytes again, one clip alone, resuming, refusals. One tiny set without variants is made for
all, and one clip with them, which takes twice as long."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.images import read_image
from vidvton.media.reader import VideoReader
from vidvton.studio import SetPlan, _explained, make_dataset, make_one, parse_size, plan_script, remake
from vidvton.synth.truth import FLOW_STEP, name_of_fields

PLAN = SetPlan(seed=6, frames=3, size=(64, 64), garment="tee", motion="stand", variants=False)
FOLDERS = {"videos": "mp4", "images": "png", "cloth_mask": "png", "agnostic": "mp4", "agnostic_mask": "mp4", "densepose": "mp4",
           "images_back": "png", "truth": "npz"}  # fmt: skip
VARIANTS = {"videos_other_garment": "mp4", "images_other_garment": "png", "videos_other_person": "mp4"}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    home = tmp_path_factory.mktemp("set") / "made"
    steps = list(make_dataset(home, PLAN, clips=2, workers=2))
    assert [s.done for s in steps] == [0, 3, 6] and steps[-1].total == 6
    return home


def names_in(folder):
    return {p.name for p in folder.glob("*") if ".garment." not in p.name}


def test_layout_is_vivid_s_with_truth(out):
    home = out / "upper_body"
    for folder, suffix in FOLDERS.items():
        assert names_in(home / folder) == {f"00000{i}.{suffix}" for i in (0, 1)}, folder
    assert not any((home / folder).exists() for folder in VARIANTS)
    assert not list(out.rglob("*.part"))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["plan"]["seed"] == 6 and manifest["flow_step"] == FLOW_STEP


def test_variants_lie_beside_their_clip_and_their_masks_in_its_truth(tmp_path):
    (tmp_path / "clips").mkdir()
    make_one(tmp_path, replace(PLAN, frames=2, variants=True), 1)
    home = tmp_path / "upper_body"
    for folder, suffix in (FOLDERS | VARIANTS).items():
        assert names_in(home / folder) == {f"000001.{suffix}"}, folder
    assert not list(tmp_path.rglob("*.part"))
    with np.load(home / "truth" / "000001.npz", allow_pickle=False) as truth:
        assert truth["other_garment_mask"].shape == truth["other_person_mask"].shape == (2, 64, 64)
        assert truth["other_garment_mask"].any() and truth["other_person_mask"].any()


def test_truth_opens_without_pickle_and_matches_the_video(out):
    with np.load(out / "upper_body" / "truth" / "000001.npz", allow_pickle=False) as truth:
        assert set(name_of_fields()) <= set(truth.files)
        labels, region = truth["labels"], truth["region"]
    assert labels.shape == (3, 64, 64) and labels.max() < 20
    frames = torch.cat([c.frames for c in VideoReader(out / "upper_body" / "videos" / "000001.mp4").clips(8, 0)])
    made = remake(out / "clips" / "000001.json")
    assert frames.shape == made.frames.shape == (3, 3, 64, 64)
    assert (frames.float() - made.frames.float()).abs().mean() < 4
    assert np.array_equal(made.truth.labels.numpy(), labels) and np.array_equal(made.truth.region.numpy(), region)
    shop = read_image(out / "upper_body" / "images" / "000001.png").image
    mask = read_image(out / "upper_body" / "cloth_mask" / "000001.png").image
    assert shop.shape == mask.shape and 0.1 < (mask > 127).float().mean() < 0.9


def _bytes(home):
    return {
        p.relative_to(home).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(home.rglob("*")) if p.is_file()
    }


@pytest.mark.slow
def test_one_clip_alone_has_the_same_bytes(tmp_path):
    plan, one, both = replace(PLAN, variants=True), tmp_path / "one", tmp_path / "both"
    (one / "clips").mkdir(parents=True)
    make_one(one, plan, 1)
    list(make_dataset(both, plan, clips=2, workers=2))
    alone, whole = _bytes(one), _bytes(both)
    assert alone and all(whole[name] == digest for name, digest in alone.items())


def test_a_set_goes_on_where_it_stopped(out):
    before = {p: os.stat(p).st_mtime_ns for p in (out / "upper_body").rglob("*") if "000000" in p.name}
    (out / "clips" / "000001.json").unlink()  # as if killed before the second clip was complete
    digests = _bytes(out)
    steps = list(make_dataset(out, PLAN, clips=2, workers=1))
    assert [s.done for s in steps] == [3, 6]
    assert before == {p: os.stat(p).st_mtime_ns for p in before}
    after = _bytes(out)
    assert {k: v for k, v in after.items() if k in digests} == digests
    assert [s.done for s in make_dataset(out, PLAN, clips=2)] == [6]


def test_other_settings_and_foreign_folders_are_refused(out, tmp_path):
    with pytest.raises(MisuseError, match="other settings"):
        list(make_dataset(out, replace(PLAN, seed=7), clips=1))
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(MisuseError, match="not empty"):
        list(make_dataset(tmp_path, PLAN, clips=1))
    with pytest.raises(MisuseError, match="is a file"):
        list(make_dataset(tmp_path / "holiday.txt", PLAN, clips=1))
    assert (tmp_path / "holiday.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("plan", "clips", "match"),
    [
        (PLAN, 0, "0 clips cannot be made"),
        (SetPlan(frames=0), 1, "0 frames"),
        (SetPlan(size=(63, 64)), 1, "63x64 is not allowed"),
        (SetPlan(seed=-1), 1, "negative"),
        (SetPlan(garment="toga"), 1, "toga"),
        (SetPlan(motion="fly"), 1, "fly"),
    ],
)
def test_impossible_plans_write_nothing(tmp_path, plan, clips, match):
    with pytest.raises(MisuseError, match=match):
        list(make_dataset(tmp_path / "new", plan, clips=clips))
    assert not (tmp_path / "new").exists()


def test_sizes_are_read_or_refused():
    assert parse_size("512x384") == (512, 384)
    for wrong in ("512", "axb", "512x", "1.5x2"):
        with pytest.raises(MisuseError, match="cannot be read"):
            parse_size(wrong)


def test_a_full_disk_is_one_sentence(tmp_path):
    error = _explained(OSError(28, "No space left on device"), tmp_path)
    assert type(error) is VidvtonError and "full" in str(error) and "same command" in str(error)


def test_words_fix_every_clip():
    assert {plan_script(PLAN, i).target.kind for i in range(5)} == {"tee"} and {
        plan_script(PLAN, i).motion for i in range(5)
    } == {"stand"}


def test_the_command_makes_a_set_and_refuses_in_one_sentence(out, capsys):
    from vidvton.cli import main

    words = [
        "synth",
        str(out),
        "--clips",
        "2",
        "--frames",
        "3",
        "--size",
        "64x64",
        "--seed",
        "6",
        "--garment",
        "tee",
        "--motion",
        "stand",
        "--no-variants",
    ]
    assert main(words) == 0, "all of it stands already"
    assert capsys.readouterr().out.strip() == str(out)
    assert main(["synth", str(out), "--motion", "fly"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vidvton: the motion 'fly' is not known; choose one of") and said.count("\n") == 1
