"""What somebody wears in a garment's picture, by a parser's labels: which clothes are meant, and how they go on where the picture
ends."""

from __future__ import annotations

import cv2
import numpy as np

from ..values import CIHP_LABELS
from .worn import skin_like, split_at_waist

SKIN, GREY = 0.01, 6.0  # share of skin's colours under which no face is looked for, but in a picture of no colours
WIDE = 3.0  # face widths that a head and its hair are wide, at most: a face printed on cloth has cloth around it
LEAST = 0.01  # share of the picture that a garment covers
DRESS = 0.5  # share of the clothes from which somebody wears a dress
TALL = 1.05  # height against width from which clothes may be more than a top
CUT, LONG = 0.5, 1.4  # share of its width at the picture's bottom from which a top is cut off there; its usual length in widths
SLIVER = 0.012  # of the root of its area: half the width under which a tongue at a garment's outline is none of it
HANGS = 0.04  # of its height: how far a top may hang below a third of its hem
WHOLE = 0.97  # share of a row, from its first pixel to its last, that is cloth where no neckline is

_TOPS, _LOWERS, _DRESSES = (
    np.isin(np.arange(256), [CIHP_LABELS.index(w) for w in words])
    for words in (("upper", "coat"), ("pants", "skirt"), ("dress",))
)


def may_show_skin(picture: np.ndarray) -> bool:
    """Whether somebody's face could be in `picture` [H, W, 3] uint8."""
    grey = np.ptp(picture.astype(np.int16), axis=2).mean() < GREY
    return min(picture.shape[:2]) >= 64 and bool(grey or skin_like(picture).mean() >= SKIN)


def on_a_head(face: np.ndarray, person: np.ndarray) -> bool:
    """Whether a face (xyxy, score) lies in the silhouette `person` [h, w] as on a head, and not as on a shirt."""
    x0, y0, x1, y1 = np.clip(face[:4], 0, np.tile(person.shape[1::-1], 2)).astype(int)
    rows = person[y0 : (y0 + y1) // 2 + 1]
    return bool(rows[:, x0:x1].mean() > 0.7 and np.median(rows.sum(1)) < WIDE * (x1 - x0))


def garment_in(picture: np.ndarray, labels: np.ndarray, category: str | None) -> tuple[np.ndarray, str]:
    """(the garment's pixels [H, W] bool, its category) among somebody's clothes in `picture` [H, W, 3]."""
    top, lower, dress = (kind[labels] for kind in (_TOPS, _LOWERS, _DRESSES))
    if category is None:
        clothes = max(1, int((top | lower | dress).sum()))
        category = "full" if dress.sum() > DRESS * clothes else "upper" if top.mean() > LEAST else "lower"
    whole = {"upper": top if top.any() else dress, "lower": lower, "full": top | lower | dress}[category]
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(whole.astype(np.uint8))
    if count > 2:  # what a hand or hair cuts off belongs to it, crumbs do not
        area = stats[1:, cv2.CC_STAT_AREA]
        whole = np.isin(pieces, 1 + np.flatnonzero(area > 0.1 * area.max()))
    if category == "upper" and lower.sum() < 0.02 * top.sum() and whole.any(1).sum() > TALL * whole.any(0).sum():
        whole = split_at_waist(picture, whole, category)  # black on black the parser takes for one
    if category == "upper":
        whole = _level_hem(whole)
    return _without_slivers(whole), category


def _level_hem(top: np.ndarray) -> np.ndarray:
    """`top` [H, W] bool without what hangs far below most of its hem: trousers of its colour."""
    columns = np.flatnonzero(top.any(0))
    first, last = top[:, columns].argmax(0), len(top) - 1 - top[::-1, columns].argmax(0)
    trunk = last - first > 0.5 * (last - first).max()  # sleeves end where they like
    limit = np.quantile(last[trunk], 0.3) + HANGS * np.ptp(np.flatnonzero(top.any(1)))
    out = top.copy()
    out[int(np.ceil(limit)) + 1 :] = False
    return out


def _without_slivers(whole: np.ndarray) -> np.ndarray:
    """`whole` [H, W] bool without long thin bits at its outline: the shadow between arm and body, which a tongue of the mask
    follows."""
    radius = round(SLIVER * np.sqrt(whole.sum()))
    if radius < 2:
        return whole
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    off = whole & (cv2.morphologyEx(whole.astype(np.uint8), cv2.MORPH_OPEN, round_, borderType=cv2.BORDER_REPLICATE) == 0)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(off.view(np.uint8))
    stats[0] = 0
    return whole & ~(stats[:, cv2.CC_STAT_AREA] > radius**2)[pieces]


def lengthened(picture: np.ndarray, worn: np.ndarray, category: str) -> tuple[np.ndarray, np.ndarray]:
    """`picture` [H, W, 3] and `worn` [H, W] bool of a top that the picture's bottom cuts off, gone on with down to the length
    that tops have: by what of its cloth lies below the neckline, to and fro."""
    rows, wide = np.flatnonzero(worn.any(1)), int(worn.sum(1).max())
    last = int(rows[-1])
    more = int(LONG * wide) - len(rows)
    if category != "upper" or last < len(worn) - 2 or worn[last].sum() < CUT * wide or more <= 0:
        return picture, worn
    spans = [np.ptp(np.flatnonzero(row)) + 1 for row in worn[rows[0] : last + 1]]
    whole = worn[rows[0] : last + 1].sum(1) > WHOLE * np.array(spans)
    band = int(np.argmin(np.append(whole[::-1], False)))
    if band < 8:
        return picture, worn
    to_and_fro = np.pad(np.arange(last + 1 - band, last + 1), (0, more), mode="symmetric")[band:]
    below = np.repeat(worn[last][None], more, axis=0)
    return np.concatenate([picture[: last + 1], picture[to_and_fro]]), np.concatenate([worn[: last + 1], below])
