"""Borders between clothes and the rest of the person, set right pixel by pixel from the colours on either side.

Labels are found on coarse cells and smoothed, so that they stray from what is seen by a pixel or three: a rim of old cloth stays
around a hand before it. Beside a border each side's colours are known from just behind it, and a pixel there belongs to the side
whose colour it has (the localised classifiers of Bai et al., "Video SnapCut", 2009, with one colour each and no shape prior).
"""

from __future__ import annotations

import cv2
import numpy as np

from ..values import CIHP_LABELS

NEITHER, PERSON, CLOTHES = range(3)
_CLOTHES = ("upper", "coat", "dress", "pants", "skirt")
_SIDE_OF = np.full(256, NEITHER, np.uint8)
_SIDE_OF[1 : len(CIHP_LABELS)] = [CLOTHES if name in _CLOTHES else PERSON for name in CIHP_LABELS[1:]]

_WINDOW = 21  # pixels over which a side's colours are gathered
_LEAST = 0.03  # share of the window that must be of a side for its colours to be known
_GRAIN = 8.0  # levels by which a plain colour varies anyway
_APART = 4.0  # squared distance of the sides' colours in their variance from which a pixel can be told
_LOYAL = 2.0  # by how much the other side must be likelier, in log-likelihood


def settle_borders(labels: np.ndarray, picture: np.ndarray, *, reach: int = 3, rounds: int = 2) -> np.ndarray:
    """`labels` [h, w] uint8 (CIHP) of `picture` [h, w, 3] uint8, in which pixels up to `reach` from a border between person and
    clothes have gone over to the side whose colour they have, `rounds` times. Background, and labels within a side, stay; a
    pixel that goes over takes the label of the nearest pixel there."""
    side = cv2.LUT(labels, _SIDE_OF)
    band = _band(side, reach)
    left, top, width, height = cv2.boundingRect(band)
    if not width:
        return labels
    margin = _WINDOW // 2 + 1
    part = slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)
    side, now = side[part], side[part].copy()
    out = labels.copy()
    for _ in range(rounds):
        at = np.flatnonzero(_band(now, reach))
        moved = at[_strangers(now, at, picture[part], reach)]
        if not len(moved):
            break
        now.ravel()[moved] = PERSON + CLOTHES - now.ravel()[moved]
    for k in (PERSON, CLOTHES):
        moved = (now == k) & (side != k)
        if moved.any():
            out[part][moved] = _nearest(labels[part], side == k)[moved]
    return out


def _band(side: np.ndarray, reach: int) -> np.ndarray:
    """[h, w] uint8: 1 on person and clothes within `reach` of each other."""
    wide = np.ones((2 * reach + 1,) * 2, np.uint8)
    person, clothes = (cv2.dilate((side == k).view(np.uint8), wide) for k in (PERSON, CLOTHES))
    return cv2.min(cv2.min(person, clothes), cv2.min(side, 1))


def _strangers(side: np.ndarray, at: np.ndarray, picture: np.ndarray, reach: int) -> np.ndarray:
    """[N] bool: which of the pixels `at` [N] (of the raveled picture) have the other side's colour, taken together with their
    neighbours."""
    few = tuple(-(-n // 2) for n in side.shape)  # colours change slowly: every other pixel will do to know them
    there = (at // side.shape[1] // 2) * few[1] + at % side.shape[1] // 2
    small = cv2.resize(picture, few[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    wide = np.ones((2 * reach + 1,) * 2, np.uint8)
    means, spread, known = [], np.float32(_GRAIN**2), True
    for k in (PERSON, CLOTHES):
        core = cv2.erode((side == k).view(np.uint8), wide)
        core = cv2.resize(core, few[::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32)
        mean, variance, share = _colours_around(there, small, core)
        means.append(mean)
        spread, known = spread + variance / 2, known & (share > _LEAST)
    known &= ((means[0] - means[1]) ** 2).sum(-1) > _APART * spread
    pixels = picture.reshape(-1, 3)[at].astype(np.float32)
    nearer = [((pixels - mean) ** 2).sum(-1) for mean in means]
    clothes = np.where(known, (nearer[0] - nearer[1]) / (2 * spread), 0)  # log-likelihood of clothes over person
    plane, there = np.zeros(side.shape, np.float32), np.zeros(side.shape, np.float32)
    plane.ravel()[at], there.ravel()[at] = np.clip(clothes, -20, 20), known
    together = cv2.blur(plane, (3, 3)).ravel()[at] / np.maximum(cv2.blur(there, (3, 3)).ravel()[at], 1e-3)
    other = np.where(side.ravel()[at] == PERSON, together, -together)
    return known & (other > _LOYAL)


def _colours_around(at: np.ndarray, picture: np.ndarray, core: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean [N, 3], variance [N], share of the window [N]) of the colours that `picture` [h, w, 3] float32 has in the `core` [h,
    w] 0-1 around its pixels `at` [N]."""
    window = (_WINDOW // 2, _WINDOW // 2)
    share = cv2.blur(core, window).ravel()[at]
    inside, some = picture * core[..., None], np.maximum(share, 1e-6)
    mean = cv2.blur(inside, window).reshape(-1, 3)[at] / some[:, None]
    square = cv2.blur((inside * inside).sum(-1), window).ravel()[at] / some
    return mean, np.maximum(square - (mean * mean).sum(-1), 0) / 3, share


def _nearest(labels: np.ndarray, there: np.ndarray) -> np.ndarray:
    """[h, w] the label of the nearest pixel that is `there` [h, w] bool."""
    _, index = cv2.distanceTransformWithLabels((~there).view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(index.max()) + 1, np.uint8)
    table[index[there]] = labels[there]
    return table[index]
