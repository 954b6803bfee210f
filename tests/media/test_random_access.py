"""One contract for both backends: any frame of a film by number, the same pixels, errors in one sentence."""

import io

import av
import numpy as np
import pytest
import torch
from film_maker import picture

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import from_arrays
from vidvton.media.film import GROUP, write_film
from vidvton.media.jpeg import read_jpeg, write_jpeg
from vidvton.media.random_access import BACKENDS, agree, frame_numbers, open_film

LENGTH = 21


def painted(count, height=48, width=64):
    return from_arrays(np.stack([picture(n, width, height) for n in range(count)]))


@pytest.fixture(scope="module")
def frames():
    return painted(LENGTH)


@pytest.fixture(scope="module")
def film(frames):
    return write_film(frames)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_frame_is_the_one_asked_for(film, frames, backend):
    access = open_film(film, backend=backend)
    assert len(access) == LENGTH and access.size == (48, 64)
    got = access.frames(list(range(LENGTH)))
    assert got.dtype == torch.uint8 and got.shape == frames.shape
    assert (got.float() - frames.float()).abs().mean() < 1.5
    # neighbours differ by 3 levels of red: each is nearest to its own
    red, true = got[:, 0].float().mean((1, 2)), frames[:, 0].float().mean((1, 2))
    assert (red[:, None] - true[None]).abs().argmin(1).tolist() == list(range(LENGTH))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("numbers", [[0], [20], [7, 8], [19, 3, 3, 11], [20, 0], [0, 5, 10, 15, 20]], ids=str)
def test_any_order_and_repeats_give_what_reading_through_gives(film, backend, numbers):
    through = open_film(film, backend="pyav").frames(list(range(LENGTH)))
    assert torch.equal(open_film(film, backend=backend).frames(numbers), through[numbers])


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_reader_serves_many_calls(film, backend):
    access = open_film(film, backend=backend)
    late, early = access.frames([18]), access.frames([1])
    assert torch.equal(access.frames([1, 18]), torch.cat([early, late]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wrong", [[-1], [LENGTH], [3, 400]], ids=str)
def test_numbers_out_of_range_are_refused(film, backend, wrong):
    with pytest.raises(MisuseError, match="there is no frame .* in a film of 21 frames"):
        open_film(film, backend=backend).frames(wrong)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [1, GROUP, GROUP + 1])
def test_films_around_the_length_of_a_group(backend, count):
    film = write_film(painted(count))
    access = open_film(film, backend=backend)
    assert len(access) == count and len(access.frames([0, count - 1])) == 2
    assert agree(film)


def test_films_are_as_training_needs_them(film):
    with av.open(io.BytesIO(film)) as box:
        stream = box.streams.video[0]
        packets = [p for p in box.demux(stream) if p.size]
        assert [p.is_keyframe for p in packets] == [n % GROUP == 0 for n in range(LENGTH)]
        assert [p.pts for p in packets] == [p.dts for p in packets]  # shown in the order they are stored
        assert stream.codec_context.pix_fmt == "yuv444p" and stream.average_rate == 25
    assert b"elst" not in film


def test_a_width_decord_cannot_read_is_left_to_pyav():
    film = write_film(painted(3, 64, 72))  # decord pads rows to 16, 32 or 64 pixels, as the processor likes, and stumbles over it
    assert not agree(film)
    assert len(open_film(film, backend="pyav").frames([0, 2])) == 2


def test_decord_may_be_missing(film, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "decord", None)
    assert not agree(film)
    assert type(open_film(film, backend="decord")).__name__ == "_PyAv"


@pytest.mark.parametrize("damage", [b"", b"not a film at all", None])
def test_damage_is_one_sentence(film, damage):
    broken = film[: len(film) // 3] if damage is None else damage
    with pytest.raises(VidvtonError, match="prepare the set again"):
        open_film(broken).frames([0, LENGTH - 1])


def test_an_empty_film_and_an_unknown_backend_are_refused(film):
    with pytest.raises(VidvtonError, match="at least one frame"):
        write_film(torch.zeros(0, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(MisuseError, match="pyav, decord"):
        open_film(film, backend="opencv")


def test_frame_numbers():
    assert frame_numbers(10, 4, stride=3) == [0, 3, 6, 9]
    assert frame_numbers(10, 2, stride=2, start=7) == [7, 9]
    assert frame_numbers(5, 1, stride=9, start=4) == [4]
    for wrong in ({"stride": 4}, {"start": 7}, {"start": -1}):
        with pytest.raises(MisuseError, match="are not in a clip of 10 frames"):
            frame_numbers(10, 4, **wrong)


def test_jpegs_go_through_memory(frames):
    image = frames[3]
    data = write_jpeg(image)
    assert data[:2] == b"\xff\xd8" and (read_jpeg(data).float() - image.float()).abs().mean() < 1.5
    for broken in (b"", b"GIF89a", data[:40]):
        with pytest.raises(VidvtonError, match="prepare the set again"):
            read_jpeg(broken)
