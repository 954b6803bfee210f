"""A z-buffer for many small triangles, in plain torch, batched over frames, the same on CPU and GPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_EMPTY = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Hits:
    """What each sample of a picture sees. `covered` [T, H, W] bool; for the N covered samples in order: `frame`, `face` [N]
    int64,
    `weights` [N, 3] float32 perspective-correct barycentric weights of the face's corners, `depth` [N] float32 metres along
    the axis."""

    covered: Tensor
    frame: Tensor
    face: Tensor
    weights: Tensor
    depth: Tensor


def rasterize(
    screen: Tensor, faces: Tensor, size: tuple[int, int], *, keep: Tensor | None = None, two_sided: Tensor | None = None
) -> Hits:
    """The nearest triangle at every sample.

    `screen` [T, V, 3] float32: x and y in samples (centres at +0.5), and one over the depth in metres (not positive = behind the
    camera). `faces` [F, 3] int64, drawn where they run clockwise on the screen (y down) unless `two_sided` [F] bool. `keep` [V]
    float32: a triangle is cut away where its interpolated value is negative. `size` (height, width) in samples.
    """
    height, width = size
    frames = screen.shape[0]
    owner, corner, extent, coefficients = _set_up(screen, faces, size, keep, two_sided)
    buffer = torch.full((frames * height * width,), _EMPTY, dtype=torch.int64, device=screen.device)
    counts = extent[:, 0] * extent[:, 1]
    for part in _portions(counts, 2_500_000):
        _splat(buffer, owner[part], corner[part], extent[part], counts[part], coefficients[part], len(faces), size)
    hit = (buffer != _EMPTY).nonzero()[:, 0]
    face = buffer[hit] & 0xFFFFFFFF
    frame = hit // (height * width)
    rest = hit - frame * height * width
    y = rest // width
    centre = torch.stack([rest - y * width, y], -1).float() + 0.5
    weights, depth = _weights(screen, faces, frame, face, centre)
    covered = (buffer != _EMPTY).view(frames, height, width)
    return Hits(covered, frame, face, weights, depth)


def _set_up(
    screen: Tensor, faces: Tensor, size: tuple[int, int], keep: Tensor | None, two_sided: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For triangles that touch a sample: (frame, face) ids, box corner, box extent, and planes [N, k, 3] of two weights,
    1/depth, keep."""
    height, width = size
    tri = screen[:, faces]  # [T, F, 3, 3]
    a, b, c = tri.unbind(2)
    area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    low = (tri[..., :2].amin(2) - 0.5).ceil()
    high = (tri[..., :2].amax(2) - 0.5).floor()
    limit = screen.new_tensor([width - 1, height - 1])
    low, high = low.clamp_min(0), torch.minimum(high, limit)
    facing = area < -1e-9 if two_sided is None else (area < -1e-9) | ((area > 1e-9) & two_sided)
    facing = facing & (tri[..., 2].amin(2) > 0) & (high >= low).all(-1)
    if keep is not None:
        facing = facing & (keep[faces].amax(-1) >= 0)
    frame, face = facing.nonzero(as_tuple=True)
    tri, area, low, high = tri[frame, face], area[frame, face], low[frame, face], high[frame, face]
    start = low + 0.5
    relative = tri[..., :2] - start[:, None]
    (x0, y0), (x1, y1), (x2, y2) = (r.unbind(-1) for r in relative.unbind(1))
    one, two = torch.stack([y2 - y0, x0 - x2, x2 * y0 - x0 * y2], -1), torch.stack([y0 - y1, x1 - x0, x0 * y1 - x1 * y0], -1)
    one, two = one / area[:, None], two / area[:, None]

    def plane(values: Tensor) -> Tensor:
        out = (values[:, 1] - values[:, 0])[:, None] * one + (values[:, 2] - values[:, 0])[:, None] * two
        out[:, 2] += values[:, 0]
        return out

    planes = [one, two, plane(tri[..., 2])]
    if keep is not None:
        planes.append(plane(keep[faces[face]]))
    return torch.stack([frame, face], -1), low.long(), (high - low).long() + 1, torch.stack(planes, 1)


def _portions(counts: Tensor, most: int) -> list[slice]:
    """Slices of triangles with about `most` candidate samples each, so that memory has a bound."""
    total = counts.cumsum(0)
    if len(total) == 0:
        return []
    cuts = torch.searchsorted(total, torch.arange(most, int(total[-1]) + most, most, device=counts.device)).tolist()
    edges = sorted({0, len(total), *(min(c + 1, len(total)) for c in cuts)})
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


def _splat(
    buffer: Tensor,
    owner: Tensor,
    corner: Tensor,
    extent: Tensor,
    counts: Tensor,
    planes: Tensor,
    faces: int,
    size: tuple[int, int],
) -> None:
    """Writes the nearest triangle's key into `buffer`: depth order in the high half, face in the low one."""
    height, width = size
    of = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    within = torch.arange(len(of), device=of.device) - (counts.cumsum(0) - counts)[of]
    wide = extent[:, 0][of]
    dy = torch.div(within, wide, rounding_mode="floor")
    dx = within - dy * wide
    x, y = dx.float(), dy.float()
    p = planes[of]
    values = p[..., 0] * x[:, None] + p[..., 1] * y[:, None] + p[..., 2]
    ok = (values[:, 0] >= 0) & (values[:, 1] >= 0) & (values[:, 0] + values[:, 1] <= 1)
    if values.shape[1] > 3:
        ok &= values[:, 3] >= 0
    ok = ok.nonzero()[:, 0]
    of = of[ok]
    frame, face = owner[of].unbind(-1)
    place = (frame * height + corner[of, 1] + dy[ok]) * width + corner[of, 0] + dx[ok]
    order = 0x7FFFFFFF - values[ok, 2].contiguous().view(torch.int32).long()
    buffer.scatter_reduce_(0, place, (order << 32) | face, "amin", include_self=True)


def _weights(screen: Tensor, faces: Tensor, frame: Tensor, face: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Perspective-correct weights [N, 3] and depth [N] of samples at `centre` [N, 2] in their triangles."""
    tri = screen[frame[:, None], faces[face]]
    a, b, c = tri[..., :2].unbind(1)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    d = centre - a
    w1 = (d[:, 0] * (c[:, 1] - a[:, 1]) - d[:, 1] * (c[:, 0] - a[:, 0])) / area
    w2 = ((b[:, 0] - a[:, 0]) * d[:, 1] - (b[:, 1] - a[:, 1]) * d[:, 0]) / area
    flat = torch.stack([1 - w1 - w2, w1, w2], -1).clamp(0, 1)
    by_depth = flat * tri[..., 2]
    inverse = by_depth.sum(-1)
    return by_depth / inverse[:, None], 1 / inverse


def blend(values: Tensor, faces: Tensor, hits: Hits, where: Tensor | None = None) -> Tensor:
    """Values of the corners blended at the hits: `values` [V, C] the same in all frames, or [T, V, C]; `where` picks some
    hits. [N, C]."""
    face, weights, frame = hits.face, hits.weights, hits.frame
    if where is not None:
        face, weights, frame = face[where], weights[where], frame[where]
    corners = values[faces[face]] if values.ndim == 2 else values[frame[:, None], faces[face]]
    return (corners * weights[..., None]).sum(1)
