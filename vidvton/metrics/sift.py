"""Is the garment's print there: SIFT features of the garment picture found again in the region."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from .flow import grey

FEWEST = 8
"""A picture with fewer features has no print to look for."""
_RATIO = 0.75
_LONGEST = 512  # pixels of the garment picture's longer side; frames keep their size


def print_features(image: Tensor, mask: Tensor) -> np.ndarray:
    """[n, 128] float32 descriptors of at most 500 features of a garment picture [3, h, w] uint8 where `mask` [h, w] bool.

    The picture is shrunk (area mean) to at most 512 px first. Features lie at least 4 px inside the mask, for its outline is not
    print.
    """
    picture, inside = grey(image), mask.numpy().astype(np.uint8)
    scale = min(1.0, _LONGEST / max(picture.shape))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    inside = cv2.erode(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.ones((9, 9), np.uint8), borderValue=0)
    return _described(picture, inside, 500)


def found_again(features: np.ndarray, frame: Tensor, region: Tensor) -> int:
    """How many of a garment's `features` [n, 128] are found in the region of a frame (Lowe 2004, section 7.1).

    Matched where the nearest descriptor is nearer than 0.75 times the next and each is the other's nearest. `frame` [3, H, W]
    uint8, `region` [H, W] bool; the frame is searched at its own size.
    """
    rows, columns = np.where(region.any(1))[0], np.where(region.any(0))[0]
    if not len(rows) or len(features) < 2:
        return 0
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    found = _described(grey(frame[:, box[0], box[1]]), region[box].numpy().astype(np.uint8), 1000)
    if len(found) < 2:
        return 0
    # |a - b|^2 of unit-free descriptors by one matrix product: BFMatcher's two passes take ten times as long.
    square = (features**2).sum(1)[:, None] + (found**2).sum(1) - 2 * features @ found.T
    two = np.partition(square, 1, axis=1)[:, :2]
    nearest = square.argmin(1)
    mutual = square.argmin(0)[nearest] == np.arange(len(features))
    return int((mutual & (two[:, 0] < _RATIO**2 * two[:, 1])).sum())


def _described(picture: np.ndarray, mask: np.ndarray, most: int) -> np.ndarray:
    """[n, 128] float32 SIFT descriptors of a grey picture where `mask` is not 0."""
    _, descriptors = cv2.SIFT_create(nfeatures=most).detectAndCompute(picture, mask)
    return np.zeros((0, 128), np.float32) if descriptors is None else descriptors
