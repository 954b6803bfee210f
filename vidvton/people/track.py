"""Following one person through a clip: both passes, then who, where, which side, and how turned, solved over the whole clip."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from vidvton.errors import VidvtonError
from vidvton.people import facing, identity
from vidvton.people.candidates import CHUNK, chunk_path, collect, load_seen
from vidvton.people.cut_off import continue_arms, continue_legs
from vidvton.people.estimators import Estimators
from vidvton.people.identity import Bodies
from vidvton.people.legs import exchanged, like, steady_legs
from vidvton.people.silhouettes import Silhouettes, clear_outlines, write_outlines
from vidvton.people.smooth import smooth_curve, smooth_yaw
from vidvton.progress import Progress
from vidvton.values import Clip, PoseTrack
from vidvton.whole import open_arrays, write_arrays

_BRIDGED = 12  # frames without the person that are filled in
_VERSION = 8
_PARTS = ("boxes", "keypoints", "depth", "yaw", "present", "quality", "shots")


def analyse(
    clips: Callable[[], Iterator[Clip]],
    work: Path,
    *,
    who: str = "largest",
    estimators: Estimators | None = None,
    total: int | None = None,
    name: object = "the clip",
) -> Iterator[Progress]:
    """Follows one person through a clip of any length; yields progress, and when it ends `load_track(work)` and
    `Silhouettes(work)` are there.

    `clips()` starts the clip from the beginning as consecutive pieces; `work` is a folder for this clip alone, in which a killed
    run is taken up again; `who` is 'largest', a number counted from the left, or 'x,y', a pixel of the source; `total` is the
    number of frames where known; `name` is what errors call the clip.

    Raises:
        MisuseError: `who` is no such word or names nobody.
        VidvtonError: nobody is seen in any frame.
    """
    identity.check_who(who)
    work = Path(work)
    if _finished(work, who):
        return
    frames = size = None
    if estimators is None:
        from vidvton.people.mediapipe_pose import mediapipe_estimators

        estimators = mediapipe_estimators()
    measured = _Measured(clips)
    for frames in collect(measured.clips, work, estimators):
        yield Progress("pose", frames, total)
    size = measured.size
    if not frames or size is None:
        raise VidvtonError("the clip has no frames to look for a person in")
    clear_outlines(work)
    bodies, cuts, blank, faces = load_bodies(work)
    shots = np.cumsum(cuts)
    chosen = _choose(bodies, shots, who, size)
    if not chosen:
        where = "it" if frames == 1 else f"any of its {frames} frames"
        raise VidvtonError(f"{name}: nobody was found in {where}; give a picture or clip that shows a person")
    decisions = facing.decide(chosen, bodies, shots, faces)
    track = solve(decisions, chosen, bodies, shots, size)
    yield Progress("solve", frames, frames)
    for done in write_outlines(work, bodies, decisions, chosen, track, size):
        yield Progress("outline", done, frames)
    values = {name: getattr(track, name).numpy() for name in _PARTS}
    write_arrays(work / "track.npz", values)
    _write_text(work / "track.json", json.dumps({"who": str(who).strip(), "version": _VERSION, "frames": frames, "size": size}))


def load_track(work: Path) -> PoseTrack:
    """The track that `analyse` left in `work`."""
    with open_arrays(Path(work) / "track.npz") as stored:
        return PoseTrack(**{name: torch.from_numpy(stored[name]) for name in _PARTS})


def track_clip(clip: Clip, *, who: str = "largest", estimators: Estimators | None = None) -> tuple[PoseTrack, Silhouettes]:
    """The same for a short clip in memory. The silhouettes keep a temporary folder until they are garbage."""
    work = Path(tempfile.mkdtemp(prefix="vidvton-track-"))
    try:
        for _ in analyse(lambda: iter([clip]), work, who=who, estimators=estimators):
            pass
        return load_track(work), Silhouettes(work, temporary=True)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


class _Measured:
    """Passes clips on and remembers their size."""

    def __init__(self, source: Callable[[], Iterator[Clip]]) -> None:
        self._source = source
        self.size: tuple[int, int] | None = None

    def clips(self) -> Iterator[Clip]:
        for clip in self._source():
            self.size = clip.size
            yield clip


def _finished(work: Path, who: str) -> bool:
    try:
        done = json.loads((work / "track.json").read_text())
    except (OSError, ValueError):
        return False
    if done.get("version") == _VERSION and done.get("who") == str(who).strip() and (work / "track.npz").exists():
        return True
    (work / "track.json").unlink()
    return False


def _write_text(path: Path, text: str) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(text)
    os.replace(beside, path)


def load_bodies(work: Path) -> tuple[Bodies, np.ndarray, np.ndarray, np.ndarray]:
    """(bodies of the whole clip, cuts [T] bool, blank [T] bool, faces [T, 5]) from the chunks in `work`."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Bodies.__dataclass_fields__}
    cuts, blank, faces = [], [], []
    number = 0
    while chunk_path(work, number).exists():
        seen = load_seen(work, number)
        for name in ("back", "keypoints", "depth", "world", "score", "agree", "fit", "extent", "look"):
            columns[name].append(getattr(seen, name))
        columns["frame"].append(seen.frame + number * CHUNK)
        columns["chunk"].append(np.full(len(seen.frame), number))
        columns["row"].append(np.arange(len(seen.frame)))
        cuts.append(seen.cuts)
        blank.append(seen.blank)
        faces.append(seen.faces)
        number += 1
    bodies = Bodies(**{name: np.concatenate(parts) for name, parts in columns.items()})
    return bodies, np.concatenate(cuts), np.concatenate(blank), np.concatenate(faces)


