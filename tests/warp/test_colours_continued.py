"""Colours that go on where nothing was seen: skin without stripes, floors and walls at their own height."""

import numpy as np
import pytest

from vidvton.warp.texture import continue_colours, spread_colours


def test_painted_skin_has_no_stripes():
    """A neck with a highlight, and a chest below it that is not seen."""
    picture, known = np.zeros((90, 60, 3), np.uint8), np.zeros((90, 60), bool)
    picture[:20] = 150, 110, 90
    picture[:20, 25:33] = 230, 190, 160
    known[:20] = True
    filled = spread_colours(picture, known)
    assert np.abs(filled[known] - picture[known]).max() < 1, "what is seen stays"
    across = filled[60, :, 0]
    assert np.ptp(across) < 12, "far from the highlight it is forgotten"
    assert 150 < across.mean() < 190
    assert np.abs(np.diff(filled[22:, :, 0], axis=0)).max() < 25, "and it fades slowly"


@pytest.mark.parametrize("known", [np.zeros((7, 9), bool), np.eye(1, 63, 30).reshape(7, 9) > 0])
def test_nothing_or_a_single_pixel_may_be_known(known):
    filled = spread_colours(np.full((7, 9, 3), 77, np.uint8), known)
    assert filled.shape == (7, 9, 3) and np.isfinite(filled).all()
    if known.any():
        assert np.abs(filled - 77).max() < 1


def test_in_a_narrow_picture_the_far_end_is_not_black():
    picture, known = np.full((400, 8, 3), 140, np.uint8), np.zeros((400, 8), bool)
    known[:10] = True
    assert np.abs(spread_colours(picture, known) - 140).max() < 1


def test_walls_do_not_sink_and_floors_do_not_rise_behind_people():
    picture = np.full((80, 90, 3), 230, np.uint8)
    picture[60:] = 120, 90, 60  # a floor; the feet stand on it at 70
    known = np.ones((80, 90), bool)
    known[5:70, 30:60] = False
    seen = continue_colours(picture, known, level=4)
    assert (seen[50:58, 30:60] == 230).all() and (seen[62:70, 30:60] == (120, 90, 60)).all()
    nearest = continue_colours(picture, known)
    assert (nearest[56, 40:50] != 230).any() or (nearest[62:70, 30:60] == (120, 90, 60)).all()
    assert (seen[known] == picture[known]).all()


def test_a_known_sliver_that_falls_between_the_cells_is_found_all_the_same():
    picture, known = np.full((20, 41, 3), 9, np.uint8), np.zeros((20, 41), bool)
    known[:, 1], picture[:, 1] = True, 200
    assert (continue_colours(picture, known, level=4) == 200).all()
