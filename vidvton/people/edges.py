"""Averages of per-pixel fields that keep to a picture's edges, or follow its motion. Fields are planes [C, h, w] float32."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_MISS = 16.0  # levels apart at which what motion brings has a quarter of its say
_OTHER = 20  # levels apart from which it is something else


def guided(fields: np.ndarray, guide: np.ndarray, *, radius: int, eps: float, step: int = 2, faint: float = 0.0) -> np.ndarray:
    """`fields` [C, h, w] averaged along the colours of `guide` [3, h, w] float32 0-1.

    He, Sun and Tang's guided filter with a colour guide, its coefficients found on a `step` times coarser grid as in their fast
    version. `radius` in pixels; contrasts under the root of `eps` are smoothed over. A field that is under `faint`
    throughout is left as it is.
    """
    h, w = fields.shape[1:]
    size = (-(-w // step), -(-h // step))
    k = 2 * max(1, round(radius / step)) + 1

    def small(x: np.ndarray) -> np.ndarray:
        return cv2.resize(x, size, interpolation=cv2.INTER_AREA)

    def box(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (k, k), borderType=cv2.BORDER_REFLECT)

    def large(x: np.ndarray) -> np.ndarray:
        return cv2.resize(box(x), (w, h), interpolation=cv2.INTER_LINEAR)

    r, g, b = colours = [small(x) for x in guide]
    mr, mg, mb = means = [box(x) for x in colours]
    rr, rg, rb = box(r * r) - mr * mr + eps, box(r * g) - mr * mg, box(r * b) - mr * mb
    gg, gb, bb = box(g * g) - mg * mg + eps, box(g * b) - mg * mb, box(b * b) - mb * mb + eps
    i_rr, i_rg, i_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    det = rr * i_rr + rg * i_rg + rb * i_rb
    i_gg, i_gb, i_bb = (rr * bb - rb * rb) / det, (rb * rg - rr * gb) / det, (rr * gg - rg * rg) / det
    i_rr, i_rg, i_rb = i_rr / det, i_rg / det, i_rb / det
    out = np.empty_like(fields)
    for c, field in enumerate(fields):
        if field.max() < faint:
            out[c] = field
            continue
        p = small(field)
        mean = box(p)
        cr, cg, cb = (box(p * x) - mean * m for x, m in zip(colours, means))
        slopes = (i_rr * cr + i_rg * cg + i_rb * cb, i_rg * cr + i_gg * cg + i_gb * cb, i_rb * cr + i_gb * cg + i_bb * cb)
        total = large(mean - slopes[0] * mr - slopes[1] * mg - slopes[2] * mb)
        for slope, colour in zip(slopes, guide):
            total += large(slope) * colour
        out[c] = total
    return out


class Follower:
    """Carries fields along the motion between neighbouring pictures, found by dense inverse search on half the pictures' size."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(1)

    def way(self, here: np.ndarray, there: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """(maps for `follow` that bring `there` onto `here`, trust [h, w] 0-1 from how well the two then agree); both [h, w, 3]
        uint8."""
        h, w = here.shape[:2]
        half = (max(w // 2, 16), max(h // 2, 16))
        shrunk = [cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), half, interpolation=cv2.INTER_AREA) for x in (here, there)]
        flow = cv2.resize(self._flow.calc(*shrunk, None), (w, h), interpolation=cv2.INTER_LINEAR)
        flow *= np.float32([w / half[0], h / half[1]])
        flow += _places(h, w)
        maps = cv2.convertMaps(flow, None, cv2.CV_16SC2)
        miss = _unlike(cv2.remap(there, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), here) * np.float32(1 / _MISS)
        return maps, 1 / np.square(1 + miss * miss)


def _unlike(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """[h, w] uint8: how far two pictures [h, w, 3] uint8 are apart around each pixel, in the channel in which they are most: an
    arm before a wall may be as bright as it."""
    return np.maximum.reduce(cv2.split(cv2.blur(cv2.absdiff(one, two), (5, 5))))


@lru_cache(maxsize=4)
def _places(h: int, w: int) -> np.ndarray:
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.stack([xs, ys], axis=-1)


def blend_along(own: np.ndarray, others: list[tuple[np.ndarray, tuple, np.ndarray]], share: float) -> np.ndarray:
    """`own` [h, w, 4] uint8 averaged with `others`: (picture like it, maps and trust of `Follower.way`), each counting `share`
    times its trust. Four bytes a pixel, because that is what OpenCV moves and blends fastest."""
    out, weight = own, np.ones(own.shape[:2], np.float32)
    for picture, maps, trust in others:
        moved = cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        part = trust * np.float32(share)
        out = cv2.blendLinear(out, moved, weight, part)
        weight = weight + part
    return out


def way_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[h/2, w/2, 2] float32: for each pixel of `after` [h, w, 3] uint8 at half size (16 pixels at least: on less the search ends
    the process), where its content was in `before`, less its own place."""
    half = (max(after.shape[1] // 2, 16), max(after.shape[0] // 2, 16))
    a, b = (cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), half, interpolation=cv2.INTER_AREA) for p in (before, after))
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(b, a, None)


def voted(labels: np.ndarray, ways: list[np.ndarray | None], pictures: np.ndarray) -> np.ndarray:
    """Labels [T, h, w] of `pictures` [T, h, w, 3] uint8 in which a pixel that differs from both its neighbours in time, along the
    motion `ways` (as `way_between` gives them), follows them where they agree: outlines stop trembling and a surface mistaken in
    one frame is set right. Where the neighbours look otherwise the motion is wrong, and nothing is set right."""
    height, width = labels.shape[1:]
    places = _places(height, width)

    def moved(source: np.ndarray, way: np.ndarray, sign: float) -> np.ndarray:
        flow = cv2.resize(way, (width, height), interpolation=cv2.INTER_LINEAR)
        at = places + flow * np.float32([sign * width / way.shape[1], sign * height / way.shape[0]])
        return cv2.remap(source, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)

    def alike(here: np.ndarray, there: np.ndarray, way: np.ndarray, sign: float) -> np.ndarray:
        at = _places(*way.shape[:2]) + sign * way
        return _unlike(cv2.remap(there, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), here) < _OTHER

    out = labels.copy()
    for k in range(1, len(labels) - 1):
        if ways[k] is None or ways[k + 1] is None:
            continue
        before, after = moved(labels[k - 1], ways[k], 1.0), moved(labels[k + 1], ways[k + 1], -1.0)
        few = ways[k].shape[1::-1]
        past, here, future = (cv2.resize(p, few, interpolation=cv2.INTER_AREA) for p in pictures[k - 1 : k + 2])
        same = alike(here, past, ways[k], 1.0) & alike(here, future, ways[k + 1], -1.0)
        same = cv2.resize(same.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        np.copyto(out[k], before, where=(before == after) & same)
    return out
