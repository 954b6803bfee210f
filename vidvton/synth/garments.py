"""Parametric garments: their distance fields over a body, where they are cut, and how they lie flat.

A garment is a field (a looser body), a cut (metres of fabric left before the nearest edge, negative outside) and a flat layout
(x, y in metres as the shop picture shows it, and which side). Body points near a garment have a cut and a flat place too,
which is
how the body knows what covers it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vidvton.errors import MisuseError
from vidvton.synth.body import ARM, ARM_UP, FOREARM, UPPER_ARM, Anatomy, Place, arm_field, mirrored, place, trunk_field
from vidvton.synth.fabric import Colour, Fabric
from vidvton.synth.solids import Table, ball, oval_stack, smooth_step, smooth_union, table, tube

KINDS = {
    "tee": "upper", "shirt": "upper", "long_sleeve": "upper", "hoodie": "upper", "tank": "upper", "crop_top": "upper",
    "jacket": "upper",
    "trousers": "lower", "shorts": "lower", "skirt": "lower", "flared_skirt": "lower", "dress": "full",
}  # fmt: skip
"""Garment words and the category each belongs to."""
NECKS = ("crew", "v", "scoop", "boat", "collar", "high")


@dataclass(frozen=True)
class GarmentSpec:
    """A garment's cut. Lengths in metres on the nominal body: `sleeve` from the shoulder (0 none, 0.525 to the wrist), `hem`
    the height of
    the hem for what covers the trunk or is a skirt, `leg` from the hip down for trousers and shorts, `ease` how far it
    stands off,
    `flare` how fast a skirt or hem widens. `open` and `tucked` say how it is worn. Edges bear a band
    `band_width` metres wide of sRGB colour `band` (None: the cloth itself, a little darker)."""

    kind: str = "tee"
    neck: str = "crew"
    neck_depth: float = 0.07
    sleeve: float = 0.20
    hem: float = 0.90
    waist: float = 1.03
    leg: float = 0.80
    ease: float = 0.016
    flare: float = 0.05
    open: bool = False
    tucked: bool = False
    band: Colour | None = None
    band_width: float = 0.016
    fabric: Fabric = field(default_factory=Fabric)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MisuseError(f"the garment {self.kind!r} is not known; choose one of {', '.join(KINDS)}")
        if self.neck not in NECKS:
            raise MisuseError(f"the neck {self.neck!r} is not known; choose one of {', '.join(NECKS)}")

    @property
    def category(self) -> str:
        """upper, lower or full."""
        return KINDS[self.kind]

    @property
    def is_skirt(self) -> bool:
        """Whether its lower part hangs as one tube around both legs."""
        return self.kind in ("skirt", "flared_skirt", "dress")

    @property
    def has_collar(self) -> bool:
        """Whether fabric stands up around the neck."""
        return self.neck in ("collar", "high") or self.kind == "hoodie"


@dataclass(frozen=True)
class Pattern:
    """A garment cut for one body, made by `cut_for`: the trunk, sleeve and leg profiles with their ease."""

    spec: GarmentSpec
    body: Anatomy
    trunk: Table
    sleeve: Table
    leg: Table


def cut_for(spec: GarmentSpec, body: Anatomy) -> Pattern:
    """The garment's profiles over a body."""
    e = spec.ease
    trousers = spec.category == "lower" and not spec.is_skirt
    ys = np.linspace(0.835 if trousers else min(spec.hem, 0.80) - 0.06, 1.475, 60)
    rows = []
    seat = body.trunk(torch.tensor(0.91))
    bust = body.trunk(torch.tensor(1.28))
    woman = body.shape.woman
    hang = min(max((e - 0.008) / 0.03, 0.0), 1.0)
    for y in ys:
        a, b, z = body.trunk(torch.tensor(float(y if trousers else max(y, 0.91)))).tolist()
        if y < 1.28 and not trousers:
            a, b = max(a, hang * 0.93 * float(bust[0])), max(b, hang * 0.98 * float(bust[1]))
        if y < 1.0 and not trousers:
            b = max(b, 0.6 * b + 0.4 * (float(seat[1]) + 0.012))
        grow = e * (1.0 if y < 1.36 else max(0.35, 1 - (y - 1.36) / 0.1 * 0.65)) + (0.006 * woman if 1.18 < y < 1.34 else 0)
        if spec.category != "lower" and not spec.is_skirt:
            grow += spec.flare * max(0.0, 1.15 - y) * 0.5
        if spec.is_skirt and y < 1.0:
            grow += 0.012 * min((1.0 - y) / 0.1, 1.0)
        if spec.is_skirt and y < 0.93:
            grow += spec.flare * (0.93 - y)
            b += 0.15 * spec.flare * (0.93 - y)
        if spec.category == "lower" and (y > 0.98 or trousers):
            grow = min(grow, 0.013)
        rows.append((float(y), a + grow, b + grow, z))
    s = e * 0.8
    loose = 0.10 * max(e - 0.02, 0)
    sleeve = [
        (t, float(body.arm(torch.tensor(t))) + s * (1 - 1.1 * t) + 0.006 + loose * t / 0.5) for t in np.linspace(0, 0.54, 25)
    ]
    if spec.sleeve < 0.35:  # a short sleeve does not follow the arm's taper
        sleeve = [(t, max(r, 0.92 * sleeve[3][1])) for t, r in sleeve]
    leg = []
    for t in np.linspace(0, 0.84, 33):
        fitted = min(max(e, 0.008), 0.012)  # however wide the leg, the hip is fitted, or no top would hang over it
        room = float(smooth_step(0.05, 0.35, torch.tensor(float(t))))
        r = float(body.leg(torch.tensor(t))) + fitted + room * (max(e, 0.008) - fitted)
        knee = float(body.leg(torch.tensor(0.40))) + e
        if t > 0.40:
            r = max(r, knee * (0.80 if e < 0.014 else 0.96) + spec.flare * (t - 0.40) * (1.0 if e >= 0.014 else 0))
        leg.append((t, r))
    return Pattern(spec, body, table(rows), table(sleeve), table(leg))


