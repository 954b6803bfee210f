"""VITON's fit: shape contexts matched by assignment, thin-plate splines in between (papers.md 3.3; Belongie et al. 2002).

The default engine follows the skeleton (`fit.py`). This one needs no skeleton: two masks are enough.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from vidvton.values import Garment
from vidvton.warp.grid import extend, invert_lattice, sample
from vidvton.warp.tps import tps_warp

ANGLE_BINS, RADIUS_BINS = 12, 5
POINTS, CANDIDATES = 100, 300
DUMMY_SHARE, DUMMY_COST = 0.25, 0.25
ROUNDS, FIRST_SMOOTHING, LATER_SMOOTHING = 6, 1000.0, 1.0


def contour_points(mask: np.ndarray, *, count: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """`count` well-spread points of the outline of `mask` [H, W] bool: `(points [count, 2] (x, y), tangent angles [count])`.

    Points are thinned by dropping one of the closest pair again and again. Raises ValueError when the outline is shorter than
    `count`."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = np.concatenate([o[:, 0] for o in outlines if len(o) > 4]) if outlines else np.zeros((0, 2))
    if len(outline) < count:
        raise ValueError(f"the outline has {len(outline)} points, {count} are needed")
    pick = np.linspace(0, len(outline) - 1, min(CANDIDATES, len(outline))).round().astype(int)
    points = outline[pick].astype(np.float64) + 0.5
    while len(points) > count:
        squared = ((points[:, None] - points[None]) ** 2).sum(-1)
        np.fill_diagonal(squared, np.inf)
        points = np.delete(points, np.unravel_index(squared.argmin(), squared.shape)[0], 0)
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    at = np.clip(points.astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1])
    tangent = np.arctan2(gy[at[:, 1], at[:, 0]], gx[at[:, 1], at[:, 0]]) + np.pi / 2
    return points, tangent


def shape_contexts(points: np.ndarray, tangent: np.ndarray, mean_distance: float) -> np.ndarray:
    """Log-polar histograms of where the other points lie, [N, 60], each summing to one (radius 1/8 to 2 of the mean distance)."""
    delta = points[None] - points[:, None]
    radius = np.linalg.norm(delta, axis=-1) / max(mean_distance, 1e-9)
    angle = np.arctan2(delta[..., 1], delta[..., 0]) % (2 * np.pi)
    edges = np.logspace(np.log10(1 / 8), np.log10(2), RADIUS_BINS)
    ring = (radius[..., None] >= edges).sum(-1)
    ring_index = np.clip(ring, 0, RADIUS_BINS - 1)
    sector = (angle / (2 * np.pi) * ANGLE_BINS).astype(int) % ANGLE_BINS
    counted = (radius < 2) & ~np.eye(len(points), dtype=bool)
    cell = ring_index * ANGLE_BINS + sector
    histograms = np.stack([np.bincount(c[u], minlength=ANGLE_BINS * RADIUS_BINS) for c, u in zip(cell, counted)]).astype(
        np.float64
    )
    return histograms / np.maximum(histograms.sum(1, keepdims=True), 1)


def match_cost(a: np.ndarray, b: np.ndarray, angle_a: np.ndarray, angle_b: np.ndarray) -> np.ndarray:
    """[N, M]: 0.9 times the chi-squared distance of the histograms plus 0.1 times the tangents' dissimilarity, 0-1."""
    summed = a[:, None] + b[None]
    chi = 0.5 * ((a[:, None] - b[None]) ** 2 / np.maximum(summed, 1e-9)).sum(-1)
    chi = np.minimum(chi, 1.0)
    return 0.9 * chi + 0.1 * 0.5 * (1 - np.cos(angle_a[:, None] - angle_b[None]))


def _mean_distance(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[:, None] - points[None], axis=-1).mean())


