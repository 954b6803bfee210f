"""Fabrics: one function of the flat coordinate and the side, baked once, read by the shop picture and by the worn garment
alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.lettering import star_distance, stroke_distance, text_strokes

PATTERNS = (
    "plain",
    "heather",
    "stripes",
    "upright_stripes",
    "checks",
    "tartan",
    "dots",
    "floral",
    "denim",
    "knit",
    "camouflage",
    "halves",
    "fade",
)
MOTIFS = ("none", "word", "number", "star", "disc", "bars", "flower", "pocket_mark")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Fabric:
    """A fabric with its print. `pattern` one of PATTERNS in colours `base`, `second`, `third` (sRGB 0-1), repeating every
    `period` metres;
    `motif` one of MOTIFS on the front and `back_motif` on the back, `motif_size` metres wide, in colour `ink`, saying
    `text`; `seed`
    places what is irregular; `weave` 0-1 is the visible texture, `gloss` 0-1 the shine."""

    pattern: str = "plain"
    base: Colour = (0.8, 0.2, 0.2)
    second: Colour = (1.0, 1.0, 1.0)
    third: Colour = (0.1, 0.1, 0.2)
    period: float = 0.06
    motif: str = "none"
    back_motif: str = "none"
    motif_size: float = 0.18
    motif_place: tuple[float, float] = (0.0, 1.27)
    ink: Colour = (1.0, 1.0, 1.0)
    text: str = "VIDVTON"
    seed: int = 0
    weave: float = 0.3
    gloss: float = 0.05


def hashed(x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Pseudo-random 0-1 per integer lattice point; exact integers, so the same on every machine."""
    h = (x.long() * 374761393 + y.long() * 668265263 + seed * 974634777) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF).float() / 0xFFFFFF


