"""Signed-distance shapes and their surfaces: tubes with profiles, stacks of ovals, smooth unions, and surface nets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

Field = Callable[[Tensor], Tensor]
"""Points [N, 3] in metres to signed distances [N] in metres, negative inside; need only be right near the surface."""


@dataclass(frozen=True)
class Table:
    """A smooth curve through (x, y) stations, evenly resampled so that reading it is one lerp. `values` [n, c] float32."""

    low: float
    high: float
    values: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Values [..., c] at `x` [...], held constant outside the stations."""
        n = len(self.values) - 1
        t = ((x.float() - self.low) / (self.high - self.low)).clamp(0, 1) * n
        i = t.floor().clamp(max=n - 1).long()
        values = self.values.to(x.device)
        return torch.lerp(values[i], values[i + 1], (t - i)[..., None])


def table(stations: list[tuple[float, ...]]) -> Table:
    """A monotone-cubic curve through rows (x, value, value, ...) sorted by x."""
    rows = np.asarray(sorted(stations), np.float64)
    xs = np.linspace(rows[0, 0], rows[-1, 0], 129)
    values = PchipInterpolator(rows[:, 0], rows[:, 1:])(xs)
    return Table(float(xs[0]), float(xs[-1]), torch.tensor(values, dtype=torch.float32))


