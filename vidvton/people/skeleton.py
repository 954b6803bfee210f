"""Names of body joints and conversions between the skeleton formats of the trade.

Our own skeleton is MediaPipe's 33 points (BlazePose GHUM). The others are read from it: OpenPose BODY_25 and COCO-18, COCO-17
and MPII-16. Left and right are the person's own. A point made from two others lies half way between them and carries the lower
of their scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidvton.values import MEDIAPIPE

J = {name: row for row, name in enumerate(MEDIAPIPE)}
"""Row of a joint by name in MediaPipe's order."""

FACE_JOINTS = tuple(range(11))
LEFT_RIGHT_SWAP = tuple(J[n.replace("left", "#").replace("right", "left").replace("#", "right")] for n in MEDIAPIPE)
"""`keypoints[LEFT_RIGHT_SWAP]` is the same body with the person's left and right exchanged."""

BONES = tuple(
    (J[a], J[b])
    for a, b in (
        ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
        ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("left_wrist", "left_index"),
        ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("right_wrist", "right_index"),
        ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("left_ankle", "left_foot_index"),
        ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("right_ankle", "right_foot_index"),
    )
)  # fmt: skip
"""Pairs of rows joined by a bone."""

_MIDDLES = {
    "neck": ("left_shoulder", "right_shoulder"),  # OpenPose's neck is the middle of the shoulders
    "thorax": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
    "pelvis": ("left_hip", "right_hip"),
    "upper_neck": ("mouth", "neck"),
    "mouth": ("mouth_left", "mouth_right"),
    "eyes": ("left_eye", "right_eye"),
}

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear",
    "left_ear", "left_foot_index", "left_small_toe", "left_heel", "right_foot_index", "right_small_toe", "right_heel",
)  # fmt: skip
COCO_18 = tuple(n for n in BODY_25[:19] if n != "mid_hip")
COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
MPII_16 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
FORMATS = {"mediapipe": MEDIAPIPE, "body_25": BODY_25, "coco_18": COCO_18, "coco_17": COCO_17, "mpii_16": MPII_16}


def to_body_25(keypoints: Tensor) -> Tensor:
    """OpenPose BODY_25 [..., 25, 3] (x, y, score) from MediaPipe's [..., 33, 3].

    MediaPipe has one toe point, between OpenPose's big and small toe: it stands for the big toe, and the small toe has score 0.
    """
    return _gather(keypoints, BODY_25)


def to_coco_18(keypoints: Tensor) -> Tensor:
    """OpenPose COCO-18 [..., 18, 3] (with neck) from MediaPipe's [..., 33, 3]."""
    return _gather(keypoints, COCO_18)


def to_coco_17(keypoints: Tensor) -> Tensor:
    """COCO-17 [..., 17, 3] from MediaPipe's [..., 33, 3]."""
    return _gather(keypoints, COCO_17)


def to_mpii_16(keypoints: Tensor) -> Tensor:
    """MPII-16 [..., 16, 3] from MediaPipe's [..., 33, 3].

    The top of the head, which MediaPipe has not got, is the mouth-to-eyes step carried on twice beyond the eyes; the upper neck
    lies half way between mouth and neck.
    """
    return _gather(keypoints, MPII_16)


def swap_left_right(keypoints: Tensor) -> Tensor:
    """The same [..., 33, C] body with the person's left and right exchanged."""
    return keypoints[..., list(LEFT_RIGHT_SWAP), :]


def _gather(keypoints: Tensor, names: Sequence[str]) -> Tensor:
    if keypoints.shape[-2:] != (33, 3):
        raise ValueError(f"keypoints must be [..., 33, 3] in MediaPipe's order, not {list(keypoints.shape)}")
    return torch.stack([_point(keypoints, name) for name in names], dim=-2)


def _point(keypoints: Tensor, name: str) -> Tensor:
    if name in J:
        return keypoints[..., J[name], :]
    if name in _MIDDLES:
        return _middle(*(_point(keypoints, part) for part in _MIDDLES[name]))
    if name == "head_top":
        mouth, eyes = _point(keypoints, "mouth"), _point(keypoints, "eyes")
        place = eyes[..., :2] + 2 * (eyes[..., :2] - mouth[..., :2])
        return torch.cat([place, torch.minimum(mouth, eyes)[..., 2:]], dim=-1)
    return torch.zeros_like(keypoints[..., 0, :])  # a point MediaPipe has not got


def _middle(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([(a[..., :2] + b[..., :2]) / 2, torch.minimum(a[..., 2:], b[..., 2:])], dim=-1)
