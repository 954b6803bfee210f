"""Detail: a small network's frames made sharp with what is known at full size.

The network decides what is where and how it is lit; fine detail comes from two pictures that have it: the frame as the warp
dresses it (print, weave, seams), and the source (skin, hair, background that the network might have redrawn and did not change).
Each is trusted only where it looks, at the network's size, like what the network made.
"""

from __future__ import annotations

import cv2
import numpy as np

PRINT_LIKE, PRINT_UNLIKE = 24.0, 64.0
"""Grey levels of difference up to which the warp's detail is taken whole, and from which none of it is."""
SOURCE_LIKE, SOURCE_UNLIKE = 10.0, 32.0
"""The same for the source, which is taken pixel by pixel instead of as detail."""
REACH = 1.0
"""Network pixels over which likeness is judged."""


def sharpen(made: np.ndarray, dressed: np.ndarray, source: np.ndarray, free: np.ndarray, *, fade: float = 0.0) -> np.ndarray:
    """[H, W, 3] uint8: the network's picture `made` [h, w, 3] uint8 at the size of `dressed` and `source` [H, W, 3] uint8, with
    their detail.

    `free` [H, W] float32 0-1 says where the source may be kept at all (not where the old garment was: a new one of its colour
    must not get its print). `fade` 0-1 is how much contrast a fade has taken, which makes likeness stricter.
    """
    size = source.shape[1], source.shape[0]
    picture, strict = made.astype(np.float32), max(1 - fade, 0.1)
    out = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    coarse = cv2.resize(dressed, made.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    like = _likeness(picture, coarse, PRINT_LIKE * strict, PRINT_UNLIKE * strict, size)
    out += like[..., None] * (dressed - cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))
    coarse = cv2.resize(source, made.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    same = _likeness(picture, coarse, SOURCE_LIKE * strict, SOURCE_UNLIKE * strict, size) * free
    out += same[..., None] * (source - out)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _likeness(made: np.ndarray, other: np.ndarray, like: float, unlike: float, size: tuple[int, int]) -> np.ndarray:
    """[H, W] float32: 1 where two small pictures agree, 0 where they do not, enlarged to (width, height) `size`."""
    apart = np.abs(made - other).max(2)
    apart = cv2.GaussianBlur(apart, (0, 0), REACH)
    share = np.clip((unlike - apart) / (unlike - like), 0, 1)
    return cv2.resize(share * share * (3 - 2 * share), size, interpolation=cv2.INTER_LINEAR)


def feathered(region: np.ndarray, size: tuple[int, int], spread: float = 0.8) -> np.ndarray:
    """[H, W] float32 at (height, width) `size`: 0 outside `region` [h, w] bool, 1 inside, rising inwards over about two of its
    pixels."""
    inner = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(inner.astype(np.float32), (0, 0), spread) * region
    out = cv2.resize(soft, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(out < 0.004, np.float32(0), np.minimum(out, 1))


def blend(source: np.ndarray, made: np.ndarray, share: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8: `made` over `source` by `share` [H, W] 0-1; where that is 0 the source's own, bit for bit."""
    mixed = cv2.blendLinear(np.ascontiguousarray(source), np.ascontiguousarray(made), 1 - share, share)
    return np.where((share > 0)[..., None], mixed, source)


def enlarge(made: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`made` [h, w, 3] uint8 at (height, width) `size`."""
    return cv2.resize(made, size[::-1], interpolation=cv2.INTER_CUBIC)


def free_of(old: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[H, W] float32 at (height, width) `size`: 0 on the old garment `old` [h, w] bool and near it, 1 well away from it."""
    grown = cv2.dilate(old.astype(np.uint8), np.ones((5, 5), np.uint8))
    return 1 - cv2.resize(cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 1.0), size[::-1], interpolation=cv2.INTER_LINEAR)
