"""The agnostic region of a person whose joints and labels are known exactly: where any garment of a category could be."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidvton.synth.skeleton import INDEX
from vidvton.values import CIHP_LABELS

_LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}
GREY = 128

_KEPT = {
    "upper": ("hat", "hair", "face", "sunglasses", "left_shoe", "right_shoe", "socks"),
    "lower": ("hat", "hair", "face", "sunglasses", "left_shoe", "right_shoe"),
    "full": ("hat", "hair", "face", "sunglasses", "left_shoe", "right_shoe"),
}
_WORN = {
    "upper": ("upper", "coat", "dress"),
    "lower": ("pants", "skirt", "dress"),
    "full": ("upper", "coat", "dress", "pants", "skirt"),
}


def _capsule(x: Tensor, y: Tensor, a: Tensor, b: Tensor, ra: Tensor, rb: Tensor) -> Tensor:
    """Signed pixels to a stroke from `a` to `b` [T, 2] with end radii [T], at pixel centres x, y: [T, H, W]."""
    d = b - a
    length = (d * d).sum(-1).clamp_min(1e-6)
    px, py = x - a[:, 0, None, None], y - a[:, 1, None, None]
    t = ((px * d[:, 0, None, None] + py * d[:, 1, None, None]) / length[:, None, None]).clamp(0, 1)
    away = torch.hypot(px - t * d[:, 0, None, None], py - t * d[:, 1, None, None])
    return away - (ra[:, None, None] + (rb - ra)[:, None, None] * t)


def _strokes(category: str) -> list[tuple[str, str, float, float]]:
    """(joint, joint, radius, radius) in metres of the body shapes a garment of the category may cover, generous on purpose."""
    upper = [
        ("neck", "chest", 0.10, 0.20),
        ("chest", "spine", 0.20, 0.19),
        ("spine", "pelvis", 0.19, 0.21),
        ("left_shoulder", "right_shoulder", 0.10, 0.10),
    ]
    upper += [("left_shoulder", "pelvis", 0.09, 0.16), ("right_shoulder", "pelvis", 0.09, 0.16)]
    for side in ("left", "right"):
        upper += [(f"{side}_shoulder", f"{side}_elbow", 0.11, 0.09), (f"{side}_elbow", f"{side}_wrist", 0.09, 0.075)]
    upper += [("left_hip", "right_hip", 0.17, 0.17)]
    lower = [("spine", "pelvis", 0.18, 0.21), ("left_hip", "right_hip", 0.17, 0.17)]
    for side in ("left", "right"):
        lower += [(f"{side}_hip", f"{side}_knee", 0.16, 0.13), (f"{side}_knee", f"{side}_ankle", 0.13, 0.12)]
    lower += [("left_knee", "right_knee", 0.12, 0.12), ("left_ankle", "right_ankle", 0.10, 0.10)]
    return {"upper": upper, "lower": lower, "full": upper + lower}[category]


def agnostic_region(labels: Tensor, person: Tensor, limbs: Tensor, category: str) -> Tensor:
    """[T, H, W] bool, True = to be generated: body-sized strokes that any garment of `category` fits in, with all of the
    garment worn now
    and a margin, less hair, face, hands, shoes and (for upper) what is worn below. `limbs` [T, J, 3] joints (x, y, pixels
    per metre).

    Its outline follows the skeleton, not the garment, wherever the garment leaves room, so that it does not tell the old
    one's cut.
    """
    n, height, width = labels.shape
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    reach = torch.full((n, height, width), 1e6)
    for a, b, ra, rb in _strokes(category):
        i, j = INDEX[a], INDEX[b]
        reach = torch.minimum(reach, _capsule(xs, ys, limbs[:, i, :2], limbs[:, j, :2], ra * limbs[:, i, 2], rb * limbs[:, j, 2]))
    region = reach < 0
    if category != "upper":  # a skirt may span the legs
        region |= (
            _capsule(
                xs,
                ys,
                limbs[:, 0, :2],
                (limbs[:, INDEX["left_ankle"], :2] + limbs[:, INDEX["right_ankle"], :2]) / 2,
                0.20 * limbs[:, 0, 2],
                0.22 * limbs[:, 0, 2],
            )
            < 0
        )
    worn = torch.isin(labels, torch.tensor([_LABEL[name] for name in _WORN[category]], dtype=torch.uint8))
    margin = max(1, round(0.035 * float(limbs[:, 0, 2].median())))
    region |= F.max_pool2d(worn[:, None].float(), 2 * margin + 1, 1, margin)[:, 0] > 0
    kept = torch.isin(labels, torch.tensor([_LABEL[name] for name in _KEPT[category]], dtype=torch.uint8))
    if category == "upper":
        below = torch.isin(
            labels, torch.tensor([_LABEL[n] for n in ("pants", "skirt", "left_leg", "right_leg")], dtype=torch.uint8)
        )
        hips = limbs[:, INDEX["left_hip"], 1].add(limbs[:, INDEX["right_hip"], 1]) / 2 + 0.12 * limbs[:, 0, 2]
        kept |= below & (ys > hips[:, None, None])
    if category == "lower":
        kept |= torch.isin(labels, torch.tensor([_LABEL[n] for n in ("upper", "coat")], dtype=torch.uint8)) & (
            ys < (limbs[:, INDEX["spine"], 1])[:, None, None]
        )
        kept |= torch.isin(labels, torch.tensor([_LABEL[n] for n in ("left_arm", "right_arm")], dtype=torch.uint8))
    return (region & ~kept & ~_hands(xs, ys, limbs, labels)) | worn


def _hands(x: Tensor, y: Tensor, limbs: Tensor, labels: Tensor) -> Tensor:
    """[T, H, W] bool where a bare hand is seen."""
    out = torch.zeros_like(labels, dtype=torch.bool)
    for side in ("left", "right"):
        wrist, fingers = limbs[:, INDEX[f"{side}_wrist"]], limbs[:, INDEX[f"{side}_fingers"]]
        tip = wrist[:, :2] + 2.1 * (fingers[:, :2] - wrist[:, :2])
        near = _capsule(x, y, wrist[:, :2] * 0.8 + tip * 0.2, tip, 0.06 * wrist[:, 2], 0.07 * wrist[:, 2]) < 0
        out |= near & (labels == _LABEL[f"{side}_arm"])
    return out
