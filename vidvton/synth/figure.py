"""A dressed person as triangles in the rest pose, with everything a frame needs to know about each corner and face."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import torch
from torch import Tensor

from vidvton.synth.body import FOREARM, UPPER_ARM, Anatomy, anatomy, body_field, place, skin_weights
from vidvton.synth.garments import GarmentSpec, Pattern, bounds, cut, cut_for, flatten, garment_field, lap, part_of, worn_on
from vidvton.synth.look import Look, hair_bounds, hair_field, hair_keep, shoe_field
from vidvton.synth.skeleton import INDEX
from vidvton.synth.solids import Surface, surface_nets
from vidvton.synth.surface import surface_map
from vidvton.synth.trim import flat_bounds
from vidvton.values import CIHP_LABELS

SKIN, HAIR, SHOES, GARMENT = 0, 1, 2, 3
"""Layers of a figure; garment i is layer GARMENT + i, from the skin outward."""

_LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}


@dataclass(frozen=True)
class Figure:
    """Per corner [V]: rest `points`, `normals` [V, 3], skin `weights` [V, J], `keep` (metres of material left, cut where
    negative),
    `flat` [V, 2] and `side` (garment layout), `uv` [V, 2] body surface, `loose` 0-1 and the joint `loose_joint` it trails.
    Per face [F]: `faces` [F, 3], `layer`, CIHP `label`, body `part`, garment `piece` (values.Part), all uint8, and
    `two_sided` bool."""

    points: Tensor
    normals: Tensor
    weights: Tensor
    keep: Tensor
    flat: Tensor
    side: Tensor
    uv: Tensor
    loose: Tensor
    loose_joint: Tensor
    faces: Tensor
    layer: Tensor
    label: Tensor
    part: Tensor
    piece: Tensor
    two_sided: Tensor
    inner: Tensor

    def to(self, device: torch.device | str) -> Figure:
        """The same on another device."""
        return Figure(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


_CORNER_FIELDS = ("points", "normals", "weights", "keep", "flat", "side", "uv", "loose", "loose_joint")
_FACE_FIELDS = ("layer", "label", "part", "piece", "two_sided", "inner")


def join(figures: list[Figure]) -> Figure:
    """Several sets of triangles as one."""
    start, faces = 0, []
    for f in figures:
        faces.append(f.faces + start)
        start += len(f.points)
    rest = {name: torch.cat([getattr(f, name) for f in figures]) for name in (*_CORNER_FIELDS, *_FACE_FIELDS)}
    return Figure(faces=torch.cat(faces), **rest)


def only(f: Figure, keep: Tensor) -> Figure:
    """The faces where `keep` [F] bool, and the corners they use."""
    faces = f.faces[keep]
    used, again = torch.unique(faces, return_inverse=True)
    rest = {name: getattr(f, name)[used] for name in _CORNER_FIELDS} | {name: getattr(f, name)[keep] for name in _FACE_FIELDS}
    return Figure(faces=again, **rest)


def _clothe(a: Anatomy, surface: Surface, layer: int, label: Tensor | int, **given: Tensor) -> Figure:
    """A figure of one surface with the defaults of bare material."""
    v, f = len(surface.points), len(surface.faces)
    part, uv = surface_map(a, surface.points)
    if isinstance(label, int):
        label = torch.full((f,), label, dtype=torch.uint8)
    parts = {
        "weights": given.get("weights", skin_weights(a, surface.points)) if "weights" not in given else given["weights"],
        "keep": given.get("keep", torch.ones(v)),
        "flat": given.get("flat", torch.zeros(v, 2)),
        "side": given.get("side", torch.ones(v)),
        "uv": uv,
        "loose": given.get("loose", torch.zeros(v)),
        "loose_joint": given.get("loose_joint", torch.zeros(v, dtype=torch.long)),
        "piece": given.get("piece", torch.zeros(f, dtype=torch.uint8)),
        "two_sided": given.get("two_sided", torch.zeros(f, dtype=torch.bool)),
        "inner": torch.zeros(f, dtype=torch.bool),
    }
    layers = torch.full((f,), layer, dtype=torch.uint8)
    return Figure(
        surface.points, surface.normals, faces=surface.faces, layer=layers, label=label, part=part[surface.faces[:, 0]], **parts
    )


def _skin(a: Anatomy, look: Look, voxel: float) -> Figure:
    """The bare body: trunk and limbs coarse, head and hands fine; the three come from one field and overlap a little."""

    def field(p: Tensor) -> Tensor:
        return body_field(a, p)

    wrist = UPPER_ARM + FOREARM
    hand = a.shoulder + torch.tensor([math.cos(math.pi / 4), -math.sin(math.pi / 4), 0.0]) * (wrist + 0.08)
    x, y = float(hand[0]), float(hand[1])
    fine = max(voxel * 0.42, 0.0055)
    body = _clothe(a, surface_nets(field, [-0.80, -0.02, -0.26], [0.80, 1.53, 0.26], voxel), SKIN, 0)
    head = _clothe(a, surface_nets(field, [-0.13, 1.455, -0.16], [0.13, 1.78, 0.17], fine), SKIN, 0)
    left = _clothe(
        a, surface_nets(field, [x - 0.13, y - 0.13, -0.10], [x + 0.14, y + 0.13, 0.10], max(voxel * 0.36, 0.005)), SKIN, 0
    )
    mirror = torch.tensor([-1.0, 1, 1])
    at = place(a, body.points)
    c = body.faces[:, 0]
    body = only(
        body,
        ~((body.points[c, 1] > 1.50) & (body.points[c, 0].abs() < 0.11))
        & ~((at.arm[c] > 0.5) & (at.along_arm[c] > wrist + 0.02)),
    )
    along = place(a, left.points).along_arm
    left = only(left, along[left.faces[:, 0]] > wrist - 0.012)
    right = _clothe(a, Surface(left.points * mirror, left.normals * mirror, left.faces[:, [0, 2, 1]]), SKIN, 0)
    figure = join([body, head, left, right])
    return Figure(**{f.name: getattr(figure, f.name) for f in fields(figure)} | {"label": _skin_labels(a, look, figure)})


def _skin_labels(a: Anatomy, look: Look, f: Figure) -> Tensor:
    """CIHP labels [F] uint8 of bare faces."""
    p = f.points[f.faces].mean(1)
    at, left = place(a, p), p[:, 0] > 0
    label = torch.full((len(p),), _LABEL["torso_skin"], dtype=torch.uint8)
    label[(at.leg > 0.5) | (p[:, 1] < 0.80)] = _LABEL["right_leg"]
    label[((at.leg > 0.5) | (p[:, 1] < 0.80)) & left] = _LABEL["left_leg"]
    label[at.arm > 0.5] = _LABEL["right_arm"]
    label[(at.arm > 0.5) & left] = _LABEL["left_arm"]
    chin = 1.505 + 0.35 * (0.045 - p[:, 2]).clamp(0, 0.12)
    label[(p[:, 1] > chin) & (at.arm <= 0.5)] = _LABEL["face"]
    label[p[:, 1] < look.sock_top] = _LABEL["socks"]
    return label


def _hair(a: Anatomy, look: Look, voxel: float) -> Figure:
    low, high = hair_bounds(look)
    surface = surface_nets(lambda p: hair_field(a, look, p), low, high, max(voxel * 0.55, 0.0075))
    p = surface.points
    weights = skin_weights(a, p)
    down = ((1.56 - p[:, 1]) / 0.20).clamp(0, 1)[:, None]
    if look.hair_style == "tied":
        down = down * 0
    stiff = torch.zeros_like(weights)
    stiff[:, INDEX["head"]] = 1 - 0.85 * down[:, 0]
    stiff[:, INDEX["chest"]] = 0.85 * down[:, 0]
    loose = ((1.60 - p[:, 1]) / 0.25).clamp(0, 1) * (0.9 if look.hair_style == "tied" else 0.6)
    loose = torch.where(p[:, 2] < -0.115, loose + 0.2, loose) if look.hair_style == "tied" else loose
    joint = torch.full((len(p),), INDEX["head"])
    return _clothe(
        a,
        surface,
        HAIR,
        _LABEL["hair"],
        weights=stiff,
        keep=hair_keep(a, look, p),
        two_sided=torch.ones(len(surface.faces), dtype=torch.bool),
        loose=loose,
        loose_joint=joint,
    )


def _shoes(a: Anatomy, look: Look, voxel: float) -> Figure:
    top = look.shoe_top
    surface = surface_nets(
        lambda p: shoe_field(a, look, p), [-0.22, -0.015, -0.12], [0.22, top + 0.05, 0.20], max(voxel * 0.6, 0.008)
    )
    left = surface.points[surface.faces[:, 0], 0] > 0
    label = torch.where(left, _LABEL["left_shoe"], _LABEL["right_shoe"]).to(torch.uint8)
    return _clothe(a, surface, SHOES, label, keep=top - surface.points[:, 1])


_GARMENT_LABELS = {
    "jacket": "coat",
    "trousers": "pants",
    "shorts": "pants",
    "skirt": "skirt",
    "flared_skirt": "skirt",
    "dress": "dress",
}


def garment_label(spec: GarmentSpec) -> int:
    """The CIHP number of a garment."""
    return _LABEL[_GARMENT_LABELS.get(spec.kind, "upper")]


def garment_figure(g: Pattern, layer: int, voxel: float) -> Figure:
    """One garment as triangles, uncut faces far beyond its edges left out."""
    low, high = bounds(g)
    surface = surface_nets(lambda p: garment_field(g, p), low, high, voxel)
    p, spec = surface.points, g.spec
    at = worn_on(g, p)
    keep = cut(g, p, at)
    flat, side = flatten(g, p, at)
    weights = skin_weights(g.body, p)
    if spec.is_skirt or spec.category != "lower":
        weights = _off_the_legs(weights, 1.0 if spec.is_skirt else 0.75)
    if spec.is_skirt:  # it follows what both thighs do together: a lap when sitting, next to nothing when walking
        share = weights[:, 0] * lap(p[:, 1])
        weights[:, 0] -= share
        for name in ("left_hip", "right_hip"):
            weights[:, INDEX[name]] += share / 2
    loose = _looseness(spec, p, at)
    joint = torch.full((len(p),), INDEX["chest"])
    if spec.category == "lower":
        joint = torch.where(p[:, 0] > 0, INDEX["left_knee"], INDEX["right_knee"])
    else:
        joint = torch.where(at.arm > 0.5, torch.where(p[:, 0] > 0, INDEX["left_elbow"], INDEX["right_elbow"]), joint)
    piece = part_of(g, p, at)[surface.faces[:, 0]]
    near = torch.ones(len(surface.faces), dtype=torch.bool)
    figure = _clothe(
        g.body, surface, layer, garment_label(spec), weights=weights, keep=keep, flat=flat, side=side, loose=loose,
        loose_joint=joint,
        piece=piece, two_sided=near,
    )  # fmt: skip
    return only(figure, keep[surface.faces].amax(-1) > 0)


def _off_the_legs(weights: Tensor, share: float) -> Tensor:
    """Weights with `share` of what the legs carry given to the pelvis."""
    legs = [INDEX[f"{s}_{j}"] for s in ("left", "right") for j in ("hip", "knee", "ankle", "toe")]
    out = weights.clone()
    out[:, 0] += share * weights[:, legs].sum(-1)
    out[:, legs] *= 1 - share
    return out


def _looseness(spec: GarmentSpec, p: Tensor, at) -> Tensor:
    """[V] 0-1, how freely garment points trail behind."""
    roomy = min(max((spec.ease - 0.012) / 0.04, 0.0), 1.0)
    if spec.is_skirt:
        return torch.zeros(len(p))
    if spec.category == "lower":
        return roomy * ((at.along_leg - 0.3) / 0.5).clamp(0, 1) * 0.6
    hem = ((1.15 - p[:, 1]) / 0.25).clamp(0, 1) * (at.arm < 0.5)
    flap = 0.8 * hem if spec.open else roomy * 0.5 * hem
    return flap + roomy * 0.4 * (at.along_arm / 0.5).clamp(0, 1) * at.arm


@lru_cache(maxsize=2)
def _person(look: Look, voxel: float) -> tuple[Anatomy, tuple[Figure, ...]]:
    """Skin, shoes and hair, before anything is worn; kept, because a clip's variants show the same person in other garments."""
    a = anatomy(look.body)
    pieces = [_skin(a, look, voxel), _shoes(a, look, voxel)]
    if look.hair_style != "bald":
        pieces.append(_hair(a, look, voxel))
    return a, tuple(pieces)


