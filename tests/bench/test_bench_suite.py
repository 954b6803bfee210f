"""A suite: cases x methods in processes of their own, resumable, and alive whatever one clip does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import ready
import torch
import yaml
from moving_clips import BLUE, frames_at, moments, write_film

from vidvton.bench.align import align, index_clip
from vidvton.bench.cases import list_cases, load_exact, make_ready, read_ready
from vidvton.bench.jobs import Job, is_done, read_note
from vidvton.bench.paste import find_box, paste_clip, paste_frame
from vidvton.bench.regions import find_region
from vidvton.bench.results import read_result
from vidvton.bench.runs import plan_suite, run_jobs
from vidvton.bench.suite import MeasureSettings, StudioSet, Suite
from vidvton.cli import main
from vidvton.config import parse_config, read_config
from vidvton.errors import MisuseError
from vidvton.media.images import write_image
from vidvton.media.reader import open_clip
from vidvton.metrics.series import score
from vidvton.people.estimators import Body
from vidvton.values import LANDMARKS, Garment, Layout

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three real clips with masks, and finished clips of two methods: one is missing, one is no film."""
    home = tmp_path_factory.mktemp("clips")
    for folder in ("videos", "steady", "flicker"):
        (home / folder).mkdir()
    for k in range(3):
        source, mask = frames_at(moments(12, start=k))
        write_film(home / "videos" / f"c{k}.mkv", source)
        write_film(home / "videos" / f"mask{k}.mkv.part.mkv", (mask * 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous())
        (home / "videos" / f"mask{k}.mkv.part.mkv").rename(home / f"mask{k}.mkv")
        write_film(home / "steady" / f"c{k}.mkv", frames_at(moments(12, start=k), shirt=BLUE)[0])
        write_film(home / "flicker" / f"c{k}.mkv", frames_at(moments(12, start=k), shirt=BLUE, flicker=14)[0])
    (home / "flicker" / "c1.mkv").unlink()
    (home / "flicker" / "c2.mkv").write_text("not a film")
    return home


def suite_of(clips: Path, **more) -> dict:
    pairs = [{"clip": str(clips / "videos" / f"c{k}.mkv"), "region": str(clips / f"mask{k}.mkv")} for k in range(3)]
    pairs.append({"clip": str(clips / "videos" / "gone.mkv")})
    return {
        "title": "Small",
        "clips": [{"name": "real", "pairs": pairs}],
        "methods": [{"name": n, "kind": "folder", "folder": str(clips / n)} for n in ("steady", "flicker")],
        "measure": {"metrics": ["warping-error", "psnr", "identity"], "controls": False, "pictures": False},
        **more,
    }


def scores(result) -> dict:
    return {(c.case, c.method, s.name, s.where, s.of): score(s) for c in result.clips for s in c.series}


def write(path: Path, suite: dict) -> Path:
    path.write_text(yaml.safe_dump(suite))
    return path


@pytest.fixture(scope="module")
def unbroken(clips, tmp_path_factory):
    """(configuration, OUT, its result, what was printed) of a suite that nothing disturbed."""
    home, said = tmp_path_factory.mktemp("suite"), StringIO()
    config, out = write(home / "suite.yaml", suite_of(clips)), home / "out"
    with redirect_stdout(said):
        assert main(["bench", "run", str(config), "-o", str(out), "--dry-run"]) == 0 and not out.exists()
        assert main(["bench", "run", str(config), "-o", str(out), "--workers", "2"]) == 0
    return config, out, read_result(out / "result.json"), said.getvalue()


def test_failures_are_rows_and_the_rest_is_measured_once(clips, unbroken):
    config, out, result, said = unbroken
    assert "there is no file" in said and said.endswith(f"{out / 'report.html'}\n")
    assert {(c.case, c.method) for c in result.clips} == {("c0", "steady"), ("c0", "flicker"), ("c1", "steady"), ("c2", "steady")}
    failed = {(f.case, f.method): f.sentence for f in result.failures}
    assert failed.keys() == {("gone", "all methods"), ("c1", "flicker"), ("c2", "flicker")}
    assert "c1.mp4" in failed["c1", "flicker"] and "not a video" in failed["c2", "flicker"]
    assert all("\n" not in s for s in failed.values())
    found = scores(result)
    assert (
        found["c0", "flicker", "warping-error", "region", "output"]
        > 2 * found["c0", "steady", "warping-error", "region", "output"]
    )
    assert (out / "report.html").exists() and "not a video" in (out / "report.md").read_text()

    stamps = {p.name: p.stat().st_mtime_ns for p in (out / "jobs").glob("*.json")}
    (out / "jobs" / "c0__steady.json").unlink()
    (clips / "flicker" / "c1.mkv").write_bytes((clips / "flicker" / "c0.mkv").read_bytes())
    try:
        assert main(["bench", "run", str(config), "-o", str(out), "--quiet"]) == 0
    finally:
        (clips / "flicker" / "c1.mkv").unlink()
    again = {p.name for p in (out / "jobs").glob("*.json") if p.stat().st_mtime_ns != stamps[p.name]}
    assert again == {"c0__steady.json", "c1__flicker.json", "c2__flicker.json", "gone__film.json"}
    assert ("c1", "flicker") in {(c.case, c.method) for c in read_result(out / "result.json").clips}


def test_other_settings_are_measured_anew(clips, tmp_path):
    suite = parse_config(yaml.safe_dump(suite_of(clips)), Suite, name="suite")
    job = next(j for j in plan_suite(suite, tmp_path).jobs if j.stage == "measure")
    job.note.parent.mkdir()
    job.note.write_text(json.dumps({"identity": job.identity(), "clip": {}}))
    assert is_done(job)
    assert not is_done(Job(job.stage, job.case, job.home, MeasureSettings(max_side=100), job.method))
    changed = job.method.model_copy(update={"window": 8})
    assert not is_done(Job(job.stage, job.case, job.home, job.measure, changed))


def test_killed_and_started_again_it_goes_on_and_finds_the_same(clips, unbroken, tmp_path):
    config = write(tmp_path / "suite.yaml", suite_of(clips, workers=1))
    command = ["bench", "run", str(config), "-q", "-o", str(tmp_path / "killed")]
    run = ready.start(command, ROOT, out=tmp_path / "out.txt", err=tmp_path / "err.txt")
    end = time.monotonic() + 60
    while not (tmp_path / "killed" / "jobs" / "c0__steady.json").exists() and time.monotonic() < end:
        time.sleep(0.02)
    run.kill()
    run.join()
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "jobs").glob("*.json")}
    assert done and not (tmp_path / "killed" / "result.json").exists()
    assert main(["bench", "run", str(config), "-q", "-o", str(tmp_path / "killed")]) == 0
    killed, whole = read_result(tmp_path / "killed" / "result.json"), unbroken[2]
    assert scores(killed) == scores(whole) and killed.failures == whole.failures
    kept = [p for p, stamp in done.items() if p.stat().st_mtime_ns == stamp]
    assert any(p.name == "c0__steady.json" for p in kept), "what was done was done again"


