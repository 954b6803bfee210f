"""Renders from end to end with a small real engine: what comes out, what is left behind, what a kill costs."""

from __future__ import annotations

import errno
import json
import random
import shutil
import signal
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import ready
import torch
from tinting import SIZE, TintEngine, frames_of, make_clip, make_skirt, moving_picture, times_of, tint, use_tint

from vidvton.errors import VidvtonError
from vidvton.frames import from_arrays
from vidvton.media.images import read_image, write_image
from vidvton.progress import Note, Progress
from vidvton.render.encode import Encoder
from vidvton.render.plan import RenderRequest, make_plan
from vidvton.render.resume import Grid, open_work
from vidvton.render.settings import RenderSettings, VideoSettings
from vidvton.render.video import cut_at_grid, render_clip
from vidvton.values import Clip


def settings(segment: int = 8, codec: str = "ffv1") -> RenderSettings:
    return RenderSettings(video=VideoSettings(codec=codec, segment=segment))


def request(folder: Path, source: Path, output: str = "out.mkv", **changes) -> RenderRequest:
    skirt = folder / "skirt.png"
    if not skirt.exists():
        make_skirt(skirt)
    return RenderRequest(source, (skirt,), folder / output, **{"settings": settings(), "categories": ("lower",), **changes})


def run(steps):
    """(events, report) of a render carried through."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def tint_engine(**options):
    return lambda plan, work: TintEngine(plan.request.source, plan.garments, work, **options)


def tinted(source: Path) -> np.ndarray:
    """What the engine should make of a clip, made here without it."""
    frames = torch.from_numpy(frames_of(source)).movedim(-1, 1).contiguous()
    for index, frame in enumerate(frames):
        tint(frame, index)
    return frames.movedim(1, -1).numpy()


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 30])
def test_every_frame_comes_out_once_with_its_time_and_untouched_outside(tmp_path, frames):
    clip = make_clip(tmp_path / "clip.mkv", frames, uneven=True)
    events, report = run(render_clip(make_plan(request(tmp_path, clip)), tint_engine()))
    out = tmp_path / "out.mkv"
    assert np.array_equal(frames_of(out), tinted(clip))
    assert times_of(out) == pytest.approx(times_of(clip), abs=1e-9)
    assert report.frames == frames and report.frames_resumed == 0
    assert left_in(tmp_path) == []
    dress = [e.done for e in events if isinstance(e, Progress) and e.stage == "dress"]
    assert dress[0] == 0 and dress[-1] == frames and dress == sorted(dress)


def test_sound_is_copied_packet_by_packet(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 30, sound=True)
    run(render_clip(make_plan(request(tmp_path, clip, "out.mp4", settings=settings(codec="h264"))), tint_engine()))

    def packets(path):
        with av.open(str(path)) as box:
            return [(bytes(p), float(p.pts * p.time_base)) for p in box.demux(box.streams.audio[0]) if p.size]

    ours, theirs = packets(tmp_path / "out.mp4"), packets(clip)
    assert [b for b, _ in ours] == [b for b, _ in theirs] and len(ours) > 10
    assert [t for _, t in ours] == pytest.approx([t for _, t in theirs], abs=1e-3)
    assert times_of(tmp_path / "out.mp4") == pytest.approx(times_of(clip), abs=1e-3)


def test_a_photo_gives_a_photo(tmp_path):
    photo = tmp_path / "person.png"
    write_image(photo, from_arrays(moving_picture(5)))
    run(render_clip(make_plan(request(tmp_path, photo, "out.png")), tint_engine()))
    expected = from_arrays(moving_picture(5))
    tint(expected, 0)
    assert torch.equal(read_image(tmp_path / "out.png").image, expected)
    assert left_in(tmp_path) == []


def test_a_folder_gives_a_folder_with_the_same_names(tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number in (1, 2, 3, 10, 11):
        write_image(folder / f"shot{number}.png", from_arrays(moving_picture(number)))
    (folder / "notes.txt").write_text("not a picture")
    run(render_clip(make_plan(request(tmp_path, folder, "out", settings=settings(segment=2))), tint_engine()))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"shot{n}.png" for n in (1, 2, 3, 10, 11))
    for index, number in enumerate((1, 2, 3, 10, 11)):
        expected = from_arrays(moving_picture(number))
        tint(expected, index)
        assert torch.equal(read_image(tmp_path / "out" / f"shot{number}.png").image, expected)
    assert left_in(tmp_path) == []


def test_side_by_side_writes_one_wide_clip(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 20)
    run(render_clip(make_plan(request(tmp_path, clip, side_by_side=True)), tint_engine()))
    wide = frames_of(tmp_path / "out.mkv")
    assert np.array_equal(wide[:, :, : SIZE[1]], frames_of(clip))
    assert np.array_equal(wide[:, :, -SIZE[1] :], tinted(clip))


def test_an_interrupted_run_goes_on_with_the_first_missing_segment(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 40)
    _, whole = run(render_clip(make_plan(request(tmp_path, clip, "whole.mkv")), tint_engine()))
    plan = make_plan(request(tmp_path, clip))
    with pytest.raises(KeyboardInterrupt), closing(render_clip(plan, tint_engine())) as steps:
        for event in steps:
            if isinstance(event, Progress) and event.stage == "dress" and event.done >= 30:
                time.sleep(0.3)  # let the encoder catch up
                raise KeyboardInterrupt
    assert not (tmp_path / "out.mkv").exists()
    done = make_plan(request(tmp_path, clip)).segments_done
    assert 1 <= done <= 4
    engines = []
    events, report = run(render_clip(plan, lambda p, w: engines.append(tint_engine()(p, w)) or engines[-1]))
    assert engines[0].analysed == 0 and engines[0].dressed == [(8 * done, 40)]
    assert report.frames_resumed == 8 * done and report.digest == whole.digest
    assert np.array_equal(frames_of(tmp_path / "out.mkv"), frames_of(tmp_path / "whole.mkv"))
    assert any(isinstance(e, Note) and "going on" in e.text for e in events)
    assert left_in(tmp_path) == []


def test_a_missing_segment_in_the_middle_is_made_again(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 40)
    plan = make_plan(request(tmp_path, clip, work=tmp_path / "work", keep_work=True))
    _, first = run(render_clip(plan, tint_engine()))
    for index in (1, 4):
        (tmp_path / "work" / "segments" / f"{index:06}.json").unlink()
    (tmp_path / "out.mkv").unlink()
    engines = []
    _, second = run(render_clip(plan, lambda p, w: engines.append(tint_engine()(p, w)) or engines[-1]))
    assert engines[0].dressed == [(8, 16), (32, 40)]
    assert first.digest == second.digest and np.array_equal(frames_of(tmp_path / "out.mkv"), tinted(clip))
    assert (tmp_path / "work").is_dir()


def test_another_garment_or_setting_starts_afresh(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 24)
    keep = {"work": tmp_path / "work", "keep_work": True, "overwrite": True}
    run(render_clip(make_plan(request(tmp_path, clip, **keep)), tint_engine()))
    make_skirt(tmp_path / "skirt.png", (10, 120, 30))
    events, report = run(render_clip(make_plan(request(tmp_path, clip, **keep)), tint_engine()))
    assert report.frames_resumed == 0
    assert any(isinstance(e, Note) and "garments changed" in e.text for e in events)
    events, report = run(render_clip(make_plan(request(tmp_path, clip, settings=settings(segment=5), **keep)), tint_engine()))
    assert report.frames_resumed == 0 and any(isinstance(e, Note) and "settings changed" in e.text for e in events)


def test_killed_at_any_moment_the_same_command_yields_the_same_frames(tmp_path):
    """SIGKILL at random moments of real processes, from the first analysis to the joining."""
    clip = make_clip(tmp_path / "clip.mkv", 60)
    make_skirt(tmp_path / "skirt.png")
    (tmp_path / "fast.yaml").write_text("video: {segment: 8, codec: ffv1}\n")
    command = ["render", "clip.mkv", "-g", "skirt.png", "-o", "out.mkv", "--category", "lower", "--config", "fast.yaml", "--json"]
    dice, marks, said = random.Random(4), [], tmp_path / "said"
    said.mkdir()
    for turn in range(3):
        err = said / f"{turn}.err"
        child = ready.start(command, tmp_path, out=said / "out", err=err, before=use_tint, environment={"TINT_SLEEP": "0.02"})
        while child.is_alive() and not err.stat().st_size:  # the first sign of work
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.9))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        segments = tmp_path / ".out.mkv.work" / "segments"
        marks.append(len(list(segments.glob("*.json"))) if segments.is_dir() else 0)
    assert marks == sorted(marks)
    shutil.rmtree(said)
    done = ready.run(command, tmp_path, before=use_tint)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["frames"] == 60
    assert np.array_equal(frames_of(tmp_path / "out.mkv"), tinted(clip))
    assert left_in(tmp_path) == []
    plan = make_plan(request(tmp_path, clip, "whole.mkv"))
    assert run(render_clip(plan, tint_engine()))[1].digest == report["digest"]


def test_killed_after_the_output_was_named_it_just_tidies_up(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "clip.mkv", 20)
    wanted = request(tmp_path, clip, report=tmp_path / "r.json")

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("vidvton.render.video.remove_work", die)
        with pytest.raises(Killed):
            run(render_clip(make_plan(wanted), tint_engine()))
    assert (tmp_path / "out.mkv").exists() and left_in(tmp_path) == [".out.mkv.work"]
    _, report = run(render_clip(make_plan(wanted), tint_engine()))
    assert report.frames_resumed == 20 and left_in(tmp_path) == []
    assert np.array_equal(frames_of(tmp_path / "out.mkv"), tinted(clip))
    with pytest.raises(VidvtonError, match="exists already"):  # finished is finished
        make_plan(wanted)


def test_somebody_elses_file_of_that_name_is_not_taken_for_ours(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 20)
    keep = {"work": tmp_path / "work", "keep_work": True}
    run(render_clip(make_plan(request(tmp_path, clip, **keep)), tint_engine()))
    (tmp_path / "out.mkv").write_bytes((tmp_path / "out.mkv").read_bytes())  # the same bytes, written by another hand
    with pytest.raises(VidvtonError, match="exists already"):
        make_plan(request(tmp_path, clip, **keep))


def test_nobody_found_writes_nothing(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 9)
    with pytest.raises(VidvtonError, match="nobody was found in any of its 9 frames"):
        run(render_clip(make_plan(request(tmp_path, clip, report=tmp_path / "r.json")), tint_engine(present=False)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mkv", "skirt.png"]


def test_a_fault_in_the_engine_keeps_the_work_but_no_output(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 30)
    plan = make_plan(request(tmp_path, clip))
    with pytest.raises(RuntimeError, match="ran out"):
        run(render_clip(plan, tint_engine(fault_at=28)))
    assert not (tmp_path / "out.mkv").exists() and left_in(tmp_path) == [".out.mkv.work"]
    assert not list((tmp_path / ".out.mkv.work" / "segments").glob(".*"))
    _, report = run(render_clip(plan, tint_engine()))
    assert report.frames == 30 and np.array_equal(frames_of(tmp_path / "out.mkv"), tinted(clip))


def test_an_output_that_appears_meanwhile_is_not_overwritten(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 9)
    with closing(render_clip(make_plan(request(tmp_path, clip)), tint_engine())) as steps:
        next(steps)
        (tmp_path / "out.mkv").write_text("mine")
        with pytest.raises(VidvtonError, match="exists already"):
            run(steps)
    assert (tmp_path / "out.mkv").read_text() == "mine" and left_in(tmp_path) == []


class _FullDisk:
    """An output whose every segment fails like a full disk."""

    def segment(self, folder, index):
        return folder / str(index)

    def open_segment(self, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def join(self, segments, output):
        raise AssertionError("nothing to join")


def test_what_fails_in_the_encoding_thread_reaches_the_caller(tmp_path):
    piece = Clip(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.arange(2), Fraction(1, 25))
    with pytest.raises(OSError) as caught, Encoder(tmp_path, _FullDisk()) as encoder:
        for _ in range(50):
            encoder.put(0, piece, False)
        encoder.finish()
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("frames", [19, 21])
def test_engines_that_miscount_are_found_out(tmp_path, frames):
    pieces = (Clip(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.tensor([i]), Fraction(1, 25)) for i in range(frames))
    with pytest.raises(VidvtonError, match="frame"):
        list(cut_at_grid(pieces, Grid(20, 8), 0, 20))


@pytest.mark.parametrize("lengths", [[30], [1] * 30, [7, 7, 7, 9], [29, 1], [3, 0, 27]])
def test_pieces_are_cut_at_segment_borders(lengths):
    starts = np.cumsum([8, *lengths])
    pieces = (
        Clip(torch.zeros(n, 3, 2, 2, dtype=torch.uint8), torch.arange(s, s + n), Fraction(1, 25)) for s, n in zip(starts, lengths)
    )
    cut = list(cut_at_grid(pieces, Grid(38, 8), 8, 38, most=4))
    assert [p for _, piece, _ in cut for p in piece.pts.tolist()] == list(range(8, 38))
    for index, piece, ends in cut:
        assert set((piece.pts // 8).tolist()) == {index} and 1 <= len(piece) <= 4
        assert ends == (int(piece.pts[-1]) in (15, 23, 31, 37))


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """Peak memory of a process that renders 20 frames and of one that renders 160: the same to within a few frames."""
    make_skirt(tmp_path / "skirt.png")
    peaks = []
    for frames in (20, 160):
        make_clip(tmp_path / f"{frames}.mkv", frames, (240, 320))
        command = ["render", f"{frames}.mkv", "-g", "skirt.png", "-o", f"o{frames}.mkv", "--category", "lower"]
        done = ready.run([*command, "--codec", "ffv1", "--json", "-q"], tmp_path, before=use_tint)
        assert done.returncode == 0, done.stderr
        peaks.append(json.loads(done.stdout)["peak_memory_mib"])
    assert peaks[1] - peaks[0] < 18  # 140 more frames are 31 MiB
    assert peaks[0] > 50


def test_the_work_folder_is_locked_while_rendering(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 9)
    plan = make_plan(request(tmp_path, clip))
    with open_work(plan.work, plan.identity):
        with pytest.raises(VidvtonError, match="another run"):
            run(render_clip(plan, tint_engine()))
    run(render_clip(plan, tint_engine()))
