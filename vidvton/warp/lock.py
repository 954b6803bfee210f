"""Cloth that does not swim: the garment is held to the motion of the cloth it replaces.

Joints and outlines say where a panel is, shakily; optical flow says how the old cloth's surface moved from one frame to the next,
precisely. So every panel carries a field of shifts (across, along): what a place showed a frame ago goes where the flow takes it,
and only a small share of the way back to the fitted place is taken in each frame. Where the panel's cloth is hidden, its
neighbours' shifts are continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidvton.values import Part
from vidvton.warp.body import BARE_ARM, LOWER, UPPER
from vidvton.warp.drape import PanelMap, map_panel
from vidvton.warp.fit import FittedPanel, Fold
from vidvton.warp.layers import HEAD, LEGS_BARE, SKIN_OF_TRUNK, SLEEVES, labelled
from vidvton.warp.panels import CROTCH_STATION

RETURN = 0.006  # share of the way back to the fitted place in a frame: more is swimming, less is drift
NEIGHBOURS = 1.0  # cells over which shifts are averaged: on plain cloth flow is noisy, and its noise would melt the print
FAINT = 0.02  # weight of what was there before against what is seen around
LARGEST_STEP = 0.12  # stations or half-widths a frame: more is an occlusion or a wrong flow
LARGEST_SHIFT = 0.35
BREAST = 0.15  # station below which a top shows no skin
WAKE = 2  # cells around what passes before the cloth in which flow is not believed
PASSING = BARE_ARM | HEAD | labelled("scarf")
NOT_A_SKIRT = labelled("pants", "upper", "coat")
SURFACE = {
    Part.TORSO: UPPER | LOWER | SKIN_OF_TRUNK,
    Part.SKIRT: UPPER | LOWER,
    Part.LEFT_SLEEVE: UPPER | BARE_ARM,
    Part.RIGHT_SLEEVE: UPPER | BARE_ARM,
    Part.LEFT_LEG: LOWER | LEGS_BARE,
    Part.RIGHT_LEG: LOWER | LEGS_BARE,
}
"""Labels whose motion a panel follows: the old cloth, and the skin that the new one may cover."""


@dataclass(frozen=True)
class Shift:
    """A panel's shift in one frame: `values` [h, w, 2] float16 in (across, station) on cells of `step` working pixels, the first
    at `corner` (row, column) of the frame's raster; around, its border is continued."""

    values: np.ndarray
    corner: tuple[int, int]
    step: float

    def on(self, size: tuple[int, int], step: float) -> np.ndarray:
        """[h, w, 2] float32 on a raster of (h, w) `size` with cells of `step` working pixels."""
        rows, columns = (_weights(n, step / self.step, c, m) for n, c, m in zip(size, self.corner, self.values.shape))
        return np.stack([rows @ self.values[..., k].astype(np.float32) @ columns.T for k in (0, 1)], -1)


def _weights(count: int, ratio: float, start: int, cells: int) -> np.ndarray:
    """[count, cells] float32: bilinear weights of `cells` cells, the first at `start`, for places `ratio` of a cell apart."""
    at = np.clip((np.arange(count) + 0.5) * ratio - 0.5 - start, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells))).astype(np.float32)


def lock_to_cloth(
    panels: Sequence[FittedPanel],
    yaw: np.ndarray,
    motion: Iterable[tuple[np.ndarray, np.ndarray, Mapping[Part, Fold]]],
    *,
    step: float,
) -> list[list[Shift | None]]:
    """Per panel and frame its shift, for `drape.map_panel`; None where it is not seen.

    `motion` gives, frame by frame, `(flow [h, w, 2], labels [h, w], folds)` on cells of `step` working pixels: how far the
    content of each cell has come since the frame before, in working pixels, what is seen there, and how panels lie over
    themselves. `yaw` [T] radians.
    """
    shifts: list[list[Shift | None]] = [[] for _ in panels]
    before: list[np.ndarray | None] = [None] * len(panels)
    was: list[np.ndarray | bool] = [False] * len(panels)
    for t, (flow, labels, folds) in enumerate(motion):
        came = _came(flow / step)
        for k, panel in enumerate(panels):
            now = map_panel(panel, t, float(yaw[t]), labels.shape, step=step, fold=folds.get(panel.panel.part, "none"))
            place = np.dstack([now.material, now.station, now.reach]).astype(np.float32)
            shift = np.zeros((*labels.shape, 2), np.float32)
            wake = _wake(now, labels)
            if before[k] is not None:
                shift = _carried(before[k], place, came, _surface(now, labels) & ~(wake | was[k]))
            was[k] = wake
            before[k] = np.dstack([place, shift])
            shifts[k].append(_packed(shift, now, step))
    return shifts


def _surface(now: PanelMap, labels: np.ndarray) -> np.ndarray:
    """[h, w] bool: where the surface that the panel follows is seen. One piece of cloth does not go the two ways of two legs,
    nor of an open coat's sides: below the crotch a skirt follows a skirt only."""
    seen = SURFACE[now.part][labels] & (np.abs(now.across) < 1.0)
    return seen & ~(NOT_A_SKIRT[labels] & (now.station > CROTCH_STATION)) if now.part in (Part.TORSO, Part.SKIRT) else seen


def _wake(now: PanelMap, labels: np.ndarray) -> np.ndarray:
    """[h, w] bool: where something passes before the panel, and around it: flow is smooth, and there it is that thing's."""
    if now.part in SLEEVES:
        return np.zeros(labels.shape, bool)
    passing = PASSING[labels] | (SKIN_OF_TRUNK[labels] & (now.station > BREAST))  # skin before the breast is a hand
    return cv2.dilate(passing.astype(np.uint8), np.ones((2 * WAKE + 1,) * 2)) > 0


def _came(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell's content was the frame before, as maps for `cv2.remap`."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return x - flow[..., 0], y - flow[..., 1]


def _carried(before: np.ndarray, place: np.ndarray, came: tuple[np.ndarray, np.ndarray], surface: np.ndarray) -> np.ndarray:
    """The shift [h, w, 2] that shows at every cell what `came` there: `before` [h, w, 5] is the last frame's place (across,
    station, reach) and shift, `place` [h, w, 3] this frame's place, `surface` [h, w] where the panel's own surface is seen."""
    then, reach, had = (
        cv2.remap(np.ascontiguousarray(before[..., part]), *came, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for part in (slice(0, 2), 2, slice(3, 5))
    )
    slip = then - place[..., :2]
    seen = surface & (place[..., 2] > 0.9) & (reach > 0.9) & (np.abs(slip).max(-1) < LARGEST_STEP)
    weight = seen.astype(np.float32)
    held = (slip + had) * (weight * np.float32(1 - RETURN))[..., None]
    last = before[..., 3:] * np.float32(0.95)  # what was there: a weak opinion where nothing is seen
    spread = cv2.GaussianBlur(weight, (0, 0), NEIGHBOURS)[..., None]
    near = (cv2.GaussianBlur(held, (0, 0), NEIGHBOURS) + FAINT * last) / (spread + FAINT)
    return np.clip(near, -LARGEST_SHIFT, LARGEST_SHIFT)


def _packed(shift: np.ndarray, now: PanelMap, step: float) -> Shift | None:
    """The part of `shift` where the panel is: a shot's shifts stay in memory."""
    on = now.reach > 0
    rows, columns = np.flatnonzero(on.any(1)), np.flatnonzero(on.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Shift(shift[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.float16), (top, left), step)
