"""What shows where the old garment was: no rim of it, no black where the scene was never seen, limbs as wide as limbs."""

import numpy as np
import pytest

from vidvton.values import CIHP_LABELS
from vidvton.warp.body import BARE_LEG, LIMB
from vidvton.warp.grid import extend
from vidvton.warp.layers import Dressing
from vidvton.warp.outfit import STEPS
from vidvton.warp.solve import _bare
from vidvton.warp.undress import fill

DRESS = CIHP_LABELS.index("dress")
SIZE = (60, 50)


@pytest.mark.parametrize("known_until", [0, 20, 30, 60])
def test_the_unknown_part_of_the_plate_never_shows(known_until):
    labels = np.zeros(SIZE, np.uint8)
    labels[10:50, 12:38] = DRESS
    old = labels == DRESS
    frame = np.full((*SIZE, 3), 200, np.uint8)
    frame[old] = 10
    known = np.zeros(SIZE, bool)
    known[:known_until] = True
    plate = np.where(known[..., None], np.uint8(200), np.uint8(0)).repeat(3, -1), known
    dressing = Dressing("full", None, {})
    picture, bare = fill(frame, labels, old, dressing, None, [], np.full(3, 0.5), np.ones(SIZE, np.float32), plate)
    assert not bare
    assert picture.min() >= 198 and picture.max() <= 202


def test_beyond_a_map_the_nearest_cell_goes_on():
    values = np.zeros((40, 30, 2))
    values[:20] = np.indices((20, 30)).transpose(1, 2, 0) + 100.0
    weight = np.zeros((40, 30))
    weight[:20] = 1
    filled, known = extend(values, weight)
    assert known[:20].all() and not known[30:].any()
    assert (filled[20:, :, 0] >= 110).all(), "an enlarged map must not run back through the picture below its end"
    assert np.abs(np.diff(filled[30:, 5, 0])).max() == 0


def test_a_limb_is_measured_below_the_cloth_and_cloth_behind_it_does_not_widen_it():
    frames, half = 20, 0.9 * BARE_LEG
    edges = np.stack([-half, half], -1)[None, None].repeat(frames, 0).repeat(2, 1)
    trust, ends = np.ones_like(edges), np.full((frames, 2), 1.5)
    edges[:, :, LIMB < 1.5] *= 2.0  # the skirt's outline
    ends[::4] = np.nan  # frames in which its end was not found
    edges[: frames // 2, 1, LIMB > 1.5, 1] *= 1.8  # something dark behind one side for half the time
    assert np.allclose(_bare(edges, trust, ends, BARE_LEG), 0.9 * BARE_LEG, rtol=0.02)
    assert np.allclose(_bare(edges, np.zeros_like(trust), ends, BARE_LEG), BARE_LEG)


def test_raster_cells_stay_below_a_wrist():
    wrist = 2 * 0.06
    for torso in (20, 33, 60, 89, 130, 400):
        step, limb_step = next(steps for most, *steps in STEPS if torso < most)
        assert limb_step <= max(2, 0.75 * wrist * torso) and step <= limb_step and 8 % limb_step == 0
