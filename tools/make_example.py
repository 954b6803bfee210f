"""Makes examples/: a 64-frame clip with sound and three garment pictures, all from the studio and a seed.

.venv/bin/python tools/make_example.py [FOLDER]      # default: examples
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from vidvton.media.images import write_image
from vidvton.media.info import ClipInfo
from vidvton.media.writer import VideoWriter
from vidvton.synth.backdrop import Backdrop
from vidvton.synth.body import BodyShape
from vidvton.synth.clip import make_frames, make_shop_pictures
from vidvton.synth.fabric import Fabric
from vidvton.synth.garments import GarmentSpec
from vidvton.synth.light import Light
from vidvton.synth.look import Look
from vidvton.synth.scene import CameraScript, Script
from vidvton.synth.sensor import Sensor
from vidvton.values import Clip

FPS, FRAMES, SIZE = 25, 64, (640, 480)
NAVY, WHITE, RED = (0.11, 0.15, 0.30), (0.94, 0.93, 0.90), (0.75, 0.16, 0.14)

LOOK = Look(
    BodyShape(height=1.68, woman=0.9, weight=-0.1), skin=(0.84, 0.64, 0.51), hair=(0.22, 0.14, 0.09), hair_style="tied",
    makeup=0.5, shoe=(0.9, 0.9, 0.88), seed=4,
)  # fmt: skip
GREY = Fabric("heather", base=(0.52, 0.53, 0.55), seed=3)
DENIM = Fabric("denim", base=(0.22, 0.31, 0.47), seed=5)
STAR = Fabric("stripes", base=WHITE, second=NAVY, ink=RED, third=WHITE, period=0.055, motif="star", motif_size=0.17, seed=2)
TARTAN = Fabric("tartan", base=(0.62, 0.15, 0.13), second=(0.12, 0.17, 0.16), third=(0.9, 0.8, 0.45), ink=WHITE, period=0.075)
FLOWERS = (0.13, 0.30, 0.28), (0.93, 0.62, 0.60), (0.33, 0.52, 0.36), 0.07
FLORAL = Fabric("floral", *FLOWERS, ink=WHITE, seed=9)
TEE = GarmentSpec("tee", "crew", 0.07, 0.20, 0.89, ease=0.020, flare=0.06, fabric=GREY)
JEANS = GarmentSpec("trousers", leg=0.79, waist=1.04, ease=0.010, flare=0.02, hem=0.1, fabric=DENIM)
SOLD = {
    "top": GarmentSpec("tee", "crew", 0.07, 0.20, 0.89, ease=0.020, flare=0.06, band=NAVY, fabric=STAR),
    "shirt": GarmentSpec("shirt", "collar", 0.09, 0.50, 0.86, ease=0.022, flare=0.05, fabric=TARTAN),
    "dress": GarmentSpec("dress", "scoop", 0.09, 0.18, 0.42, ease=0.010, flare=0.28, fabric=FLORAL),
}


def script() -> Script:
    """The clip: a woman in a grey tee and jeans who looks about and moves her arms in a room with a brick wall."""
    camera = CameraScript("handheld", "knees", 4.0, 1.2, 2.0, 0.0, 5)
    light = Light(azimuth=-28, elevation=48, key=0.72, fill=0.55, warmth=0.3, soft=0.8)
    place = Backdrop("room", (0.80, 0.76, 0.70), (0.55, 0.43, 0.33), 2.2, 3)
    sensor = Sensor(noise=0.003, vignette=0.15)
    return Script(11, FRAMES, SIZE, float(FPS), LOOK, (JEANS, TEE), 1, "poses", 23, camera, light, place, sensor)


def sound(path: Path) -> None:
    """A few plucked notes as AAC, as long as the clip."""
    rate = 44100
    t = np.arange(int(rate * FRAMES / FPS)) / rate
    wave = np.zeros_like(t)
    for k, note in enumerate((220.0, 277.2, 329.6, 440.0, 329.6, 277.2, 220.0, 164.8)):
        since = t - k * 0.32
        on = since > 0
        wave += on * np.exp(-4.5 * np.where(on, since, 0)) * np.sin(2 * np.pi * note * since) * 0.3
    with av.open(str(path), "w") as box:
        stream = box.add_stream("aac", rate=rate, layout="mono")
        stream.bit_rate = 64000
        samples = wave.astype(np.float32)[None]
        for start in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, start : start + 1024]), format="fltp", layout="mono"
            )
            frame.rate, frame.pts = rate, start
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))


def main() -> None:
    """Writes clip.mp4, top.png, shirt.png and dress.png."""
    torch.set_num_threads(1)
    home = Path(sys.argv[1] if len(sys.argv) > 1 else "examples")
    home.mkdir(parents=True, exist_ok=True)
    made = script()
    frames, _, _ = make_frames(made)
    with tempfile.TemporaryDirectory() as folder:
        tune = Path(folder) / "tune.m4a"
        sound(tune)
        info = ClipInfo(
            tune, "video", SIZE[1], SIZE[0], Fraction(1, FPS), Fraction(FPS), FRAMES, "h264", "yuv420p", has_audio=True
        )
        with VideoWriter(home / "clip.mp4", info, crf=20, preset="superfast", overwrite=True) as writer:
            writer.write(Clip(frames, torch.arange(FRAMES), Fraction(1, FPS)))
    for name, spec in SOLD.items():
        garments = (spec,) if spec.category == "full" else (JEANS, spec)
        front, _ = make_shop_pictures(dataclasses.replace(made, garments=garments, sold=len(garments) - 1), (800, 600))
        write_image(home / f"{name}.png", front.image)
    print(home)


if __name__ == "__main__":
    main()
