"""Motions: what a person does, as joint rotations over time, always standing on the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidvton.errors import MisuseError
from vidvton.synth.body import FOREARM, UPPER_ARM
from vidvton.synth.skeleton import INDEX, JOINTS, LIMITS, Pose, euler, limited, rotation, transforms

MOTIONS = ("stand", "walk_towards", "walk_past", "turn", "poses", "dance", "raise_arms", "cross_hands", "sit")
"""Motion words."""

ARM_LIMITS = {"out": (-45.0, 178.0), "forward": (-55.0, 175.0), "reach": (0.42, 0.995), "twist": (-70.0, 110.0)}
"""Arms are steered by where the wrist is: `out` degrees from hanging, sideways; `forward` degrees; `reach` the share of the
arm's length from
shoulder to wrist; `twist` degrees the elbow turns about that line, outward positive."""


@dataclass
class Steering:
    """The words a motion is written in, each [T] or [T, 3] numpy in degrees: `turns` of pelvis, spine, chest, neck, head;
    `arms` and `legs` per
    side; `yaw` [T]; `travel` [T, 2] metres over the floor (x, z) unless the feet carry the body (`carried`)."""

    turns: dict[str, np.ndarray]
    arms: dict[str, np.ndarray]
    legs: dict[str, np.ndarray]
    yaw: np.ndarray
    travel: np.ndarray
    carried: bool = True


def resting(t: np.ndarray) -> Steering:
    """Standing still, arms hanging."""
    n, o = len(t), np.zeros(len(t))
    turns = {name: np.zeros((n, 3)) for name in ("pelvis", "spine", "chest", "neck", "head")}
    arms = {
        f"{side}_{word}": o + value
        for side in ("left", "right")
        for word, value in (("out", 13), ("forward", 4), ("reach", 0.975), ("twist", 12), ("curl", 18))
    }
    legs = {
        f"{side}_{word}": o + value
        for side in ("left", "right")
        for word, value in (("hip", 0), ("out", 3), ("turn", 6), ("knee", 3))
    }
    return Steering(turns, arms, legs, o.copy(), np.zeros((n, 2)))


def through(t: np.ndarray, times: list[float], values: np.ndarray) -> np.ndarray:
    """A path that eases from key to key: values [K, ...] held at `times` [K] seconds, read at `t` [T]."""
    values = np.asarray(values, float)
    k = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    span = np.maximum(np.asarray(times)[k + 1] - np.asarray(times)[k], 1e-6)
    u = np.clip((t - np.asarray(times)[k]) / span, 0, 1)
    u = u * u * u * (u * (6 * u - 15) + 10)
    u = u.reshape(-1, *[1] * (values.ndim - 1))
    return values[k] * (1 - u) + values[k + 1] * u


def _sway(s: Steering, t: np.ndarray, rng: np.random.Generator, amount: float = 1.0) -> None:
    """Breathing, weight shifting, a head that looks about: nobody stands like a post."""
    a, b, c = rng.uniform(0, 6.28, 3)
    s.turns["spine"][:, 2] += amount * 2.0 * np.sin(0.9 * t + a)
    s.turns["chest"][:, 0] += amount * 1.0 * np.sin(1.7 * t + b)
    s.turns["head"][:, 1] += amount * 7 * np.sin(0.8 * t + c)
    s.turns["head"][:, 0] += amount * 3 * np.sin(0.6 * t + a)
    for side, sign in (("left", 1), ("right", -1)):
        s.arms[f"{side}_out"] += amount * 1.5 * np.sin(1.1 * t + a + sign)
        s.arms[f"{side}_forward"] += amount * 2.5 * np.sin(0.9 * t + b + sign)
    s.turns["pelvis"][:, 2] += amount * 2 * np.sin(0.7 * t + c)
    s.turns["spine"][:, 2] -= amount * 2 * np.sin(0.7 * t + c)


def _stride(s: Steering, t: np.ndarray, rng: np.random.Generator, wide: float = 1.0) -> None:
    """Legs and arms of a walk."""
    phase = 2 * np.pi * rng.uniform(0.82, 1.0) * t + rng.uniform(0, 6.28)
    for side, shift in (("left", 0.0), ("right", np.pi)):
        p = phase + shift
        s.legs[f"{side}_hip"] = 23 * wide * np.sin(p) + 6
        s.legs[f"{side}_knee"] = 6 + 52 * wide * np.maximum(np.cos(p - 0.25), 0) ** 2
        s.legs[f"{side}_out"] = 1.0 + 0 * t
        s.legs[f"{side}_turn"] = 3.0 + 0 * t
        s.arms[f"{side}_forward"] = 3 - 20 * wide * np.sin(p)
        s.arms[f"{side}_reach"] = 0.955 - 0.03 * np.maximum(-np.sin(p), 0)
    s.turns["pelvis"][:, 1] += 6 * wide * np.sin(phase)
    s.turns["chest"][:, 1] -= 9 * wide * np.sin(phase)
    s.turns["pelvis"][:, 2] += 3 * wide * np.cos(phase)
    s.turns["spine"][:, 2] -= 3 * wide * np.cos(phase)


_ARM_POSES = {
    "hang": (13, 4, 0.975, 12), "hip": (34, -8, 0.62, 62), "pocket": (20, 0, 0.90, 35), "out": (80, 0, 0.97, 0), "up": (165,
    5, 0.93, 20),
    "front": (12, 70, 0.80, 10), "chest": (-24, 62, 0.52, 45), "across": (-30, 44, 0.58, 38), "head": (118, 50, 0.60, 70),
    "wave": (70, 45, 0.66, 10),
    "behind": (10, -38, 0.80, 40), "belly": (-20, 34, 0.60, 50), "present": (45, 40, 0.82, 0),
}  # fmt: skip


def _arm_path(s: Steering, side: str, t: np.ndarray, times: list[float], names: list[str], rng: np.random.Generator) -> None:
    keys = np.array([_ARM_POSES[n] for n in names], float) + rng.normal(0, 1, (len(names), 4)) * (3, 3, 0.015, 4)
    path = through(t, times, keys)
    for i, word in enumerate(("out", "forward", "reach", "twist")):
        s.arms[f"{side}_{word}"] = path[:, i]


def _steer(word: str, t: np.ndarray, rng: np.random.Generator) -> Steering:
    """The steering of a motion word over times `t` seconds."""
    s = resting(t)
    end = max(float(t[-1]), 1.6)  # a short clip shows the beginning of a motion, not a hasty one
    if word in ("walk_towards", "walk_past"):
        _stride(s, t, rng, rng.uniform(0.75, 1.05))
        _sway(s, t, rng, 0.4)
        facing = rng.uniform(-12, 12) if word == "walk_towards" else rng.choice([-1, 1]) * rng.uniform(45, 90)
        s.yaw = facing + 0 * t
        return s
    _sway(s, t, rng)
    s.yaw = rng.uniform(-25, 25) + 4 * np.sin(0.5 * t)
    if word == "turn":
        s.yaw = rng.uniform(-20, 20) + rng.choice([-1, 1]) * 360 * through(t, [0, end], np.array([0, rng.uniform(0.5, 1.0)]))
        phase = 2 * np.pi * 1.5 * t
        for side, shift in (("left", 0), ("right", np.pi)):
            s.legs[f"{side}_hip"] = s.legs[f"{side}_hip"] + 7 * np.maximum(np.sin(phase + shift), 0)
            s.legs[f"{side}_knee"] = s.legs[f"{side}_knee"] + 14 * np.maximum(np.sin(phase + shift), 0)
    elif word == "poses":
        times = [i * 0.85 for i in range(max(2, math.ceil(end / 0.85) + 1))]
        for side in ("left", "right"):
            names = rng.choice(
                ["hang", "hip", "pocket", "hang", "chest", "head", "behind", "present", "out"], len(times)
            ).tolist()
            _arm_path(s, side, t, times, names, rng)
        s.yaw = through(t, times, rng.uniform(-55, 55, len(times)))
        s.turns["pelvis"][:, 2] += through(t, times, rng.uniform(-7, 7, len(times)))
        s.turns["spine"] += through(t, times, rng.normal(0, 1, (len(times), 3)) * (5, 8, 4))
        s.legs["left_hip"] = through(t, times, rng.uniform(-4, 18, len(times)))
        s.legs["left_knee"] = np.maximum(2 * s.legs["left_hip"], 3)
    elif word == "dance":
        beat = 2 * np.pi * rng.uniform(0.8, 1.2) * t + rng.uniform(0, 6.28)
        for side, sign in (("left", 1), ("right", -1)):
            s.arms[f"{side}_out"] = 55 + 38 * np.sin(beat * 0.5 + sign * 0.8)
            s.arms[f"{side}_forward"] = 30 + 28 * np.sin(beat + sign * 1.3)
            s.arms[f"{side}_reach"] = 0.72 + 0.14 * np.sin(beat + sign)
            s.arms[f"{side}_twist"] = 15 + 15 * np.sin(beat * 0.5)
            lift = np.maximum(np.sin(beat * 0.5 + (0 if sign > 0 else np.pi)), 0)
            s.legs[f"{side}_hip"], s.legs[f"{side}_knee"] = 12 + 20 * lift, 24 + 34 * lift
            s.legs[f"{side}_out"] = 7 + 0 * t
        s.turns["pelvis"] += np.stack([0 * t, 12 * np.sin(beat * 0.5), 7 * np.sin(beat)], -1)
        s.turns["spine"] += np.stack([4 + 4 * np.sin(beat), -9 * np.sin(beat * 0.5), -9 * np.sin(beat)], -1)
        s.turns["head"] += np.stack([3 * np.sin(beat), 8 * np.sin(beat * 0.5), 3 * np.sin(beat)], -1)
    elif word == "raise_arms":
        peak = rng.uniform(0.4, 0.6) * end
        for side in ("left", "right"):
            _arm_path(
                s,
                side,
                t,
                [0.0, peak, peak + 0.25, max(end, peak + 0.4)],
                ["hang", *rng.choice(["up", "out", "head"], 1).repeat(2).tolist(), "hang"],
                rng,
            )
    elif word == "cross_hands":
        times = [0.0, 0.35 * end, 0.65 * end, end]
        pairs = [("chest", "belly"), ("across", "hang"), ("belly", "across"), ("chest", "hang"), ("across", "belly")]
        left, right = pairs[rng.integers(len(pairs))]
        for side, name in (("left", left), ("right", right)):
            _arm_path(s, side, t, times, ["hang", name, rng.choice([name, "front", "wave"]), "hang"], rng)
    elif word == "sit":
        down = through(t, [0, 0.15 * end, 0.6 * end, max(end, 0.61 * end + 0.01)], np.array([0.35, 0.35, 1, 1]))
        for side in ("left", "right"):
            s.legs[f"{side}_hip"], s.legs[f"{side}_knee"] = 84 * down, 88 * down
            s.legs[f"{side}_out"] = 6 + 4 * down
            s.arms[f"{side}_forward"] = 6 + 30 * down
            s.arms[f"{side}_reach"] = 0.97 - 0.13 * down
        s.turns["spine"][:, 0] += 38 * np.sin(np.pi * np.clip((down - 0.2) / 0.8, 0, 1)) + 4
        s.turns["head"][:, 0] -= 10 * np.sin(np.pi * np.clip(down, 0, 1))
        s.yaw = rng.uniform(-40, 40) + 0 * t
    return s


def arm_rotations(side: str, out: Tensor, forward: Tensor, reach: Tensor, twist: Tensor) -> tuple[Tensor, Tensor]:
    """(shoulder, elbow) rotations [T, 3, 3] that bring the wrist where the words say; angles radians, `reach` share of the
    arm's length."""
    sign = 1.0 if side == "left" else -1.0
    eye = torch.eye(3)
    frame = rotation(eye[0], -forward) @ rotation(eye[2], sign * out)
    along, pole = -frame[..., 1], -frame[..., 2]
    pole = (rotation(along, -sign * twist) @ pole[..., None])[..., 0]
    distance = reach * (UPPER_ARM + FOREARM)
    cos = ((UPPER_ARM**2 + distance**2 - FOREARM**2) / (2 * UPPER_ARM * distance)).clamp(-1, 1)[..., None]
    upper = along * cos + pole * (1 - cos**2).clamp_min(0).sqrt()
    fore = torch.nn.functional.normalize(along * distance[..., None] - upper * UPPER_ARM, dim=-1)
    hinge = torch.cross(pole, along, dim=-1)
    rest = rotation(eye[2], torch.tensor(sign * math.pi / 4))
    d0, b0 = -rest[:, 1], -rest[:, 0]
    now = torch.stack([upper, hinge, torch.cross(upper, hinge, dim=-1)], -1)
    before = torch.stack([d0, b0, torch.linalg.cross(d0, b0)], -1)
    bend = torch.atan2((torch.cross(upper, fore, dim=-1) * hinge).sum(-1), (upper * fore).sum(-1))
    return now @ before.T, rotation(b0, bend)


