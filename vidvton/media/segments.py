"""Encoded runs of frames, and their joining into one file with the source's times and sound.

A segment is a NUT file (any time base, exact times, B-frames) that holds video only, begins with a key frame and refers to
nothing outside itself. Joining copies packets; nothing is encoded twice.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays
from vidvton.media.colour import FromRgb
from vidvton.media.files import check_writable, disk_errors, part_path, remove, settle, written_beside
from vidvton.media.info import DEFAULT_LIMITS, FULL, GBR, ClipInfo
from vidvton.media.source import PROBLEMS, brief, opened
from vidvton.values import Clip

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_SHIFT = 3600  # seconds; NUT knows no negative times, and decoding starts before the first frame is shown


@dataclass(frozen=True)
class _Encoder:
    library: str
    crf: int | None
    options: tuple[tuple[str, str], ...]
    preset: str | None  # the default preset, None where there is none
    needs_even: bool = False  # cannot store odd sides with halved chroma
    lossless: bool = False  # stores RGB as it is
    unasked: tuple[tuple[str, str], ...] = ()  # options beside the default preset, dropped where a preset is asked for


_ENCODERS = {
    # One reference frame and coarser motion: 0.6 of fast's time, 3 to 8 % larger, 0.9 dB less at the same crf. Preset veryfast
    # takes as long and loses up to 2.6 dB where much moves.
    "h264": _Encoder("libx264", 18, (), "fast", needs_even=True, unasked=(("x264-params", "subme=2:ref=1"),)),
    "hevc": _Encoder("libx265", 20, (("x265-params", "log-level=none"),), "veryfast", needs_even=True),
    "vp9": _Encoder("libvpx-vp9", 24, (("b", "0"), ("deadline", "good"), ("cpu-used", "4"), ("row-mt", "1")), None),
    "av1": _Encoder("libsvtav1", 24, (), "8"),
    "ffv1": _Encoder("ffv1", None, (("level", "3"),), None, lossless=True),
}
CODECS = tuple(_ENCODERS)
MOST_AHEAD = 64  # frames that no encoder decodes ahead of the first one shown


def check_output(
    path: Path, info: ClipInfo, *, codec: str = "h264", audio_from: Path | None = None, overwrite: bool = False
) -> None:
    """Raise now what writing `path` would raise after the work: MisuseError for a suffix or codec that is not known, a codec or
    sound the container cannot hold, an existing file or a missing folder; VidvtonError for no permission."""
    encoder, kind = _encoder(codec), _container(path)
    check_writable(path, overwrite=overwrite)
    with av.open(io.BytesIO(), "w", format=kind) as box:
        try:
            box.add_mux_stream(encoder.library)
        except ValueError as problem:
            raise MisuseError(f"a {path.suffix} file cannot hold {codec} video; use .mkv or another --codec") from problem
    if audio_from is not None and info.has_audio:
        with opened(audio_from, DEFAULT_LIMITS) as source, av.open(io.BytesIO(), "w", format=kind) as box:
            for stream in source.streams.audio:
                if stream.codec_context is not None:
                    _add_stream(box, stream, path)


class SegmentWriter:
    """Encodes a run of frames into one closed segment file, whole or absent. A context manager: leaving it by an exception
    removes what was written."""

    def __init__(
        self, path: str | Path, info: ClipInfo, *, codec: str = "h264", crf: int | None = None, preset: str | None = None,
        overwrite: bool = False,
    ) -> None:  # fmt: skip
        """`info` gives size, pixel shape, time base, rate and colours. `crf` is the codec's own quality number (lower is better;
        18 for h264 unless given), `preset` its own speed word. MisuseError for an unknown codec or an existing file."""
        encoder = _encoder(codec)
        self.path, self._info = Path(path), info
        check_writable(self.path, overwrite=overwrite)
        self._part = part_path(self.path)
        self._times: list[int] = []
        self._shift = _shift(info.time_base)
        try:
            with _writing(self.path):
                self._box = av.open(f"file:{self._part.absolute()}", "w", format="nut")
                self._stream, self._from_rgb = _add_encoder(self._box, info, encoder, crf, preset)
        except BaseException:
            self.abandon()
            raise

    def __len__(self) -> int:
        """Frames taken so far."""
        return len(self._times)

    def write(self, clip: Clip) -> None:
        """Encode the frames of `clip`: of `info`'s size and time base, later than all before."""
        if clip.size != self._info.size or clip.time_base != self._info.time_base:
            raise ValueError(
                f"clip of {clip.size} in {clip.time_base} s does not fit {self._info.size} in {self._info.time_base} s"
            )
        with _writing(self.path):
            for array, pts in zip(as_arrays(clip.frames), clip.pts.tolist()):
                if self._times and pts <= self._times[-1]:
                    raise MisuseError(f"frame times must ascend, but {pts} comes after {self._times[-1]}")
                frame = self._from_rgb(array)
                # The encoder counts frames; true times are put on its packets. So no time base is too fine for a codec.
                frame.pts, frame.time_base = len(self._times), self._stream.codec_context.time_base
                self._times.append(pts)
                self._mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file and give it its name. VidvtonError where no frame was written."""
        try:
            if not self._times:
                raise VidvtonError(f"no frame was given to {self.path}; a clip needs at least one")
            with _writing(self.path):
                self._mux(self._stream.encode(None))
                self._box.close()
                settle(self._part, self.path)
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _mux(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            if packet.dts is None or not -MOST_AHEAD <= packet.dts <= packet.pts:
                packet.dts = packet.pts  # in films of one or two frames x265 leaves it unset, to be any number
            first = min(packet.dts, 0)  # before the first frame is shown, decode times go back tick by tick
            packet.pts, packet.dts = self._times[packet.pts] + self._shift, self._times[packet.dts - first] + first + self._shift
            packet.time_base = self._info.time_base
            packet.duration = 0
            self._box.mux_one(packet)

    def abandon(self) -> None:
        """Drop what was written."""
        with contextlib.suppress(*PROBLEMS):
            self._box.close()
        remove(self._part)


def join_segments(
    segments: Sequence[str | Path], output: str | Path, info: ClipInfo, *, audio_from: str | Path | None = None,
    overwrite: bool = False,
) -> None:  # fmt: skip
    """Copy the packets of `segments` (in order) into `output`, whole or absent, with `audio_from`'s sound, if any, unchanged.

    Every frame keeps its presentation time exactly (to the millisecond in .mkv and .webm, which count in those), the distance
    between picture and sound is the source's, and decode times are made from the presentation times. MisuseError where the
    container cannot hold the codec or the sound; VidvtonError where segments do not fit together or a disk refuses.
    """
    output = Path(output)
    paths = [Path(s) for s in segments]
    times = [pts for path in paths for pts, _ in _packets(path, info.time_base)]
    if not times:
        raise VidvtonError(f"there are no frames to write to {output}")
    order = decode_times(times)
    shown = sorted(times)
    gaps = dict(zip(shown, (b - a for a, b in zip(shown, shown[1:]))))
    gaps[shown[-1]] = gaps[times[-1]] = _last_duration(shown, info)  # the last shown, and the last decoded: MP4 counts with both
    with contextlib.ExitStack() as stack:
        part = stack.enter_context(written_beside(output, overwrite=overwrite))
        stack.enter_context(_writing(output))
        template = stack.enter_context(_segment(paths[0]))
        has_sound = audio_from is not None and info.has_audio
        source = stack.enter_context(opened(Path(audio_from), DEFAULT_LIMITS)) if has_sound else None
        sounds = [s for s in source.streams.audio if s.codec_context is not None] if source else []
        box = stack.enter_context(_output(part, output, info.time_base, [s.time_base for s in sounds]))
        video = _add_stream(box, template.streams.video[0], output)
        video.time_base = info.time_base
        video.codec_context.framerate = info.rate
        copies = {s.index: _add_stream(box, s, output) for s in sounds}
        pictures = _restamped(paths, video, order, gaps, info.time_base)
        for packet, stream in heapq.merge(pictures, _sound(source, sounds, copies), key=_moment):
            packet.stream = stream
            box.mux_one(packet)


def decode_times(times: Sequence[int]) -> list[int]:
    """Decode times for presentation times given in decode order: the i-th packet is decoded when the (i - d)-th picture is shown,
    d being the least delay that lets every packet be decoded before it is shown. Strictly ascending, never after `times`."""
    shown = sorted(times)
    rank = {pts: number for number, pts in enumerate(shown)}
    if len(rank) != len(times):
        raise VidvtonError("two frames have one presentation time; the segments overlap, delete them and render again")
    delay = max(i - rank[pts] for i, pts in enumerate(times))
    return [_time_at(shown, i - delay) for i in range(len(times))]


def _time_at(times: Sequence[int], index: int) -> int:
    if index >= 0:
        return times[index]
    mirrored = min(-index, len(times) - 1)
    return times[0] - (times[mirrored] - times[0]) - (-index - mirrored)


def _last_duration(shown: Sequence[int], info: ClipInfo) -> int:
    step = max(1, round(1 / (info.rate * info.time_base)))
    usual = shown[-1] - shown[-2] if len(shown) > 1 else step
    if info.duration is not None:
        left = round((info.start + info.duration) / info.time_base) - shown[-1]
        if 0 < left <= 4 * max(usual, step):
            return left
    return usual


def _moment(item: tuple[Packet, av.stream.Stream]) -> Fraction:
    packet = item[0]
    return packet.dts * packet.time_base


def _restamped(
    paths: Sequence[Path], stream: av.stream.Stream, order: Sequence[int], gaps: dict[int, int], time_base: Fraction
) -> Iterator[tuple[Packet, av.stream.Stream]]:
    number = 0
    for path in paths:
        for pts, packet in _packets(path, time_base):
            packet.pts, packet.dts, packet.time_base, packet.duration = pts, order[number], time_base, gaps[pts]
            number += 1
            yield packet, stream


def _sound(
    source: av.container.InputContainer | None, sounds: Sequence[av.AudioStream], copies: dict[int, av.stream.Stream]
) -> Iterator[tuple[Packet, av.stream.Stream]]:
    if not sounds:
        return
    packets = source.demux(*sounds)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, *PROBLEMS):  # a source that breaks off: the sound up to there
            return
        if packet.size and (packet.dts is not None or packet.pts is not None):
            if packet.dts is None:
                packet.dts = packet.pts
            yield packet, copies[packet.stream.index]


def _packets(path: Path, time_base: Fraction) -> Iterator[tuple[int, Packet]]:
    """The packets in decode order with their pts in `time_base` (NUT counts in a finer multiple of it)."""
    with _segment(path) as box:
        stream = box.streams.video[0]
        scale, shift = stream.time_base / time_base, _shift(time_base)
        for packet in box.demux(stream):
            if packet.size:
                yield round(packet.pts * scale) - shift, packet


def _shift(time_base: Fraction) -> int:
    return math.ceil(_SHIFT / time_base)


@contextlib.contextmanager
def _segment(path: Path) -> Iterator[av.container.InputContainer]:
    try:
        box = av.open(f"file:{path.absolute()}", format="nut")
    except PROBLEMS as problem:
        raise VidvtonError(f"the segment {path} cannot be read ({brief(problem)}); delete it and render again") from problem
    with box:
        yield box


@contextlib.contextmanager
def _output(part: Path, path: Path, time_base: Fraction, others: Sequence[Fraction]) -> Iterator[av.container.OutputContainer]:
    kind = _container(path)
    settings = {}
    if kind in ("mp4", "mov"):
        # Times of an edit list (start offsets) count in the movie's scale, a millisecond unless told otherwise.
        scale = math.lcm(time_base.denominator, *(base.denominator for base in others))
        scale = scale if scale < 2**31 else time_base.denominator
        settings = {"video_track_timescale": str(time_base.denominator), "movie_timescale": str(scale), "movflags": "+faststart"}
    box = av.open(f"file:{part.absolute()}", "w", format=kind, container_options=settings)
    try:
        yield box
        box.close()
    except BaseException:
        with contextlib.suppress(*PROBLEMS):
            box.close()
        raise


def _add_encoder(
    box: av.container.OutputContainer, info: ClipInfo, encoder: _Encoder, crf: int | None, preset: str | None
) -> tuple[av.VideoStream, FromRgb]:
    options = dict(encoder.options + (encoder.unasked if preset is None else ()))
    quality = encoder.crf if crf is None else crf
    if encoder.crf is not None:
        options["crf"] = str(quality)
    if encoder.preset is not None:
        options["preset"] = preset or encoder.preset
    rate = info.rate.limit_denominator(100_100)
    stream = box.add_stream(encoder.library, rate=rate, width=info.width, height=info.height, options=options, time_base=1 / rate)
    context = stream.codec_context
    tags = info.picture_colours
    if encoder.lossless:
        tags, context.pix_fmt = replace(tags, matrix=GBR, range=FULL), "bgr0"
    else:
        odd = info.width % 2 or info.height % 2
        context.pix_fmt = "yuv444p" if odd and encoder.needs_even else "yuv420p"
    context.colorspace, context.color_range = tags.matrix, tags.range
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    context.sample_aspect_ratio = info.sample_aspect_ratio
    context.thread_type = "AUTO"
    context.flags |= av.codec.context.Flags.global_header.value
    stream.time_base = info.time_base
    return stream, FromRgb(context.pix_fmt, tags)


def _add_stream(box: av.container.OutputContainer, template: av.stream.Stream, path: Path) -> av.stream.Stream:
    try:
        stream = box.add_stream_from_template(template, opaque=True)
    except ValueError as problem:
        what = "sound" if template.type == "audio" else "video"
        raise MisuseError(
            f"a {path.suffix} file cannot hold {template.codec_context.name} {what}; write to .mkv, which can"
        ) from problem
    stream.metadata.update({k: v for k, v in template.metadata.items() if k in ("language", "title")})
    return stream


def _encoder(codec: str) -> _Encoder:
    if codec not in _ENCODERS:
        raise MisuseError(f"there is no codec {codec!r}; use one of {', '.join(CODECS)}")
    return _ENCODERS[codec]


def _container(path: Path) -> str:
    kind = CONTAINERS.get(path.suffix.lower())
    if kind is None:
        raise MisuseError(f"{path} has no video suffix that can be written; use one of {', '.join(CONTAINERS)}")
    return kind


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Whatever the encoder, the muxer or the disk says while `path` is written, in one sentence."""
    with disk_errors(path):
        try:
            yield
        except av.error.FFmpegError as problem:
            if problem.errno in (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO):
                raise OSError(problem.errno, os.strerror(problem.errno)) from problem
            raise VidvtonError(f"{path} could not be written ({brief(problem)}); try another codec or container") from problem
