"""From control points to pixels: which point of the garment picture shows at which pixel of the frame.

All maps are made on a coarse raster (cells of `step` pixels) and enlarged afterwards: they are smooth, the picture is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidvton.values import Part
from vidvton.warp.fit import WIDE, FittedPanel, Fold
from vidvton.warp.grid import extend, invert_lattice, pixel_centres, polish_inverse, read_exactly
from vidvton.warp.panels import ACROSS, Panel

TRUNK_DEPTH = 0.62  # a trunk's depth against its width
MARGIN = 6  # cells around a panel in which its map is still continued
OUTSIDE = 9.0  # `across` where a panel does not reach


@dataclass(frozen=True)
class PanelMap:
    """One panel in one frame on a raster.

    `read` [h, w, 2] points of the garment picture; `back` [h, w] 0-1 how much of the garment's back shows; `across` [h, w] from
    the outlines at -1 and +1; `station` [h, w]; `share` [h, w] 0-1 down the panel; `material` [h, w] the place across the cloth
    at -1 to +1; `reach` [h, w] 0-1 where the lattice lies; `near` the part's depth (negative: before the trunk).
    """

    part: Part
    read: np.ndarray
    back: np.ndarray
    across: np.ndarray
    station: np.ndarray
    share: np.ndarray
    material: np.ndarray
    reach: np.ndarray
    near: float

    def haste(self) -> np.ndarray:
        """[h, w] float32: how far `read` runs over the garment picture from a cell to its neighbours, in picture pixels; far
        where cloth is folded over itself and the map leaps from one sheet to the other."""
        out = np.zeros(self.read.shape[:2], np.float32)
        for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            way = np.abs(self.read[here] - self.read[there]).max(-1)
            for side in (here, there):
                np.maximum(out[side], way, out=out[side])
        return out


def part_of(m: PanelMap, rows: slice, columns: slice) -> PanelMap:
    """The part of a map that some of its rows and columns show."""
    fields = ("read", "back", "across", "station", "share", "material", "reach")
    return replace(m, **{name: getattr(m, name)[rows, columns] for name in fields})


def map_panel(
    fitted: FittedPanel,
    t: int,
    yaw: float,
    size: tuple[int, int],
    *,
    step: float,
    offset: np.ndarray | None = None,
    fold: Fold = "none",
) -> PanelMap:
    """The panel of frame `t` on a raster of (h, w) `size`; `offset` [h, w, 2] shifts the cloth in (across, station); `fold`
    says how it lies over itself."""
    panel = fitted.panel
    nodes = fitted.nodes(t)
    top, bottom, left, right = window = _around(nodes, size, step)
    if offset is not None:
        offset = offset[top:bottom, left:right]
    origin = (left * step, top * step)
    here = (bottom - top, right - left)
    rows, columns = np.arange(len(fitted.stations)), np.arange(len(WIDE))
    grid = np.stack(np.meshgrid(columns, rows), -1)
    index, weight = invert_lattice(nodes - origin, grid, here, step=step, say=fitted.say(fold))
    index, known = extend(index, weight)
    if not panel.is_bare:  # a bare limb carries no print
        index = polish_inverse(nodes, index, pixel_centres(here, step=step, origin=origin), rounds=1)
    across = np.where(known, np.interp(index[..., 0], columns, WIDE), OUTSIDE)
    station = np.interp(index[..., 1], rows, fitted.stations)
    turn = _turn(panel, across, station, fitted, t) + _seen_turn(panel, station, yaw)
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    on_front = np.abs(turn) <= np.pi / 2
    material = np.where(on_front, turn, np.sign(turn) * (np.pi - np.abs(turn))) / (np.pi / 2)
    edge = (np.abs(turn) - np.pi / 2) / 0.12
    back = np.clip(edge + 0.5, 0, 1).astype(np.float32)
    share = (station - panel.stations[0]) / max(panel.stations[-1] - panel.stations[0], 1e-6)
    place, height = material, station
    if offset is not None:
        # At its outlines cloth goes round the body: what is carried beyond them would be read off its edge.
        held = 1 - np.minimum(material**2, 1)
        place, height = material + offset[..., 0] * held, station + offset[..., 1]
    read = read_lattice(panel, place, height)
    reach = np.clip(weight * 4, 0, 1)
    values = (a.astype(np.float32) for a in (read, back, across, station, share, material, reach))
    read, back, across, station, share, material, reach = (_whole(a, window, size) for a in values)
    beyond = np.ones(size, bool)
    beyond[top:bottom, left:right] = False
    across[beyond], reach[beyond] = OUTSIDE, 0
    return PanelMap(panel.part, read, back, across, station, share, material, reach, float(fitted.near[t]))


def _around(nodes: np.ndarray, size: tuple[int, int], step: float) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) in cells: the part of the raster that a lattice reaches, with a margin; never empty."""
    ends = []
    for axis, count in ((1, size[0]), (0, size[1])):
        low, high = nodes[..., axis].min() / step - MARGIN, nodes[..., axis].max() / step + MARGIN
        low = int(np.clip(np.floor(low), 0, max(count - 2, 0)))
        ends += [low, int(np.clip(np.ceil(high), min(low + 2, count), count))]
    return tuple(ends)


