"""From a garment picture to a `Garment`: cut out, upright, cropped, its parts and landmarks named."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import VidvtonError
from ..frames import as_arrays, from_arrays
from ..values import LANDMARKS, Garment
from .canonical import crop, crop_box, tilt, turn
from .category import check_category, read_category, read_layout
from .edge import clean_edge, soften
from .landmarks import Shape, read_lower, read_upper
from .neck import NeckHole, find_neck_hole
from .parts import label_parts
from .segment import Cutout, segment
from .worn import garment_from_labels

LEAST_CONFIDENCE = 0.5
SURELY_A_NECK, DEEP = 19.0, 0.33
"""Score, and depth in widths, from which a neck hole makes a top of what is else shaped like a skirt: drawn waistbands sag
by up to 0.32."""
ANALYSED = 360
"""Longer side, in pixels, of the mask that landmarks are read from."""


def prepare_garment(
    image: Tensor,
    alpha: Tensor | None = None,
    *,
    category: str | None = None,
    max_side: int = 1024,
    person: Tensor | np.ndarray | None = None,
) -> Garment:
    """The garment in `image` [3, H, W] uint8.

    `alpha` [H, W] float32 0-1 is used as the coverage where the picture brings one that is not opaque all over. `category`
    (upper, lower, full) overrides what the shape suggests. The picture's longer side is brought to at most `max_side` pixels
    first. For a garment that somebody wears, `person` [H, W] may be a bool map of the garment or a CIHP label map; without it
    head and skin are found by shape and colour.
    Raises MisuseError for an unknown category or unfit sizes, VidvtonError where no garment can be told from the background.
    """
    check_category(category)
    rgb = np.ascontiguousarray(as_arrays(image))
    if min(rgb.shape[:2]) < 16:
        raise VidvtonError(f"no garment found: the picture is only {rgb.shape[1]}x{rgb.shape[0]} pixels, give a larger one")
    given = None if alpha is None else np.ascontiguousarray(alpha.numpy(), np.float32)
    marked = None if person is None else garment_from_labels(np.asarray(person), category)
    ratio = min(1.0, max_side / max(rgb.shape[:2]))
    if ratio < 1:
        size = max(1, round(rgb.shape[1] * ratio)), max(1, round(rgb.shape[0] * ratio))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        given = None if given is None else cv2.resize(given, size, interpolation=cv2.INTER_AREA)
        marked = None if marked is None else cv2.resize(marked.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    cutout = _cut(rgb, given, marked, category)
    if cutout.confidence < LEAST_CONFIDENCE or (cutout.alpha > 0.5).sum() < 64:
        raise VidvtonError(
            "no garment found: nothing in the picture stands out from its border, give one with a plainer background or alpha"
        )
    cutout = _straighten(cutout)
    return _understand(cutout, category)


def _cut(rgb: np.ndarray, given: np.ndarray | None, marked: np.ndarray | None, category: str | None) -> Cutout:
    if given is not None and (given < 0.5).mean() > 0.01:
        enough = (given > 0.5).mean() > 0.002
        return Cutout(given, clean_edge(rgb, given), 1.0 if enough else 0.0, "alpha")
    if marked is not None:
        alpha = soften(rgb, marked)
        return Cutout(alpha, clean_edge(rgb, alpha), 1.0 if marked.any() else 0.0, "marked", True)
    return segment(rgb, category=category)


def _straighten(cutout: Cutout) -> Cutout:
    angle = tilt(cutout.alpha > 0.5)
    image, alpha = cutout.image, cutout.alpha
    if angle:
        h, w = alpha.shape
        image = cv2.copyMakeBorder(image, h, h, w, w, cv2.BORDER_REPLICATE)
        image = turn(image, angle)[0]
        alpha = turn(np.pad(alpha, ((h, h), (w, w))), angle)[0]
    box = crop_box(alpha > 0.5)
    image, alpha = crop(image, box, edge=True), crop(alpha, box, edge=False)
    if angle:
        image = clean_edge(image, alpha)
    return replace(cutout, alpha=np.clip(alpha, 0, 1), image=image)


def _understand(cutout: Cutout, category: str | None) -> Garment:
    image, alpha = cutout.image, cutout.alpha
    category = category or (read_category(_small(alpha)[0]).category if cutout.worn else _category(image, alpha))
    if category != "lower" and not cutout.worn:
        image, alpha = _without_neck_hole(image, alpha, category)
    mask, scale = _small(alpha)
    shape = read_lower(mask) if category == "lower" else read_upper(mask, full=category == "full")
    if shape is None:
        raise VidvtonError("no garment found: the shape cut from the picture has no outline, give a picture of the whole garment")
    parts = label_parts(alpha, shape, category, scale)
    landmarks = _landmarks(shape, category, scale)
    inner = parts > 0
    fabric = np.median(image[inner].reshape(-1, 3), axis=0) / 255
    return Garment(
        image=from_arrays(image),
        alpha=torch.from_numpy(np.ascontiguousarray(alpha, np.float32)),
        parts=torch.from_numpy(parts),
        category=category,
        landmarks=torch.from_numpy(landmarks),
        layout=read_layout(category, shape, mask),
        fabric=torch.from_numpy(fabric.astype(np.float32)),
    )


def _category(image: np.ndarray, alpha: np.ndarray) -> str:
    """The category by the shape; what has no shoulders but a neck whose inside shows clearly is read once more without that: its
    sleeves may be folded over it."""
    first = read_category(_small(alpha)[0]).category
    hole = _neck_hole(image, alpha, full=False) if first == "lower" else None
    if hole is None or hole.score < SURELY_A_NECK or hole.depth < DEEP:
        return first
    return read_category(_small(np.where(hole.mask, 0, alpha).astype(np.float32))[0]).category


def _small(alpha: np.ndarray) -> tuple[np.ndarray, float]:
    """(bool mask with the longer side at ANALYSED pixels, how many times larger `alpha` is)."""
    h, w = alpha.shape
    scale = max(h, w) / ANALYSED
    size = max(4, round(w / scale)), max(4, round(h / scale))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)
    return small > 0.5, scale


def _without_neck_hole(image: np.ndarray, alpha: np.ndarray, category: str) -> tuple[np.ndarray, np.ndarray]:
    hole = _neck_hole(image, alpha, full=category == "full")
    if hole is None:
        return image, alpha
    soft = 1 - cv2.GaussianBlur(hole.mask.astype(np.float32), (0, 0), 0.7)
    alpha = np.where(hole.mask, 0, np.minimum(alpha, np.clip(soft * 2 - 0.4, 0, 1))).astype(np.float32)
    return clean_edge(image, alpha), alpha


def _neck_hole(image: np.ndarray, alpha: np.ndarray, *, full: bool) -> NeckHole | None:
    mask, scale = _small(alpha)
    shape = read_upper(mask, full=full)
    if shape is None:
        return None
    wide = sum(s.points["shoulder"][0] - s.half.axis for s in (shape.left, shape.right)) * scale
    return find_neck_hole(image, alpha, axis=(shape.axis + 0.5) * scale - 0.5, shoulders=wide)


def _landmarks(shape: Shape, category: str, scale: float) -> np.ndarray:
    """[L, 3] float32 in the order of LANDMARKS[category], pixel centres at +0.5."""
    names = LANDMARKS[category]
    rows = np.zeros((len(names), 3), np.float32)
    found: dict[str, tuple[float, float, float]] = {}
    for name, point in shape.left.points.items():
        found[f"{name}_left"] = point
    for name, (x, y, score) in shape.right.points.items():
        found[f"{name}_right"] = (shape.width - 1 - x, y, score)
    head, foot = shape.left.half.path[0], shape.left.half.path[-1]
    found["neck_centre"] = found["waist_centre"] = (float(head[0]), float(head[1]), 0.9)
    if shape.crotch is not None:
        found["crotch"] = (*shape.crotch, 0.9)
    else:
        found["hem_centre"] = (float(foot[0]), float(foot[1]), 0.9)
    for name, (x, y, score) in found.items():
        if name in names:
            rows[names.index(name)] = ((x + 0.5) * scale, (y + 0.5) * scale, score)
    return rows
