"""Choosing people, garments and places at random, believably, from a seed."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np

from vidvton.errors import MisuseError
from vidvton.synth.backdrop import PLACES, Backdrop
from vidvton.synth.body import BodyShape
from vidvton.synth.cuts import CUTS, Material
from vidvton.synth.fabric import Colour, Fabric
from vidvton.synth.garments import KINDS, GarmentSpec
from vidvton.synth.light import Light
from vidvton.synth.look import Look
from vidvton.synth.sensor import Sensor

_SKINS = (
    (0.95, 0.80, 0.71),
    (0.90, 0.72, 0.60),
    (0.84, 0.64, 0.51),
    (0.76, 0.56, 0.42),
    (0.64, 0.45, 0.33),
    (0.52, 0.36, 0.26),
    (0.40, 0.27, 0.20),
    (0.31, 0.21, 0.16),
)
_HAIR = (
    (0.08, 0.07, 0.07),
    (0.16, 0.11, 0.08),
    (0.27, 0.17, 0.11),
    (0.40, 0.26, 0.15),
    (0.62, 0.46, 0.26),
    (0.78, 0.64, 0.42),
    (0.45, 0.20, 0.10),
    (0.60, 0.58, 0.56),
)
_WORDS = ("VIDVTON", "STUDIO", "PARIS", "1984", "OCEAN", "WILD", "NORTH", "HELLO", "K2", "ROCK", "TOKYO", "SUN")


def _colour(rng: np.random.Generator, *, light: tuple[float, float] = (0.15, 0.92)) -> Colour:
    """A dyer's colour: often neutral, mostly muted, sometimes strong."""
    draw = rng.random()
    if draw < 0.40:
        v = float(rng.choice([0.09, 0.13, 0.20, 0.34, 0.55, 0.78, 0.90, 0.95]))
        return (v, v * float(rng.uniform(0.95, 1.0)), v * float(rng.uniform(0.88, 1.03)))
    strong = draw > 0.85
    hue = float(rng.choice([0.0, 0.03, 0.08, 0.12, 0.33, 0.45, 0.55, 0.60, 0.63, 0.70, 0.92])) + float(rng.normal(0, 0.02))
    lightness = rng.uniform(*light) * 0.75 + 0.06
    return tuple(
        float(c) for c in colorsys.hls_to_rgb(hue % 1, lightness, rng.uniform(0.55, 0.85) if strong else rng.uniform(0.12, 0.45))
    )


def _apart(rng: np.random.Generator, other: Colour, least: float = 0.35) -> Colour:
    """A colour that can be told from another."""
    for _ in range(20):
        colour = _colour(rng)
        if sum(abs(a - b) for a, b in zip(colour, other)) > least * 3 * 0.5 and abs(sum(colour) - sum(other)) > 0.25:
            return colour
    return (0.95, 0.95, 0.95) if sum(other) < 1.5 else (0.08, 0.08, 0.1)


def cast_person(rng: np.random.Generator) -> Look:
    """A random person."""
    woman = float(np.clip(rng.choice([0.1, 0.9]) + rng.normal(0, 0.08), 0, 1))
    is_woman = woman > 0.5
    height = rng.normal(1.65, 0.06) if is_woman else rng.normal(1.77, 0.07)
    body = BodyShape(
        height=float(np.clip(height, 1.50, 1.95)),
        woman=woman,
        weight=float(np.clip(rng.normal(0, 0.45), -0.9, 1)),
        shoulders=float(rng.normal(1, 0.03)),
        hips=float(rng.normal(1.0 if is_woman else 0.95, 0.03)),
        head=float(rng.normal(1.0, 0.02)),
        limbs=float(rng.normal(1, 0.04)),
        jaw=float(rng.normal(1.0 if is_woman else 1.07, 0.04)),
        nose=float(rng.normal(1, 0.12)),
        eyes=float(rng.normal(1, 0.03)),
    )
    styles = (
        ("bob", "long", "shoulder", "tied", "bun", "short")
        if is_woman
        else ("short", "short", "cropped", "short", "tied", "bald", "bob")
    )
    boots = is_woman and rng.random() < 0.2
    return Look(
        body,
        skin=tuple(float(c) for c in np.clip(np.array(_SKINS[rng.integers(len(_SKINS))]) + rng.normal(0, 0.012, 3), 0, 1)),
        hair=tuple(float(c) for c in np.clip(np.array(_HAIR[rng.integers(len(_HAIR))]) * rng.uniform(0.85, 1.15), 0, 1)),
        hair_style=str(rng.choice(styles)),
        iris=((0.30, 0.20, 0.12), (0.25, 0.40, 0.50), (0.30, 0.38, 0.22))[rng.integers(3)],
        beard=float(rng.uniform(0.3, 1)) if not is_woman and rng.random() < 0.4 else 0.0,
        makeup=float(rng.uniform(0.3, 1)) if is_woman else 0.0,
        shoe=_colour(rng),
        sole=(0.88, 0.88, 0.86) if rng.random() < 0.6 else (0.12, 0.11, 0.10),
        shoe_top=0.30 if boots else float(rng.choice([0.065, 0.075, 0.10])),
        sock=_colour(rng),
        sock_top=0.0 if rng.random() < 0.5 else float(rng.uniform(0.10, 0.22)),
        seed=int(rng.integers(1000)),
    )