def garment_field(g: Pattern, p: Tensor) -> Tensor:
    """Signed distance to the solid whose surface is the garment, before it is cut."""
    q, spec, body = mirrored(p), g.spec, g.body
    d = oval_stack(q, g.trunk)
    if spec.category != "lower":
        d = smooth_union(d, trunk_field(body, q) - 0.75 * spec.ease - 0.003, 0.03)
        shoulder = ball(
            q, (body.shoulder + 0.012 * ARM).tolist(), (0.052 + spec.ease * 0.5, 0.051 + spec.ease * 0.4, 0.053 + spec.ease * 0.6)
        )
        sleeves = smooth_union(tube(q, body.shoulder, ARM, g.sleeve, 0.92, torch.tensor([0.0, 0, 1])), shoulder, 0.03)
        d = smooth_union(d, sleeves, 0.05)
        d = smooth_union(d, arm_field(body, q) - 0.005, 0.01)
    else:
        d = smooth_union(
            d, torch.where(q[:, 1] < 1.1, trunk_field(body, q) - min(max(0.006, 0.7 * spec.ease), 0.011), d + 1), 0.02
        )
    if spec.category == "lower" and not spec.is_skirt:
        # However wide, a trouser leg ends where the other begins.
        apart = 0.011 - q[:, 0] - (q[:, 1] - 0.80).clamp_min(0)
        d = smooth_union(d, -smooth_union(-tube(q, body.hip, body.leg_axis, g.leg), -apart, 0.006), 0.025)
    if spec.kind == "hoodie":
        d = smooth_union(d, ball(q, (0.0, 1.475, -0.085), (0.115, 0.055, 0.075)), 0.04)
        d = smooth_union(d, ball(q, (0.045, 1.45, 0.03), (0.05, 0.022, 0.05)), 0.03)
    if spec.has_collar:
        height = 1.505 if spec.neck != "high" else 1.53
        neck = table([(1.40, 0.072, 0.068, -0.022), (1.47, 0.066, 0.062, -0.016), (height + 0.02, 0.064, 0.062, -0.005)])
        d = smooth_union(d, oval_stack(q, neck), 0.02)
    return d