def pose_from(s: Steering, rest: Tensor) -> Pose:
    """The pose a steering means for a body whose joints rest at `rest` [J, 3], set down on the floor."""
    n = len(s.yaw)
    r = torch.eye(3).expand(n, len(JOINTS), 3, 3).clone()

    def rad(values: np.ndarray) -> Tensor:
        return torch.tensor(np.deg2rad(values), dtype=torch.float32)

    for name, values in s.turns.items():
        r[:, INDEX[name]] = euler(torch.deg2rad(limited(name, torch.tensor(values, dtype=torch.float32))))
    r[:, 0] = rotation(torch.tensor([0.0, 1, 0]), rad(s.yaw)) @ r[:, 0]
    tilt = torch.tensor(s.turns["pelvis"][:, 0], dtype=torch.float32)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        words = {w: np.clip(s.arms[f"{side}_{w}"], *ARM_LIMITS[w]) for w in ("out", "forward", "reach", "twist")}
        lift = np.clip(np.maximum(words["out"], words["forward"] * 0.6) - 70, 0, 100) * 0.28
        # Hanging arms pull the shoulders down from where the rest pose, arms half raised, has them.
        droop = 9 * np.clip((45 - words["out"]) / 35, 0, 1) * np.clip(1 - np.abs(words["forward"]) / 90, 0, 1)
        r[:, INDEX[f"{side}_clavicle"]] = rotation(torch.tensor([0.0, 0, sign]), rad(lift - droop))
        shoulder, elbow = arm_rotations(
            side,
            rad(words["out"] - lift * (words["out"] > 70) + droop),
            rad(words["forward"]),
            torch.tensor(words["reach"], dtype=torch.float32),
            rad(words["twist"]),
        )
        r[:, INDEX[f"{side}_shoulder"]], r[:, INDEX[f"{side}_elbow"]] = shoulder, elbow
        curl_axis = rotation(torch.tensor([0.0, 0, 1]), torch.tensor(sign * math.pi / 4))[:, 2] * -sign
        r[:, INDEX[f"{side}_fingers"]] = rotation(curl_axis, rad(s.arms[f"{side}_curl"]))
        hip = np.stack([-s.legs[f"{side}_hip"], s.legs[f"{side}_turn"], s.legs[f"{side}_out"]], -1)
        hip = limited("hip", torch.tensor(hip, dtype=torch.float32)) * torch.tensor([1.0, sign, sign])
        knee = torch.tensor(s.legs[f"{side}_knee"], dtype=torch.float32).clamp(*LIMITS["knee"][0])
        ankle = (-(hip[:, 0] + knee + tilt)).clamp(*LIMITS["ankle"][0])
        zero = torch.zeros_like(knee)
        for joint, degrees in (
            ("hip", hip),
            ("knee", torch.stack([knee, zero, zero], -1)),
            ("ankle", torch.stack([ankle, zero, zero], -1)),
        ):
            r[:, INDEX[f"{side}_{joint}"]] = euler(torch.deg2rad(degrees))
    return _set_down(r, rest, s)


