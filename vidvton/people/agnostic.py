"""Clothing-agnostic frames: all that a new garment may need is greyed, so roundly that the old one cannot be read off.

After TryOnDiffusion (grey, then paste back what is not the garment) and HR-VITON (strokes along the limbs scaled by the body,
hands kept), with hair kept too and the region steady in time.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MisuseError
from ..frames import as_arrays, from_arrays
from ..values import CATEGORIES, CIHP_LABELS, AgnosticFrames, Clip, PersonTrack, PoseTrack
from .zones import Body, along, body_of, grid

LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}
GREY = 128
_WAIST = 0.9
_STEP = 4
_REACH = 3
_ALWAYS_KEPT = ("hat", "hair", "glove", "sunglasses", "face", "scarf", "left_shoe", "right_shoe", "socks")
_WORN = {"upper": ("upper", "coat"), "lower": ("pants", "skirt"), "full": ("upper", "coat", "pants", "skirt", "dress")}


def old_garment(labels: Tensor, pose: PoseTrack, category: str) -> Tensor:
    """[T, h, w] bool: the pixels of what a garment of `category` replaces. `labels` [T, h, w] uint8 CIHP; `pose` in the same
    pixels.

    Upper: upper and coat, and a dress above the waist; lower: pants and skirt, and a dress below it; full: all of them.
    """
    if category not in CATEGORIES:
        raise MisuseError(f"garment category {category!r} is not known, expected one of {', '.join(CATEGORIES)}")
    numbers = labels.numpy()
    out = np.isin(numbers, [LABEL[n] for n in _WORN[category]])
    if category != "full":
        for t in range(len(numbers)):
            dress = numbers[t] == LABEL["dress"]
            if dress.any():
                below = _below_waist(pose, t, numbers.shape[1:])
                out[t] |= dress & (below if category == "lower" else ~below)
    return torch.from_numpy(out)


def _below_waist(pose: PoseTrack, t: int, size: tuple[int, int]) -> np.ndarray:
    body = _body(pose, t)
    if body is None:
        return np.zeros(size, bool)
    cells = grid(size, 1)
    offset = cells - body.neck.astype(np.float32)
    return (offset @ body.down.astype(np.float32)) / np.float32(body.length) > _WAIST


def _body(pose: PoseTrack, t: int) -> Body | None:
    if not bool(pose.present[t]):
        return None
    return body_of(pose.keypoints[t].numpy(), float(pose.yaw[t]), pose.boxes[t].numpy())


def make_agnostic(clip: Clip, person: PersonTrack, category: str) -> AgnosticFrames:
    """The clip with the region of a new garment of `category` greyed, that region, and a quality per frame.

    Kept inside the region: hair, face, hands, shoes and what is held; for a lower garment the upper one and the arms; for an
    upper garment the lower one from below the hips. A frame without a person has an empty region and quality 0. The region of
    a frame depends on at most 3 frames on either side, all of the same shot.
    """
    if category not in CATEGORIES:
        raise MisuseError(f"garment category {category!r} is not known, expected one of {', '.join(CATEGORIES)}")
    labels, size = person.labels.numpy(), clip.size
    if labels.shape != (len(clip), *size):
        raise MisuseError(f"the person's labels are {labels.shape}, expected {(len(clip), *size)} as the clip; crop both alike")
    old = old_garment(person.labels, person.pose, category).numpy()
    bodies = [_body(person.pose, t) for t in range(len(clip))]
    cells = grid(size, _STEP)
    wishes = [_wish(b, old[t], cells, category) if b is not None else None for t, b in enumerate(bodies)]
    region, quality = np.zeros(labels.shape, bool), np.zeros(len(clip), np.float32)
    shots = person.pose.shots.tolist()
    for t, body in enumerate(bodies):
        if body is None:
            continue
        wide = _steady(t, wishes, bodies, shots)
        wide = cv2.resize(wide, (cells.shape[1] * _STEP, cells.shape[0] * _STEP), interpolation=cv2.INTER_LINEAR)
        full = wide[: size[0], : size[1]] > 0.5
        full &= ~_kept(labels[t], body, category, size)
        region[t] = full
        quality[t] = _quality(float(person.pose.quality[t]), old[t], full, labels[t], body)
    frames = as_arrays(clip.frames).copy()
    frames[region] = GREY
    return AgnosticFrames(from_arrays(frames), torch.from_numpy(region)[:, None], torch.from_numpy(quality))


def _wish(body: Body, old: np.ndarray, cells: np.ndarray, category: str) -> np.ndarray:
    """[h, w] float32 0-1 on the coarse grid: strokes along the body, joined with the old garment made wide and shapeless."""
    u = body.unit
    hull = np.zeros(cells.shape[:2], np.float32)

    def stroke(a: np.ndarray, b: np.ndarray, radius: float) -> None:
        np.maximum(hull, np.clip(1.5 - along(cells, a, b)[1] / (radius * u), 0, 1), out=hull)

    if category in ("upper", "full"):
        _torso(body, stroke)
        for chain, hand in zip(body.arms, body.hands):
            if chain is not None:
                stroke(chain[0], chain[1], 0.15)
                if len(chain) > 2:
                    stroke(chain[1], chain[1] + (chain[2] - chain[1]) * 0.97, 0.13)
            elif hand is not None:
                stroke(body.neck, hand[0], 0.13)
    if category in ("lower", "full"):
        _below(body, cells, hull, stroke)
    shape = cv2.resize(old.astype(np.float32), (cells.shape[1], cells.shape[0]), interpolation=cv2.INTER_AREA)
    sigma = max(0.05 * u / _STEP, 0.6)
    # Dilated by a disc and then blurred, an outline keeps no detail smaller than the disc.
    k = 2 * max(1, round(0.085 * u / _STEP)) + 1
    shape = cv2.dilate(shape, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    return cv2.GaussianBlur(np.maximum(hull, shape), (0, 0), sigma)


def _torso(body: Body, stroke) -> None:
    """Strokes over the trunk from the neck's root to the hips."""
    across = np.array([-body.down[1], body.down[0]])
    shoulder, hip = body.width[0] * 0.8, max(body.width[1] * 0.85, body.width[0] * 0.7)
    for s in (-1, 1):
        stroke(
            body.neck + across * s * shoulder * 0.75 + body.down * 0.06 * body.unit, body.pelvis + across * s * hip * 0.6, 0.18
        )
    stroke(body.neck - body.down * 0.02 * body.unit, body.pelvis, 0.19)
    stroke(body.neck + across * shoulder, body.neck - across * shoulder, 0.13)