def bounds(g: Pattern) -> tuple[list[float], list[float]]:
    """(low, high) corners of a box that holds the garment in the rest pose."""
    spec = g.spec
    wide = float(g.trunk.values[:, 0].max()) + 0.03
    deep = float(g.trunk.values[:, 1].max()) + 0.05
    if spec.category == "lower":
        low = spec.hem - 0.03 if spec.is_skirt else 0.905 - spec.leg - 0.04
        return [-max(wide, 0.27), max(low, -0.01), -deep - 0.02], [max(wide, 0.27), 1.09, deep]
    reach = 0.25 + 0.75 * min(spec.sleeve + 0.06, 0.55)
    low = [-max(reach, wide), max(spec.hem - 0.06, 0.02), -max(deep, 0.20) - 0.02]
    return low, [max(reach, wide), 1.545, max(deep, 0.2)]


def cut(g: Pattern, p: Tensor, at: Place) -> Tensor:
    """[V] metres of fabric between rest points and the garment's nearest edge, negative where there is none."""
    spec, q = g.spec, mirrored(p)
    x, y = q[:, 0], q[:, 1]
    front = smooth_step(-0.02, 0.02, p[:, 2] - g.body.trunk(y)[:, 2])
    if spec.category == "lower":
        keep = spec.waist - y + 0.012 * (1 - front)
        if spec.is_skirt:
            return torch.minimum(keep, y - spec.hem)
        return torch.minimum(keep, torch.maximum(spec.leg - at.along_leg, (0.3 - at.leg) * 0.2))
    round_hem = 0.035 * (x / 0.17).clamp(0, 1) ** 2 if spec.kind == "shirt" and not spec.tucked else 0.0
    keep = torch.maximum(y - spec.hem - round_hem, (at.arm - 0.5) * 0.2)
    if spec.sleeve > 0.02:
        keep = torch.minimum(keep, torch.maximum(spec.sleeve - at.along_arm, (0.4 - at.arm) * 0.2))
    else:
        hole = torch.hypot((x - g.body.shoulder[0] - 0.030) / 0.068, (y - 1.345) / 0.105)
        keep = torch.minimum(
            keep, torch.where((x > g.body.shoulder[0] + 0.02) & ((at.arm > 0.3) | (y > 1.26)), -0.1, (hole - 1) * 0.068)
        )
    return torch.minimum(keep, _neckline(spec, x, y, front))


def _neckline(spec: GarmentSpec, x: Tensor, y: Tensor, front: Tensor) -> Tensor:
    """Metres to the edge of the neck opening and of an open front."""
    if spec.has_collar:
        top = (1.495 if spec.neck == "collar" else 1.512 if spec.neck == "high" else 1.50) - y
        if spec.neck == "high":
            keep = top
        else:
            bottom = 1.47 - spec.neck_depth
            gap = 0.055 * ((y - bottom) / 0.10).clamp_min(0)
            keep = torch.minimum(top, torch.where(front > 0.5, x - gap + torch.where(y < bottom, bottom - y, 0.0), 0.1))
    else:
        width = {"crew": 0.083, "v": 0.080, "scoop": 0.100, "boat": 0.120}[spec.neck]
        depth = torch.lerp(torch.tensor(0.022), torch.tensor(spec.neck_depth), front)
        drop = 1.468 - y
        if spec.neck == "v":
            keep = torch.where(front > 0.5, torch.maximum(drop - depth * (1 - x / width), x - width), 0.0)
            keep = torch.where(front > 0.5, keep * 0.75, (torch.hypot(x / width, drop / depth) - 1) * 0.03)
        else:
            keep = (torch.hypot(x / width, drop / depth) - 1) * torch.minimum(depth, torch.tensor(0.07))
        keep = torch.where(drop < 0, torch.minimum(x - width, keep), keep)
    if spec.open:
        gap = 0.030 + 0.055 * smooth_step(1.05, 1.45, y) + 0.03 * smooth_step(1.05, 0.85, y)
        keep = torch.minimum(keep, torch.where(front > 0.5, x - gap, 0.1))
    return keep


def worn_on(g: Pattern, p: Tensor) -> Place:
    """The place of garment points on the body; a skirt or a hem belongs to the trunk however near the legs are."""
    at = place(g.body, p)
    zero = torch.zeros_like(at.arm)
    if g.spec.category == "lower":
        leg = zero if g.spec.is_skirt else at.leg
        return Place(at.along_arm, zero, at.along_leg, leg, at.left)
    return Place(at.along_arm, at.arm, at.along_leg, zero, at.left)


