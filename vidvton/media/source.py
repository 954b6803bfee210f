"""Opening video files that anybody may have made, and decoding them frame by frame, past damage."""

from __future__ import annotations

import contextlib
import heapq
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.colour import tags_of
from vidvton.media.info import ClipInfo, Limits

# Only containers that hold their own data. Playlists (concat, hls, dash, image sequences) can make FFmpeg open other files, and
# FFmpeg goes by content, not by name; protocol_whitelist does not stop that, this does.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,gif,apng,ogg,asf,wtv,mxf,nut,"
    "h264,hevc,m4v,ivf,obu,yuv4mpegpipe,dv"
)
PROBLEMS = (av.error.FFmpegError, OSError, ValueError, IndexError, MemoryError, UnicodeError, RuntimeError)

# With frame threads FFmpeg hands out the last frame on the empty packet while a thread may still be decoding it, and damage found
# after that goes unmarked: 4 of 100 times with four processes on two cores. Seconds to let that thread finish.
_LAST_FRAME = 0.05


def brief(problem: BaseException) -> str:
    """One line of an exception, for messages."""
    strerror = getattr(problem, "strerror", None)
    text = " ".join(str(strerror or problem).split()) or type(problem).__name__
    return text[:120]


@contextlib.contextmanager
def opened(path: Path, limits: Limits) -> Iterator[av.container.InputContainer]:
    """The container in `path`, open for reading. MisuseError for no such file and for what is not a video."""
    if not path.exists():
        raise MisuseError(f"there is no file {path}; give a video, a picture or a folder of pictures")
    if not os.access(path, os.R_OK):
        raise VidvtonError(f"{path} cannot be read (permission denied); change its permissions")
    if path.stat().st_size == 0:
        raise MisuseError(f"{path} is empty (0 bytes); give a video")
    settings = {"format_whitelist": _FORMATS, "max_pixels": str(limits.max_pixels)}
    try:
        container = av.open(f"file:{path.absolute()}", options=settings, metadata_errors="replace")
    except PROBLEMS as problem:
        raise MisuseError(f"{path} is not a video ({brief(problem)}); give an MP4, MOV, MKV or WebM file") from problem
    with container:
        yield container


def video_stream(container: av.container.InputContainer, path: Path, limits: Limits) -> av.VideoStream:
    """The first moving picture in the container (cover art is not one), its declared size checked."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise MisuseError(f"{path} holds no video stream; give a video")
    stream = streams[0]
    if stream.codec_context is None:
        raise VidvtonError(f"{path} is in a video format this installation cannot decode; convert it to H.264 first")
    limits.check_size(path, stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    return stream


@dataclass
class Findings:
    """What was noticed while decoding: `bridged` times in seconds of frames that could not be decoded, and other `remarks`."""

    bridged: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def remark(self, line: str) -> None:
        """Keep one line; a file with trouble in every frame does not fill the memory."""
        if len(self.remarks) < 20:
            self.remarks.append(line)


def decoded(path: Path, limits: Limits, findings: Findings) -> Iterator[tuple[int, VideoFrame]]:
    """Every frame of the clip in presentation order with its pts (strictly ascending, in stream time base units).

    Decoding uses all cores until something breaks; then the file is decoded again on one thread, so that what is shown after the
    damage does not depend on timing, and what was already delivered is skipped. A frame that is damaged or cannot be decoded is
    replaced by its neighbour under its own time. VidvtonError where no frame at all can be decoded.
    """
    count = 0
    try:
        for item in _decode(path, limits, findings, None):
            yield item
            count += 1
    except _Damage:
        findings.bridged.clear()
        findings.remarks.clear()
        for number, item in enumerate(_decode(path, limits, findings, _damaged_times(path, limits))):
            if number >= count:
                yield item
                count += 1
    if not count:
        raise VidvtonError(f"no frame of {path} can be decoded; the file is damaged or not a video, give another")


class _Damage(Exception):
    """Something is wrong with the stream: decode it carefully."""


def _damaged_times(path: Path, limits: Limits) -> set[int]:
    """The pts of frames that come out with holes the decoder has papered over. One thread: slice threads do not conceal,
    and frame threads may hand a frame out before it is marked."""
    marked = set()
    with opened(path, limits) as container:
        stream = video_stream(container, path, limits)
        stream.thread_type, stream.codec_context.thread_count = "FRAME", 1
        for frame, _ in _frames(container, stream, [], Findings()):
            if frame is not None and frame.is_corrupt and frame.pts is not None:
                marked.add(frame.pts)
    return marked


def _decode(path: Path, limits: Limits, findings: Findings, damaged: set[int] | None) -> Iterator[tuple[int, VideoFrame]]:
    """As `decoded`; with `damaged` None on all cores, raising _Damage at the first trouble, else carefully."""
    with opened(path, limits) as container:
        stream = video_stream(container, path, limits)
        stream.thread_type = "AUTO" if damaged is None else "SLICE"
        step = max(1, round(1 / (frame_rate(stream) * stream.time_base)))
        waiting: list[int] = []  # pts of packets whose frames have not come out yet
        filled: set[int] = set()
        troubled = False
        last: int | None = None
        held: VideoFrame | None = None

        def bridge(pts: int) -> int:
            findings.bridged.append(float(pts * stream.time_base))
            filled.add(pts)
            return pts

        for frame, trouble in _frames(container, stream, waiting, findings):
            troubled |= trouble
            if damaged is None and (troubled or (frame is not None and frame.is_corrupt)):
                raise _Damage
            if frame is None:
                continue
            limits.check_size(path, frame.width, frame.height)
            pts = frame.pts if frame.pts is not None else (0 if last is None else last + step)
            if pts in filled:  # comes after its place was given to a neighbour
                continue
            if damaged and pts in damaged and held is not None:
                frame = held
                bridge(pts)
            while waiting and waiting[0] <= pts:
                lost = heapq.heappop(waiting)
                if damaged is None and lost < pts:  # PyAV swallows an error that follows a frame in one call
                    raise _Damage
                if troubled and lost < pts and (last is None or lost > last):
                    last = bridge(lost)
                    yield lost, held if held is not None else frame
            if last is not None and pts <= last:
                when = float(pts * stream.time_base)
                findings.remark(f"the frame at {when:.3f} s came no later than the one before; moved one tick on")
                pts = last + 1
            yield pts, frame
            last, held = pts, frame
        if damaged is None and last is not None and any(p > last for p in waiting):
            raise _Damage
        if troubled and held is not None:
            for lost in sorted(p for p in waiting if p > last):
                yield bridge(lost), held


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, waiting: list[int], findings: Findings
) -> Iterator[tuple[VideoFrame | None, bool]]:
    """(frame, False) for each frame as it comes out, (None, True) where the container or the decoder complains."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            if not packet.size:
                time.sleep(_LAST_FRAME)
        except StopIteration:
            return
        except PROBLEMS as problem:
            findings.remark(f"the file breaks off ({brief(problem)})")
            yield None, True
            packet = None  # nothing more to read: empty the decoder
        if packet is not None and packet.size and packet.pts is not None and not packet.is_discard:
            heapq.heappush(waiting, packet.pts)
        if packet is not None and packet.is_corrupt:
            yield None, True
        try:
            frames = stream.decode(packet)
        except PROBLEMS:
            yield None, True
            frames = []
        for frame in frames:
            yield frame, False
        if packet is None:
            return


