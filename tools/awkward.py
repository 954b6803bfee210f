#!/usr/bin/env python
"""What a clip's awkward sisters look like with a garment on: the same clip dark, tinted, grey, small, pressed, mirrored, cut off
at the thighs, zoomed into, tilted, in few frames, and cut together with another.

    .venv/bin/python tools/awkward.py CLIP GARMENT --out DIR [--only WORD] [--other CLIP] [--frames 60]

Writes DIR/NAME.mp4, and DIR/NAME.png with a few of its frames above the same frames as rendered. Faults are found by looking.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

Frames = list[np.ndarray]
SHOWN, HEIGHT = 6, 360


def _each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frames], Frames]:
    return lambda frames: [change(f) for f in frames]


def _dark(frames: Frames) -> Frames:
    """A third of the light, and the grain that a camera adds to it."""
    rng = np.random.default_rng(0)
    return [np.clip((f / 255.0) ** 1.3 * 76 + rng.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in frames]


def _tinted(*gains: float) -> Callable[[Frames], Frames]:
    return _each(lambda f: np.clip(f * np.float32(gains), 0, 255).astype(np.uint8))


def _upper(share: float) -> Callable[[Frames], Frames]:
    return _each(lambda f: f[: int(f.shape[0] * share)])


def _moved(frames: Frames, place: Callable[[int, float, int, int], np.ndarray]) -> Frames:
    """Frames as a moving camera sees them: `place(i, share of the clip, height, width)` is the [2, 3] map from each to its
    source."""
    out = []
    for i, f in enumerate(frames):
        height, width = f.shape[:2]
        matrix = np.float32(place(i, i / max(len(frames) - 1, 1), height, width))
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out.append(cv2.warpAffine(f, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT))
    return out


def _zoomed(frames: Frames) -> Frames:
    def place(i: int, share: float, height: int, width: int) -> np.ndarray:
        scale = 1 - 0.45 * share
        x, y = width * (0.5 + 0.05 * np.sin(i / 12)), height * (0.42 + 0.03 * np.cos(i / 9))
        return np.array([[scale, 0, x - width * scale / 2], [0, scale, y - height * scale / 2]])

    return _moved(frames, place)


def _tilted(frames: Frames) -> Frames:
    return _moved(frames, lambda i, _, height, width: cv2.getRotationMatrix2D((width / 2, height / 2), 12 * np.sin(i / 10), 1))


def _fitted(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of `frame`, filling (height, width) `size`."""
    scale = max(size[0] / frame.shape[0], size[1] / frame.shape[1])
    large = cv2.resize(frame, None, fx=scale + 1e-3, fy=scale + 1e-3, interpolation=cv2.INTER_AREA)
    top, left = (large.shape[0] - size[0]) // 2, (large.shape[1] - size[1]) // 2
    return large[top : top + size[0], left : left + size[1]]


CHANGES: dict[str, Callable[[Frames], Frames]] = {
    "dark": _dark,
    "warm": _tinted(1.15, 0.9, 0.6),
    "cold": _tinted(0.6, 0.8, 1.15),
    "grey": _each(lambda f: np.repeat(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)),
    "small": _each(lambda f: cv2.resize(f, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)),
    "pressed": list,  # written with few bits
    "mirrored": _each(lambda f: f[:, ::-1]),
    "to_the_thighs": _upper(0.6),
    "to_the_waist": _upper(0.35),
    "in_a_frame": _each(lambda f: np.pad(f, ((f.shape[0] // 6,) * 2, (f.shape[1] // 3,) * 2, (0, 0)))),
    "zoomed": _zoomed,
    "tilted": _tilted,
    "few": lambda frames: frames[::4],
}


def read(path: Path, most: int) -> Frames:
    """Up to `most` frames of a clip from its second half-second on, where shop clips have faded in."""
    with av.open(str(path)) as box:
        frames = [f.to_ndarray(format="rgb24") for _, f in zip(range(most + 12), box.decode(video=0))]
    return frames[12:] if len(frames) > 24 else frames


def write(path: Path, frames: Frames, *, crf: int = 14) -> None:
    """A clip of 25 frames a second."""
    height, width = (n // 2 * 2 for n in frames[0].shape[:2])
    with av.open(str(path), "w") as box:
        stream = box.add_stream("libx264", rate=25, width=width, height=height, options={"crf": str(crf), "preset": "fast"})
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            picture = np.ascontiguousarray(frame[:height, :width])
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        box.mux(stream.encode(None))


def sheet(before: Frames, after: Frames) -> np.ndarray:
    """Frames of both, spread evenly, one row above the other, [H, W, 3]."""
    chosen = np.linspace(0, len(before) - 1, SHOWN).round().astype(int)
    scale = HEIGHT / before[0].shape[0]
    size = (round(before[0].shape[1] * scale), HEIGHT)
    rows = [[cv2.resize(clip[i], size, interpolation=cv2.INTER_AREA) for i in chosen] for clip in (before, after)]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("garment", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="the names that hold this word")
    parser.add_argument("--other", type=Path, help="a clip of somebody else, for a film of two shots")
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    frames = read(args.clip, args.frames)
    made = {name: change(frames) for name, change in CHANGES.items() if (args.only or "") in name}
    if args.other is not None and (args.only or "") in "shots":
        made["shots"] = frames[:25] + [_fitted(f, frames[0].shape[:2]) for f in read(args.other, 25)]
    for name, changed in made.items():
        path, out = args.out / f"{name}.mp4", args.out / f"{name}_out.mp4"
        write(path, changed, crf=42 if name == "pressed" else 14)
        command = [sys.executable, "-m", "vidvton", "render", str(path), "-o", str(out), "--overwrite", "--quiet"]
        done = subprocess.run([*command, *(part for g in args.garment for part in ("--garment", str(g)))], check=False)
        if done.returncode == 0:
            cv2.imwrite(str(args.out / f"{name}.png"), sheet(read(path, 999), read(out, 999))[..., ::-1])
        print(f"{name}: {'see ' + name + '.png' if done.returncode == 0 else 'refused'}", flush=True)


if __name__ == "__main__":
    main()