def die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_job_whose_process_dies_is_a_row(clips, tmp_path):
    suite = parse_config(yaml.safe_dump(suite_of(clips)), Suite, name="suite")
    jobs = [j for j in plan_suite(suite, tmp_path).jobs if j.stage == "measure"][:2]
    assert list(run_jobs(jobs, 2, work=die)) and all("SIGSEGV" in read_note(j)["failure"]["sentence"] for j in jobs)
    assert not any(map(is_done, jobs))


def test_a_model_goes_to_the_diffusion_methods_that_name_none(tmp_path):
    methods = (
        {"name": "warp", "settings": {"engine": "warp"}},
        {"name": "mine", "settings": {"engine": "diffusion", "diffusion": {"model": "own", "window": 8}}},
        {"name": "any", "settings": {"engine": "diffusion", "diffusion": {"window": 1}}},
    )
    suite = Suite.model_validate({"studio": ({"clips": 1},), "methods": methods, "model": str(tmp_path / "m")}).with_model()
    warp, mine, any_one = suite.methods
    assert warp.settings == {"engine": "warp"} and mine.settings["diffusion"]["model"] == "own"
    assert any_one.settings["diffusion"] == {"window": 1, "model": str(tmp_path / "m")}
    job = next(j for j in plan_suite(suite, tmp_path).jobs if j.method == any_one)
    (tmp_path / "m").mkdir()
    before = job.identity()
    (tmp_path / "m" / "weights").write_text("trained")
    assert job.identity() != before, "another model, another result"


