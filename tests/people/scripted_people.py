"""A scripted backend: frames carry their number in a corner, and a script says what the models claim to see in each."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import torch
from drawn_person import joints
from matplotlib import cbook

from vidvton.frames import as_arrays, from_arrays
from vidvton.people.estimators import STATE_WIDTH, Body, Estimators
from vidvton.people.skeleton import LEFT_RIGHT_SWAP
from vidvton.values import Clip

SIZE = (320, 240)
_LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28), (11, 12), (23, 24), (11, 23), (12, 24))


def numbered_clip(count: int, start: int = 0) -> Clip:
    """Plain grey frames whose top left pixels hold their number."""
    frames = np.full((count, *SIZE, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    frames[:] = cv2.resize(rng.integers(90, 160, (8, 6, 3), dtype=np.uint8), SIZE[::-1])
    for i in range(count):
        frames[i, 0, 0] = ((start + i) // 256, (start + i) % 256, 0)
    return Clip(from_arrays(frames), torch.arange(start, start + count), Fraction(1, 25))


def standing(yaw: float = 0.0, *, unit: float = 70.0, centre: tuple[float, float] = (120.0, 60.0), score: float = 0.99) -> Body:
    """A person turned by `yaw`, with the mask that belongs to them."""
    points = joints(unit, centre).astype(np.float32)
    across = points[:, 0] - centre[0]
    points[:, 0] = centre[0] + across * np.cos(yaw)
    depth = (-across * np.sin(yaw)).astype(np.float32)
    mask = outline(points, unit)
    points[:, 2] = score
    world = np.stack([points[:, 0] - centre[0], points[:, 1] - centre[1], depth], 1) / unit * 0.5
    to_frame = np.array([[SIZE[0] / 256, 0, 0], [0, SIZE[0] / 256, 0]], np.float32)
    return Body(points, depth, world.astype(np.float32), score, mask, to_frame, 0)


def outline(points: np.ndarray, unit: float) -> np.ndarray:
    """[256, 256] uint8 mask of a body with limbs of flesh."""
    scale = 256 / SIZE[0]
    mask = np.zeros((256, 256), np.uint8)
    at = (points[:, :2] * scale).astype(int)
    for a, b in _LIMBS:
        cv2.line(mask, at[a].tolist(), at[b].tolist(), 255, max(2, round(0.22 * unit * scale)))
    cv2.fillConvexPoly(mask, at[[11, 12, 24, 23]], 255)
    cv2.circle(mask, at[0].tolist(), round(0.25 * unit * scale), 255, -1)
    return mask


def flipped(body: Body) -> Body:
    """The same body as a model sees it that takes front for back."""
    swap = list(LEFT_RIGHT_SWAP)
    return Body(body.keypoints[swap], body.depth[swap], body.world[swap], body.score, body.mask, body.to_frame, body.thread)


class ScriptedPose:
    """Says what `script(frame number, back)` says."""

    def __init__(self, script: Callable[[int, bool], list[Body]], back: bool) -> None:
        self._script, self._back = script, back

    def follow(self, frames, state=None):
        numbers = [int(p[0, 0, 0]) * 256 + int(p[0, 0, 1]) for p in as_arrays(frames)]
        return [self._script(n, self._back) for n in numbers], np.zeros((1, STATE_WIDTH), np.float32)


class ScriptedSegmenter:
    """Sees everybody whom the script shows in the pass along time, in the part of the frame that it is given whole."""

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask

    def segment(self, picture):
        return self._mask


class DoubtfulFaces:
    """Faces that speak neither for a front nor for a back."""

    def find(self, picture):
        return np.array([[0, 0, picture.shape[1], picture.shape[0], 0.7]], np.float32)


def scripted(script: Callable[[int, bool], list[Body]], mask: np.ndarray | None = None) -> Estimators:
    """Estimators of that script. The first pose estimator made is the one along time, the second the one against it."""
    made: list[ScriptedPose] = []

    def pose() -> ScriptedPose:
        made.append(ScriptedPose(script, back=len(made) % 2 == 1))
        return made[-1]

    whole = standing().mask if mask is None else mask
    picture = whole[:, : round(256 * SIZE[1] / SIZE[0])]
    return Estimators(pose=pose, segmenter=lambda: ScriptedSegmenter(picture), faces=DoubtfulFaces)


def hopper(height: int = 600) -> np.ndarray:
    """Grace Hopper's portrait [600, 512, 3] uint8 RGB, which matplotlib brings along."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        data = np.frombuffer(file.read(), np.uint8)
    picture = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    scale = height / picture.shape[0]
    return cv2.resize(picture, (round(picture.shape[1] * scale), height), interpolation=cv2.INTER_AREA)


def clip_of(pictures: list[np.ndarray]) -> Clip:
    return Clip(from_arrays(np.stack(pictures)), torch.arange(len(pictures)), Fraction(1, 25))
