"""Cloth that does not swim: the garment is held to the motion of the cloth it replaces.

Joints and outlines say where a panel is, shakily; optical flow says how the old cloth's surface moved from one frame to the next,
precisely. For every cell of a panel the shift (across, along) is found that follows the flow and returns to the fitted place
slowly: one small banded system per cell over the whole shot (`smoothing.follow`), so past and future count alike and nothing
lags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from vidvton.smoothing import follow
from vidvton.warp.drape import PanelMap, map_panel
from vidvton.warp.fit import FittedPanel

ROWS, COLUMNS = 8, 6
RETURN = 0.004  # pull back to the fitted place against the flow's pull: a slip fades in about sqrt(1 / RETURN) frames
LARGEST_STEP = 0.12  # stations or half-widths a frame: more is an occlusion or a wrong flow
LARGEST_SHIFT = 0.25


def lock_to_cloth(
    panels: Sequence[FittedPanel], yaw: np.ndarray, motion: Iterable[tuple[np.ndarray, np.ndarray]], *, step: float
) -> list[np.ndarray]:
    """Per panel [T, 8, 6, 2] float32: its shift in (across, station) per cell, for `drape.map_panel`.

    `motion` gives, frame by frame, `(flow [h, w, 2], cloth [h, w] bool)` on cells of `step` working pixels: how far the content
    of each cell has come since the frame before, in working pixels, and where old cloth is seen. `yaw` [T] radians.
    """
    shape = (len(panels), len(yaw), ROWS * COLUMNS * 2)
    steps, trust = np.zeros(shape), np.zeros(shape)
    before: list[PanelMap] = []
    for t, (flow, cloth) in enumerate(motion):
        now = [map_panel(p, t, float(yaw[t]), cloth.shape, step=step) for p in panels]
        if before and cloth.any():
            came = _came(flow / step)
            for k, (old, new) in enumerate(zip(before, now)):
                slip, weight = _slip(old, new, came, cloth)
                steps[k, t], trust[k, t] = -slip.reshape(-1), np.repeat(weight.reshape(-1), 2)
        before = now
    shifts = []
    for k in range(len(panels)):
        shift = follow(np.zeros(shape[1:]), np.full(shape[1:], RETURN), steps[k], np.maximum(trust[k], 1e-4))
        shifts.append((LARGEST_SHIFT * np.tanh(shift / LARGEST_SHIFT)).reshape(-1, ROWS, COLUMNS, 2).astype(np.float32))
    return shifts


def _came(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell's content was the frame before, as maps for `cv2.remap`."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return x - flow[..., 0], y - flow[..., 1]


def _slip(
    before: PanelMap, now: PanelMap, came: tuple[np.ndarray, np.ndarray], cloth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far the fit alone would let cloth slip over the surface, per cell of the panel: ([8, 6, 2], weight [8, 6] 0-1)."""
    fields = np.dstack([before.material, before.station.astype(np.float32), before.reach.astype(np.float32)])
    then = cv2.remap(fields, *came, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    slip = np.stack([now.material - then[..., 0], now.station - then[..., 1]], -1)
    good = cloth & (now.reach > 0.9) & (then[..., 2] > 0.9) & (np.abs(now.across) < 0.85) & (np.abs(slip).max(-1) < LARGEST_STEP)
    if not good.any():
        return np.zeros((ROWS, COLUMNS, 2)), np.zeros((ROWS, COLUMNS))
    row = np.clip((now.share[good] * ROWS).astype(int), 0, ROWS - 1)
    column = np.clip(((now.material[good] + 1) / 2 * COLUMNS).astype(int), 0, COLUMNS - 1)
    cell = row * COLUMNS + column
    number = np.bincount(cell, minlength=ROWS * COLUMNS).astype(np.float32)
    total = np.stack([np.bincount(cell, slip[good][:, i], ROWS * COLUMNS) for i in (0, 1)], -1).astype(np.float32)
    # Neighbouring cells are one piece of cloth: share evidence.
    number, total = number.reshape(ROWS, COLUMNS), total.reshape(ROWS, COLUMNS, 2)
    shared, amount = cv2.GaussianBlur(total, (0, 0), 0.8), cv2.GaussianBlur(number, (0, 0), 0.8)
    return shared / np.maximum(amount, 1e-3)[..., None], np.clip(amount / 4.0, 0, 1)
