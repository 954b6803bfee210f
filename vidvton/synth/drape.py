"""What hangs loose: a skirt as a small ring of particles, hair, hems and flaps as damped pendulums. Steps are fixed, so a
seed decides all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidvton.synth.garments import Pattern, lap
from vidvton.synth.skeleton import INDEX

RING, LEVELS = 24, 9
_STEPS, _PASSES = 3, 5


@dataclass(frozen=True)
class Ring:
    """A skirt's particles over time: `offset` [T, LEVELS, RING, 3] metres in the turned pelvis frame, away from the stiff
    skirt; level 0 at
    height `top`, the last at `bottom` (nominal metres)."""

    offset: Tensor
    top: float
    bottom: float

    def at(self, points: Tensor, angle: Tensor) -> Tensor:
        """Offsets [T, V, 3] for rest `points` [V, 3] at `angle` [V] about the trunk (0 front, left positive)."""
        level = ((self.top - points[:, 1]) / (self.top - self.bottom)).clamp(0, 1) * (LEVELS - 1)
        i = level.floor().clamp(max=LEVELS - 2).long()
        u = (level - i)[:, None]
        around = (angle / (2 * np.pi) % 1) * RING
        j = around.floor().long()
        t = (around - around.floor())[:, None]
        # A uniform cubic B-spline around: particles pull the hem, they do not dent it.
        weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
        o = self.offset.to(points.device)
        out = torch.zeros(len(o), len(points), 3, device=points.device)
        for k, w in enumerate(weights):
            beside = (j + k - 1) % RING
            out += w * torch.lerp(o[:, i, beside], o[:, i + 1, beside], u)
        return out


def swing_skirt(g: Pattern, matrices: Tensor, joints: Tensor, fps: float, scale: float) -> Ring:
    """Hangs a skirt on moving hips: gravity, seams that keep their length, legs that push from inside (position-based dynamics).

    `matrices` [T, J, 3, 4] and `joints` [T, J, 3] world metres of the wearer.
    """
    top, bottom = min(0.93, g.spec.waist - 0.06), g.spec.hem
    ys = np.linspace(top, bottom, LEVELS)
    angles = np.arange(RING) * 2 * np.pi / RING
    section = g.trunk(torch.tensor(ys, dtype=torch.float32)).numpy()
    rest = np.stack(
        [section[:, :1] * np.sin(angles), np.repeat(ys[:, None], RING, 1), section[:, 1:2] * np.cos(angles) + section[:, 2:]], -1
    )
    m = matrices[:, 0].numpy().astype(np.float64)
    thighs = matrices[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(1).numpy().astype(np.float64)
    follow = lap(torch.tensor(ys)).numpy()[:, None, None]
    stiff = (1 - follow) * (np.einsum("trc,lac->tlar", m[..., :3], rest) + m[:, None, None, :, 3])
    stiff += follow * (np.einsum("trc,lac->tlar", thighs[..., :3], rest) + thighs[:, None, None, :, 3])
    down = np.linalg.norm(rest[1:] - rest[:-1], axis=-1, keepdims=True) * scale
    across = np.linalg.norm(np.roll(rest, -1, 1) - rest, axis=-1, keepdims=True) * scale
    legs = (
        joints[:, [[INDEX[f"{s}_hip"], INDEX[f"{s}_knee"], INDEX[f"{s}_ankle"]] for s in ("left", "right")]]
        .numpy()
        .astype(np.float64)
    )
    x, before = stiff[0].copy(), stiff[0].copy()
    out = np.empty_like(stiff)
    dt = 1 / fps / _STEPS
    pull = np.linspace(1, 0, LEVELS)[:, None, None] ** 1.5 * 0.06 + 0.012
    warm = 12
    for frame in range(-warm, len(stiff)):
        for step in range(_STEPS):
            u = (step + 1) / _STEPS
            a, b = max(frame - 1, 0), max(frame, 0)
            goal, leg = stiff[a] * (1 - u) + stiff[b] * u, legs[a] * (1 - u) + legs[b] * u
            # The air inside goes along with the wearer: without that a turn would wring the skirt like a cloth.
            moved = x + (x - before) * 0.62 + (stiff[b] - stiff[a]) / _STEPS * 0.36 + np.array([0, -9.8 * dt * dt, 0])
            before, x = x, moved + (goal - moved) * pull
            for _ in range(_PASSES):
                x = _keep_lengths(x, down, across)
                x = _push_out(x, leg, scale)
                x[:1] = goal[:1]
        if frame >= 0:
            out[frame] = x - stiff[frame]
    turned = np.einsum("trc,tlar->tlac", m[..., :3] / scale, out)
    return Ring(torch.tensor(turned / scale, dtype=torch.float32), float(top), float(bottom))


def _keep_lengths(x: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    d = x[1:] - x[:-1]
    length = np.linalg.norm(d, axis=-1, keepdims=True) + 1e-9
    fix = d * ((length - down) / length) * 0.5
    x = x.copy()
    x[1:] -= fix * 1.2
    x[:-1] += fix * 0.8
    d = np.roll(x, -1, 1) - x
    length = np.linalg.norm(d, axis=-1, keepdims=True) + 1e-9
    fix = d * ((length - across) / length) * np.where(length > across, 0.45, 0.12)
    return x + fix - np.roll(fix, 1, 1)


def _push_out(x: np.ndarray, legs: np.ndarray, scale: float) -> np.ndarray:
    for leg in legs:
        for a, b, ra, rb in ((leg[0], leg[1], 0.098, 0.072), (leg[1], leg[2], 0.072, 0.062)):
            d = b - a
            t = np.clip(((x - a) @ d) / (d @ d), 0.0 if ra > 0.09 else 0.0, 1)[..., None]
            away = x - a - t * d
            distance = np.linalg.norm(away, axis=-1, keepdims=True) + 1e-9
            x = x + away / distance * np.maximum((ra + (rb - ra) * t) * scale - distance, 0)
    return x


def lag(joints: Tensor, fps: float, *, stiffness: float = 90.0, damping: float = 7.0, most: float = 0.05) -> Tensor:
    """[T, J, 3] metres world: how far something loose trails behind each joint of `joints` [T, J, 3], a damped pendulum
    driven by its motion."""
    path = joints.numpy().astype(np.float64)
    out = np.zeros_like(path)
    offset, speed = np.zeros_like(path[0]), np.zeros_like(path[0])
    dt = 1 / fps / 4
    velocity = np.gradient(path, 1 / fps, axis=0) if len(path) > 1 else np.zeros_like(path)
    for frame in range(1, len(path)):
        push = (velocity[frame] - velocity[frame - 1]) * fps
        for _ in range(4):
            speed += (-stiffness * offset - damping * speed - push) * dt
            offset = offset + speed * dt
        length = np.linalg.norm(offset, axis=-1, keepdims=True)
        offset = offset * np.minimum(1, most / (length + 1e-9))
        out[frame] = offset
    return torch.tensor(out, dtype=torch.float32)
