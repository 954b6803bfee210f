"""What the picture around a garment looks like: a smooth shade for plain studios, a colour mixture for rugs, tiles and wood.

Everything is read from the picture's rim, on the premise that a garment picture shows background along most of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Background:
    """`distance` [H, W] float32, how far a pixel is from the smooth shade (Lab units); `shadowless` [H, W] float32, the same with
    darkening counted a third, so that cast shadows stay background; `noise`, the rim's spread about that shade (Lab units, 0.3
    for a studio render, 10 for a rug); `unlikely` [H, W] float32, negative log likelihood under the rim's colours; `rim` [H, W]
    bool, the rim pixels taken for background."""

    distance: np.ndarray
    shadowless: np.ndarray
    noise: float
    unlikely: np.ndarray
    rim: np.ndarray

    @property
    def many_coloured(self) -> bool:
        """Whether one shade does not explain the rim: stripes, tiles, boards."""
        return float(np.quantile(self.distance[self.rim], 0.9)) > 3.0

    @property
    def studio(self) -> bool:
        """Whether the ground is one clean shade, so that whatever differs from it with a sharp edge is subject."""
        return self.noise < 1.0 and not self.many_coloured


def lab_of(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab float32 [H, W, 3] (L 0-100) of uint8 RGB."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _terms(h: int, w: int) -> np.ndarray:
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = x / w * 2 - 1, y / h * 2 - 1
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1)


def _fit_shade(lab: np.ndarray, where: np.ndarray, *, rounds: int = 6) -> tuple[np.ndarray, float]:
    """The quadratic shade [H, W, 3] that most pixels of `where` share, and the median distance of those pixels from it."""
    h, w = where.shape
    terms = _terms(h, w)
    a, b = terms[where], lab[where]
    if len(a) > 6000:
        pick = np.random.default_rng(0).choice(len(a), 6000, replace=False)
        a, b = a[pick], b[pick]
    weight = np.exp(-0.5 * (np.linalg.norm(b - np.median(b, 0), axis=1) / 12) ** 2) + 1e-3
    for _ in range(rounds):
        root = np.sqrt(weight)[:, None]
        # ridge on the curved terms: a rim alone says little about the middle
        penalty = np.diag([0, 0.05, 0.05, 0.3, 0.3, 0.3]).astype(np.float32) * np.sqrt(weight.sum() * 0.02)
        coef = np.linalg.lstsq(np.vstack([a * root, penalty]), np.vstack([b * root, np.zeros((6, 3), np.float32)]), rcond=None)[0]
        off = np.linalg.norm(b - a @ coef, axis=1)
        scale = max(1.0, 1.5 * float(np.median(off)))
        weight = 1 / (1 + (off / (2 * scale)) ** 2) ** 2
    near = off[off <= np.quantile(off, 0.75)]
    return terms @ coef.astype(np.float32), float(np.sqrt((near**2).mean()))


def _rim(h: int, w: int) -> np.ndarray:
    rim = np.zeros((h, w), bool)
    t = max(2, round(0.03 * min(h, w)))
    rim[:t] = rim[-t:] = True
    rim[:, :t] = rim[:, -t:] = True
    return rim


def _rim_clusters(lab: np.ndarray, rim: np.ndarray, *, count: int = 6) -> np.ndarray:
    """The rim without what seems to be the subject touching it: colours that stay in one stretch of the bottom or one side
    and are found inside the picture more than along the rim."""
    h, w = rim.shape
    ys, xs = np.nonzero(rim)
    samples = np.ascontiguousarray(lab[rim], np.float32)
    cv2.setRNGSeed(7)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, label, centre = cv2.kmeans(samples, min(count, len(samples)), None, stop, 2, cv2.KMEANS_PP_CENTERS)
    label = label.ravel()
    angle = np.arctan2((ys - h / 2) / h, (xs - w / 2) / w)
    sector = ((angle + np.pi) / (2 * np.pi) * 24).astype(int).clip(0, 23)
    top = ys < h * 0.5
    keep = np.zeros(len(samples), bool)
    share = np.bincount(label, minlength=len(centre)) / len(samples)
    main = centre[share.argmax()]
    for k in range(len(centre)):
        mine = label == k
        spread = len(np.unique(sector[mine])) / 24
        # same chroma as the main colour but another lightness: shade, not subject
        kin = np.linalg.norm((centre[k] - main) * (0.4, 1, 1)) < 9 and abs(centre[k][0] - main[0]) < 25
        if spread >= 0.4 or kin or (top[mine].mean() > 0.35 and share[k] > 0.04 and spread >= 0.25):
            keep |= mine
    out = np.zeros_like(rim)
    out[ys[keep], xs[keep]] = True
    return out if keep.mean() > 0.25 else rim


def _unlikely(lab: np.ndarray, where: np.ndarray, *, count: int = 5) -> np.ndarray:
    """Negative log likelihood under Gaussians about `count` colours of the rim; clusters by k-means, full covariances."""
    samples = np.ascontiguousarray(lab[where], np.float32)
    if len(samples) > 8000:
        samples = samples[np.random.default_rng(1).choice(len(samples), 8000, replace=False)]
    cv2.setRNGSeed(7)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, label, centre = cv2.kmeans(samples, min(count, len(samples)), None, stop, 2, cv2.KMEANS_PP_CENTERS)
    flat = lab.reshape(-1, 3)
    best = np.full(len(flat), np.inf, np.float32)
    for k in range(len(centre)):
        mine = samples[label.ravel() == k]
        if len(mine) < 10:
            continue
        cov = np.cov(mine.T) + np.diag([4.0, 1.0, 1.0])
        off = flat - mine.mean(0)
        cost = 0.5 * np.einsum("ij,ij->i", off @ np.linalg.inv(cov), off) + 0.5 * np.log(np.linalg.det(cov))
        best = np.minimum(best, cost - np.log(len(mine) / len(samples)))
    return best.reshape(lab.shape[:2]).astype(np.float32)


def model_background(rgb: np.ndarray) -> Background:
    """The background of uint8 RGB [H, W, 3], read from its rim."""
    lab = lab_of(rgb)
    h, w = lab.shape[:2]
    rim = _rim_clusters(lab, _rim(h, w))
    soft = cv2.GaussianBlur(lab, (0, 0), 0.8)
    shade, noise = _fit_shade(soft, rim)
    distance = np.linalg.norm(soft - shade, axis=2)
    # fit again on all that hangs together with the rim: vignettes and falls of light are seen better from inside
    reach = max(6.0, 3.5 * noise)
    near = (distance < reach).astype(np.uint8)
    count, label = cv2.connectedComponents(near, connectivity=4)
    linked = np.zeros(count, bool)
    linked[np.unique(label[rim & (near > 0)])] = True
    linked[0] = False
    wide = linked[label]
    if wide.mean() > 0.05:
        shade, noise = _fit_shade(soft, wide)
        distance = np.linalg.norm(soft - shade, axis=2)
    smooth = cv2.bilateralFilter(lab, 7, 12, 4)
    off = soft - shade
    off[..., 0] = np.where(off[..., 0] < 0, off[..., 0] * 0.33, off[..., 0])
    shadowless = np.linalg.norm(off, axis=2)
    return Background(distance.astype(np.float32), shadowless.astype(np.float32), noise, _unlikely(smooth, rim), rim)
