"""Frames that hold together in time: what was drawn a frame ago is carried along the clip's own motion and blended in.

Every frame is fitted by itself, so places, light and edges tremble by fractions of a pixel. As in temporal anti-aliasing (Karis,
"High-quality temporal supersampling", SIGGRAPH 2014) the frame before, moved by optical flow, gives most of a pixel, held within
the range of the 3 x 3 pixels around it now, so that nothing that has gone stays behind. It has no say where the clip itself does
not fit its flow (what passes in front, what is uncovered), nor where the cloth goes another way than the flow, as it does in
fast motion over plain cloth: there it would smear the print. What blending takes of the sharpness is mostly given back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BLOCK = 96
"""Frames after which the memory begins anew, so that a frame is the same from wherever a run was begun."""
WARM = 16
"""Frames before that from which the new memory is built up, unseen."""
_SIDE = 640  # longer side, in pixels, of what flow is computed on
_AROUND = 16  # pixels around what is drawn, in which flow is computed too
_UNLIKE = 12.0, 24.0  # levels between a pixel of the clip and where it came from: believed, and not
_ASTRAY = 0.35, 0.8  # change of the cloth along the flow, in ranges of 3 x 3 pixels: believed, and not
_FAST = 0.02, 0.06  # of the longer side of what is drawn, that cloth goes in a frame: trembling is seen, and is not
_SPECK = 6.0  # levels that are no range
_SHARPEN = 0.35  # of the difference to its blur, given back to what was blended
_PATCH = 11, 11  # pixels over which change and range are compared
_RIM = 4.0  # of a pixel that is new by one in so many, the memory is the memory of all of it

Box = tuple[int, int, int, int]
"""(top, bottom, left, right) of a part of the frame."""


@dataclass(frozen=True)
class Dressed:
    """What is drawn into a frame: `picture` [h, w, 3] uint8, the finished pixels, with their top left one at `corner` (top,
    left); `share` [h, w] float32 0-1 is how much of each is new, 0 where it is the source's own."""

    picture: np.ndarray
    share: np.ndarray
    corner: tuple[int, int]

    @property
    def box(self) -> Box:
        top, left = self.corner
        return top, top + self.share.shape[0], left, left + self.share.shape[1]


@dataclass(frozen=True)
class _Memory:
    """`picture` [h, w, 3] float32 0-255 is what `dressed` has become, `source` [H, W, 3] the frame it was drawn into."""

    picture: np.ndarray
    dressed: Dressed
    source: np.ndarray


