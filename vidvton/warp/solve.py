"""A shot's measurements made whole: what `body.measure_frame` saw in every frame, brought together with past and future."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vidvton.smoothing import running_median, whittaker
from vidvton.warp.body import (
    ARMPIT,
    ARMS,
    AVERAGE_ARM,
    AVERAGE_LEG,
    BARE_LEG,
    COLUMN,
    FRONT,
    LEGS,
    LIMB,
    SIDE,
    TOP,
    BodyMeasure,
    column_axis,
    limb_axis,
)

PARTLY, STEADY = 0.7, 4  # share of its width under which an arm is partly hidden, usual over frames to each side
HIGHEST = 0.3  # torso lengths that a waist may be seen above where it usually is
INNER_LEG, LEAN = (0.39, 1.81), (0.95, 1.6)  # leg stations where trousers show how wide a leg is at most; that against a bare one
HARDLY = 0.5  # half-widths of a leg beside its middle line from which a joint does not lie well on it
AT_JOINTS = np.array([4, 5, 6]), np.array([8, 9])  # indices of leg stations that tell where its knee is, its ankle
MOSTLY_CLOTHED = 1.5  # limb station from which on too little of a limb is bare to tell where all of it lies


@dataclass(frozen=True)
class Body:
    """A shot's body, solved over time: `keypoints` [T, 33, 3] steadied, `edges` [T, K, 2], `arms` and `legs` [T, 2, S, 2] in
    torso lengths about a middle line that lies `arm_offsets`, `leg_offsets` [T, 2, S] beside the bones, `unit` [T] pixels,
    and how the old clothes are worn in this shot: `hem`, `waist`, `runs_on` column stations, `cuffs`, `trouser_hems` [2] limb
    stations (NaN: none). `waists` [T] is how much higher than `waist` the lower garment begins in each frame, 0 or less: of
    people who turn aside the hips are seen lower. `hidden` [T, 2] bool: the trunk lies before a part of the arm."""

    keypoints: np.ndarray
    edges: np.ndarray
    arms: np.ndarray
    legs: np.ndarray
    arm_offsets: np.ndarray
    leg_offsets: np.ndarray
    unit: np.ndarray
    hem: float
    waist: float
    waists: np.ndarray
    runs_on: float
    cuffs: np.ndarray
    trouser_hems: np.ndarray
    shoulder: float
    bare_arm: np.ndarray
    bare_leg: np.ndarray
    hidden: np.ndarray

    def old_hem(self, index: int) -> float:
        """The station at which the old trousers end on one leg; what the other leg tells where that is not seen, else NaN."""
        own, other = self.trouser_hems[index], self.trouser_hems[1 - index]
        return float(own if np.isfinite(own) else other)

    @cached_property
    def lean_legs(self) -> np.ndarray:
        """[2, S] half-widths in torso lengths: the largest bare legs that fit, over this shot, into what is worn on each."""
        usual = np.median(np.ptp(self.legs, axis=-1) / 2, axis=0)
        inner = slice(*np.searchsorted(LIMB, INNER_LEG))
        share = (usual[:, inner] / self.bare_leg[inner]).min(1)
        return np.clip(share, *LEAN)[:, None] * self.bare_leg


def solve_body(measure: BodyMeasure, keypoints: np.ndarray, yaw: np.ndarray, *, rate: float = 25.0) -> Body:
    """The measurements of one shot made whole: smoothed with past and future, gaps filled from what the shot itself shows of
    the body.

    `keypoints` [T, 33, 3] and `yaw` [T] as in PoseTrack; `rate` in frames/s sets how much smoothing a second gets.
    """
    seen = measure.visible.astype(np.float64)
    strength = (rate / 25.0) ** 4
    steady = steady_joints(_on_legs(measure, keypoints), measure.visible, rate)
    measure = _about(measure, keypoints, steady)
    keypoints = steady
    unit = np.exp(whittaker(np.log(np.maximum(measure.unit, 1e-3)), seen, 2000.0 * strength))
    facing = np.abs(np.cos(yaw))[:, None]
    expected = np.sqrt((FRONT * facing) ** 2 + (SIDE**2) * (1 - facing**2))
    edges = _solve_edges(measure, expected, unit, strength)
    top = _shoulder_edges(keypoints, yaw, unit, measure.visible, strength)
    blend = np.clip((COLUMN - TOP) / (ARMPIT - TOP), 0, 1)[None, :, None]
    edges = top[:, None] * (1 - blend) + edges * blend
    cuffs, hems = (np.array([_typical(c) for c in ends.T]) for ends in (measure.cuffs, measure.trouser_hems))
    arms, arm_offsets = _solve_limbs(measure.arms, measure.arms_trust, AVERAGE_ARM, cuffs, seen, strength)
    legs, leg_offsets = _solve_limbs(measure.legs, measure.legs_trust, AVERAGE_LEG, hems, seen, strength)
    waist = _typical(measure.waist, 0.3)  # what hangs over it, or a side view, only ever lets it begin lower
    with np.errstate(all="ignore"):
        return Body(
            steady,
            edges,
            arms,
            legs,
            arm_offsets,
            leg_offsets,
            unit,
            _typical(measure.hem),
            waist,
            _raised_waists(measure.waist, waist, seen, strength),
            _typical(measure.runs_on, 0.9),
            cuffs,
            hems,
            _typical(np.where(facing[:, 0] > 0.6, measure.shoulder, np.nan)),
            _bare(measure.slimness[:, 0], AVERAGE_ARM),
            _bare(measure.slimness[:, 1], BARE_LEG),
            _hidden(measure.shown, measure.slimness[:, 0]),
        )


def _raised_waists(waists: np.ndarray, usual: float, seen: np.ndarray, strength: float) -> np.ndarray:
    """[T] how far above its `usual` station the lower garment begins, 0 or less, by what the frames show (`waists` [T], NaN where
    unseen; `seen` [T] 0-1), smooth in time."""
    known = np.isfinite(waists) & (seen > 0)
    if not np.isfinite(usual) or not known.any():
        return np.zeros(len(waists))
    rise = np.where(known, np.clip(waists - usual, -HIGHEST, 0), 0)
    return np.minimum(whittaker(rise, known + 0.01 * seen, 6.0 * strength), 0)


def _hidden(shown: np.ndarray, slimness: np.ndarray) -> np.ndarray:
    """[T, 2] bool: whether so little of an arm shows beside the trunk's cloth (`shown` [T, 2]) that some of it must be behind, by
    how wide this person's arms are where all of them is seen (`slimness` [T]). Short gaps are bridged."""
    out = np.zeros(shown.shape, bool)
    whole = slimness[np.isfinite(slimness)]
    frames = np.arange(len(shown))
    for k, found in enumerate(shown.T):
        known = frames[np.isfinite(found)]
        if len(whole) and len(known) > min(2, len(frames) - 1):
            share = np.interp(frames, known, found[known]) / np.quantile(whole, 1 / 3)
            after = np.searchsorted(known, frames)
            away = np.minimum(*(np.abs(frames - known[np.clip(at, 0, len(known) - 1)]) for at in (after - 1, after)))
            out[:, k] = (running_median(share, STEADY) < PARTLY) & (away <= 2 * STEADY)
    return out


