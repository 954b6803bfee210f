"""One frame's opinions, once its bodies are known: the segmenter's, how far they agree, faces, colours, one mask of everybody."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidvton.people.arbitrate import arbitrate
from vidvton.people.estimators import Body, FaceFinder, PersonSegmenter
from vidvton.people.pictures import encode_mask, grid_of, resample, shrink
from vidvton.people.plausible import fit_to_mask

FACE_EVERY = 2
_SETTLED_SIDE = 352
_GRID = 96  # cells along each side of the frame on which masks are compared
_OVERLOOKED, _PLAIN = 0.5, 0.6  # share of a body's mask that the segmenter sees; presence times fit of who is plainly somebody
_SEEN = 0.4  # overlap of a body's mask with the segmenter's from which that sees them, looking at them alone
_ROUND = 17  # of a segmenter's 256 pixels: how far around a body what is seen of it alone may be its own
_SHARED = 0.3  # share of the smaller of two masks in which both lie, from which they may be one person's


@dataclass(frozen=True)
class Glance:
    """What the segmenter sees in a frame: soft `mask` [h, w] uint8 of the part `box` (xyxy), and for each body its `extents` [7]:
    xyxy and area of its own mask, its overlap with what of the segmenter's nobody else claims, its fit."""

    box: tuple[int, int, int, int]
    mask: np.ndarray
    extents: list[np.ndarray]


@dataclass(frozen=True)
class Opinions:
    """What is found in one frame once its bodies are known; see `candidates.Seen`."""

    second: bytes
    second_box: np.ndarray
    face: np.ndarray
    looks: list[np.ndarray]
    masks: list[bytes]
    extents: list[np.ndarray]


def glance(segmenter: PersonSegmenter, picture: np.ndarray, bodies: list[Body], before: Glance | None = None) -> Glance:
    """The segmenter's word on `picture`; `before`, where given, is what it said for the first of `bodies`, and need not be asked
    for again where the others change nothing in where to look."""
    box = _people_box(bodies, picture.shape)
    known = before.extents if before is not None and before.box == box else []
    mask = before.mask if known else segmenter.segment(_part(picture, box))
    own = [_cells(b.mask, b.to_frame, picture.shape) for b in bodies]
    fits = [float(e[6]) for e in known] + [fit_to_mask(b) for b in bodies[len(known) :]]
    plain = np.array([b.score * fit >= _PLAIN for b, fit in zip(bodies, fits)], bool)
    extents, seen = [], _cells(mask, grid_of(box, mask.shape), picture.shape)
    for row, body in enumerate(bodies):
        claimed = _claimed(row, own, plain)
        extents.append(_extent(own[row], seen, claimed, fits[row], picture.shape))
        if row < len(known):
            extents[row][5] = max(extents[row][5], known[row][5])
            continue
        around = _people_box([body], picture.shape)
        if not plain[row] or around == box or (own[row] & seen).sum() >= _OVERLOOKED * own[row].sum():
            continue
        # Of people far apart the segmenter sees one: who is plainly somebody and overlooked is looked at alone.
        look = segmenter.segment(_part(picture, around))
        placed, to_frame = grid_of(around, look.shape), grid_of(box, mask.shape)
        alone = _extent(own[row], _cells(look, placed, picture.shape), claimed, fits[row], picture.shape)
        if alone[5] > max(extents[row][5], _SEEN):
            near = cv2.dilate(resample(body.mask, body.to_frame, to_frame, mask.shape), np.ones((_ROUND, _ROUND)))
            mask = np.maximum(mask, np.minimum(resample(look, placed, to_frame, mask.shape), near))
            extents[row], seen = alone, _cells(mask, to_frame, picture.shape)
    return Glance(box, mask, extents)


def _claimed(row: int, own: list[np.ndarray], plain: np.ndarray) -> np.ndarray:
    """[_GRID, _GRID] bool: what others than body `row` have of the picture: those who are plainly somebody, and beside it, not
    the same person or a part of them."""
    out = np.zeros((_GRID, _GRID), bool)
    for other, mask in enumerate(own):
        if other != row and plain[other] and (mask & own[row]).sum() < _SHARED * min(mask.sum(), own[row].sum()):
            out |= mask
    return out


