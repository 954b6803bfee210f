"""Thin-plate splines (Bookstein 1989): the smoothest plane map through given points, as plain matrices.

A spline with control points `c` [L, 2] is linear in what the control points are mapped to, so for fixed controls and queries it
is one matrix: `tps_basis(c, q) @ targets`. A moving body only changes the targets: a frame costs one small matrix product.
"""

from __future__ import annotations

import numpy as np


def _radial(squared: np.ndarray) -> np.ndarray:
    """U(r) = r^2 log r^2, zero at zero."""
    return squared * np.log(np.maximum(squared, 1e-12))


def _design(control: np.ndarray, smoothing: float) -> np.ndarray:
    count = len(control)
    squared = ((control[:, None] - control[None]) ** 2).sum(-1)
    affine = np.concatenate([np.ones((count, 1)), control], 1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _radial(squared) + smoothing * np.eye(count)
    system[:count, count:] = affine
    system[count:, :count] = affine.T
    return system


def tps_basis(control: np.ndarray, query: np.ndarray, *, smoothing: float = 0.0) -> np.ndarray:
    """[Q, L] float64: the weights that give, for each of `query` [Q, 2], the spline's value from the values at `control` [L, 2].

    Rows sum to one and reproduce affine maps exactly. `smoothing` (in squared units of the controls) relaxes the fit: 0
    interpolates, large values tend to the least-squares affine map. Raises ValueError when the controls are fewer than three or
    on one line."""
    control = np.asarray(control, np.float64)
    query = np.asarray(query, np.float64)
    count = len(control)
    spread = np.linalg.svd(control - control.mean(0), compute_uv=False)
    if count < 3 or spread[1] < 1e-9 * max(spread[0], 1e-12):
        raise ValueError(f"a thin-plate spline needs three control points off one line, got {count}")
    # Unit scale keeps the radial and affine blocks of comparable size.
    scale = spread[0] / np.sqrt(count)
    centre = control.mean(0)
    c, q = (control - centre) / scale, (query - centre) / scale
    squared = ((q[:, None] - c[None]) ** 2).sum(-1)
    rows = np.concatenate([_radial(squared), np.ones((len(q), 1)), q], 1)
    inverse = np.linalg.solve(_design(c, smoothing / scale**2), np.eye(count + 3)[:, :count])
    return rows @ inverse


def tps_warp(control: np.ndarray, target: np.ndarray, query: np.ndarray, *, smoothing: float = 0.0) -> np.ndarray:
    """`query` [Q, 2] under the spline that takes `control` [L, 2] to `target` [L, 2]: [Q, 2] float64."""
    return tps_basis(control, query, smoothing=smoothing) @ np.asarray(target, np.float64)


def bending_energy(control: np.ndarray, target: np.ndarray) -> float:
    """How far the interpolating spline is from affine: trace of (targets' weights, kernel, weights), in target units squared."""
    control, target = np.asarray(control, np.float64), np.asarray(target, np.float64)
    count = len(control)
    solution = np.linalg.solve(_design(control, 0.0), np.concatenate([target, np.zeros((3, 2))]))
    kernel = _radial(((control[:, None] - control[None]) ** 2).sum(-1))
    weights = solution[:count]
    return float(np.trace(weights.T @ kernel @ weights))
