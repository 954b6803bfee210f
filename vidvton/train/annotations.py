"""What data sets bring with them, in our own terms: OpenPose points as MediaPipe's 33, parse maps as CIHP labels, the studio's
truth."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import VidvtonError
from ..media.images import read_labels
from ..people.skeleton import BODY_25, COCO_18, J
from ..values import CIHP_LABELS, PoseTrack
from ..whole import open_arrays

FLOW_UNIT = 1 / 64  # synth.truth.FLOW_STEP, pixels a unit of the stored flow
HIDDEN_SCORE = 0.3  # of a joint the studio knows and the camera does not see: a pose model guesses it and says so
SEEN_SCORE = 0.95

_ATR = (
    "background", "hat", "hair", "sunglasses", "upper", "skirt", "pants", "dress", "background", "left_shoe", "right_shoe",
    "face", "left_leg", "right_leg", "left_arm", "right_arm", "background", "scarf",
)  # fmt: skip
_TABLES = {
    "cihp": np.arange(20),
    "lip": np.where(np.arange(20) == 10, CIHP_LABELS.index("dress"), np.arange(20)),  # LIP's 10 is a jumpsuit
    "atr": np.array([CIHP_LABELS.index(name) for name in _ATR]),  # a belt is part of what it holds, a bag of the background
}
PARSE_FORMATS = tuple(_TABLES)


@dataclass(frozen=True)
class Known:
    """What is known of T frames without an estimator: `track`, CIHP `labels` [T, H, W] uint8, and, where the studio says so, the
    `region` [T, 1, H, W] bool and the `motion` [T, H, W, 2] float32: for each pixel where its content was a frame before, less
    its own place."""

    track: PoseTrack
    labels: Tensor
    region: Tensor | None = None
    motion: Tensor | None = None

    def window(self, start: int, stop: int) -> Known:
        """Frames `start` to `stop`."""
        cut = lambda x: None if x is None else x[start:stop]  # noqa: E731
        return Known(self.track.window(start, stop), self.labels[start:stop], cut(self.region), cut(self.motion))


def read_parse(path: Path, form: str) -> np.ndarray:
    """CIHP labels [H, W] uint8 of a parse map with numbers of `form`. VidvtonError for numbers that form has not got."""
    numbers = read_labels(path)
    table = _TABLES[form]
    if int(numbers.max()) >= len(table):
        raise VidvtonError(
            f"{path} holds label {int(numbers.max())}, and {form} maps have numbers up to {len(table) - 1}; "
            "give label numbers, not colours"
        )
    return table.astype(np.uint8)[numbers]


def read_openpose(path: Path, *, size: tuple[int, int], form: str = "openpose") -> np.ndarray:
    """[33, 3] float32 (x, y, score) in MediaPipe's order from an OpenPose file of the person with the highest scores.

    `form` openpose: people with pose_keypoints_2d (or pose_keypoints) of 25 or 18 points in pixels; dresscode: rows of (x, y,
    score, id) in a picture of 384x512, brought to (height, width) `size`. VidvtonError where it holds nobody.
    """
    try:
        told = json.loads(path.read_text())
        if form == "dresscode":
            rows = np.array([row[:3] for row in told["keypoints"]], np.float32)
            rows[:, :2] *= np.float32([size[1] / 384, size[0] / 512])
            people = [rows]
        else:
            flat = (p.get("pose_keypoints_2d") or p.get("pose_keypoints") or [] for p in told["people"])
            people = [np.array(values, np.float32).reshape(-1, 3) for values in flat]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise VidvtonError(f"{path} is no OpenPose file ({problem})") from problem
    people = [rows for rows in people if len(rows) in (18, 25)]
    if not people:
        raise VidvtonError(f"{path} holds nobody with 18 or 25 points")
    rows = max(people, key=lambda r: float(r[:, 2].sum()))
    return from_openpose(np.nan_to_num(rows))


def from_openpose(rows: np.ndarray) -> np.ndarray:
    """MediaPipe's [33, 3] from BODY_25 or COCO-18 rows; a point at (0, 0) or below is missing, whatever its score.

    What OpenPose has not got is placed where it must about be, with half the score: inner and outer eyes at the eye, the mouth
    between nose and neck, hands beyond the wrist, heels and toes (COCO-18) below the ankle.
    """
    names = BODY_25 if len(rows) == 25 else COCO_18
    found = {name: row for name, row in zip(names, rows) if row[2] > 0 and (row[0] > 0 or row[1] > 0)}
    out = np.zeros((33, 3), np.float32)

    def place(name: str, row: np.ndarray | None) -> None:
        if row is not None:
            out[J[name]] = row

    for name in names:
        if name in J:
            place(name, found.get(name))
    for side in ("left", "right"):
        for which in ("inner", "outer"):
            place(f"{side}_eye_{which}", _half(found.get(f"{side}_eye")))
        if "nose" in found and "neck" in found:
            place(f"mouth_{side}", _towards(found["nose"], found["neck"], 0.25))
        elbow, wrist = found.get(f"{side}_elbow"), found.get(f"{side}_wrist")
        if elbow is not None and wrist is not None:
            for finger, far in (("pinky", 1.30), ("index", 1.34), ("thumb", 1.16)):
                place(f"{side}_{finger}", _towards(elbow, wrist, far))
        knee, ankle = found.get(f"{side}_knee"), found.get(f"{side}_ankle")
        if knee is not None and ankle is not None:
            for end, far in (("heel", 1.10), ("foot_index", 1.18)):
                if out[J[f"{side}_{end}"], 2] == 0:
                    place(f"{side}_{end}", _towards(knee, ankle, far))
    return out


def _half(row: np.ndarray | None) -> np.ndarray | None:
    return None if row is None else row * np.float32([1, 1, 0.5])


def _towards(a: np.ndarray, b: np.ndarray, far: float) -> np.ndarray:
    """The point `far` times the way from `a` to `b`, with half the lower score."""
    return np.float32([*(a[:2] + (b[:2] - a[:2]) * far), 0.5 * min(a[2], b[2])])


def track_of(
    points: np.ndarray, labels: np.ndarray, *, depth: np.ndarray | None = None, yaw: np.ndarray | None = None
) -> PoseTrack:
    """A track in one shot from points [T, 33, 3] and labels [T, H, W]. Without `yaw` a person whose left shoulder lies to the
    picture's right faces the camera, else shows the back; without `depth` nothing is nearer than anything else."""
    count = len(points)
    boxes = np.zeros((count, 4), np.float32)
    for t, seen in enumerate(labels > 0):
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if len(rows):
            boxes[t] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    torso = [J[f"{side}_{part}"] for side in ("left", "right") for part in ("shoulder", "hip")]
    present = (boxes[:, 2] > boxes[:, 0]) & ((points[:, torso, 2] > 0).sum(1) >= 3)
    if yaw is None:
        left, right = points[:, J["left_shoulder"]], points[:, J["right_shoulder"]]
        backwards = (left[:, 0] < right[:, 0]) & (left[:, 2] > 0) & (right[:, 2] > 0)
        yaw = np.where(backwards, math.pi, 0.0)
    depth = np.zeros((count, 33)) if depth is None else depth
    tensor = lambda x: torch.from_numpy(np.ascontiguousarray(x, np.float32))  # noqa: E731
    mask = present.astype(np.float32)
    return PoseTrack(
        boxes=tensor(boxes * mask[:, None]),
        keypoints=tensor(points * mask[:, None, None]),
        depth=tensor(depth * mask[:, None]),
        yaw=tensor(yaw * mask),
        present=torch.from_numpy(present),
        quality=tensor(mask * points[:, torso, 2].mean(1)),
        shots=torch.zeros(count, dtype=torch.int64),
    )