def _bare(slimness: np.ndarray, average: np.ndarray) -> np.ndarray:
    """An average limb's half-widths [S], scaled to what is seen of this person's bare limbs (`slimness` [T])."""
    seen = slimness[np.isfinite(slimness)]
    # Cloth or another limb that is taken for its outline only ever widens it: the lower third is the limb's own.
    enough = len(seen) > 2 or len(slimness) < 3 and len(seen)
    return average * (np.clip(np.quantile(seen, 0.33), 0.65, 1.2) if enough else 1.0)


def steady_joints(keypoints: np.ndarray, visible: np.ndarray, rate: float) -> np.ndarray:
    """[T, 33, 3]: joints without the jumps of a frame or two that a pose model makes where limbs are hard to see, and without
    trembling.

    A median over a fifth of a second takes the jumps, a light penalised smoothing the rest; at a few frames a second nothing is
    done."""
    out = keypoints.astype(np.float64).copy()
    rows = np.flatnonzero(visible)
    half = int(round(0.1 * rate))
    if half < 1 or len(rows) < 2 * half + 3:
        return out
    points = out[rows, :, :2]
    padded = np.pad(points, ((half, half), (0, 0), (0, 0)), mode="edge")
    calm = np.median(np.stack([padded[k : k + len(points)] for k in range(2 * half + 1)]), axis=0)
    score = np.clip(keypoints[rows, :, 2], 0.05, 1).repeat(2, axis=1)
    out[rows, :, :2] = whittaker(calm.reshape(len(rows), -1), score, 1.5 * (rate / 25.0) ** 4).reshape(points.shape)
    return out


