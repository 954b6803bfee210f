"""Everything one person wears anew during one shot, fitted once and drawn frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidvton.values import Garment, Part
from vidvton.warp.body import LIMB, UPPER, picked
from vidvton.warp.canvas import Canvas, Layer, enlarged_layer
from vidvton.warp.drape import PanelMap, enlarge, map_panel, part_of
from vidvton.warp.fit import FittedPanel, Fold, fit_panels, is_billowing, is_snug
from vidvton.warp.flat import is_halter, is_strapless
from vidvton.warp.layers import (
    DRESS,
    SLEEVES,
    TROUSER_LEGS,
    Dressing,
    draw_order,
    labelled,
    old_cloth,
    panel_layer,
)
from vidvton.warp.limbs import bare_forearms, folds_of, limb_on, steady_folds
from vidvton.warp.lock import Shift, lock_to_cloth
from vidvton.warp.panels import Panel, bare_limbs, bare_trunk, panels_for
from vidvton.warp.shade import Albedo, Reader, make_reader, rounded, shading, without_glare
from vidvton.warp.soft import soften
from vidvton.warp.solve import Body
from vidvton.warp.texture import make_texture
from vidvton.warp.undress import fill, kept_in_front

STEPS = ((45.0, 2, 2), (90.0, 2, 4), (np.inf, 4, 8))
"""(torso in working pixels up to which it holds, working pixels a raster cell of cloth, of the bare limbs): a cell must stay well
below the width of a wrist."""
DEFAULT_SKIN = np.float32([0.75, 0.60, 0.52])
DEFAULT_WAIST = 0.72
LEAST_FRAMES = 3  # of a shot whose motion is followed
WIDEST = 3.0  # how much wider than a bare leg what is worn on it may be
HIDES = 0.01  # of the square of a leg's length, that a long top covers at least
LONG_TOP, LONG_TOPS = 0.2, UPPER & ~labelled("dress")  # of a leg's length that a top hides; labels of such tops

Motion = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Starts the shot's optical flow and labels: frame by frame `(flow [h, w, 2] working pixels, labels [H, W])`."""
Scene = Callable[[tuple[int, int]], tuple[np.ndarray, np.ndarray]] | None
"""Gives the background (picture uint8, known bool) at a (height, width); None where other frames tell nothing."""


@dataclass(frozen=True)
class Wear:
    """One garment on one shot: `fitted` panels and their `shifts`, frame by frame, that hold them to the old cloth's motion
    (None: there is no motion to follow)."""

    dressing: Dressing
    fitted: tuple[FittedPanel, ...]
    shifts: tuple[list[Shift | None] | None, ...]


@dataclass(frozen=True)
class Drawn:
    """One garment in one frame, on the part of the crop that `canvas` describes.

    `under` [h/2, w/2, 3] float32 0-255 (cells of two working pixels) with `under_alpha` [h, w] goes where the old garment was;
    `layers` (output size) on top from back to front, all unlit cloth times `light` [h, w].
    """

    under: np.ndarray
    under_alpha: np.ndarray
    layers: tuple[Layer, ...]
    light: np.ndarray
    canvas: Canvas