def _choose(bodies: Bodies, shots: np.ndarray, who: str, size: tuple[int, int]) -> dict[int, list[int]]:
    good = identity.believable(bodies, shots, size)
    people = identity.follow_people(bodies, good, shots)
    return identity.choose(people, bodies, shots, who, size)


def solve(
    decisions: dict[int, facing.Choice], chosen: dict[int, list[int]], bodies: Bodies, shots: np.ndarray, size: tuple[int, int]
) -> PoseTrack:
    """The smoothed track of one person, from what was decided frame by frame. `chosen` are the frames they are in, with and
    without a skeleton to be believed; `size` is the frame's (height, width)."""
    count = len(shots)
    keypoints = np.zeros((count, 33, 3))
    depth, across = np.zeros((count, 33)), np.zeros((count, 2))
    boxes, belief = np.zeros((count, 4)), np.zeros(count)
    for frame, choice in decisions.items():
        keypoints[frame], depth[frame] = _merged(choice, bodies)
        across[frame] = facing.across(choice, bodies)
        boxes[frame] = _around(bodies.extent[list(choice.rows)])
        rows = list(choice.rows)
        belief[frame] = bodies.score[rows].mean() * (0.5 + 0.5 * min(1.0, bodies.agree[rows].mean() / 0.8))
    seen = np.isin(np.arange(count), list(decisions))
    present, yaw, quality = np.zeros(count, bool), np.zeros(count), np.zeros(count)
    there = np.isin(np.arange(count), list(chosen))
    for frame in np.flatnonzero(there & ~seen):
        boxes[frame] = _around(bodies.extent[chosen[frame]])
    for first, last in _stretches(there, shots):
        part = slice(first, last)
        present[part] = True
        wrong = first + np.flatnonzero(steady_legs(keypoints[part], seen[part], _torso(keypoints[part], seen[part])))
        keypoints[wrong], depth[wrong] = exchanged(keypoints[wrong]), exchanged(depth[wrong])
        keypoints[part] = continue_arms(continue_legs(keypoints[part], boxes[part], size), boxes[part], size)
        keypoints[part], depth[part], boxes[part] = _smoothed(keypoints[part], depth[part], boxes[part], seen[part], there[part])
        yaw[part] = smooth_yaw(across[part], seen[part] * (belief[part] + 0.05))
        quality[part] = _quality(keypoints[part], belief[part], seen[part], size)
    boxes[~present] = 0
    tensor = lambda v: torch.from_numpy(np.ascontiguousarray(v.astype(np.float32)))  # noqa: E731
    return PoseTrack(
        boxes=tensor(_within(boxes, size)),
        keypoints=tensor(keypoints),
        depth=tensor(depth),
        yaw=tensor(yaw),
        present=torch.from_numpy(present),
        quality=tensor(quality),
        shots=torch.from_numpy(shots.astype(np.int64)),
    )


