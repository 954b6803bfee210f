"""Which body of a frame to believe, which arm is the left one, and where the torso turns.

Without a face in the picture the pose model takes fronts for backs and changes its mind from frame to frame. So per frame every
body may be taken as it is or with left and right exchanged, and the steadiest path through these choices (Viterbi) is taken,
first by continuity alone, then with the votes of those stretches in which the model agrees with itself, of faces, and of the
custom that clips begin from the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidvton.people.identity import MAIN_JOINTS, Bodies
from vidvton.people.paths import cheapest_path
from vidvton.people.skeleton import LEFT_RIGHT_SWAP

_SWAP = list(LEFT_RIGHT_SWAP)
_VOTE = 0.06  # cost a frame of going against a unanimous stretch; turning over costs up to about one
_FACELESS = 0.4  # what such a vote counts in the first shot where no face is seen: later shots begin from anywhere
_NOSE_IN = 0.1  # torso lengths from the picture's top to the nose up to which none is
_AMBIGUOUS = 0.12  # torso lengths: in profile the two sides lie this close
_TURN = 0.4  # cost of half of turning round between two frames
_SPIN, _FASTEST = 2.0, np.deg2rad(50.0)  # the same for what goes beyond the fastest turn there is, a frame
_FRONT_FIRST = 0.9  # the custom that clips begin from the front, in cost; as much as 30 unanimous frames (75 without a face)
_FIRST, _BEGINNING, _CLEAR = 5, 24, 0.7  # asked of so many frames out of the first, in which it is clear (cosine of the turn)
_MISFIT = 0.1  # loss of fit against the frames around, from which a skeleton has collapsed
_LONGEST_MISFIT = 8
_NEIGHBOURS = 12  # frames to each side whose votes must agree


@dataclass(frozen=True)
class Choice:
    """One frame's decision: the body believed (row of `Bodies`) and, of all rows that say the same, whether each is to be
    swapped."""

    row: int
    rows: tuple[int, ...]
    swapped: tuple[bool, ...]


def decide(chosen: dict[int, list[int]], bodies: Bodies, shots: np.ndarray, faces: np.ndarray) -> dict[int, Choice]:
    """For every frame of `chosen`, which body and which side is which. `faces` [T, 5] as in `candidates.Seen`."""
    out: dict[int, Choice] = {}
    for shot in sorted({int(shots[f]) for f in chosen}):
        frames = sorted(f for f in chosen if shots[f] == shot)
        out |= _decide_shot(frames, chosen, bodies, faces, faceless=1.0 if out else _FACELESS)
    return out


def _decide_shot(
    frames: list[int], chosen: dict[int, list[int]], bodies: Bodies, faces: np.ndarray, *, faceless: float
) -> dict[int, Choice]:
    """See `decide`; a vote counts `faceless` times where no face is in the picture."""
    torso = float(np.median([bodies.torso[chosen[f]].max() for f in frames]))
    frames, best = _fitting(frames, chosen, bodies)
    believed = [np.array(chosen[f])[soundness(bodies, chosen[f]) > b - 0.15].tolist() for f, b in zip(frames, best)]
    options = [[(row, swap) for row in rows for swap in (False, True)] for rows in believed]
    points = [np.stack([_points(bodies, row, swap) for row, swap in opts]) for opts in options]
    turns = [np.array([raw_yaw(bodies, row, swap) for row, swap in opts]) for opts in options]
    links = [
        _link(points[i], points[i + 1], torso, frames[i + 1] - frames[i])
        + _turning(turns[i][:, None] - turns[i + 1], frames[i + 1] - frames[i])
        for i in range(len(frames) - 1)
    ]
    own = [np.array([_doubt(bodies, row, torso) for row, _ in opts]) for opts in options]
    path = cheapest_path(own, links)
    own = [a + b for a, b in zip(own, _votes(frames, options, path, points, bodies, faces, faceless))]
    path = cheapest_path(own, links)
    return {f: _choice(opts, pts, k, torso, bodies) for f, opts, pts, k in zip(frames, options, points, path)}


def _fitting(frames: list[int], chosen: dict[int, list[int]], bodies: Bodies) -> tuple[list[int], np.ndarray]:
    """The frames in which some body fits its mask about as well as around them, and its fit. The others are better bridged."""
    best = np.array([soundness(bodies, chosen[f]).max() for f in frames])
    usual = np.array([np.percentile(best[max(0, i - 12) : i + 13], 60) for i in range(len(best))])
    sure = np.array([_passes_agree(bodies, chosen[f]) for f in frames])  # arms hidden in profile fit badly too
    keep = (best > usual - _MISFIT) | sure
    for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(keep)) + 1):
        if not keep[run[0]] and len(run) > _LONGEST_MISFIT:
            keep[run] = True  # too long to guess: something else has changed
    return [f for f, k in zip(frames, keep) if k], best[keep]


def soundness(bodies: Bodies, rows: list[int]) -> np.ndarray:
    """[n] 0-1 for one frame's bodies: how well the bones explain the mask, less where the segmenter agrees more with another."""
    agree = bodies.agree[rows]
    return bodies.fit[rows] * np.sqrt(agree / max(float(agree.max()), 1e-6))


