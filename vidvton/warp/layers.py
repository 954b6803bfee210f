"""One frame's stack of cloth: every panel drawn, cut by what lies in front of it, and grown over the old garment's rim.

Labels decide at working size; colours and the garment's own outline are read at output size, so that print and hem stay sharp.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidvton.values import CIHP_LABELS, Part
from vidvton.warp.body import BARE_ARM, LOWER, UPPER
from vidvton.warp.drape import PanelMap, enlarge
from vidvton.warp.texture import Texture

_id = {name: k for k, name in enumerate(CIHP_LABELS)}


def _table(*names: str) -> np.ndarray:
    return np.isin(np.arange(256), [_id[n] for n in names])


HEAD = _table("hat", "hair", "sunglasses", "face")
SKIN_OF_TRUNK = _table("torso_skin")
BACKGROUND = _table("background")
LEGS_BARE = _table("left_leg", "right_leg", "socks")
SHOES = _table("left_shoe", "right_shoe")
SLEEVES = (Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE)
TROUSER_LEGS = (Part.LEFT_LEG, Part.RIGHT_LEG)
OWN_ARM = {Part.LEFT_SLEEVE: _table("left_arm"), Part.RIGHT_SLEEVE: _table("right_arm")}
RIM = 1.35  # how far beyond a panel's outline (in half-widths) old cloth still counts as its own


@dataclass(frozen=True)
class Layer:
    """One piece at output size: `colour` [H, W, 3] float32 0-255 and `alpha` [H, W] float32 0-1 with their top left pixel at
    `corner` (top, left); `lit` says that the colour is still without the frame's light."""

    colour: np.ndarray
    alpha: np.ndarray
    corner: tuple[int, int]
    lit: bool = True


@dataclass(frozen=True)
class Dressing:
    """What to draw: a garment's `category`, its `texture`, and the station on the column where a dress counts as lower
    garment."""

    category: str
    texture: Texture
    tucked: bool = False
    waist: float = 0.72