def read_known(
    poses: Sequence[Path], parses: Sequence[Path], size: tuple[int, int], *, pose_format: str, parse_format: str
) -> Known:
    """Poses and parses of a clip or picture of (height, width) `size`, a file a frame. VidvtonError where they do not fit it."""
    points = np.stack([read_openpose(path, size=size, form=pose_format) for path in poses])
    labels = []
    for path in parses:
        one = read_parse(path, parse_format)
        if one.shape != tuple(size):  # DressCode's maps may be of another size than its pictures
            y, x = ((np.arange(n) + 0.5) * m / n for n, m in zip(size, one.shape))
            one = one[y.astype(int)][:, x.astype(int)]
        labels.append(one)
    whole = np.stack(labels)
    return Known(track_of(points, whole), torch.from_numpy(whole))


def read_studio(path: Path) -> Known:
    """The studio's truth of a clip."""
    try:
        with open_arrays(path) as stored:
            words = ("labels", "keypoints", "keypoints_3d", "yaw", "region", "flow_backward")
            truth = {word: stored[word] for word in words}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise VidvtonError(f"the truth {path} cannot be read ({problem}); make the clip again with vidvton synth") from problem
    points, space = truth["keypoints"].copy(), truth["keypoints_3d"]
    points[..., 2] = np.where(points[..., 2] > 0.5, SEEN_SCORE, HIDDEN_SCORE)
    spread = lambda x: x[..., :2].std(axis=1).mean(axis=1)  # noqa: E731
    scale = spread(points) / np.maximum(spread(space), 1e-6)  # pixels a metre at the person
    hips = space[:, [J["left_hip"], J["right_hip"]], 2].mean(1)
    depth = (space[..., 2] - hips[:, None]) * scale[:, None]
    track = track_of(points, truth["labels"], depth=depth, yaw=truth["yaw"])
    motion = torch.from_numpy(truth["flow_backward"]).float() * FLOW_UNIT
    return Known(track, torch.from_numpy(truth["labels"]), torch.from_numpy(truth["region"])[:, None], motion)


def cell_flow(motion: Tensor, box: np.ndarray, size: Sequence[int], cell: int) -> np.ndarray:
    """[h, w, 2] float32: how far the content of each cell of `cell` working pixels has come since the frame before, in working
    pixels, of `motion` [H, W, 2] inside `box` (xyxy) worked on at (height, width) `size`."""
    part = motion[box[1] : box[3], box[0] : box[2]].permute(2, 0, 1)[None]
    cells = -(-int(size[0]) // cell), -(-int(size[1]) // cell)
    scale = part.new_tensor([size[1] / part.shape[3], size[0] / part.shape[2]])
    return (-F.adaptive_avg_pool2d(part, cells)[0].permute(1, 2, 0) * scale).numpy()
