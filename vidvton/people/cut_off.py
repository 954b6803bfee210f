"""Legs that leave the picture at its bottom: where a pose model squeezes knees and ankles into what is left of it, they are put
where legs of that body go on to."""

from __future__ import annotations

import numpy as np

THIGH, SHANK = 0.95, 0.9  # torso lengths
_SURE = 0.5  # score from which the model has seen a joint
_THERE = 0.3  # score of a joint that is where the leg leads
_NEAR = 0.45  # torso lengths above the picture's bottom in which a joint unseen may have been squeezed in
_EDGE = 0.02  # of the picture's height: a person that ends so near its bottom goes on below
_LEAN = np.deg2rad((14.0, 70.0))  # how far off the vertical a leg may lead, its knee not seen at all, and seen
_INWARDS = np.deg2rad(4.0)  # the same towards the other leg: a guess likes to put both in one place
_APART = 0.15  # torso lengths between the hips from which there is an inwards
_CHAINS = ((23, 25, 27, (29, 31)), (24, 26, 28, (30, 32)))


def continue_legs(keypoints: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`keypoints` [T, 33, 3] in which legs cut off by the picture's bottom go on below it.

    `boxes` [T, 4] xyxy are those of the person, `size` the picture's (height, width). A leg is continued where the person reaches
    the bottom and its hip lies in the picture: a thigh is THIGH torso lengths long, a shank SHANK, as far to the side as
    the model says, where its score can be believed. Such joints get a score of at least 0.3. What was seen stays.
    """
    out = keypoints.copy()
    height = size[0]
    for t in np.flatnonzero(boxes[:, 3] >= (1 - _EDGE) * height):
        points = out[t]
        torso = _torso(points)
        for (hip, knee, ankle, foot), other in zip(_CHAINS, (24, 23)):
            if points[hip, 1] >= height or torso < 4:
                continue
            outwards = float(np.clip((points[hip, 0] - points[other, 0]) / (_APART * torso), -1, 1))
            lost = _continue(points, hip, knee, THIGH * torso, height - _NEAR * torso, outwards)
            if _continue(points, knee, ankle, SHANK * torso, height - (_NEAR * torso if lost else 0), outwards):
                points[list(foot), :2] += points[ankle, :2] - keypoints[t, ankle, :2]
    return out


def _continue(points: np.ndarray, start: int, end: int, length: float, limit: float, outwards: float) -> bool:
    """Puts joint `end` where the bone from `start` leads, if it is unseen and below `limit`; whether that was so. `outwards` is
    the direction away from the other leg, -1 (to the picture's left) to 1."""
    score = float(points[end, 2])
    if score >= _SURE or points[end, 1] < limit:
        return False
    way = points[end, :2] - points[start, :2]
    reach = max(length, float(np.linalg.norm(way)))
    lean = np.arcsin(way[0] / reach)  # what is squeezed is its height
    least = [_LEAN[0] + (_INWARDS - _LEAN[0]) * np.clip(way, 0, 1) for way in (outwards, -outwards)]
    low, high = (a + (_LEAN[1] - a) * (score / _SURE) ** 2 for a in least)
    lean = np.clip(lean, -low, high)
    points[end, :2] = points[start, :2] + reach * np.array([np.sin(lean), np.cos(lean)])
    points[end, 2] = max(score, _THERE)
    return True


def _torso(points: np.ndarray) -> float:
    """Pixels: the torso's length as its two ends and the shoulders tell it."""
    neck, pelvis = points[[11, 12], :2].mean(0), points[[23, 24], :2].mean(0)
    return float(max(np.linalg.norm(neck - pelvis), np.linalg.norm(points[11, :2] - points[12, :2]) / 0.85))
