"""Smoothing of joint curves with past and future, so that nothing lags: quiet where the body rests, faithful where it moves
fast."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

_CALM = 40.0  # penalty on bending while the body rests; half power at a period of 16 frames
_QUICK = 0.008  # torso lengths a frame squared: bending of the curve from which the penalty gives way


def whittaker(values: np.ndarray, weights: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Penalised least squares: the curve [T, D] nearest to `values` [T, D] under `weights` [T], whose second difference costs
    `penalty` [T - 2] (Whittaker 1923, Eilers 2003). Values of weight zero are interpolated."""
    count = len(values)
    if count < 3:
        return _bridge(values, weights)
    bands = np.zeros((3, count))
    bands[2] = weights + 1e-9
    bands[2, :-2] += penalty
    bands[2, 1:-1] += 4 * penalty
    bands[2, 2:] += penalty
    bands[1, 1:-1] -= 2 * penalty
    bands[1, 2:] -= 2 * penalty
    bands[0, 2:] += penalty
    return solveh_banded(bands, values * weights[:, None])


def _bridge(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(weights > 0)
    if not len(known) or len(known) == len(values):
        return values
    return values[known[np.abs(np.arange(len(values))[:, None] - known).argmin(1)]]


def smooth_curve(values: np.ndarray, weights: np.ndarray, scale: float) -> np.ndarray:
    """One joint's curve [T, D], smoothed. `weights` [T] >= 0 (zero: unknown, to be interpolated); `scale` is the torso's length.

    Single wild values are put aside first. Then the penalty on bending is set frame by frame from how much a lightly smoothed
    curve bends: slow stretches are made calm, quick turns keep their shape and time.
    """
    weights = weights * _trust(values, weights, scale)
    if len(values) < 4 or (weights > 0).sum() < 3:
        return _bridge(values, weights) if len(values) < 3 else whittaker(values, weights, np.ones(len(values) - 2))
    rough = whittaker(values, weights, np.full(len(values) - 2, 2.0))
    bend = np.linalg.norm(np.diff(rough, 2, axis=0), axis=1) / scale
    bend = np.sqrt(np.convolve(np.pad(bend**2, 2, "edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid"))
    penalty = np.maximum(_CALM / (1 + (bend / _QUICK) ** 2) ** 2, 0.02)
    return whittaker(values, weights, penalty)


def _trust(values: np.ndarray, weights: np.ndarray, scale: float) -> np.ndarray:
    """[T] 0 where one or two values stand far off a path that its neighbours agree on, else 1."""
    trust = np.ones(len(values))
    known = np.flatnonzero(weights > 0)
    if len(known) < 4:
        return trust
    path = values[known]
    for width in (1, 2):
        for i in range(1, len(known) - width):
            before, after = path[i - 1], path[i + width]
            for k in range(i, i + width):
                middle = before + (after - before) * (k - i + 1) / (width + 1)
                off = np.linalg.norm(path[k] - middle)
                if off > 0.3 * scale and off > 3 * np.linalg.norm(after - before):
                    trust[known[k]] = 0.0
    return trust


def smooth_yaw(across: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[T] radians from the torso's right-to-left axis `across` [T, 2] (x, z): smoothed as a direction, then unwrapped, so that a
    turn from front to back is one continuous curve through pi / 2."""
    length = np.linalg.norm(across, axis=1, keepdims=True)
    direction = across / np.maximum(length, 1e-6)
    if len(direction) >= 4 and (weights > 0).sum() >= 3:  # quiet first, or noise at the back would wind up
        direction = whittaker(direction, weights, np.full(len(direction) - 2, 4.0))
    angle = _unwrap_known(np.arctan2(-direction[:, 1], direction[:, 0]), weights > 0)
    if len(angle) >= 4 and (weights > 0).sum() >= 3:
        angle = smooth_curve(angle[:, None], weights, scale=4.0)[:, 0]
    middle = float(np.median(angle))
    return angle - 2 * np.pi * np.round(middle / (2 * np.pi))


def _unwrap_known(angle: np.ndarray, known: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(known)
    if not len(rows):
        return np.zeros_like(angle)
    return np.interp(np.arange(len(angle)), rows, np.unwrap(angle[rows]))
