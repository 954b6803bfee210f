"""Narrow gaps that a silhouette swallowed: ground in shadow under an arm or between legs."""

from __future__ import annotations

import cv2
import numpy as np

from .background import Background

_WEDGE = 0.018  # of the picture's longer side: half as wide is a gap under an arm at most, that counts as one


def wedges(mask: np.ndarray, background: Background) -> np.ndarray:
    """[H, W] bool: ground in shadow that `mask` swallowed where an arm lies close to the body or a leg to the other: narrow,
    upright, of the ground's hue between cloth that is not, and open to the outside. At most a few; more are stripes."""
    k = max(2, round(_WEDGE * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    peak = cv2.dilate(np.where(mask, background.shadowless, 0).astype(np.float32), disc)
    like_ground = (background.shadowless < 0.35 * peak) & (peak > 15)
    cloth = np.pad((mask & ~like_ground).astype(np.uint8), k)
    between = cv2.morphologyEx(cloth, cv2.MORPH_CLOSE, disc)[k:-k, k:-k] > 0
    count, label, stats, centre = cv2.connectedComponentsWithStats(
        (between & mask & like_ground).astype(np.uint8), connectivity=4
    )
    outside = np.unique(label[cv2.dilate((~mask).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x = np.abs(centre[:, 0] - (columns[0] + columns[-1]) / 2) / max(1, np.ptp(columns))
    y = (centre[:, 1] - rows[0]) / max(1, np.ptp(rows))
    upright = stats[:, cv2.CC_STAT_HEIGHT] >= stats[:, cv2.CC_STAT_WIDTH]
    small = (stats[:, cv2.CC_STAT_AREA] < 0.02 * mask.sum()) & (stats[:, cv2.CC_STAT_AREA] > 1e-4 * mask.size)
    apart = ((x > 0.15) & (y > 0.12)) | (y > 0.4)  # not at the neck
    found = [i for i in outside if i and upright[i] and small[i] and apart[i]]
    found = [i for i in found if _narrows(label == i) and _in_shadow(label == i, background)]
    return np.isin(label, found) if 0 < len(found) <= 4 else np.zeros(mask.shape, bool)


def _in_shadow(piece: np.ndarray, background: Background) -> bool:
    """Whether a piece is the ground, darker: not a paler or yellower inset of the garment."""
    return bool(background.shadowless[piece].mean() < 0.5 * background.distance[piece].mean() + 1)


def _narrows(piece: np.ndarray) -> bool:
    """Whether an upright piece is a wedge and not a band of one width."""
    width = piece.sum(1)
    return bool(width[width > 0].mean() < 0.85 * width.max())
