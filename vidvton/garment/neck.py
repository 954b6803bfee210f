"""The inside of the neck: what a picture of an empty top shows of its back through the neck hole (VITON's known artefact).

The front collar's edge is sought as an arc from one collar end to the other, bowing down: y = top + depth * (1 - |u|^p), with p = 1
a V and p = 3 a crew neck. The arc whose whole length lies on an edge wins, if that edge is clear.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .background import lab_of


@dataclass(frozen=True)
class NeckHole:
    """`mask` [H, W] bool of what is seen through the neck hole (garment pixels to take away); `arc` [n, 2] the front collar's edge,
    (x, y) pixel indices from picture left to right; `strength`, its median colour step over its lower quarter's, Lab units."""

    mask: np.ndarray
    arc: np.ndarray
    strength: float


def find_neck_hole(rgb: np.ndarray, alpha: np.ndarray, *, axis: float, shoulders: float) -> NeckHole | None:
    """The neck hole of an upright top, or None where no clear collar arc is found. `axis` is the centre line's x, `shoulders` the
    distance between the shoulders in pixels."""
    mask = alpha > 0.5
    h, w = mask.shape
    solid = mask.any(0)
    top = np.where(solid, mask.argmax(0), h).astype(np.float32)
    lab = cv2.GaussianBlur(lab_of(rgb), (0, 0), max(0.8, shoulders / 300))
    u = np.linspace(-1, 1, 49)
    inner = np.abs(u) < 0.93
    best: tuple[float, np.ndarray, float] | None = None
    k = max(1.5, shoulders / 130)
    for centre in axis + np.array([-0.04, -0.02, 0, 0.02, 0.04]) * shoulders:
        for half in np.linspace(0.12, 0.36, 13) * shoulders:
            x = centre + u * half
            if x[0] < 1 or x[-1] > w - 2:
                continue
            ends = np.interp([x[0], x[-1]], np.arange(w), top)
            if max(ends) > h - 2 or abs(ends[0] - ends[1]) > 0.12 * shoulders:
                continue
            base = np.linspace(ends[0], ends[1], len(u))
            for depth in np.linspace(0.05, 0.4, 20) * shoulders:
                if depth > 2.6 * half:
                    continue
                for p in (1.0, 1.35, 2.0, 2.8):
                    y = base + depth * (1 - np.abs(u) ** p)
                    found = _rate(lab, top, x, y, inner, k, p, half)
                    if found is not None and (best is None or found[0] > best[0]):
                        best = (found[0], np.stack([x, y], 1), found[1])
    if best is None or best[0] < 0:
        return None
    arc = best[1]
    hole = np.zeros((h, w), np.uint8)
    lid = np.array([[arc[-1, 0], -2], [arc[0, 0], -2]])
    cv2.fillPoly(hole, [np.round(np.vstack([arc, lid]) * 16).astype(np.int32)], 1, shift=4)
    hole = hole.astype(bool) & (alpha > 0)
    if hole.sum() < 0.0015 * mask.sum():
        return None
    return NeckHole(hole, arc, best[2])


def _rate(lab, top, x, y, inner, k, p, half) -> tuple[float, float] | None:
    """(score, edge strength) of one arc; None where it runs outside the garment."""
    h, w = lab.shape[:2]
    if y.max() + 3 * k >= h:
        return None
    slope = np.gradient(y, x)
    size = np.sqrt(1 + slope**2)
    nx, ny = -slope / size, 1 / size  # towards the front of the garment: down, and outward on the flanks
    lid = np.interp(x, np.arange(w), top)
    inside = (y - lid) > 2.5 * k
    use = inner & inside
    if use.sum() < 0.45 * inner.sum():
        return None

    def at(offset: float) -> np.ndarray:
        px, py = (x + nx * offset)[use].astype(np.float32), (y + ny * offset)[use].astype(np.float32)
        return cv2.remap(lab, px[:, None], py[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]

    step = at(k) - at(-k)
    size = np.linalg.norm(step, axis=1)
    calm = np.minimum(np.linalg.norm(at(3 * k) - at(k), axis=1), 20)
    steady = np.linalg.norm(np.median(step, axis=0)) / (np.median(size) + 1e-3)
    weak = float(np.quantile(size, 0.25))
    strength = float(np.median(np.minimum(size, 25)))
    darker = float(np.clip(np.median(step[:, 0]) / 6, -0.5, 1))
    score = 0.6 * min(weak, 14) + 0.4 * min(strength, 20) * steady - 0.25 * float(np.median(calm)) + 1.2 * darker + 1.5 * use.sum() / inner.sum()
    return score - 5.0, strength
