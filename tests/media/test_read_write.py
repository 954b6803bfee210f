"""What goes through reader and writer comes out with the same frames, times, size, colours and sound."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vidvton.errors import MisuseError
from vidvton.frames import as_arrays
from vidvton.media.reader import open_clip, probe
from vidvton.media.segments import SegmentWriter, decode_times, join_segments
from vidvton.media.writer import VideoWriter

sys.path.insert(0, str(Path(__file__).parent))
from film_maker import make_film, picture, sound_of, times_of  # noqa: E402

NTSC = Fraction(30000, 1001)
VARIABLE = [0, 400, 1650, 1651, 4000, 5000, 9000, 9100, 9200, 14000, 14777, 15000]


def read_all(path, *, length=5, start=0):
    clips = list(open_clip(path).clips(length, start=start))
    return torch.cat([c.frames for c in clips]), torch.cat([c.pts for c in clips]).tolist()


def round_trip(source: Path, output: Path, **settings) -> Path:
    reader = open_clip(source)
    with VideoWriter(output, reader.info, **settings) as writer:
        for clip in reader.clips(5):
            writer.write(clip)
    return output


FILMS = {
    "constant": {},
    "ntsc": {"rate": NTSC, "time_base": 1 / NTSC},
    "ntsc_fine": {"rate": NTSC, "time_base": Fraction(1, 30000), "times": [1001 * i for i in range(12)]},
    "variable": {"time_base": Fraction(1, 10000), "times": VARIABLE},
    "start_offset": {"time_base": Fraction(1, 90000), "times": [7380 + 3003 * i for i in range(12)], "sound": "aac"},
    "b_frames": {"frames": 30, "options": {"bf": "4", "b-adapt": "0", "g": "10", "crf": "8"}},
    "no_b_frames": {"options": {"bf": "0", "crf": "8"}},
    "wide_pixels": {"aspect": Fraction(16, 11)},
    "sound": {"frames": 30, "sound": "aac"},
    "late_sound": {"frames": 30, "sound": "aac", "sound_start": 0.31},
    "one_frame": {"frames": 1},
    "two_frames": {"frames": 2},
    "odd_size": {"width": 321, "height": 243, "pixel_format": "yuv444p", "frames": 4},
    "full_range": {"pixel_format": "yuvj420p", "tags": (5, 2, 5, 6)},
    "bt709": {"tags": (1, 1, 1, 1)},
    "bt601": {"tags": (6, 1, 6, 6)},
    "turned": {"turn": 90, "aspect": Fraction(4, 3)},
}


@pytest.mark.parametrize("name", ["b_frames", "variable", "turned"])
def test_single_frames_are_those_of_the_clip(tmp_path, name):
    film = make_film(tmp_path / "film.mp4", **FILMS[name])
    whole, _ = read_all(film)
    for chosen in ([0, 3, 4, len(whole) - 1], [5], []):
        found = list(open_clip(film).frames_at(chosen))
        assert len(found) == len(chosen)
        assert all((f == whole[k].permute(1, 2, 0).numpy()).all() for k, f in zip(chosen, found))


@pytest.mark.parametrize("name", FILMS)
def test_round_trip_keeps_times_size_colours_and_sound(tmp_path, name):
    source = make_film(tmp_path / "source.mp4", **FILMS[name])
    output = round_trip(source, tmp_path / "out.mp4")
    before, after = probe(source), probe(output)
    assert times_of(output) == times_of(source)
    assert after.size == before.size
    assert after.sample_aspect_ratio == before.sample_aspect_ratio
    assert after.colours == before.colours
    assert (after.start, after.duration) == (before.start, before.duration)
    assert after.rotation == 0
    if FILMS[name].get("sound"):
        assert sound_of(output) == sound_of(source)
    else:
        assert not after.has_audio
    a, _ = read_all(source)
    b, _ = read_all(output)
    error = (a.float() - b.float()).square().mean()
    assert 10 * torch.log10(255**2 / error) > 38


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".webm"])
def test_other_containers_keep_times_to_the_millisecond_and_sound(tmp_path, suffix):
    sound = None if suffix == ".webm" else "pcm_s16le"
    source = make_film(tmp_path / "source.mkv", frames=20, rate=NTSC, time_base=1 / NTSC, sound=sound)
    codec = "vp9" if suffix == ".webm" else "h264"
    output = round_trip(source, tmp_path / f"out{suffix}", codec=codec)
    assert max(abs(a - b) for a, b in zip(times_of(source), times_of(output), strict=True)) <= Fraction(1, 1000)
    if sound:
        assert [data for _, data in sound_of(output)] == [data for _, data in sound_of(source)]
        assert max(abs(a - b) for (a, _), (b, _) in zip(sound_of(source), sound_of(output))) <= Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_shortest_films(tmp_path, codec, count, suffix):
    """Of films of one or two frames x265 leaves the decode times unset."""
    source = make_film(tmp_path / "c.mp4", frames=count)
    output = round_trip(source, tmp_path / f"out{suffix}", codec=codec)
    assert times_of(output) == times_of(source)
    with av.open(str(output)) as box:
        decoding = [float(p.dts * p.time_base) for p in box.demux(video=0) if p.size and p.dts is not None]
    assert decoding == sorted(decoding) and all(abs(t) < 1 for t in decoding)
    assert len(decoding) == count or suffix == ".mkv"  # Matroska stores none


@pytest.mark.parametrize("unset", [-(2**62), 2**62, 7, None])
def test_decode_times_that_an_encoder_leaves_unset_are_not_believed(tmp_path, unset):
    class Unset:
        def __init__(self, stream):
            self._stream = stream

        def __getattr__(self, name):
            return getattr(self._stream, name)

        def encode(self, frame):
            packets = self._stream.encode(frame)
            for packet in packets:
                packet.dts = None if unset is None else unset + packet.pts
            return packets

    source = make_film(tmp_path / "c.mp4", frames=2)
    with SegmentWriter(tmp_path / "a.nut", probe(source)) as writer:
        writer._stream = Unset(writer._stream)
        writer.write(next(open_clip(source).clips(2)))
    join_segments([tmp_path / "a.nut"], tmp_path / "out.mp4", probe(source))
    assert times_of(tmp_path / "out.mp4") == times_of(source)


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1", "ffv1"])
@pytest.mark.parametrize("size", [(96, 64), (97, 65)])
def test_codecs_keep_size_and_times(tmp_path, codec, size):
    source = make_film(tmp_path / "source.mp4", frames=5, width=size[0], height=size[1], pixel_format="yuv444p")
    output = round_trip(source, tmp_path / "out.mkv", codec=codec)
    assert probe(output).size == size[::-1]
    assert times_of(output) == times_of(source)
    frames, _ = read_all(source)
    again, _ = read_all(output)
    if codec == "ffv1":
        assert torch.equal(frames, again)
    assert 10 * torch.log10(255**2 / (frames.float() - again.float()).square().mean().clamp(min=1e-6)) > 30


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied(tmp_path, turn):
    source = make_film(tmp_path / "turned.mp4", turn=turn, frames=2)
    frames, _ = read_all(source)
    expected = np.rot90(picture(0, 96, 64), turn // 90)
    assert frames.shape[2:] == expected.shape[:2]
    assert np.abs(as_arrays(frames)[0].astype(int) - expected).mean() < 4
    assert probe(source).rotation == turn


def test_mirrored_films_are_read_as_players_show_them(tmp_path):
    source = tmp_path / "mirrored.mp4"
    with av.open(str(source), "w") as box:
        film = box.add_stream("libx264", rate=25, width=96, height=64, options={"crf": "8"})
        film.set_display_rotation(90, hflip=True)
        box.mux(film.encode(av.VideoFrame.from_ndarray(picture(0, 96, 64), format="rgb24")))
        box.mux(film.encode(None))
    frames, _ = read_all(source)
    expected = np.rot90(picture(0, 96, 64))[:, ::-1]
    assert np.abs(as_arrays(frames)[0].astype(int) - expected).mean() < 4


@pytest.mark.parametrize("start", [0, 1, 7, 19, 29])
def test_frame_k_is_frame_k_wherever_one_starts(tmp_path, start):
    source = make_film(tmp_path / "b.mp4", frames=30, options={"bf": "4", "g": "10", "crf": "8"})
    whole, times = read_all(source)
    part, later = read_all(source, start=start)
    assert torch.equal(part, whole[start:]) and later == times[start:]


def test_windows_overlap_and_are_the_callers_own(tmp_path):
    source = make_film(tmp_path / "s.mp4", frames=11)
    whole, times = read_all(source, length=100)
    clips = list(open_clip(source).clips(4, overlap=2))
    assert [len(c) for c in clips] == [4, 4, 4, 4, 3]
    for number, clip in enumerate(clips):
        assert torch.equal(clip.frames, whole[2 * number : 2 * number + 4])
        assert clip.pts.tolist() == times[2 * number : 2 * number + 4]
    clips[0].frames.zero_()
    assert torch.equal(clips[1].frames, whole[2:6])
    with pytest.raises(MisuseError):
        open_clip(source).clips(4, overlap=4)


def reference_rgb(frame, matrix, full):
    """Float conversion of a yuv444p frame of any depth."""
    bits = frame.format.components[0].bits
    kind = np.uint8 if bits == 8 else np.uint16
    y, u, v = (
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(np.float64) / 2 ** (bits - 8) for p in frame.planes
    )
    kr, kb = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    y = y / (256 - 2 ** (8 - bits)) if full else (y - 16) / 219
    u, v = (u - 128) / (255 if full else 224), (v - 128) / (255 if full else 224)
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le"])
@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 1, 6, 6), (9, 1, 9, 14), (1, 2, 1, 1), (6, 2, 6, 6)])
def test_colours_are_within_one_level_of_a_float_conversion(tmp_path, pixel_format, tags):
    source = make_film(tmp_path / "c.mp4", frames=2, pixel_format=pixel_format, tags=tags)
    frames, _ = read_all(source)
    with av.open(str(source)) as box:
        stored = next(box.decode(video=0))
    error = np.abs(as_arrays(frames)[0] - reference_rgb(stored, tags[0], tags[1] == 2))
    assert error.max() <= 1.0
    assert (10 if "10" in pixel_format else 8) == probe(source).bit_depth
    notes = open_clip(source).notes
    assert notes == (["10-bit source, read as 8-bit"] if "10" in pixel_format else [])


@pytest.mark.parametrize("transfer, diffuse_white", [(16, 0.5807), (18, 0.75)])
def test_hdr_is_tone_mapped_and_said(tmp_path, transfer, diffuse_white):
    levels = np.linspace(0, 1, 96)

    def paint(number, width, height):
        return np.repeat(np.rint(np.tile(levels, (height, 1))[..., None] * 255), 3, -1).astype(np.uint8)

    source = make_film(
        tmp_path / "hdr.mkv", frames=2, codec="libx265", pixel_format="yuv420p10le", tags=(9, 1, 9, transfer), paint=paint,
        options={"crf": "4", "x265-params": "log-level=none:bframes=0"},
    )  # fmt: skip
    reader = open_clip(source)
    assert reader.info.is_hdr and len(reader.notes) == 1 and "HDR" in reader.notes[0] and "tone-mapped" in reader.notes[0]
    row = as_arrays(read_all(source)[0])[0, 32].astype(int)
    assert (np.diff(row[:, 1]) >= -1).all() and np.ptp(row, axis=1).max() <= 4  # rises, and grey stays grey
    assert row[0].max() <= 4 and row[-1].min() >= 240
    white = row[np.abs(levels - diffuse_white).argmin()]
    assert 220 <= white.min() and white.max() <= 245
    output = round_trip(source, tmp_path / "sdr.mp4")
    after = probe(output)
    assert not after.is_hdr and (after.colours.primaries, after.colours.transfer, after.colours.matrix) == (1, 1, 1)


def test_segments_joined_equal_one_write(tmp_path):
    times = [137 + t for t in VARIABLE] + [137 + 15000 + 300 * i for i in range(1, 20)]
    options = {"bf": "3", "crf": "8"}
    source = make_film(tmp_path / "s.mp4", time_base=Fraction(1, 10000), times=times, sound="aac", options=options)
    reader = open_clip(source)
    segments, shown = [], []
    for number, clip in enumerate(reader.clips(9)):
        path = tmp_path / f"{number}.nut"
        with SegmentWriter(path, reader.info) as writer:
            writer.write(clip)
        with av.open(str(path)) as box:
            packets = [p for p in box.demux(video=0) if p.size]
            assert packets[0].is_keyframe
        with av.open(str(path)) as box:
            shown += [f.to_ndarray() for f in box.decode(video=0)]
        segments.append(path)
    joined = tmp_path / "joined.mp4"
    join_segments(segments, joined, reader.info, audio_from=source)
    assert times_of(joined) == times_of(source)
    assert sound_of(joined) == sound_of(source)
    with av.open(str(joined)) as box:
        again = [f.to_ndarray() for f in box.decode(video=0)]
    assert len(again) == len(shown) and all(np.array_equal(a, b) for a, b in zip(again, shown))
    with av.open(str(joined)) as box:
        order = [p.dts for p in box.demux(video=0) if p.size]
    assert order == sorted(set(order))
    with pytest.raises(Exception, match="one presentation time"):
        join_segments([segments[0], segments[0]], tmp_path / "twice.mp4", reader.info)
    assert not (tmp_path / "twice.mp4").exists()


def test_decode_times_by_hand():
    assert decode_times([0, 3, 1, 2, 6, 4, 5]) == [-1, 0, 1, 2, 3, 4, 5]
    assert decode_times([10, 20, 30]) == [10, 20, 30]
    assert decode_times([5]) == [5]
    assert decode_times([0, 40, 20, 10, 30]) == [-20, -10, 0, 10, 20]
