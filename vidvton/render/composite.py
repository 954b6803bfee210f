"""Pasting: new cloth over the person, what was under the old cloth beside it, and every other pixel left alone."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidvton.warp.layers import Layer, enlarge_part

Box = tuple[int, int, int, int]
TRACE = 0.004  # an alpha below this is none: the feather ends somewhere


def paste(
    crop: np.ndarray,
    under: np.ndarray,
    under_alpha: np.ndarray,
    layers: Sequence[Layer],
    light: np.ndarray,
    *,
    fade: float = 0.0,
    fade_to: float = 255.0,
) -> np.ndarray:
    """The dressed crop [H, W, 3] uint8, a copy.

    `crop` [H, W, 3] uint8 at source resolution; `under` [h, w, 3] float32 0-255 and `under_alpha` [h', w'] 0-1, of any smaller
    sizes, replace the old garment first; `layers` go on top from back to front, unlit ones times `light` [h, w] (the shading
    factor at working size). `fade` 0-1 of the grey level `fade_to` lies over the frame and so over what is put into it. Where
    all alphas are zero the result is `crop`, bit for bit.
    """
    size = crop.shape[:2]
    out = crop.copy()
    box = _extent(under_alpha, size)
    if box is not None:
        share = enlarge_part(under_alpha, size, box)
        _blend(out, box, cv2.convertScaleAbs(enlarge_part(under, size, box)), share, fade, fade_to)
    for layer in layers:
        height, width = layer.alpha.shape
        top, left = layer.corner
        box = (top, top + height, left, left + width)
        colour = layer.colour
        if layer.lit:
            factor = enlarge_part(light, size, box)
            colour = cv2.multiply(colour, cv2.merge((factor, factor, factor)), dtype=cv2.CV_8U)
        _blend(out, box, colour, layer.alpha, fade, fade_to)
    return out


def _blend(out: np.ndarray, box: Box, colour: np.ndarray, share: np.ndarray, fade: float, fade_to: float) -> None:
    """Mixes `share` of `colour` into the `box` (top, bottom, left, right) of `out`, in place."""
    top, bottom, left, right = box
    if fade > 0:
        colour = cv2.convertScaleAbs(colour, alpha=1 - fade, beta=fade_to * fade)
    share = np.where(share < TRACE, np.float32(0), share)
    part = out[top:bottom, left:right]
    mixed = cv2.blendLinear(np.ascontiguousarray(part), colour, 1 - share, share)
    np.copyto(part, mixed, where=(share > 0)[..., None])


def _extent(alpha: np.ndarray, size: tuple[int, int]) -> Box | None:
    rows, columns = np.flatnonzero((alpha > TRACE).any(1)), np.flatnonzero((alpha > TRACE).any(0))
    if not len(rows):
        return None
    fy, fx = size[0] / alpha.shape[0], size[1] / alpha.shape[1]
    top, left = max(0, int((rows[0] - 1) * fy)), max(0, int((columns[0] - 1) * fx))
    return top, min(size[0], int((rows[-1] + 2) * fy) + 1), left, min(size[1], int((columns[-1] + 2) * fx) + 1)
