"""The garment: its colour and print kept, and its flicker in its own coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.sparse import csr_matrix
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor

from .flow import move_back

CELL = 4.0
"""Side of a cell of garment coordinates, in pixels."""
_FILLED = 4.0  # pixels' worth of weight that a cell of 16 needs to be believed
_SEEN = 4  # frames of 16 that a cell must be seen in
_COLOURS = 4
_SAMPLES = 2000


def lab_of(pixels: Tensor) -> np.ndarray:
    """[N, 3] CIELAB (D65, 2 degrees) of sRGB pixels [3, N] uint8."""
    return rgb2lab(pixels.T.numpy()[None].astype(np.float64) / 255)[0]


@dataclass(frozen=True)
class Palette:
    """A garment's main colours: `lab` [k, 3] and their `shares` [k], which sum to one."""

    lab: np.ndarray
    shares: np.ndarray


def palette(image: Tensor, mask: Tensor) -> Palette:
    """Up to four colours of a garment picture [3, h, w] uint8 where `mask` [h, w]: k-means in CIELAB, always the same ones."""
    lab = lab_of(thinned(image[:, mask], 4 * _SAMPLES))
    distinct = len(np.unique(lab.round(3), axis=0))
    if distinct <= 1:
        return Palette(lab[:1], np.ones(1))
    centres, label = kmeans2(lab, min(_COLOURS, distinct), minit="++", seed=0, iter=20)
    shares = np.bincount(label, minlength=len(centres)) / len(label)
    return Palette(centres[shares > 0], shares[shares > 0])


def colour_distance(frame: Tensor, region: Tensor, colours: Palette) -> float:
    """CIEDE2000 (kL = 2, as for textiles: shading is not a fault) from a garment's colours to the region's (ours).

    `frame` [3, H, W] uint8, `region` [H, W] bool. The region holds more than the garment (skin, background), so each colour looks
    only at the pixels nearest to it, half as many as its share of the region; means are weighted by the shares. NaN for an
    empty region.
    """
    pixels = thinned(frame[:, region])
    if not pixels.shape[1]:
        return float("nan")
    lab = lab_of(pixels)
    total = 0.0
    for colour, share in zip(colours.lab, colours.shares):
        far = deltaE_ciede2000(np.broadcast_to(colour, lab.shape), lab, kL=2)
        near = max(1, round(0.5 * share * len(far)))
        total += share * float(np.partition(far, near - 1)[:near].mean())
    return total


def thinned(pixels: Tensor, most: int = _SAMPLES) -> Tensor:
    """At most `most` of pixels [3, N], evenly spread."""
    count = pixels.shape[1]
    return pixels if count <= most else pixels[:, torch.arange(most) * count // most]


def studio_coordinates(garment: Tensor, xy: Tensor, back: Tensor, *, layer: int, pixels_per_metre: float) -> Tensor:
    """`Piece.coordinates` [T, 2, H, W] float32 from the studio's truth: of garment number `layer` (1: innermost), NaN off it.

    `garment` [T, H, W] uint8, `xy` [T, H, W, 2] flat metres, `back` [T, H, W] bool, which lies 10 metres beside the front.
    """
    places = (xy.float() + torch.stack([back * 10.0, back * 0.0], -1)) * pixels_per_metre
    return places.masked_fill((garment != layer)[..., None], float("nan")).permute(0, 3, 1, 2)


def anchor(region: Tensor) -> Tensor:
    """Coordinates [3, H, W] float32 (x, y, alive) of a frame that starts a segment: each pixel's own place, alive in `region`."""
    height, width = region.shape
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y, region.float()])


def carry(coordinates: Tensor, back: Tensor, seen: Tensor, region: Tensor) -> Tensor:
    """Coordinates [3, H, W] of the next frame: read from the last one's along `back` [2, H, W], the flow from next to last.

    Alive where the place was alive, `seen` [H, W] bool (not hidden) and still in `region`.
    """
    moved, inside = move_back(coordinates, back)
    moved[2] = ((moved[2] > 0.99) & inside & seen & region).float()
    return moved


