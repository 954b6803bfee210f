"""The scene without the person, as far as the camera has seen it during a shot."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

STILL = 7.0  # median difference in 8-bit levels between two looks at the same background, up to which the camera stands still


@dataclass(frozen=True)
class Plate:
    """`picture` [h, w, 3] uint8 and `known` [h, w] uint8 (0 or 255) of the shot's whole scene at working scale, its top left
    corner at `corner` (x, y) in source pixels, `zoom` source pixels a working pixel."""

    picture: np.ndarray
    known: np.ndarray
    corner: tuple[float, float]
    zoom: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for `numpy.savez`."""
        return {"picture": self.picture, "known": self.known, "place": np.array([*self.corner, self.zoom])}

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> Plate:
        """The inverse of `to_arrays`."""
        x, y, zoom = arrays["place"].tolist()
        return Plate(arrays["picture"], arrays["known"], (x, y), zoom)

    def cut(self, box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The part `box` (xyxy source pixels) at (height, width) `size`: (picture uint8, known bool)."""
        fx, fy = (box[2] - box[0]) / size[1] / self.zoom, (box[3] - box[1]) / size[0] / self.zoom
        left, top = (box[0] - self.corner[0]) / self.zoom, (box[1] - self.corner[1]) / self.zoom
        matrix = np.float32([[fx, 0, left + 0.5 * fx - 0.5], [0, fy, top + 0.5 * fy - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(self.picture, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return picture, cv2.warpAffine(self.known, matrix, size[::-1], flags=flags) > 250


def learn_plate(pictures: np.ndarray, labels: np.ndarray, boxes: np.ndarray) -> Plate | None:
    """The plate of one shot from sample crops [S, h, w, 3] uint8, their labels [S, h, w] and `boxes` [S, 4] xyxy source pixels.

    Per pixel the median over the samples in which it was background, well away from the person. None where the camera moves, or
    where one look is all there is.
    """
    if len(pictures) < 4:
        return None
    height, width = labels.shape[1:]
    zoom = (boxes[0, 3] - boxes[0, 1]) / height
    corner = boxes[:, :2].min(0)
    offsets = np.rint((boxes[:, :2] - corner) / zoom).astype(int)
    canvas = (len(pictures), height + offsets[:, 1].max(), width + offsets[:, 0].max())
    if np.prod(canvas) > 40_000_000:
        return None
    looks = np.full((*canvas, 3), np.nan, np.float16)
    for look, picture, label, (x, y) in zip(looks, pictures, labels, offsets):
        free = cv2.dilate((label > 0).astype(np.uint8), np.ones((19, 19))) == 0
        part = look[y : y + height, x : x + width]
        part[free] = picture[free]
    seen = np.isfinite(looks[..., 0])
    both = seen[0] & seen[-1] if (seen[0] & seen[-1]).sum() > 500 else seen[0] & seen[len(seen) // 2]
    other = looks[-1] if (seen[0] & seen[-1]).sum() > 500 else looks[len(seen) // 2]
    if both.sum() < 500 or np.median(np.abs(looks[0][both].astype(np.float32) - other[both].astype(np.float32))) > STILL:
        return None
    count = seen.sum(0)
    known = count >= 2
    picture = np.zeros((*canvas[1:], 3), np.uint8)
    rows = np.flatnonzero(known.any(1))
    for r in rows:  # a row at a time: the median of all rows at once would need gigabytes
        columns = known[r]
        picture[r, columns] = np.nanmedian(looks[:, r, columns].astype(np.float32), axis=0).round()
    return Plate(picture, known.astype(np.uint8) * 255, (float(corner[0]), float(corner[1])), float(zoom))