def test_the_truth_is_measured_where_there_is_one(clips, tmp_path):
    suite = suite_of(clips)
    suite["clips"][0]["pairs"][0]["truth"] = str(clips / "steady" / "c0.mkv")
    suite["methods"].append({"name": "perfect", "kind": "truth"})
    jobs = plan_suite(parse_config(yaml.safe_dump(suite), Suite, name="suite"), tmp_path).jobs
    assert [j.case.name for j in jobs if j.method is not None and j.method.name == "perfect"] == ["c0"]


def test_two_runs_do_not_share_a_folder(clips, tmp_path, capsys):
    import fcntl

    config = write(tmp_path / "suite.yaml", suite_of(clips))
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["bench", "run", str(config), "-o", str(tmp_path / "out")]) == 2
    assert "another run is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methods: [{name: a, kind: paste}]", "sets of cases"),
        ("studio: [{}]\nmethods: []", "no methods"),
        ("studio: [{}]\nmethods: [{name: a}, {name: a}]", "'a'"),
        ("studio: [{}]\nmethods: [{name: a, kind: folder}]", "needs folder"),
        ("studio: [{}]\nmethods: [{name: source}]", "cannot be used"),
        ("studio: [{sead: 1}]\nmethods: [{name: a}]", "'seed'"),
        ("studio: [{size: [255, 192]}]\nmethods: [{name: a}]", "even"),
        ("studio: [{}]\nmethods: [{name: a, window: 4, overlap: 4}]", "overlapping"),
        ("clips: [{}]\nmethods: [{name: a}]", "pairs or a folder"),
    ],
)
def test_a_suite_that_cannot_be_is_one_sentence(text, words):
    with pytest.raises(MisuseError, match=words) as caught:
        parse_config(text, Suite, name="suite.yaml")
    assert "\n" not in str(caught.value)