@dataclass(frozen=True)
class Dressed:
    """A person in their garments: the `figure`, the `body`, and each garment's `patterns` in layer order with the flat rectangle
    (low, high) each fills, whatever else is worn."""

    figure: Figure
    body: Anatomy
    look: Look
    patterns: tuple[Pattern, ...]
    extents: tuple[tuple[tuple[float, float], tuple[float, float]], ...]


def dress(look: Look, garments: tuple[GarmentSpec, ...], *, voxel: float = 0.015) -> Dressed:
    """Builds a figure wearing `garments`, from the skin outward, triangles about `voxel` metres wide; what is well under
    cloth is left out."""
    a, bare = _person(look, voxel)
    patterns = tuple(cut_for(spec, a) for spec in garments)
    pieces = list(bare)
    clothes = [garment_figure(g, GARMENT + i, voxel) for i, g in enumerate(patterns)]
    extents = tuple(flat_bounds(g, f.points, f.keep) for g, f in zip(patterns, clothes))
    pieces += clothes
    shown = []
    for piece in pieces:
        layer = int(piece.layer[0])
        over = patterns if layer == SKIN or layer == SHOES else patterns[layer - GARMENT + 1 :] if layer >= GARMENT else ()
        hidden = torch.zeros(len(piece.faces), dtype=torch.bool)
        for g in over:
            margin = 0.10 if g.spec.is_skirt else 0.035
            left = cut(g, piece.points, worn_on(g, piece.points))
            if g.spec.is_skirt:
                left = torch.where(piece.points[:, 1] > 0.95, left + 0.07, left)
            if layer == SHOES:
                left = left - 0.2
            inside = garment_field(g, piece.points) < 0.012
            hidden |= ((left > margin) & inside)[piece.faces].all(-1)
        if layer >= GARMENT:  # its inside may still show, up a sleeve or a trouser leg
            shown.append(only(piece, ~hidden))
            if bool(hidden.any()):
                under = only(piece, hidden)
                turned = {
                    "faces": under.faces.flip(-1),
                    "two_sided": ~torch.ones_like(under.two_sided),
                    "inner": torch.ones_like(under.inner),
                }
                shown.append(replace(under, **turned))
        else:
            shown.append(only(piece, ~hidden))
    return Dressed(join(shown), a, look, patterns, extents)
