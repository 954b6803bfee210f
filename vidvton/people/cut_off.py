"""Limbs that leave the picture at its bottom: where a pose model squeezes knees and ankles into what is left of it, or dreams up
arms in front of a bust, they are put where limbs of that body go on to."""

from __future__ import annotations

import numpy as np

from vidvton.smoothing import running_median

THIGH, SHANK, UPPER_ARM, FOREARM = 0.9, 0.9, 0.62, 0.55  # torso lengths
_UNSEEN, _SEEN = 0.35, 0.6  # scores up to which the model has not seen a joint, and from which it has
_THERE = 0.3  # score of a joint that is where the leg leads
_NEAR = 0.45  # torso lengths above the picture's bottom in which a joint unseen may have been squeezed in
_EDGE = (0.04, 0.015)  # of the picture's height: a person that ends so near its bottom begins to, and does, go on below
_LEAN = np.deg2rad((14.0, 70.0))  # how far off the vertical a leg may lead, its knee not seen at all, and seen
_INWARDS = np.deg2rad(4.0)  # the same towards the other leg: a guess likes to put both in one place
_APART = 0.15  # torso lengths between the hips from which there is an inwards
_CHAINS = ((23, 25, 27, (29, 31)), (24, 26, 28, (30, 32)))
_ARMS = ((11, 13, 15, (17, 19, 21)), (12, 14, 16, (18, 20, 22)))
_ELBOW, _WRIST = (0.85, 0.5), (0.75, 0.3)  # scores from which such a joint is seen, and up to which it is a guess
_STEADY = 4  # frames to each side over which the usual score counts: a guess is now surer, now less
_BELOW = (0.35, 0.1)  # torso lengths above the picture's bottom: a joint that would hang so low begins to be, and is, cut off
_HANG = np.deg2rad((8.0, -5.0, 30.0))  # how far off the vertical an arm hangs away from the body: usually, at least, at most


