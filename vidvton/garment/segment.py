"""The garment's coverage in a picture: several guesses at the foreground, the most plausible kept, its edge made soft and clean.

Plain backgrounds are cut by distance from a smooth shade, textured ones by GrabCut (Rother et al., SIGGRAPH 2004) started from
the rim's colours. No learned weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from .background import Background, lab_of, model_background
from .edge import clean_edge, soften
from .outline import holes_of
from .wedges import wedges
from .worn import find_wearer, split_at_waist

WORK_SIDE = 448
"""Longer side, in pixels, at which the guesses are made; the edge is then refined at full size."""

_CELLS = 12  # a side of the cube into which the colours of Lab space are sorted


@dataclass(frozen=True)
class Cutout:
    """`alpha` [H, W] float32 0-1; `image` [H, W, 3] uint8 whose colours near and beyond the edge are the garment's own;
    `confidence` 0-1; `how`, the guess that won; `worn`, whether somebody wears the garment in the picture."""

    alpha: np.ndarray
    image: np.ndarray
    confidence: float
    how: str
    worn: bool = False


@dataclass(frozen=True)
class _Guess:
    mask: np.ndarray
    score: float
    how: str


def segment(rgb: np.ndarray, *, category: str | None = None) -> Cutout:
    """The garment in uint8 RGB [H, W, 3]; where somebody wears it, without them and (by `category`) without their other
    clothes."""
    h, w = rgb.shape[:2]
    ratio = min(1.0, WORK_SIDE / max(h, w))
    small = cv2.resize(rgb, (max(8, round(w * ratio)), max(8, round(h * ratio))), interpolation=cv2.INTER_AREA)
    guess = best_guess(small)
    if guess is None:
        return Cutout(np.zeros((h, w), np.float32), rgb, 0.0, "nothing")
    mask, worn = guess.mask, False
    wearer = find_wearer(small, mask)
    if wearer is not None:
        mask = mask & ~_gaps_beside(mask, wearer, model_background(small))
        rest = largest_piece(split_at_waist(small, largest_piece(mask & ~wearer), category))
        if rest.sum() > 0.1 * mask.sum():
            mask, worn = _smooth_outline(rest, 2.0), True
    alpha = soften(rgb, mask)
    return Cutout(alpha, clean_edge(rgb, alpha), guess.score, guess.how, worn)


def _gaps_beside(mask: np.ndarray, wearer: np.ndarray, background: Background) -> np.ndarray:
    """Background [H, W] bool that arms enclose: of its shade, sizeable, and touching skin."""
    near = cv2.morphologyEx(
        (mask & ~wearer & (background.shadowless < 6)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    count, label, stats, _ = cv2.connectedComponentsWithStats(near)
    touched = np.unique(label[cv2.dilate(wearer.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0])
    gaps = [i for i in touched if i and stats[i, cv2.CC_STAT_AREA] > 0.001 * mask.sum()]
    return cv2.dilate(np.isin(label, gaps).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask, small holes filled."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    return label == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def best_guess(rgb: np.ndarray) -> _Guess | None:
    """The most plausible foreground of a small picture, or None where nothing stands out."""
    background = model_background(rgb)
    lab = lab_of(rgb)
    codes = _colour_codes(lab)
    scored = []
    for how, mask in _guesses(rgb, background):
        mask = _tidy(mask, background)
        if mask is not None:
            scored.append(_Guess(mask, plausibility(lab, codes, mask), how))
    best = _fullest(scored, lab, codes, background)
    if best is None:
        return None
    if background.noise > 2.2:
        return _Guess(_smooth_outline(best.mask, min(2.2, 0.4 + 0.25 * background.noise)), best.score, best.how)
    mask = _halfway(best.mask, background)
    return _Guess(mask & ~wedges(mask, background), best.score, best.how)


def _smooth_outline(mask: np.ndarray, radius: float) -> np.ndarray:
    """`mask` with fringes shorter than `radius` pixels evened out, corners nearly kept."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), radius) > 0.5


