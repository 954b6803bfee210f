"""One soft mask of all people from several opinions, settled by colour where they differ and drawn along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import convolve1d

_BINS, _SHIFT = 16, 4  # per channel of Lab
_SURE = 6  # pixels by which sure ground is narrowed
_WORD = (-1.3, 4.0)  # a garment may be of the wall's colour, but the wall is seldom of the garment's
_STRENGTH = 0.9  # of the colours' word against the opinions'


def arbitrate(picture: np.ndarray, opinions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[h, w] uint8 coverage of people.

    `picture` [h, w, 3] uint8 RGB, `opinions` [n, h, w] uint8 soft masks of it, `weights` [n] how far each counts. Where all
    opinions agree they hold. Where they differ, the colours of what is surely person and surely not decide along with their mean
    (a cape's grey against a white wall is plain; clutter beside an elbow has the room's colours, not the person's).
    """
    mean = np.zeros(opinions.shape[1:], np.float32)
    for opinion, weight in zip(opinions, weights / weights.sum()):
        mean += np.float32(weight / 255) * opinion
    low, high = opinions.min(0), opinions.max(0)
    kernel = np.ones((2 * _SURE + 1,) * 2, np.uint8)
    inside = cv2.erode((low > 200).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outside = cv2.dilate((high > 50).astype(np.uint8), kernel) == 0
    if inside.sum() > 50 and outside.sum() > 50:
        split = cv2.blur((high - low).astype(np.float32) / 255, (5, 5))  # 0 where they agree, up to 1
        open_ = np.flatnonzero(split > 0.08)
        before = mean.ravel()[open_]
        odds = np.log(np.clip(before, 0.08, 0.98) / np.clip(1 - before, 0.02, 0.92))
        odds += _STRENGTH * _colour_word(picture, inside, outside).ravel()[open_]
        mean.ravel()[open_] += np.minimum(3 * split.ravel()[open_], 1) * (1 / (1 + np.exp(-odds)) - before)
    return cv2.convertScaleAbs(np.maximum(_along_edges(picture, mean), 0), alpha=255)


def _colour_word(picture: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """[h, w] float32 within _WORD: log of how much likelier a pixel's colour is on a person than off."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    code = (lab >> _SHIFT).astype(np.int32)
    code = (code[..., 0] * _BINS + code[..., 1]) * _BINS + code[..., 2]
    tables = []
    for ground in (inside, outside):
        table = np.bincount(code[ground], minlength=_BINS**3).astype(np.float32).reshape(_BINS, _BINS, _BINS)
        for axis in range(3):  # neighbouring colours count too
            table = convolve1d(table, (0.25, 0.5, 0.25), axis=axis, mode="constant")
        tables.append(table / table.sum())
    ratio = np.log((tables[0] + 2e-5) / (tables[1] + 2e-5)).ravel()
    return np.clip(cv2.blur(ratio[code], (5, 5)), *_WORD)


def _along_edges(picture: np.ndarray, mask: np.ndarray, radius: int = 3, eps: float = 4e-4) -> np.ndarray:
    """`mask` [h, w] float 0-1 drawn along the edges of `picture` (guided filter on grey, He et al. 2010)."""
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    size = (2 * radius + 1,) * 2
    mean_g, mean_m = cv2.blur(guide, size), cv2.blur(mask, size)
    slope = (cv2.blur(guide * mask, size) - mean_g * mean_m) / (cv2.blur(guide * guide, size) - mean_g**2 + eps)
    offset = mean_m - slope * mean_g
    return cv2.blur(slope, size) * guide + cv2.blur(offset, size)
