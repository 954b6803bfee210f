"""Files that are damaged, lie, or try to make us read something else; and outputs that must not be left half done."""

import os
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays
from vidvton.media import source
from vidvton.media.info import Limits
from vidvton.media.reader import VideoReader, open_clip
from vidvton.media.segments import SegmentWriter
from vidvton.media.writer import VideoWriter
from vidvton.values import Clip

sys.path.insert(0, str(Path(__file__).parent))
from film_maker import make_film, packets_of, picture, times_of  # noqa: E402

PATIENCE = source._LAST_FRAME  # as it is before the suite begins
assert PATIENCE > 0


@pytest.fixture(autouse=True)
def damage_in_a_last_frame_is_waited_for(monkeypatch):
    monkeypatch.setattr(source, "_LAST_FRAME", PATIENCE)


def red_levels(path) -> tuple[list[float], VideoReader]:
    """Mean red of every frame, which in these films rises with the frame's number."""
    reader = open_clip(path)
    return [level for clip in reader.clips(7) for level in clip.frames[:, 0].float().mean((1, 2)).tolist()], reader


@pytest.fixture
def film(tmp_path):
    options = {"g": "10", "bf": "1", "b-adapt": "0", "crf": "8"}
    return make_film(tmp_path / "film.mp4", frames=40, options=options, container={"movflags": "faststart"})


def damage(path: Path, packet: int, how) -> None:
    position, size = packets_of(path)[packet]
    data = bytearray(path.read_bytes())
    data[position : position + size] = how(bytes(data[position : position + size]))
    path.write_bytes(data)


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def flipped(data: bytes) -> bytes:
    start = len(data) // 2
    middle = bytes(b ^ 0x5A for b in data[start : start + 60])
    return data[:start] + middle + data[start + len(middle) :]


@pytest.mark.parametrize("how", [zeros, flipped])
@pytest.mark.parametrize("packet", [0, 10, 15, 39])
def test_damage_is_bridged_and_reported(film, packet, how):
    before, times = times_of(film), times_of(film)
    damage(film, packet, how)
    levels, reader = red_levels(film)
    assert len(levels) == len(before) == 40
    again = torch.cat([c.pts for c in open_clip(film).clips(9)]).tolist()
    assert [t * reader.info.time_base for t in again] == times
    assert len(reader.warnings) >= 1 and "damaged" in reader.warnings[0] and " s" in reader.warnings[0]


def test_the_bridge_is_the_neighbour_and_its_time_is_told(film):
    clean, _ = red_levels(film)
    with av.open(str(film)) as box:
        shown = [p.pts for p in box.demux(video=0) if p.size]
    lost = next(i for i in range(12, 40) if shown[i] < shown[i - 1])  # a B-frame: no other picture needs it
    number = sorted(shown).index(shown[lost])
    damage(film, lost, zeros)
    levels, reader = red_levels(film)
    assert levels[number] == levels[number - 1]
    assert levels[:number] == clean[:number] and levels[number + 1 :] == clean[number + 1 :]
    assert reader.warnings == [f"1 damaged frame bridged with a neighbour, at {number / 25:.3f} s"]


@pytest.mark.parametrize("start", [3, 16, 30])
def test_damaged_films_read_the_same_from_any_start(film, start):
    damage(film, 15, flipped)
    damage(film, 20, zeros)
    whole = torch.cat([c.frames for c in open_clip(film).clips(8)])
    part = torch.cat([c.frames for c in open_clip(film).clips(8, start=start)])
    assert torch.equal(whole[start:], part)