def _soles(rest: Tensor) -> tuple[Tensor, Tensor]:
    """(points [6, 3], joints [6]): heel, ball and toe of each foot's sole."""
    points, owners = [], []
    for side in ("left", "right"):
        ankle, toe = rest[INDEX[f"{side}_ankle"]], rest[INDEX[f"{side}_toe"]]
        points += [
            torch.stack([ankle[0], torch.tensor(0.0), ankle[2] - 0.035]),
            torch.stack([toe[0], torch.tensor(0.0), toe[2] - 0.02]),
        ]
        points.append(torch.stack([toe[0], torch.tensor(0.002), toe[2] + 0.03]))
        owners += [INDEX[f"{side}_ankle"], INDEX[f"{side}_ankle"], INDEX[f"{side}_toe"]]
    return torch.stack(points), torch.tensor(owners)


def _set_down(r: Tensor, rest: Tensor, s: Steering) -> Pose:
    """Puts the lowest sole on the floor in every frame; a walk is carried forward by the foot that stands."""
    n = len(r)
    points, owners = _soles(rest)
    matrices = transforms(rest, Pose(r, torch.zeros(n, 3)), 1.0)[:, owners]
    soles = (matrices[..., :3] @ points[None, ..., None])[..., 0] + matrices[..., 3]
    root = torch.zeros(n, 3)
    softness = 0.004  # a soft minimum: the step from one foot to the other must not jerk the body
    root[:, 1] = softness * torch.logsumexp(-soles[..., 1] / softness, 1) - softness * math.log(2)
    root[:, [0, 2]] += torch.tensor(s.travel, dtype=torch.float32)
    if s.carried and n > 1:
        weight = torch.softmax(-soles[..., 1] / 0.006, 1)
        step = soles[1:, :, [0, 2]] - soles[:-1, :, [0, 2]]
        both = (weight[1:] + weight[:-1]) / 2
        move = -(step * both[..., None]).sum(1)
        path = torch.cat([torch.zeros(1, 2), move.cumsum(0)])
        root[:, [0, 2]] += path - path.mean(0)
    return Pose(r, root)


def make_motion(word: str, *, frames: int, fps: float, seed: int, rest: Tensor) -> Pose:
    """`frames` poses of the motion `word` (one of MOTIONS) at `fps`, for a body whose joints rest at `rest` [J, 3] nominal
    metres."""
    if word not in MOTIONS:
        raise MisuseError(f"the motion {word!r} is not known; choose one of {', '.join(MOTIONS)}")
    rng = np.random.default_rng([seed, MOTIONS.index(word), 71])
    t = np.arange(frames) / fps
    return pose_from(_steer(word, t, rng), rest)
