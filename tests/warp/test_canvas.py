"""Enlarged maps are exact; a map that leaps reads the cloth's broad look."""

import numpy as np
import pytest

from vidvton.values import CIHP_LABELS
from vidvton.warp.body import UPPER, picked
from vidvton.warp.canvas import Canvas
from vidvton.warp.texture import Texture


@pytest.mark.parametrize("zoom", [(1.0, 1.0), (1.53, 2.31), (0.9, 0.7)])
def test_an_enlarged_map_of_a_plane_is_that_plane(zoom):
    rows, columns = np.mgrid[:30, :20].astype(np.float32)
    raster = np.dstack([3 * columns + 0.5 * rows, 7 * rows - columns])
    canvas = Canvas((8, 16), zoom, (400, 300))
    box = (50, 110, 40, 100)
    x, y = canvas.enlarge_map(raster, box, cell=4.0)
    down, across = np.mgrid[box[0] : box[1], box[2] : box[3]]
    row = ((down + 0.5) / zoom[1] / 4 - 16 / 4 - 0.5).clip(0, 29)
    column = ((across + 0.5) / zoom[0] / 4 - 8 / 4 - 0.5).clip(0, 19)
    assert x.shape == (60, 60) and x.dtype == np.float32
    assert np.abs(x - (3 * column + 0.5 * row)).max() < 1e-3 and np.abs(y - (7 * row - column)).max() < 1e-3


def test_labels_are_picked_by_a_table():
    labels = np.random.default_rng(0).integers(0, len(CIHP_LABELS), (9, 7)).astype(np.uint8)
    found = picked(labels, UPPER)
    assert found.dtype == bool and (found == UPPER[labels]).all()


def test_where_a_map_leaps_stripes_are_their_mean_and_the_rest_is_sharp():
    stripes = np.where(np.arange(200)[:, None, None] // 10 % 2, np.uint8(220), np.uint8(20)).repeat(120, 1).repeat(3, 2)
    whole = np.full((200, 120, 3), 255, np.uint8)
    texture = Texture(stripes, stripes, whole, whole)
    y, x = (np.random.default_rng(1).uniform(50, 150, (40, 40)).astype(np.float32), np.full((40, 40), 60, np.float32))
    torn = np.zeros((40, 40), np.float32)
    torn[20:] = 1
    colour, outline, _ = texture.read((x, y), None, torn)
    assert np.ptp(colour[:20]) == 200 and np.ptp(colour[20:].astype(int)) < 60
    assert abs(float(colour[20:].mean()) - 120) < 10 and outline.min() == 255
