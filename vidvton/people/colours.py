"""Colours as bins of CIE Lab, and smoothed histograms of them as densities relative to the uniform one."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

SIDE = 32
"""Bins a side: L in steps of 8, a and b in steps of 4 from -64 to 63 (beyond is clamped); cv2's 8-bit Lab."""

_FLOOR = 0.02


def bins_of(rgb: np.ndarray) -> np.ndarray:
    """[..., H, W] int32 bin numbers of uint8 RGB [..., H, W, 3]."""
    flat = np.ascontiguousarray(rgb).reshape(-1, rgb.shape[-2], 3)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(rgb.shape)
    light = (lab[..., 0] >> 3).astype(np.int32)
    chroma = (np.clip(lab[..., 1:], 64, 191) - 64) >> 2
    return (light << 10) + (chroma[..., 0].astype(np.int32) << 5) + chroma[..., 1]


def density(bins: np.ndarray, weights: np.ndarray, *, prior: np.ndarray | None = None, prior_mass: float = 0.0) -> np.ndarray:
    """[SIDE^3] float32 density over the uniform one, of `bins` weighed by `weights`, smoothed by about one bin; `prior` (a
    density too) counts as `prior_mass` of weight. Uniform when there is nothing to count."""
    counts = np.bincount(bins.ravel(), weights.ravel().astype(np.float64), minlength=SIDE**3)
    counts = gaussian_filter(counts.reshape(SIDE, SIDE, SIDE), (1.3, 0.9, 0.9), mode="nearest").ravel()
    mass = counts.sum()
    out = counts / mass * SIDE**3 if mass > 1e-6 else np.ones(SIDE**3)
    if prior is not None:
        share = prior_mass / (prior_mass + mass + 1e-9)
        out = (1 - share) * out + share * prior
    return out.astype(np.float32)


def log_likelihood(table: np.ndarray) -> np.ndarray:
    """Natural log of a density, with a floor: no colour is impossible."""
    return np.log(table + np.float32(_FLOOR)).astype(np.float32)


def overlap(p: np.ndarray, q: np.ndarray) -> float:
    """Bhattacharyya coefficient of two densities, 0-1."""
    return float(np.sqrt(p * q).sum() / np.sqrt(p.sum() * q.sum() + 1e-12))


@cache
def _centres() -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(SIDE**3)
    lab = np.stack([(index >> 10) * 8 + 4, ((index >> 5) & 31) * 4 + 66, (index & 31) * 4 + 66], axis=-1).astype(np.uint8)
    rgb = cv2.cvtColor(lab[None], cv2.COLOR_LAB2RGB)
    return lab.astype(np.float32), cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[0].astype(np.float32)


@cache
def skin_in_general() -> np.ndarray:
    """Density of human skin of all tones: a broad bell in Cr and Cb (Hsu et al. 2002 put it near 152 and 107), not too dark or
    white."""
    lab, ycc = _centres()
    bell = np.exp(-0.5 * (((ycc[:, 1] - 153) / 10) ** 2 + ((ycc[:, 2] - 106) / 10) ** 2))
    light = 1 / (1 + np.exp(-(lab[:, 0] - 50) / 8)) * 1 / (1 + np.exp((lab[:, 0] - 242) / 4))
    table = bell * light
    return (table / table.mean()).astype(np.float32)


@cache
def hair_in_general() -> np.ndarray:
    """Density of hair: mostly dark and little saturated, brown and blond less often."""
    lab, _ = _centres()
    a, b = lab[:, 1] - 128, lab[:, 2] - 128
    chroma = np.exp(-0.5 * (((a - 3) / 9) ** 2 + ((b - 5) / 12) ** 2))
    table = chroma * (1 / (1 + np.exp((lab[:, 0] - 75) / 12)) + 0.08 / (1 + np.exp((lab[:, 0] - 150) / 15)))
    return (table / table.mean()).astype(np.float32)