def _assign(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the cheapest assignment, with a quarter of dummies so that a point without a counterpart may stay alone."""
    count = len(cost)
    extra = int(count * DUMMY_SHARE)
    padded = np.full((count + extra, count + extra), DUMMY_COST)
    padded[:count, :count] = cost
    rows, columns = linear_sum_assignment(padded)
    real = (rows < count) & (columns < count)
    return rows[real], columns[real]


def _agreeing(start: np.ndarray, goal: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that follow one affine map roughly: a few crossed pairs would bend the spline over itself (an addition of
    ours)."""
    design = np.concatenate([np.ones((len(rows), 1)), start[rows]], 1)
    kept = np.ones(len(rows), bool)
    for _ in range(4):
        affine = np.linalg.lstsq(design[kept], goal[columns[kept]], rcond=None)[0]
        away = np.linalg.norm(design @ affine - goal[columns], axis=-1)
        kept = away <= 2.5 * max(float(np.median(away[kept])), 1.0)
        if kept.sum() < 8:
            return rows, columns
    return rows[kept], columns[kept]


def shape_context_fit(source: np.ndarray, target: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Where the points `query` [Q, 2] of the picture with mask `source` [H, W] bool land so that its shape becomes that of
    `target`.

    Six rounds of matching and regularised spline fitting; smoothing 1000 in the first round, 1 afterwards, times the squared mean
    distance (VITON's settings). Returns [Q, 2] float64 target pixels. Raises ValueError when a mask is empty or its outline too
    short."""
    start, _ = contour_points(source)
    goal, goal_angle = contour_points(target)
    extent = _mean_distance(goal)
    goal_context = shape_contexts(goal, goal_angle, extent)
    _, start_angle = contour_points(source)
    moved, angle = start, start_angle
    smoothing = FIRST_SMOOTHING
    result = best = np.asarray(query, np.float64)
    least = np.inf
    for turn in range(ROUNDS):
        # Sizes are compared once the first, near affine round has brought them together.
        context = shape_contexts(moved, angle, extent if turn else _mean_distance(moved))
        rows, columns = _agreeing(start, goal, *_assign(match_cost(context, goal_context, angle, goal_angle)))
        strength = smoothing * extent**2
        step = 1e-2
        ahead = start + step * np.stack([np.cos(start_angle), np.sin(start_angle)], -1)
        everything = np.concatenate([start, ahead, query])
        everything = tps_warp(start[rows], goal[columns], everything, smoothing=strength)
        moved, ahead, result = np.split(everything, [len(start), 2 * len(start)])
        angle = np.arctan2(*(ahead - moved).T[::-1])
        smoothing = LATER_SMOOTHING
        # Rounds may wander off; the one whose outline came to lie nearest counts.
        apart = np.linalg.norm(moved[:, None] - goal[None], axis=-1)
        away = float(apart.min(1).mean() + apart.min(0).mean())
        if away < least:
            least, best = away, result
    return best


def warp_by_shape(garment: Garment, target: np.ndarray, *, work: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """`garment` bent so that its outline becomes that of `target` [H, W] bool: `(colour [H, W, 3] uint8, alpha [H, W] float32
    0-1)`.

    VITON's way without a skeleton: shapes are matched at `work` pixels of height, a 10 x 10 grid of control points carries the
    result to full size. Raises ValueError when a shape is too small to be matched.
    """
    height, width = target.shape
    mask = garment.mask.numpy()
    source_scale, target_scale = work / mask.shape[0], work / height
    small = _shrunk(mask, source_scale)
    grid = np.stack(np.meshgrid(*(np.linspace(0, n, 10) for n in small.shape[::-1])), -1)
    landed = shape_context_fit(small, _shrunk(target, target_scale), grid.reshape(-1, 2)).reshape(grid.shape) / target_scale
    step = max(1.0, height / work)
    raster = (-(-height // int(step)), -(-width // int(step)))
    read, weight = invert_lattice(landed, grid / source_scale, raster, step=int(step), finer=2)
    read, _ = extend(read, weight)
    at = cv2.resize(read, (raster[1] * int(step), raster[0] * int(step)), interpolation=cv2.INTER_LINEAR)[:height, :width]
    colour = sample(np.ascontiguousarray(garment.image.permute(1, 2, 0).numpy()), at)
    alpha = sample(garment.alpha.numpy() * mask, at, border=cv2.BORDER_CONSTANT)
    reach = cv2.resize((weight > 0.05).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return colour, alpha * reach


def _shrunk(mask: np.ndarray, scale: float) -> np.ndarray:
    size = max(16, round(mask.shape[1] * scale)), max(16, round(mask.shape[0] * scale))
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