def test_unknown_metrics_and_folders_stop_a_suite_before_it_begins(clips, tmp_path):
    for change, words in (
        ({"measure": {"metrics": ["psnrr"]}}, "did you mean 'psnr'"),
        ({"methods": [{"name": "x", "kind": "folder", "folder": str(tmp_path / "none")}]}, "no folder"),
        ({"vivid": [{"folder": str(tmp_path)}]}, "not laid out like ViViD"),
    ):
        suite = parse_config(yaml.safe_dump(suite_of(clips, **change)), Suite, name="suite")
        with pytest.raises(MisuseError, match=words):
            plan_suite(suite, tmp_path / "out")


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "bench").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_shipped_suites_load_and_their_files_are_there(path, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    plan = plan_suite(read_config(path, Suite), tmp_path)
    assert plan.jobs and not any(c.trouble for c in plan.cases)


def test_folders_like_vivids_are_paired_by_name(clips, tmp_path):
    for part in ("videos", "images", "agnostic_mask"):
        (tmp_path / "dresses" / part).mkdir(parents=True)
    for k in (0, 2):
        shutil.copy(clips / "videos" / f"c{k}.mkv", tmp_path / "dresses" / "videos" / f"c{k}.mkv")
    write_image(tmp_path / "dresses" / "images" / "c0.png", torch.zeros(3, 32, 32, dtype=torch.uint8))
    shutil.copy(clips / "mask0.mkv", tmp_path / "dresses" / "agnostic_mask" / "c0.mkv")
    suite = Suite.model_validate({"vivid": ({"folder": str(tmp_path)},), "methods": ({"name": "a", "kind": "paste"},)})
    first, second = list_cases(suite)
    assert first.name == "dresses-c0" and first.category == "full" and first.truth == first.clip and first.trouble is None
    assert first.garment.name == "c0.png" and first.region.name == "c0.mkv"
    assert second.garment is None and "no garment picture c2" in second.trouble


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A small studio case made ready."""
    home = tmp_path_factory.mktemp("studio")
    plan = StudioSet(clips=1, frames=5, size=(192, 144), motion="poses", garment="tee")
    case = list_cases(Suite(studio=(plan,), methods=({"name": "a", "kind": "paste"},)))[0]
    ready = make_ready(case, home)
    return case, home, ready


def frames_of(path: Path) -> torch.Tensor:
    return torch.cat([c.frames for c in open_clip(path).clips(8)])


def test_a_studio_case_has_exact_truth(studio):
    case, home, ready = studio
    assert read_ready(case, home) == ready
    source, truth, region = (frames_of(p) for p in (ready.source, ready.truth, ready.region.path))
    inside = region[:, :1] > 127
    assert source.shape == truth.shape == (5, 3, 192, 144) and 0.02 < inside.float().mean() < 0.7
    changed = ((source.int() - truth.int()).abs().amax(1, keepdim=True) > 24) & ~inside
    assert changed.float().mean() < 0.02, "outside the region source and truth are the same film"
    assert ((source.int() - truth.int()).abs().amax(1, keepdim=True) > 24)[inside].float().mean() > 0.2
    exact = load_exact(ready)
    assert exact.flow.shape == (5, 2, 192, 144) and exact.hidden.shape == (5, 1, 192, 144)
    seen = ~torch.isnan(exact.coordinates[:, 0])
    assert seen.any() and (seen & inside[:, 0]).sum() / seen.sum() > 0.95
    step = (exact.coordinates[:, 0, :, 1:] - exact.coordinates[:, 0, :, :-1])[seen[:, :, 1:] & seen[:, :, :-1]]
    assert 0.5 < step.abs().median() < 2, "coordinates are about in pixels"


def test_the_region_is_parsed_from_the_person_and_the_change_says_of_which_garment(studio, tmp_path):
    _, _, ready = studio
    source, output = index_clip(ready.source), index_clip(ready.truth)
    found = find_region(source, tmp_path, output=output, alignment=align(source, output))
    assert f"{ready.category} garment (what changed" in found.words
    parsed, exact = frames_of(found.path)[:, :1] > 127, frames_of(ready.region.path)[:, :1] > 127
    assert (parsed & exact).sum() / (parsed | exact).sum() > 0.5
    again = find_region(source, tmp_path, category=ready.category)
    assert torch.equal(frames_of(again.path)[:, :1] > 127, parsed), "the same whatever the output"


def test_the_paste_baseline_dresses_each_frame_by_itself(studio, tmp_path):
    case, _, ready = studio
    dressed = paste_clip(ready.source, ready.garment, tmp_path / "out.mkv", category=ready.category)
    before, after = frames_of(ready.source), frames_of(tmp_path / "out.mkv")
    changed = [bool((a != b).any()) for a, b in zip(before, after)]
    assert dressed == sum(changed) and dressed >= 4


def test_pasting_by_hand():
    image = torch.zeros(3, 40, 30, dtype=torch.uint8)
    image[0] = 200
    alpha = torch.zeros(40, 30)
    alpha[10:30, 5:25] = 1
    parts = (alpha > 0.5).byte()
    points = torch.zeros(len(LANDMARKS["upper"]), 3)
    garment = Garment(image, alpha, parts, "upper", points, Layout(), torch.tensor([0.8, 0.0, 0.0]))
    frame = torch.full((3, 60, 50), 90, dtype=torch.uint8)
    out = paste_frame(frame, garment, (20, 10, 40, 30))
    assert (out[0, 20:40, 10:30] == 200).all() and (out[1:, 20:40, 10:30] == 0).all()
    out[:, 20:40, 10:30] = 90
    assert torch.equal(out, frame)
    assert torch.equal(paste_frame(frame, garment, (-50, -50, -10, -10)), frame)

    class OneBody:
        def follow(self, frames, state=None):
            joints = np.zeros((33, 3), np.float32)
            joints[:, 2] = 1
            joints[[11, 12], :2] = (40, 30), (20, 30)
            joints[[23, 24], :2] = (36, 70), (24, 70)
            joints[[25, 26], :2], joints[[27, 28], :2] = (30, 95), (30, 120)
            body = Body(joints, joints[:, 0], joints, 1.0, np.zeros((4, 4), np.uint8), np.zeros((2, 3), np.float32), 0)
            return [[body]], np.zeros((0, 5), np.float32)

    top, left, bottom, right = find_box(frame, OneBody(), "upper")
    assert (top, bottom) == (25, 74) and (left, right) == (11, 49)
    assert find_box(frame, OneBody(), "lower")[2] == 120
