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
"""The same for the source, which is taken as it is where the network left it alone."""
LEEWAY = 0.6
"""Share of the local contrast that does not count as a difference: a network's edges are a pixel off, or soft."""
REACH, TONE = 1.0, 2.5
"""Network pixels over which likeness is judged, and above which the network decides colour and light of what it is like."""
RIM = 2
"""Working pixels beyond the region over which the warp still covers what is left of the old garment."""


def sharpen(made: np.ndarray, dressed: np.ndarray, source: np.ndarray, free: np.ndarray, *, fade: float = 0.0) -> np.ndarray:
    """[H, W, 3] uint8: the network's picture `made` [h, w, 3] uint8 at the size of `dressed` and `source` [H, W, 3] uint8, with
    their detail.

    Where `made` is like `dressed`, it is `dressed` with the tone of `made`: their difference, smoothed over TONE so that soft
    edges leave no halo. `free` [H, W] float32 0-1 says where the source may be kept at all (not where the old garment was: a new
    one of its colour must not get its print). `fade` 0-1 is how much contrast a fade has taken, which makes likeness stricter.
    """
    size = source.shape[1], source.shape[0]
    picture, strict = made.astype(np.float32), max(1 - fade, 0.1)
    out = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    coarse = _coarse(dressed, made)
    like = _likeness(picture, coarse, PRINT_LIKE * strict, PRINT_UNLIKE * strict)
    tone = cv2.GaussianBlur((picture - coarse) * like[..., None], (0, 0), TONE)
    tone /= np.maximum(cv2.GaussianBlur(like, (0, 0), TONE), 1e-3)[..., None]
    tone = cv2.resize(tone, size, interpolation=cv2.INTER_LINEAR)
    out += _enlarged(like, size)[..., None] * (dressed + tone - out)
    same = _likeness(picture, _coarse(source, made), SOURCE_LIKE * strict, SOURCE_UNLIKE * strict)
    out += (_enlarged(same, size) * free)[..., None] * (source - out)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _coarse(picture: np.ndarray, made: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, made.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32)


def _enlarged(share: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(share, size, interpolation=cv2.INTER_LINEAR)


def _likeness(made: np.ndarray, other: np.ndarray, like: float, unlike: float) -> np.ndarray:
    """[h, w] float32: 1 where two small pictures [h, w, 3] agree, 0 where they do not: pixel by pixel but for soft edges, and
    around every pixel on the whole."""
    around, difference = np.ones((3, 3), np.uint8), made - other
    contrast = (cv2.dilate(other, around) - cv2.erode(other, around)).max(2)
    close = np.maximum(np.abs(difference).max(2) - LEEWAY * contrast, 0)
    apart = np.maximum(cv2.GaussianBlur(close, (0, 0), REACH), np.abs(cv2.GaussianBlur(difference, (0, 0), TONE)).max(2))
    share = np.clip((unlike - apart) / (unlike - like), 0, 1)
    return share * share * (3 - 2 * share)


def feathered(region: np.ndarray, size: tuple[int, int], spread: float = 0.8) -> np.ndarray:
    """[H, W] float32 at (height, width) `size`: 0 outside `region` [h, w] bool, 1 inside, rising inwards over about two of its
    pixels."""
    inner = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(inner.astype(np.float32), (0, 0), spread) * region
    out = cv2.resize(soft, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(out < 0.004, np.float32(0), np.minimum(out, 1))


def grown(region: np.ndarray) -> np.ndarray:
    """`region` [h, w] bool with the rim in which its edge may still show the old garment between hair or fingers."""
    return cv2.dilate(region.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > 0


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
