"""Where working pictures lie in the output, and the pieces that are laid on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Box = tuple[int, int, int, int]
"""(top, bottom, left, right) of a part of the output."""


@dataclass(frozen=True)
class Canvas:
    """How working pictures of a part of the crop lie in the output: they start at `origin` (x, y) working pixels and one
    working pixel is `zoom` (x, y) output pixels; the output is `size` (height, width)."""

    origin: tuple[int, int]
    zoom: tuple[float, float]
    size: tuple[int, int]

    def enlarge(self, raster: np.ndarray, box: Box, *, cell: float = 1.0) -> np.ndarray:
        """The part `box` of the output, float32, from a `raster` [h, w(, C)] whose cells are `cell` working pixels."""
        top, bottom, left, right = box
        fx, fy = 1 / (self.zoom[0] * cell), 1 / (self.zoom[1] * cell)
        x, y = (left + 0.5) * fx - self.origin[0] / cell - 0.5, (top + 0.5) * fy - self.origin[1] / cell - 0.5
        matrix = np.float32([[fx, 0, x], [0, fy, y]])
        picture = np.ascontiguousarray(raster, np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, matrix, (right - left, bottom - top), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def enlarge_map(self, raster: np.ndarray, box: Box, *, cell: float) -> tuple[np.ndarray, np.ndarray]:
        """The same for a map [h, w, 2] of points to read, as (x, y): in full precision, where `enlarge` rounds places to 1/32 of
        a cell."""
        top, bottom, left, right = box
        rows = _between(np.arange(top, bottom), self.zoom[1] * cell, self.origin[1] / cell, raster.shape[0])
        columns = _between(np.arange(left, right), self.zoom[0] * cell, self.origin[0] / cell, raster.shape[1])
        wide = (_mixed(np.ascontiguousarray(raster[..., k], np.float32).T, *columns).T for k in (0, 1))
        return tuple(_mixed(np.ascontiguousarray(plane), *rows) for plane in wide)

    def extent(self, weight: np.ndarray, *, cell: float = 1.0, least: float = 0.01) -> Box | None:
        """The part of the output that `weight` [h, w] (cells of `cell` working pixels) over `least` touches; None if nothing."""
        on = weight > least
        rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
        if not len(rows):
            return None
        fx, fy = self.zoom[0] * cell, self.zoom[1] * cell
        x, y = self.origin[0] / cell, self.origin[1] / cell
        top, bottom = int((rows[0] - 1 + y) * fy), int((rows[-1] + 2 + y) * fy) + 1
        left, right = int((columns[0] - 1 + x) * fx), int((columns[-1] + 2 + x) * fx) + 1
        box = max(0, top), min(self.size[0], bottom), max(0, left), min(self.size[1], right)
        return box if box[0] < box[1] and box[2] < box[3] else None


def _between(pixels: np.ndarray, zoom: float, start: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For output `pixels` [N], of which `zoom` make a cell, the two of `count` cells (the first at `start`) that each lies
    between, and the share [N] float32 of the second."""
    at = np.clip((pixels + 0.5) / zoom - start - 0.5, 0, count - 1)
    low = np.minimum(at.astype(int), max(count - 2, 0))
    return low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)


def _mixed(rows: np.ndarray, low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """[N, w] float32: the `rows` [h, w] float32 numbered `low` and `high` [N], with `share` [N] of the second."""
    out = rows[low]
    out *= (1 - share)[:, None]
    rest = rows[high]
    rest *= share[:, None]
    out += rest
    return out


@dataclass(frozen=True)
class Layer:
    """One piece at output size: `colour` [H, W, 3] uint8 and `alpha` [H, W] float32 0-1 with their top left pixel at `corner`
    (top, left); `lit` says that the colour is still without the frame's light."""

    colour: np.ndarray
    alpha: np.ndarray
    corner: tuple[int, int]
    lit: bool = True


def enlarged_layer(colour: np.ndarray, alpha: np.ndarray, canvas: Canvas, *, cell: float) -> Layer | None:
    """A layer from pictures [h, w, 3] and [h, w] with cells of `cell` working pixels that need no more light; None if nothing
    is seen."""
    box = canvas.extent(alpha, cell=cell)
    if box is None:
        return None
    drawn = cv2.convertScaleAbs(canvas.enlarge(colour, box, cell=cell))
    return Layer(drawn, canvas.enlarge(alpha, box, cell=cell), (box[0], box[2]), lit=False)
