"""Work folders: one owner, nothing foreign deleted, stale work thrown away, the fixed grid of segments."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidvton.errors import MisuseError, VidvtonError
from vidvton.render.resume import (
    LOCK,
    Grid,
    identify,
    open_work,
    peek_work,
    remove_stale_parts,
    remove_work,
    write_json,
)

IDENTITY = {"source": {"bytes": 3}, "settings": {"crf": 18}}


def test_a_fresh_folder_is_made_and_removed(tmp_path):
    path = tmp_path / ".out.mp4.work"
    with open_work(path, IDENTITY) as work:
        assert not work.resumed and work.notes == ()
        assert work.analysis.is_dir() and work.segments.is_dir()
        remove_work(work)
    assert not path.exists()


def test_the_same_render_finds_its_work_again(tmp_path):
    path = tmp_path / "work"
    with open_work(path, IDENTITY) as work:
        (work.analysis / "track").write_text("x")
        (work.segments / "000000.json").write_text("{}")
    assert peek_work(path, IDENTITY) == 1
    with open_work(path, dict(IDENTITY)) as work:
        assert work.resumed and (work.analysis / "track").read_text() == "x"


def test_another_render_starts_afresh_and_says_what_changed(tmp_path):
    path = tmp_path / "work"
    with open_work(path, IDENTITY) as work:
        (work.analysis / "deep").mkdir()
        (work.analysis / "deep" / "track").write_text("x")
    other = {**IDENTITY, "settings": {"crf": 20}}
    assert peek_work(path, other) is None
    with open_work(path, other) as work:
        assert not work.resumed
        assert len(work.notes) == 1 and "settings changed" in work.notes[0] and "afresh" in work.notes[0]
        assert not list(work.analysis.iterdir())


def test_two_runs_do_not_share_a_folder(tmp_path):
    path = tmp_path / "work"
    with open_work(path, IDENTITY):
        with pytest.raises(VidvtonError, match="another run is at work"):
            with open_work(path, IDENTITY):
                pass
    with open_work(path, IDENTITY):
        pass


def test_a_killed_owner_holds_no_lock(tmp_path):
    path = tmp_path / "work"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom vidvton.render.resume import open_work\n"
        f"with open_work(Path({str(path)!r}), {IDENTITY!r}) as work:\n"
        "    (work.analysis / 'a').write_text('1'); print('in', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "in\n"
    with pytest.raises(VidvtonError, match="another run"):
        with open_work(path, IDENTITY):
            pass
    child.kill()
    child.wait()
    with open_work(path, IDENTITY) as work:
        assert work.resumed


def test_foreign_folders_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "holiday"
    path.mkdir()
    (path / "photo.jpg").write_text("dear")
    with pytest.raises(MisuseError, match="holds other files"):
        with open_work(path, IDENTITY):
            pass
    assert [p.name for p in path.iterdir()] == ["photo.jpg"]
    with pytest.raises(MisuseError, match="is a file"):
        with open_work(path / "photo.jpg", IDENTITY):
            pass
    with pytest.raises(MisuseError, match="is not a folder"):
        with open_work(tmp_path / "no" / "such", IDENTITY):
            pass


def test_an_interrupted_clean_up_is_still_ours(tmp_path):
    path = tmp_path / "work"
    path.mkdir()
    (path / LOCK).touch()
    (path / "rubbish").write_text("half deleted")
    with open_work(path, IDENTITY) as work:
        assert not work.resumed
        assert not (path / "rubbish").exists()


def test_links_in_the_folder_are_not_followed(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("au")
    with open_work(tmp_path / "work", IDENTITY) as work:
        (work.path / "link").symlink_to(treasure)
        remove_work(work)
    assert (treasure / "gold").exists()


def test_identity_notices_every_change(tmp_path):
    path = tmp_path / "clip"
    path.write_bytes(b"a" * 3_000_000)
    first = identify(path)
    assert identify(path) == first
    stamp = path.stat().st_mtime_ns
    for position in (0, 2_999_999):
        data = bytearray(b"a" * 3_000_000)
        data[position] = 98
        path.write_bytes(data)
        os.utime(path, ns=(stamp, stamp))
        assert identify(path) != first
    path.write_bytes(b"a" * 3_000_000)
    os.utime(path, ns=(stamp, stamp + 1))
    assert identify(path) != first
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"1")
    before = identify(folder)
    (folder / "2.png").write_bytes(b"2")
    assert identify(folder) != before


def test_json_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": [1, 2]})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert path.read_text().startswith("{") and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_only_parts_of_dead_runs_are_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    time.sleep(0.01)
    mine, gone = tmp_path / f".out.part-{os.getpid()}.mp4", tmp_path / f".out.part-{dead.pid}.mp4"
    other, output = tmp_path / f".outer.part-{dead.pid}.mp4", tmp_path / "out.mp4"
    for path in (mine, gone, other, output):
        path.write_text("x")
    remove_stale_parts(output)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (mine, other, output))


@given(frames=st.integers(0, 500), size=st.integers(1, 97), data=st.data())
def test_the_grid_covers_every_frame_once_and_missing_runs_are_the_rest(frames, size, data):
    grid = Grid(frames, size)
    spans = [grid.span(i) for i in range(len(grid))]
    assert [f for start, stop in spans for f in range(start, stop)] == list(range(frames))
    done = data.draw(st.sets(st.integers(0, max(0, len(grid) - 1))))
    runs = grid.missing(done)
    assert [i for first, last in runs for i in range(first, last)] == [i for i in range(len(grid)) if i not in done]
    assert all(b[0] > a[1] for a, b in zip(runs, runs[1:]))
