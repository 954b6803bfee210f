"""The one coordinate convention of the warp room, and the moves between maps.

Points are (x, y) in pixels with pixel centres at +0.5 (`align_corners=False`): the middle of the top-left pixel is (0.5, 0.5),
the picture's corners are (0, 0) and (W, H). Normalised points run from -1 at the left or top edge to +1 at the right or bottom
edge. A *map* [H, W, 2] float32 gives, for every output pixel, the point to read in some other picture.
"""

from __future__ import annotations

import cv2
import numpy as np


def normalise(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixel points [..., 2] as normalised ones, for a picture of (height, width) `size`."""
    return points / np.asarray([size[1], size[0]], points.dtype) * 2 - 1


def denormalise(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Normalised points [..., 2] as pixel ones; the inverse of `normalise`."""
    return (points + 1) / 2 * np.asarray([size[1], size[0]], points.dtype)


def pixel_centres(size: tuple[int, int], *, step: float = 1.0, origin: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """[h, w, 2] float32: the centres of a raster of (h, w) `size` whose cells are `step` pixels wide and start at `origin` (x,
    y)."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([(x + 0.5) * step + origin[0], (y + 0.5) * step + origin[1]], -1)


def sample(
    picture: np.ndarray, points: np.ndarray, *, interpolation: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """`picture` [H, W] or [H, W, C] read at `points` [h, w, 2]: [h, w(, C)], same type. Outside, the border pixels repeat by
    default."""
    at = points.astype(np.float32) - 0.5
    return cv2.remap(picture, at[..., 0], at[..., 1], interpolation, borderMode=border)


def invert_lattice(
    nodes: np.ndarray,
    values: np.ndarray,
    size: tuple[int, int],
    *,
    step: float,
    finer: int = 1,
    say: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of a bent lattice, on a raster.

    `nodes` [R, C, 2] are pixel points of a regular lattice, `values` [R, C, V] what each node carries (its lattice coordinates,
    say). Returns `(map [h, w, V] float32, weight [h, w] float32)` on a raster of (h, w) `size` with cells of `step` pixels;
    weight is zero where the lattice does not reach. The lattice is refined until its spacing is under a cell, then spread
    with bilinear weights: where it folds over itself the values are averaged, so nothing tears and nothing flips, by the `say`
    [R] of the rows where one is given (at least 1).
    """
    span = np.abs(np.diff(nodes, axis=0)).max(initial=0), np.abs(np.diff(nodes, axis=1)).max(initial=0)
    factor = [int(np.clip(np.ceil(s / step * 1.3) * finer, 1, 64)) for s in span]
    shape = ((nodes.shape[1] - 1) * factor[1] + 1, (nodes.shape[0] - 1) * factor[0] + 1)
    carried = [nodes, values] if say is None else [nodes, values, np.broadcast_to(say[:, None, None], (*nodes.shape[:2], 1))]
    dense = _refine(np.concatenate(carried, -1).astype(np.float32), shape)
    flat = dense.reshape(-1, dense.shape[-1])
    at = flat[:, :2] / step - 0.5
    low = np.floor(at).astype(np.int32)
    part = at - low
    height, width = size
    total = np.zeros((height * width, values.shape[-1] + 1), np.float64)
    reached = total[:, -1] if say is None else np.zeros(height * width)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            index = (y * width + x)[inside]
            weight = weight[inside]
            if say is not None:
                reached += np.bincount(index, weight, height * width)
                weight = weight * flat[inside, -1]
            total[:, -1] += np.bincount(index, weight, height * width)
            for k in range(values.shape[-1]):
                total[:, k] += np.bincount(index, weight * flat[inside, 2 + k], height * width)
    result = (total[:, :-1] / np.maximum(total[:, -1:], 1e-9)).astype(np.float32)
    return result.reshape(height, width, -1), reached.reshape(height, width).astype(np.float32)


def read_exactly(field: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """`field` [R, C, V] float32 at fractional (column, row) [h, w], bilinear, its border repeated: [h, w, V] float32.

    `cv2.remap` rounds coordinates to 1/32 of a cell; where a cell is ten pixels of print, that is seen as a shimmer.
    """
    x = np.clip(column, 0, field.shape[1] - 1).astype(np.float32)
    y = np.clip(row, 0, field.shape[0] - 1).astype(np.float32)
    x0 = np.minimum(x.astype(np.int32), max(field.shape[1] - 2, 0))
    y0 = np.minimum(y.astype(np.int32), max(field.shape[0] - 2, 0))
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    flat = field.reshape(-1, field.shape[-1])
    at = y0 * field.shape[1] + x0
    right, below = min(1, field.shape[1] - 1), field.shape[1] * min(1, field.shape[0] - 1)
    top = flat[at] * (1 - fx) + flat[at + right] * fx
    return top * (1 - fy) + (flat[at + below] * (1 - fx) + flat[at + below + right] * fx) * fy


def polish_inverse(nodes: np.ndarray, index: np.ndarray, points: np.ndarray, *, rounds: int = 2) -> np.ndarray:
    """`index` [h, w, 2] (column, row) into the lattice `nodes` [R, C, 2], corrected by Newton steps until the lattice there
    lies at `points` [h, w, 2].

    Spreading a lattice over a raster is off by a fraction of a cell that changes as it moves, and a stripe's edge shows that as a
    shimmer; two steps leave a hundredth of a pixel. Where the lattice folds or ends nothing is changed.
    """
    nodes = nodes.astype(np.float32)
    down, across = np.gradient(nodes, axis=(0, 1))
    stack = np.concatenate([nodes, across, down], -1)
    high = np.float32([nodes.shape[1] - 1, nodes.shape[0] - 1])
    out = index.astype(np.float32)
    for _ in range(rounds):
        here = read_exactly(stack, out[..., 0], out[..., 1])
        rest = points - here[..., :2]
        ax, ay, dx, dy = (here[..., k] for k in range(2, 6))
        turn = ax * dy - ay * dx
        good = (np.abs(turn) > 1e-2) & ((out >= 0) & (out <= high)).all(-1)
        turn = np.where(good, turn, 1.0)
        step = np.stack([(dy * rest[..., 0] - dx * rest[..., 1]) / turn, (ax * rest[..., 1] - ay * rest[..., 0]) / turn], -1)
        out = out + np.where(good[..., None], np.clip(step, -0.5, 0.5), 0)
    return out


def _refine(lattice: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear refinement of a lattice [R, C, V] to (columns, rows) `shape`, end nodes kept in place."""
    rows, columns = lattice.shape[:2]
    y = np.linspace(0, rows - 1, shape[1])
    x = np.linspace(0, columns - 1, shape[0])
    y0 = np.clip(np.floor(y).astype(int), 0, max(rows - 2, 0))
    x0 = np.clip(np.floor(x).astype(int), 0, max(columns - 2, 0))
    y1, x1 = np.minimum(y0 + 1, rows - 1), np.minimum(x0 + 1, columns - 1)
    fy, fx = (y - y0)[:, None, None].astype(np.float32), (x - x0)[None, :, None].astype(np.float32)
    top = lattice[y0][:, x0] * (1 - fx) + lattice[y0][:, x1] * fx
    bottom = lattice[y1][:, x0] * (1 - fx) + lattice[y1][:, x1] * fx
    return top * (1 - fy) + bottom * fy


def extend(values: np.ndarray, weight: np.ndarray, *, rounds: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """`values` [h, w, V] continued into cells of zero `weight` [h, w] by averaging outwards (normalised convolution at `rounds`
    scales), so that a map can be read a little beyond the lattice; and which cells [h, w] are known now.

    The others take the value of the nearest known cell: between a known cell and a far-off value an enlarged map would run
    through the whole garment picture within one cell."""
    known = (weight > 0.05).astype(np.float32)
    filled = values * known[..., None]
    for k in range(rounds):
        spread = 3 + 4 * k
        mass = cv2.blur(known, (spread, spread))
        mean = cv2.blur(filled, (spread, spread))
        mean = mean.reshape(values.shape) / np.maximum(mass, 1e-6)[..., None]
        new = (known == 0) & (mass > 1e-3)
        filled = np.where(new[..., None], mean, filled)
        known = np.where(new, 1.0, known).astype(np.float32)
    unknown = known == 0
    if unknown.any() and not unknown.all():
        _, nearest = cv2.distanceTransformWithLabels(unknown.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
        source = np.zeros((nearest.max() + 1, filled.shape[-1]), filled.dtype)
        source[nearest[~unknown]] = filled[~unknown]
        filled = np.where(unknown[..., None], source[nearest], filled)
    return filled, ~unknown