def alive(coordinates: Tensor) -> Tensor:
    """[2, H, W] (x, y) of carried coordinates [3, H, W], NaN where they are not alive."""
    return coordinates[:2].masked_fill(coordinates[2] == 0, float("nan"))


@dataclass(frozen=True)
class Cells:
    """How one frame's pixels fall into cells of the garment: `pixels` [N] their indices in the flat picture, `share` sparse
    [cells, N] their weights (each row sums to one), `keys` [cells] which cell of the garment each row is."""

    pixels: Tensor
    share: csr_matrix
    keys: np.ndarray


def cells_of(coordinates: list[Tensor]) -> list[Cells]:
    """Cells of the frames of one segment, from their `coordinates` [2, H, W] (NaN off the garment).

    Cells are 4x4 pixels; a pixel is shared out among the four nearest with tent weights, so that a place gives the same colour
    wherever the pixels fall. A cell is kept where it is at least a quarter full.
    """
    where = [torch.isfinite(c[0]).flatten().nonzero()[:, 0] for c in coordinates]
    placed = [c.flatten(1)[:, w].double().numpy() / CELL for c, w in zip(coordinates, where)]
    filled = [p for p in placed if p.shape[1]]
    low = np.floor(np.min([p.min(1) for p in filled], 0)) if filled else np.zeros(2)
    width = int(np.max([p.max(1) for p in filled], 0)[0] - low[0]) + 3 if filled else 1
    return [_cells(w, p - low[:, None], width) for w, p in zip(where, placed)]


def _cells(pixels: Tensor, place: np.ndarray, width: int) -> Cells:
    base = np.floor(place).astype(np.int64)
    part = place - base
    corners = [(i, j) for j in (0, 1) for i in (0, 1)]
    keys = np.concatenate([(base[0] + i) + (base[1] + j) * width for i, j in corners])
    weights = np.concatenate([np.abs(1 - i - part[0]) * np.abs(1 - j - part[1]) for i, j in corners])
    full = np.bincount(keys, weights) if len(keys) else np.zeros(0)
    kept = np.flatnonzero(full >= _FILLED)
    row = np.full(len(full), -1)
    row[kept] = np.arange(len(kept))
    good = row[keys] >= 0
    column = np.tile(np.arange(place.shape[1]), 4)[good]
    share = csr_matrix((weights[good] / full[keys[good]], (row[keys[good]], column)), (len(kept), place.shape[1]))
    return Cells(pixels, share, kept)


def flicker(frames: list[Tensor], cells: list[Cells]) -> list[tuple[float, float]]:
    """Per frame (sum, count) whose quotient is the variance of colour in the garment's own coordinates (ours).

    `frames` [3, H, W] float 0-1 of one segment (at most 16 frames, so that slow changes of light hardly count), `cells` of the
    same frames. Cells seen in at least four of them count. A frame's entry is the mean over cells and channels of (colour - the
    cell's mean)^2 n / (n - 1), n being the frames the cell is seen in: noise of variance v that moves whole cells alike gives v.
    """
    colours = [c.share @ frame.flatten(1)[:, c.pixels].double().numpy().T for frame, c in zip(frames, cells)]
    colour, keys = np.concatenate(colours), np.concatenate([c.keys for c in cells])
    seen = np.bincount(keys, minlength=1)
    mean = np.stack([np.bincount(keys, colour[:, k], len(seen)) for k in range(3)], 1) / np.maximum(seen, 1)[:, None]
    counted = seen[keys] >= _SEEN
    unbiased = seen[keys] / np.maximum(seen[keys] - 1, 1)
    deviation = np.where(counted, ((colour - mean[keys]) ** 2).mean(1) * unbiased, 0.0)
    ends = np.cumsum([0, *(len(c.keys) for c in cells)])
    return [(float(deviation[a:b].sum()), float(counted[a:b].sum())) for a, b in zip(ends[:-1], ends[1:])]