def _whole(values: np.ndarray, window: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """`values` of a window of the raster on all of it, continued from the window's border."""
    top, bottom, left, right = window
    return cv2.copyMakeBorder(values, top, size[0] - bottom, left, size[1] - right, cv2.BORDER_REPLICATE)


def _turn(panel: Panel, across: np.ndarray, station: np.ndarray, fitted: FittedPanel, t: int) -> np.ndarray:
    """The angle around the part at each pixel, radians, 0 at its middle line.

    Cloth keeps its scale in the middle and hides its surplus at the sides: with the body `a` times as wide as the flat cloth, the
    middle's slope is `a` and a cubic takes up the rest.
    """
    left, right = fitted.points[t, :, 0], fitted.points[t, :, -1]
    width = np.linalg.norm(right - left, axis=-1) / 2
    down = fitted.points[t, 1:, 1] - fitted.points[t, :-1, 1]
    unit = np.linalg.norm(down, axis=-1).sum() / max(fitted.controls[-1] - fitted.controls[0], 1e-6)
    if panel.part not in (Part.TORSO, Part.SKIRT):
        unit = unit / (0.6 if panel.part in (Part.LEFT_SLEEVE, Part.RIGHT_SLEEVE) else 0.8)
    flat = np.interp(fitted.controls, panel.stations, panel.half_widths) * unit
    slope = np.clip(width / np.maximum(flat, 1e-6), 0.6, 1.0)
    slope = np.interp(station, fitted.controls, slope)
    s = np.clip(across, -1.0, 1.0)
    beyond = across - s
    return (np.pi / 2) * (slope * s + (1 - slope) * s**3 + beyond * 0.3)


def _seen_turn(panel: Panel, station: np.ndarray, yaw: float) -> np.ndarray | float:
    """How far the body's turn carries the cloth round, radians.

    A limb is round. A trunk is an ellipse in section: its outline is again a sine of the place around it, with the phase
    atan2(depth sin yaw, width cos yaw), so a chest print stays in front longer and leaves faster than on a drum. At the neck,
    near the axis, cloth is carried less far than at the chest (but front and back change places at the same time).
    """
    if panel.part not in (Part.TORSO, Part.SKIRT):
        return yaw
    phase = np.arctan2(TRUNK_DEPTH * np.sin(yaw), np.cos(yaw))
    share = np.clip((station + 0.30) / 0.45, 0.3, 1.0) if panel.part == Part.TORSO else 1.0
    return phase - (1 - share) * 0.5 * np.sin(2 * phase)


def read_lattice(panel: Panel, material: np.ndarray, station: np.ndarray) -> np.ndarray:
    """Points of the garment picture [h, w, 2] at material coordinates: `material` -1 to 1 across, `station` along."""
    row = np.interp(station, panel.stations, np.arange(len(panel.stations)))
    return read_exactly(panel.lattice, (np.clip(material, -1.02, 1.02) + 1) / 2 * (len(ACROSS) - 1), row)


def enlarge(raster: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A raster's values [h, w(, C)] at every pixel of (height, width) `size` (bilinear, cell centres kept)."""
    return cv2.resize(raster, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
