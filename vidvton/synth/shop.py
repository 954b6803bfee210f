"""Shop pictures: a garment laid flat, front and back, drawn from the same triangles and the same cloth that people wear."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.body import ARM, ARM_UP
from vidvton.synth.fabric import Cloth, linear
from vidvton.synth.figure import Figure, garment_figure
from vidvton.synth.garments import GarmentSpec, Pattern, flatten, worn_on
from vidvton.synth.raster import blend, rasterize
from vidvton.values import LANDMARKS


def wear(cloth: Cloth, spec: GarmentSpec, flat: Tensor, level: int = 0) -> Tensor:
    """Linear albedo [N, 3] of cloth at `flat` [N, 4]: flat x, y, side, and metres to the nearest edge, which bears the
    garment's band; `level` as in Cloth."""
    colour = cloth(flat[:, :2], flat[:, 2] < 0, level)
    width = spec.band_width
    amount = ((width - flat[:, 3]) / 0.002 + 0.5).clamp(0, 1)[:, None]
    if spec.band is not None:
        colour = torch.lerp(colour, linear(colour.new_tensor(spec.band)).expand_as(colour), amount)
    else:
        colour = colour * (1 - 0.10 * amount)
    stitch = (1 - ((flat[:, 3] - width).abs() / 0.0022)).clamp(0, 1)[:, None]
    return colour * (1 - 0.30 * stitch)


@dataclass(frozen=True)
class ShopPicture:
    """A garment laid flat. `image` [3, H, W] uint8 on white; `alpha` [H, W] float32 0-1; `parts` [H, W] uint8 `values.Part`
    (zero where the
    inside of the back shows); `landmarks` [L, 3] float32 (x, y, score) in the order of values.LANDMARKS; `to_pixels` (scale,
    left, top):
    a flat coordinate (x, y) in metres lies at pixel (left + scale * x, top - scale * y), x negated in the back view."""

    image: Tensor
    alpha: Tensor
    parts: Tensor
    landmarks: Tensor
    to_pixels: tuple[float, float, float]


def shop_picture(g: Pattern, cloth: Cloth, figure: Figure, size: tuple[int, int], *, back: bool = False) -> ShopPicture:
    """The front (or `back`) view of a garment at (height, width) `size`. `figure` is the garment alone, from
    `figure.garment_figure`."""
    height, width = size
    kept = figure.keep[figure.faces].amax(-1) > 0
    used = figure.flat[torch.unique(figure.faces[kept])]
    used = used[figure.keep[torch.unique(figure.faces[kept])] > -0.004]
    wide, low, high = float(used[:, 0].abs().max()), float(used[:, 1].min()), float(used[:, 1].max())
    scale = min(width / (2 * wide), height / (high - low)) * 0.90
    left, top = width / 2, height / 2 + scale * (high + low) / 2
    mirror = -1.0 if back else 1.0
    beyond, _ = flatten(g, figure.points, worn_on(g, figure.points), unfold=True)
    fine = (2 * height, 2 * width)
    near = figure.side > 0 if not back else figure.side < 0
    layers = []
    for outer, depth in ((True, 2.0), (False, 1.0)):
        # Corners beyond the seam are folded out, and the triangles there cut along it, so that the outline is the pattern's.
        mine = near == outer
        flat = torch.where(mine[:, None], figure.flat, beyond)
        x, y = left + scale * mirror * flat[:, 0], top - scale * flat[:, 1]
        sign = (1.0 if outer else -1.0) * mirror
        screen = torch.stack(
            [2 * (x - 0.5) + 0.5, 2 * (y - 0.5) + 0.5, (depth + 0.5 * mirror * figure.points[:, 2]).clamp_min(0.1)], -1
        )
        keep = torch.minimum(figure.keep, 0.08 * sign * figure.side)
        side = (sign * figure.side[figure.faces]).amax(-1) > 0
        faces = figure.faces[side]
        layers.append(
            (rasterize(screen[None], faces, fine, keep=keep, two_sided=torch.ones(len(faces), dtype=torch.bool)), faces, side)
        )
    colour, piece = torch.zeros(*fine, 3), torch.zeros(fine, dtype=torch.uint8)
    cover = torch.zeros(fine)
    for (hits, faces, side), inside in zip(reversed(layers), (True, False)):
        flat = blend(torch.cat([figure.flat, figure.side[:, None], figure.keep[:, None]], -1), faces, hits)
        albedo = wear(cloth, g.spec, flat, cloth.level(0.5 / scale))
        normal = blend(figure.normals, faces, hits) * torch.tensor([mirror, 1.0, mirror])
        shade = _soft_light(F.normalize(normal, dim=-1)) if not inside else torch.full((len(albedo),), 0.42)
        at = hits.covered[0]
        colour[at] = albedo * shade[:, None]
        piece[at] = 0 if inside else figure.piece[side][hits.face]
        cover[at] = 1.0
    picture = torch.cat([colour * cover[..., None], cover[..., None]], -1).permute(2, 0, 1)[None]
    picture = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1)), 3, 2)[0, :, :height, :width]
    alpha = picture[3]
    paper = linear(torch.tensor([0.965, 0.965, 0.965]))[:, None, None]
    shadow = 1 - 0.10 * F.avg_pool2d(F.pad(alpha[None, None], (9, 9, 11, 7), mode="replicate"), 19, 1)[0]
    image = (picture[:3] + (1 - alpha) * paper * shadow).clamp(0, 1).pow(1 / 2.2)
    points = landmarks_of(g)
    points[:, 0] = left + scale * mirror * points[:, 0]
    points[:, 1] = top - scale * points[:, 1]
    points = points * (points[:, 2:] > 0)
    return ShopPicture(
        (image * 255).round().to(torch.uint8), alpha.contiguous(), piece[::2, ::2].contiguous(), points, (scale, left, top)
    )


