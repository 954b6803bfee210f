"""A garment worn by somebody in its picture: head and skin taken away, the top told from the trousers.

By shape (a narrow head over wide shoulders) and colour (skin as the face shows it); no learned weights. A caller that has a
parser can hand in its label map instead.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..values import CIHP_LABELS
from .background import lab_of

_WORN = {
    "upper": ("upper", "coat", "scarf"),
    "lower": ("pants", "skirt"),
    "full": ("dress",),
}


def garment_from_labels(labels: np.ndarray, category: str | None) -> np.ndarray:
    """Garment pixels [H, W] bool of a map that a caller supplies: of a bool map its true pixels, of CIHP numbers the garment of
    `category`, or the largest one."""
    if labels.dtype == bool:
        return labels
    masks = {name: np.isin(labels, [CIHP_LABELS.index(w) for w in words]) for name, words in _WORN.items()}
    return masks[category or max(masks, key=lambda name: masks[name].sum())]


def skin_like(rgb: np.ndarray) -> np.ndarray:
    """[H, W] bool: colours that skin of any depth can have (YCrCb box after Chai and Ngan 1999, a little widened)."""
    ycc = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(np.int16)
    y, cr, cb = ycc[..., 0], ycc[..., 1], ycc[..., 2]
    return (y > 35) & (cr > 134) & (cr < 182) & (cb > 78) & (cb < 132) & (cr - cb > 8)


def find_wearer(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """[H, W] bool of what is head, neck, arms and hands inside a silhouette, or None where nobody seems to wear the garment."""
    rows = np.nonzero(mask.any(1))[0]
    top, height = rows[0], rows[-1] - rows[0] + 1
    skin = skin_like(rgb) & mask
    share = skin.sum() / max(1, mask.sum())
    if not 0.02 < share < 0.7:
        return None
    head = _head(mask, skin, top, height)
    if head is None:
        return None
    neck, face = head
    lab = lab_of(cv2.bilateralFilter(rgb, 5, 20, 3))
    tone = np.median(lab[face], axis=0)
    spread = np.maximum(1.48 * np.median(np.abs(lab[face] - tone), axis=0), (6, 2.5, 3.0))
    off = (lab - tone) / spread
    # shade changes lightness far more than hue
    like = (off[..., 1] ** 2 + off[..., 2] ** 2 < 4.0**2) & (np.abs(off[..., 0]) < 6) & (lab[..., 0] > 14)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    found = (like & skin) | (skin & (chroma > 0.55 * np.hypot(*tone[1:])) & (np.abs(off[..., 1]) < 5))
    k = max(1, round(0.004 * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    found = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, label, stats, _ = cv2.connectedComponentsWithStats(found)
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 0.004 * mask.sum()]
    wearer = np.isin(label, large)
    wearer[:neck] |= mask[:neck]
    grown = cv2.dilate(cv2.morphologyEx(wearer.astype(np.uint8), cv2.MORPH_CLOSE, disc), disc).astype(bool)
    return grown & mask


def _head(mask: np.ndarray, skin: np.ndarray, top: int, height: int) -> tuple[int, np.ndarray] | None:
    """(row where the neck is narrowest, face pixels) of a head on shoulders at the silhouette's top."""
    zone = range(top, top + int(0.45 * height))
    widths = np.array([mask[y].sum() for y in zone], np.float32)
    widths = cv2.GaussianBlur(widths[:, None], (1, 9), 2)[:, 0]
    best = None
    for i in range(int(0.05 * height), len(widths) - 4):
        above, below = widths[:i].max(), widths[i : i + max(4, int(0.16 * height))].max()
        if widths[i] < 0.88 * above and below > 1.7 * above and widths[i] < widths[max(0, i - 3) : i + 4].min() + 0.5:
            best = i if best is None or widths[i] < widths[best] else best
    if best is None:
        return None
    neck = top + best
    part = np.zeros_like(mask)
    part[top:neck] = skin[top:neck]
    return (neck, part) if part.sum() > 0.22 * mask[top:neck].sum() else None


def split_at_waist(rgb: np.ndarray, mask: np.ndarray, category: str | None) -> np.ndarray:
    """The part of a dressed body [H, W] bool that is the garment of `category` (upper where None): cut along the seam across the
    body that follows the strongest edge at hip height. Unchanged where no such edge is there (a dress), or for full garments."""
    if category == "full":
        return mask
    rows = np.nonzero(mask.any(1))[0]
    top, height = int(rows[0]), int(rows[-1] - rows[0] + 1)
    runs = mask[top + int(0.45 * height) : top + int(0.9 * height)].sum(1)
    wide = float(np.median(runs)) if len(runs) else 0.0
    low, high = top + int(min(0.45 * height, 0.7 * wide)), top + int(0.97 * height)
    if high - low < 8 or wide < 8:
        return mask
    lab = cv2.GaussianBlur(lab_of(rgb), (0, 0), 1.2)
    # a step weighs by what it is next to: black on black is told apart by little
    edge = np.linalg.norm(np.roll(lab, -2, 0) - np.roll(lab, 2, 0), axis=2) / (0.08 * lab[..., 0] + 0.8)
    core = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    centre = float(np.median(np.nonzero(mask[low:high])[1]))
    left, right = max(0, int(centre - 0.42 * wide)), min(mask.shape[1], int(centre + 0.42 * wide) + 1)
    inside = core[low:high, left:right]
    strip = cv2.GaussianBlur(np.minimum(edge, 2.0) * core, (9, 1), 3)[low:high, left:right]
    cost = np.where(inside, 2.0 - strip, 1.8)
    y = np.arange(low, high)[:, None]
    cost = cost + 0.25 * np.abs((y - top) / wide - 1.35)  # a top ends about 1.3 body widths below the shoulders
    seam = _cheapest_row_path(cost)
    strength = float(np.mean([strip[r, c] for c, r in enumerate(seam) if inside[r, c]] or [0]))
    if strength < 0.5:
        return mask
    below = np.zeros_like(mask)
    for c, r in enumerate(seam):
        below[low + r :, left + c] = True
    below[low + seam[0] :, :left] = True
    below[low + seam[-1] :, right:] = True
    return mask & (below if category == "lower" else ~below)


def _cheapest_row_path(cost: np.ndarray) -> np.ndarray:
    """[W] rows of the left-to-right path of least cost, moving at most one row a column."""
    h, w = cost.shape
    total = cost[:, 0].copy()
    came = np.zeros((h, w), np.int8)
    for c in range(1, w):
        around = np.stack([np.concatenate([[np.inf], total[:-1]]), total, np.concatenate([total[1:], [np.inf]])])
        around[[0, 2]] += 0.3
        pick = around.argmin(0)
        came[:, c] = pick - 1
        total = around[pick, np.arange(h)] + cost[:, c]
    row = int(total.argmin())
    path = np.zeros(w, int)
    for c in range(w - 1, -1, -1):
        path[c] = row
        row = int(np.clip(row + came[row, c], 0, h - 1))
    return path
