"""A cut-out's edge: soft coverage from a coarse mask, and colours that hold no background."""

from __future__ import annotations

import cv2
import numpy as np


def soften(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Soft coverage [H, W] float32 at the picture's size from a small bool mask: in a band along the edge every pixel is
    explained as a mix of the nearest sure garment and the nearest sure background colour."""
    h, w = rgb.shape[:2]
    scale = max(h, w) / max(mask.shape)
    rough = cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    rough = cv2.GaussianBlur(rough, (0, 0), max(0.6, 0.5 * scale))
    hard = rough > 0.5
    band = max(2.5, 2.2 * scale)
    inside = cv2.distanceTransform(hard.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~hard).astype(np.uint8), cv2.DIST_L2, 5)
    sure_in, sure_out = inside > band, outside > band
    if not sure_in.any() or not sure_out.any():
        return hard.astype(np.float32)
    image = rgb.astype(np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.0, 0.6 * scale))
    edge = ~sure_in & ~sure_out
    fore = _nearest(blurred, sure_in)[edge]
    back = _nearest(blurred, sure_out)[edge]
    gap = fore - back
    size = (gap * gap).sum(1)
    mix = ((image[edge] - back) * gap).sum(1) / np.maximum(size, 1)
    # where the two colours are alike the mix is noise, and where neither explains the pixel it is a print: lean on the outline
    part = np.clip(mix, 0, 1)[:, None]
    left = np.linalg.norm(image[edge] - (part * fore + (1 - part) * back), axis=1)
    trust = np.clip((np.sqrt(size) - 12) / 40, 0, 1) * np.clip(1.3 - left / (0.35 * np.sqrt(size) + 12), 0, 1)
    slope = np.clip(0.5 + (inside - outside)[edge] / max(1.4, 1.1 * scale), 0, 1)
    out = hard.astype(np.float32)
    out[edge] = trust * np.clip((mix - 0.08) / 0.84, 0, 1) + (1 - trust) * slope
    out = cv2.GaussianBlur(out, (0, 0), 0.6)
    out[sure_in & (out > 0.6)] = 1
    out[_caught_ground(image, inside, sure_out, 2 * band)] = 0
    # nothing loose: keep what hangs on the sure inside
    count, label = cv2.connectedComponents((out > 0.1).astype(np.uint8), connectivity=4)
    linked = np.zeros(count, bool)
    linked[np.unique(label[sure_in])] = True
    out[~linked[label]] = 0
    return np.where(out < 0.02, 0, out).astype(np.float32)


def _caught_ground(image: np.ndarray, inside: np.ndarray, sure_out: np.ndarray, reach: float) -> np.ndarray:
    """[H, W] bool: pixels within `reach` of the edge that are of the ground's colour to a few levels and not of the cloth's: what
    a coarse mask swallows in the corner under an arm."""
    near = (inside > 0) & (inside <= reach)
    deep = inside > reach
    if not deep.any() or not near.any():
        return np.zeros(near.shape, bool)
    back = np.linalg.norm(image - _nearest(image, sure_out), axis=2)
    fore = np.linalg.norm(image - _nearest(image, deep), axis=2)
    ground = near & (back < 7) & (fore > 45)
    count, label = cv2.connectedComponents((ground | (inside == 0)).astype(np.uint8), connectivity=4)
    linked = np.zeros(count, bool)
    linked[np.unique(label[inside == 0])] = True
    return ground & linked[label]


def _nearest(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`image` with every pixel replaced by that of the nearest pixel in `where`."""
    _, label = cv2.distanceTransformWithLabels((~where).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros((label.max() + 1, image.shape[2]), image.dtype)
    lookup[label[where]] = image[where]
    return lookup[label]


def clean_edge(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 RGB whose last pixels before the edge, and everything outside, take the nearest inner colour, so that no resampling
    can pull background in."""
    depth = max(1.0, 0.0022 * max(rgb.shape[:2]))
    inside = cv2.distanceTransform((alpha > 0.97).astype(np.uint8), cv2.DIST_L2, 5)
    sure = inside > depth
    if not sure.any():
        sure = alpha > 0.5
    if not sure.any():
        return rgb.copy()
    filled = _nearest(rgb, sure)
    out = np.where(sure[..., None], rgb, filled)
    # the copied streaks get smoother with distance
    far = ~cv2.dilate(sure.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    out[far] = cv2.blur(out, (9, 9))[far]
    return out
