"""Small pictures out of large ones, masks through other grids, masks as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`picture` [H, W] or [H, W, 3] uint8 at (height, width) `size`, without aliasing to speak of.

    Halving by exact averages and one bilinear step is several times faster than averaging over fractions of pixels.
    """
    while picture.shape[0] >= 2 * size[0] and picture.shape[1] >= 2 * size[1]:
        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        picture = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if picture.shape[:2] == tuple(size):
        return picture
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def resample(mask: np.ndarray, to_frame: np.ndarray, grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`mask` as seen through another grid, [h, w] of `size`, zero outside.

    `to_frame` [2, 3] takes mask pixels, `grid` [2, 3] takes the wanted picture's pixels to the frame (centres at +0.5
    throughout).
    """
    back = cv2.invertAffineTransform(np.asarray(to_frame, np.float64))
    turn = back[:, :2] @ grid[:, :2]
    shift = back[:, :2] @ grid[:, 2] + back[:, 2] + turn @ (0.5, 0.5) - 0.5  # cv2 counts centres from 0
    matrix = np.concatenate([turn, shift[:, None]], 1)
    return cv2.warpAffine(mask, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def grid_of(box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """[2, 3] float64 from pixels of a picture of (height, width) `size` that shows the part `box` (xyxy) of the frame to frame
    pixels."""
    x0, y0, x1, y1 = box
    return np.array([[(x1 - x0) / size[1], 0, x0], [0, (y1 - y0) / size[0], y0]], np.float64)


def encode_mask(mask: np.ndarray) -> bytes:
    """PNG bytes of a [h, w] uint8 mask."""
    return cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def decode_mask(png: bytes) -> np.ndarray:
    """The [h, w] uint8 mask of PNG bytes."""
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
