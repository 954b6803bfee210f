"""The old clothes' light and folds, without their colour or print: a factor per pixel for the new cloth.

Albedo is taken to be a few flat colours (clusters over the whole shot, so that they do not flicker); what is left of the
brightness is shading. Where two clusters meet nothing can be read, and the shading around is continued.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidvton.warp.body import BARE_ARM, LOWER, UPPER, picked
from vidvton.warp.canvas import Canvas, Layer
from vidvton.warp.drape import PanelMap
from vidvton.warp.flat import TROUSER_LEGS
from vidvton.warp.lamp import learn_lamp
from vidvton.warp.panels import CROTCH_ON_LEG
from vidvton.warp.texture import push_pull

FLOOR = 0.05  # added to brightness before dividing: the dark of a black garment carries more noise than light
MERGE = 16.0  # clusters nearer than this are one dye under different light
MILD = 0.6  # how much of the light read from black cloth is left out: its sheen would burn out a bright garment
WHITE, LEAST_ROOM = 0.98, 0.04  # the brightest that lit cloth gets; the least by which light may brighten it
ROUND = 0.22  # share of its light that cloth loses at its outlines, where it turns away
BROAD = 5.0  # working pixels over which the light from black cloth is averaged
STARK = 0.25  # difference of brightness between two dyes that makes a stripe
SPARSE, CROWDED = 21, 0.4  # working pixels around a pixel, and the share of stripes among them from which it is not read
ALIKE, ENOUGH = 15.0, 100  # hues nearer than this are one skin; pixels of which a colour may be read
MANY = 0.3  # skin of arms, against the head's, from which it speaks for itself
STRANGE = 20.0  # farther than this from every cluster a pixel is print, not shadow
_SKIN = BARE_ARM | np.isin(np.arange(256), [10, 16, 17])
GROUPS = (UPPER, LOWER, _SKIN)


@dataclass(frozen=True)
class Albedo:
    """The shot's flat colours: per group of labels (upper, lower, skin) `centres` [N, 3] as `_dye` gives and `levels` [N],
    the mean brightness 0-1 of each; `skin` [2, 3] float32 0-1, the skin's usual colour above the waist and on the legs (NaN
    where no skin was seen at all); `lamp` [3] how the shot is lit (`lamp.learn_lamp`)."""

    centres: tuple[np.ndarray, ...]
    levels: tuple[np.ndarray, ...]
    skin: np.ndarray
    lamp: np.ndarray

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for `numpy.savez`."""
        out = {"skin": self.skin, "lamp": self.lamp}
        for k, (centres, levels) in enumerate(zip(self.centres, self.levels)):
            out[f"centres_{k}"], out[f"levels_{k}"] = centres, levels
        return out

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> Albedo:
        """The inverse of `to_arrays`."""
        centres, levels = (tuple(arrays[f"{name}_{k}"] for k in range(len(GROUPS))) for name in ("centres", "levels"))
        return Albedo(centres, levels, arrays["skin"], arrays["lamp"])