def _around(extents: np.ndarray) -> np.ndarray:
    """[4] the box around all of [n, 5] boxes."""
    return np.concatenate([extents[:, :2].min(0), extents[:, 2:4].max(0)])


def _merged(choice: facing.Choice, bodies: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """(keypoints [33, 3], depth [33]) of one frame: the mean of the bodies that agree, weighted by score."""
    points, depths = [], []
    for row, swapped in zip(choice.rows, choice.swapped):
        order = list(facing.LEFT_RIGHT_SWAP) if swapped else slice(None)
        found, deep = bodies.keypoints[row][order], bodies.depth[row][order]
        if points and not like(found, points[0]):
            found, deep = exchanged(found), exchanged(deep)
        points.append(found)
        depths.append(deep)
    points, depths = np.stack(points), np.stack(depths)
    weight = points[..., 2:] + 1e-3
    weight /= weight.sum(0)
    return (points * weight).sum(0), (depths * weight[..., 0]).sum(0)


def _stretches(seen: np.ndarray, shots: np.ndarray) -> list[tuple[int, int]]:
    """Spans within one shot from first to last sight, without breaks longer than what is bridged."""
    out: list[tuple[int, int]] = []
    for frame in np.flatnonzero(seen):
        if out and shots[frame] == shots[out[-1][0]] and frame - out[-1][1] <= _BRIDGED:
            out[-1] = (out[-1][0], int(frame) + 1)
        else:
            out.append((int(frame), int(frame) + 1))
    return out


def _torso(keypoints: np.ndarray, seen: np.ndarray) -> float:
    """Pixels: how long the torso usually is in the frames `seen` [T] of `keypoints` [T, 33, 3], at least one."""
    spine = keypoints[seen][:, 11:13, :2].mean(1) - keypoints[seen][:, 23:25, :2].mean(1)
    return max(float(np.median(np.linalg.norm(spine, axis=1))), 1.0)


def _smoothed(keypoints: np.ndarray, depth: np.ndarray, boxes: np.ndarray, seen: np.ndarray, there: np.ndarray):
    scale = _torso(keypoints, seen)
    out = keypoints.copy()
    deep = depth.copy()
    scores = keypoints[..., 2]
    for joint in range(33):
        weights = np.where(seen, np.maximum(scores[:, joint], 0.02) ** 2, 0.0)
        out[:, joint, :2] = smooth_curve(keypoints[:, joint, :2], weights, scale)
        deep[:, joint] = smooth_curve(depth[:, joint : joint + 1], weights, 2 * scale)[:, 0]
    steps = np.arange(len(seen))
    known = np.flatnonzero(seen)
    far = np.abs(steps[:, None] - known).min(1)
    for joint in range(33):
        out[:, joint, 2] = np.interp(steps, known, scores[known, joint]) * 0.88**far
    weights = there.astype(float)
    edges = np.concatenate([smooth_curve(boxes[:, i : i + 1], weights, 4 * scale) for i in range(4)], 1)
    return out, deep, edges


def _quality(keypoints: np.ndarray, belief: np.ndarray, seen: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[T] 0-1: mean score of the main joints inside the picture, times how far models agree; lower the further it is
    interpolated."""
    main = keypoints[:, list(identity.MAIN_JOINTS)]
    inside = (main[..., 0] >= 0) & (main[..., 0] < size[1]) & (main[..., 1] >= 0) & (main[..., 1] < size[0])
    score = (main[..., 2] * inside).sum(1) / np.maximum(inside.sum(1), 4)
    known = np.flatnonzero(seen)
    believed = np.interp(np.arange(len(seen)), known, belief[known])
    far = np.abs(np.arange(len(seen))[:, None] - known).min(1)
    return np.clip(score * believed * 0.88**far, 0, 1)


def _within(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    limit = np.array([size[1], size[0], size[1], size[0]])
    return np.clip(boxes, 0, limit)
