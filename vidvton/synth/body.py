"""A person's shape: proportions, the distance fields of trunk, limbs, head and hands, and skin weights.

Everything here is in the nominal rest pose of a person 1.72 m tall; `BodyShape.scale` makes other heights. The left and right
halves are mirror images, so fields are written for x >= 0 and fed with |x|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vidvton.synth.skeleton import INDEX, JOINTS
from vidvton.synth.solids import Table, ball, capsule, oval_stack, smooth_cut, smooth_step, smooth_union, table, tube

ARM = torch.tensor([math.cos(math.pi / 4), -math.sin(math.pi / 4), 0.0])
"""Which way the left arm points at rest; `ARM_UP` is across it, outward and up."""
ARM_UP = torch.tensor([math.sin(math.pi / 4), math.cos(math.pi / 4), 0.0])


@dataclass(frozen=True)
class BodyShape:
    """Proportions. `height` metres; `woman` 0-1 between a man's and a woman's frame; `weight` -1 slim to 1 heavy;
    `shoulders`, `hips`,
    `head`, `limbs` are factors near 1; `jaw`, `nose`, `eyes` are factors of the face."""

    height: float = 1.72
    woman: float = 0.5
    weight: float = 0.0
    shoulders: float = 1.0
    hips: float = 1.0
    head: float = 1.0
    limbs: float = 1.0
    jaw: float = 1.0
    nose: float = 1.0
    eyes: float = 1.0

    @property
    def scale(self) -> float:
        """Metres of this body per nominal metre."""
        return self.height / 1.72


@dataclass(frozen=True)
class Anatomy:
    """A shape's profiles, made once by `anatomy`: trunk (half width, half depth, centre z by height), arm and leg radii by
    metres along."""

    shape: BodyShape
    trunk: Table
    arm: Table
    leg: Table
    joints: Tensor

    @property
    def shoulder(self) -> Tensor:
        """[3] the left shoulder."""
        return self.joints[INDEX["left_shoulder"]]

    @property
    def hip(self) -> Tensor:
        """[3] the left hip."""
        return self.joints[INDEX["left_hip"]]

    @property
    def leg_axis(self) -> Tensor:
        """[3] unit, from the left hip to the left ankle."""
        d = self.joints[INDEX["left_ankle"]] - self.hip
        return d / d.norm()


UPPER_ARM, FOREARM = 0.275, 0.25


def rest_joints(shape: BodyShape) -> Tensor:
    """[J, 3] float32 joints of the nominal rest pose, metres."""
    s, h = shape.shoulders * (1.04 - 0.08 * shape.woman), shape.hips
    shoulder = torch.tensor([0.165 * s, 1.385, -0.022])
    arm = ARM
    left = {
        "clavicle": (0.03, 1.395, 0.0),
        "shoulder": shoulder.tolist(),
        "elbow": (shoulder + UPPER_ARM * arm).tolist(),
        "wrist": (shoulder + (UPPER_ARM + FOREARM) * arm).tolist(),
        "fingers": (shoulder + (UPPER_ARM + FOREARM + 0.085) * arm).tolist(),
        "hip": (0.088 * h, 0.905, -0.005),
        "knee": (0.098 * h, 0.49, 0.0),
        "ankle": (0.106 * h, 0.085, -0.025),
        "toe": (0.122 * h, 0.025, 0.11),
    }
    middle = {
        "pelvis": (0, 0.95, 0),
        "spine": (0, 1.07, -0.005),
        "chest": (0, 1.21, -0.01),
        "neck": (0, 1.45, -0.02),
        "head": (0, 1.55, 0.0),
    }
    rows = []
    for name in JOINTS:
        side, _, rest = name.partition("_")
        x, y, z = left[rest] if rest else middle[name]
        rows.append((-x if side == "right" else x, y, z))
    return torch.tensor(rows, dtype=torch.float32)


def anatomy(shape: BodyShape) -> Anatomy:
    """The profiles and joints of a shape."""
    f, m, w = shape.woman, 1 - shape.woman, shape.weight
    s, h = shape.shoulders * (1.04 - 0.08 * f), shape.hips
    fat = 1 + 0.10 * w
    belly = 1 + 0.22 * max(w, 0) + 0.08 * min(w, 0)
    stations = [
        (0.82, 0.085 * h, 0.070, -0.01),
        (0.86, (0.158 + 0.010 * f) * h * fat, 0.102 * fat, -0.014),
        (0.91, (0.166 + 0.012 * f) * h * fat, 0.112 * fat, -0.016),
        (0.98, (0.156 + 0.006 * f) * h * fat, 0.108 * belly, -0.008),
        (1.07, (0.140 - 0.018 * f) * belly, (0.098 - 0.010 * f) * belly, 0.0),
        (1.14, (0.143 - 0.014 * f) * belly, (0.100 - 0.008 * f) * belly, 0.0),
        (1.24, (0.158 - 0.012 * f) * s * fat, (0.110 - 0.008 * f) * fat, -0.002),
        (1.32, (0.168 - 0.010 * f) * s * fat, (0.108 - 0.010 * f) * fat, -0.008),
        (1.385, 0.166 * s, 0.088, -0.014),
        (1.42, 0.152 * s, 0.072, -0.02),
        (1.45, 0.108 * s, 0.062, -0.022),
        (1.475, 0.062, 0.056, -0.02),
    ]
    thin = shape.limbs * (1 + 0.10 * w) * (1.05 - 0.10 * f)
    arm = [
        (0.0, 0.049),
        (0.06, 0.049),
        (0.13, 0.045 + 0.006 * m),
        (0.24, 0.037),
        (0.275, 0.037),
        (0.33, 0.041),
        (0.40, 0.036),
        (0.50, 0.0265),
        (0.54, 0.026),
    ]
    leg = [
        (0.0, 0.088),
        (0.08, 0.086 + 0.003 * f),
        (0.20, 0.075),
        (0.34, 0.058),
        (0.415, 0.052),
        (0.47, 0.050),
        (0.54, 0.055),
        (0.62, 0.050),
        (0.74, 0.036),
        (0.82, 0.034),
    ]
    return Anatomy(
        shape,
        table(stations),
        table([(t, r * thin) for t, r in arm]),
        table([(t, r * thin * (1.02 if t < 0.3 else 1.0)) for t, r in leg]),
        rest_joints(shape),
    )


def mirrored(p: Tensor) -> Tensor:
    """Points [N, 3] folded onto the left half (x >= 0)."""
    return torch.cat([p[:, :1].abs(), p[:, 1:]], -1)


def trunk_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to pelvis, waist and chest with breasts and seat, points already mirrored."""
    d = oval_stack(q, a.trunk)
    f = a.shape.woman
    if f > 0.35:
        size = 0.050 + 0.018 * (f - 0.35) + 0.006 * a.shape.weight
        d = smooth_union(d, ball(q, (0.070, 1.265, 0.055 + 0.012 * f), (size * 1.05, size, size * 0.98)), 0.045)
    d = smooth_union(d, ball(q, (0.07, 0.885, -0.07), (0.078, 0.08, 0.066)), 0.05)
    return d


