"""The garment picture made ready to be read: colours continued past the outline, and a back that does not show the front's
print."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from vidvton.values import LANDMARKS, Garment
from vidvton.warp.flat import SLEEVES, worn_cloth

BROAD = 40  # picture pixels over which a cloth's broad look is averaged
FAINT_PRINT = 8.0  # the same, for what hangs together with a print
_SURE = 4.0  # times the share of known pixels under a coarse one, up to all of it, is the say of their mean
PRINT_DISTANCE = 22.0  # CIELAB units from the fabric's colour that count as print (lightness counts half)


@dataclass(frozen=True)
class Texture:
    """`front`, `back` [H, W, 3] uint8 with cloth colours continued over the whole picture; `outlines`, `outlines_back` [H, W,
    3] uint8 0-255: channel 0 where cloth is, channel 1 the cloth grown a little outwards but not into the neck, where the old
    garment must not peek out (channel 2 is empty: three channels are read fastest)."""

    front: np.ndarray
    back: np.ndarray
    outlines: np.ndarray
    outlines_back: np.ndarray

    @cached_property
    def _broad(self) -> tuple[np.ndarray, ...]:
        """The four pictures without detail: colours averaged over BROAD pixels, outlines over a quarter of that."""

        def smoothed(picture: np.ndarray, over: int) -> np.ndarray:
            few = tuple(max(1, round(n / over)) for n in picture.shape[1::-1])
            small = cv2.resize(picture, few, interpolation=cv2.INTER_AREA)
            return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)

        colours = (smoothed(p, BROAD) for p in (self.front, self.back))
        return (*colours, *(smoothed(p, BROAD // 4) for p in (self.outlines, self.outlines_back)))

    def read(
        self, at: tuple[np.ndarray, np.ndarray], back: np.ndarray | None = None, torn: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Colour [H, W, 3] uint8, outline and grown outline [H, W] float32 0-255 of the cloth at picture points `at` (x, y);
        `back` [H, W] 0-1 mixes in the garment's back, `torn` [H, W] 0-1 the broad look of the cloth in place of its print: where
        neighbouring pixels lie far apart in the picture, reading it would give specks."""
        colour, lines = _mixed_sides(self.front, self.back, self.outlines, self.outlines_back, at, back)
        if torn is not None:
            broad = _mixed_sides(*self._broad, at, back)
            colour, lines = (cv2.blendLinear(fine, wide, 1 - torn, torn) for fine, wide in zip((colour, lines), broad))
        outline, grown = (c.astype(np.float32) for c in cv2.split(lines)[:2])
        return colour, outline, grown

    def under(self, lamp: np.ndarray) -> Texture:
        """The same cloth under the light `lamp` [3] of a shot (`lamp.learn_lamp`)."""
        if np.all(lamp == 1):
            return self
        front, back = (np.clip(x * lamp + 0.5, 0, 255).astype(np.uint8) for x in (self.front, self.back))
        return replace(self, front=front, back=back)


