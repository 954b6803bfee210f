"""A clip's script: every parameter in one frozen record that a seed decides and JSON can hold, and the shot made from it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from vidvton.errors import MisuseError
from vidvton.synth.backdrop import PLACES, Backdrop, Box
from vidvton.synth.body import BodyShape, rest_joints
from vidvton.synth.camera import Camera, look_at, unsteady
from vidvton.synth.casting import cast_backdrop, cast_garment, cast_light, cast_outfit, cast_person, cast_sensor, layered
from vidvton.synth.fabric import Fabric
from vidvton.synth.figure import dress
from vidvton.synth.film import Shot
from vidvton.synth.garments import KINDS, GarmentSpec
from vidvton.synth.light import Light
from vidvton.synth.look import Look
from vidvton.synth.motion import MOTIONS, make_motion
from vidvton.synth.sensor import Sensor
from vidvton.synth.skeleton import transforms
from vidvton.synth.stage import perform
from vidvton.synth.trim import make_cloth

FRAMINGS = ("full", "knees", "hips", "headless")
"""What the picture shows: head to feet, down to the knees, down to the hips, or chin to feet as shop clips do."""
CAMERAS = ("still", "handheld", "zoom", "follow")


@dataclass(frozen=True)
class CameraScript:
    """`style` one of CAMERAS, `framing` one of FRAMINGS; `azimuth` degrees around the person, `height` metres, `focal` in
    picture heights, `roll`
    degrees; `seed` of the hand's wander."""

    style: str = "still"
    framing: str = "full"
    azimuth: float = 0.0
    height: float = 1.2
    focal: float = 2.0
    roll: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Script:
    """Everything that decides a clip. `garments` from the skin outward, `sold` the index of the one whose shop picture is
    made."""

    seed: int
    frames: int
    size: tuple[int, int]
    fps: float
    look: Look
    garments: tuple[GarmentSpec, ...]
    sold: int
    motion: str
    motion_seed: int
    camera: CameraScript
    light: Light
    backdrop: Backdrop
    sensor: Sensor

    @property
    def target(self) -> GarmentSpec:
        """The garment that the shop sells."""
        return self.garments[self.sold]


def check_size(size: tuple[int, int]) -> None:
    """Refuses sizes the studio does not make: sides must be even, from 64 to 2160 pixels."""
    if any(n < 64 or n > 2160 or n % 2 for n in size):
        raise MisuseError(
            f"the size {size[0]}x{size[1]} is not allowed; both sides must be even and from 64 to 2160 pixels, "
            "for example 512x384"
        )


def write_script(
    seed: int,
    index: int = 0,
    *,
    frames: int = 64,
    size: tuple[int, int] = (512, 384),
    fps: float = 25.0,
    motion: str | None = None,
    garment: str | None = None,
    category: str | None = None,
    place: str | None = None,
) -> Script:
    """The script of clip `index` of the set `seed`; words given fix that choice, everything else is drawn at random."""  #
    check_size(size)
    if frames < 1:
        raise MisuseError(f"a clip of {frames} frames cannot be made; ask for at least 1")
    for word, known, what in ((motion, MOTIONS, "motion"), (garment, tuple(KINDS), "garment"), (place, PLACES, "background")):
        if word is not None and word not in known:
            raise MisuseError(f"the {what} {word!r} is not known; choose one of {', '.join(known)}")
    rng = np.random.default_rng([seed, index, 20])
    look = cast_person(rng)
    garments, sold = cast_outfit(rng, look, category=category, kind=garment)
    backdrop, light, sensor = cast_backdrop(rng), cast_light(rng), cast_sensor(rng)
    chosen = str(rng.choice(MOTIONS, p=[0.10, 0.13, 0.07, 0.14, 0.16, 0.12, 0.09, 0.13, 0.06]))
    if chosen == "sit" and any(g.is_skirt for g in garments):
        chosen = "poses"  # a skirt in a lap is beyond the ring of particles that hangs it
    motion = motion or chosen
    if place is not None:
        backdrop = dataclasses.replace(backdrop, place=place)
    framing = str(rng.choice(FRAMINGS, p=[0.5, 0.2, 0.12, 0.18]))
    if KINDS[garments[sold].kind] != "upper" and framing == "hips":
        framing = "full"
    if motion in ("walk_towards", "walk_past", "sit") and framing == "hips":
        framing = "knees"
    style = str(rng.choice(CAMERAS, p=[0.4, 0.32, 0.14, 0.14]))
    camera = CameraScript(
        style,
        framing,
        float(rng.uniform(-20, 20)),
        float(rng.uniform(0.85, 1.55)),
        float(rng.uniform(1.5, 2.6)),
        float(rng.normal(0, 0.6)) if style == "handheld" else 0.0,
        int(rng.integers(1 << 30)),
    )
    if camera.seed % 8 == 0:
        sensor = dataclasses.replace(sensor, shutter=0.5)
    return Script(
        seed, frames, size, fps, look, garments, sold, motion, int(rng.integers(1 << 30)), camera, light, backdrop, sensor
    )


