"""What is sewn onto a garment's flat shape: plackets, buttons, pockets, zips, waistbands, drawstrings."""

from __future__ import annotations

import torch
from torch import Tensor

from vidvton.synth.fabric import Cloth, Colour, bake, texture_size
from vidvton.synth.garments import Pattern, flatten, worn_on
from vidvton.synth.solids import smooth_step


def _line(distance: Tensor, width: float) -> Tensor:
    """1 within `width` metres of a curve."""
    return smooth_step(width * 1.25, width * 0.75, distance.abs())


def _darker(colour: Colour, factor: float) -> Colour:
    return tuple(min(1.0, c * factor) for c in colour)


class _Sewing:
    """A picture that trims are laid on, back to front."""

    def __init__(self, height: int, width: int) -> None:
        self.picture = torch.zeros(height, width, 4)

    def lay(self, amount: Tensor, colour: Colour) -> None:
        a = amount.clamp(0, 1)[..., None]
        old = self.picture
        alpha = old[..., 3:] * (1 - a) + a
        rgb = (old[..., :3] * old[..., 3:] * (1 - a) + a * old.new_tensor(colour)) / alpha.clamp_min(1e-4)
        self.picture = torch.cat([rgb, alpha], -1)


def _box(x: Tensor, y: Tensor, cx: float, cy: float, w: float, h: float) -> Tensor:
    """Metres outside a rectangle, negative inside."""
    return torch.maximum((x - cx).abs() - w, (y - cy).abs() - h)


def _outline(d: Tensor, width: float = 0.0016) -> Tensor:
    return _line(d, width)


def sew(g: Pattern, low: tuple[float, float], high: tuple[float, float], texel: float) -> Tensor:
    """[2, h, w, 4] sRGB and coverage of everything sewn on, front and back."""
    width, height = texture_size(low, high, texel)
    xs = low[0] + (torch.arange(width) + 0.5) * (high[0] - low[0]) / width
    ys = high[1] - (torch.arange(height) + 0.5) * (high[1] - low[1]) / height
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    front, back = _Sewing(height, width), _Sewing(height, width)
    spec = g.spec
    seam = _darker(spec.fabric.base, 0.62)
    pale = _darker(spec.fabric.base, 1.35) if max(spec.fabric.base) < 0.5 else _darker(spec.fabric.base, 0.75)
    if spec.category == "lower" and not spec.is_skirt:
        _sew_trousers(g, front, back, x, y, seam, pale)
    elif spec.category == "lower":
        for side in (front, back):
            side.lay(_line(y - spec.waist + 0.035, 0.0016), seam)
    if spec.kind in ("shirt", "jacket") or (spec.kind == "dress" and spec.neck == "collar"):
        centre = torch.where(y > 0, x, x)
        if not spec.open:
            front.lay(_outline(centre - 0.016) + _outline(centre + 0.016), seam)
        for k in range(9 if spec.kind == "shirt" else 4):
            at = 1.40 - k * (0.07 if spec.kind == "shirt" else 0.12)
            cx = 0.0 if not spec.open else 0.05
            disc = torch.hypot(x - cx, y - at)
            front.lay(smooth_step(0.0062, 0.0045, disc), pale)
            front.lay(_line(disc - 0.0062, 0.0008), seam)
    if spec.kind in ("shirt", "jacket") and spec.fabric.motif == "none":
        pocket = _box(x, y, 0.078, 1.265, 0.042, 0.048)
        front.lay(_outline(pocket), seam)
        front.lay(_line(_box(x, y, 0.078, 1.305, 0.042, 0.004), 0.001), seam)
    if spec.kind == "hoodie":
        slope = (1.055 - y).clamp(0, 0.12) * 0.35
        front.lay(_outline(torch.maximum((x.abs() - 0.105 - slope), (y - 0.995).abs() - 0.07), 0.002), seam)
        for sign in (-1, 1):
            string = torch.maximum((x - sign * (0.035 + 0.01 * (1.40 - y))).abs() - 0.003, (y - 1.33).abs() - 0.085)
            front.lay(smooth_step(0.0008, -0.0008, string), (0.92, 0.92, 0.9))
    if spec.kind == "jacket":
        for sign in (-1, 1):
            front.lay(_outline(_box(x, y, sign * 0.10, 1.02, 0.05, 0.012)), seam)
            front.lay(_line(x - sign * (0.03 + 0.30 * (y - 1.15)), 0.0015) * (y > 1.15) * (y < 1.42), seam)
    return torch.stack([front.picture, back.picture])


def _sew_trousers(g: Pattern, front: _Sewing, back: _Sewing, x: Tensor, y: Tensor, seam: Colour, pale: Colour) -> None:
    spec = g.spec
    for side in (front, back):
        side.lay(_line(y - spec.waist + 0.034, 0.0015), seam)
        for k in range(-3, 4):
            side.lay(smooth_step(0.0008, -0.0008, _box(x, y, 0.055 * k, spec.waist - 0.016, 0.005, 0.017)), seam)
    fly = torch.where(y > spec.waist - 0.15, (x - 0.022).abs(), torch.hypot(x - 0.002, y - spec.waist + 0.15) - 0.02)
    front.lay(_line(fly, 0.0013) * (y < spec.waist - 0.034) * (y > spec.waist - 0.18) * (x > -0.001), seam)
    front.lay(smooth_step(0.0075, 0.006, torch.hypot(x, y - spec.waist + 0.016)), pale)
    for sign in (-1, 1):
        curve = torch.hypot((x - sign * 0.19) / 0.085, (y - spec.waist + 0.025) / 0.10) - 1
        front.lay(_line(curve * 0.085, 0.0015) * (y < spec.waist - 0.034), seam)
        back.lay(
            _outline(torch.maximum(_box(x, y, sign * 0.095, spec.waist - 0.155, 0.055, 0.065), -0.02 * torch.ones_like(x))), seam
        )
        inner = 0.11 + 0.07 * (0.905 - y).clamp_min(0)
        if spec.fabric.motif == "bars":  # a stripe down the side
            edge = (x - sign * (inner + 0.115)).abs()
            front.lay(smooth_step(0.014, 0.012, edge) * (y < spec.waist - 0.04), spec.fabric.ink)


def flat_bounds(g: Pattern, points: Tensor, keep: Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
    """(low, high) of the flat rectangle a garment's kept rest points fill, with a margin."""
    kept = points[keep > -0.02]
    flat, _ = flatten(g, kept, worn_on(g, kept))
    low, high = flat.amin(0) - 0.02, flat.amax(0) + 0.02
    half = float(torch.maximum(-low[0], high[0]))
    return (-half, float(low[1])), (half, float(high[1]))


def make_cloth(g: Pattern, extent: tuple[tuple[float, float], tuple[float, float]], *, texel: float = 0.002) -> Cloth:
    """The garment's fabric with everything sewn on it, baked at `texel` metres over the flat `extent` of `flat_bounds`."""
    low, high = extent
    return bake(g.spec.fabric, low, high, sew(g, low, high, texel), texel)