def smooth_union(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Polynomial smooth minimum with blend width `k` metres (Quilez)."""
    h = (0.5 + 0.5 * (b - a) / k).clamp(0, 1)
    return torch.lerp(b, a, h) - k * h * (1 - h)


def smooth_cut(a: Tensor, b: Tensor, k: float) -> Tensor:
    """`a` with `b` taken out of it, edges rounded over `k` metres."""
    return -smooth_union(-a, b, k)


def smooth_step(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, cubic between (either order)."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def ball(p: Tensor, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Tensor:
    """Approximate distance to an ellipsoid."""
    r = p.new_tensor(radii)
    q = (p - p.new_tensor(centre)) / r
    k0 = q.norm(dim=-1)
    k1 = (q / r).norm(dim=-1).clamp_min(1e-6)
    return k0 * (k0 - 1) / k1


def capsule(p: Tensor, a: Tensor, b: Tensor, ra: float, rb: float) -> Tensor:
    """Distance to a capsule from `a` to `b` [3] whose radius goes from `ra` to `rb`."""
    d = b - a
    t = ((p - a) @ d / (d @ d)).clamp(0, 1)
    return (p - a - t[:, None] * d).norm(dim=-1) - torch.lerp(p.new_tensor(ra), p.new_tensor(rb), t)


def tube(p: Tensor, a: Tensor, axis: Tensor, profile: Table, squash: float = 1.0, across: Tensor | None = None) -> Tensor:
    """Distance to a limb: starts at `a`, runs along unit `axis`, radius `profile(metres along)`; `squash` thins it along
    unit `across`."""
    q = p - a
    t = (q @ axis).clamp(profile.low, profile.high)
    rest = q - t[:, None] * axis
    if across is not None:
        rest = rest + ((1 / squash - 1) * (rest @ across))[:, None] * across
    return rest.norm(dim=-1) - profile(t)[..., 0]


def oval_stack(p: Tensor, profile: Table, exponent: float = 2.3) -> Tensor:
    """Distance to a trunk of superellipses: `profile(y)` gives half width, half depth and centre z at height y."""
    section = profile(p[:, 1])
    x, z = p[:, 0].abs(), (p[:, 2] - section[:, 2])
    q = ((x / section[:, 0]).pow(exponent) + (z.abs() / section[:, 1]).pow(exponent)).pow(1 / exponent)
    radial = torch.hypot(x, z)
    d = torch.where(q > 0.05, radial * (1 - 1 / q.clamp_min(0.05)), -torch.minimum(section[:, 0], section[:, 1]))
    past = p[:, 1] - p[:, 1].clamp(profile.low, profile.high)
    return torch.where(past == 0, d, torch.hypot(d.clamp_min(0), past))


@dataclass(frozen=True)
class Surface:
    """Triangles in the rest pose: `points` [V, 3], `normals` [V, 3] float32 metres, `faces` [F, 3] int64, counter-clockwise
    from outside."""

    points: Tensor
    normals: Tensor
    faces: Tensor


_CORNERS = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (_CORNERS[a] - _CORNERS[b]).abs().sum() == 1]


def field_normals(field: Field, points: Tensor, step: float = 1e-3) -> tuple[Tensor, Tensor]:
    """(distances [N], unit gradients [N, 3]) by tetrahedral differences."""
    k = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    values = torch.stack([field(points + step * o) for o in k])
    gradient = torch.einsum("kn,kc->nc", values, k) / (4 * step)
    return values.mean(0), gradient / gradient.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def _sample(field: Field, low: Tensor, shape: tuple[int, ...], voxel: float) -> Tensor:
    """Field values on a grid; far from the surface only every fourth point is looked at."""
    block = 4
    coarse_shape = [(n + block - 1) // block for n in shape]
    axes = [low[i] + voxel * (torch.arange(n) * block + (block - 1) / 2) for i, n in enumerate(coarse_shape)]
    coarse = field(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)).reshape(coarse_shape)
    full = coarse.repeat_interleave(block, 0).repeat_interleave(block, 1).repeat_interleave(block, 2)
    full = full[: shape[0], : shape[1], : shape[2]].contiguous()
    near = (full.abs() < voxel * block * 1.6 + 0.02).nonzero()
    full[near[:, 0], near[:, 1], near[:, 2]] = field(low + voxel * near.float())
    return full


def surface_nets(field: Field, low: list[float], high: list[float], voxel: float) -> Surface:
    """The zero surface of `field` inside the box, as triangles about `voxel` metres wide (naive surface nets, then two
    Newton steps)."""
    origin = torch.tensor(low, dtype=torch.float32)
    shape = tuple(int(np.ceil((b - a) / voxel)) + 1 for a, b in zip(low, high))
    values = _sample(field, origin, shape, voxel)
    inside = values < 0
    counts = sum(
        inside[i : shape[0] - 1 + i, j : shape[1] - 1 + j, k : shape[2] - 1 + k].to(torch.int8) for i, j, k in _CORNERS.tolist()
    )
    cells = ((counts > 0) & (counts < 8)).nonzero()
    if len(cells) == 0:
        raise ValueError("surface_nets found no surface inside the box")
    index = torch.full([n - 1 for n in shape], -1, dtype=torch.long)
    index[cells[:, 0], cells[:, 1], cells[:, 2]] = torch.arange(len(cells))
    corner = cells[:, None] + _CORNERS
    at = values[corner[..., 0], corner[..., 1], corner[..., 2]]
    total, weight = torch.zeros(len(cells), 3), torch.zeros(len(cells), 1)
    for a, b in _EDGES:
        crosses = (at[:, a] < 0) != (at[:, b] < 0)
        t = at[:, a] / (at[:, a] - at[:, b]).where(crosses, torch.ones(()))
        point = torch.lerp(_CORNERS[a].float(), _CORNERS[b].float(), t[:, None])
        total += point * crosses[:, None]
        weight += crosses[:, None]
    points = origin + voxel * (cells + total / weight)
    for _ in range(2):
        distance, normal = field_normals(field, points)
        points = points - (distance.clamp(-voxel / 2, voxel / 2))[:, None] * normal
    return Surface(points, field_normals(field, points)[1], _quads(inside, index))


def _quads(inside: Tensor, index: Tensor) -> Tensor:
    """Two triangles for every grid edge that crosses the surface, joining the four cells around it."""
    faces = []
    for axis in range(3):
        b, c = [(1, 2), (2, 0), (0, 1)][axis]
        first, second = inside.narrow(axis, 0, inside.shape[axis] - 1), inside.narrow(axis, 1, inside.shape[axis] - 1)
        edge = (first != second).nonzero()
        ok = (edge[:, b] > 0) & (edge[:, c] > 0) & (edge[:, b] < index.shape[b]) & (edge[:, c] < index.shape[c])
        edge = edge[ok & (edge[:, axis] < index.shape[axis])]
        flip = first[edge[:, 0], edge[:, 1], edge[:, 2]]
        ring = []
        for db, dc in ((0, 0), (-1, 0), (-1, -1), (0, -1)):
            cell = edge.clone()
            cell[:, b] += db
            cell[:, c] += dc
            ring.append(index[cell[:, 0], cell[:, 1], cell[:, 2]])
        q = torch.stack(ring, -1)
        q = torch.where(flip[:, None], q.flip(-1), q)
        q = q[(q >= 0).all(-1)]
        faces += [q[:, [0, 2, 1]], q[:, [0, 3, 2]]]
    return torch.cat(faces)
