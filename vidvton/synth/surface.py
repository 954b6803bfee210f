"""The body's surface: its parts, coordinates along and around them, and the points that pose estimators look for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vidvton.synth.body import ARM, ARM_UP, FOREARM, UPPER_ARM, Anatomy, mirrored, place
from vidvton.synth.skeleton import INDEX
from vidvton.values import MEDIAPIPE

PARTS = (
    "none", "torso_back", "torso_front", "right_hand", "left_hand", "left_foot", "right_foot",
    "right_thigh_back", "left_thigh_back", "right_thigh_front", "left_thigh_front",
    "right_shin_back", "left_shin_back", "right_shin_front", "left_shin_front",
    "left_upper_arm_back", "right_upper_arm_back", "left_upper_arm_front", "right_upper_arm_front",
    "left_forearm_back", "right_forearm_back", "left_forearm_front", "right_forearm_front", "head_right", "head_left",
)  # fmt: skip
"""Pieces of the body's surface, numbered as DensePose numbers them."""


def surface_map(a: Anatomy, p: Tensor) -> tuple[Tensor, Tensor]:
    """(part [V] uint8 numbered as PARTS, uv [V, 2] float32 0-1): u around the limb from the back seam, v along it from the
    body outward
    (torso and head from bottom to top)."""
    at = place(a, p)
    q, left = mirrored(p), p[:, 0] > 0
    front = p[:, 2] > a.trunk(p[:, 1])[:, 2]
    section = a.trunk(p[:, 1])
    u = torch.atan2(p[:, 0] / section[:, 0], (p[:, 2] - section[:, 2]) / section[:, 1]) / math.tau + 0.5
    v = ((p[:, 1] - 0.84) / 0.64).clamp(0, 1)
    part = torch.where(front, 2, 1)
    head = (p[:, 1] > 1.475) & (at.arm < 0.5)
    part = torch.where(head, torch.where(left, 24, 23), part)
    u = torch.where(head, torch.atan2(p[:, 0], p[:, 2]) / math.tau + 0.5, u)
    v = torch.where(head, ((p[:, 1] - 1.475) / 0.26).clamp(0, 1), v)

    arm_centre = a.shoulder + at.along_arm[:, None] * ARM
    across = (q - arm_centre) @ ARM_UP
    arm_u = torch.atan2(across, q[:, 2] - arm_centre[:, 2]) / math.tau + 0.5
    arm_front = q[:, 2] > arm_centre[:, 2]
    leg_centre = a.hip + at.along_leg[:, None] * a.leg_axis
    leg_u = torch.atan2(q[:, 0] - leg_centre[:, 0], q[:, 2] - leg_centre[:, 2]) / math.tau + 0.5
    leg_front = q[:, 2] > leg_centre[:, 2]
    wrist = UPPER_ARM + FOREARM
    is_arm, is_leg = at.arm > 0.5, (at.leg > 0.5) & (at.arm <= 0.5)
    rows = (
        (is_arm & (at.along_arm < UPPER_ARM), (15, 16, 17, 18), arm_front, arm_u, at.along_arm / UPPER_ARM),
        (
            is_arm & (at.along_arm >= UPPER_ARM) & (at.along_arm < wrist),
            (19, 20, 21, 22),
            arm_front,
            arm_u,
            (at.along_arm - UPPER_ARM) / FOREARM,
        ),
        (is_arm & (at.along_arm >= wrist), (4, 3, 4, 3), arm_front, arm_u, (at.along_arm - wrist) / 0.18),
        (is_leg & (at.along_leg < 0.415), (8, 7, 10, 9), leg_front, leg_u, at.along_leg / 0.415),
        (
            is_leg & (at.along_leg >= 0.415) & (at.along_leg < 0.80),
            (12, 11, 14, 13),
            leg_front,
            leg_u,
            (at.along_leg - 0.415) / 0.385,
        ),
        (is_leg & (at.along_leg >= 0.80), (5, 6, 5, 6), leg_front, leg_u, ((p[:, 2] + 0.07) / 0.22)),
    )
    for mask, (left_back, right_back, left_front, right_front), is_front, around, along in rows:
        back, face = torch.where(left, left_back, right_back), torch.where(left, left_front, right_front)
        part = torch.where(mask, torch.where(is_front, face, back), part)
        u, v = torch.where(mask, around, u), torch.where(mask, along.clamp(0, 1), v)
    return part.to(torch.uint8), torch.stack([u, v], -1)


def keypoint_anchors(a: Anatomy) -> tuple[Tensor, Tensor]:
    """(points [33, 3] rest pose metres, joint [33] int64 each is fixed to) of the pose points, in MediaPipe's order."""
    j = {name: a.joints[i] for name, i in INDEX.items()}
    s, e = a.shape.head, 0.0315 * a.shape.eyes
    pivot = torch.tensor([0.0, 1.54, 0.0])

    def head(x: float, y: float, z: float) -> Tensor:
        return (torch.tensor([x, y, z]) - pivot) * s + pivot

    wrist = UPPER_ARM + FOREARM
    size = 1.04 - 0.10 * a.shape.woman

    def hand(along: float, up: float, z: float) -> Tensor:
        return a.shoulder + wrist * ARM + size * (along * ARM + up * ARM_UP + torch.tensor([0.0, 0, z]))

    left = {
        "eye_inner": (head(e - 0.012, 1.616, 0.083), "head"), "eye": (head(e, 1.616, 0.087), "head"),
        "eye_outer": (head(e + 0.013, 1.616, 0.080), "head"), "ear": (head(0.078, 1.602, -0.008), "head"),
        "mouth": (head(0.023, 1.548, 0.083), "head"),
        "shoulder": (j["left_shoulder"] + torch.tensor([-0.008, 0.004, 0.0]), "left_clavicle"),
        "elbow": (j["left_elbow"], "left_elbow"), "wrist": (j["left_wrist"], "left_wrist"),
        "pinky": (hand(0.095, 0.0, -0.029), "left_wrist"), "index": (hand(0.105, 0.0, 0.031), "left_wrist"),
        "thumb": (hand(0.055, -0.014, 0.050), "left_wrist"),
        "hip": (j["left_hip"] + torch.tensor([0.012, 0.01, 0.0]), "pelvis"), "knee": (j["left_knee"], "left_knee"),
        "ankle": (j["left_ankle"], "left_ankle"), "heel": (j["left_ankle"] + torch.tensor([0, -0.05, -0.035]), "left_ankle"),
        "foot_index": (j["left_toe"] + torch.tensor([0.006, 0.0, 0.03]), "left_toe"),
    }  # fmt: skip
    points, owners = [], []
    for name in MEDIAPIPE:
        if name == "nose":
            point, owner = head(0.0, 1.588, 0.108), "head"
        else:
            key = name.replace("left_", "").replace("right_", "").replace("_left", "").replace("_right", "")
            point, owner = left[key]
            if "right" in name:
                point, owner = point * torch.tensor([-1.0, 1, 1]), owner.replace("left", "right")
        points.append(point)
        owners.append(INDEX[owner])
    return torch.stack(points), torch.tensor(owners)
