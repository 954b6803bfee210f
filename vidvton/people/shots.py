"""Where one shot ends and the next begins: hard cuts, and frames of one colour (fades) between shots."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidvton.people.pictures import shrink

SIDE = 96
AHEAD = 2
"""Frames after a cut that are needed to judge it."""
_TIMES_MEDIAN = 10.0
_LEAST = 9.0  # grey levels of 255: under this a jump is no cut, however still the clip is
_MEMORY = 600  # differences kept for the running median
_ENOUGH = 8  # moving frames from which a median can be told
_BLANK = 4.0  # standard deviation under which a picture shows nothing
_BLOCK, _DETAIL, _FEW = 12, 4.0, 8  # side of a thumbnail's block; standard deviation of one with something in it; how many tell
_LIFTED, _MOST = 3.0, 0.5  # grey levels by which a block gets lighter or darker; share of them that does so with the light
_ALIKE, _LIT = 0.5, 0.92  # correlation of a block that shows what it showed before; share of such blocks where only light changed


@dataclass(frozen=True)
class ShotMemory:
    """What must be known of the frames before: their last `greys` [n <= AHEAD + 1, 96, 96] uint8 and `differences` [m]
    float32."""

    greys: np.ndarray
    differences: np.ndarray


def grey_of(picture: np.ndarray) -> np.ndarray:
    """The [96, 96] uint8 grey thumbnail of `picture` [H, W, 3] uint8 on which shots are judged."""
    half = 2 ** max(0, int(np.log2(min(picture.shape[:2]) / (2 * SIDE))))
    small = shrink(picture, (picture.shape[0] // half, picture.shape[1] // half))
    small = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA)  # true averages: noise must not look like motion
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def find_shots(greys: np.ndarray, count: int, memory: ShotMemory | None = None) -> tuple[np.ndarray, np.ndarray, ShotMemory]:
    """(cuts [count] bool, blank [count] bool, memory) for the next `count` frames of a clip.

    `greys` [count + up to AHEAD, 96, 96] uint8 are their thumbnails and those of the frames that follow. A frame is a cut when it
    opens a new shot: it differs from the frame before more than ten times as much as frames of this clip mostly do, more than
    its neighbours do, it is not one flash after which the old picture comes back, nor the old picture in another light. The
    first frame that shows something after blank ones is one too. Equal frames give equal answers however the clip is divided,
    given a few hundred frames of history.
    """
    past = memory.greys if memory is not None else greys[:0]
    known = memory.differences if memory is not None else np.zeros(0, np.float32)
    strip = np.concatenate([past, greys]).astype(np.int16)
    steps = np.abs(np.diff(strip, axis=0)).mean((1, 2)).astype(np.float32) if len(strip) > 1 else np.zeros(0, np.float32)
    first = len(past)  # row of the first new frame in strip
    spread = strip.reshape(len(strip), -1).std(1) if len(strip) else np.zeros(0)
    history = np.concatenate([known, steps[max(0, first - 1) :]])
    moving = history[history > 0.05]  # repeated frames say nothing of how much the clip moves
    median = float(np.median(moving)) if len(moving) >= _ENOUGH else 0.0
    cuts = np.zeros(count, bool)
    for row in range(first, first + count):
        if row == 0:
            continue
        seen_before = spread[row - 1] >= _BLANK
        if spread[row] >= _BLANK and not seen_before and _anything(spread[:row]):
            cuts[row - first] = True
        elif seen_before and _is_cut(strip, steps, row, median):
            cuts[row - first] = True
    blank = spread[first : first + count] < _BLANK
    kept = strip[max(0, first + count - AHEAD - 1) : first + count].astype(np.uint8)
    grown = np.concatenate([known, steps[max(0, first - 1) : first + count - 1]])[-_MEMORY:]
    return cuts, blank, ShotMemory(kept, grown)


def _anything(spread: np.ndarray) -> bool:
    return bool((spread >= _BLANK).any())


def _is_cut(strip: np.ndarray, steps: np.ndarray, row: int, median: float) -> bool:
    jump = steps[row - 1]
    if jump < max(_LEAST, _TIMES_MEDIAN * median):
        return False
    around = np.concatenate([steps[max(0, row - 3) : row - 1], steps[row : row + AHEAD]])
    if len(around) and jump < 2 * around.max():
        # as large as its neighbours: fast motion, a fade, or a flash, unless two cuts stand side by side
        return False
    back = [np.abs(strip[later] - strip[row - 1]).mean() for later in range(row + 1, min(len(strip), row + AHEAD + 1))]
    return (not back or min(back) > 0.4 * jump) and not _relit(strip[row - 1], strip[row])


def _relit(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two thumbnails show the same in another light (the sun comes out from behind somebody, a lamp goes on): block by
    block they correlate."""
    a, b = (_blocks(v) for v in (before, after))
    if (np.abs(a.mean(1) - b.mean(1)) > _LIFTED).mean() < _MOST:
        return False  # the light is everybody's: this is somebody in other clothes
    a, b = (v - v.mean(1, keepdims=True) for v in (a, b))
    spread = np.maximum(a.std(1), b.std(1))
    told = spread > _DETAIL
    if told.sum() < _FEW:
        return False
    alike = (a * b).mean(1) > _ALIKE * np.maximum(a.std(1) * b.std(1), 1.0)
    return bool(alike[told].mean() > _LIT)


def _blocks(grey: np.ndarray) -> np.ndarray:
    """[n, _BLOCK^2] float: the blocks of a thumbnail."""
    side = SIDE // _BLOCK
    return grey.astype(float).reshape(side, _BLOCK, side, _BLOCK).swapaxes(1, 2).reshape(side * side, -1)
