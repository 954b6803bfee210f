"""A 3-D skeleton in its rest pose, its limits, and the matrices that carry rest points to a pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

JOINTS = (
    "pelvis", "spine", "chest", "neck", "head",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_fingers",
    "right_clavicle", "right_shoulder", "right_elbow", "right_wrist", "right_fingers",
    "left_hip", "left_knee", "left_ankle", "left_toe",
    "right_hip", "right_knee", "right_ankle", "right_toe",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 8, 2, 10, 11, 12, 13, 0, 15, 16, 17, 0, 19, 20, 21)
INDEX = {name: i for i, name in enumerate(JOINTS)}

REST_ARM = math.pi / 4
"""How far below the horizontal the arms point in the rest pose, radians."""

LIMITS = {
    "pelvis": ((-45, 45), (-180, 180), (-30, 30)),
    "spine": ((-25, 60), (-40, 40), (-30, 30)),
    "chest": ((-20, 35), (-35, 35), (-20, 20)),
    "neck": ((-30, 35), (-45, 45), (-25, 25)),
    "head": ((-25, 30), (-40, 40), (-20, 20)),
    "hip": ((-120, 25), (-40, 40), (-15, 50)),
    "knee": ((0, 140), (0, 0), (0, 0)),
    "ankle": ((-35, 45), (-20, 20), (-15, 15)),
    "toe": ((-45, 20), (0, 0), (0, 0)),
}
"""Degrees about x (positive tips forward or folds a knee), y and z per joint; z of a hip is outward. Arms are limited in
their own
words (`motion.ARM_LIMITS`) because three angles about fixed axes do not describe a shoulder well."""


@dataclass(frozen=True)
class Pose:
    """Joint rotations over time. `rotations` [T, J, 3, 3] local (about axes parallel to the world's in the rest pose),
    `root` [T, 3] where the rest pose's origin (between the feet, on the floor) goes, metres, before the body's own size is
    applied."""

    rotations: Tensor
    root: Tensor

    def __len__(self) -> int:
        return len(self.root)


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Matrices [..., 3, 3] turning by `angle` [...] radians about unit `axis` [3] or [..., 3] (Rodrigues)."""
    axis = axis.expand(*angle.shape, 3)
    x, y, z = axis.unbind(-1)
    o = torch.zeros_like(x)
    k = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*angle.shape, 3, 3)
    s, c = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return torch.eye(3, device=angle.device) + s * k + (1 - c) * (k @ k)


def euler(angles: Tensor) -> Tensor:
    """Matrices [..., 3, 3] for angles [..., 3] radians about x, y, z: first z, then x, then y."""
    eye = torch.eye(3, device=angles.device)
    return rotation(eye[1], angles[..., 1]) @ rotation(eye[0], angles[..., 0]) @ rotation(eye[2], angles[..., 2])


def limited(name: str, degrees: Tensor) -> Tensor:
    """`degrees` [..., 3] about x, y, z brought inside the limits of the joint `name` (left or right is the same)."""
    limits = torch.tensor(LIMITS[name.removeprefix("left_").removeprefix("right_")], dtype=torch.float32)
    return torch.maximum(torch.minimum(degrees, limits[:, 1]), limits[:, 0])


def transforms(rest: Tensor, pose: Pose, scale: float) -> Tensor:
    """[T, J, 3, 4] matrices that carry rest-pose points to the world, given joints at `rest` [J, 3] and the body's size
    `scale`."""
    placed: list[tuple[Tensor, Tensor]] = []
    for j, parent in enumerate(PARENTS):
        turn = pose.rotations[:, j]
        move = rest[j] - turn @ rest[j]
        if parent >= 0:
            up_turn, up_move = placed[parent]
            turn, move = up_turn @ turn, (up_turn @ move[..., None])[..., 0] + up_move
        placed.append((turn, move))
    turns = torch.stack([t for t, _ in placed], 1)
    moves = torch.stack([m for _, m in placed], 1) + pose.root[:, None]
    return torch.cat([turns, moves[..., None]], -1) * scale


def carry(matrices: Tensor, weights: Tensor, points: Tensor) -> Tensor:
    """World points [T, V, 3] of rest `points` [V, 3] with `weights` [V, J] (linear blend skinning)."""
    blended = torch.einsum("vj,tjrc->tvrc", weights, matrices)
    return (blended[..., :3] @ points[..., None])[..., 0] + blended[..., 3]


def turn(matrices: Tensor, weights: Tensor, directions: Tensor) -> Tensor:
    """Directions [T, V, 3] of rest `directions` [V, 3] (not normalised)."""
    blended = torch.einsum("vj,tjrc->tvrc", weights, matrices[..., :3])
    return (blended @ directions[..., None])[..., 0]