def with_another_garment(script: Script, seed: int) -> Script:
    """The same clip with another garment of the same category sold and worn; all else stays."""
    rng = np.random.default_rng([script.seed, seed, 21])
    old = script.target
    same = [k for k, c in KINDS.items() if c == old.category and (k != "jacket" or old.kind == "jacket")]
    if script.look.body.woman <= 0.5:
        same = [k for k in same if k not in ("skirt", "flared_skirt", "crop_top", "dress")] or same
    new = cast_garment(rng, str(rng.choice(same)))
    if old.kind == "jacket":
        garments = (*script.garments[:-1], dataclasses.replace(new, ease=max(new.ease, 0.03)) if new.kind != "jacket" else new)
        return dataclasses.replace(script, garments=garments)
    if new.category == "full":
        return dataclasses.replace(script, garments=(new,), sold=0)
    other = next(g for i, g in enumerate(script.garments) if i != script.sold)
    if new.category == "upper" and not old.tucked:
        new = dataclasses.replace(new, tucked=False)
    if other.tucked or old.tucked:
        new = dataclasses.replace(new, tucked=old.tucked) if new.category == "upper" else new
    return _dressed_again(script, new, other)


def _dressed_again(script: Script, new: GarmentSpec, other: GarmentSpec) -> Script:
    """The other garment stays exactly as it was; the new one is made to clear it."""
    garments, sold = layered([new, other], 0)
    kept = 1 - sold
    garments = tuple(other if i == kept else g for i, g in enumerate(garments))
    return dataclasses.replace(script, garments=garments, sold=sold)


def with_another_person(script: Script, seed: int) -> Script:
    """The same clip, motion, camera, light and garments, with another person."""
    return dataclasses.replace(script, look=cast_person(np.random.default_rng([script.seed, seed, 22])))


