"""Legs that a pose model exchanges below the hips, for a few frames, put back: each leg goes on as it came."""

from __future__ import annotations

import numpy as np

from vidvton.people.paths import cheapest_path

LEFT, RIGHT = [25, 27, 29, 31], [26, 28, 30, 32]
_BOUND = 0.8  # torso lengths: more is no matter of how much more
_CROSSED = 0.1  # share of a way that thighs save by not crossing, against a way between two frames
_KEEP = 0.01  # cost a frame of not believing the model


def exchanged(values: np.ndarray) -> np.ndarray:
    """`values` [..., 33, C] or [..., 33] of joints with left and right exchanged from the knees down."""
    out = values.copy()
    if values.shape[-1] == 33:
        out[..., LEFT], out[..., RIGHT] = values[..., RIGHT], values[..., LEFT]
    else:
        out[..., LEFT, :], out[..., RIGHT, :] = values[..., RIGHT, :], values[..., LEFT, :]
    return out


def like(points: np.ndarray, reference: np.ndarray) -> bool:
    """Whether the legs of a body `points` [33, 3] are on the sides of the `reference`'s [33, 3]; False: exchanged."""
    joints, others = LEFT[:2] + RIGHT[:2], RIGHT[:2] + LEFT[:2]
    straight, crossed = (np.linalg.norm(reference[joints, :2] - points[to, :2], axis=-1).sum() for to in (joints, others))
    return bool(straight <= crossed)


def steady_legs(keypoints: np.ndarray, seen: np.ndarray, torso: float) -> np.ndarray:
    """[T] bool: in which frames of `keypoints` [T, 33, 3] the legs are to be exchanged, so that over the frames `seen` [T] they
    go the least way, `torso` pixels long being the measure."""
    rows = np.flatnonzero(seen)
    out = np.zeros(len(keypoints), bool)
    if len(rows) < 2:
        return out
    points = keypoints[rows]
    options = np.stack([points, exchanged(points)], 1)  # [N, 2, 33, 3]
    own = np.array([0.0, _KEEP]) + _CROSSED * _thighs(options) / torso
    links = [_ways(*pair, torso) / gap for *pair, gap in zip(options[:-1], options[1:], np.diff(rows))]
    out[rows] = np.array(cheapest_path(own, links)) == 1
    return out


def _thighs(options: np.ndarray) -> np.ndarray:
    """[N, 2] pixels: how long both thighs are together."""
    return sum(np.linalg.norm(options[:, :, hip, :2] - options[:, :, knee, :2], axis=-1) for hip, knee in ((23, 25), (24, 26)))


def _ways(a: np.ndarray, b: np.ndarray, torso: float) -> np.ndarray:
    """[2, 2]: the legs' way from each option [2, 33, 3] of one frame to each of the next, in torso lengths, as far as sure."""
    joints = LEFT[:2] + RIGHT[:2]
    p, q = a[:, None, joints], b[None, :, joints]
    weight = np.minimum(p[..., 2], q[..., 2]) + 0.05
    way = np.minimum(np.linalg.norm(p[..., :2] - q[..., :2], axis=-1) / torso, _BOUND)
    return (way * weight).sum(-1) / weight.sum(-1)
