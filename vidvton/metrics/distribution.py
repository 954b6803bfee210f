"""Distances between sets of clips, from features: Frechet (FID, VFID, FVD) and kernel (KID)."""

from __future__ import annotations

from collections.abc import Sequence

from .series import Features


def distance(features: Sequence[Features], reference: Sequence[Features]) -> float:
    """The distance of the metric that the features are of (all of one name), between two sets of clips.

    NaN with fewer than two rows on either side.
    """
    raise NotImplementedError