def value_noise(x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Smooth noise 0-1 with features one unit wide."""
    i, j = x.floor(), y.floor()
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    low = torch.lerp(hashed(i, j, seed), hashed(i + 1, j, seed), u)
    return torch.lerp(low, torch.lerp(hashed(i, j + 1, seed), hashed(i + 1, j + 1, seed), u), v)


def _mix(a: Tensor, colour: Colour, amount: Tensor) -> Tensor:
    return torch.lerp(a, a.new_tensor(colour), amount[..., None])


def _edge(distance: Tensor, soft: float = 0.0012) -> Tensor:
    """1 where the distance is negative, with an edge `soft` metres wide."""
    return (0.5 - distance / soft).clamp(0, 1)


def _band(x: Tensor, period: float, share: float) -> Tensor:
    """Stripes: 1 over `share` of each `period`."""
    away = ((x / period) % 1 - 0.5).abs() * period
    return _edge(away - share * period / 2)


def _flowers(x: Tensor, y: Tensor, fabric: Fabric, colour: Tensor) -> Tensor:
    cell = fabric.period * 1.2
    for layer, ink in ((0, fabric.third), (1, fabric.second), (2, fabric.ink)):
        gx, gy = x / cell + layer * 0.37, y / cell + layer * 0.61
        for ox in (-1, 0, 1):
            for oy in (-1, 0, 1):
                i, j = gx.floor() + ox, gy.floor() + oy
                seed = fabric.seed + layer * 17
                cx, cy = i + 0.2 + 0.6 * hashed(i, j, seed), j + 0.2 + 0.6 * hashed(i, j, seed + 1)
                size = 0.20 + 0.22 * hashed(i, j, seed + 2)
                dx, dy = gx - cx, gy - cy
                angle = torch.atan2(dy, dx) + 6.28 * hashed(i, j, seed + 3)
                radius = torch.hypot(dx, dy)
                if layer == 0:  # leaves: two-lobed
                    petal = radius - size * (0.25 + 0.75 * angle.cos().abs().pow(3))
                else:
                    petal = radius - size * (0.62 + 0.38 * (2.5 * angle).cos().abs())
                here = _edge(petal * cell) * (hashed(i, j, seed + 4) < 0.8)
                colour = _mix(colour, ink, here)
                if layer:
                    colour = _mix(colour, (0.95, 0.80, 0.25), _edge((radius - size * 0.28) * cell) * here)
    return colour


def _pattern(fabric: Fabric, x: Tensor, y: Tensor) -> Tensor:
    """Colours [..., 3] of the repeating part."""
    p, t = fabric.pattern, fabric.period
    colour = x.new_tensor(fabric.base).expand(*x.shape, 3).clone()
    if p == "heather":
        n = value_noise(x / 0.004, y / 0.0015, fabric.seed)
        colour = colour * (0.82 + 0.3 * n[..., None])
    elif p == "stripes":
        colour = _mix(colour, fabric.second, _band(y, t, 0.42))
    elif p == "upright_stripes":
        colour = _mix(colour, fabric.second, _band(x, t * 0.6, 0.35))
    elif p == "checks":
        colour = _mix(colour, fabric.second, 0.5 * _band(x, t, 0.5))
        colour = _mix(colour, fabric.second, 0.5 * _band(y, t, 0.5))
    elif p == "tartan":
        for line, share, ink in ((1.0, 0.45, fabric.second), (1.0, 0.12, fabric.third), (0.5, 0.06, fabric.ink)):
            colour = _mix(colour, ink, 0.55 * _band(x + 0.2 * t * line, t * 1.4 * line, share))
            colour = _mix(colour, ink, 0.55 * _band(y + 0.1 * t * line, t * 1.4 * line, share))
    elif p == "dots":
        row = (y / t).floor()
        dx = ((x / t + 0.5 * (row % 2)) % 1 - 0.5) * t
        colour = _mix(colour, fabric.second, _edge(torch.hypot(dx, ((y / t) % 1 - 0.5) * t) - 0.24 * t))
    elif p == "floral":
        colour = _flowers(x, y, fabric, colour)
    elif p == "denim":
        twill = ((x + y) / 0.004 % 1 - 0.5).abs()
        worn = value_noise(x / 0.11, y / 0.22, fabric.seed)
        colour = colour * (0.86 + 0.16 * twill + 0.22 * worn)[..., None]
    elif p == "knit":
        rib = (((x + 0.15 * ((y / 0.006) % 1 - 0.5).abs() * 0.01) / 0.008 % 1) - 0.5).abs()
        colour = colour * (0.80 + 0.36 * rib + 0.06 * ((y / 0.006 % 1) - 0.5))[..., None]
    elif p == "camouflage":
        for k, ink in enumerate((fabric.second, fabric.third, fabric.ink)):
            n = value_noise(x / (t * 1.2) + 7 * k, y / (t * 0.8), fabric.seed + k) + 0.4 * value_noise(
                x / (t * 0.4), y / (t * 0.3), fabric.seed + 9 + k
            )
            colour = _mix(colour, ink, _edge((0.82 - n) * t, 0.003))
    elif p == "halves":
        colour = _mix(colour, fabric.second, _edge(y - 1.20, 0.002) if fabric.seed % 2 else _edge(x, 0.002))
    elif p == "fade":
        colour = _mix(colour, fabric.second, ((1.4 - y) / 0.6).clamp(0, 1))
    return colour


def _motif(fabric: Fabric, name: str, x: Tensor, y: Tensor, colour: Tensor) -> Tensor:
    """`colour` with a placed print drawn over it."""
    w = fabric.motif_size
    x, y = x - fabric.motif_place[0], y - fabric.motif_place[1]
    if name in ("word", "number"):
        strokes = text_strokes(fabric.text if name == "word" else str(10 + fabric.seed % 90))
        height = w / max(float(strokes[:, [0, 2]].max() - strokes[:, [0, 2]].min()), 0.8)
        d = stroke_distance(x / height, y / height, strokes) - (0.085 if name == "word" else 0.12)
        return _mix(colour, fabric.ink, _edge(d * height))
    if name == "star":
        d = star_distance(x / (w * 0.5), y / (w * 0.5), 5, 0.42) * w * 0.5
        return _mix(_mix(colour, fabric.third, _edge(d - 0.006)), fabric.ink, _edge(d))
    if name == "disc":
        r = torch.hypot(x, y)
        colour = _mix(colour, fabric.ink, _edge(r - w * 0.45))
        colour = _mix(colour, fabric.third, _edge((r - w * 0.33).abs() - w * 0.03))
        return _mix(
            colour,
            fabric.third,
            _edge(stroke_distance(x / (w * 0.4), y / (w * 0.4), text_strokes(fabric.text[:1])) * w * 0.4 - 0.05 * w),
        )
    if name == "bars":
        for k, ink in enumerate((fabric.ink, fabric.second, fabric.third)):
            colour = _mix(colour, ink, _edge((y - (1 - k) * w * 0.22).abs() - w * 0.09) * _edge(x.abs() - w * 0.5))
        return colour
    if name == "flower":
        angle, r = torch.atan2(y, x), torch.hypot(x, y)
        colour = _mix(colour, fabric.ink, _edge(r - w * 0.5 * (0.6 + 0.4 * (3 * angle).cos().abs())))
        return _mix(colour, fabric.third, _edge(r - w * 0.14))
    if name == "pocket_mark":
        return _mix(colour, fabric.ink, _edge(torch.maximum((x - 0.075).abs(), (y - 0.03).abs()) - 0.014))
    return colour


@dataclass(frozen=True)
class Cloth:
    """A fabric baked for one garment: `levels` of [2, 3, h, w] float32 linear light (front, back), each half the one before,
    over the flat
    rectangle from `low` (x, y) to `high` in metres."""

    levels: tuple[Tensor, ...]
    low: tuple[float, float]
    high: tuple[float, float]

    def to(self, device: torch.device | str) -> Cloth:
        """The same on another device."""
        return Cloth(tuple(level.to(device) for level in self.levels), self.low, self.high)

    def level(self, metres_per_sample: float) -> int:
        """The level whose texels lie about as far apart as the samples."""
        texel = (self.high[0] - self.low[0]) / self.levels[0].shape[3]
        return min(max(round(math.log2(max(metres_per_sample / texel, 1e-3))), 0), len(self.levels) - 1)

    def __call__(self, flat: Tensor, back: Tensor, level: int = 0) -> Tensor:
        """Linear colours [N, 3] at flat coordinates [N, 2]; `back` [N] bool; coarse levels are for samples that lie far apart."""
        picture = self.levels[level]
        u = 2 * (flat[:, 0] - self.low[0]) / (self.high[0] - self.low[0]) - 1
        v = 1 - 2 * (flat[:, 1] - self.low[1]) / (self.high[1] - self.low[1])
        grid = torch.stack([u, v], -1)[None, None].expand(2, -1, -1, -1)
        both = F.grid_sample(picture, grid, align_corners=False, padding_mode="border")[:, :, 0]
        return torch.where(back[:, None], both[1].T, both[0].T)


def linear(srgb: Tensor) -> Tensor:
    """Linear light of sRGB values 0-1 (the 2.2 power is near enough for a studio that defines its own light)."""
    return srgb.clamp_min(0).pow(2.2)


def bake(fabric: Fabric, low: tuple[float, float], high: tuple[float, float], trim: Tensor | None, texel: float) -> Cloth:
    """The fabric over a flat rectangle at `texel` metres; `trim` [2, h, w, 4] sRGB and coverage is sewn on top."""
    width, height = texture_size(low, high, texel)
    xs = low[0] + (torch.arange(width) + 0.5) * (high[0] - low[0]) / width
    ys = high[1] - (torch.arange(height) + 0.5) * (high[1] - low[1]) / height
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    sides = []
    for side, name in enumerate((fabric.motif, fabric.back_motif)):
        # The back is seen mirrored: the same cloth runs around, but words on it must read from behind.
        colour = _pattern(fabric, x if side == 0 else x + 0.013, y)
        colour = _motif(fabric, name, x if side == 0 else -x, y, colour)
        grain = 1 + 0.10 * fabric.weave * (hashed((x / 0.002).floor(), (y / 0.002).floor(), fabric.seed + side) - 0.5)
        colour = (colour * grain[..., None]).clamp(0, 1)
        if trim is not None:
            colour = torch.lerp(colour, trim[side, ..., :3], trim[side, ..., 3:])
        sides.append(linear(colour).permute(2, 0, 1))
    levels = [torch.stack(sides)]
    while min(levels[-1].shape[2:]) >= 16 and len(levels) < 6:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return Cloth(tuple(levels), low, high)


def texture_size(low: tuple[float, float], high: tuple[float, float], texel: float) -> tuple[int, int]:
    """(width, height) in texels, multiples of 32 so that every level halves exactly."""
    return tuple(max(32, math.ceil((b - a) / texel / 32) * 32) for a, b in zip(low, high))
