"""Which colours of a surface last: hair and skin keep theirs through a shot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .colours import SIDE, density

_SEEN, _SEVERAL = 5, 6  # pixels that count as seen; frames it takes to tell what lasts
_USUAL = 0.5  # of a colour's mean, what the frames without the quarter that has it most give it at least


def lasting_colours(bins: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    """[SIDE^3] 0-1: how far a colour is seen in more than a few frames: hair and skin keep their colours, and what a badly placed
    head lies over in some frames does not.

    `bins` are the frames' bin numbers (`colours.bins_of`), `weight` [N] how far each of their pixels, all frames in turn, is of
    the surface. All ones where too few frames show it.
    """
    ends = np.cumsum([b.size for b in bins])
    parts = [(b, w) for b, w in zip(bins, np.split(weight, ends[:-1])) if w.sum() > _SEEN]
    if len(parts) < _SEVERAL:
        return np.ones(SIDE**3, np.float32)
    each = np.sort(np.stack([density(b, w) for b, w in parts]), axis=0)
    most = each[: len(each) - len(each) // 4].mean(axis=0)
    return np.minimum(most / (_USUAL * each.mean(axis=0) + 1e-6), 1)
