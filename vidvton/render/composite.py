"""Pasting: new cloth over the person, what was under the old cloth beside it, and every other pixel left alone."""

from __future__ import annotations

import cv2
import numpy as np

from vidvton.warp.canvas import Box
from vidvton.warp.outfit import Drawn

TRACE = 0.004  # an alpha below this is none: the feather ends somewhere


def paste(
    crop: np.ndarray, drawn: Drawn, *, fade: float = 0.0, fade_to: float = 255.0, cover: np.ndarray | None = None
) -> np.ndarray:
    """The dressed crop [H, W, 3] uint8, a copy of `crop` [H, W, 3] uint8 at source resolution with one garment drawn into it.

    `fade` 0-1 of the grey level `fade_to` lies over the frame and so over what is put into it. Where all alphas are zero the
    result is `crop`, bit for bit. `cover` [H, W] float32 0-1, where given, is raised to how much of each pixel is new.
    """
    canvas, out = drawn.canvas, crop.copy()
    box = canvas.extent(drawn.under_alpha, least=TRACE)
    if box is not None:
        under = cv2.convertScaleAbs(canvas.enlarge(drawn.under, box, cell=2.0))
        _blend(out, box, under, canvas.enlarge(drawn.under_alpha, box), fade, fade_to, cover)
    for layer in drawn.layers:
        height, width = layer.alpha.shape
        top, left = layer.corner
        box = (top, top + height, left, left + width)
        colour = layer.colour
        if layer.lit:
            factor = canvas.enlarge(drawn.light, box)
            colour = cv2.multiply(colour, cv2.merge((factor, factor, factor)), dtype=cv2.CV_8U)
        _blend(out, box, colour, layer.alpha, fade, fade_to, cover)
    return out


def _blend(
    out: np.ndarray, box: Box, colour: np.ndarray, share: np.ndarray, fade: float, fade_to: float, cover: np.ndarray | None
) -> None:
    """Mixes `share` of `colour` into the `box` (top, bottom, left, right) of `out`, in place, and raises `cover` to it."""
    top, bottom, left, right = box
    if fade > 0:
        colour = cv2.convertScaleAbs(colour, alpha=1 - fade, beta=fade_to * fade)
    share = np.where(share < TRACE, np.float32(0), share)
    part = out[top:bottom, left:right]
    mixed = cv2.blendLinear(np.ascontiguousarray(part), colour, 1 - share, share)
    np.copyto(part, mixed, where=(share > 0)[..., None])
    if cover is not None:
        part = cover[top:bottom, left:right]
        np.maximum(part, share, out=part)