def _soft_light(normal: Tensor) -> Tensor:
    """A light tent's shading of cloth lying flat: only a hint of relief."""
    toward = F.normalize(torch.tensor([-0.35, 0.55, 0.9]), dim=0)
    return 0.70 + 0.22 * (normal @ toward).clamp(-1, 1)


def lay_flat(g: Pattern, voxel: float = 0.010) -> Figure:
    """The garment's own triangles for a shop picture."""
    return garment_figure(g, 3, voxel)


def landmarks_of(g: Pattern) -> Tensor:
    """[L, 3] flat x, y in metres and a score, rows as values.LANDMARKS of the garment's category; score 0 where it has not
    got one."""
    names = LANDMARKS[g.spec.category]
    points = _lower_marks(g) if g.spec.category == "lower" else _upper_marks(g)
    rows = []
    for name in names:
        base = name.replace("_left", "").replace("_right", "")
        found = points.get(base)
        sign = -1.0 if name.endswith("_right") else 1.0
        rows.append((sign * found[0], found[1], 1.0) if found is not None else (0.0, 0.0, 0.0))
    return torch.tensor(rows, dtype=torch.float32)


def _half(g: Pattern, y: float) -> float:
    """Half the flat width of the trunk at height y."""
    a, b = g.trunk(torch.tensor(y))[:2].tolist()
    return (a + b) / 2 * math.pi / 2


def _flat(g: Pattern, x: float, y: float, z: float) -> tuple[float, float]:
    p = torch.tensor([[x, y, z]])
    flat, _ = flatten(g, p, worn_on(g, p))
    return float(flat[0, 0].abs()), float(flat[0, 1])


def _upper_marks(g: Pattern) -> dict[str, tuple[float, float]]:
    spec, s = g.spec, g.body.shoulder
    width = {"crew": 0.083, "v": 0.080, "scoop": 0.100, "boat": 0.120}.get(spec.neck, 0.070)
    marks = {
        "neck": _flat(g, width, 1.462, float(s[2])),
        "neck_centre": (0.0, 1.468 - spec.neck_depth if spec.neck != "high" else 1.512),
        "waist": (_half(g, 1.06), 1.06),
        "hem": (_half(g, max(spec.hem, g.trunk.low)), spec.hem),
        "hem_centre": (0.0, spec.hem),
        "armpit": (_half(g, 1.29), 1.29),
    }
    if spec.sleeve <= 0.02:
        return marks | {"armpit": (_half(g, 1.23), 1.23)} | {"shoulder": _flat(g, float(s[0]) - 0.03, 1.435, float(s[2]))}
    shift = _half(g, 1.30) - float(g.trunk(torch.tensor(1.30))[0])
    for name, along in (("sleeve", spec.sleeve / 2), ("cuff", spec.sleeve)):
        radius = float(g.sleeve(torch.tensor(along))[0]) * math.pi / 2
        for end, sign in (("outer", 1), ("inner", -1)):
            p = s + along * ARM + sign * radius * ARM_UP
            marks[f"{name}_{end}"] = (float(p[0]) + shift, float(p[1]))
    top = s + 0.02 * ARM + float(g.sleeve(torch.tensor(0.02))[0]) * math.pi / 2 * ARM_UP
    return marks | {"shoulder": (float(top[0]) + shift * 0.8, float(top[1]))}


def _lower_marks(g: Pattern) -> dict[str, tuple[float, float]]:
    spec = g.spec
    marks = {"waist": (_half(g, spec.waist), spec.waist), "waist_centre": (0.0, spec.waist), "hip": (_half(g, 0.92), 0.92)}
    if spec.is_skirt:
        return marks | {"hem_outer": (_half(g, spec.hem), spec.hem), "hem_centre": (0.0, spec.hem)}
    body = g.body
    marks["crotch"] = (0.0, 0.845)
    for name, along in (("knee", min(0.415, spec.leg)), ("hem", spec.leg)):
        if name == "knee" and spec.leg < 0.415:
            continue
        p = body.hip + along * body.leg_axis
        radius = float(g.leg(torch.tensor(along))[0])
        for end, sign in (("outer", 1), ("inner", -1)):
            x, y = _flat(g, float(p[0]) + sign * radius, float(p[1]), float(p[2]))
            marks[f"{name}_{end}"] = (x, y)
    return marks
