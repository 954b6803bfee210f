"""What a person looks like: skin, face paint, hair and shoes, as fields and as colours of rest-pose points."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vidvton.synth.body import Anatomy, BodyShape, foot_field, mirrored
from vidvton.synth.fabric import Colour, linear
from vidvton.synth.solids import ball, capsule, smooth_step, smooth_union, table

HAIR_STYLES = ("short", "cropped", "bob", "long", "shoulder", "tied", "bun", "bald")


@dataclass(frozen=True)
class Look:
    """One person. Colours are sRGB 0-1. `hair_style` one of HAIR_STYLES; `beard` 0-1; `makeup` 0-1 strengthens lips and
    eyes; `shoe_top` metres above the floor where the shoes end, `sock_top` likewise; `seed` places freckles and strands."""

    body: BodyShape = field(default_factory=BodyShape)
    skin: Colour = (0.80, 0.60, 0.48)
    hair: Colour = (0.20, 0.13, 0.09)
    hair_style: str = "short"
    iris: Colour = (0.30, 0.20, 0.12)
    beard: float = 0.0
    makeup: float = 0.3
    shoe: Colour = (0.12, 0.12, 0.13)
    sole: Colour = (0.85, 0.85, 0.83)
    shoe_top: float = 0.075
    sock: Colour = (0.9, 0.9, 0.9)
    sock_top: float = 0.0
    seed: int = 0


def _head_space(a: Anatomy, q: Tensor) -> Tensor:
    """Points as the unscaled head has them."""
    pivot = q.new_tensor([0.0, 1.54, 0.0])
    return (q - pivot) / a.shape.head + pivot


def hair_field(a: Anatomy, look: Look, p: Tensor) -> Tensor:
    """Distance to the solid whose surface, where `hair_keep` is positive, is the hair."""
    q = _head_space(a, mirrored(p))
    v = q.new_tensor
    style = look.hair_style
    thick = {"cropped": 0.005, "short": 0.013, "tied": 0.009, "bun": 0.009}.get(style, 0.015)
    d = ball(q, (0, 1.637, -0.013), (0.0755 + thick, 0.088 + thick * 1.2, 0.096 + thick * 0.9))
    d = smooth_union(d, ball(q, (0.02, 1.60, -0.05), (0.055 + thick, 0.07, 0.055 + thick)), 0.02)
    if style == "short":
        d = smooth_union(d, ball(q, (0.025, 1.715, 0.045), (0.045, 0.018, 0.040)), 0.025)
    if style in ("bob", "long", "shoulder"):
        low = {"bob": 1.50, "long": 1.30, "shoulder": 1.40}[style]
        d = smooth_union(d, capsule(q, v([0.052, 1.62, -0.045]), v([0.062, max(low, 1.46), -0.048]), 0.050, 0.040), 0.03)
        d = smooth_union(d, capsule(q, v([0.070, 1.62, -0.005]), v([0.080, max(low, 1.47), -0.010]), 0.028, 0.024), 0.02)
        if style == "long":
            d = smooth_union(d, capsule(q, v([0.05, 1.47, -0.085]), v([0.055, low, -0.120]), 0.040, 0.028), 0.04)
        if style == "shoulder":
            d = smooth_union(d, capsule(q, v([0.082, 1.50, 0.0]), v([0.085, 1.455, 0.050]), 0.026, 0.028), 0.02)
            d = smooth_union(d, capsule(q, v([0.085, 1.455, 0.050]), v([0.088, 1.30, 0.105]), 0.028, 0.018), 0.02)
    if style == "tied":
        tail = capsule(q, v([0.0, 1.665, -0.105]), v([0.0, 1.60, -0.150]), 0.022, 0.030)
        tail = smooth_union(tail, capsule(q, v([0.0, 1.60, -0.150]), v([0.0, 1.44, -0.155]), 0.030, 0.012), 0.02)
        d = smooth_union(d, tail, 0.015)
    if style == "bun":
        d = smooth_union(d, ball(q, (0.0, 1.715, -0.085), (0.042, 0.038, 0.042)), 0.012)
    return d * a.shape.head


_HAIRLINE = table(
    [
        (-0.10, 1.545),
        (-0.06, 1.55),
        (-0.02, 1.565),
        (-0.012, 1.59),
        (0.006, 1.60),
        (0.022, 1.615),
        (0.034, 1.648),
        (0.055, 1.672),
        (0.11, 1.680),
    ]
)
_LOOSE_LINE = table([(-0.10, 0.0), (0.00, 0.0), (0.012, 1.30), (0.020, 1.60), (0.034, 1.655), (0.055, 1.686), (0.11, 1.696)])


def hair_keep(a: Anatomy, look: Look, p: Tensor) -> Tensor:
    """[V] metres above the hair line (negative on the face)."""
    q = _head_space(a, mirrored(p))
    loose = look.hair_style in ("bob", "long", "shoulder")
    line = (_LOOSE_LINE if loose else _HAIRLINE)(q[:, 2])[:, 0]
    keep = q[:, 1] - line
    if look.hair_style == "tied":
        keep = torch.maximum(keep, -0.115 - q[:, 2])
    if look.hair_style == "shoulder":
        keep = torch.maximum(keep, torch.minimum(1.505 - q[:, 1], q[:, 0] - 0.045))
    if loose:
        low = {"bob": 1.475, "long": 1.29, "shoulder": 1.29}[look.hair_style]
        ragged = 0.012 * torch.sin(p[:, 0] * 190 + look.seed) + 0.008 * torch.sin(p[:, 0] * 71)
        keep = torch.minimum(keep, q[:, 1] - low + ragged)
    else:
        keep = keep + 0.003 * torch.sin(p[:, 0] * 150 + look.seed)
    return keep


def hair_bounds(look: Look) -> tuple[list[float], list[float]]:
    """(low, high) corners of a box around the hair."""
    low = {"long": 1.26, "shoulder": 1.26, "bob": 1.44, "tied": 1.40}.get(look.hair_style, 1.50)
    return [-0.16, low, -0.21], [0.16, 1.80, 0.16]


def shoe_field(a: Anatomy, look: Look, p: Tensor) -> Tensor:
    """Distance to the shoes."""
    q = mirrored(p)
    d = foot_field(a, q) - 0.008
    if look.shoe_top > 0.12:
        v = q.new_tensor
        d = smooth_union(
            d, capsule(q, v([a.joints[17, 0], 0.10, -0.026]), v([a.joints[17, 0] - 0.002, 0.36, -0.016]), 0.048, 0.066), 0.02
        )
    return torch.maximum(d, -q[:, 1] - 0.002)


def _spot(p: Tensor, x: float, y: float, rx: float, ry: float, soft: float = 0.25) -> Tensor:
    """1 inside an oval of the face plane, fading over `soft` of its size."""
    r = torch.hypot((p[:, 0] - x) / rx, (p[:, 1] - y) / ry)
    return ((1 + soft - r) / soft / 2 + 0.0).clamp(0, 1)


def skin_colour(a: Anatomy, look: Look, p: Tensor) -> Tensor:
    """Linear albedo [N, 3] of rest points on the skin: face features, redder joints, socks."""
    base = linear(p.new_tensor(look.skin))
    mottle = 1 + 0.05 * torch.sin(31 * p[:, 0] + 3 * torch.sin(17 * p[:, 1])) * torch.sin(
        27 * p[:, 1] + 2 * torch.sin(23 * p[:, 2] + look.seed)
    )
    colour = base * mottle[:, None]
    face = (p[:, 1] > 1.49) & (p[:, 2] > 0.03)
    index = face.nonzero()[:, 0]
    if len(index):
        colour[index] = _face(a, look, p[index], colour[index])
    sock = (p[:, 1] < look.sock_top).float()[:, None]
    return torch.lerp(colour, linear(p.new_tensor(look.sock)).expand_as(colour), sock)


def _face(a: Anatomy, look: Look, p: Tensor, colour: Tensor) -> Tensor:
    q = _head_space(a, mirrored(p))
    e = 0.0315 * a.shape.eyes
    base = linear(q.new_tensor(look.skin))
    dark = base * 0.30
    hair = linear(q.new_tensor(look.hair))

    def lay(amount: Tensor, ink: Tensor) -> None:
        nonlocal colour
        colour = torch.lerp(colour, ink.expand_as(colour), amount[:, None])

    lay(0.22 * _spot(q, 0.040, 1.575, 0.024, 0.020, 0.9), base * q.new_tensor([1.0, 0.62, 0.58]))
    lay(0.20 * _spot(q, 0.0, 1.585, 0.015, 0.014, 0.8), base * q.new_tensor([1.0, 0.70, 0.66]))
    lay(0.50 * _spot(q, e, 1.619, 0.021, 0.014, 0.6), base * q.new_tensor([0.55, 0.46, 0.46]))
    if look.beard > 0.02:
        jaw = smooth_step(1.560, 1.535, q[:, 1] - 0.30 * (0.04 - q[:, 0]).clamp(max=0.0)) * (1 - _spot(q, 0, 1.547, 0.021, 0.008))
        lip = _spot(q, 0.006, 1.5645, 0.024, 0.005, 0.5)
        lay(look.beard * torch.maximum(jaw, lip).clamp(0, 1) * 0.85, hair * 0.9)
    brow_y = 1.6375 - 1.6 * ((q[:, 0] - 0.030) ** 2 / 0.03)
    brow = torch.where((q[:, 0] > 0.012) & (q[:, 0] < 0.053), ((0.0048 - (q[:, 1] - brow_y).abs()) / 0.003).clamp(0, 1), 0.0)
    lay(0.85 * brow, torch.minimum(hair * 0.7, dark))
    opening = ((q[:, 0] - e) / 0.0152) ** 2
    eye = ((0.0052 * (1 - opening) - (q[:, 1] - 1.616).abs()) / 0.0012 + 0.5).clamp(0, 1)
    lay(eye, linear(q.new_tensor([0.84, 0.82, 0.80])))
    iris = torch.hypot(q[:, 0] - e, q[:, 1] - 1.6166)
    lay(eye * ((0.0062 - iris) / 0.0015).clamp(0, 1), linear(q.new_tensor(look.iris)))
    lay(eye * ((0.0032 - iris) / 0.001).clamp(0, 1), base * 0.01)
    lid = 1.616 + 0.0056 * (1 - opening).clamp_min(0)
    line = ((0.0016 + 0.0012 * look.makeup - (q[:, 1] - lid).abs()) / 0.0014).clamp(0, 1) * (opening < 1.15)
    lay((0.75 + 0.2 * look.makeup) * line, base * 0.04)
    lips = torch.maximum(_spot(q, 0, 1.5525, 0.0235, 0.0056, 0.3), _spot(q, 0, 1.5435, 0.0195, 0.0062, 0.3))
    lay((0.60 + 0.3 * look.makeup) * lips, base * q.new_tensor([0.78, 0.36 - 0.1 * look.makeup, 0.38]))
    lay(
        0.85 * ((0.0012 - (q[:, 1] - 1.5480).abs()) / 0.001).clamp(0, 1) * (q[:, 0] < 0.0235),
        base * q.new_tensor([0.25, 0.10, 0.10]),
    )
    lay(0.80 * _spot(q, 0.0075, 1.5785, 0.0042, 0.0026, 0.5) * (q[:, 2] > 0.085), base * 0.12)
    lay(0.30 * _spot(q, 0, 1.5765, 0.013, 0.003, 0.8), base * 0.35)
    return colour


def hair_colour(look: Look, p: Tensor) -> Tensor:
    """Linear albedo [N, 3] of rest points in the hair: strands that run down from the crown."""
    base = linear(p.new_tensor(look.hair))
    around = torch.atan2(p[:, 0], p[:, 2] + 0.02)
    strands = (
        torch.sin(around * 47 + look.seed) * 0.5
        + torch.sin(around * 113 + 5 * p[:, 1]) * 0.3
        + torch.sin(around * 229 + 9 * p[:, 1]) * 0.2
    )
    return base * (1 + 0.38 * strands)[:, None].clamp_min(0.2)


def shoe_colour(look: Look, p: Tensor) -> Tensor:
    """Linear albedo [N, 3] of rest points on the shoes."""
    upper, sole = linear(p.new_tensor(look.shoe)), linear(p.new_tensor(look.sole))
    lace = ((p[:, 2] > 0.03) & (p[:, 2] < 0.08) & (p[:, 1] > 0.045) & (p[:, 1] < 0.12) & ((p[:, 2] * 70 % 1) < 0.4)).float()[
        :, None
    ]
    colour = torch.where((p[:, 1] < 0.016)[:, None], sole, upper)
    return torch.lerp(colour, sole.expand_as(colour), 0.7 * lace)
