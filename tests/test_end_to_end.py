"""The whole program on a film of a real person (the portrait that matplotlib brings along), with the real pose model: the
promises of a render, one by one, read from the files that came out."""

import json
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import ready
from film_maker import make_film, sound_of, times_of
from garment_drawings import top
from scripted_people import hopper

from vidvton.media.images import read_image, write_image
from vidvton.media.reader import open_clip

TIMES = [0, 1001, 2002, 3003, 4504, 5005, 6006, 7507, 8008, 9009]  # uneven, in 1/30000 s
WIDTH, HEIGHT = 402, 400


def pan(number: int, width: int, height: int) -> np.ndarray:
    """The portrait, drifting three pixels a frame over a wall."""
    portrait = hopper(height - 20)
    wall = np.full((height, width, 3), (178, 190, 196), np.uint8)
    left = 60 + 3 * number
    part = portrait[:, : width - left]
    wall[20:, left : left + part.shape[1]] = part[: height - 20]
    return wall


def vidvton(*arguments: object) -> subprocess.CompletedProcess:
    return ready.run([str(a) for a in arguments], Path.cwd())


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as box:
        return np.stack([f.to_ndarray(format="rgb24") for f in box.decode(video=0)])


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    make_film(
        folder / "clip.mp4", frames=len(TIMES), width=WIDTH, height=HEIGHT, paint=pan, rate=Fraction(30000, 1001),
        time_base=Fraction(1, 30000), times=TIMES, sound="aac",
    )  # fmt: skip
    garment = top("tee", colour=(190, 40, 50))
    write_image(folder / "top.png", garment.tensor)
    done = vidvton("render", folder / "clip.mp4", "--garment", folder / "top.png", "-o", folder / "out.mp4",
                   "--report", folder / "report.json", "--work", folder / "kept", "--keep-work")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_frames_times_size_and_sound_are_the_sources(desk):
    source, out = desk / "clip.mp4", desk / "out.mp4"
    assert [round(t, 3) for t in map(float, times_of(out))] == [round(t, 3) for t in map(float, times_of(source))]
    assert pictures(out).shape == pictures(source).shape == (len(TIMES), HEIGHT, WIDTH, 3)
    assert [p for _, p in sound_of(out)] == [p for _, p in sound_of(source)]


def test_the_garment_is_worn_and_the_rest_is_the_sources_bit_for_bit(desk):
    from vidvton.media.info import Limits
    from vidvton.render.plan import RenderRequest, make_plan
    from vidvton.render.settings import RenderSettings
    from vidvton.render.warp_engine import WarpEngine

    plan = make_plan(RenderRequest(desk / "clip.mp4", (desk / "top.png",), desk / "again.mkv", RenderSettings()))
    engine = WarpEngine(desk / "clip.mp4", plan.garments, desk / "kept" / "analysis", RenderSettings(), Limits())
    assert "pose" not in {step.stage for step in engine.prepare()}, "the render looked at the clip already"
    source = np.concatenate([c.frames.numpy() for c in open_clip(desk / "clip.mp4").clips(8)])
    dressed = np.concatenate([c.frames.numpy() for c in engine.dress(0, engine.num_frames())])
    changed = (dressed != source).any(1)
    assert 0.08 < changed.mean() < 0.6
    # The face (upper middle of the portrait) and the wall at the left stay untouched to the last bit.
    for t in range(len(source)):
        assert not changed[t, 60:150, 60 + 3 * t + 120 : 60 + 3 * t + 200].any()
        assert not changed[t, :, :30].any()
        red = dressed[t, 0].astype(int) - dressed[t, 2].astype(int) > 60
        assert red[260:380, 160:340].mean() > 0.35
    # Any span, in any order, gives the same frames: that is what resuming rests on.
    late = np.concatenate([c.frames.numpy() for c in engine.dress(6, 9)])
    assert np.array_equal(late, dressed[6:9])
    again = WarpEngine(desk / "clip.mp4", plan.garments, desk / "kept" / "analysis", RenderSettings(), Limits())
    for _ in again.prepare():
        pass
    assert np.array_equal(np.concatenate([c.frames.numpy() for c in again.dress(3, 5)]), dressed[3:5])


def test_the_report_says_what_was_done(desk):
    report = json.loads((desk / "report.json").read_text())
    assert report["engine"] == "warp" and report["frames"] == len(TIMES)
    assert len(report["quality"]) == len(TIMES) and min(report["quality"]) > 0.2
    assert report["garments"][0]["category"] == "upper"


def test_a_photo_is_a_one_frame_clip(desk):
    picture = desk / "person.jpg"
    write_image(picture, read_frame(desk / "clip.mp4"))
    done = vidvton("render", picture, "--garment", desk / "top.png", "-o", desk / "out.png", "--quiet")
    assert done.returncode == 0, done.stderr
    before, after = read_image(picture).image, read_image(desk / "out.png").image
    assert before.shape == after.shape
    assert 0.08 < (before != after).any(0).float().mean() < 0.6


def read_frame(path: Path):
    return next(iter(open_clip(path).clips(1))).frames[0]


def test_nobody_in_the_picture_is_one_sentence_and_nothing_written(desk):
    make_film(desk / "empty.mp4", frames=3, width=160, height=120)
    done = vidvton("render", desk / "empty.mp4", "--garment", desk / "top.png", "-o", desk / "nothing.mp4")
    assert done.returncode == 1
    assert "empty.mp4: nobody was found in any of its 3 frames" in done.stderr and "Traceback" not in done.stderr
    assert not (desk / "nothing.mp4").exists() and not list(desk.glob(".nothing*"))


def test_inputs_prepared_in_memory_are_those_of_the_contract(desk):
    from vidvton.prepare import prepare
    from vidvton.render.plan import read_garment
    from vidvton.render.settings import RenderSettings

    clip = next(iter(open_clip(desk / "clip.mp4").clips(3)))
    inputs = prepare(clip, (read_garment(desk / "top.png", None, RenderSettings()),))
    assert inputs.warped.frames.shape == clip.frames.shape and inputs.warped.alpha.shape == (3, 1, HEIGHT, WIDTH)
    region, cloth = inputs.agnostic.region, inputs.warped.alpha > 0.5
    assert 0.05 < float(cloth.float().mean()) < 0.6
    assert float((cloth & region).sum() / cloth.sum()) > 0.9  # the region covers where the garment lies
    assert inputs.person.labels.shape == (3, HEIGHT, WIDTH)


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_it_gives_the_same_frames(desk):
    """SIGKILL at random moments of a real render, the same command each time: the frames are those of an unbroken run."""

    def command(name: str) -> list[str]:
        words = ["render", desk / "clip.mp4", "--garment", desk / "top.png", "-o", desk / f"{name}.mp4"]
        return [sys.executable, "-m", "vidvton", *map(str, words), "--report", str(desk / f"{name}.json"), "--quiet"]

    assert subprocess.run(command("whole"), capture_output=True).returncode == 0
    chance = random.Random(7)
    for _ in range(6):
        process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=chance.uniform(1.0, 7.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if (desk / "killed.mp4").exists():
            break
        assert not (desk / "killed.mp4").exists()
    else:
        assert subprocess.run(command("killed"), capture_output=True).returncode == 0
    whole, killed = (json.loads((desk / f"{name}.json").read_text()) for name in ("whole", "killed"))
    assert whole["digest"] == killed["digest"] is not None
