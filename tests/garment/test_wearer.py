"""Garments cut out of somebody's picture: no tongues beside the body, no trousers of the top's colour."""

import numpy as np

from vidvton.garment.wearer import _level_hem, _without_slivers


def tee() -> np.ndarray:
    top = np.zeros((400, 400), bool)
    top[40:340, 120:280] = True
    top[50:150, 60:340] = True  # the sleeves
    return top


def test_tongues_go_and_corners_stay():
    top = tee()
    with_tongue = top.copy()
    with_tongue[150:220, 112:116] = True  # a shadow that hangs from the cuff beside the trunk
    with_tongue[150:153, 112:120] = True
    out = _without_slivers(with_tongue)
    assert not out[170:220, 112:116].any()
    assert (out & top).sum() > 0.995 * top.sum() and out[52, 62] and out[337, 122]


def test_trousers_below_a_top_go_and_sleeves_do_not_matter():
    top = tee()
    black_on_black = top.copy()
    black_on_black[340:390, 180:280] = True
    out = _level_hem(black_on_black)
    assert out[:340].sum() == top[:340].sum()
    assert out[360:].sum() == 0
    assert (_level_hem(top) == top).all()


def test_a_small_picture_is_left_alone():
    small = tee()[::20, ::20]
    assert (_without_slivers(small) == small).all()
