"""One soft mask of all people from several opinions, settled by colour where they differ and drawn along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np

_BINS = 8  # per channel of Lab
_SURE = 6  # pixels by which sure ground is narrowed
_STRENGTH = 0.9  # of the colours' word against the opinions'


def arbitrate(picture: np.ndarray, opinions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[h, w] uint8 coverage of people.

    `picture` [h, w, 3] uint8 RGB, `opinions` [n, h, w] uint8 soft masks of it, `weights` [n] how far each counts. Where all opinions
    agree they hold. Where they differ, the colours of what is surely person and surely not decide along with their mean (a cape's
    grey against a white wall is plain; clutter beside an elbow has the room's colours, not the person's).
    """
    weights = (weights / weights.sum()).astype(np.float32)
    mean = np.tensordot(weights, opinions.astype(np.float32), 1) / 255
    low, high = opinions.min(0), opinions.max(0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _SURE + 1,) * 2)
    inside = cv2.erode((low > 200).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outside = cv2.dilate((high > 50).astype(np.uint8), kernel) == 0
    if inside.sum() > 50 and outside.sum() > 50:
        split = cv2.blur((high > 127).astype(np.float32) - (low > 127), (5, 5))  # 0 where they agree, up to 1
        word = _colour_word(picture, inside, outside)
        odds = np.log(np.clip(mean, 0.02, 0.98) / np.clip(1 - mean, 0.02, 0.98)) + _STRENGTH * word
        settled = 1 / (1 + np.exp(-odds))
        mean = mean + np.clip(1.5 * split, 0, 1) * (settled - mean)
    return (np.clip(_along_edges(picture, mean), 0, 1) * 255 + 0.5).astype(np.uint8)


def _colour_word(picture: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """[h, w] float32 within +-4: log of how much likelier a pixel's colour is on a person than off."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    tables = []
    for ground in (inside, outside):
        table = cv2.calcHist([lab], [0, 1, 2], ground.astype(np.uint8), [2 * _BINS, 2 * _BINS, 2 * _BINS], [0, 256] * 3)
        for axis in range(3):  # neighbouring colours count too
            padded = np.pad(table, [(1, 1) if a == axis else (0, 0) for a in range(3)])
            cut = [padded.take(range(k, k + 2 * _BINS), axis) for k in range(3)]
            table = 0.25 * cut[0] + 0.5 * cut[1] + 0.25 * cut[2]
        tables.append(table / table.sum())
    ratio = np.log((tables[0] + 2e-5) / (tables[1] + 2e-5))
    code = lab // (128 // _BINS)
    word = ratio[code[..., 0], code[..., 1], code[..., 2]].astype(np.float32)
    return np.clip(cv2.blur(word, (5, 5)), -4, 4)


def _along_edges(picture: np.ndarray, mask: np.ndarray, radius: int = 3, eps: float = 4e-4) -> np.ndarray:
    """`mask` [h, w] float 0-1 drawn along the edges of `picture` (guided filter on grey, He et al. 2010)."""
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mask = mask.astype(np.float32)
    size = (2 * radius + 1,) * 2
    mean_g, mean_m = cv2.blur(guide, size), cv2.blur(mask, size)
    slope = (cv2.blur(guide * mask, size) - mean_g * mean_m) / (cv2.blur(guide * guide, size) - mean_g**2 + eps)
    offset = mean_m - slope * mean_g
    return cv2.blur(slope, size) * guide + cv2.blur(offset, size)