def frame_rate(stream: av.VideoStream) -> Fraction:
    """Frames a second, as the container says; 25 where it says nothing usable."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate)
    return Fraction(25)


def probe_video(path: Path, limits: Limits) -> ClipInfo:
    """What the container's header and the first frame say."""
    findings = Findings()
    frames = decoded(path, limits, findings)
    pts, frame = next(frames)
    frames.close()
    with opened(path, limits) as container:
        stream = video_stream(container, path, limits)
        rate, base = frame_rate(stream), stream.time_base
        start = pts * base
        duration = None
        if stream.duration:
            end = ((stream.start_time or 0) + stream.duration) * base
            duration = end - start
        elif container.duration:
            duration = Fraction((container.start_time or 0) + container.duration, av.time_base) - start
        if duration is not None and duration <= 0:
            duration = None
        if duration is not None:
            limits.check_length(path, float(duration))
        turn, mirrored = orientation(frame)
        ratio = frame_aspect(stream)
        sideways = turn in (90, 270)
        return ClipInfo(
            path=path, kind="video",
            width=frame.height if sideways else frame.width, height=frame.width if sideways else frame.height,
            time_base=base, rate=rate,
            frames=stream.frames or (max(1, round(duration * rate)) if duration else 1),
            codec=stream.codec_context.name, pixel_format=frame.format.name,
            sample_aspect_ratio=1 / ratio if sideways else ratio,
            rotation=turn, mirrored=mirrored, start=start, duration=duration,
            bit_depth=max((c.bits for c in frame.format.components), default=8), colours=tags_of(frame),
            has_audio=len(container.streams.audio) > 0, has_alpha=any(c.is_alpha for c in frame.format.components),
        )  # fmt: skip


def frame_aspect(stream: av.VideoStream) -> Fraction:
    """Width of a stored pixel over its height; 1 where unknown or absurd."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return Fraction(ratio) if ratio and Fraction(1, 20) <= ratio <= 20 else Fraction(1)


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """(counter-clockwise degrees among 0, 90, 180, 270, mirrored left to right after that) that make the frame upright."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).astype(np.float64) / 65536
    # FFmpeg's matrix maps a stored point (x, y) to (a x + c y, b x + d y) on the display, y down.
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the flip of x first: what is left is a rotation
        a, c = -a, -c
    degrees = math.degrees(math.atan2(b, a)) if (a or b) else 0.0  # clockwise
    return round(-degrees / 90) % 4 * 90, mirrored


def upright(array: np.ndarray, turn: int, mirrored: bool) -> np.ndarray:
    """A view of [H, W, 3] `array` turned counter-clockwise by `turn` degrees and then, if `mirrored`, flipped left to right."""
    array = np.rot90(array, turn // 90) if turn else array
    return array[:, ::-1] if mirrored else array
