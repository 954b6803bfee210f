"""Distances between sets of clips, from features: Frechet (FID, VFID, FVD) and kernel (KID)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .series import Features


def distance(features: Sequence[Features], reference: Sequence[Features]) -> float:
    """The distance of the metric that the features are of (all of one name), between two sets of clips.

    NaN with fewer than two rows on either side. ValueError for features of several metrics.
    """
    names = {f.name for f in (*features, *reference)}
    if len(names) > 1:
        raise ValueError(f"features of several metrics cannot be compared: {', '.join(sorted(names))}")
    first, second = (
        np.concatenate([f.values for f in side if len(f.values)]) if any(len(f.values) for f in side) else np.zeros((0, 1))
        for side in (features, reference)
    )
    if min(len(first), len(second)) < 2:
        return float("nan")
    return 1000 * kernel(first, second) if names == {"kid"} else frechet(first, second)


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of rows [n, D] (Heusel et al. 2017, eq. 6; covariances over n - 1).

    The trace of the root is the sum of the singular values of A1 A2', where C = A'A: exact, never complex, and quick for few rows
    of many numbers, where the usual square root of a singular matrix is neither. Not negative.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    gap = a.mean(0) - b.mean(0)
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    # More rows than columns: the triangular factor has the same A'A.
    a, b = (np.linalg.qr(x, mode="r") if len(x) > x.shape[1] else x for x in (a, b))
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, float(gap @ gap + (a * a).sum() + (b * b).sum() - 2 * root))


def kernel(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared MMD of two sets of rows [n, D] with k(x, y) = (x.y / D + 1)^3 (Binkowski et al. 2018, section 4).

    Over all rows at once instead of random subsets of 1000: the same expectation, no dice. Can be a little below zero.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)

    def k(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    inner = 0.0
    for x in (a, b):
        own = k(x, x)
        inner += (own.sum() - np.trace(own)) / (len(x) * (len(x) - 1))
    return float(inner - 2 * k(a, b).mean())
