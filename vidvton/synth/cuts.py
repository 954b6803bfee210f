"""How each kind of garment may be cut: random numbers within what shops sell, all lengths in shares of the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fabric import Colour, Fabric
from .garments import GarmentSpec


@dataclass(frozen=True)
class Material:
    """What is decided before the cut: the `kind` of garment, its `fabric`, the colour of a `band` (None: none), and how far
    `short` and `long` sleeves reach."""

    kind: str
    fabric: Fabric
    band: Colour | None
    short: float
    long: float


def _tee(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    neck = str(rng.choice(["crew", "crew", "v", "scoop", "boat"]))
    hem = float(u(0.86, 0.95)) if material.kind == "tee" else float(u(1.05, 1.13))
    sleeve = (
        float(rng.choice([material.short, u(0.27, 0.33)], p=[0.8, 0.2]))
        if material.kind == "tee"
        else float(rng.choice([0.0, material.short, material.long]))
    )
    return GarmentSpec(
        material.kind,
        neck,
        float(u(0.055, 0.12)),
        sleeve,
        hem,
        ease=float(u(0.010, 0.040)),
        flare=float(u(0, 0.12)),
        tucked=material.kind == "tee" and bool(rng.random() < 0.25),
        band=material.band,
        fabric=material.fabric,
    )


def _tank(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        str(rng.choice(["scoop", "crew", "v"])),
        float(u(0.08, 0.14)),
        0.0,
        float(u(0.87, 0.97)),
        ease=float(u(0.008, 0.025)),
        flare=float(u(0, 0.1)),
        band=material.band,
        fabric=material.fabric,
    )


def _long_sleeve(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        str(rng.choice(["crew", "v", "high", "boat"])),
        float(u(0.05, 0.10)),
        material.long,
        float(u(0.86, 0.94)),
        ease=float(u(0.009, 0.03)),
        flare=float(u(0, 0.08)),
        band=material.band,
        fabric=material.fabric,
    )


def _shirt(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        "collar",
        float(u(0.06, 0.12)),
        float(rng.choice([material.short + 0.03, material.long])),
        float(u(0.82, 0.90)),
        ease=float(u(0.014, 0.034)),
        flare=float(u(0, 0.08)),
        tucked=bool(rng.random() < 0.35),
        fabric=material.fabric,
    )


def _hoodie(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        "collar",
        float(u(0.03, 0.05)),
        material.long,
        float(u(0.84, 0.90)),
        ease=float(u(0.026, 0.045)),
        flare=0.0,
        band_width=0.04,
        fabric=material.fabric,
    )


def _jacket(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    opened = bool(rng.random() < 0.65)
    return GarmentSpec(
        material.kind,
        "collar",
        float(u(0.12, 0.2)) if opened else float(u(0.08, 0.16)),
        material.long,
        float(u(0.78, 0.95)),
        ease=float(u(0.028, 0.040)),
        flare=float(u(0.02, 0.1)),
        open=opened,
        fabric=material.fabric,
    )


def _trousers(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    ease = float(rng.choice([0.008, 0.013, 0.022, 0.034]))
    return GarmentSpec(
        material.kind,
        leg=float(u(0.74, 0.815)),
        waist=float(u(1.0, 1.06)),
        ease=ease,
        flare=float(u(0, 0.12)),
        hem=0.1,
        fabric=material.fabric,
    )


def _shorts(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        leg=float(u(0.20, 0.42)),
        waist=float(u(1.0, 1.06)),
        ease=float(u(0.012, 0.03)),
        flare=0.05,
        hem=0.5,
        fabric=material.fabric,
    )


def _skirt(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        hem=float(u(0.42, 0.66)),
        waist=float(u(1.03, 1.08)),
        ease=float(u(0.008, 0.012)),
        flare=float(u(0.03, 0.10)),
        fabric=material.fabric,
    )


def _flared_skirt(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    return GarmentSpec(
        material.kind,
        hem=float(u(0.34, 0.66)),
        waist=float(u(1.03, 1.08)),
        ease=float(u(0.008, 0.012)),
        flare=float(u(0.25, 0.50)),
        fabric=material.fabric,
    )


def _dress(rng: np.random.Generator, material: Material) -> GarmentSpec:
    u = rng.uniform
    neck = str(rng.choice(["crew", "v", "scoop", "boat", "collar"]))
    sleeve = float(rng.choice([0.0, material.short, material.long]))
    return GarmentSpec(
        "dress",
        neck,
        float(u(0.06, 0.12)),
        sleeve,
        float(u(0.25, 0.62)),
        ease=float(u(0.008, 0.014)),
        flare=float(u(0.08, 0.42)),
        band=material.band,
        fabric=material.fabric,
    )


CUTS = {
    "tee": _tee,
    "crop_top": _tee,
    "tank": _tank,
    "long_sleeve": _long_sleeve,
    "shirt": _shirt,
    "hoodie": _hoodie,
    "jacket": _jacket,
    "trousers": _trousers,
    "shorts": _shorts,
    "skirt": _skirt,
    "flared_skirt": _flared_skirt,
    "dress": _dress,
}
"""Kind of garment -> the function that cuts one."""
