"""What a backend must offer: bodies, person masks, faces. Adapters (one file per backend) implement these; the rest of the room
knows only this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

STATE_WIDTH = 5


@dataclass(frozen=True)
class Body:
    """One candidate person in one frame.

    `keypoints` [33, 3] float32 (x, y in frame pixels, score 0-1), `depth` [33] float32 in pixels, smaller is nearer; `world` [33,
    3] float32 in metres about the mid hip, axes as the picture's; `score` 0-1, how sure the model is that this is a person at
    all; `mask` [S, S] uint8 soft coverage 0-255 and `to_frame` [2, 3] float32, which takes mask pixels (centres at +0.5) to frame
    pixels; `thread` numbers the bodies that one run follows: the same body has the same thread from frame to frame.
    """

    keypoints: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    score: float
    mask: np.ndarray
    to_frame: np.ndarray
    thread: int

    def __post_init__(self) -> None:
        for name, shape in (("keypoints", (33, 3)), ("depth", (33,)), ("world", (33, 3)), ("to_frame", (2, 3))):
            value = getattr(self, name)
            if value.shape != shape or value.dtype != np.float32:
                raise ValueError(f"Body.{name} must be float32 {list(shape)}, not {value.dtype} {list(value.shape)}")
        if self.mask.ndim != 2 or self.mask.dtype != np.uint8:
            raise ValueError(f"Body.mask must be uint8 [S, S], not {self.mask.dtype} {list(self.mask.shape)}")


class PoseEstimator(Protocol):
    """Follows bodies through a run of frames."""

    def follow(self, frames: Tensor, state: np.ndarray | None = None) -> tuple[list[list[Body]], np.ndarray]:
        """The candidate bodies of every frame, and the state to carry on from.

        `frames` [T, 3, H, W] uint8 are neighbours in the order in which they are to be followed (which may be backwards in time).
        `state` [n, STATE_WIDTH] float32 is what the run before returned; None starts afresh. Equal frames and an equal state
        give equal bodies, whatever was asked before.
        """
        ...


class PersonSegmenter(Protocol):
    """Finds people without a skeleton."""

    def segment(self, picture: np.ndarray) -> np.ndarray:
        """Soft coverage [S, S'] uint8 0-255 of all people in `picture` [h, w, 3] uint8 RGB, at the model's own resolution."""
        ...


class FaceFinder(Protocol):
    """Finds faces that look at the camera."""

    def find(self, picture: np.ndarray) -> np.ndarray:
        """[n, 5] float32 rows (x0, y0, x1, y1, score) in pixels of `picture` [h, w, 3] uint8 RGB; [0, 5] where there is none."""
        ...


class HumanParser(Protocol):
    """Divides a person into labelled parts."""

    label_set: str

    def parse(self, picture: np.ndarray, body: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Labels [h, w] uint8 of `label_set` for `picture` [h, w, 3] uint8 RGB, given joints `body` [33, 3] in its pixels and the
        soft person `mask` [h, w] uint8."""
        ...


@dataclass(frozen=True)
class Estimators:
    """Makers of one backend's parts. Each call makes an independent one, so that threads need not share."""

    pose: Callable[[], PoseEstimator]
    segmenter: Callable[[], PersonSegmenter]
    faces: Callable[[], FaceFinder]
