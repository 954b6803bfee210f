"""Pasting: new cloth over the person, what was under the old cloth beside it, and every other pixel left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidvton.warp.layers import Layer, enlarge_part


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
    """The dressed crop [H, W, 3] uint8.

    `crop` [H, W, 3] uint8 at source resolution; `under` [h, w, 3] float32 0-255 and `under_alpha` [h, w] 0-1 at working size
    replace the old garment first; `layers` go on top from back to front, each times `light` [h, w] (the shading factor at
    working size). `fade` 0-1 of the grey level `fade_to` lies over the frame and so over what is put into it. Where all alphas
    are zero the result is `crop`, bit for bit.
    """
    size = crop.shape[:2]
    out = crop.astype(np.float32)
    touched = np.zeros(size, bool)
    under_alpha = soft_edge(under_alpha)
    box = _extent(under_alpha, size)
    if box is not None:
        share = enlarge_part(under_alpha, size, box)
        _blend(out, touched, box, enlarge_part(under, size, box), share, fade, fade_to)
    for layer in layers:
        height, width = layer.alpha.shape
        top, left = layer.corner
        box = (top, top + height, left, left + width)
        colour = layer.colour * enlarge_part(light, size, box)[..., None] if layer.lit else layer.colour
        _blend(out, touched, box, colour, soft_edge(layer.alpha), fade, fade_to)
    np.clip(out, 0, 255, out=out)
    return np.where(touched[..., None], np.rint(out).astype(np.uint8), crop)


def _blend(
    out: np.ndarray,
    touched: np.ndarray,
    box: tuple[int, int, int, int],
    colour: np.ndarray,
    share: np.ndarray,
    fade: float,
    fade_to: float,
) -> None:
    top, bottom, left, right = box
    if fade > 0:
        colour = colour * (1 - fade) + fade_to * fade
    part = out[top:bottom, left:right]
    part += (colour - part) * share[..., None]
    touched[top:bottom, left:right] |= share > 0


def _extent(alpha: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero((alpha > 0).any(1)), np.flatnonzero((alpha > 0).any(0))
    if not len(rows):
        return None
    fy, fx = size[0] / alpha.shape[0], size[1] / alpha.shape[1]
    return (
        max(0, int((rows[0] - 1) * fy)),
        min(size[0], int((rows[-1] + 2) * fy) + 1),
        max(0, int((columns[0] - 1) * fx)),
        min(size[1], int((columns[-1] + 2) * fx) + 1),
    )


def soft_edge(alpha: np.ndarray, floor: float = 0.004) -> np.ndarray:
    """`alpha` with its last trace cut to exactly zero, so that the feather ends somewhere."""
    return np.where(alpha < floor, 0.0, alpha).astype(np.float32)
