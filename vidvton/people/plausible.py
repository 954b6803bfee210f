"""How well a skeleton explains the outline it came with: the test that finds collapsed and misplaced bodies.

A body model that hesitates between front and back view lets shoulders, hips and legs fall into one line while its mask stays
right. Then much of the mask is far from any bone. (The model's own visibility stays near one and is of no use here.)
"""

from __future__ import annotations

import cv2
import numpy as np

from vidvton.people.estimators import Body
from vidvton.people.pictures import shrink

_SIDE = 64
_MUCH_SMALLER = 0.6  # torso against torso
_LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28), (11, 12), (23, 24), (11, 23), (12, 24))


def phantom_of(real: Body, body: Body) -> bool:
    """Whether `body` is a piece of `real` taken for a person: inside it, smaller, and worse explained by its bones."""
    boxes = [np.concatenate([b.keypoints[11:, :2].min(0), b.keypoints[11:, :2].max(0)]) for b in (real, body)]
    wide, high = np.minimum(boxes[0][2:], boxes[1][2:]) - np.maximum(boxes[0][:2], boxes[1][:2])
    size = boxes[1][2:] - boxes[1][:2]
    inside = max(wide, 0) * max(high, 0) > 0.85 * size[0] * size[1]
    smaller = size.max() < 0.85 * (boxes[0][2:] - boxes[0][:2]).max()
    return bool(inside and smaller and fit_to_mask(body) < fit_to_mask(real) - 0.08)


def piece_of(real: Body, body: Body) -> bool:
    """Whether `body` is much smaller than `real` and has head and trunk within its mask: a face or a pattern taken for a person,
    however well its bones explain what it took for one."""
    lengths, middles = [], []
    for b in (real, body):
        trunk = b.keypoints[[11, 12, 23, 24], :2]
        lengths.append(np.linalg.norm(trunk[:2].mean(0) - trunk[2:].mean(0)))
        middles.append((b.keypoints[:11, :2].mean(0), trunk.mean(0)))
    if lengths[1] > _MUCH_SMALLER * lengths[0]:
        return False
    back = cv2.invertAffineTransform(real.to_frame.astype(np.float64))
    places = np.floor(np.array(middles[1]) @ back[:, :2].T + back[:, 2]).astype(int)
    inside = (places >= 0).all() and (places < real.mask.shape[::-1]).all()
    return bool(inside and (real.mask[places[:, 1], places[:, 0]] > 127).all())


def fit_to_mask(body: Body) -> float:
    """0-1: the share of the body's mask, from the shoulders down, that lies within a limb's width of its bones.

    A standing or walking person in close clothes reaches about 0.95, a long skirt 0.7; a skeleton that has collapsed loses 0.1 to
    0.4 against the frames around it.
    """
    back = cv2.invertAffineTransform(body.to_frame.astype(np.float64))
    points = (body.keypoints[:, :2] @ back[:, :2].T + back[:, 2]) * (_SIDE / body.mask.shape[0])
    mask = shrink(body.mask, (_SIDE, _SIDE)) > 127
    torso = np.linalg.norm(points[11:13].mean(0) - points[23:25].mean(0))
    pixels = np.clip(points, -4 * _SIDE, 5 * _SIDE).astype(int)
    canvas = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillConvexPoly(canvas, pixels[[11, 12, 24, 23]], 1)
    for a, b in _LIMBS:
        cv2.line(canvas, pixels[a].tolist(), pixels[b].tolist(), 1, max(2, round(0.26 * torso)))
    below = np.arange(_SIDE)[:, None] + 0.5 > points[11:13, 1].mean()
    mask &= below
    return float((mask & (canvas > 0)).sum() / max(1, mask.sum()))
