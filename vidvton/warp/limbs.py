"""Bare limbs as the layers ask for them: where an arm or leg lies, pixel by pixel, and how a bent one runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidvton.smoothing import running_median
from vidvton.values import CIHP_LABELS, Part
from vidvton.warp.body import BARE_ARM, UPPER, picked
from vidvton.warp.drape import PanelMap, enlarge
from vidvton.warp.fit import WIDE, FittedPanel, Fold
from vidvton.warp.flat import SLEEVES
from vidvton.warp.solve import MOSTLY_CLOTHED, STEADY

HAND = 0.6  # limb stations from the wrist to the fingers
BENT = 0.5  # cosine between upper arm and forearm under which an arm is bent
SEEN = 0.6  # share of a bare forearm that must be seen as skin
SHORT, PAST = 1.1, 0.1  # limb station above which sleeves end that leave forearms bare; how far past a sleeve's end no cloth is
ON_ARM, ARM = 0.8, 1.5  # half-widths from an arm's middle that are surely on it, and that all of it may be
CLOTHED, FREE = 0.6, 0.8  # shares of a forearm that is labelled as cloth, and of background beside one that stands free
STRANGE, LIGHT = 0.035, (0.5, 1.3)  # chromaticity off the skin's at which a colour is none; how dark and light skin may be
_ARMS = {Part.LEFT_SLEEVE: CIHP_LABELS.index("left_arm"), Part.RIGHT_SLEEVE: CIHP_LABELS.index("right_arm")}


@dataclass(frozen=True)
class Course:
    """How a limb runs: `middle` [N, 2] points at `stations` [N], and `half` [N, 2] from there to its right side."""

    stations: np.ndarray
    middle: np.ndarray
    half: np.ndarray

    def moved(self, corner: tuple[int, int]) -> Course:
        """The same in pixels from `corner` (x, y)."""
        return replace(self, middle=self.middle - corner)

    def below(self, station: float, size: tuple[int, int], *, wide: float = 1.0) -> np.ndarray:
        """[h, w] bool of (h, w) `size`: the limb from `station` to the fingers, `wide` times as wide as it is."""
        at = np.append(self.stations[self.stations > station], self.stations[-1] + HAND)
        at = np.insert(at, 0, station)
        last = (self.middle[-1] - self.middle[-2]) / (self.stations[-1] - self.stations[-2])
        middle, half = (np.stack([np.interp(at, self.stations, a[:, k]) for k in (0, 1)], -1) for a in (self.middle, self.half))
        middle += np.maximum(at - self.stations[-1], 0)[:, None] * last
        outline = np.concatenate([middle - wide * half, (middle + wide * half)[::-1]])
        out = np.zeros(size, np.uint8)
        return cv2.fillPoly(out, [np.rint(16 * (outline - 0.5)).astype(np.int32)], 1, shift=4) > 0


@dataclass(frozen=True)
class Limb:
    """A bare limb at working size: `side` [h, w] from -1 to 1 across it where it lies, `across` [h, w] from 0 on its middle line
    to 1 at its sides and beyond, `station` [h, w], `near` its depth; `course` its lower end, where that lies in front; `end` the
    station where the shot's old garment usually ends on it; `clothed` says that it is as wide as what is worn on it."""

    part: Part
    side: np.ndarray
    across: np.ndarray
    station: np.ndarray
    near: float
    course: Course | None = None
    end: float = np.inf
    clothed: bool = False


def limb_on(m: PanelMap, size: tuple[int, int], course: Course | None = None, end: float = np.inf) -> Limb:
    """The limb of a map, enlarged to (height, width) `size`. Beside its lattice the map is a mean of what lies around, which may
    seem to come nearer again: nothing there lies nearer than the lattice's edge."""
    away = np.where(m.reach > 0, np.abs(m.across), np.maximum(np.abs(m.across), WIDE[-1]))
    across = np.dstack([np.clip(m.across, -1, 1), away.astype(np.float32), m.station])
    return Limb(m.part, *cv2.split(enlarge(across, size)), m.near, course, end)