def continue_legs(keypoints: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`keypoints` [T, 33, 3] in which legs cut off by the picture's bottom go on below it.

    `boxes` [T, 4] xyxy are those of the person, `size` the picture's (height, width). A leg is continued where an upright person
    reaches the bottom and its hip lies in the picture: a thigh is THIGH torso lengths long, a shank SHANK, as far to the side as
    the model says, where its score can be believed. Such joints get a score of at least 0.3. What was seen stays, and between
    seen and unseen there is no step.
    """
    out = keypoints.copy()
    height = size[0]
    reached = _ramp(boxes[:, 3] / height, 1 - _EDGE[0], 1 - _EDGE[1])
    for t in np.flatnonzero(reached):
        points, torso, upright = out[t], *_torso(out[t])
        share = reached[t] * upright
        for (hip, knee, ankle, foot), other in zip(_CHAINS, (24, 23)):
            if points[hip, 1] >= height or torso < 4 or share == 0:
                continue
            if points[ankle, 2] >= _SEEN and points[ankle, 1] < height:
                continue  # a leg seen to its end is in the picture
            outwards = float(np.clip((points[hip, 0] - points[other, 0]) / (_APART * torso), -1, 1))
            lost = _continue(points, hip, knee, THIGH * torso, height - _NEAR * torso, outwards, share)
            _continue(points, knee, ankle, SHANK * torso, height - _NEAR * torso * lost, outwards, share)
            points[list(foot), :2] += points[ankle, :2] - keypoints[t, ankle, :2]
    return out


def continue_arms(keypoints: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`keypoints` [T, 33, 3] in which arms that nothing is seen of hang down, where hanging arms leave the picture at its bottom.

    `boxes` and `size` as in `continue_legs`. Of a bust the model sees no arm and puts elbows and wrists before the chest or
    beside it. Where both are guesses the elbow goes to where it would hang, UPPER_ARM torso lengths below the shoulder; a
    wrist that is one goes FOREARM below that. A hand that is seen keeps its arm. Hanging joints get a score of at least 0.3.
    """
    out = keypoints.copy()
    height = size[0]
    reached = _ramp(boxes[:, 3] / height, 1 - _EDGE[0], 1 - _EDGE[1])
    usual = running_median(keypoints[..., 2], _STEADY)
    for t in np.flatnonzero(reached):
        points, torso, upright = out[t], *_torso(out[t])
        if torso < 4:
            continue
        low = height - _BELOW[0] * torso, height - _BELOW[1] * torso
        for (shoulder, elbow, wrist, hand), other in zip(_ARMS, (12, 11)):
            if points[shoulder, 1] >= height:
                continue
            outwards = float(np.clip((points[shoulder, 0] - points[other, 0]) / (_APART * torso), -1, 1))
            share = reached[t] * upright * _ramp(usual[t, wrist], *_WRIST)
            _hang(points, shoulder, elbow, UPPER_ARM * torso, low, outwards, share * _ramp(usual[t, elbow], *_ELBOW))
            hung = _hang(points, elbow, wrist, FOREARM * torso, low, outwards, share)
            points[list(hand), :2] += points[wrist, :2] - keypoints[t, wrist, :2]
            points[list(hand), 2] *= 1 - hung
    return out


def _hang(
    points: np.ndarray, start: int, end: int, length: float, low: tuple[float, float], outwards: float, share: float
) -> float:
    """Moves joint `end` by `share` to where it would hang from `start`, as far as the picture ends above that (`low`: from where
    on it does, and surely does); how far it went, 0-1."""
    way = points[end, :2] - points[start, :2]
    own = np.arctan2(way[0] * np.sign(outwards), max(float(way[1]), 0.2 * length))
    lean = outwards * np.clip(_HANG[0] + (own - _HANG[0]) * min(float(points[end, 2]) / _SEEN, 1), *_HANG[1:])
    hanging = points[start, :2] + length * np.array([np.sin(lean), np.cos(lean)])
    share = share * float(_ramp(hanging[1], *low))
    if share:
        points[end, :2] += share * (hanging - points[end, :2])
        points[end, 2] = max(float(points[end, 2]) * (1 - share), share * _THERE)
    return share


def _continue(points: np.ndarray, start: int, end: int, length: float, limit: float, outwards: float, share: float) -> float:
    """Puts joint `end` where the bone from `start` leads, as far as it is unseen and below `limit`, at most a `share` of the way;
    how far that was, 0-1. `outwards` is the direction away from the other leg, -1 (to the picture's left) to 1."""
    score = float(points[end, 2])
    share = share * _ramp(score, _SEEN, _UNSEEN) * _ramp(points[end, 1], limit - 0.25 * length, limit + 0.05 * length)
    if share == 0:
        return 0.0
    way = points[end, :2] - points[start, :2]
    reach = max(length, float(np.linalg.norm(way)))
    lean = np.arcsin(way[0] / reach)  # what is squeezed is its height
    least = [_LEAN[0] + (_INWARDS - _LEAN[0]) * np.clip(side, 0, 1) for side in (outwards, -outwards)]
    low, high = (a + (_LEAN[1] - a) * min(score / _SEEN, 1) ** 2 for a in least)
    lean = np.clip(lean, -low, high)
    points[end, :2] += share * (points[start, :2] + reach * np.array([np.sin(lean), np.cos(lean)]) - points[end, :2])
    points[end, 2] = max(score, share * _THERE)
    return share


def _ramp(value, low: float, high: float):
    """0 at `low`, 1 at `high`, straight between (low > high turns it round)."""
    return np.clip((value - low) / (high - low), 0, 1)


def _torso(points: np.ndarray) -> tuple[float, float]:
    """(pixels: the torso's length as its two ends and the shoulders tell it; 0-1: how far it is upright)."""
    neck, pelvis = points[[11, 12], :2].mean(0), points[[23, 24], :2].mean(0)
    length = np.linalg.norm(pelvis - neck)
    upright = _ramp(float((pelvis - neck)[1] / max(length, 1e-6)), 0.6, 0.8)
    return float(max(length, np.linalg.norm(points[11, :2] - points[12, :2]) / 0.85)), float(upright)