def _on_legs(measure: BodyMeasure, keypoints: np.ndarray) -> np.ndarray:
    """`keypoints` [T, 33, 3] with knees and ankles that lie beside the leg, or hardly on it, put back where it is seen."""
    out = keypoints.astype(np.float64).copy()
    half = np.ptp(measure.legs, axis=-1) / 2
    sure = measure.legs_trust.min(-1) * (half > 0.8 * BARE_LEG) * (half < 1.7 * AVERAGE_LEG)
    middles = measure.legs.mean(-1)
    off = np.sign(middles) * np.maximum(np.abs(middles) - HARDLY * half, 0)
    for k, joints in enumerate(LEGS):
        for joint, stations in zip(joints[1:], AT_JOINTS):
            weight, rows = sure[:, k, stations], measure.visible & (sure[:, k, stations].sum(-1) > 0)
            way = (weight * off[:, k, stations]).sum(-1) / np.maximum(weight.sum(-1), 1e-9) * measure.unit
            for t in np.flatnonzero(rows & (way != 0)):
                _, across = limb_axis(keypoints[t, :, :2].astype(np.float64), joints)
                out[t, joint, :2] += across[stations].mean(0) * way[t]
    return out


def _about(measure: BodyMeasure, before: np.ndarray, after: np.ndarray) -> BodyMeasure:
    """The measurements, taken about the lines of the joints `before`, told about those of the joints `after` [T, 33, 3]
    instead."""
    edges, arms, legs = measure.edges.copy(), measure.arms.copy(), measure.legs.copy()
    for t in np.flatnonzero(measure.visible):
        old, new = before[t, :, :2].astype(np.float64), after[t, :, :2].astype(np.float64)
        pairs = [(edges[t], column_axis(old), column_axis(new))]
        for limbs, joints in ((arms, ARMS), (legs, LEGS)):
            pairs += [(limbs[t, k], limb_axis(old, j), limb_axis(new, j)) for k, j in enumerate(joints)]
        for values, (was, _), (now, across) in pairs:
            values += (((was - now) * across).sum(-1) / measure.unit[t])[:, None]
    return replace(measure, edges=edges, arms=arms, legs=legs)


def _typical(values: np.ndarray, share: float = 0.5) -> float:
    known = values[np.isfinite(values)]
    enough = len(known) > max(2, 0.1 * len(values)) or len(values) < 4 and len(known)
    return float(np.quantile(known, share)) if enough else float("nan")


def _solve_edges(measure: BodyMeasure, expected: np.ndarray, unit: np.ndarray, strength: float) -> np.ndarray:
    signs = np.array([-1.0, 1.0])
    prior = expected[..., None] * signs
    ratio = measure.edges * (measure.unit / unit)[:, None, None] / prior
    trust = measure.edges_trust * np.clip((1.75 - ratio) / 0.3, 0, 1) * np.clip((ratio - 0.45) / 0.15, 0, 1)
    # What this shot shows of the body, station by station, stands in where an arm hides the edge.
    learned = np.ones(len(COLUMN))
    for k in range(len(COLUMN)):
        r, w = ratio[:, k].ravel(), trust[:, k].ravel()
        sure = w > 0.5
        learned[k] = np.median(r[sure]) if sure.sum() >= 3 else np.nan
    known = np.isfinite(learned)
    learned = np.interp(COLUMN, COLUMN[known], learned[known]) if known.any() else np.ones(len(COLUMN))
    learned = np.clip(learned, 0.75, 1.4)
    out = np.empty_like(measure.edges)
    for side in (0, 1):
        weight = trust[:, :, side].copy()
        # Where an arm hides the edge the trunk reaches at least as far as it is seen.
        behind = (weight == 0) & (ratio[..., side] > learned) & (ratio[..., side] < 1.45) & (COLUMN > ARMPIT)
        weight[behind] = 0.3
        anchor = 0.03 * measure.visible[:, None]
        value = (weight * np.nan_to_num(ratio[:, :, side]) + anchor * learned) / np.maximum(weight + anchor, 1e-9)
        smooth = whittaker(value, weight + anchor, 6.0 * strength)
        out[..., side] = np.clip(smooth, 0.5, 1.8) * prior[..., side]
    return out


