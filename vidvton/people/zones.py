"""Where on the body a pixel lies, from the joints alone: soft memberships of body parts and the place along each of them.

All sizes scale with the body's `unit`, the length of the torso seen upright, so nothing here is in pixels. A joint whose score is
under MISSING is not there: its limb has no zone, shoulders and hips are stood in for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MISSING = 0.15

NOSE, EYES, EARS, MOUTH = 0, (2, 5), (7, 8), (9, 10)
SHOULDERS, ELBOWS, WRISTS, HANDS = (11, 12), (13, 14), (15, 16), ((17, 19, 21), (18, 20, 22))
HIPS, KNEES, ANKLES, HEELS, TOES = (23, 24), (25, 26), (27, 28), (29, 30), (31, 32)

TORSO_V, TORSO_LAT, LIMB = 16, 4, 16
"""Bins: along the torso (from 0.3 above the shoulders to 0.3 below the hips), across it (half width), along a limb."""


@dataclass(frozen=True)
class Body:
    """One frame's body in picture pixels, every joint it needs either seen or stood in for.

    `unit` torso length upright; `neck`, `pelvis` (x, y) mid shoulders and mid hips; `down` unit vector from neck to pelvis;
    `length` of the torso as seen; `width` half width at the shoulders and at the hips; `head` centre, `face` centre and
    `chin`, None when unknown; `arms`, `legs` per side (left, right) three points or None; `hands`, `feet` per side two points
    or None; `back` 0-1, how far the person shows the back.
    """

    unit: float
    neck: np.ndarray
    pelvis: np.ndarray
    down: np.ndarray
    length: float
    width: tuple[float, float]
    head: np.ndarray | None
    face: np.ndarray | None
    chin: np.ndarray
    arms: tuple[np.ndarray | None, np.ndarray | None]
    hands: tuple[np.ndarray | None, np.ndarray | None]
    legs: tuple[np.ndarray | None, np.ndarray | None]
    feet: tuple[np.ndarray | None, np.ndarray | None]
    back: float


def _middle(points: np.ndarray, there: np.ndarray, pair: tuple[int, ...]) -> np.ndarray | None:
    seen = [points[j] for j in pair if there[j]]
    return np.mean(seen, axis=0) if seen else None


def _distance(points: np.ndarray, there: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b])) if there[a] and there[b] else 0.0


def body_of(keypoints: np.ndarray, yaw: float, box: np.ndarray, *, unit: float | None = None) -> Body | None:
    """The body of one frame, or None when neither a shoulder nor a hip was found.

    `keypoints` [33, 3], `box` xyxy (used for the size only when no limb tells it), `unit` the size to use instead of this
    frame's own."""
    points, there = keypoints[:, :2].astype(np.float64), keypoints[:, 2] >= MISSING
    neck, pelvis = _middle(points, there, SHOULDERS), _middle(points, there, HIPS)
    if neck is None and pelvis is None:
        return None
    own = body_unit(keypoints, box)
    unit = own if unit is None else unit
    down = np.array([0.0, 1.0])
    if neck is None:
        neck = pelvis - down * unit
    if pelvis is None:
        pelvis = neck + down * unit
    length = float(np.linalg.norm(pelvis - neck))
    if length > 0.25 * unit:
        down = (pelvis - neck) / length
    else:
        length = 0.25 * unit
    span = [_distance(points, there, *pair) / 2 for pair in (SHOULDERS, HIPS)]
    width = (max(span[0] * 1.2, 0.24 * unit), max(span[1] * 1.55, 0.24 * unit))

    seen_face = [points[j] for j in (NOSE, *EYES, *MOUTH) if there[j]]
    seen_ears = [points[j] for j in EARS if there[j]]
    face = np.mean(seen_face, axis=0) if seen_face else None
    mouth, eyes = _middle(points, there, MOUTH), _middle(points, there, EYES)
    head = np.mean([*seen_ears, *seen_face], axis=0) if seen_face or seen_ears else None
    if mouth is not None and eyes is not None:
        chin = mouth + (mouth - eyes) * 0.7
    else:
        chin = neck - down * 0.22 * unit
    if head is not None:
        up = head - neck
        up = up / (np.linalg.norm(up) + 1e-6)
        head = head + up * 0.06 * unit

    def chain(joints: tuple[int, ...]) -> np.ndarray | None:
        run = []
        for j in joints:
            if not there[j]:
                break
            run.append(points[j])
        return np.array(run) if len(run) >= 2 else None

    def hand(side: int) -> np.ndarray | None:
        tip = _middle(points, there, HANDS[side][:2])
        if not there[WRISTS[side]]:
            return None
        wrist = points[WRISTS[side]]
        if tip is None:
            elbow = ELBOWS[side]
            if not there[elbow]:
                return None
            tip = wrist + (wrist - points[elbow]) * 0.25
        return np.array([wrist, wrist + (tip - wrist) * 1.9])  # the tip is the knuckles

    def foot(side: int) -> np.ndarray | None:
        seen = [points[j] for j in (ANKLES[side], HEELS[side], TOES[side]) if there[j]]
        if not seen or not there[ANKLES[side]]:
            return None
        return np.array([seen[0], seen[-1], seen[len(seen) // 2]])

    return Body(
        unit=unit, neck=neck, pelvis=pelvis, down=down, length=length, width=width, head=head, face=face, chin=chin,
        arms=tuple(chain((SHOULDERS[s], ELBOWS[s], WRISTS[s])) for s in (0, 1)),
        hands=tuple(hand(s) for s in (0, 1)),
        legs=tuple(chain((HIPS[s], KNEES[s], ANKLES[s])) for s in (0, 1)),
        feet=tuple(foot(s) for s in (0, 1)),
        back=float(1 / (1 + np.exp(-(abs(yaw) - np.pi / 2) / 0.2))),
    )  # fmt: skip


def body_unit(keypoints: np.ndarray, box: np.ndarray) -> float:
    """The torso's length were it seen upright, in pixels: the longest of what torso, shoulders, thighs and upper arms suggest, as
    foreshortening only ever shortens; a third of the box's height when none of them is there. Never below one pixel."""
    points, there = keypoints[:, :2], keypoints[:, 2] >= MISSING
    neck, pelvis = _middle(points, there, SHOULDERS), _middle(points, there, HIPS)
    guesses = []
    if neck is not None and pelvis is not None:
        guesses.append(float(np.linalg.norm(pelvis - neck)))
    guesses.append(1.35 * _distance(points, there, *SHOULDERS))
    for side in (0, 1):
        guesses.append(0.95 * _distance(points, there, HIPS[side], KNEES[side]))
        guesses.append(1.0 * _distance(points, there, KNEES[side], ANKLES[side]))
        guesses.append(1.45 * _distance(points, there, SHOULDERS[side], ELBOWS[side]))
    best = max(guesses)
    height = float(box[3] - box[1])
    if best <= 1:
        best = height / 3
    elif height > 1:
        best = min(best, 0.9 * height)
    return max(best, 1.0)


def grid(size: tuple[int, int], step: int) -> np.ndarray:
    """[ceil(h / step), ceil(w / step), 2] float32 (x, y) centres of cells of `step` pixels."""
    h, w = -(-size[0] // step), -(-size[1] // step)
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.stack([(xs + 0.5) * step, (ys + 0.5) * step], axis=-1)


def along(grid: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place 0-1 along the segment a-b, distance to it in pixels), each [h, w]."""
    axis = (b - a).astype(np.float32)
    px, py = grid[..., 0] - np.float32(a[0]), grid[..., 1] - np.float32(a[1])
    t = np.clip((px * axis[0] + py * axis[1]) / max(float(axis @ axis), 1e-3), 0, 1)
    dx, dy = px - t * axis[0], py - t * axis[1]
    return t, np.sqrt(dx * dx + dy * dy)


def soft(distance: np.ndarray) -> np.ndarray:
    """1 inside, one half at a distance of 1, a hundredth from about 2 on."""
    d2 = distance * distance
    return 1 / (1 + d2 * d2 * d2)


@dataclass(frozen=True)
class Zones:
    """Soft parts on a coarse grid [h, w]. `torso`, `torso_bin`; `head`, `face`, `nape` (neck and beside it); per side `arm` with
    `arm_bin`, `hand`, `leg` with `leg_bin`, `foot`; `carried` where things hang from a hand; `v` the place along the torso (0
    shoulders, 1 hips), `lat` across it in half widths."""

    torso: np.ndarray
    torso_bin: np.ndarray
    head: np.ndarray
    face: np.ndarray
    nape: np.ndarray
    arm: tuple[np.ndarray, np.ndarray]
    arm_bin: tuple[np.ndarray, np.ndarray]
    hand: tuple[np.ndarray, np.ndarray]
    leg: tuple[np.ndarray, np.ndarray]
    leg_bin: tuple[np.ndarray, np.ndarray]
    foot: tuple[np.ndarray, np.ndarray]
    carried: np.ndarray
    v: np.ndarray
    lat: np.ndarray


def zones_of(body: Body, grid: np.ndarray) -> Zones:
    """The zones of `body` on `grid` (see `grid`)."""
    u = np.float32(body.unit)
    zero, zero_bin = np.zeros(grid.shape[:2], np.float32), np.zeros(grid.shape[:2], np.int32)
    rel = grid - body.neck.astype(np.float32)
    down = body.down.astype(np.float32)
    v = (rel[..., 0] * down[0] + rel[..., 1] * down[1]) / np.float32(body.length)
    side = rel[..., 0] * down[1] - rel[..., 1] * down[0]
    half = np.float32(body.width[0]) + np.clip(v, 0, 1) * np.float32(body.width[1] - body.width[0])
    lat = np.abs(side) / half
    torso = soft(lat / 1.05) * soft(np.maximum(-v - 0.02, 0) / 0.1) * soft(np.maximum(v - 1.08, 0) / 0.12)
    v_bin = np.clip(((v + 0.3) / 1.6 * TORSO_V).astype(np.int32), 0, TORSO_V - 1)
    torso_bin = v_bin * TORSO_LAT + np.clip((lat * TORSO_LAT / 1.2).astype(np.int32), 0, TORSO_LAT - 1)

    head = face = zero
    if body.head is not None:
        _, d = along(grid, body.head, body.head)
        head = soft(d / (0.3 * u))
    if body.face is not None:
        _, d = along(grid, body.face, (body.face + body.chin) / 2)
        face = soft(d / (0.16 * u)) * np.float32(1 - 0.9 * body.back)
    top = body.chin + (body.neck - body.chin) * 0.15
    _, d = along(grid, top, body.neck + body.down * 0.05 * body.length)
    nape = soft(d / (0.15 * u))

    arm, arm_bin, hand, leg, leg_bin, foot = ([], [], [], [], [], [])
    carried = zero
    for s in (0, 1):
        m, b = _limb(grid, body.arms[s], (0.14 * u, 0.11 * u)) if body.arms[s] is not None else (zero, zero_bin)
        arm.append(m), arm_bin.append(b)
        h = zero
        if body.hands[s] is not None:
            h = soft(along(grid, *body.hands[s])[1] / (0.13 * u))
            below = body.hands[s][1] + (0, 0.5 * body.unit)
            carried = np.maximum(carried, soft(along(grid, body.hands[s][1], below)[1] / (0.28 * u)))
        hand.append(h)
        m, b = _limb(grid, body.legs[s], (0.2 * u, 0.15 * u), start=0.12) if body.legs[s] is not None else (zero, zero_bin)
        leg.append(m), leg_bin.append(b)
        f = zero
        if body.feet[s] is not None:
            a, b2, c = body.feet[s]
            low = a + (b2 - a) * 0.35
            f = np.maximum(soft(along(grid, low, b2)[1] / (0.13 * u)), soft(along(grid, low, c)[1] / (0.13 * u)))
        foot.append(f)
    return Zones(torso, torso_bin, head, face, nape, tuple(arm), tuple(arm_bin), tuple(hand),
                 tuple(leg), tuple(leg_bin), tuple(foot), carried, v, lat)  # fmt: skip


def _limb(grid: np.ndarray, chain: np.ndarray, radii: tuple[float, float], start: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    first = chain[0] + (chain[1] - chain[0]) * start
    t, d = along(grid, first, chain[1])
    t = start + t * (1 - start)
    near, place = d / radii[0], t
    if len(chain) > 2:
        t2, d2 = along(grid, chain[1], chain[2])
        d2 = d2 / radii[1]
        closer = d2 < near
        near, place = np.where(closer, d2, near), np.where(closer, 1 + t2, place)
    return soft(near), np.minimum((place * (LIMB / 2)).astype(np.int32), LIMB - 1)
