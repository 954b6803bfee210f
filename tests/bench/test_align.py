"""Anybody's output finds its place over the source, and what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from moving_clips import BLUE, frames_at, moments, write_film

from vidvton.bench.align import align, index_clip, read_frames
from vidvton.errors import MisuseError
from vidvton.frames import resize
from vidvton.media.images import write_image


def film(folder, name, frames, **settings):
    return index_clip(write_film(folder / f"{name}.mkv", frames, **settings))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return film(tmp_path_factory.mktemp("source"), "source", frames_at(moments(50))[0])


def test_an_output_of_the_same_frames_is_a_perfect_fit(source, tmp_path):
    found = align(source, film(tmp_path, "out", frames_at(moments(50), shirt=BLUE)[0]))
    assert np.array_equal(found.pairs[:, 0], np.arange(50)) and np.array_equal(found.pairs[:, 1], np.arange(50))
    assert found.misfit.perfect and found.fit.kind == "same"


def test_a_slower_output_is_laid_on_the_frames_it_shows(source, tmp_path):
    found = align(source, film(tmp_path, "out", frames_at(moments(25, 12.5), shirt=BLUE)[0], rate=12.5))
    assert found.pairs[:, 0].tolist() == list(range(0, 50, 2))
    assert found.misfit.skipped == 24 and found.misfit.missing == 1
    assert any("12.5 frames a second" in line for line in found.misfit.sentences())


def test_a_faster_output_gives_each_source_frame_its_own(source, tmp_path):
    found = align(source, film(tmp_path, "out", frames_at(moments(100, 50), shirt=BLUE)[0], rate=50))
    assert found.pairs[:, 0].tolist() == list(range(50))
    assert found.pairs[:, 1].tolist() == list(range(0, 100, 2))


def test_another_rate_pairs_every_frame_with_the_nearest_moment(source, tmp_path):
    found = align(source, film(tmp_path, "out", frames_at(moments(48, 24), shirt=BLUE)[0], rate=24))
    for a, b in found.pairs:
        assert abs(a / 25 - b / 24) <= 0.5 / 24 + 1e-6
    assert len(set(found.pairs[:, 0].tolist())) == len(found.pairs) >= 47


def test_the_same_frames_under_other_times_are_told_by_the_pictures(source, tmp_path):
    """What most systems write: the source's first frames at a fixed 8 a second."""
    found = align(source, film(tmp_path, "out", frames_at(moments(32), shirt=BLUE)[0], rate=8))
    assert found.misfit.way == "number" and found.misfit.missing == 18
    assert np.array_equal(found.pairs[:, 0], found.pairs[:, 1]) and len(found.pairs) == 32
    assert any("under other times" in line for line in found.misfit.sentences())


def test_a_late_start_is_found_and_reported(source, tmp_path):
    found = align(source, film(tmp_path, "out", frames_at(moments(38, start=7 / 25), shirt=BLUE)[0]))
    assert np.array_equal(found.pairs[:, 0] - found.pairs[:, 1], np.full(38, 7))
    assert found.misfit.offset == pytest.approx(7 / 25, abs=1e-6) and found.misfit.missing == 12
    given = align(source, film(tmp_path, "out", frames_at(moments(38, start=7 / 25), shirt=BLUE)[0]), offset=0.0)
    assert np.array_equal(given.pairs[:, 0], given.pairs[:, 1])


def test_a_still_clip_keeps_the_files_own_times(tmp_path):
    still = frames_at([0.0] * 20)[0]
    found = align(film(tmp_path, "a", still), film(tmp_path, "b", still[:15]))
    assert found.misfit.way == "time" and found.misfit.offset == 0 and found.misfit.missing == 5


def test_repeated_frames_are_counted(source, tmp_path):
    frames = frames_at(moments(50), shirt=BLUE)[0].clone()
    frames[10], frames[11], frames[30] = frames[9], frames[9], frames[29]
    assert align(source, film(tmp_path, "out", frames)).misfit.stalled == 3


def test_clips_that_share_no_time_are_one_sentence(source, tmp_path):
    away = film(tmp_path, "away", frames_at(moments(20))[0], first=500)
    with pytest.raises(MisuseError, match=r"share no time; give --offset -20\.000") as caught:
        align(source, away)
    assert "\n" not in str(caught.value)
    assert len(align(source, away, offset=-20.0).pairs) == 20
    with pytest.raises(MisuseError, match="share no time"):
        align(source, away, offset=100.0)
    with pytest.raises(MisuseError, match="did you mean 'number'"):
        align(source, away, way="numbers")


@pytest.mark.parametrize("kind", ["stretched", "cropped", "letterboxed"])
def test_the_way_a_size_was_changed_is_told_by_the_pictures(source, tmp_path, kind):
    frames = frames_at(moments(50), shirt=BLUE)[0]  # 96 x 72, to a square
    if kind == "stretched":
        square = resize(frames, (64, 64))
    elif kind == "cropped":
        square = resize(frames[:, :, 12:84], (64, 64))
    else:
        square = torch.zeros(50, 3, 64, 64, dtype=torch.uint8)
        square[..., 8:56] = resize(frames, (64, 48))
    found = align(source, film(tmp_path, "out", square))
    assert found.fit.kind == kind
    assert any("64x64" in line and kind in line for line in found.misfit.sentences())
    back = torch.stack(list(read_frames(tmp_path / "out.mkv", np.arange(50), found.fit.output, (64, 48))))
    there = torch.stack(list(read_frames(source.path, np.arange(50), found.fit.source, (64, 48))))
    difference = (back.float() - there.float()).abs().mean(1)[:, :20].mean()  # above the shirt
    assert difference < 12


def test_a_folder_of_pictures_is_matched_by_number(source, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    fifty = film(tmp_path, "fast", frames_at(moments(40, 50))[0], rate=50)
    for k, frame in enumerate(frames_at(moments(40, 50), shirt=BLUE)[0]):
        write_image(folder / f"{k:03}.png", frame)
    found = align(fifty, index_clip(folder))
    assert np.array_equal(found.pairs[:, 0], found.pairs[:, 1]) and len(found.pairs) == 40


def test_frames_are_read_by_number_repeats_and_all(source):
    frames = frames_at(moments(50))[0]
    numbers = np.array([3, 3, 4, 20, 49])
    read = torch.stack(list(read_frames(source.path, numbers, None, (96, 72))))
    assert torch.equal(read, frames[torch.from_numpy(numbers)])
    assert torch.equal(next(read_frames(source.path, np.array([5]), (10, 20, 60, 70), (50, 50))), frames[5, :, 10:60, 20:70])
    assert list(read_frames(source.path, np.array([], int), None, (96, 72))) == []