def _below(body: Body, cells: np.ndarray, hull: np.ndarray, stroke) -> None:
    """Strokes from the waist to the ankles, and all that lies between the legs."""
    across = np.array([-body.down[1], body.down[0]])
    top = body.neck + body.down * body.length * 0.85
    for s in (-1, 1):
        stroke(top + across * s * body.width[1] * 0.5, body.pelvis + across * s * body.width[1] * 0.6, 0.18)
    corners = [body.pelvis]
    for chain in body.legs:
        if chain is None:
            continue
        for a, b in zip(chain[:-1], chain[1:]):
            stroke(a, b, 0.2)
        corners.extend(chain)
    if len(corners) >= 4:
        outline = cv2.convexHull(np.array(corners, np.float32) / _STEP).astype(np.int32)
        canvas = np.zeros(hull.shape, np.uint8)
        cv2.fillConvexPoly(canvas, outline, 1)
        np.maximum(hull, canvas, out=hull)


def _steady(t: int, wishes: list[np.ndarray | None], bodies: list[Body | None], shots: list[int]) -> np.ndarray:
    """The wishes of the frames around `t`, each moved so that its torso lies on this one's, averaged with weights that fall with
    distance in time and with how far the limbs moved; what a close frame wants is wanted here."""
    here = bodies[t]
    total, weight = wishes[t].copy(), 1.0
    for o in range(max(0, t - _REACH), min(len(wishes), t + _REACH + 1)):
        if o == t or wishes[o] is None or shots[o] != shots[t]:
            continue
        there = bodies[o]
        share = (1 - abs(o - t) / (_REACH + 1)) * float(np.exp(-((_moved(here, there) / 0.12) ** 2)))
        if share < 0.02:
            continue
        shift = ((here.neck + here.pelvis) - (there.neck + there.pelvis)) / 2 / _STEP
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        moved = cv2.warpAffine(wishes[o], matrix, wishes[o].shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        total += moved * share
        weight += share
    return np.maximum(total / weight, np.clip(wishes[t] * 1.0, 0, 1) * 0.75)


def _moved(a: Body, b: Body) -> float:
    """How far the limbs of two bodies differ, torsos laid on each other, in units of the body."""
    shift = ((a.neck + a.pelvis) - (b.neck + b.pelvis)) / 2
    gaps = [0.0]
    for one, two in zip((*a.arms, *a.legs), (*b.arms, *b.legs)):
        if one is not None and two is not None:
            n = min(len(one), len(two))
            gaps.append(float(np.linalg.norm(one[:n] - two[:n] - shift, axis=1).max()))
    return max(gaps) / a.unit


def _kept(labels: np.ndarray, body: Body, category: str, size: tuple[int, int]) -> np.ndarray:
    """[h, w] bool: what stays the source's own although it lies inside the region."""
    names = list(_ALWAYS_KEPT)
    if category == "lower":
        names += ["upper", "coat", "left_arm", "right_arm", "torso_skin"]
    kept = np.isin(labels, [LABEL[n] for n in names])
    cells = None
    if category != "lower":
        arms = np.isin(labels, [LABEL["left_arm"], LABEL["right_arm"]])
        for chain, hand in zip(body.arms, body.hands):
            if hand is None:
                continue
            cells = grid(size, _STEP) if cells is None else cells
            near = along(cells, hand[0], hand[1])[1] < 0.2 * body.unit
            if chain is not None and len(chain) > 2:  # beyond the wrist only
                way = chain[2] - chain[1]
                way = way / (np.linalg.norm(way) + 1e-6)
                near &= ((cells - chain[2].astype(np.float32)) @ way.astype(np.float32)) > -0.02 * body.unit
            kept |= arms & _enlarge(near, size)
    if category == "upper":
        cells = grid(size, _STEP) if cells is None else cells
        v = ((cells - body.neck.astype(np.float32)) @ body.down.astype(np.float32)) / np.float32(body.length)
        lower = np.isin(labels, [LABEL[n] for n in ("pants", "skirt", "left_leg", "right_leg")])
        kept |= lower & _enlarge(v > 1.06, size)
    return kept


def _enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    wide = cv2.resize(mask.astype(np.float32), (mask.shape[1] * _STEP, mask.shape[0] * _STEP), interpolation=cv2.INTER_LINEAR)
    return wide[: size[0], : size[1]] > 0.5


def _quality(pose: float, old: np.ndarray, region: np.ndarray, labels: np.ndarray, body: Body) -> float:
    """0-1: the pose's own quality, times how much of the old garment the region covers, times whether the person's labels are
    as large as a body of this size must be."""
    covered = float((old & region).sum()) / max(int(old.sum()), 1) if old.any() else 0.8
    area = float((labels > 0).sum()) / body.unit**2
    plausible = float(np.clip(area / 0.4, 0, 1))
    return float(np.clip(pose * covered**2 * plausible, 0, 1))
