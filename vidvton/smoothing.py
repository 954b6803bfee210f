"""Smoothing in time with past and future, so without lag: penalised least squares on banded systems, and a running median."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded


def whittaker(values: np.ndarray, weights: np.ndarray, strength: float, *, order: int = 2) -> np.ndarray:
    """The curve that minimises `sum w (x - values)^2 + strength * sum (difference of `order` of x)^2` along axis 0.

    `values` [T] or [T, N], `weights` the same shape or [T], not negative; frames of zero weight are bridged. Returns float64 of
    the shape of `values`. (Whittaker 1923; Eilers 2003.) A column without any weight comes back as zeros.
    """
    values = np.asarray(values, np.float64)
    columns = values.reshape(len(values), -1)
    weights = np.asarray(weights, np.float64)
    weights = np.broadcast_to(weights.reshape(len(values), -1), columns.shape)
    penalty = _penalty(len(values), order) * strength
    out = np.empty_like(columns)
    for k in range(columns.shape[1]):
        if not weights[:, k].any():
            out[:, k] = 0.0
            continue
        bands = penalty.copy()
        bands[-1] += weights[:, k] + 1e-9 * weights[:, k].max()
        out[:, k] = solveh_banded(bands, weights[:, k] * columns[:, k])
    return out.reshape(values.shape)


def _penalty(count: int, order: int) -> np.ndarray:
    """Upper banded form of D'D for the difference matrix of `order` (lower for very short series, nothing for a single frame)."""
    order = min(order, count - 1)
    if order < 1:
        return np.zeros((1, count))
    coefficients = np.array([1.0])
    for _ in range(order):
        coefficients = np.convolve(coefficients, [1.0, -1.0])
    bands = np.zeros((order + 1, count))
    for start in range(count - order):
        for i in range(order + 1):
            for j in range(i, order + 1):
                bands[order - (j - i), start + j] += coefficients[i] * coefficients[j]
    return bands


def follow(anchors: np.ndarray, weights: np.ndarray, steps: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """The curve that stays near `anchors` [T, N] (weights [T, N]) while moving by `steps` [T, N] from one frame to the next.

    Minimises `sum w (x_t - anchor_t)^2 + sum trust_t (x_t - x_{t-1} - step_t)^2`; `steps[0]` and `trust[0]` are not used. This
    locks a shaky absolute measurement to a precise relative one (optical flow). Returns [T, N] float64.
    """
    anchors, steps = np.asarray(anchors, np.float64), np.asarray(steps, np.float64)
    weights, trust = np.broadcast_to(weights, anchors.shape), np.broadcast_to(trust, anchors.shape)
    count = len(anchors)
    out = np.empty_like(anchors)
    for k in range(anchors.shape[1]):
        bands = np.zeros((2, count))
        bands[1] = weights[:, k] + 1e-9
        right = weights[:, k] * anchors[:, k] + 1e-9 * anchors[:, k]
        link = trust[1:, k]
        bands[1, 1:] += link
        bands[1, :-1] += link
        bands[0, 1:] = -link
        right[1:] += link * steps[1:, k]
        right[:-1] -= link * steps[1:, k]
        out[:, k] = solveh_banded(bands, right)
    return out


def running_median(values: np.ndarray, reach: int) -> np.ndarray:
    """[T, ...] the median of each of `values` [T, ...] and its `reach` neighbours to either side in time; the ends go on."""
    around = np.pad(values, ((reach, reach),) + ((0, 0),) * (values.ndim - 1), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1, axis=0), axis=-1)