def _passes_agree(bodies: Bodies, rows: list[int]) -> bool:
    """Whether the passes with and against time saw the same body, the same side in front."""
    for a in rows:
        for b in rows:
            if bodies.back[a] and not bodies.back[b]:
                way = np.linalg.norm(bodies.keypoints[a, :, :2] - bodies.keypoints[b, :, :2], axis=1)[list(MAIN_JOINTS)].mean()
                turn = np.cos(raw_yaw(bodies, a, False) - raw_yaw(bodies, b, False))
                if way < 0.12 * max(bodies.torso[a], bodies.torso[b]) and turn > 0.85:
                    return True
    return False


def _points(bodies: Bodies, row: int, swap: bool) -> np.ndarray:
    """[12, 4] (x, y, z, score) of the main joints; z is against the other side's joint, for the model's lean is not to be
    trusted."""
    depth = bodies.depth[row]
    full = np.concatenate([bodies.keypoints[row, :, :2], 0.25 * (depth - depth[_SWAP])[:, None], bodies.keypoints[row, :, 2:]], 1)
    return full[_SWAP if swap else slice(None)][list(MAIN_JOINTS)]


def _link(a: np.ndarray, b: np.ndarray, torso: float, gap: int) -> np.ndarray:
    """[n, m] cost of going from one frame's options to the next frame's: the joints' way in torso lengths, bounded."""
    way = np.linalg.norm(a[:, None, :, :3] - b[None, :, :, :3], axis=-1) / torso
    weight = np.minimum(a[:, None, :, 3], b[None, :, :, 3]) + 0.1
    mean = (np.minimum(way, 0.8) * weight).sum(-1) / weight.sum(-1)
    # exchanging sides in one frame of a front or back view is no matter of votes: it cannot be
    needless = np.maximum(0.0, mean - np.maximum(mean.min(0, keepdims=True), mean.min(1, keepdims=True)) - _AMBIGUOUS)
    return (2 * mean + 50 * needless) / (1 + 0.1 * (gap - 1))


def _turning(angle: np.ndarray, gap: int) -> np.ndarray:
    """Cost of turning by `angle` (radians, any shape) within `gap` frames."""
    away = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    return _TURN * (1 - np.cos(angle)) + _SPIN * np.maximum(away - gap * _FASTEST, 0) / (np.pi - _FASTEST)


def _doubt(bodies: Bodies, row: int, torso: float) -> float:
    """Cost of believing a body: an unsure model, a torso shorter than usual, a mask that the segmenter does not confirm."""
    short = max(0.0, float(np.log(torso / max(bodies.torso[row], 1.0))) - 0.15)
    return 0.3 * (1 - float(bodies.score[row])) + short + 1.5 * (1 - float(bodies.agree[row])) + 2 * (1 - float(bodies.fit[row]))


def _votes(frames, options, path, points, bodies: Bodies, faces: np.ndarray, faceless: float) -> list[np.ndarray]:
    """Extra cost per option: of calling left what the model, where it is of one mind, calls right; of showing the back with a
    face."""
    turned = []  # per frame: +1 where the model's own labels are those of the path, -1 where they are exchanged
    for opts, k, pts in zip(options, path, points):
        same = [_agreement(pts, opts, k, i) for i, (_, swap) in enumerate(opts) if not swap]
        turned.append(float(np.mean([s for s in same if s is not None] or [0.0])))
    turned = np.array(turned)
    reach = min(_NEIGHBOURS, max(0, len(frames) - 1))
    kernel = np.ones(2 * reach + 1)
    local = (np.convolve(turned, kernel, "full")[reach : reach + len(turned)]
             / np.convolve(np.ones(len(turned)), kernel, "full")[reach : reach + len(turned)])  # fmt: skip
    side = np.sin([raw_yaw(bodies, *opts[k]) for opts, k in zip(options, path)])
    vote = _VOTE * np.sign(local) * local**2 * (0.5 + 2 * side**2)  # from the side the model errs less
    vote *= np.where([_faceless(bodies, opts[k][0]) for opts, k in zip(options, path)], faceless, 1.0)
    ahead = np.abs(np.cos([raw_yaw(bodies, *opts[k]) for opts, k in zip(options[:_BEGINNING], path)]))
    begin = np.flatnonzero(ahead > _CLEAR)[:_FIRST] if (ahead > _CLEAR).any() else np.arange(min(_FIRST, len(frames)))
    extra = []
    for i, (frame, opts, k, pts) in enumerate(zip(frames, options, path, points)):
        costs = np.zeros(len(opts))
        for j in range(len(opts)):
            like_path = _agreement(pts, opts, k, j)
            against = vote[i] if like_path is None else vote[i] * like_path
            costs[j] = max(0.0, -against)
            costs[j] += _face_cost(bodies, frame, opts[j], faces[frame])
        if i in begin and len(frames) > 1:
            costs += np.array([(1 - np.cos(raw_yaw(bodies, row, swap))) for row, swap in opts]) * _FRONT_FIRST / 2 / len(begin)
        extra.append(costs)
    return extra