def _part(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    return picture[y0:y1, x0:x1]


def form_opinions(
    faces: FaceFinder, index: int, picture: np.ndarray, bodies: list[Body], backs: list[bool], seen: Glance
) -> Opinions:
    """All that is kept of frame number `index`; `backs` says which bodies are from the pass against time."""
    mask = _settled(picture, bodies, backs, seen)
    face = np.array([0, 0, 0, 0, -1], np.float32)
    if index % FACE_EVERY == 0 and bodies:
        face = _face(faces, picture, bodies)
    box = np.array(seen.box, np.float32)
    looks, masks = [_look(picture, b) for b in bodies], [encode_mask(b.mask) for b in bodies]
    return Opinions(encode_mask(mask), box, face, looks, masks, seen.extents)


def _people_box(bodies: list[Body], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of the picture to look at for a second opinion: around all believable bodies, or the whole."""
    height, width = shape[:2]
    tall = [b for b in bodies if np.ptp(b.keypoints[11:29, 1]) > 0.2 * height]
    if not tall:
        return 0, 0, width, height
    points = np.concatenate([b.keypoints[:, :2] for b in tall])
    low, high = points.min(0), points.max(0)
    margin = 0.2 * (high - low).max()
    x0, y0 = np.clip(low - margin, 0, (width - 32, height - 32)).astype(int)
    x1, y1 = np.clip(high + margin, (x0 + 32, y0 + 32), (width, height)).astype(int)
    if (x1 - x0) * (y1 - y0) > 0.6 * width * height:
        return 0, 0, width, height
    return int(x0), int(y0), int(x1), int(y1)


def worth_belief(score: np.ndarray, fit: np.ndarray, agree: np.ndarray) -> np.ndarray:
    """Which bodies are no phantoms, by the three measures of `Seen`: bones that explain their mask, on somebody whom the
    segmenter sees too. (In an empty room a phantom reaches 0.36.)"""
    return (score * fit * np.sqrt(agree) > 0.38) | ((agree > 0.7) & (score * fit > 0.3))


def _sound(extent: np.ndarray) -> float:
    return float(extent[6] * np.sqrt(extent[5]))


def _believed(body: Body, extent: np.ndarray) -> bool:
    return bool(worth_belief(np.float32(body.score), extent[6], extent[5]))


def _settled(picture: np.ndarray, bodies: list[Body], backs: list[bool], seen: Glance) -> np.ndarray:
    """The segmenter's mask and the bodies' own, made one."""
    (x0, y0, x1, y1), extents = seen.box, seen.extents
    scale = min(1.0, _SETTLED_SIDE / max(x1 - x0, y1 - y0))
    size = (max(8, round((y1 - y0) * scale)), max(8, round((x1 - x0) * scale)))
    grid = grid_of(seen.box, size)
    opinions, weights = [cv2.resize(seen.mask, size[::-1], interpolation=cv2.INTER_LINEAR)], [1.4]
    best = max([_sound(e) for b, e in zip(bodies, extents) if _believed(b, e)], default=0.0)
    for side in (False, True):
        mine = [b for b, back, e in zip(bodies, backs, extents) if back == side and _believed(b, e) and _sound(e) > best - 0.15]
        if mine:
            opinions.append(np.max([resample(b.mask, b.to_frame, grid, size) for b in mine], 0))
            weights.append(1.0)
    part = shrink(picture[y0:y1, x0:x1], size)
    return arbitrate(part, np.stack(opinions), np.array(weights))


def _face(finder, picture: np.ndarray, bodies: list[Body]) -> np.ndarray:
    """The best face in the head's surroundings of the surest body; score 0 where none, -1 where there is no head to look at."""
    height, width = picture.shape[:2]
    best = np.array([0, 0, 0, 0, -1], np.float32)
    done: list[np.ndarray] = []
    for body in sorted(bodies, key=lambda b: -b.score):
        head = body.keypoints[:11, :2].mean(0)
        shoulders = body.keypoints[11:13, :2].mean(0)
        size = max(np.linalg.norm(shoulders - head), 12.0)
        if any(np.linalg.norm(head - other) < size for other in done):
            continue
        done.append(head)
        x0, y0, x1, y1 = (int(v) for v in (*(head - 1.6 * size), *(head + 1.6 * size)))
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
        if head[1] < 0 or head[1] > height or x1 - x0 < size or y1 - y0 < size:
            continue
        rows = finder.find(picture[y0:y1, x0:x1])
        row = np.zeros(5, np.float32)
        row[:4] = (x0, y0, x1, y1)
        if len(rows):
            row = rows[rows[:, 4].argmax()] + np.array([x0, y0, x0, y0, 0], np.float32)
        if row[4] > best[4]:
            best = row
    return best


def _extent(own: np.ndarray, other: np.ndarray, claimed: np.ndarray, fit: float, shape: tuple[int, ...]) -> np.ndarray:
    """[7] float32: xyxy and area of a body's mask in a frame of `shape`, its overlap (IoU) with the segmenter's mask where nobody
    else claims it, its fit; the masks as `_cells`."""
    height, width = shape[:2]
    ys, xs = np.nonzero(own)
    if not len(xs):
        return np.zeros(7, np.float32)
    cell = width * height / _GRID**2
    agree = (own & other & ~claimed).sum() / max(1, ((own | other) & ~claimed).sum())
    edges = (xs.min() * width, ys.min() * height, (xs.max() + 1) * width, (ys.max() + 1) * height)
    return np.array([*(e / _GRID for e in edges), len(xs) * cell, agree, fit], np.float32)


def _cells(mask: np.ndarray, to_frame: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[_GRID, _GRID] bool: a soft mask over the whole frame of `shape`, which `to_frame` [2, 3] takes its pixels to."""
    size = (_GRID, _GRID)
    return resample(mask, to_frame, grid_of((0, 0, shape[1], shape[0]), size), size) > 127


def _look(picture: np.ndarray, body: Body) -> np.ndarray:
    """[128] float32 colours of a body: 64 bins of Lab above the hips, 64 below, each half summing to one."""
    side = 48
    step = body.mask.shape[0] / side
    matrix = body.to_frame.astype(np.float64).copy()
    matrix[:, :2] *= step
    small = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    mask = shrink(body.mask, (side, side)) > 127
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1, 3) // 64
    code = lab[:, 0].astype(int) * 16 + lab[:, 1] * 4 + lab[:, 2]
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    ys = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    hips = body.keypoints[23:25, 1].mean()
    out = []
    for part in ((ys < hips) & mask, (ys >= hips) & mask):
        counts = np.bincount(code[part.ravel()], minlength=64)[:64].astype(np.float32)
        out.append(counts / max(1.0, counts.sum()))
    return np.concatenate(out)
