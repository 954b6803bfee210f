"""Folds in cloth: waves fixed to the garment whose strength and phase follow the joints that crease it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vidvton.synth.body import ARM, FOREARM, UPPER_ARM
from vidvton.synth.garments import Pattern, worn_on
from vidvton.synth.skeleton import INDEX, Pose


@dataclass(frozen=True)
class Folds:
    """Height of a garment's folds, linear in its drives. `height` [V, W] metres per unit of drive W; `slope` [V, W, 3] its
    gradient in rest
    space. Drives are a pair (sine, cosine) per wave, see `drives`."""

    height: Tensor
    slope: Tensor


_JOINT_WAVES = (
    "left_elbow",
    "right_elbow",
    "left_shoulder",
    "right_shoulder",
    "spine",
    "left_knee",
    "right_knee",
    "left_hip",
    "right_hip",
    "hang",
    "sleeve",
    "rumple",
)


def _waves(g: Pattern, p: Tensor) -> tuple[Tensor, Tensor]:
    """(window [V, n] metres of amplitude, phase [V, n] radians) of every wave at rest points."""
    at, spec = worn_on(g, p), g.spec
    x, y, z = p.unbind(-1)
    left = (x > 0).float()
    e = spec.ease
    soft = min(0.0022 + 0.10 * e, 0.0065)
    warp = 0.9 * torch.sin(13 * x + 7 * y + 5 * z) + 0.6 * torch.sin(23 * y - 17 * x + 11 * z)

    def bump(distance: Tensor, width: float) -> Tensor:
        return torch.exp(-((distance / width) ** 2))

    upper = 0.0 if spec.category == "lower" else 1.0
    lower = 1.0 if spec.category == "lower" and not spec.is_skirt else 0.0
    along = at.along_arm
    elbow = upper * soft * at.arm * bump(along - UPPER_ARM, 0.075)
    elbow_phase = 2 * math.pi / 0.042 * along + 28 * z + warp
    pit = upper * soft * bump(torch.hypot(x.abs() - 0.15, y - 1.31), 0.10)
    pit_phase = 2 * math.pi / 0.05 * ((x.abs() - 0.16) * float(-ARM[1]) + (y - 1.3) * float(ARM[0])) + warp + 8 * z
    waist = upper * soft * bump(y - 1.06, 0.09) * (1 - at.arm)
    waist_phase = 2 * math.pi / 0.055 * (y + 0.35 * x) + warp
    knee = lower * soft * bump(at.along_leg - 0.415, 0.08) * at.leg
    knee_phase = 2 * math.pi / 0.05 * at.along_leg + 26 * z + warp
    crotch = torch.hypot(x, y - 0.86)
    hip = lower * soft * 0.55 * bump(crotch - 0.10, 0.07)
    hip_phase = 9 * torch.atan2(x.abs(), y - 0.80) + 12 * crotch + 1.4 * warp
    turn = torch.atan2(x, z)
    low = (1.16 - y).clamp(0, 0.35) / 0.35
    hang = upper * (1 - at.arm) * soft * 0.9 * low + lower * soft * 0.6 * ((at.along_leg - 0.2) / 0.6).clamp(0, 1)
    hang_phase = 7 * turn + 6 * y + 1.6 * warp
    if spec.is_skirt:
        drop = (0.98 - y).clamp_min(0)
        hang = drop * (0.006 + 0.15 * spec.flare)
        hang_phase = (8 if spec.flare < 0.2 else 10) * turn + 0.7 * warp + 2 * y
    sleeve = upper * at.arm * soft * 0.6 * (along / (UPPER_ARM + FOREARM)).clamp(0.1, 1)
    sleeve_phase = 2 * math.pi / 0.09 * along + 40 * z + 1.5 * warp
    rumple = torch.full_like(x, soft * 0.28)
    rumple_phase = 34 * x + 27 * y + 19 * z + 2.2 * warp
    windows = (
        elbow * left,
        elbow * (1 - left),
        pit * left,
        pit * (1 - left),
        waist,
        knee * left,
        knee * (1 - left),
        hip * left,
        hip * (1 - left),
        hang,
        sleeve,
        rumple,
    )
    phases = (
        elbow_phase,
        elbow_phase,
        pit_phase,
        pit_phase,
        waist_phase,
        knee_phase,
        knee_phase,
        hip_phase,
        hip_phase,
        hang_phase,
        sleeve_phase,
        rumple_phase,
    )
    return torch.stack(windows, -1), torch.stack(phases, -1)


def _heights(g: Pattern, p: Tensor) -> Tensor:
    window, phase = _waves(g, p)
    return torch.cat([window * phase.sin(), window * phase.cos()], -1)


def crease(g: Pattern, points: Tensor) -> Folds:
    """The folds of a garment at its rest points [V, 3]."""
    height = _heights(g, points)
    step = 2e-3
    slope = torch.stack(
        [(_heights(g, points + step * axis) - _heights(g, points - step * axis)) / (2 * step) for axis in torch.eye(3)], -1
    )
    return Folds(height, slope.clamp(-0.9, 0.9))


def drives(pose: Pose) -> Tensor:
    """[T, 2 n] how strongly each wave runs, and in which phase, from how far the joints are bent."""
    r = pose.rotations
    angle = ((r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos()
    strength, shift = [], []
    for name in _JOINT_WAVES:
        if name in INDEX:
            a = angle[:, INDEX[name]]
            base = 0.25 if "elbow" in name or "knee" in name else 0.45
            strength.append(base + a.clamp(0, 1.6) * 0.55)
            shift.append(1.3 * a)
        else:
            strength.append(torch.ones(len(r)))
            lead = angle[:, INDEX["left_hip"]] - angle[:, INDEX["right_hip"]] + angle[:, INDEX["spine"]]
            shift.append(0.8 * lead)
    s, f = torch.stack(strength, -1), torch.stack(shift, -1)
    return torch.cat([s * f.cos(), s * f.sin()], -1)