def _shoulder_edges(keypoints: np.ndarray, yaw: np.ndarray, unit: np.ndarray, visible: np.ndarray, strength: float) -> np.ndarray:
    """Where the shoulder seams are on the top line, signed, in torso lengths: [T, 2]."""
    out = np.zeros((len(keypoints), 2))
    for t in np.flatnonzero(visible):
        points = keypoints[t, :, :2].astype(np.float64)
        centres, across = column_axis(points)
        origin = int(np.searchsorted(COLUMN, -1e-6))
        offset = sorted(float((points[j] - centres[origin]) @ across[origin]) / unit[t] for j in (11, 12))
        depth = 0.17 * abs(np.sin(yaw[t])) + 0.07 * abs(np.cos(yaw[t]))
        out[t] = min(offset[0] - depth, -0.16), max(offset[1] + depth, 0.16)
    return whittaker(out, visible.astype(float), 2.0 * strength)


def _solve_limbs(
    edges: np.ndarray, trust: np.ndarray, prior: np.ndarray, cloth: np.ndarray, seen: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """(half-widths [T, 2, S, 2] signed, offsets [T, 2, S]) of two limbs about their bones; `cloth` [2] is the station at which
    each gets bare (NaN: at none).

    Where both edges of a limb are seen, best where it is bare, their middle corrects the joints' line, along the whole limb; each
    side is smoothed on
    its own; where unsure, the shot's median stands in, and that within reason of an average limb.
    """
    widths, offsets = np.empty_like(edges), np.empty(edges.shape[:3])
    for limb in (0, 1):
        covered = 0.05 if cloth[limb] < MOSTLY_CLOTHED else 0.2
        bare = np.where(LIMB > cloth[limb], 1.0, covered) if cloth[limb] < LIMB[-1] else np.ones(len(LIMB))
        offset = offsets[:, limb] = _middle_line(edges[:, limb], trust[:, limb] * bare[:, None], prior, seen, strength)
        for side, sign in ((0, -1.0), (1, 1.0)):
            values = np.maximum(sign * (edges[:, limb, :, side] - offset), 0.0)
            weight = trust[:, limb, :, side]
            typical = np.array(
                [np.median(v[w > 0.5]) if (w > 0.5).sum() >= 3 else p for v, w, p in zip(values.T, weight.T, prior)]
            )
            typical = np.clip(typical, 0.7 * prior, 2.4 * prior)
            weight = weight * (values < 1.8 * typical)
            anchor = 0.05 * seen[:, None]
            mixed = (weight * values + anchor * typical) / np.maximum(weight + anchor, 1e-9)
            widths[:, limb, :, side] = sign * whittaker(mixed, weight + anchor, 6.0 * strength)
    return widths, offsets


def _middle_line(edges: np.ndarray, trust: np.ndarray, prior: np.ndarray, seen: np.ndarray, strength: float) -> np.ndarray:
    """How far a limb's middle lies beside its bone, [T, S] torso lengths: smooth along the limb and in time, within reason."""
    width = edges[..., 1] - edges[..., 0]
    whole = (width > 0.9 * prior) & (width < 3.4 * prior) & (LIMB > 0.3)
    weight = trust.min(-1) * whole
    middle_ = np.clip(edges.mean(-1), -0.22, 0.22)
    smooth = whittaker(middle_, weight + 0.01 * seen[:, None], 6.0 * strength)
    amount = whittaker(weight, seen, 6.0 * strength).clip(0, 1)
    along = whittaker(np.where(amount > 0.02, smooth, 0).T, amount.T + 0.02, 0.6, order=2).T
    return along * np.clip(LIMB / 0.6, 0, 1)
