"""Small films with known content, made by PyAV for the media tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(number: int, width: int, height: int) -> np.ndarray:
    """[H, W, 3] uint8: smooth, and different in every frame: the mean red level rises with `number`."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    red = 30 + 3 * number + 40 * x / width
    green = 128 + 80 * np.sin(x / 17 + number / 5)
    blue = 128 + 80 * np.cos(y / 13 - number / 7)
    return np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8)


def make_film(
    path: Path, *, frames: int = 12, width: int = 96, height: int = 64, codec: str = "libx264", pixel_format: str = "yuv420p",
    rate: Fraction = Fraction(25), time_base: Fraction | None = None, times: list[int] | None = None, options: dict | None = None,
    aspect: Fraction | None = None, turn: int = 0, tags: tuple[int, int, int, int] | None = None, sound: str | None = None,
    sound_start: float = 0.0, container: dict | None = None, paint=picture,
) -> Path:  # fmt: skip
    """A film of `frames` pictures at `times` (in `time_base`), with the properties asked for; `tags` are matrix, range,
    primaries, transfer."""
    base = time_base or 1 / rate
    times = list(range(frames)) if times is None else times
    options = {"crf": "8", "preset": "veryfast"} if options is None and codec == "libx264" else options or {}
    with av.open(str(path), "w", container_options=container or {}) as box:
        film = box.add_stream(codec, rate=rate, width=width, height=height, options=options, time_base=base)
        film.pix_fmt, film.time_base = pixel_format, base
        if aspect:
            film.codec_context.sample_aspect_ratio = aspect
        if tags:
            context = film.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if turn:
            film.set_display_rotation(turn)
        track = box.add_stream(sound, rate=44100) if sound else None
        for number in range(len(times)):
            frame = av.VideoFrame.from_ndarray(paint(number, width, height), format="rgb24")
            if tags:
                frame = frame.reformat(format=pixel_format, dst_colorspace=tags[0], dst_color_range=tags[1])
                frame.colorspace, frame.color_range = tags[0], tags[1]
            frame.pts, frame.time_base = times[number], base
            box.mux(film.encode(frame))
        box.mux(film.encode(None))
        if track is not None:
            _add_sound(box, track, seconds=float(times[-1] * base) + 0.2, start=sound_start)
    return path


def _add_sound(box, track, *, seconds: float, start: float) -> None:
    size = track.codec_context.frame_size or 1024
    moment = np.arange(int(seconds * 44100)) / 44100
    wave = (np.sin(2 * np.pi * 440 * moment) * 0.3).astype(np.float32)
    for at in range(0, len(wave) - size, size):
        block = np.ascontiguousarray(np.stack([wave[at : at + size]] * 2))
        if track.codec_context.format.name.startswith("s16"):
            block = (block * 32767).astype(np.int16)
            block = np.ascontiguousarray(block.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format=track.codec_context.format.name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44100, at + int(start * 44100), Fraction(1, 44100)
        box.mux(track.encode(frame))
    box.mux(track.encode(None))


def times_of(path: Path) -> list[Fraction]:
    """Presentation times in seconds, as PyAV alone reads them."""
    with av.open(str(path)) as box:
        return [frame.pts * frame.time_base for frame in box.decode(video=0)]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """(time, bytes) of every packet of the first sound track."""
    with av.open(str(path)) as box:
        return [(p.pts * p.time_base, bytes(p)) for p in box.demux(box.streams.audio[0]) if p.size]


def packets_of(path: Path) -> list[tuple[int, int]]:
    """(position in the file, size) of every video packet in decode order."""
    with av.open(str(path)) as box:
        return [(p.pos, p.size) for p in box.demux(video=0) if p.size]
