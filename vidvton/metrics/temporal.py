"""Change over time without flow: flickering, second differences, seams and drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.color import deltaE_ciede2000
from torch import Tensor

DRIFT_WINDOW = 16


def steadiness(first: Tensor, second: Tensor) -> Tensor:
    """[H, W] float32 0-1: (255 - |difference|) / 255 of two frames [3, H, W] float 0-1, mean of the channels.

    Its mean over a clip is VBench's temporal flickering (Huang et al. 2024), which is meant for static clips: a frozen one wins.
    """
    return 1 - (second - first).abs().mean(0)


def second_difference(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """[H, W] float32: (third - 2 second + first)^2 of frames [3, H, W] float 0-1, mean of the channels (ours).

    Even motion of smooth shading leaves little; what jumps to and fro leaves four times its variance and more (six times for
    noise of its own on every frame).
    """
    return (third - 2 * second + first).square().mean(0)


def seam_scores(frames: np.ndarray, errors: np.ndarray, boundaries: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(frames, scores) at window boundaries: the error there over the median error elsewhere (ours; 1 is invisible).

    `frames` [n] are the later frames of pairs, `errors` [n] their warping errors (NaN: not measurable); `boundaries` the first
    frames of windows. Empty where no boundary or nothing else was measured. A still, noiseless clip (median 0) scores 1 at
    boundaries of error 0 and infinity at others.
    """
    at = np.isin(frames, np.asarray(list(boundaries), np.int64)) & ~np.isnan(errors)
    rest = errors[~np.isin(frames, np.asarray(list(boundaries), np.int64)) & ~np.isnan(errors)]
    if not at.any() or not len(rest):
        return frames[:0], errors[:0]
    usual = np.median(rest)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where((errors[at] == 0) & (usual == 0), 1.0, errors[at] / usual)
    return frames[at], scores


def drift(lab: np.ndarray, energy: np.ndarray, boundaries: Sequence[int] = ()) -> tuple[float, float]:
    """(colour drift in CIEDE2000, sharpness drift in octaves) of the last window against the first (ours).

    `lab` [T, 3] is the region's mean colour and `energy` [T] its mean squared gradient in every frame, NaN where there is no
    region. Windows end at `boundaries`; without any they are the first and last 16 frames, or halves of a clip shorter than 32.
    NaN where a window is empty.
    """
    count = len(lab)
    length = min(DRIFT_WINDOW, count // 2)
    inner = [b for b in boundaries if 0 < b < count]
    first = slice(0, inner[0] if inner else length)
    last = slice(inner[-1] if inner else count - length, count)
    (before, sharp), (after, sharper) = ((_known_mean(lab[w]), _known_mean(energy[w])) for w in (first, last))
    colour = float("nan") if np.isnan([before, after]).any() else float(deltaE_ciede2000(before, after))
    if sharp > 0 and sharper > 0:
        return colour, float(np.log2(sharper / sharp))
    return colour, 0.0 if sharp == sharper else float("nan")


def _known_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of the rows without NaN; NaN where there is none."""
    known = values[~np.isnan(values.reshape(len(values), -1)).any(1)] if len(values) else values
    return known.mean(0) if len(known) else np.full(values.shape[1:], np.nan)