def soften(mask: np.ndarray, spread: float = 0.8) -> np.ndarray:
    """float32 0-1 from a boolean mask, its edge spread over a pixel or two."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), spread)


def step_between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth in between (low > high turns it round)."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def old_cloth(labels: np.ndarray, category: str, column_station: np.ndarray | None, waist: float) -> np.ndarray:
    """[h, w] bool: pixels of what `category` replaces. A dress belongs to a top above the `waist` station and to a skirt below
    it."""
    dress = labels == _id["dress"]
    if category == "full":
        return UPPER[labels] | LOWER[labels]
    if not dress.any() or column_station is None:
        return UPPER[labels] if category == "upper" else LOWER[labels] | dress
    above = column_station < waist
    return (UPPER[labels] & (~dress | above)) if category == "upper" else LOWER[labels] | (dress & ~above)


def enlarged_layer(colour: np.ndarray, alpha: np.ndarray, size: tuple[int, int]) -> Layer | None:
    """A layer made from pictures at working size that need no more light; None where there is nothing to see."""
    box = _box(alpha, size, alpha.shape)
    if box is None:
        return None
    return Layer(enlarge_part(colour, size, box), enlarge_part(alpha, size, box), (box[0], box[2]), lit=False)


def draw_order(maps: list[PanelMap]) -> list[int]:
    """Back to front: far sleeves and legs, the column, near legs and sleeves."""

    def rank(m: PanelMap) -> tuple[int, float]:
        if m.part in SLEEVES:
            return (0 if m.near > 0 else 3), -m.near
        return (1 if m.part in TROUSER_LEGS else 2), -m.near

    return sorted(range(len(maps)), key=lambda i: rank(maps[i]))


def panel_layer(
    m: PanelMap,
    hem: float,
    dressing: Dressing,
    labels: np.ndarray,
    old: np.ndarray,
    column: np.ndarray | None,
    arms: list[PanelMap],
    size: tuple[int, int],
) -> Layer | None:
    """One panel, whose cloth ends at station `hem`, at output `size` (height, width); None where nothing of it is seen.

    `labels` and `old` [h, w] at working size; `column` [h, w] the trunk panel's `across` there; `arms` the bare limbs' maps.
    """
    work = labels.shape
    across, station, reach = (enlarge(a, work) for a in (np.abs(m.across), m.station, m.reach))
    allow = _allowed(m, dressing, labels, across, station, arms)
    domain = _domain(m, hem, across, station, column, arms, work)
    box = _box(np.maximum(allow * reach, domain * old), size, work)
    if box is None:
        return None
    read = enlarge_part(m.read, size, box) - 0.5
    back = enlarge_part(m.back, size, box) if m.back.max() > 0 else None
    texture = dressing.texture
    colour = _lookup(texture.front, texture.back, read, back)
    outline = _lookup(texture.alpha, texture.alpha_back, read, back) / 255
    cover = _lookup(texture.cover, texture.cover_back, read, back) / 255
    edge = step_between(enlarge_part(np.abs(m.across), size, box), 1.10, 1.0) * enlarge_part(m.reach, size, box)
    rim = cv2.dilate(old.astype(np.uint8), np.ones((3, 3))) > 0
    alpha = np.maximum(outline * edge * enlarge_part(allow, size, box), cover * enlarge_part(soften(rim) * domain, size, box))
    return Layer(colour, alpha.astype(np.float32), (box[0], box[2]))


def _allowed(
    m: PanelMap, dressing: Dressing, labels: np.ndarray, across: np.ndarray, station: np.ndarray, arms: list[PanelMap]
) -> np.ndarray:
    """[h, w] 0-1: where this panel may be seen at all, given what lies in front of it."""
    place = UPPER | SKIN_OF_TRUNK | (LOWER if dressing.category != "upper" or not dressing.tucked else np.zeros(256, bool))
    if m.part in SLEEVES:
        seen = (place | LOWER | OWN_ARM[m.part] | BACKGROUND)[labels]
    elif m.part == Part.TORSO and dressing.category == "upper":
        seen = place[labels]
    else:
        on_top = LOWER | LEGS_BARE | _table("dress", "torso_skin")
        if dressing.category == "full":
            on_top = on_top | UPPER
        seen = on_top[labels] | (BACKGROUND[labels] & ((station > 0.9) if m.part in (Part.TORSO, Part.SKIRT) else True))
        if dressing.category == "full":
            seen = seen | place[labels]
    seen = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
    blocked = (
        HEAD
        | (BARE_ARM if m.part not in SLEEVES else BARE_ARM & ~OWN_ARM[m.part])
        | (SHOES if m.part not in SLEEVES else np.zeros(256, bool))
    )
    hidden = blocked[labels]
    if m.part == Part.TORSO:
        # The shoulder's cap is the trunk's to cover; the arm below it lies before the trunk.
        for arm in arms:
            if arm.part in SLEEVES:
                cap = OWN_ARM[arm.part][labels] & (enlarge(arm.station, labels.shape) < 0.35) & (across < 1.15)
                hidden, seen = hidden & ~cap, seen | cap
    return soften((seen > 0) & ~hidden)


def _domain(
    m: PanelMap,
    hem: float,
    across: np.ndarray,
    station: np.ndarray,
    column: np.ndarray | None,
    arms: list[PanelMap],
    size: tuple[int, int],
) -> np.ndarray:
    """[h, w] 0-1: where old cloth is this panel's to cover. `column` [h, w] is the trunk panel's `across`, where there is one."""
    if m.part in SLEEVES:
        domain = step_between(across, 1.25, 1.1) * step_between(station, hem + 0.08, hem + 0.02)
        # Beside its own outline the trunk's cloth is the trunk's.
        return domain if column is None else domain * (1 - step_between(across, 0.85, 1.0) * step_between(column, 1.0, 0.88))
    domain = step_between(across, RIM, RIM - 0.12)
    for arm in arms:
        if arm.part in SLEEVES:
            own = step_between(enlarge(np.abs(arm.across), size), 1.25, 1.0) * (enlarge(arm.station, size) > 0.25)
            domain = domain * (1 - own * step_between(across, 0.86, 1.0))
    return domain


def _box(weight: np.ndarray, size: tuple[int, int], work: tuple[int, int]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero((weight > 0.01).any(1)), np.flatnonzero((weight > 0.01).any(0))
    if not len(rows):
        return None
    fy, fx = size[0] / work[0], size[1] / work[1]
    return (
        max(0, int(rows[0] * fy) - 2),
        min(size[0], int((rows[-1] + 1) * fy) + 3),
        max(0, int(columns[0] * fx) - 2),
        min(size[1], int((columns[-1] + 1) * fx) + 3),
    )


def enlarge_part(raster: np.ndarray, size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """The part `box` (top, bottom, left, right) of `raster` enlarged to `size`, without making the rest."""
    top, bottom, left, right = box
    fy, fx = raster.shape[0] / size[0], raster.shape[1] / size[1]
    matrix = np.float32([[fx, 0, (left + 0.5) * fx - 0.5], [0, fy, (top + 0.5) * fy - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        np.ascontiguousarray(raster, np.float32),
        matrix,
        (right - left, bottom - top),
        flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _lookup(front: np.ndarray, back: np.ndarray, read: np.ndarray, share: np.ndarray | None) -> np.ndarray:
    x, y = np.ascontiguousarray(read[..., 0]), np.ascontiguousarray(read[..., 1])
    border = cv2.BORDER_REPLICATE if front.ndim == 3 else cv2.BORDER_CONSTANT
    seen = cv2.remap(front, x, y, cv2.INTER_LINEAR, borderMode=border)
    if share is None:
        return seen.astype(np.float32)
    behind = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=border)
    share = share[..., None] if front.ndim == 3 else share
    return seen * (1 - share) + behind * share
