"""Pinhole cameras over time: looking at somebody from a tripod or a hand, zooming, following, cutting off the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """`rotation` [T, 3, 3] world to camera (x right, y down, z forward), `centre` [T, 3] metres, `focal` [T] in picture
    heights."""

    rotation: Tensor
    centre: Tensor
    focal: Tensor

    def __len__(self) -> int:
        return len(self.focal)

    def window(self, frames: Tensor) -> Camera:
        """The cameras of some frames [n] int64."""
        return Camera(self.rotation[frames], self.centre[frames], self.focal[frames])

    def to(self, device: torch.device | str) -> Camera:
        """The same on another device."""
        return Camera(self.rotation.to(device), self.centre.to(device), self.focal.to(device))

    def towards(self, other: Camera, share: float) -> Camera:
        """The cameras `share` of the small way to `other`."""
        return Camera(
            torch.lerp(self.rotation, other.rotation, share),
            torch.lerp(self.centre, other.centre, share),
            torch.lerp(self.focal, other.focal, share),
        )

    def local(self, points: Tensor) -> Tensor:
        """World points [T, ..., 3] in camera coordinates, metres."""
        t = len(self)
        flat = points.reshape(t, -1, 3) - self.centre[:, None]
        return (flat @ self.rotation.transpose(1, 2)).reshape(points.shape)

    def project(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """World points [T, ..., 3] as [T, ..., 3]: x, y in pixels of a (height, width) picture, centres at +0.5, and depth
        in metres.
        Behind the camera the pixels mean nothing; the depth says so."""
        p = self.local(points)
        z = p[..., 2:]
        near = torch.where(z.abs() < 1e-4, torch.full_like(z, 1e-4), z)
        focal = (self.focal * size[0]).reshape(-1, *[1] * (points.ndim - 1))
        xy = p[..., :2] / near * focal + p.new_tensor([size[1] / 2, size[0] / 2])
        return torch.cat([xy, z], -1)

    def rays(self, size: tuple[int, int], step: float = 1.0) -> Tensor:
        """World directions [T, H, W, 3], of depth one, through the pixel centres of a (height, width) picture."""
        height, width = size
        device = self.focal.device
        ys, xs = torch.meshgrid(
            torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
        )
        plane = torch.stack([xs - width / 2, ys - height / 2], -1) / height
        scaled = plane[None] / self.focal[:, None, None, None]
        local = torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1)
        return torch.einsum("thwc,tcd->thwd", local, self.rotation)


def look_at(centre: Tensor, target: Tensor, roll: Tensor, focal: Tensor) -> Camera:
    """A camera at `centre` [T, 3] that looks at `target` [T, 3], rolled by `roll` [T] radians, `focal` [T] in picture heights."""
    forward = torch.nn.functional.normalize(target - centre, dim=-1)
    up = torch.tensor([0.0, 1, 0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.cross(forward, up, dim=-1), dim=-1)
    down = torch.cross(forward, right, dim=-1)
    c, s = roll.cos()[:, None], roll.sin()[:, None]
    rotation = torch.stack([c * right + s * down, -s * right + c * down, forward], 1)
    return Camera(rotation, centre, focal)


def unsteady(seed: int, times: np.ndarray, *, speed: float = 1.0) -> np.ndarray:
    """A smooth wander of a hand over `times` [T] seconds: [T, 3], about -1 to 1."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.15, 0.9, (6, 3)) * speed
    phases, sizes = rng.uniform(0, 6.283, (6, 3)), rng.uniform(0.3, 1, (6, 3)) / (1 + waves)
    return np.sin(2 * np.pi * waves * times[:, None, None] + phases).__mul__(sizes).sum(1) / 2