def _halfway(mask: np.ndarray, background: Background, *, reach: int = 3) -> np.ndarray:
    """`mask` without the last few pixels that are nearer to the background's shade than to what lies close by: a low threshold
    finds pale cloth but also the blur and the compression noise around dark cloth."""
    peak = cv2.dilate(background.distance, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    faint = background.distance < np.minimum(0.4 * peak, 3.0)
    blurred = background.distance < 0.4 * peak
    pale = mask & ((faint & (depth <= reach)) | (blurred & (depth <= 2)))
    count, label = cv2.connectedComponents((pale | ~mask).astype(np.uint8), connectivity=4)
    linked = np.zeros(count, bool)
    linked[np.unique(label[~mask])] = True
    return mask & ~(pale & linked[label])


def _guesses(rgb: np.ndarray, background: Background) -> Iterator[tuple[str, np.ndarray]]:
    """(name, raw foreground [H, W] bool) of every guess that suits the background's noise."""
    for threshold in (1.2, 1.8, 2.5, 4, 6, 9, 13, 18, 25):
        if threshold >= 2.2 * background.noise:
            yield f"distance {threshold:g}", _by_distance(background.distance, background.rim, threshold)
    for threshold in (4, 6, 9, 13):
        if threshold >= 2.2 * background.noise:
            yield f"shadowless {threshold:g}", _by_distance(background.shadowless, background.rim, threshold)
    if background.many_coloured:
        usual = float(np.quantile(background.unlikely[background.rim], 0.97))
        for margin in (1.0, 5.0, 15.0):
            yield f"colours {margin:g}", _by_distance(background.unlikely, background.rim, usual + margin)
    if background.noise > 1.6:
        for share in (0.5, 0.35, 0.7):
            yield f"grabcut {share:g}", _by_grabcut(rgb, background, share)
        yield "grabcut closed", _by_grabcut(rgb, background, 0.35, closed=True)


def _fullest(scored: list[_Guess], lab: np.ndarray, codes: np.ndarray, background: Background) -> _Guess | None:
    """The best guess, or a larger one around it whose added pieces are bounded by edges as sharp (white petals on white, a pale
    stripe): thresholds lose such pieces, they seldom invent them."""
    best = max(scored, key=lambda g: g.score, default=None)
    if best is None:
        return None
    for other in sorted(scored, key=lambda g: g.mask.sum()):
        grown = other.mask.sum() / best.mask.sum()
        if other.score < best.score - 0.25 or not 1.005 < grown < 6 or (other.mask & best.mask).sum() < 0.985 * best.mask.sum():
            continue
        if not background.studio and grown < 1.05:
            continue
        gain = other.mask & ~best.mask
        # outside a studio a darker gain of the background's hue is a cast shadow
        shadow = np.mean(background.shadowless[gain] < 0.5 * background.distance[gain])
        # and a gain of colours the garment has not got is a hanger or a label
        alien = not background.studio and _in_common(codes, gain, best.mask) < 0.45
        if not alien and (background.studio or shadow < 0.4) and _gain_is_sharp(lab, best.mask, other.mask):
            best = other
    return best


def _gain_is_sharp(lab: np.ndarray, small: np.ndarray, large: np.ndarray) -> bool:
    """Whether the outline of `large`, where it leaves that of `small`, lies on steps in the picture rather than on slopes."""
    outline = _outline(large)
    reach = cv2.distanceTransform((~small).astype(np.uint8), cv2.DIST_L2, 3)
    new = reach[outline[:, 1].astype(int), outline[:, 0].astype(int)] > 2.5
    if new.sum() < 8:
        return False
    step, _, ramp = _steps(lab, outline)
    return float(np.mean(step[new] > 0.9 * ramp[new] + 0.8)) > 0.6


def _outline(mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(contours, key=len)[:, 0].astype(np.float32)


def _by_distance(distance: np.ndarray, rim: np.ndarray, threshold: float) -> np.ndarray:
    """All that the rim's shade does not reach through pixels nearer than `threshold`."""
    return ~_linked_to_rim(distance < threshold, rim)


def _linked_to_rim(near: np.ndarray, rim: np.ndarray) -> np.ndarray:
    count, label = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
    linked = np.zeros(count, bool)
    linked[np.unique(label[rim & near])] = True
    linked[0] = False
    return linked[label]


def _by_grabcut(rgb: np.ndarray, background: Background, share: float, *, closed: bool = False) -> np.ndarray:
    """GrabCut at 288 px, started from the pixels least likely to be background, with a pull to the picture's middle. `closed`
    takes what lies between them too: the pale bands of a striped garment on a pale ground."""
    h, w = rgb.shape[:2]
    ratio = min(1.0, 288 / max(h, w))
    size = (max(8, round(w * ratio)), max(8, round(h * ratio)))
    tiny = cv2.resize(cv2.bilateralFilter(rgb, 7, 30, 4), size, interpolation=cv2.INTER_AREA)
    odd = cv2.resize(cv2.GaussianBlur(background.unlikely, (0, 0), 2.0), size, interpolation=cv2.INTER_AREA)
    rim = cv2.resize(background.rim.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    middle = np.exp(-0.5 * (((x / size[0] - 0.5) / 0.3) ** 2 + ((y / size[1] - 0.5) / 0.36) ** 2))
    low, high = np.quantile(odd[rim], 0.7), np.quantile(odd, 0.97)
    level = ((odd - low) / max(high - low, 1e-3)).clip(0, 1) * (0.4 + 0.6 * middle)
    seeds = np.full(size[::-1], cv2.GC_PR_BGD, np.uint8)
    cut = max(0.08, np.quantile(level, 1 - share)) if share > 0.4 else max(0.2, np.quantile(level, 1 - share))
    seeds[level > cut] = cv2.GC_PR_FGD
    sure = level >= max(0.5, np.quantile(level, 0.93))
    seeds[sure & (middle > 0.3)] = cv2.GC_FGD
    if closed:
        k = round(0.07 * max(size))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
        odd_parts = cv2.morphologyEx((level > 0.45).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, label, stats, _ = cv2.connectedComponentsWithStats(odd_parts)
        odd_parts = np.isin(label, [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 0.001 * level.size])
        whole = cv2.morphologyEx(np.pad(odd_parts.astype(np.uint8), k), cv2.MORPH_CLOSE, disc)[k:-k, k:-k] > 0
        whole |= holes_of(whole)
        seeds[:] = np.where(whole, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
        seeds[cv2.erode(whole.astype(np.uint8), disc[::3, ::3]).astype(bool)] = cv2.GC_FGD
    seeds[rim] = cv2.GC_BGD
    if (seeds == cv2.GC_PR_FGD).sum() + (seeds == cv2.GC_FGD).sum() < 20:
        return np.zeros((h, w), bool)
    cv2.setRNGSeed(7)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(tiny, seeds, None, *models, 4, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return np.zeros((h, w), bool)
    fore = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.float32)
    return cv2.resize(cv2.GaussianBlur(fore, (0, 0), 0.8), (w, h), interpolation=cv2.INTER_LINEAR) > 0.5


def _tidy(mask: np.ndarray, background: Background) -> np.ndarray | None:
    """The garment's own components with holes settled; None where no sizeable one is there."""
    h, w = mask.shape
    k = max(1, round(0.004 * max(h, w)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, label, stats, centre = cv2.connectedComponentsWithStats(opened, connectivity=8)
    if count < 2:
        return None
    area = stats[1:, cv2.CC_STAT_AREA].astype(float)
    pull = np.exp(-0.5 * (((centre[1:, 0] / w - 0.5) / 0.35) ** 2 + ((centre[1:, 1] / h - 0.5) / 0.4) ** 2))
    main = int((area * pull).argmax()) + 1
    if area[main - 1] < 0.012 * h * w:
        return None
    # one piece, as a garment is; another only where it is large and not text or a tag
    keep = [main] + [i + 1 for i in range(count - 1) if i + 1 != main and area[i] > 0.25 * area[main - 1]]
    return _settle_holes(_without_hooks(np.isin(label, keep)), background)


def _without_hooks(mask: np.ndarray) -> np.ndarray:
    """`mask` without what sticks out thinner than a strap: hanger hooks and arms, lines between tiles. Sharp corners stay."""
    ys, xs = np.nonzero(mask)
    k = max(2, round(0.016 * max(np.ptp(ys), np.ptp(xs))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * k + 1, 2 * k + 1))
    stout = cv2.morphologyEx(np.pad(mask.astype(np.uint8), k, mode="edge"), cv2.MORPH_OPEN, disc)[k:-k, k:-k]
    count, label, stats, _ = cv2.connectedComponentsWithStats((mask & ~stout.astype(bool)).astype(np.uint8), connectivity=8)
    out = mask.copy()
    for i in range(1, count):
        _, _, w, h, n = stats[i]
        if max(w, h) > 2.2 * k or n > 1.2 * k * k:
            out[label == i] = False
    return out


def _settle_holes(mask: np.ndarray, background: Background) -> np.ndarray:
    """Holes filled, but for the ones that show plain background: the gap between legs or between sleeve and body."""
    holes = holes_of(mask)
    if not holes.any():
        return mask
    out = mask | holes
    count, label, stats, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=4)
    area = mask.sum()
    xs = np.nonzero(mask)[1]
    away = cv2.distanceTransform(out.astype(np.uint8), cv2.DIST_L2, 5)
    for i in range(1, count):
        _, _, w, h, n = stats[i]
        if n < 0.002 * area or h < 0.8 * w:
            continue
        inner = label == i
        far = background.distance[inner]
        # a gap shows the background's own shade all over (a white flower or a rip has texture in it) and lies near the outside
        plain = np.median(far) < max(2.0, 2.5 * background.noise) and np.quantile(far, 0.9) < max(4.0, 4.0 * background.noise)
        if plain and away[inner].min() < 0.14 * np.ptp(xs):
            out[inner] = False
    return out


def plausibility(lab: np.ndarray, codes: np.ndarray, mask: np.ndarray) -> float:
    """0-1: how much a mask looks like one garment cut along its real edge (contrast across the outline, shape, place)."""
    h, w = mask.shape
    area = mask.mean()
    if area < 0.012 or area > 0.97:
        return 0.0
    outline = _outline(mask)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = sum(len(c) for c in contours)
    on_rim = (outline[:, 0] < 2) | (outline[:, 1] < 2) | (outline[:, 0] > w - 3) | (outline[:, 1] > h - 3)
    contrast = _contrast(lab, outline, on_rim)
    round_off = length**2 / (4 * np.pi * mask.sum())
    rough = np.clip((round_off - 9) / 30, 0, 1)
    touch = on_rim.mean()
    apart = _apart(codes, mask)
    small = np.clip((0.06 - area) / 0.05, 0, 1)
    large = np.clip((area - 0.75) / 0.2, 0, 1)
    score = 0.7 * contrast + 0.3 * apart - 0.5 * rough - 0.5 * np.clip(touch - 0.05, 0, 1) - 0.35 * small - 0.6 * large
    return float(np.clip(score, 0, 1))


def _contrast(lab: np.ndarray, outline: np.ndarray, on_rim: np.ndarray) -> float:
    """Mean contrast over the outline, 0-1: colour just inside against just outside, as against steps further in and out."""
    if len(outline) < 16 or on_rim.all():
        return 0.0
    step, around, _ = _steps(lab, outline)
    return float(np.clip((step / (step + around + 1.5))[~on_rim].mean() * 1.25, 0, 1))


def _steps(lab: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour steps [n] across the outline's points; the mean size of the next steps inward and outward; and how far the same
    change goes on inward, as it does in a shadow but not in a pale garment."""
    ahead = np.roll(outline, -4, 0) - np.roll(outline, 4, 0)
    normal = np.stack([ahead[:, 1], -ahead[:, 0]], 1) / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-3)
    soft = cv2.GaussianBlur(lab, (0, 0), 1.0)

    def at(offset: float) -> np.ndarray:
        p = outline + normal * offset
        return cv2.remap(soft, p[:, None, 0], p[:, None, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]

    # OpenCV walks outlines so that this normal points into the shape
    across = at(2.5) - at(-2.5)
    inward = at(7.5) - at(2.5)
    step = np.linalg.norm(across, axis=1)
    around = 0.5 * (np.linalg.norm(at(-7.5) - at(-2.5), axis=1) + np.linalg.norm(inward, axis=1))
    ramp = np.maximum(0, (across * inward).sum(1)) / np.maximum(step, 0.1)
    return step, around, ramp


def _apart(codes: np.ndarray, mask: np.ndarray) -> float:
    """0-1: how unlike the colours on both sides of the outline are, over a broad band; the median of eight stretches, so that a
    garment that is white in places on a white ground is not taken for a smaller one."""
    k = max(3, round(0.05 * max(mask.shape)))
    solid = mask.astype(np.uint8)
    depth, away = (cv2.distanceTransform(x, cv2.DIST_L2, cv2.DIST_MASK_5) for x in (solid, 1 - solid))
    inner, ring = mask & (depth <= k), ~mask & (away <= k)
    if not ring.any() or not inner.any():
        return 0.0
    ys, xs = np.nonzero(mask)
    middle = ys.mean(), xs.mean()
    inside, outside = (_histograms(codes, band, _stretch(band, middle), 8) for band in (inner, ring))
    fine = (inside[0] > 20) & (outside[0] > 20)
    values = 1 - np.sqrt(inside[1] * outside[1]).sum(1)
    return float(np.median(values[fine])) if fine.any() else 0.0


def _stretch(band: np.ndarray, middle: tuple[float, float]) -> np.ndarray:
    """[n] in which eighth of the full turn about `middle` (y, x) each pixel of the `band` lies."""
    y, x = np.nonzero(band)
    return ((np.arctan2(y - middle[0], x - middle[1]) + np.pi) / (2 * np.pi) * 8).astype(int).clip(0, 7)


def _colour_codes(lab: np.ndarray) -> np.ndarray:
    """[H, W] the number of each pixel's cell among _CELLS x _CELLS x _CELLS of Lab space."""
    scaled = (lab - (0, -70, -70)) / (100, 150, 150) * _CELLS
    cell = np.clip(scaled.astype(np.int32), 0, _CELLS - 1)
    return (cell[..., 0] * _CELLS + cell[..., 1]) * _CELLS + cell[..., 2]


def _in_common(codes: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """0-1: how like the colours of two masks are."""
    a, b = (_histograms(codes, where, np.zeros(int(where.sum()), int), 1)[1] for where in (one, other))
    return float(np.sqrt(a * b).sum())


def _histograms(codes: np.ndarray, where: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """(pixels [groups], smoothed shares of their colours [groups, cells]) of the pixels at `where`, each of which belongs to one
    `group` [n]."""
    count = np.bincount(group * _CELLS**3 + codes[where], minlength=groups * _CELLS**3).reshape(groups, *(_CELLS,) * 3)
    soft = ndimage.gaussian_filter(count.astype(np.float32), (0, 0.6, 0.6, 0.6), truncate=2.0).reshape(groups, -1)
    return count.sum((1, 2, 3)), soft / np.maximum(soft.sum(1, keepdims=True), 1e-6)