def arm_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to the arm from deltoid to wrist."""
    d = tube(q, a.shoulder, ARM, a.arm, 0.86, torch.tensor([0.0, 0.0, 1.0]))
    return smooth_union(
        d,
        ball(q, (a.shoulder + 0.012 * ARM).tolist(), tuple(r * (1.04 - 0.10 * a.shape.woman) for r in (0.053, 0.051, 0.053))),
        0.03,
    )


def hand_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to palm, four fingers and thumb; the palm faces the thigh, the thumb points forward."""
    wrist = a.joints[INDEX["left_wrist"]]
    local = torch.stack([(q - wrist) @ ARM, (q - wrist) @ ARM_UP, (q - wrist)[:, 2]], -1)
    size = 1.04 - 0.10 * a.shape.woman
    local = local / size
    palm = ball(local, (0.047, 0.002, 0.002), (0.055, 0.017, 0.043))
    v = local.new_tensor
    d = smooth_union(palm, capsule(local, v([-0.03, 0, 0]), v([0.02, 0, 0]), 0.027, 0.022), 0.02)
    for z, length, drop in ((0.031, 0.066, -0.012), (0.011, 0.074, -0.016), (-0.010, 0.068, -0.018), (-0.029, 0.052, -0.018)):
        start, middle, end = v([0.080, 0.003, z * 0.9]), v([0.085 + length * 0.5, 0.0, z]), v([0.085 + length, drop, z * 1.02])
        finger = torch.minimum(capsule(local, start, middle, 0.0095, 0.0085), capsule(local, middle, end, 0.0085, 0.007))
        d = smooth_union(d, finger, 0.008)
    thumb = torch.minimum(
        capsule(local, v([0.018, -0.004, 0.024]), v([0.050, -0.014, 0.050]), 0.014, 0.0105),
        capsule(local, v([0.050, -0.014, 0.050]), v([0.082, -0.018, 0.058]), 0.0105, 0.008),
    )
    return smooth_union(d, thumb, 0.012) * size


