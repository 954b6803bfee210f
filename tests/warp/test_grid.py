import cv2
import numpy as np

from vidvton.warp.grid import denormalise, extend, invert_lattice, normalise, pixel_centres, polish_inverse, read_exactly, sample


def test_pixel_centres_and_normalised_corners_follow_the_convention():
    centres = pixel_centres((4, 6))
    assert centres[0, 0].tolist() == [0.5, 0.5] and centres[3, 5].tolist() == [5.5, 3.5]
    assert normalise(np.array([[0.0, 0.0], [6.0, 4.0]]), (4, 6)).tolist() == [[-1, -1], [1, 1]]
    points = np.random.default_rng(0).uniform(0, 50, (20, 2))
    assert np.allclose(denormalise(normalise(points, (37, 53)), (37, 53)), points)


def test_reading_at_pixel_centres_is_the_identity_and_half_pixels_average():
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    assert np.array_equal(sample(picture, pixel_centres((20, 30))), picture)
    row = np.float32([[0, 10, 20, 30]])
    between = sample(row, np.float32([[[1.0, 0.5], [2.0, 0.5]]]))
    assert np.allclose(between, [[5, 15]], atol=0.2)


def test_an_unbent_lattice_inverts_to_the_identity():
    x, y = np.meshgrid(np.linspace(-20, 120, 8), np.linspace(-20, 140, 9))
    nodes = np.stack([x, y], -1)
    inverse, weight = invert_lattice(nodes, nodes, (30, 25), step=4)
    assert weight.min() > 0.5
    assert np.abs(inverse - pixel_centres((30, 25), step=4)).max() < 0.35


def test_a_turned_lattice_inverts_to_the_inverse_turn():
    angle, centre = np.deg2rad(25), np.array([50.0, 60.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y = np.meshgrid(np.linspace(-80, 180, 14), np.linspace(-80, 200, 15))
    flat = np.stack([x, y], -1)
    inverse, _ = invert_lattice((flat - centre) @ turn.T + centre, flat, (30, 25), step=4)
    want = (pixel_centres((30, 25), step=4) - centre) @ turn + centre
    assert np.abs(inverse - want).max() < 0.5


def test_extension_continues_values_and_says_how_far():
    values, weight = np.zeros((40, 40, 1), np.float32), np.zeros((40, 40), np.float32)
    values[18:22, 18:22], weight[18:22, 18:22] = 7.0, 1.0
    filled, known = extend(values, weight)
    assert np.allclose(filled[known], 7.0)
    assert known[16, 16] and not known[0, 0]


def test_a_folded_lattice_does_not_tear():
    x, y = np.meshgrid(np.linspace(0, 96, 9), np.linspace(0, 96, 9))
    nodes = np.stack([np.where(x > 64, 128 - x, x), y], -1)
    inverse, weight = invert_lattice(nodes, np.stack([x, y], -1), (24, 24), step=4)
    inside = cv2.erode((weight > 0.5).astype(np.uint8), np.ones((3, 3))) > 0
    assert np.isfinite(inverse).all() and inside[:, :14].sum() > 200


def test_where_a_lattice_lies_over_itself_the_rows_with_more_say_are_seen():
    x, y = np.meshgrid(np.linspace(0, 96, 9), np.linspace(0, 96, 13))
    nodes = np.stack([x, np.where(y > 64, 128 - y, y)], -1)
    for first, last, seen in ((1.0, 50.0, 80.0), (50.0, 1.0, 48.0)):
        say = np.where(y[:, 0] > 64, last, first)
        inverse, _ = invert_lattice(nodes, np.stack([x, y], -1), (24, 24), step=4, say=say)
        assert abs(inverse[11, 12, 1] - seen) < 4  # the raster's row 11 lies at 46: rows at 46 and at 82 come there


def test_a_polished_inverse_does_not_depend_on_where_the_raster_lies():
    """A bent lattice moved by fractions of a cell: its inverse must move with it, to a hundredth of a pixel."""
    column, row = np.meshgrid(np.arange(9), np.arange(11))
    bent = np.stack([12.0 * column + 3 * np.sin(row / 2), 11.0 * row + 2 * np.cos(column / 3)], -1)
    size, inside = (30, 25), (slice(4, 24), slice(4, 20))
    for shift in (0.0, 0.7, 1.9, 3.1):
        nodes = bent + shift
        index, _ = invert_lattice(nodes, np.stack([column, row], -1), size, step=4)
        goal = pixel_centres(size, step=4)
        rough = (_forward(nodes, index) - goal)[inside]
        fine = (_forward(nodes, polish_inverse(nodes, index, goal)) - goal)[inside]
        assert np.abs(fine).max() < 0.05 < np.abs(rough).max()


def _forward(nodes, index):
    return read_exactly(nodes.astype(np.float32), index[..., 0], index[..., 1])