def _aim(script: Script) -> tuple[Camera, tuple[Box, ...]]:
    """The camera, framed on a person of middle size who does the motion, so that it is the same whoever does it; and what
    stands about."""
    rest = rest_joints(BodyShape())
    pose = make_motion(script.motion, frames=script.frames, fps=script.fps, seed=script.motion_seed, rest=rest)
    matrices = transforms(rest, pose, 1.0)
    joints = torch.einsum("tjrc,jc->tjr", matrices[..., :3], rest) + matrices[..., 3]
    n, c = script.frames, script.camera
    t = np.arange(n) / script.fps
    ratio = script.size[1] / script.size[0]
    spans = {"full": (-0.10, 1.85), "knees": (0.42, 1.83), "hips": (0.80, 1.82), "headless": (-0.08, 1.52)}
    low, high = spans[c.framing]
    path = joints[:, 0]
    smooth = _smoothed(path, script.fps)
    middle = (path.amin(0) + path.amax(0)) / 2
    follows = c.style == "follow" or c.framing in ("knees", "hips")
    where = smooth if follows else middle.expand(n, 3)
    target = where.clone()
    target[:, 1] = (low + high) / 2
    wide = max(0.95, float((joints[..., 0] - where[:, None, 0]).abs().max()) * 2 + 0.25)
    tall = high - low
    span = max(tall, min(wide, tall * 1.35) / ratio)
    distance = c.focal * span + float((path[:, 2] - where[:, 2]).max().clamp_min(0)) + 0.25
    a = math.radians(c.azimuth)
    height = min(c.height, high - 0.1)
    centre = target + torch.tensor([math.sin(a) * distance, 0.0, math.cos(a) * distance])
    centre[:, 1] = height
    focal = torch.full((n,), c.focal)
    roll = torch.full((n,), math.radians(c.roll))
    if c.style == "handheld":
        hand = torch.tensor(unsteady(c.seed, t), dtype=torch.float32)
        target = target + 0.030 * hand
        centre = centre + 0.035 * torch.tensor(unsteady(c.seed + 1, t), dtype=torch.float32)
        roll = roll + 0.008 * hand[:, 2]
    if c.style == "zoom":
        ease = torch.tensor(0.5 - 0.5 * np.cos(np.pi * np.clip(t / max(t[-1], 1e-6), 0, 1)), dtype=torch.float32)
        focal = focal * (1 + (0.22 if c.seed % 2 else -0.15) * ease)
    props: tuple[Box, ...] = ()
    if script.motion == "sit":
        x, y, z = joints[-1, 0].tolist()
        props = (Box((x - 0.24, -0.01, z - 0.26), (x + 0.24, max(y - 0.13, 0.25), z + 0.14), (0.45, 0.33, 0.24)),)
    return look_at(centre, target, roll, focal), props


def _smoothed(path: torch.Tensor, fps: float) -> torch.Tensor:
    """[T, 3] a path followed by an unhurried operator."""
    n = len(path)
    times = torch.arange(n) / fps
    weight = torch.exp(-(((times[:, None] - times[None]) / 0.5) ** 2))
    return (weight @ path) / weight.sum(1, keepdim=True)


def make_shot(script: Script, *, device: str = "cpu") -> Shot:
    """Dresses the person, puts them through the motion, and sets up the camera. Slow part of a clip: about a second."""
    voxel = 0.012 if script.size[0] >= 400 else 0.016
    dressed = dress(script.look, script.garments, voxel=voxel)
    cloths = tuple(make_cloth(g, extent).to(device) for g, extent in zip(dressed.patterns, dressed.extents))
    pose = make_motion(script.motion, frames=script.frames, fps=script.fps, seed=script.motion_seed, rest=dressed.body.joints)
    dressed = dataclasses.replace(dressed, figure=dressed.figure.to(device))
    performance = perform(dressed, pose, script.fps, cloths)
    camera, props = _aim(script)
    return Shot(performance, camera, script.light, script.backdrop, script.size, script.fps, props, script.sensor.shutter)


def to_json(script: Script) -> dict:
    """The script as plain values."""
    return dataclasses.asdict(script)


def from_json(values: dict) -> Script:
    """The script that `to_json` wrote (JSON's lists become tuples again)."""

    def garment(v: dict) -> GarmentSpec:
        return GarmentSpec(**(_tuples(v) | {"fabric": Fabric(**_tuples(v["fabric"]))}))

    look = values["look"]
    return Script(
        **{k: v for k, v in _tuples(values).items() if k in ("seed", "frames", "size", "fps", "sold", "motion", "motion_seed")},
        look=Look(**(_tuples(look) | {"body": BodyShape(**look["body"])})),
        garments=tuple(garment(g) for g in values["garments"]),
        camera=CameraScript(**values["camera"]),
        light=Light(**values["light"]),
        backdrop=Backdrop(**_tuples(values["backdrop"])),
        sensor=Sensor(**values["sensor"]),
    )


def _tuples(values: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