def cast_fabric(rng: np.random.Generator, kind: str, *, base: Colour | None = None) -> Fabric:
    """A random fabric fit for a kind of garment."""
    base = base or _colour(rng)
    second = _apart(rng, base)
    third, ink = _colour(rng), _apart(rng, base)
    if rng.random() < 0.6:  # most prints keep to a family of colours
        third = tuple(float(np.clip(0.5 * (a + b) + 0.06 * rng.normal(), 0, 1)) for a, b in zip(base, second))
    common = (
        "plain",
        "plain",
        "heather",
        "stripes",
        "checks",
        "floral",
        "dots",
        "tartan",
        "halves",
        "fade",
        "camouflage",
        "upright_stripes",
        "knit",
    )
    lower = ("plain", "plain", "denim", "denim", "upright_stripes", "tartan", "camouflage", "heather", "checks")
    loose = ("plain", "floral", "floral", "dots", "tartan", "checks", "fade", "stripes")
    choice = {
        "trousers": lower,
        "shorts": lower,
        "skirt": loose,
        "flared_skirt": loose,
        "dress": loose,
        "hoodie": ("plain", "heather", "halves", "camouflage"),
        "jacket": ("plain", "denim", "tartan", "heather", "camouflage"),
    }
    pattern = str(rng.choice(choice.get(kind, common)))
    if pattern == "denim":
        base = tuple(float(c) for c in np.array([0.22, 0.32, 0.50]) * rng.uniform(0.6, 1.7))
    quiet = pattern in ("plain", "heather", "fade", "halves", "knit", "stripes")
    motif, back = "none", "none"
    if kind in ("tee", "long_sleeve", "hoodie", "tank", "crop_top") and quiet and rng.random() < 0.7:
        motif = str(rng.choice(["word", "number", "star", "disc", "bars", "flower", "pocket_mark", "word"]))
        if rng.random() < 0.45:
            back = str(rng.choice(["number", "word", "star", "disc"]))
    if kind in ("trousers", "shorts") and rng.random() < 0.2:
        motif = "bars"
    return Fabric(
        pattern=pattern,
        base=tuple(base),
        second=second,
        third=third,
        period=float(rng.uniform(0.03, 0.10)),
        motif=motif,
        back_motif=back,
        motif_size=float(rng.uniform(0.13, 0.22)) if motif != "pocket_mark" else 0.05,
        motif_place=(float(rng.choice([0, 0, 0.05])) if motif not in ("word", "bars") else 0.0, float(rng.uniform(1.22, 1.29))),
        ink=ink,
        text=str(rng.choice(_WORDS)),
        seed=int(rng.integers(10000)),
        weave=float(rng.uniform(0.1, 0.6)),
        gloss=float(rng.choice([0.02, 0.03, 0.05, 0.12])),
    )


def cast_garment(rng: np.random.Generator, kind: str) -> GarmentSpec:
    """A random garment of one of the KINDS."""
    if kind not in KINDS:
        raise MisuseError(f"the garment {kind!r} is not known; choose one of {', '.join(KINDS)}")
    fabric = cast_fabric(rng, kind)
    band = _apart(rng, fabric.base) if rng.random() < 0.25 else None
    short, long = float(rng.uniform(0.13, 0.24)), float(rng.uniform(0.49, 0.525))
    return CUTS[kind](rng, Material(kind, fabric, band, short, long))


_UPPERS = ("tee", "tee", "tee", "shirt", "long_sleeve", "hoodie", "tank", "crop_top", "jacket")
_LOWERS = ("trousers", "trousers", "shorts", "skirt", "flared_skirt")