def leg_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to the leg from hip to ankle."""
    axis = a.leg_axis
    d = tube(q, a.hip, axis, a.leg)
    calf = (a.hip + 0.54 * axis + torch.tensor([0.0, 0, -0.018])).tolist()
    return smooth_union(d, ball(q, calf, (0.042 * a.shape.limbs, 0.10, 0.042)), 0.03)


def foot_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to a bare foot."""
    x = float(a.joints[INDEX["left_ankle"]][0])
    v = q.new_tensor
    d = capsule(q, v([x, 0.10, -0.028]), v([x, 0.035, -0.035]), 0.036, 0.034)
    d = smooth_union(d, capsule(q, v([x, 0.045, -0.03]), v([x + 0.012, 0.022, 0.115]), 0.034, 0.022), 0.03)
    d = smooth_union(d, ball(q, (x + 0.014, 0.022, 0.10), (0.042, 0.022, 0.065)), 0.02)
    return torch.maximum(d, -q[:, 1])


def head_field(a: Anatomy, q: Tensor) -> Tensor:
    """Distance to neck and head with brow, nose, lips, chin, eye sockets and ears."""
    shape, v = a.shape, q.new_tensor
    neck = capsule(q, v([0.0, 1.42, -0.022]), v([0.0, 1.56, 0.002]), 0.060 - 0.010 * shape.woman, 0.053 - 0.008 * shape.woman)
    pivot = v([0.0, 1.54, 0.0])
    p = (q - pivot) / shape.head + pivot
    d = ball(p, (0, 1.635, -0.012), (0.0755, 0.088, 0.096))
    face = ball(p, (0, 1.580, 0.024), (0.058 * shape.jaw, 0.086, 0.068))
    d = smooth_union(d, face, 0.035)
    d = smooth_union(d, ball(p, (0, 1.512, 0.066), (0.022 * shape.jaw, 0.018, 0.020)), 0.025)
    d = smooth_union(d, ball(p, (0.034, 1.577, 0.066), (0.022, 0.020, 0.018)), 0.02)
    d = smooth_union(d, ball(p, (0.026, 1.637, 0.074), (0.030, 0.009, 0.012)), 0.015)
    eye = 0.0315 * shape.eyes
    d = smooth_cut(d, ball(p, (eye, 1.616, 0.099), (0.019, 0.012, 0.014)), 0.012)
    d = smooth_union(d, ball(p, (eye, 1.616, 0.0755), (0.0145, 0.0125, 0.0125)), 0.003)
    n = shape.nose
    nose = capsule(p, v([0.0, 1.625, 0.084]), v([0.0, 1.588, 0.084 + 0.021 * n]), 0.0075, 0.0115)
    nose = smooth_union(nose, ball(p, (0.0095, 1.583, 0.092), (0.0085, 0.0075, 0.010)), 0.008)
    d = smooth_union(d, nose, 0.012)
    lips = smooth_union(
        ball(p, (0, 1.5525, 0.0865), (0.024, 0.0062, 0.0085)), ball(p, (0, 1.543, 0.085), (0.020, 0.0068, 0.0088)), 0.004
    )
    d = smooth_union(d, lips, 0.006)
    ear = smooth_cut(
        ball(p, (0.0765, 1.602, -0.010), (0.011, 0.031, 0.019)), ball(p, (0.089, 1.604, -0.004), (0.010, 0.018, 0.009)), 0.006
    )
    d = smooth_union(d, ear, 0.008) * shape.head
    return smooth_union(d, neck, 0.022)


def body_field(a: Anatomy, p: Tensor) -> Tensor:
    """Distance to the bare body."""
    q = mirrored(p)
    leg, trunk = leg_field(a, q), trunk_field(a, q)
    d = smooth_union(trunk, leg, 0.035)
    d = smooth_union(d, smooth_union(arm_field(a, q), hand_field(a, q), 0.015), 0.045)
    d = smooth_union(d, foot_field(a, q), 0.02)
    return smooth_union(d, head_field(a, q), 0.035)