def _dye(frame: np.ndarray) -> np.ndarray:
    """[..., 3] float32 coordinates in which a dye under more or less light stays together: two of chromaticity, and lightness
    for little."""
    rgb = frame.astype(np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    total = red + green + blue
    return np.stack(
        [total * np.float32(0.10), (red - green) * 330 / (total + 90), (blue - (red + green) / 2) * 330 / (total + 90)], -1
    )


def _brightness(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def learn_albedo(frames: np.ndarray, labels: np.ndarray) -> Albedo:
    """From sample frames [S, h, w, 3] uint8 of one shot and their labels [S, h, w]."""
    lab = np.stack([_dye(f) for f in frames])
    grey = np.stack([_brightness(f) for f in frames])
    centres, levels = [], []
    for group in GROUPS:
        inside = np.stack([cv2.erode(group[m].astype(np.uint8), np.ones((3, 3))) > 0 for m in labels])
        points, values = lab[inside], grey[inside]
        if len(points) < 50:
            centres.append(np.zeros((0, 3), np.float32))
            levels.append(np.zeros(0, np.float32))
            continue
        pick = np.random.default_rng(0).permutation(len(points))[:12000]
        middle = _cluster(points[pick])
        nearest = _nearest(points[pick], middle)
        levels.append(np.array([np.median(values[pick][nearest == k]) for k in range(len(middle))], np.float32))
        centres.append(middle)
    skin = _skin(frames, labels)
    return Albedo(tuple(centres), tuple(levels), skin, learn_lamp(frames, skin))


def _skin(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[2, 3] float32 0-1: the usual colour of the skin of the arms and of the legs; NaN where no skin is seen.

    What is taken for a hand may be a bag: of the arms those pixels count that are of the face's hue. Where they are few against
    the face's, it has a say."""
    core = np.stack([cv2.erode(_SKIN[m].astype(np.uint8), np.ones((3, 3))) > 0 for m in labels])
    head, arms, legs = (np.isin(labels, names) for names in ((10, 13), (14, 15), (16, 17)))
    tones = []
    for pixels in (frames[head], frames[head | arms], frames[core & legs]):
        tones.append(np.median(pixels, axis=0) if len(pixels) > ENOUGH else np.full(3, np.nan))
    face, either, legs = tones
    if np.isfinite(face).all() and (core & arms).any():
        of_arms = frames[core & arms]
        alike = np.linalg.norm(_dye(of_arms)[:, 1:] - _dye(face)[1:], axis=1) < ALIKE
        if alike.sum() > ENOUGH:  # a hand or two may be in the shade
            sure = min(alike.sum() / (MANY * head.sum()), 1.0)
            either = face + sure * (np.median(of_arms[alike], axis=0) - face)
    pair = [either if np.isfinite(either).all() else legs, legs if np.isfinite(legs).all() else either]
    return np.stack(pair).astype(np.float32) / 255


def _cluster(points: np.ndarray) -> np.ndarray:
    cv2.setRNGSeed(1)
    _, index, middle = cv2.kmeans(points, 5, None, (3, 20, 0.5), 2, cv2.KMEANS_PP_CENTERS)
    count = np.bincount(index.ravel(), minlength=5).astype(np.float64)
    middle = middle.astype(np.float64)
    while len(middle) > 1:
        gap = np.linalg.norm(middle[:, None] - middle[None], axis=-1) + 1e9 * np.eye(len(middle))
        a, b = np.unravel_index(gap.argmin(), gap.shape)
        if gap[a, b] > MERGE:
            break
        middle[a] = (middle[a] * count[a] + middle[b] * count[b]) / max(count[a] + count[b], 1)
        count[a] += count[b]
        middle, count = np.delete(middle, b, 0), np.delete(count, b)
    keep = count >= 0.02 * count.sum()
    return middle[keep].astype(np.float32)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return np.zeros(points.shape[:-1], np.uint8)
    return np.stack([((points - c) ** 2).sum(-1) for c in centres]).argmin(0).astype(np.uint8)


@dataclass(frozen=True)
class Reader:
    """An `Albedo` as tables over 5-bit colours: per group `level` [32768] float32, the brightness its dye has under usual
    light, `dye` [32768] uint8 which cluster, and `odd` [32768] bool, colours that are print and not shadow."""

    level: tuple[np.ndarray, ...]
    dye: tuple[np.ndarray, ...]
    odd: tuple[np.ndarray, ...]


def make_reader(albedo: Albedo) -> Reader:
    """The tables that `shading` reads."""
    code = np.arange(32768)
    colours = np.stack([(code >> 10) & 31, (code >> 5) & 31, code & 31], -1).astype(np.uint8) * 8 + 4
    lab = _dye(colours)
    level, dye, odd = [], [], []
    for centres, levels in zip(albedo.centres, albedo.levels):
        if not len(levels):
            empty = np.zeros(32768)
            level.append(empty.astype(np.float32)), dye.append(empty.astype(np.uint8)), odd.append(empty > 0)
            continue
        away = np.stack([((lab - c) ** 2).sum(-1) for c in centres])
        nearest = away.argmin(0)
        (
            level.append(levels[nearest].astype(np.float32)),
            dye.append(nearest.astype(np.uint8)),
            odd.append(away.min(0) > STRANGE**2),
        )
    return Reader(tuple(level), tuple(dye), tuple(odd))


def shading(frame: np.ndarray, labels: np.ndarray, reader: Reader) -> tuple[np.ndarray, np.ndarray]:
    """How the light falls on the person in `frame` [h, w, 3] uint8 with `labels` [h, w]: `(factor [h, w] float32 around 1,
    unread [h, w] float32 0-1)`, the second how little of it dark cloth tells."""
    grey = _brightness(frame)
    r, g, b = (c >> 3 for c in cv2.split(frame))
    code = (r.astype(np.intp) << 10) | (g.astype(np.intp) << 5) | b
    ratio, known = np.ones_like(grey), np.zeros(grey.shape, np.uint8)
    dim = np.zeros_like(grey)
    spread = 0.8
    for group, level, dye, odd in zip(GROUPS, reader.level, reader.dye, reader.odd):
        inside = picked(labels, group)
        if not level.any() or not inside.any():
            continue
        core, bright = cv2.erode(inside.view(np.uint8), np.ones((3, 3))), level.take(code)
        # A small logo has no cluster of its own, and where two dyes meet nothing can be read: both are continued from around.
        core[cv2.dilate(odd.take(code).view(np.uint8), np.ones((5, 5))) > 0] = 0
        if dye.any():
            index = cv2.medianBlur(dye.take(code), 3)
            edges = inside & (cv2.morphologyEx(index, cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0)
            core[edges] = 0
            # Between stripes hardly a pixel is free of its neighbours' colour: what is left of them tells of dye, not of light.
            stark = inside & (cv2.morphologyEx(bright, cv2.MORPH_GRADIENT, np.ones((5, 5))) > STARK)
            around, between = (cv2.blur(m.astype(np.float32), (SPARSE, SPARSE)) for m in (inside, stark))
            core[between > CROWDED * around] = 0
            # Narrow stripes and checks leave few pixels to read: only broad light is trusted there.
            spread = max(spread, 5.0 * min(1.0, 2 * edges.sum() / inside.sum()))
        # On dark cloth sheen, the camera's grain and the weave are large against the light: on bright cloth they would glitter.
        dark = float(np.clip((0.5 - float(bright[inside].mean())) / 0.4, 0, 1))
        np.copyto(ratio, cv2.pow((grey + FLOOR) / (bright + FLOOR), 1 - MILD * dark), where=core > 0)
        np.copyto(dim, np.float32(dark), where=inside)
        known |= core
    unread = _continued(dim, labels) if dim.max() > 0.05 else dim
    if not known.any():
        return ratio, unread
    filled = push_pull(ratio[..., None], known > 0)[..., 0]
    light = cv2.GaussianBlur(filled, (0, 0), spread)
    if dim.max() > 0.05:
        size, few = grey.shape[::-1], (max(1, grey.shape[1] // 4), max(1, grey.shape[0] // 4))
        broad, share = (cv2.resize(x, few, interpolation=cv2.INTER_AREA) for x in (filled, dim))
        broad, share = cv2.GaussianBlur(broad, (0, 0), BROAD / 4), cv2.GaussianBlur(share, (0, 0), 0.6)
        broad, share = (cv2.resize(x, size, interpolation=cv2.INTER_LINEAR) for x in (broad, share))
        light += (broad - light) * share
    return np.clip(light, 0.35, 1.6), unread


def _continued(dim: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`dim` [h, w] of what is worn and of skin, gone on with beyond them: new cloth does, and there is no step where old cloth
    ends."""
    few = (max(1, dim.shape[1] // 4), max(1, dim.shape[0] // 4))
    on = picked(labels, np.logical_or.reduce(GROUPS)).astype(np.float32)
    total, share = (cv2.resize(x, few, interpolation=cv2.INTER_AREA) for x in (dim * on, on))
    mean = total / np.maximum(share, 1e-6)
    soft = cv2.GaussianBlur(push_pull(mean[..., None], share > 0)[..., 0], (0, 0), BROAD / 4)
    return cv2.resize(soft, dim.shape[::-1], interpolation=cv2.INTER_LINEAR)


def without_glare(light: np.ndarray, fabric: np.ndarray) -> np.ndarray:
    """`light` [h, w] for cloth of the colour `fabric` [3] 0-1: bright cloth has less room above it, and comes near white
    instead of burning out to it."""
    room = max(WHITE / max(float(fabric.max()), 1e-3) - 1, LEAST_ROOM)
    over = np.maximum(light - 1, 0)
    return np.minimum(light, 1) + over * np.float32(room) / (over + np.float32(room))


def rounded(layer: Layer | None, m: PanelMap, unread: np.ndarray, canvas: Canvas, step: float) -> Layer | None:
    """A panel's `layer` darker towards its outlines, as far as the old cloth's light is `unread` [h, w] 0-1: without any, cloth
    looks like paper."""
    if layer is None or unread.max() < 0.05:
        return layer
    (top, left), (height, width) = layer.corner, layer.alpha.shape
    box = (top, top + height, left, left + width)
    turned = np.minimum(np.abs(m.across), 1) ** 3 * np.float32(ROUND)
    if m.part in TROUSER_LEGS:  # down to the crotch the legs meet in a seam, which is no outline
        turned *= np.clip((m.station - CROTCH_ON_LEG) / np.float32(0.2), 0, 1)
    dark = canvas.enlarge(turned, box, cell=step) * canvas.enlarge(unread, box)
    return replace(layer, colour=cv2.multiply(layer.colour, cv2.merge((1 - dark,) * 3), dtype=cv2.CV_8U))
