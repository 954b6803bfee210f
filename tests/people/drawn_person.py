"""A drawn person with known labels: skin, hair, a top with sleeves, trousers, shoes, on a textured ground."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vidvton.frames import from_arrays
from vidvton.values import CIHP_LABELS, PoseTrack

LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}
SKIN, HAIR, TOP, TROUSERS, SHOES = (205, 150, 125), (45, 30, 25), (60, 120, 190), (60, 60, 65), (230, 230, 225)

# Upright, facing the camera, in units of the torso from the middle of the shoulders; the person's left is on the picture's right.
_JOINTS = {
    0: (0, -0.42), 2: (0.06, -0.47), 5: (-0.06, -0.47), 7: (0.14, -0.43), 8: (-0.14, -0.43), 9: (0.05, -0.33), 10: (-0.05, -0.33),
    11: (0.34, 0), 12: (-0.34, 0), 13: (0.46, 0.5), 14: (-0.46, 0.5), 15: (0.52, 0.95), 16: (-0.52, 0.95),
    23: (0.19, 1), 24: (-0.19, 1), 25: (0.21, 1.85), 26: (-0.21, 1.85), 27: (0.22, 2.65), 28: (-0.22, 2.65),
    29: (0.22, 2.73), 30: (-0.22, 2.73), 31: (0.26, 2.8), 32: (-0.26, 2.8),
}  # fmt: skip


def joints(unit: float, centre: tuple[float, float], *, left_wrist: tuple[float, float] | None = None) -> np.ndarray:
    """[33, 3] keypoints of a person whose mid shoulders are at `centre`; `left_wrist` in torso units moves that forearm."""
    table = dict(_JOINTS)
    if left_wrist is not None:
        table[15] = left_wrist
    for wrist, elbow, fingers in ((15, 13, (17, 19, 21)), (16, 14, (18, 20, 22))):
        way = np.subtract(table[wrist], table[elbow])
        for f in fingers:
            table[f] = tuple(np.add(table[wrist], way / np.linalg.norm(way) * 0.12))
    out = np.zeros((33, 3), np.float32)
    for j in range(33):
        x, y = table.get(j, table[0])
        out[j] = (centre[0] + x * unit, centre[1] + y * unit, 0.95)
    return out


def draw(points: np.ndarray, unit: float, size: tuple[int, int], *, top=TOP, wide: float = 1.0, long_sleeve: bool = False,
         skirt: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(picture [h, w, 3] uint8, labels [h, w] uint8, silhouette [h, w] uint8). `wide` scales the top's width."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 190, (size[0] // 16 + 1, size[1] // 16 + 1, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    picture[..., 0] = picture[..., 0] // 2
    labels = np.zeros(size, np.uint8)
    p = points[:, :2]

    def put(mask: np.ndarray, colour, name: str) -> None:
        picture[mask > 0] = colour
        labels[mask > 0] = LABEL[name]

    def line(a, b, radius: float, colour, name: str) -> None:
        mask = np.zeros(size, np.uint8)
        cv2.line(mask, tuple(np.round(a).astype(int)), tuple(np.round(b).astype(int)), 1, max(1, round(2 * radius * unit)))
        put(mask, colour, name)

    neck, pelvis = (p[11] + p[12]) / 2, (p[23] + p[24]) / 2
    for s, (hip, knee, ankle, toe) in enumerate(((23, 25, 27, 31), (24, 26, 28, 32))):
        colour, name = (SKIN, ("left_leg", "right_leg")[s]) if skirt else (TROUSERS, "pants")
        line(p[hip], p[knee], 0.17, colour, name)
        line(p[knee], p[ankle], 0.12, colour, name)
        line(p[ankle] + (0, 0.09 * unit), p[toe], 0.1, SHOES, ("left_shoe", "right_shoe")[s])
    if skirt:
        mask = np.zeros(size, np.uint8)
        ends = [p[24] - (0.2 * unit, 0), p[23] + (0.2 * unit, 0), p[25] + (0.25 * unit, 0), p[26] - (0.25 * unit, 0)]
        cv2.fillPoly(mask, [np.round(ends).astype(int)], 1)
        put(mask, TROUSERS, "skirt")
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(
        mask, tuple(np.round(p[0] - (0, 0.06 * unit)).astype(int)), (round(0.2 * unit), round(0.26 * unit)), 0, 0, 360, 1, -1
    )
    put(mask, HAIR, "hair")
    line(neck - (0, 0.25 * unit), neck, 0.09, SKIN, "torso_skin")
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(
        mask, tuple(np.round(p[0] + (0, 0.02 * unit)).astype(int)), (round(0.14 * unit), round(0.19 * unit)), 0, 0, 360, 1, -1
    )
    put(mask, SKIN, "face")
    side = np.array([unit, 0.0])
    hull = np.array([neck - side * 0.4, neck + side * 0.4, pelvis + side * 0.33 * wide, pelvis - side * 0.33 * wide])
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(
        mask, [np.round(hull + [(0, -0.04 * unit), (0, -0.04 * unit), (0, 0.08 * unit), (0, 0.08 * unit)]).astype(int)], 1
    )
    put(mask, top, "upper")
    for name, (shoulder, elbow, wrist, finger) in (("right_arm", (12, 14, 16, 20)), ("left_arm", (11, 13, 15, 19))):
        line(p[elbow], p[wrist], 0.07, SKIN, name)
        line(p[wrist], p[wrist] + (p[finger] - p[wrist]) * 1.7, 0.075, SKIN, name)
        line(p[shoulder], p[elbow], 0.08, SKIN, name)
        line(p[shoulder], p[shoulder] + (p[elbow] - p[shoulder]) * 0.55, 0.11 * wide, top, "upper")
        if long_sleeve:
            line(p[shoulder], p[elbow], 0.1, top, "upper")
            line(p[elbow], p[wrist], 0.09, top, "upper")
    picture = np.clip(picture.astype(np.int16) + rng.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)
    silhouette = cv2.GaussianBlur((labels > 0).astype(np.uint8) * 255, (0, 0), max(0.8, unit / 60))
    return cv2.GaussianBlur(picture, (0, 0), 0.7), labels, silhouette


def track(points: np.ndarray) -> PoseTrack:
    """A PoseTrack of keypoints [T, 33, 3], all present, facing the camera, one shot."""
    xy, n = points[..., :2], len(points)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).astype(np.float32)
    return PoseTrack(torch.from_numpy(boxes), torch.from_numpy(points.astype(np.float32)), torch.zeros(n, 33), torch.zeros(n),
                     torch.ones(n, dtype=torch.bool), torch.ones(n), torch.zeros(n, dtype=torch.int64))  # fmt: skip


def clip(count: int = 5, *, size: tuple[int, int] = (320, 240), scale: float = 1.0, crossing: bool = False, **how):
    """(frames [T, 3, h, w], pose, silhouettes [T, h, w], labels [T, h, w]) of a person who sways a little."""
    size = (round(size[0] * scale), round(size[1] * scale))
    unit = 78.0 * scale
    rows = []
    for t in range(count):
        centre = (size[1] / 2 + 3 * scale * np.sin(t / 2), 66 * scale)
        points = joints(unit, centre, left_wrist=(0.0, 0.35) if crossing else None)
        rows.append((points, *draw(points, unit, size, **how)))
    points, pictures, labels, silhouettes = (np.stack(x) for x in zip(*rows))
    return from_arrays(pictures), track(points), torch.from_numpy(silhouettes), labels


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum()) / max(int((a | b).sum()), 1)
