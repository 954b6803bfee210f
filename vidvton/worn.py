"""Garment pictures in which somebody wears the garment: told by the face, cut out by our own tracker and parser.

A picture without a face, of a model cut off at the chin or of no model at all, is left to what `garment` sees by itself.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidvton.analysis import analyse_clip, load_analysis
from vidvton.crops import placed
from vidvton.errors import VidvtonError
from vidvton.frames import as_arrays, from_arrays, resize
from vidvton.garment import prepare_garment
from vidvton.garment.wearer import LEAST, garment_in, lengthened, may_show_skin, on_a_head
from vidvton.values import Clip, Garment

SIDE = 1024  # longer side of the picture looked at
FACE, HIGH = 0.5, 0.05  # score of a face that is one, and its height against the picture's


def prepare_any_garment(image: Tensor, alpha: Tensor | None = None, *, category: str | None = None) -> Garment:
    """As `garment.prepare_garment`, also where somebody wears it; of several pieces worn the top is meant, unless `category` says
    otherwise. VidvtonError, too, where the person wears nothing of that category in the picture."""
    covered = alpha is not None and float((alpha < 0.5).float().mean()) > 0.01
    labels = None if covered else wearer_labels(image)
    if labels is None:
        return prepare_garment(image, alpha=alpha, category=category)
    picture = np.ascontiguousarray(as_arrays(image))
    worn, kind = garment_in(picture, labels, category)
    if worn.mean() < LEAST:
        what = f"{category} garment" if category else "garment"
        raise VidvtonError(f"no {what} found: too little of one shows on the person in the picture, give one that shows it whole")
    picture, worn = lengthened(picture, worn, kind)
    return prepare_garment(from_arrays(picture), category=kind, person=worn)


def wearer_labels(image: Tensor) -> np.ndarray | None:
    """[H, W] uint8 CIHP labels of the person whose face shows in `image` [3, H, W] uint8, None where nobody's does."""
    height, width = image.shape[1:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = np.ascontiguousarray(as_arrays(resize(image, size)))
    if not may_show_skin(small):
        return None
    from vidvton.people.mediapipe_pose import mediapipe_estimators

    faces = mediapipe_estimators().faces().find(small)
    faces = [f for f in faces if f[4] > FACE and f[3] - f[1] > HIGH * small.shape[0]]
    if not faces:
        return None
    clip = Clip(from_arrays(small[None]), torch.zeros(1, dtype=torch.int64), Fraction(1, 25))
    with tempfile.TemporaryDirectory(prefix="vidvton-worn-") as folder:
        try:
            for _ in analyse_clip(lambda start: iter([clip]), clip.size, Path(folder)):
                pass
        except VidvtonError:
            return None
        analysis = load_analysis(Path(folder), clip.size)
        (labels,) = analysis.labels(0, 1)
        labels = placed(labels, analysis.crops.boxes[0], clip.size)
    if not any(on_a_head(face, labels > 0) for face in faces):
        return None
    return labels[np.arange(height) * size[0] // height][:, np.arange(width) * size[1] // width]
