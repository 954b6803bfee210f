"""A dressed person in motion: where every corner of their triangles is in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.drape import Ring, lag, swing_skirt
from vidvton.synth.fabric import Cloth
from vidvton.synth.figure import GARMENT, Dressed, Figure
from vidvton.synth.folds import Folds, crease, drives
from vidvton.synth.skeleton import Pose, transforms
from vidvton.synth.surface import keypoint_anchors


@dataclass(frozen=True)
class Performance:
    """A person who moves, before any camera. `matrices` [T, J, 3, 4], `joints` [T, J, 3] and `keypoints` [T, 33, 3] world metres;
    `folds` per garment with the corners they belong to; `rings` per garment or None; `trail` [T, J, 3] world metres;
    `cloths` per garment."""

    dressed: Dressed
    pose: Pose
    matrices: Tensor
    joints: Tensor
    keypoints: Tensor
    folds: tuple[tuple[Tensor, Folds], ...]
    rings: tuple[Ring | None, ...]
    trail: Tensor
    drive: Tensor
    cloths: tuple[Cloth, ...]

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def figure(self) -> Figure:
        """The triangles."""
        return self.dressed.figure


def corners_of(figure: Figure, layer: int) -> Tensor:
    """Corners [n] int64 that the faces of a layer use."""
    return torch.unique(figure.faces[figure.layer == layer])


def perform(dressed: Dressed, pose: Pose, fps: float, cloths: tuple[Cloth, ...]) -> Performance:
    """Puts a dressed person through a pose track."""
    body, scale = dressed.body, dressed.look.body.scale
    matrices = transforms(body.joints, pose, scale)
    joints = torch.einsum("tjrc,jc->tjr", matrices[..., :3], body.joints) + matrices[..., 3]
    points, owners = keypoint_anchors(body)
    own = matrices[:, owners]
    keypoints = (own[..., :3] @ points[None, ..., None])[..., 0] + own[..., 3]
    folds, rings = [], []
    for i, g in enumerate(dressed.patterns):
        corners = corners_of(dressed.figure, GARMENT + i)
        folds.append((corners, crease(g, dressed.figure.points[corners].cpu())))
        rings.append(swing_skirt(g, matrices, joints, fps, scale) if g.spec.is_skirt else None)
    return Performance(
        dressed, pose, matrices, joints, keypoints, tuple(folds), tuple(rings), lag(joints, fps), drives(pose), cloths
    )


def corners_at(p: Performance, frames: Tensor) -> tuple[Tensor, Tensor]:
    """(world points [n, V, 3], unit normals [n, V, 3]) of all corners in some `frames` [n] int64."""
    f = p.figure
    device = f.points.device
    n = len(frames)
    rest = f.points.expand(n, -1, -1).clone()
    normal = f.normals.expand(n, -1, -1).clone()
    drive = p.drive[frames].to(device)
    for corners, folds in p.folds:
        height = drive @ folds.height.to(device).T
        slope = torch.einsum("tw,vwc->tvc", drive, folds.slope.to(device))
        out = f.normals[corners]
        slope = slope - (slope * out).sum(-1, keepdim=True) * out
        rest[:, corners] += height[..., None] * out
        normal[:, corners] -= slope
    flat = p.matrices[frames].to(device).permute(1, 0, 2, 3).reshape(f.weights.shape[1], -1)
    blended = (f.weights @ flat).view(-1, n, 3, 4).transpose(0, 1)
    world = (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3]
    normal = (blended[..., :3] @ normal[..., None])[..., 0]
    moving = (f.loose > 0).nonzero()[:, 0]
    world[:, moving] += f.loose[moving][:, None] * p.trail[frames].to(device)[:, f.loose_joint[moving]]
    for i, ring in enumerate(p.rings):
        if ring is not None:
            _hang(p, i, ring, frames, world, normal)
    return world, F.normalize(normal, dim=-1)


def _hang(p: Performance, garment: int, ring: Ring, frames: Tensor, world: Tensor, normal: Tensor) -> None:
    """Moves a skirt's corners by its ring and makes their normals anew."""
    f = p.figure
    corners = p.folds[garment][0]
    corners = corners[f.points[corners, 1] < ring.top]
    if len(corners) == 0:
        return
    points = f.points[corners]
    offset = Ring(ring.offset[frames], ring.top, ring.bottom).at(points, torch.atan2(points[:, 0], points[:, 2]))
    turn = p.matrices[frames, 0, :, :3].to(points.device)
    world[:, corners] += offset @ turn.transpose(1, 2)
    world[..., 1] = world[..., 1].where(world[..., 1] > 0.004, world[..., 1].clamp_min(-0.02))
    faces = f.faces[f.layer == GARMENT + garment]
    a, b, c = (world[:, faces[:, k]] for k in range(3))
    facing = torch.cross(b - a, c - a, dim=-1) * torch.where(f.inner[f.layer == GARMENT + garment], -1.0, 1.0)[:, None]
    fresh = torch.zeros_like(world)
    for k in range(3):
        fresh.index_add_(1, faces[:, k], facing)
    normal[:, corners] = F.normalize(fresh[:, corners], dim=-1)
