#!/usr/bin/env python
"""Where a result's flow-warping error comes from: inside the cloth or along its rim, from fast or slow places, and how far the
result's own motion is from the motion that flow sees in the source.

    .venv/bin/python tools/error_parts.py SOURCE OUTPUT [--start 0] [--count 40] [--heat HEAT.png]

The error is that of the audit's warp_error_ratio: what moved along the source's flow (DIS, medium, full size, forward-backward
checked) against what is there, mean absolute difference of levels over 255, where the result differs from the source. A print
that keeps to a body agrees with its own flow; on plain cloth the source's flow is noise, and the last lines say by how much.
"""

import argparse
from pathlib import Path

import av
import cv2
import numpy as np

RIM = 12  # pixels from the changed region's edge that are its rim
SPEEDS = (0.0, 0.3, 1.0, 3.0, 8.0, np.inf)


def frames_of(path: Path, start: int, count: int) -> list[np.ndarray]:
    """Up to `count` frames [H, W, 3] uint8 from number `start` on, as stored (rotation is not applied)."""
    with av.open(str(path)) as box:
        frames = (f.to_ndarray(format="rgb24") for f in box.decode(video=0))
        return [f for k, f in enumerate(frames) if start <= k < start + count]


def changed(source: np.ndarray, result: np.ndarray) -> np.ndarray:
    """[H, W] bool: where the result differs from the source by over 24 levels, gaps closed."""
    away = cv2.absdiff(source, result).max(-1)
    spots = cv2.medianBlur((away > 24).astype(np.uint8), 5)
    return cv2.morphologyEx(spots, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8)) > 0


class Way:
    """Flow from `after` back to `before`, both [H, W, 3] uint8."""

    def __init__(self, before: np.ndarray, after: np.ndarray) -> None:
        a, b = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (before, after))
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.flow, forth = dis.calc(b, a, None), dis.calc(a, b, None)
        height, width = a.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self.at = np.dstack([x, y]) + self.flow
        rest = np.linalg.norm(self.flow + cv2.remap(forth, self.at, None, cv2.INTER_LINEAR), axis=-1)
        speed = np.linalg.norm(self.flow, axis=-1)
        inside = ((self.at >= 0) & (self.at <= (width - 1, height - 1))).all(-1)
        self.seen = inside & (rest < 1 + 0.01 * (speed + np.linalg.norm(forth, axis=-1)))
        self.speed = speed

    def error(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """[H, W] float32: mean absolute difference over 255 between `before` moved along the flow, and `after`."""
        moved = cv2.remap(before, self.at, None, cv2.INTER_LINEAR).astype(np.float32)
        return np.abs(moved - after).mean(-1) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--start", type=int, default=0, help="first frame")
    parser.add_argument("--count", type=int, default=40, help="frames")
    parser.add_argument("--heat", type=Path, help="a picture of where the error is")
    args = parser.parse_args()
    sources, results = (frames_of(p, args.start, args.count) for p in (args.source, args.output))
    sums: dict[str, np.ndarray] = {}

    def add(name: str, where: np.ndarray, **values: np.ndarray) -> None:
        row = [float(v[where].sum()) for v in values.values()]
        sums[name] = sums.get(name, 0) + np.array([*row, where.sum()])

    heat = np.zeros(sources[0].shape[:2])
    for k in range(1, min(len(sources), len(results))):
        way, own = Way(sources[k - 1], sources[k]), Way(results[k - 1], results[k])
        region = changed(sources[k], results[k])
        inner = cv2.erode(region.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > 0
        use = region & way.seen
        both = {"source": way.error(sources[k - 1], sources[k]), "result": way.error(results[k - 1], results[k])}
        add("all", use, **both), add("inside", use & inner, **both), add("rim", use & ~inner, **both)
        for low, high in zip(SPEEDS, SPEEDS[1:]):
            add(f"inside, {low:g} to {high:g} px a frame", use & inner & (way.speed >= low) & (way.speed < high), **both)
        apart = np.linalg.norm(own.flow - way.flow, axis=-1)
        add("inside, by the result's own flow", use & inner, apart=apart, result=own.error(results[k - 1], results[k]))
        heat += np.where(use, both["result"], 0)
    for name, (first, second, count) in sums.items():
        unit = "flows apart (px)" if "own" in name else "source"
        print(f"{name:36} {unit} {first / max(count, 1):.4f}  result {second / max(count, 1):.4f}  pixels {int(count)}")
    if args.heat:
        levels = np.clip(heat / len(sources) * 255 * 8, 0, 255).astype(np.uint8)
        cv2.imwrite(str(args.heat), cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))


if __name__ == "__main__":
    main()
