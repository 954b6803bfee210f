"""A small real engine for the tests of the shell, the pictures and clips they need, and `vidvton` with that engine as a program.

The engine tints a rectangle by an amount that depends on the frame's index alone, slowed by TINT_SLEEP seconds a frame, so that
it can be killed. It is the whole command line's engine in a process that calls `use_tint` first.
"""

from __future__ import annotations

import json
import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from vidvton.frames import from_arrays
from vidvton.media.images import write_image
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.progress import Progress
from vidvton.render.engine import EngineSummary, GarmentFacts
from vidvton.values import Clip

SIZE = (48, 64)


class TintEngine:
    """Tints a square in the middle; looks every frame through first and keeps what it found in its work folder."""

    name = "tint"

    def __init__(self, source: Path, garments, work: Path, *, pieces: int = 7, present: bool = True, fault_at: int | None = None):
        self.source, self.garments, self.work = source, garments, work
        self.pieces, self.person, self.fault_at = pieces, present, fault_at
        self.frames = 0
        self.dressed: list[tuple[int, int]] = []
        self.analysed = 0

    def prepare(self):
        kept = self.work / "means.json"
        means = json.loads(kept.read_text()) if kept.exists() else []
        for clip in open_clip(self.source).clips(8, start=len(means)):
            for frame in clip.frames:
                means.append(float(frame.float().mean()))
                self.analysed += 1
                slowly()
            beside = kept.with_suffix(".part")
            beside.write_text(json.dumps(means))
            beside.replace(kept)
            yield Progress("analyse", len(means), None)
        self.frames = len(means)
        yield Progress("analyse", len(means), len(means))

    def num_frames(self) -> int:
        return self.frames

    def glimpse(self, t: int):
        (piece,) = self.dress(t, t + 1)
        return piece

    def dress(self, start: int, stop: int):
        self.dressed.append((start, stop))
        left = stop - start
        for clip in open_clip(self.source).clips(self.pieces, start=start):
            clip = clip.window(0, left)
            frames = clip.frames.clone()
            for k, frame in enumerate(frames):
                if self.fault_at == stop - left + k:
                    raise RuntimeError("the tint ran out")
                tint(frame, stop - left + k)
                slowly()
            left -= len(clip)
            yield Clip(frames, clip.pts, clip.time_base)
            if not left:
                return

    def summary(self) -> EngineSummary:
        facts = tuple(GarmentFacts(g.category, dict(vars(g.layout))) for g in self.garments)
        there = (self.person,) * self.frames
        return EngineSummary(
            1, (0.5,) * self.frames, there, facts, warnings=("it is only a tint",), settings={"pieces": self.pieces}
        )


def tint(frame: torch.Tensor, index: int) -> None:
    """Change the middle of `frame` [3, H, W] in place, by its index."""
    h, w = frame.shape[1:]
    colour = torch.tensor([(37 * index) % 256, (91 * index) % 256, 128], dtype=torch.uint8)
    frame[:, h // 4 : h // 2, w // 4 : w // 2] = colour[:, None, None]


def slowly() -> None:
    pause = float(os.environ.get("TINT_SLEEP", "0"))
    if pause:
        time.sleep(pause)


def make_engine(plan, work):
    return TintEngine(plan.request.source, plan.garments, work)


def use_tint() -> None:
    """From now on every render of this process tints."""
    import vidvton.render.engines

    vidvton.render.engines.make_engine = make_engine


def moving_picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """[H, W, 3] uint8, smooth and different for every index."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([(x * 3 + index * 5) % 256, (y * 4 + index * 3) % 256, (x + y + index) % 256], axis=-1).astype(np.uint8)


def make_clip(path: Path, frames: int = 30, size: tuple[int, int] = SIZE, *, uneven: bool = False, sound: bool = False) -> Path:
    """A small clip at 25 frames/s (or with uneven times): lossless in .mkv, H.264 elsewhere; with a tone if asked for."""
    lossless = path.suffix == ".mkv"
    with av.open(str(path), "w") as box:
        video = box.add_stream("ffv1" if lossless else "libx264", rate=25, width=size[1], height=size[0])
        video.pix_fmt = "bgr0" if lossless else "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        tone = box.add_stream("aac", rate=16000, layout="mono") if sound else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(moving_picture(index, size), format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = index * 40 + (index % 3 * 7 if uneven else 0), Fraction(1, 1000)
            box.mux(video.encode(frame))
        box.mux(video.encode(None))
        if tone is not None:
            wave = (np.sin(np.arange(frames * 640) * 0.2) * 8000).astype(np.int16)
            for start in range(0, len(wave), 1024):
                block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
                block.sample_rate, block.pts, block.time_base = 16000, start, Fraction(1, 16000)
                box.mux(tone.encode(block))
            box.mux(tone.encode(None))
    return path


def make_skirt(path: Path, colour: tuple[int, int, int] = (200, 30, 40)) -> Path:
    """A picture of a skirt on white: small, and of the category that is understood most quickly."""
    picture = np.full((96, 80, 3), 255, np.uint8)
    for row in range(16, 80):
        half = 14 + (row - 16) // 4
        picture[row, 40 - half : 40 + half] = colour
    write_image(path, from_arrays(picture), overwrite=True)
    return path


def frames_of(path: Path) -> np.ndarray:
    """[T, H, W, 3] uint8, all of it."""
    clips = list(open_clip(path, limits=Limits()).clips(16))
    return np.concatenate([clip.frames.movedim(1, -1).numpy() for clip in clips])


def times_of(path: Path) -> list[float]:
    return [float(p * clip.time_base) for clip in open_clip(path).clips(16) for p in clip.pts.tolist()]