class Steadier:
    """Steadies the frames of a shot, one after the other. `strength` 0-1 (below 1) is the say of what was drawn before."""

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._memory: _Memory | None = None
        self._next: _Memory | None = None

    @staticmethod
    def begin(t: int) -> int:
        """The frame of the shot from which to step so that frame `t` of it comes out right."""
        return max(0, t // BLOCK * BLOCK - WARM)

    def step(self, t: int, source: np.ndarray, dressed: Dressed | None) -> np.ndarray:
        """Frame `t` of its shot, finished: [H, W, 3] uint8, `source` itself where nobody is dressed."""
        if dressed is None or t == 0:
            self._memory = self._next = None
        if dressed is None:
            return source
        out = source.copy()
        top, bottom, left, right = dressed.box
        out[top:bottom, left:right] = self._steadied(t, source, dressed) if self._strength else dressed.picture
        return out

    def _steadied(self, t: int, source: np.ndarray, dressed: Dressed) -> np.ndarray:
        """The finished pixels of `dressed`, which are remembered."""
        if t % BLOCK == 0:
            self._memory, self._next = self._next, None
        finished = dressed.picture
        picture = warmed = finished.astype(np.float32)
        if self._memory is not None:
            past = _Past.of(self._memory, source, dressed)
            picture, finished = past.blended(self._memory.picture, self._strength)
            if self._next is not None:
                warmed, _ = past.blended(self._next.picture, self._strength)
        if t % BLOCK >= BLOCK - WARM:
            self._next = _Memory(warmed, dressed, source)
        self._memory = _Memory(picture, dressed, source)
        return finished


@dataclass(frozen=True)
class _Past:
    """Where every pixel of `dressed` was a frame ago: (`x`, `y`) [h, w] float32 in the memory's picture, believed as far as
    `trust` [h, w] 0-1 says."""

    dressed: Dressed
    x: np.ndarray
    y: np.ndarray
    trust: np.ndarray

    @classmethod
    def of(cls, memory: _Memory, source: np.ndarray, dressed: Dressed) -> _Past:
        top, bottom, left, right = dressed.box
        was = memory.dressed
        way = _way(memory.source, source, dressed.box, was.box)
        x, y = (
            way[..., 0] + np.arange(left, right, dtype=np.float32),
            way[..., 1] + np.arange(top, bottom, dtype=np.float32)[:, None],
        )
        here = source[top:bottom, left:right]
        there = cv2.remap(memory.source, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        unlike = cv2.blur(_largest(cv2.absdiff(there, here)), (5, 5))
        x, y = x - np.float32(was.corner[1]), y - np.float32(was.corner[0])
        known = cv2.remap(was.share, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        drawn = np.minimum(_RIM * dressed.share, 1) * np.minimum(_RIM * known, 1)
        drawn *= _falling(np.hypot(way[..., 0], way[..., 1]) * np.float32(1 / max(dressed.share.shape)), *_FAST)
        return cls(dressed, x, y, drawn * _falling(unlike.astype(np.float32), *_UNLIKE))

    def blended(self, before: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """(`dressed` with what of `before` [., ., 3] float32 belongs there, float32; the same sharpened for the eye, uint8)."""
        now, square = self.dressed.picture, np.ones((3, 3), np.uint8)
        low, high = cv2.erode(now, square), cv2.dilate(now, square)
        moved = cv2.remap(before, self.x, self.y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        current = now.astype(np.float32)
        change = cv2.cvtColor(cv2.absdiff(moved, current), cv2.COLOR_RGB2GRAY)
        span = cv2.cvtColor(cv2.subtract(high, low), cv2.COLOR_RGB2GRAY).astype(np.float32)
        astray = cv2.blur(change, _PATCH) / (cv2.blur(span, _PATCH) + np.float32(_SPECK))
        share = np.float32(strength) * self.trust * _falling(astray, *_ASTRAY)
        picture = cv2.blendLinear(current, np.clip(moved, low, high), 1 - share, share)
        fine = cv2.subtract(picture, cv2.GaussianBlur(picture, (0, 0), 1.0))
        finished = picture + fine * (share * np.float32(_SHARPEN / strength))[..., None]
        return picture, cv2.min(cv2.max(cv2.convertScaleAbs(np.maximum(finished, 0)), low), high)


def _way(before: np.ndarray, after: np.ndarray, box: Box, old: Box) -> np.ndarray:
    """[h, w, 2] float32: for the pixels of `box` of frame `after`, how far off their content was in frame `before`. Flow is
    computed around `box` and `old`, where there was something drawn before."""
    height, width = after.shape[:2]
    top, left = max(0, min(box[0], old[0]) - _AROUND), max(0, min(box[2], old[2]) - _AROUND)
    bottom, right = min(height, max(box[1], old[1]) + _AROUND), min(width, max(box[3], old[3]) + _AROUND)
    size = bottom - top, right - left
    scale = min(1.0, _SIDE / max(size))
    few = max(32, round(size[1] * scale)), max(32, round(size[0] * scale))
    a, b = (
        cv2.resize(cv2.cvtColor(f[top:bottom, left:right], cv2.COLOR_RGB2GRAY), few, interpolation=cv2.INTER_AREA)
        for f in (before, after)
    )
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(b, a, None)
    flow = cv2.resize(flow, size[::-1], interpolation=cv2.INTER_LINEAR)
    flow *= np.float32([size[1] / few[0], size[0] / few[1]])
    return np.ascontiguousarray(flow[box[0] - top : box[1] - top, box[2] - left : box[3] - left])


def _largest(picture: np.ndarray) -> np.ndarray:
    """[h, w]: the largest of three channels."""
    red, green, blue = cv2.split(picture)
    return cv2.max(cv2.max(red, green), blue)


def _falling(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """1 up to `low`, 0 from `high`, straight in between."""
    return np.clip((np.float32(high) - values) * np.float32(1 / (high - low)), 0, 1)