def _agreement(points: np.ndarray, options, k: int, j: int) -> float | None:
    """+1 when option j puts left where option k does, -1 when the other way round, None when it is another body altogether."""
    here, there = points[k][:, :2], points[j][:, :2]
    mirror = [MAIN_JOINTS.index(_SWAP[m]) for m in MAIN_JOINTS]
    straight = np.linalg.norm(here - there, axis=1).mean()
    crossed = np.linalg.norm(here - there[mirror], axis=1).mean()
    if options[k][0] == options[j][0]:
        return 1.0 if options[k][1] == options[j][1] else -1.0
    size = np.linalg.norm(here[:2].mean(0) - here[6:8].mean(0))
    if min(straight, crossed) > 0.5 * size:
        return None
    return 1.0 if straight <= crossed else -1.0


def _faceless(bodies: Bodies, row: int) -> bool:
    """Whether the picture's top cuts the head off below the eyes."""
    points = bodies.keypoints[row]
    return bool(points[0, 1] < _NOSE_IN * np.linalg.norm(points[11:13, :2].mean(0) - points[23:25, :2].mean(0)))


def _face_cost(bodies: Bodies, frame: int, option: tuple[int, bool], face: np.ndarray) -> float:
    row, swap = option
    head = bodies.keypoints[row, :11, :2].mean(0)
    size = max(face[2] - face[0], face[3] - face[1])
    near = np.linalg.norm(head - (face[:2] + face[2:4]) / 2) < size
    if face[4] < 0 or not near or bodies.extent[row, 1] < 0.05 * size:
        return 0.0  # not looked for, another's face, or the head is cut off by the picture's edge
    seen = float(np.clip((face[4] - 0.7) / 0.2, -1, 1))
    front = float(np.cos(raw_yaw(bodies, row, swap)))
    return 0.5 * seen * max(0.0, -0.2 - front) if seen > 0 else -0.03 * seen * max(0.0, front - 0.2)


def raw_yaw(bodies: Bodies, row: int, swap: bool) -> float:
    """The torso's turn in one body, radians: 0 faces the camera, positive towards the picture's left."""
    x, z = _across(bodies.world[row], swap)
    return float(np.arctan2(-z, x))


def _across(world: np.ndarray, swap: bool) -> np.ndarray:
    """(x, z) from the person's right side to the left, shoulders and hips together."""
    step = (world[11] - world[12]) + (world[23] - world[24])
    return (-step if swap else step)[[0, 2]]


def _choice(options, points: np.ndarray, k: int, torso: float, bodies: Bodies) -> Choice:
    """The decision, joined by the other bodies that say the same."""
    row, swap = options[k]
    rows, swaps = [row], [swap]
    others = {r for r, _ in options if bodies.fit[r] > bodies.fit[row] - 0.06} - {row}
    for other in sorted(others):
        same = [j for j, (r, _) in enumerate(options) if r == other]
        best = min((np.linalg.norm(points[k][:, :2] - points[j][:, :2], axis=1).mean(), j) for j in same)
        if best[0] < 0.15 * torso:
            rows.append(other)
            swaps.append(options[best[1]][1])
    return Choice(row, tuple(rows), tuple(swaps))


def across(choice: Choice, bodies: Bodies) -> np.ndarray:
    """(x, z) of the body's right-to-left axis in one frame, mean of the bodies that agree."""
    return np.mean([_across(bodies.world[r], s) for r, s in zip(choice.rows, choice.swapped)], 0)