@dataclass(frozen=True)
class Outfit:
    """The wears of one shot, and what drawing them needs: the bare `limbs` (legs under new tops alone as wide as what is worn on
    them), the stations where the old garment `ends` on them, how they lie over themselves frame by frame (`folds`; None: every
    frame tells for itself), and the bare `trunk` where a garment has no trunk of its own."""

    wears: tuple[Wear, ...]
    limbs: tuple[FittedPanel, ...]
    ends: Mapping[Part, float]
    trunk: FittedPanel | None
    reader: Reader
    skin: np.ndarray
    yaw: np.ndarray
    folds: Sequence[Mapping[Part, Fold]] | None
    step: int
    limb_step: int

    def draw(self, t: int, frame: np.ndarray, labels: np.ndarray, size: tuple[int, int], *, behind: Scene = None) -> list[Drawn]:
        """Frame `t` of the shot, one entry a garment: `frame` [h, w, 3] uint8 and `labels` [h, w] at working size, the cloth
        drawn at output `size` (height, width). `behind` gives the background as other frames saw it, at any (height, width)
        asked for."""
        raster = _raster(labels.shape, self.limb_step)
        labels = bare_forearms(frame, labels, self.limbs, t, self.ends, self.skin[0])
        asked = [p for p in self.limbs if self._is_asked(p, t, labels)]
        courses, folds = folds_of(asked, t, labels, self.ends)
        folds = folds if self.folds is None else self.folds[t]
        limbs = [map_panel(p, t, self.yaw[t], raster, step=self.limb_step, fold=folds[p.panel.part]) for p in asked]
        trunk = None if self.trunk is None else map_panel(self.trunk, t, self.yaw[t], raster, step=self.limb_step)
        drawn = (self._draw_wear(wear, t, frame, labels, size, limbs, trunk, behind, courses, folds) for wear in self.wears)
        return [d for d in drawn if d is not None]

    def _draw_wear(self, wear: Wear, t: int, frame, labels, size, limb_maps, trunk_map, behind, courses, folds) -> Drawn | None:
        step, raster = self.step, _raster(labels.shape, self.step)
        shifts = (None if shift is None or shift[t] is None else shift[t].on(raster, step) for shift in wear.shifts)
        maps = [
            map_panel(p, t, self.yaw[t], raster, step=step, offset=shift, fold=folds.get(p.panel.part, "none"))
            for p, shift in zip(wear.fitted, shifts)
        ]
        # All that follows happens in the part of the crop that old or new cloth can touch.
        block = _touched(maps, labels, wear.dressing.category, step)
        if block is None:
            return None
        top, bottom, left, right = block
        canvas = Canvas((left, top), (size[1] / labels.shape[1], size[0] / labels.shape[0]), size)
        scene = (
            None
            if behind is None
            else tuple(a[top // 2 : bottom // 2, left // 2 : right // 2] for a in behind(_half(labels.shape)))
        )
        frame, labels = np.ascontiguousarray(frame[top:bottom, left:right]), np.ascontiguousarray(labels[top:bottom, left:right])
        maps = [_window(m, block, step) for m in maps]
        limb_maps = [_window(m, block, self.limb_step) for m in limb_maps]
        light, unread = shading(frame, labels, self.reader)
        legs = {m.part: enlarge(np.abs(m.across), labels.shape) for m in maps if m.part in TROUSER_LEGS}
        whole = None if trunk_map is None or not legs else _window(trunk_map, block, self.limb_step)
        trunk = next((m for m in maps if m.part in (Part.TORSO, Part.SKIRT)), None)
        column = trunk if whole is None else whole
        trunk = None if trunk is None else column  # a jumpsuit's own ends at the waist
        if column is not None:
            column = enlarge(np.abs(column.across), labels.shape), enlarge(column.station, labels.shape)
        across = None if column is None else column[0]
        courses = {part: None if course is None else course.moved((left, top)) for part, course in courses.items()}
        arms = [limb_on(m, labels.shape, courses[m.part], self._end(m)) for m in limb_maps if m.part in SLEEVES]
        old = old_cloth(labels, wear.dressing.category, column, wear.dressing.waist, arms)
        under, under_alpha, bare = self._undress(wear, frame, labels, old, light, trunk, limb_maps, scene)
        order = draw_order(maps)
        hems = [f.panel.hem for f in wear.fitted]
        mates = dict(zip(TROUSER_LEGS, (legs.get(p) for p in reversed(TROUSER_LEGS))))
        layers = [
            panel_layer(maps[i], hems[i], wear.dressing, labels, old, across, arms, canvas, step, mates.get(maps[i].part))
            for i in order
        ]
        layers = [rounded(x, maps[i], unread, canvas, step) for x, i in zip(layers, order)]
        # Skin bared in front of the trunk lies over it, and under the near sleeve.
        at = sum(not (maps[i].part in SLEEVES and maps[i].near <= 0) for i in order)
        layers[at:at] = [enlarged_layer(colour, alpha, canvas, cell=2.0) for colour, alpha in bare]
        light = without_glare(light, wear.dressing.fabric)
        return Drawn(under, under_alpha, tuple(x for x in layers if x is not None), light, canvas)

    def _is_of_tops(self) -> bool:
        return all(wear.dressing.category == "upper" for wear in self.wears)

    def _is_asked(self, limb: FittedPanel, t: int, labels: np.ndarray) -> bool:
        """Whether a bare limb has a say in frame `t`: before a leg nothing of a top lies but of a long one."""
        if limb.panel.part in SLEEVES or not self._is_of_tops():
            return True
        middle = limb.points[t, :, 1, 1]
        top, bottom = (int(np.clip(y, 0, len(labels))) for y in (middle[0] + LONG_TOP * (middle[-1] - middle[0]), middle[-1]))
        return bool(top < bottom and picked(labels[top:bottom], LONG_TOPS).sum() > HIDES * (bottom - top) ** 2)

    def _end(self, limb: PanelMap) -> float:
        return self.ends.get(limb.part, np.inf)

    def _undress(self, wear: Wear, frame, labels, old, light, trunk, limb_maps, scene):
        """What is under the old garment, at half working size: it is smooth, and mostly covered."""
        half = _half(labels.shape)
        small, few = (cv2.resize(a, half[::-1], interpolation=cv2.INTER_NEAREST) for a in (labels, old.astype(np.uint8)))
        picture, dim = (cv2.resize(a, half[::-1], interpolation=cv2.INTER_AREA) for a in (frame, light))
        limbs = [limb_on(m, half, end=self._end(m)) for m in limb_maps]
        if self._is_of_tops():
            limbs = [replace(limb, clothed=limb.part in TROUSER_LEGS) for limb in limbs]
        place = None if trunk is None else (enlarge(np.abs(trunk.across), half), enlarge(trunk.station, half))
        bared = fill(picture, small, few > 0, wear.dressing, place, limbs, self.skin, dim, scene)
        kept = kept_in_front(labels)
        kept[cv2.resize(bared.hems.astype(np.uint8), kept.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = False
        grown = cv2.dilate(old.astype(np.uint8), np.ones((7, 7))).astype(bool) & ~kept
        return bared.picture, soften(grown), bared.bare


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 2, size[1] // 2


def _touched(maps: list[PanelMap], labels: np.ndarray, category: str, step: int) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) in working pixels, multiples of 8, around all that old or new cloth can touch; None if
    nothing."""
    few = labels[::step, ::step]
    near = old_cloth(few, "full", None, 0.0) if category == "full" else old_cloth(few, category, None, 0.0)
    if category == "upper":
        near = near | (few == DRESS)
    for m in maps:
        across = np.abs(m.across[: few.shape[0], : few.shape[1]])
        near = near | (across < 1.1) | ((across < 1.4) & (few > 0))
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if not len(rows):
        return None
    top, left = max(0, (rows[0] * step - 20) // 8 * 8), max(0, (columns[0] * step - 20) // 8 * 8)
    bottom, right = (
        -(-(min(n, limit // 8 * 8)) // 8) * 8
        for n, limit in ((rows[-1] * step + 24, labels.shape[0]), (columns[-1] * step + 24, labels.shape[1]))
    )
    return (top, bottom, left, right) if bottom - top >= 16 and right - left >= 16 else None


def _window(m: PanelMap, block: tuple[int, int, int, int], step: int) -> PanelMap:
    top, bottom, left, right = (n // step for n in block)
    return part_of(m, slice(top, bottom), slice(left, right))


def _raster(size: tuple[int, int], step: int) -> tuple[int, int]:
    return -(-size[0] // step), -(-size[1] // step)


def fit_outfit(
    garments: tuple[Garment, ...],
    body: Body,
    albedo: Albedo,
    keypoints: np.ndarray,
    depth: np.ndarray,
    yaw: np.ndarray,
    *,
    zoom: float = 1.0,
    motion: Motion | None = None,
    flow_step: float = 8.0,
    untucked: bool = False,
) -> Outfit:
    """Fits every garment to one shot. `keypoints` [T, 33, 3], `depth` [T, 33] in working pixels, `yaw` [T] radians; `zoom`
    output pixels a working pixel (how large the picture must be kept); with `motion`, whose flow has cells of `flow_step`
    working pixels, the cloth follows the old cloth's surface; `untucked`, tops hang over what is worn below."""
    wears = []
    limbs = fit_panels(bare_limbs(), body, keypoints, depth, yaw)
    old = {p: float(end) for p, end in zip((*SLEEVES, *TROUSER_LEGS), (*body.cuffs, *body.trouser_hems)) if np.isfinite(end)}
    folds = None
    if motion is not None and len(yaw) >= LEAST_FRAMES:
        folds = steady_folds([folds_of(limbs, t, labels, old)[1] for t, (_, labels) in enumerate(motion())])
    for garment in garments:
        panels = panels_for(garment, body, untucked=untucked)
        first = panels[0]
        # Picture pixels a torso length, read off the panel itself, decide how large the picture must stay.
        flat = float(np.ptp(first.lattice[:, 0, 1]) / max(np.ptp(first.stations), 1e-6))
        scale = float(np.clip(1.25 * np.median(body.unit) * zoom / flat, 0.05, 1.0))
        grows = {"over_hem": _same_hem(panels, body), "over_top": not (is_strapless(garment) or is_halter(garment))}
        texture = make_texture(garment, scale=scale, torso=flat, **grows).under(albedo.lamp)
        factor = np.float32(texture.front.shape[0] / garment.alpha.shape[0])
        fitted = fit_panels(tuple(_scaled(p, factor) for p in panels), body, keypoints, depth, yaw)
        waist = body.waist if np.isfinite(body.waist) else DEFAULT_WAIST
        ends = {p.part: p.hem for p in panels if p.part in SLEEVES}
        legs = {p.part: p.hem for p in panels if p.part in TROUSER_LEGS}
        snug = frozenset(legs) if any(is_snug(p, body) for p in panels) else frozenset()
        billows = any(is_billowing(p, body) for p in panels)
        fabric = garment.fabric.numpy() * albedo.lamp
        worn = {"tucked": first.tucked, "snug": snug, "hangs": first.hangs, "billows": billows}
        dressing = Dressing(garment.category, texture, ends, waist=waist, leg_ends=legs, fabric=fabric, **worn)
        wears.append(Wear(dressing, fitted, _lock(fitted, yaw, motion, folds, flow_step)))
    skin = albedo.skin if np.isfinite(albedo.skin).all() else np.stack([DEFAULT_SKIN * albedo.lamp] * 2)
    if all(g.category == "upper" for g in garments):
        limbs = tuple(_clothed(limb, body) for limb in limbs)
    trunk = None
    if any(f.panel.part in TROUSER_LEGS for wear in wears for f in wear.fitted):
        (trunk,) = fit_panels((bare_trunk(),), body, keypoints, depth, yaw)
    step, limb_step = next(steps for most, *steps in STEPS if np.median(body.unit) < most)
    return Outfit(tuple(wears), limbs, old, trunk, make_reader(albedo), skin, yaw, folds, step, limb_step)


def _same_hem(panels: tuple[Panel, ...], body: Body) -> bool:
    """Whether the new garment ends where the old one does."""
    lowest = panels[-1] if panels[-1].part in TROUSER_LEGS else panels[0]
    legs = lowest.part in TROUSER_LEGS and np.isfinite(body.trouser_hems).any()
    old = np.nanmean(body.trouser_hems) if legs else body.hem
    return bool(lowest.tucked or abs(lowest.hem - old) < 0.15)


def _clothed(limb: FittedPanel, body: Body) -> FittedPanel:
    """A bare leg made as wide as what is usually worn on it in this shot; an arm as it is."""
    if limb.panel.part not in TROUSER_LEGS:
        return limb
    usual = np.median(np.ptp(body.legs[:, TROUSER_LEGS.index(limb.panel.part)], axis=-1) / 2, axis=0)
    wider = np.interp(limb.controls, LIMB, np.clip(usual / body.bare_leg, 1, WIDEST))
    middle = limb.points[:, :, 1:2]
    return replace(limb, points=middle + (limb.points - middle) * wider[:, None, None])


def _scaled(panel: Panel, factor: np.float32) -> Panel:
    return replace(panel, lattice=panel.lattice * factor)


def _lock(
    fitted: tuple[FittedPanel, ...],
    yaw: np.ndarray,
    motion: Motion | None,
    folds: Sequence[Mapping[Part, Fold]] | None,
    step: float,
):
    """The shifts of every panel, None where there is no motion to follow."""
    if motion is None or folds is None:
        return (None,) * len(fitted)

    def steps() -> Iterable[tuple[np.ndarray, np.ndarray, Mapping[Part, Fold]]]:
        for (flow, labels), lies in zip(motion(), folds):
            height, width = flow.shape[:2]
            rows = np.minimum(((np.arange(height) + 0.5) * step).astype(int), labels.shape[0] - 1)
            columns = np.minimum(((np.arange(width) + 0.5) * step).astype(int), labels.shape[1] - 1)
            yield flow, labels[np.ix_(rows, columns)], lies

    return tuple(lock_to_cloth(fitted, yaw, steps(), step=step))