def _arc(angle: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Metres along an oval with half axes `a`, `b` from its front to eccentric `angle`."""
    return (a + b) / 2 * angle + (a - b) / 4 * torch.sin(2 * angle)


def flatten(g: Pattern, p: Tensor, at: Place, *, unfold: bool = False) -> tuple[Tensor, Tensor]:
    """(flat [V, 2] metres as laid out in the shop picture, seen from the front, y up; side [V], positive on the front,
    negative on the
    back). `unfold` gives the places beyond the seam instead, where the points would lie if the other side were folded out."""
    q, body, spec = mirrored(p), g.body, g.spec
    section = g.trunk(p[:, 1])
    a, b = section[:, 0], section[:, 1]
    z = (p[:, 2] - section[:, 2]) / b
    x, y, side = _arc(_folded(torch.atan2(q[:, 0] / a, z.abs()), unfold), a, b), p[:, 1], z
    if spec.category != "lower":
        shift = float(_arc(torch.tensor(math.pi / 2), *g.trunk(torch.tensor(1.30))[:2])) - float(g.trunk(torch.tensor(1.30))[0])
        centre = body.shoulder + at.along_arm[:, None] * ARM
        radius = g.sleeve(at.along_arm)[:, 0]
        turn = _folded(torch.atan2((q - centre) @ ARM_UP, (q[:, 2] - centre[:, 2]).abs()), unfold)
        arm = centre[:, :2] + torch.tensor([shift, 0.0]) + (radius * turn)[:, None] * ARM_UP[:2]
        x, y = torch.lerp(x, arm[:, 0], at.arm), torch.lerp(y, arm[:, 1], at.arm)
        side = torch.lerp(side, (q[:, 2] - centre[:, 2]) / radius, at.arm)
    elif not spec.is_skirt:
        centre = body.hip + at.along_leg[:, None] * body.leg_axis
        radius = g.leg(at.along_leg)[:, 0]
        turn = _folded(torch.atan2(q[:, 0] - centre[:, 0], (q[:, 2] - centre[:, 2]).abs()), unfold)
        widest = g.leg(torch.linspace(0.1, max(spec.leg, 0.12), 8))[:, 0].max()
        # Thighs run into each other where the seat begins, so that cloth laid flat is narrower there than both tubes together.
        radius = 0.85 * radius
        leg = 1.5708 * torch.maximum(radius, widest * 0.77) + 0.004 + 0.07 * at.along_leg.clamp_min(0) + radius * turn
        x, side = torch.lerp(x, leg, at.leg), torch.lerp(side, (q[:, 2] - centre[:, 2]) / g.leg(at.along_leg)[:, 0], at.leg)
    return torch.stack([x * torch.where(p[:, 0] < 0, -1.0, 1.0), y], -1), side


def _folded(angle: Tensor, unfold: bool) -> Tensor:
    """Angles from the front's middle (or from the nearer half's) as they are, or mirrored in the seam they are nearer to."""
    return torch.where(angle >= 0, math.pi - angle, -math.pi - angle) if unfold else angle


def part_of(g: Pattern, p: Tensor, at: Place) -> Tensor:
    """[V] uint8, the `values.Part` of garment points: torso, sleeves, legs, skirt."""
    left = p[:, 0] > 0
    spec = g.spec
    part = torch.ones(len(p), dtype=torch.uint8)
    if spec.is_skirt:
        return torch.where(p[:, 1] < 0.98, 6, part) if spec.kind == "dress" else part * 6
    if spec.category == "lower":
        return torch.where(left, 4, 5).to(torch.uint8)
    part = torch.where(at.arm > 0.5, torch.where(left, 2, 3), part)
    return part.to(torch.uint8)


def wrist_length() -> float:
    """Metres from shoulder to wrist on the nominal body."""
    return UPPER_ARM + FOREARM


def lap(y: Tensor) -> Tensor:
    """0-1, how far a skirt at rest height `y` follows the thighs rather than the pelvis."""
    return smooth_step(0.94, 0.80, y)