def cast_outfit(
    rng: np.random.Generator, look: Look, *, category: str | None = None, kind: str | None = None
) -> tuple[tuple[GarmentSpec, ...], int]:
    """(garments from the skin outward, index of the one the shop sells). `category` or `kind` fixes what is sold."""
    woman = look.body.woman > 0.5
    if kind is None:
        category = category or str(
            rng.choice(
                ["upper", "lower", "full"] if woman else ["upper", "upper", "lower"], p=[0.55, 0.25, 0.20] if woman else None
            )
        )
        kinds = {"upper": _UPPERS, "lower": _LOWERS if woman else ("trousers", "trousers", "shorts"), "full": ("dress",)}[
            category
        ]
        kind = str(rng.choice(kinds))
    sold = cast_garment(rng, kind)
    if sold.category == "full":
        return (sold,), 0
    if sold.category == "lower":
        other = cast_garment(rng, str(rng.choice(["tee", "tee", "shirt", "long_sleeve", "tank", "crop_top" if woman else "tee"])))
        return layered([other, sold], 1)
    lower = cast_garment(rng, str(rng.choice(_LOWERS if woman else ("trousers", "trousers", "shorts"))))
    if kind != "jacket":
        return layered([sold, lower], 0)
    under = cast_garment(rng, str(rng.choice(["tee", "tank", "tee"])))
    garments, _ = layered([under, lower], 0)
    return (*garments, sold), len(garments)


def layered(pair: list[GarmentSpec], sold: int) -> tuple[tuple[GarmentSpec, ...], int]:
    """An upper and a lower garment in wearing order (a tucked top goes under), made to clear each other, and where the sold
    one is."""
    upper, lower = pair if pair[0].category == "upper" else (pair[1], pair[0])
    sold_is_upper = pair[sold].category == "upper"
    if upper.tucked:
        upper = dataclasses.replace(upper, ease=min(upper.ease, 0.004), hem=0.88, flare=0.0)
        if lower.ease < 0.014:
            lower = dataclasses.replace(lower, ease=0.014)
        return (upper, lower), 0 if sold_is_upper else 1
    clear = 0.014 if lower.is_skirt else 0.008
    upper = dataclasses.replace(upper, ease=max(upper.ease, min(lower.ease, 0.012) + clear), flare=max(upper.flare, 0.07))
    return (lower, upper), 1 if sold_is_upper else 0


def cast_backdrop(rng: np.random.Generator) -> Backdrop:
    """A random place."""
    place = str(rng.choice(PLACES, p=[0.30, 0.17, 0.25, 0.16, 0.12]))
    if place == "studio":
        v = float(rng.choice([0.93, 0.88, 0.80, 0.60, 0.35]))
        wall = tuple(float(np.clip(v + rng.normal(0, 0.015), 0, 1)) for _ in range(3))
        return Backdrop(place, wall, tuple(0.95 * c for c in wall), float(rng.uniform(1.5, 3)), int(rng.integers(1000)))
    floor = (
        tuple(float(c) for c in np.array([0.55, 0.45, 0.36]) * rng.uniform(0.6, 1.4))
        if place == "room"
        else tuple(float(rng.uniform(0.4, 0.65)) + d for d in (0, 0, 0))
    )
    wall = tuple(0.62 * c + 0.38 * float(np.mean(_colour(rng))) for c in _colour(rng, light=(0.4, 0.95)))
    return Backdrop(place, wall, floor, float(rng.uniform(1.4, 3.0)), int(rng.integers(1000)))


def cast_light(rng: np.random.Generator) -> Light:
    """A random light, mostly from the front and above."""
    return Light(
        azimuth=float(rng.uniform(-70, 70)),
        elevation=float(rng.uniform(28, 66)),
        key=float(rng.uniform(0.55, 0.95)),
        fill=float(rng.uniform(0.42, 0.66)),
        warmth=float(rng.uniform(-0.6, 0.9)),
        soft=float(rng.uniform(0.2, 1.0)),
    )


def cast_sensor(rng: np.random.Generator) -> Sensor:
    """A random camera back."""
    return Sensor(
        noise=float(rng.choice([0.003, 0.008, 0.015])),
        vignette=float(rng.uniform(0, 0.5)),
        blur=float(rng.choice([0.0, 0.0, 0.5, 0.7])),
        quality=int(rng.choice([100, 100, 92, 80])),
    )
