"""Clips, read as a stream of windows: from a video, a photo or a folder of photos, behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays, from_arrays
from vidvton.media.colour import ToRgb
from vidvton.media.images import IMAGE_SUFFIXES, image_size, natural_key, read_image
from vidvton.media.info import BT709, DEFAULT_LIMITS, FULL, GBR, ClipInfo, Colours, Limits
from vidvton.media.source import Findings, decoded, probe_video, upright
from vidvton.values import Clip

PICTURE_RATE = Fraction(25)  # the rate at which a folder of pictures is played


class ClipReader(Protocol):
    """What reads a clip. `notes` say how the source was understood, `warnings` what was wrong with it: one line each."""

    info: ClipInfo

    @property
    def notes(self) -> list[str]: ...

    @property
    def warnings(self) -> list[str]: ...

    def clips(self, length: int, overlap: int = 0, start: int = 0) -> Iterator[Clip]: ...

    def frames_at(self, numbers: Sequence[int]) -> Iterator[np.ndarray]: ...


class VideoReader:
    """Reads a video file. MisuseError or VidvtonError, in one sentence, for whatever cannot be read."""

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self.info = probe_video(Path(path), limits)
        self._findings = Findings()

    @property
    def notes(self) -> list[str]:
        """How the source was understood, one line each; known from the start."""
        return notes_of(self.info)

    @property
    def warnings(self) -> list[str]:
        """What was wrong with the source as far as it has been read, one line each."""
        times = sorted(self._findings.bridged)
        lines = list(self._findings.remarks)
        if times:
            shown = ", ".join(f"{t:.3f}" for t in times[:8]) + (", ..." if len(times) > 8 else "")
            noun = "frame" if len(times) == 1 else "frames"
            lines.insert(0, f"{len(times)} damaged {noun} bridged with a neighbour, at {shown} s")
        return lines

    def clips(self, length: int, overlap: int = 0, start: int = 0) -> Iterator[Clip]:
        """Windows of `length` frames from frame `start` on, each beginning with the last `overlap` frames of the one before.

        The last window may be shorter; every frame of the source comes out, with its own presentation time, upright, in 8-bit
        RGB. Frames before `start` are decoded and dropped, so frame k is frame k wherever one begins. Memory is that of one
        window.
        """
        return windows(self._frames(start), length, overlap, self.info.time_base, self.info.size)

    def frames_at(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames `numbers` (ascending), [H, W, 3] uint8 each, upright: the same as `clips` gives. What lies between them is
        decoded and not converted, which is most of the work."""
        if len(numbers):
            frames = self._frames(numbers[0], frozenset(numbers))
            yield from (array for _, (_, array) in zip(numbers, frames))  # in this order: nothing is read beyond the last

    def _frames(self, start: int, only: frozenset[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        info, self._findings = self.info, Findings()
        sideways = info.rotation in (90, 270)
        to_rgb = ToRgb(*((info.height, info.width) if sideways else (info.width, info.height)))
        first = last_frame = last_array = size = None
        for number, (pts, frame) in enumerate(decoded(info.path, self._limits, self._findings)):
            first = pts if first is None else first
            self._limits.check_length(info.path, float((pts - first) * info.time_base))
            self._limits.check_count(info.path, number + 1)
            if number < start or (only is not None and number not in only):
                continue
            if frame is not last_frame:
                if size not in (None, (frame.width, frame.height)):
                    when = float(pts * info.time_base)
                    self._findings.remark(f"the stored size changes to {frame.width}x{frame.height} at {when:.3f} s; scaled")
                size = (frame.width, frame.height)
                last_frame, last_array = frame, upright(to_rgb(frame), info.rotation, info.mirrored)
            yield pts, last_array
        if info.duration is not None and first is not None:
            read = (pts - first) * info.time_base + 1 / info.rate
            if read < info.duration - max(Fraction(1, 2), info.duration / 50):
                self._findings.remark(f"the file promises {float(info.duration):.2f} s of video and holds {float(read):.2f} s")


class PictureReader:
    """Reads one photo, or a folder of photos of one size in natural order (2 before 10), as a clip of 25 frames a second."""

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        path = Path(path)
        self._limits = limits
        self._paths = _pictures_in(path) if path.is_dir() else [path]
        limits.check_count(path, len(self._paths))
        height, width = image_size(self._paths[0], max_pixels=limits.max_pixels)
        count = len(self._paths)
        self.info = ClipInfo(
            path=path, kind="folder" if path.is_dir() else "image", width=width, height=height, time_base=1 / PICTURE_RATE,
            rate=PICTURE_RATE, frames=count, codec=self._paths[0].suffix.lower().lstrip("."), pixel_format="rgb24",
            duration=count / PICTURE_RATE, colours=Colours(primaries=BT709, transfer=BT709, matrix=GBR, range=FULL),
        )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        """How the source was understood, one line each."""
        return [f"{len(self._paths)} pictures in natural order, as a clip"] if self.info.kind == "folder" else []

    @property
    def warnings(self) -> list[str]:
        """Always empty: a picture that cannot be read is an error."""
        return []

    def clips(self, length: int, overlap: int = 0, start: int = 0) -> Iterator[Clip]:
        """As `VideoReader.clips`; VidvtonError where a picture of the folder has another size than the first."""
        return windows(self._frames(range(start, len(self._paths))), length, overlap, self.info.time_base, self.info.size)

    def frames_at(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """As `VideoReader.frames_at`."""
        return (array for _, array in self._frames(numbers))

    def _frames(self, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for number in numbers:
            path = self._paths[number]
            picture = read_image(path, max_pixels=self._limits.max_pixels)
            if picture.size != self.info.size:
                raise VidvtonError(
                    f"{path} is {picture.size[1]}x{picture.size[0]} and the first picture of its folder "
                    f"{self.info.width}x{self.info.height}; all pictures of a folder must have one size"
                )
            yield number, as_arrays(picture.image)


def _pictures_in(folder: Path) -> list[Path]:
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() and not p.name.startswith(".")]
    if not paths:
        raise MisuseError(f"the folder {folder} holds no pictures; give one with {', '.join(IMAGE_SUFFIXES)} files")
    return sorted(paths, key=natural_key)


def open_clip(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> VideoReader | PictureReader:
    """The reader for whatever `path` is: a video, a photo or a folder of photos."""
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return PictureReader(path, limits=limits)
    return VideoReader(path, limits=limits)


def probe(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> ClipInfo:
    """What `path` holds, from its header and first frame; errors as `open_clip`."""
    return open_clip(path, limits=limits).info


def notes_of(info: ClipInfo) -> list[str]:
    """One line for everything about a video that is read in a way its owner should know."""
    lines = []
    if info.is_hdr:
        curve = "PQ" if info.colours.transfer == 16 else "HLG"
        lines.append(f"{info.bit_depth}-bit HDR ({curve}) source, tone-mapped to 8-bit SDR (BT.709)")
    elif info.bit_depth > 8:
        lines.append(f"{info.bit_depth}-bit source, read as 8-bit")
    if info.rotation or info.mirrored:
        lines.append(f"stored turned by {info.rotation} degrees{' and mirrored' if info.mirrored else ''}, read upright")
    if info.has_alpha:
        lines.append("the video's transparency is not kept")
    return lines


def windows(
    frames: Iterator[tuple[int, np.ndarray]], length: int, overlap: int, time_base: Fraction, size: tuple[int, int]
) -> Iterator[Clip]:
    """Clips of `length` frames, overlapping by `overlap`, from (pts, [H, W, 3] uint8) pairs; the last one may be shorter."""
    if length < 1 or not 0 <= overlap < length:
        raise MisuseError(f"windows of {length} frames with {overlap} overlapping are impossible; give length > overlap >= 0")
    return _windows(frames, length, overlap, time_base, size)


def _windows(frames, length: int, overlap: int, time_base: Fraction, size: tuple[int, int]) -> Iterator[Clip]:
    pixels, times, filled, fresh = np.empty((length, *size, 3), np.uint8), [], 0, 0
    for pts, array in frames:
        if filled == length:
            yield _clip(pixels, times, time_base)
            kept = pixels[length - overlap :]
            pixels = np.empty_like(pixels)  # the one handed out is the caller's
            pixels[:overlap] = kept
            times, filled, fresh = times[length - overlap :], overlap, 0
        pixels[filled] = array
        times.append(pts)
        filled, fresh = filled + 1, fresh + 1
    if fresh:
        yield _clip(pixels[:filled], times, time_base)


def _clip(pixels: np.ndarray, times: list[int], time_base: Fraction) -> Clip:
    return Clip(from_arrays(pixels), torch.tensor(times, dtype=torch.int64), time_base)
