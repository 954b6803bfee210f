#!/usr/bin/env python
"""Makes the pictures of README.md from the shipped example: a strip and a short looping clip.

    .venv/bin/python tools/make_readme_pictures.py docs

Renders examples/clip.mp4 with the three garments (a minute or two on two cores), then draws docs/example_strip.jpg and
docs/example_loop.webp."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GARMENTS = ("top", "shirt", "dress")


def frames_of(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as box:
        return [frame.to_image() for frame in box.decode(video=0)]


def on_white(path: Path, size: tuple[int, int]) -> Image.Image:
    """A garment picture centred on white."""
    picture = Image.open(path).convert("RGBA")
    picture.thumbnail(size)
    sheet = Image.new("RGBA", size, "white")
    sheet.alpha_composite(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return sheet.convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    source = frames_of(ROOT / "examples/clip.mp4")
    dressed = {}
    with tempfile.TemporaryDirectory() as name:
        for garment in GARMENTS:
            out = Path(name) / f"{garment}.mp4"
            words = ["render", ROOT / "examples/clip.mp4", "--garment", ROOT / f"examples/{garment}.png", "-o", out, "--quiet"]
            command = [sys.executable, "-m", "vidvton", *map(str, words)]
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            dressed[garment] = frames_of(out)
    width, height = 210, 280
    picks = np.linspace(4, len(source) - 4, 5).round().astype(int)
    strip = Image.new("RGB", (width * 6, height * 4), "white")
    for row, (garment, frames) in enumerate([(None, source), *dressed.items()]):
        if garment:
            strip.paste(on_white(ROOT / f"examples/{garment}.png", (width, height)), (0, row * height))
        for column, t in enumerate(picks):
            strip.paste(frames[t].resize((width, height), Image.Resampling.LANCZOS), ((column + 1) * width, row * height))
    strip.save(folder / "example_strip.jpg", quality=88)
    loop = []
    for t in range(0, len(source), 2):
        sheet = Image.new("RGB", (width * 4, height))
        for column, frames in enumerate([source, *dressed.values()]):
            sheet.paste(frames[t].resize((width, height), Image.Resampling.LANCZOS), (column * width, 0))
        loop.append(sheet)
    loop[0].save(folder / "example_loop.webp", save_all=True, append_images=loop[1:], duration=80, loop=0, quality=70, method=4)


if __name__ == "__main__":
    main()