def _mixed_sides(front, back, outlines, outlines_back, at, share: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(colours, outlines) [H, W, 3] uint8 read at (x, y) `at`, with `share` [H, W] 0-1 of the back's."""
    seen = []
    for near, far, border in ((front, back, cv2.BORDER_REPLICATE), (outlines, outlines_back, cv2.BORDER_CONSTANT)):
        picture = cv2.remap(near, *at, cv2.INTER_LINEAR, borderMode=border)
        if share is not None:
            picture = cv2.blendLinear(picture, cv2.remap(far, *at, cv2.INTER_LINEAR, borderMode=border), 1 - share, share)
        seen.append(picture)
    return seen[0], seen[1]


def make_texture(garment: Garment, *, scale: float, torso: float, over_hem: bool = True, over_top: bool = True) -> Texture:
    """The texture of `garment` at `scale` times its picture's size; `torso` is the torso's length in the unscaled picture's
    pixels. `over_hem`, `over_top`: whether it may grow over old cloth at its lower and upper ends."""
    size = tuple(max(8, round(n * scale)) for n in garment.image.shape[1:])
    image = np.ascontiguousarray(garment.image.permute(1, 2, 0).numpy())
    alpha = garment.alpha.numpy()
    shrink = {"dsize": size[::-1], "interpolation": cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR}
    # The outermost pixels carry some of the ground they lay on.
    rim, cloth = 2 * max(1, round(0.004 * max(alpha.shape))) + 1, worn_cloth(garment)
    below = (garment.parts.numpy() > 0) & ~cloth
    solid = cv2.erode(((alpha > 0.9) & ~below).astype(np.uint8), np.ones((rim, rim))) > 0
    solid = solid if solid.any() else alpha > 0.5
    front = cv2.resize(continue_colours(image, solid), **shrink)
    mask = cv2.resize(cloth.astype(np.float32) * alpha, **shrink)
    points = garment.landmarks.numpy().copy()
    points[:, :2] *= scale
    neck = _neck_hole(mask, points, garment)
    back_mask = np.maximum(mask, neck["back"])
    reach = max(2, round(0.10 * torso * scale))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    if not over_hem:
        kernel[:reach] = 0  # nothing grows downwards
    if not over_top:
        kernel[reach + 1 :] = 0
    around = _bare_shoulders(points, garment, size[0], reach)
    grown = _grown(mask, kernel, around) * (1 - neck["above"])
    grown_back = np.maximum(_grown(back_mask, kernel, around) * (1 - neck["above_back"]), back_mask)
    outlines = _bytes(np.dstack([mask, np.maximum(grown, mask), np.zeros_like(mask)]))
    outlines_back = _bytes(np.dstack([back_mask, grown_back, np.zeros_like(mask)]))
    return Texture(front, _back(front, mask > 0.5), outlines, outlines_back)


def _grown(mask: np.ndarray, kernel: np.ndarray, around: np.ndarray) -> np.ndarray:
    """`mask` grown by `kernel`; but only upwards in rows where `around` [H] 0-1 is 0."""
    grown = cv2.dilate(mask, kernel)
    if (around == 1).all():
        return grown
    upwards = np.ascontiguousarray(kernel[:, kernel.shape[1] // 2, None])
    upwards[: len(upwards) // 2] = 0
    return np.maximum(cv2.dilate(mask, upwards), grown * around[:, None])


def _bare_shoulders(points: np.ndarray, garment: Garment, height: int, reach: int) -> np.ndarray:
    """[H] float32 0-1: rows in which cloth may grow to the sides. Above the armpits of a garment without sleeves shoulders are
    bare: straps stay as narrow as they are."""
    if garment.category == "lower" or np.isin(garment.parts.numpy(), SLEEVES).any():
        return np.ones(height, np.float32)
    names = LANDMARKS[garment.category]
    pits = [points[names.index(f"armpit_{side}")] for side in ("left", "right")]
    if min(p[2] for p in pits) <= 0:
        return np.ones(height, np.float32)
    armpit = min(p[1] for p in pits)
    return np.clip((np.arange(height, dtype=np.float32) - armpit) / (2 * reach) + 1, 0, 1)


def _bytes(mask: np.ndarray) -> np.ndarray:
    return (np.clip(mask, 0, 1) * 255).round().astype(np.uint8)


def continue_colours(image: np.ndarray, known: np.ndarray, *, level: int = 1) -> np.ndarray:
    """`image` [H, W, 3] uint8 with every pixel that is not `known` [H, W] given the colour of the nearest one that is; a pixel
    up or down counts as `level` pixels to the side, as what is behind people is mostly level: floors, horizons, walls."""
    if known.all() or not known.any():
        return image
    height, width = known.shape
    cells = image, known
    if level > 1:
        size = -(-width // level), height
        few = cv2.resize(known.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        cells = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), few
        if not cells[1].any():
            return continue_colours(image, known)
    _, nearest = cv2.distanceTransformWithLabels((~cells[1]).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((nearest.max() + 1, 3), np.uint8)
    colours[nearest[cells[1]]] = cells[0][cells[1]]
    found = colours[nearest]
    if level > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], image, found)


def spread_colours(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[H, W, 3] float32: `image` [H, W, 3] uint8 where `known` [H, W]; elsewhere its known colours, the smoother the farther off
    they are: pull and push over a pyramid (Gortler et al., The Lumigraph, 1996, section 3.4)."""
    weight = known.astype(np.float32)
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append(tuple(cv2.pyrDown(a) for a in levels[-1]))
    colour, weight = levels[-1]
    filled = np.broadcast_to(colour.sum((0, 1)) / max(float(weight.sum()), 1e-6), colour.shape)
    for colour, weight in reversed(levels):
        if filled.shape != colour.shape:
            filled = cv2.pyrUp(filled, dstsize=weight.shape[::-1])
        own = colour / np.maximum(weight, 1e-6)[..., None]
        filled = filled + (own - filled) * np.minimum(weight * _SURE, 1)[..., None]
    return filled


def _neck_hole(mask: np.ndarray, points: np.ndarray, garment: Garment) -> dict[str, np.ndarray]:
    """What lies above the front collar between its ends (`above`), the part of it that a back view covers (`back`), and the
    rest."""
    nothing = {k: np.zeros_like(mask) for k in ("above", "back", "above_back")}
    if garment.category == "lower":
        return nothing
    names = LANDMARKS[garment.category]
    right, left = (points[names.index(f"neck_{side}")] for side in ("right", "left"))
    if min(right[2], left[2]) <= 0 or left[0] - right[0] < 4:
        return nothing
    height, width = mask.shape
    y, x = np.mgrid[:height, :width]
    between = (x >= right[0]) & (x <= left[0])
    share = (x - right[0]) / (left[0] - right[0])
    line = right[1] + (left[1] - right[1]) * share
    first = np.where((mask > 0.5).any(0), (mask > 0.5).argmax(0), height)[None]
    above = between & (y < first)
    # A back neckline is almost straight: it dips by a tenth of its width.
    dip = 0.1 * (left[0] - right[0]) * (1 - (2 * share - 1) ** 2)
    back = above & (y >= line + dip)
    return {"above": above.astype(np.float32), "back": back.astype(np.float32), "above_back": (above & ~back).astype(np.float32)}


def _back(front: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The garment's back: the front's fabric, without a print that only the front's middle carries."""
    printed = print_mask(front, mask)
    if printed is None:
        return front
    grow = max(3, round(0.012 * max(front.shape)))
    known = ~(cv2.dilate(printed.astype(np.uint8), np.ones((2 * grow + 1,) * 2, np.uint8)) > 0) & cv2.erode(
        mask.astype(np.uint8), np.ones((3, 3))
    ).astype(bool)
    if known.sum() < 0.05 * mask.sum():
        return front
    return push_pull(front.astype(np.float32), known).round().clip(0, 255).astype(np.uint8)


def print_mask(front: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """[H, W] bool: a print or logo on plain fabric; None where the fabric itself is patterned (stripes, checks, florals) or
    plain."""
    lab = cv2.cvtColor(front, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = (lab - [0, 128, 128]) * [100 / 255 * 0.5, 1, 1]
    columns = np.flatnonzero(mask.any(0))
    if not len(columns):
        return None
    x = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
    quarter = (columns[-1] - columns[0]) / 5
    side = mask & ((x < columns[0] + quarter) | (x > columns[-1] - quarter))
    middle = mask & ~side
    fabric = np.median(lab[side], 0) if side.sum() > 50 else np.median(lab[mask], 0)
    distance = np.linalg.norm(lab - fabric, axis=-1)
    other = cv2.medianBlur((distance > PRINT_DISTANCE).astype(np.uint8), 3) > 0
    at_side, in_middle = other[side].mean() if side.any() else 0.0, other[middle].mean()
    if at_side > 0.2 or in_middle < 0.001 or in_middle < 1.5 * at_side:
        return None
    # Fine lines are no blob, and blurred into the fabric: what is fainter and hangs together with something stark is print too.
    stark = (distance > 0.6 * PRINT_DISTANCE) & mask
    faint = cv2.morphologyEx((distance > FAINT_PRINT).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, pieces = cv2.connectedComponents((((faint > 0) | other) & mask).astype(np.uint8))
    starkness, area = np.bincount(pieces[stark], minlength=count), np.bincount(pieces.ravel(), minlength=count)
    held = (starkness > 0) & (area < 8 * np.maximum(starkness, 25))  # a fold's broad shade is none
    held[0] = False
    return (other & mask) | held[pieces]


def push_pull(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """`values` [H, W, C] float32 with unknown pixels filled smoothly from the `known` [H, W] ones around (Gortler et al.
    1996)."""
    weight = known.astype(np.float32)
    return _push_pull(values * weight[..., None], weight)


def _push_pull(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    height, width = weight.shape
    mean = total / np.maximum(weight, 1e-6)[..., None]
    if min(height, width) <= 2 or (weight > 0).all():
        if not (weight > 0).all():
            average = total.sum((0, 1)) / max(float(weight.sum()), 1e-6)
            mean = np.where((weight > 0)[..., None], mean, average)
        return mean
    half = ((height + 1) // 2, (width + 1) // 2)
    small = cv2.resize(total, half[::-1], interpolation=cv2.INTER_AREA).reshape(*half, -1)
    small_weight = cv2.resize(weight, half[::-1], interpolation=cv2.INTER_AREA)
    scale = np.minimum(small_weight * 4, 1) / np.maximum(small_weight, 1e-6)
    coarse = _push_pull(small * scale[..., None], small_weight * scale)
    wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    share = np.clip(weight, 0, 1)[..., None]
    return mean * share + wide * (1 - share)