@dataclass(frozen=True)
class Place:
    """Where rest points lie on the body, [V] each: `along_arm` metres from the shoulder, `arm` 0-1 belongs to an arm,
    `along_leg` metres
    from the hip, `leg` 0-1 belongs to a leg, `left` 0-1 is on the left half."""

    along_arm: Tensor
    arm: Tensor
    along_leg: Tensor
    leg: Tensor
    left: Tensor


def place(a: Anatomy, p: Tensor) -> Place:
    """The place of rest points [V, 3] on or near the body."""
    q = mirrored(p)
    along_arm = (q - a.shoulder) @ ARM
    reach = (q - a.shoulder - along_arm.clamp(0, 0.70)[:, None] * ARM).norm(dim=-1)
    d_arm = torch.minimum(reach - a.arm(along_arm)[:, 0], hand_field(a, q))
    d_rest = torch.minimum(oval_stack(q, a.trunk), leg_field(a, q))
    arm = torch.sigmoid((d_rest - d_arm) / 0.011) * smooth_step(-0.055, 0.045, along_arm)
    arm = torch.where((q[:, 1] > 1.47) | (q[:, 0] < 0.07), torch.zeros_like(arm), arm)
    along_leg = (q - a.hip) @ a.leg_axis
    leg = smooth_step(-0.03, 0.11, along_leg) * (1 - arm)
    return Place(along_arm, arm, along_leg, leg, smooth_step(-0.025, 0.025, p[:, 0]))


def skin_weights(a: Anatomy, p: Tensor) -> Tensor:
    """[V, J] float32 rows that sum to one: how far each joint carries the rest points [V, 3] of the body or of what is worn
    on it."""
    at, y = place(a, p), p[:, 1]
    w = {name: torch.zeros_like(y) for name in JOINTS}
    spine, chest = smooth_step(0.97, 1.10, y), smooth_step(1.09, 1.25, y)
    side = p[:, 0].abs()
    neck = smooth_step(1.435, 1.495, y) * smooth_step(0.115, 0.065, side)
    head = smooth_step(1.50, 1.565, y + 0.25 * (p[:, 2] - 0.02).clamp(-0.1, 0.06))
    clavicle = smooth_step(0.05, 0.15, side) * smooth_step(1.26, 1.38, y) * (1 - neck) * chest
    trunk = (1 - at.arm) * (1 - at.leg)
    w["pelvis"] = trunk * (1 - spine)
    w["spine"] = trunk * spine * (1 - chest)
    w["chest"] = trunk * chest * (1 - neck) * (1 - clavicle)
    w["neck"] = trunk * chest * neck * (1 - head)
    w["head"] = trunk * chest * neck * head
    elbow = smooth_step(UPPER_ARM - 0.045, UPPER_ARM + 0.045, at.along_arm)
    wrist = smooth_step(UPPER_ARM + FOREARM - 0.025, UPPER_ARM + FOREARM + 0.02, at.along_arm)
    q = mirrored(p)
    thumb = smooth_step(0.030, 0.045, q[:, 2] - a.joints[INDEX["left_wrist"], 2]) * smooth_step(
        0.10, 0.09, at.along_arm - UPPER_ARM - FOREARM
    )
    fingers = smooth_step(UPPER_ARM + FOREARM + 0.070, UPPER_ARM + FOREARM + 0.10, at.along_arm) * (1 - thumb)
    knee, ankle = smooth_step(0.375, 0.455, at.along_leg), smooth_step(0.785, 0.835, at.along_leg)
    toe = smooth_step(0.075, 0.115, p[:, 2]) * ankle
    for name, left in (("left", at.left), ("right", 1 - at.left)):
        w[f"{name}_clavicle"] = trunk * left * clavicle
        w[f"{name}_shoulder"] = left * at.arm * (1 - elbow)
        w[f"{name}_elbow"] = left * at.arm * elbow * (1 - wrist)
        w[f"{name}_wrist"] = left * at.arm * wrist * (1 - fingers)
        w[f"{name}_fingers"] = left * at.arm * wrist * fingers
        w[f"{name}_hip"] = left * at.leg * (1 - knee)
        w[f"{name}_knee"] = left * at.leg * knee * (1 - ankle)
        w[f"{name}_ankle"] = left * at.leg * ankle * (1 - toe)
        w[f"{name}_toe"] = left * at.leg * ankle * toe
    weights = torch.stack([w[name] for name in JOINTS], -1)
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)
