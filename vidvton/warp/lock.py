"""Cloth that does not swim: the garment is held to the motion of the cloth it replaces.

Joints and outlines say where a panel is, shakily; optical flow says how the old cloth's surface moved from one frame to the next,
precisely. For every cell of a panel the shift (across, along) is found that follows the flow and returns to the fitted place
slowly: one small banded system per cell over the whole shot (`smoothing.follow`), so past and future count alike and nothing
lags."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from vidvton.smoothing import follow
from vidvton.warp.drape import map_panel
from vidvton.warp.fit import FittedPanel

ROWS, COLUMNS = 8, 6
RETURN = 0.004  # pull back to the fitted place against the flow's pull: a slip fades in about sqrt(1 / RETURN) frames
LARGEST_STEP = 0.12  # stations or half-widths a frame: more is an occlusion or a wrong flow
LARGEST_SHIFT = 0.25


def lock_to_cloth(
    fitted: FittedPanel, yaw: np.ndarray, motion: Iterable[tuple[np.ndarray, np.ndarray]], *, step: float
) -> np.ndarray:
    """[T, 8, 6, 2] float32: the panel's shift in (across, station) per cell, for `drape.map_panel`.

    `motion` gives, frame by frame, `(flow [h, w, 2], cloth [h, w] bool)` on cells of `step` working pixels: how far the content
    of each cell has come since the frame before, in working pixels, and whether the old cloth is seen there in both. `yaw` [T]
    radians."""
    count = len(yaw)
    steps = np.zeros((count, ROWS * COLUMNS * 2))
    trust = np.zeros((count, ROWS * COLUMNS * 2))
    before = None
    for t, (flow, cloth) in enumerate(motion):
        now = map_panel(fitted, t, float(yaw[t]), cloth.shape, step=step)
        if before is not None and cloth.any():
            slip, weight = _slip(before, now, flow / step, cloth)
            steps[t], trust[t] = -slip.reshape(-1), np.repeat(weight.reshape(-1), 2)
        before = now
    shift = follow(np.zeros_like(steps), np.full(steps.shape, RETURN), steps, np.maximum(trust, 1e-4))
    shift = LARGEST_SHIFT * np.tanh(shift / LARGEST_SHIFT)
    return shift.reshape(count, ROWS, COLUMNS, 2).astype(np.float32)


def _slip(before, now, flow: np.ndarray, cloth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the fit alone would let cloth slip over the surface, per cell of the panel: ([8, 6, 2], weight [8, 6] 0-1)."""
    y, x = np.mgrid[: cloth.shape[0], : cloth.shape[1]].astype(np.float32)
    came = (x - flow[..., 0], y - flow[..., 1])

    def then(field: np.ndarray) -> np.ndarray:
        return cv2.remap(field, *came, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    slip = np.stack([now.material - then(before.material), now.station - then(before.station)], -1)
    good = (
        cloth
        & (now.reach > 0.9)
        & (then(before.reach) > 0.9)
        & (np.abs(now.across) < 0.85)
        & (np.abs(slip).max(-1) < LARGEST_STEP)
    )
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