def test_truncated_films_give_what_they_hold_and_say_so(film):
    data = film.read_bytes()
    film.write_bytes(data[: len(data) * 6 // 10])
    levels, reader = red_levels(film)
    assert 15 < len(levels) < 40 and levels == sorted(levels)
    assert reader.warnings


def test_nothing_decodable_is_an_error(tmp_path):
    film = make_film(tmp_path / "film.mp4", frames=5)
    for packet in range(5):
        damage(film, packet, zeros)
    with pytest.raises(VidvtonError, match="no frame of .* can be decoded"):
        open_clip(film)


def test_film_without_index_is_an_error(tmp_path):
    film = make_film(tmp_path / "film.mp4", frames=5)
    film.write_bytes(film.read_bytes()[:-200])
    with pytest.raises(VidvtonError, match="not a video"):
        open_clip(film)


def test_film_with_zero_frames_is_an_error(tmp_path):
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as box:
        box.add_stream("libx264", rate=25, width=32, height=32)
        box.start_encoding()
    with pytest.raises(VidvtonError):
        open_clip(path)


@pytest.mark.parametrize("content", [b"", b"hello, I am no film\n" * 50, bytes(range(256)) * 40])
def test_what_is_no_film_is_a_misuse(tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match="film.mp4"):
        open_clip(path)


def test_missing_files_and_sound_alone_are_misuse(tmp_path):
    with pytest.raises(MisuseError, match="there is no file"):
        open_clip(tmp_path / "gone.mp4")
    with pytest.raises(MisuseError, match="there is no file"):
        open_clip(tmp_path / "gone.png")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as box:
        track = box.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 0
        box.mux(track.encode(frame))
        box.mux(track.encode(None))
    with pytest.raises(MisuseError, match="no video stream"):
        open_clip(sound)


def test_playlists_are_not_followed(tmp_path):
    make_film(tmp_path / "secret.mp4", frames=3)
    lists = {
        "concat.mp4": "ffconcat version 1.0\nfile 'secret.mp4'\n",
        "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(MisuseError, match="not a video"):
            open_clip(tmp_path / name)


def test_huge_declared_sizes_are_refused_before_decoding(tmp_path):
    bomb = tmp_path / "bomb.gif"
    bomb.write_bytes(
        b"GIF89a" + struct.pack("<HH", 16000, 16000) + b"\xf0\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
        + struct.pack("<HH", 16000, 16000) + b"\0\x02\x02L\x01\0;"
    )  # fmt: skip
    with pytest.raises(VidvtonError):
        open_clip(bomb)
    film = make_film(tmp_path / "film.mp4", frames=3)
    with pytest.raises(MisuseError, match="--max-pixels"):
        open_clip(film, limits=Limits(max_pixels=6000))
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = tmp_path / "bomb.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT")
    with pytest.raises(MisuseError, match="--max-pixels"):
        open_clip(png)


def test_long_films_are_refused(tmp_path):
    film = make_film(tmp_path / "film.mp4", frames=4, time_base=Fraction(1), times=[0, 10, 20, 30])
    with pytest.raises(MisuseError, match="--max-seconds"):
        open_clip(film, limits=Limits(max_seconds=5))
    lying = make_film(tmp_path / "film.mkv", frames=4, time_base=Fraction(1), times=[0, 10, 20, 30])
    reader = VideoReader(lying, limits=Limits(max_seconds=100))
    reader._limits = Limits(max_seconds=5)  # as if the header had not told
    with pytest.raises(MisuseError, match="--max-seconds"):
        list(reader.clips(2))


def clip_of(frames: int, first: int = 0) -> Clip:
    arrays = np.stack([picture(first + i, 96, 64) for i in range(frames)])
    return Clip(torch.from_numpy(arrays).movedim(-1, 1), torch.arange(first, first + frames), Fraction(1, 25))


@pytest.fixture
def info(tmp_path):
    film = make_film(tmp_path / "source.mkv", frames=6, rate=Fraction(25), sound="aac")
    from dataclasses import replace

    return replace(open_clip(film).info, time_base=Fraction(1, 25))


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "frames"])
def test_an_interrupted_write_leaves_nothing(tmp_path, info, name):
    before = set(os.listdir(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / name, info) as writer:
            writer.write(clip_of(3))
            raise KeyboardInterrupt
    assert set(os.listdir(tmp_path)) == before
    with pytest.raises(VidvtonError, match="no frame"):
        with VideoWriter(tmp_path / name, info):
            pass
    assert set(os.listdir(tmp_path)) == before
    with VideoWriter(tmp_path / name, info) as writer:
        writer.write(clip_of(3))
        assert not (tmp_path / name).exists()
    assert set(os.listdir(tmp_path)) == before | {name}


@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_existing_outputs_stay_unless_told(tmp_path, info, name):
    path = tmp_path / name
    with VideoWriter(path, info) as writer:
        writer.write(clip_of(3))
    held = path.read_bytes() if path.is_file() else sorted(os.listdir(path))
    with pytest.raises(MisuseError, match="--overwrite"):
        VideoWriter(path, info)
    with pytest.raises(RuntimeError):
        with VideoWriter(path, info, overwrite=True) as writer:
            writer.write(clip_of(2))
            raise RuntimeError
    assert held == (path.read_bytes() if path.is_file() else sorted(os.listdir(path)))
    with VideoWriter(path, info, overwrite=True) as writer:
        writer.write(clip_of(5))
    assert len(torch.cat([c.frames for c in open_clip(path).clips(9)])) == 5


def test_outputs_that_cannot_be_written_are_refused_at_once(tmp_path, info):
    (tmp_path / "file").write_text("in the way")
    for name, words in {
        "out.xyz": "suffix", "file/out.mp4": "no folder", "gone/out.mp4": "no folder", "out.png": "one picture",
        "out.webm": "cannot hold h264 video; use .mkv or another --codec",
    }.items():  # fmt: skip
        with pytest.raises(MisuseError, match=words):
            VideoWriter(tmp_path / name, info)
    with pytest.raises(MisuseError, match="codec"):
        VideoWriter(tmp_path / "out.mp4", info, codec="divx")
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):  # root may write anywhere
        return
    with pytest.raises(VidvtonError, match="no permission"):
        VideoWriter(locked / "out.mp4", info)


def test_sound_the_container_cannot_hold_names_mkv(tmp_path, info):
    with pytest.raises(MisuseError, match=r"cannot hold aac sound; write to \.mkv"):
        VideoWriter(tmp_path / "out.webm", info, codec="vp9")
    assert not (tmp_path / "out.webm").exists()
    with VideoWriter(tmp_path / "out.webm", info, codec="vp9", sound=False) as writer:
        writer.write(clip_of(2))
    assert not open_clip(tmp_path / "out.webm").info.has_audio


def test_a_full_disk_is_one_sentence(info):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    from vidvton.media.files import disk_errors

    with pytest.raises(VidvtonError, match="the disk is full"):
        with disk_errors(Path("out.mp4")):
            with open("/dev/full", "wb", buffering=0) as full:
                full.write(b"x")


def test_misuse_of_the_segment_writer(tmp_path, info):
    with pytest.raises(MisuseError, match="ascend"):
        with SegmentWriter(tmp_path / "a.nut", info) as writer:
            writer.write(clip_of(3))
            writer.write(clip_of(3))
    assert not (tmp_path / "a.nut").exists()
    with pytest.raises(ValueError, match="does not fit"):
        with SegmentWriter(tmp_path / "a.nut", info) as writer:
            writer.write(Clip(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.tensor([0]), Fraction(1, 25)))
    assert as_arrays(clip_of(1).frames).shape == (1, 64, 96, 3)
