"""Motion between neighbouring pictures, and votes along it."""

import numpy as np
import pytest

from vidvton.people.edges import voted, way_between


@pytest.mark.parametrize("size", [(24, 200), (200, 24), (8, 8), (33, 47), (240, 180)])
def test_motion_is_found_in_pictures_of_any_size(size):
    """Dense inverse search ends the process on pictures of less than 16 pixels."""
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    way = way_between(picture, picture)
    assert way.shape[0] >= 16 and way.shape[1] >= 16 and np.abs(way).max() < 1


def test_a_pixel_mistaken_in_one_frame_follows_its_neighbours_along_the_motion():
    labels = np.zeros((3, 64, 48), np.uint8)
    for t in range(3):
        labels[t, 20 + 4 * t : 40 + 4 * t, 10:30] = 5
    truth = labels.copy()
    labels[1, 30, 20] = labels[1, 10, 40] = 7
    ways = [None, *(np.tile(np.float32([0, -2]), (32, 24, 1)) for _ in range(2))]  # half a picture's pixels, backwards in time
    assert (voted(labels, ways, np.repeat(truth[..., None], 3, -1) * np.uint8(20)) == truth).all()


def test_what_is_there_in_one_frame_alone_is_not_voted_away():
    """An arm that moves by more than the flow follows: its neighbours look otherwise."""
    labels, pictures = np.zeros((3, 64, 48), np.uint8), np.full((3, 64, 48, 3), 190, np.uint8)
    labels[1, 20:40, 10:30] = 5
    pictures[1, 20:40, 10:30] = 225, 190, 180  # as bright as the wall
    ways = [None, *(np.zeros((32, 24, 2), np.float32) for _ in range(2))]
    assert (voted(labels, ways, pictures)[1, 22:38, 12:28] == 5).all()