def bare_forearms(
    frame: np.ndarray,
    labels: np.ndarray,
    limbs: Sequence[FittedPanel],
    t: int,
    ends: Mapping[Part, float],
    skin: np.ndarray,
) -> np.ndarray:
    """`labels` [h, w] of frame `t` in which forearms that stand free of the body are arms where they were taken for cloth, though
    the shot's sleeves, which end at the stations `ends`, leave them bare: in backlight an arm looks like the top. `frame`
    [h, w, 3] uint8 has to be about as `skin` [3] 0-1 there."""
    cuff = min((ends[part] for part in SLEEVES if part in ends), default=np.inf) + PAST
    if cuff > SHORT:
        return labels
    out, cloth = labels, picked(labels, UPPER)
    for limb in (limb for limb in limbs if limb.panel.part in SLEEVES):
        course = _course(limb, t)
        beyond = course.below(2.0, labels.shape, wide=3 * ARM)
        on, all_of_it, around = (course.below(cuff, labels.shape, wide=wide) for wide in (ON_ARM, ARM, 2 * ARM))
        on, beside = on & ~beyond, around & ~all_of_it & ~beyond
        if not on.any() or not beside.any() or cloth[on].mean() < CLOTHED or (labels[beside] == 0).mean() < FREE:
            continue
        arm = all_of_it & cloth
        if _may_be(frame[arm].mean(0) / 255, skin):
            out = np.where(arm, np.uint8(_ARMS[limb.panel.part]), out)
    return out


def _may_be(colour: np.ndarray, skin: np.ndarray) -> bool:
    """Whether a `colour` [3] is that of `skin` [3], somewhat darker or lighter."""
    strange = np.abs(colour / max(colour.sum(), 1e-3) - skin / max(skin.sum(), 1e-3)).max()
    return bool(strange < STRANGE and LIGHT[0] < colour.sum() / max(skin.sum(), 1e-3) < LIGHT[1])


def _course(limb: FittedPanel, t: int) -> Course:
    left, middle, right = limb.points[t].transpose(1, 0, 2)
    return Course(limb.controls, middle, (right - left) / 2)


def folded_arm(limb: FittedPanel, t: int, labels: np.ndarray) -> Course | None:
    """How an arm runs in frame `t` whose bare forearm is bent over its upper arm, by the `labels` [h, w]; None for others."""
    if limb.over is None or not limb.over[t] or not _is_bent(limb, t):
        return None
    course = _course(limb, t)
    forearm = course.below(1.25, labels.shape, wide=0.7)
    return course if forearm.any() and BARE_ARM[labels[forearm]].mean() > SEEN else None


def folds_of(
    limbs: Sequence[FittedPanel], t: int, labels: np.ndarray, ends: Mapping[Part, float]
) -> tuple[dict[Part, Course | None], dict[Part, Fold]]:
    """What `folded_arm` says of every one of `limbs` in frame `t`, and how each lies over itself; the old garment ends on them at
    the stations `ends`. Of a clothed forearm the pose's depth has to tell; one that should be bare and is not seen in front lies
    behind."""
    courses = {limb.panel.part: folded_arm(limb, t, labels) for limb in limbs}
    folds: dict[Part, Fold] = {}
    for limb in limbs:
        part, folds[limb.panel.part] = limb.panel.part, "none"
        if limb.over is not None and _is_bent(limb, t):
            in_front = courses[part] is not None or (ends.get(part, 0) > MOSTLY_CLOTHED and limb.over[t])
            folds[part] = "over" if in_front else "under"
    return courses, folds


def steady_folds(rows: Sequence[Mapping[Part, Fold]]) -> list[dict[Part, Fold]]:
    """What `folds_of` says of every frame of a shot, without changes of a few frames: what is seen of a forearm trembles."""
    out: list[dict[Part, Fold]] = [{} for _ in rows]
    for part in rows[0] if rows else ():
        said = np.array([row[part] for row in rows])
        bent, over = (running_median(flags.astype(np.float64), STEADY) > 0.5 for flags in (said != "none", said == "over"))
        for row, b, o in zip(out, bent, over):
            row[part] = "none" if not b else "over" if o else "under"
    return out


def _is_bent(limb: FittedPanel, t: int) -> bool:
    upper, lower = np.diff(limb.points[t, :, 1], axis=0)[[0, -1]]
    return float(upper @ lower) <= BENT * float(np.linalg.norm(upper) * np.linalg.norm(lower))
