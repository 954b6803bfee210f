import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidvton.warp.shape_context import contour_points, match_cost, shape_context_fit, shape_contexts
from vidvton.warp.tps import bending_energy, tps_basis, tps_warp

RNG = np.random.default_rng(0)
CONTROL = RNG.uniform(0, 100, (18, 2))
QUERY = RNG.uniform(-20, 120, (200, 2))


def test_identity_and_interpolation():
    assert np.allclose(tps_warp(CONTROL, CONTROL, QUERY), QUERY, atol=1e-8)
    target = CONTROL + RNG.normal(0, 5, CONTROL.shape)
    assert np.allclose(tps_warp(CONTROL, target, CONTROL), target, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(-50, 50), st.floats(-50, 50))
def test_affine_maps_are_reproduced_everywhere(matrix, dx, dy):
    affine = np.array(matrix).reshape(2, 2)
    target = CONTROL @ affine.T + [dx, dy]
    assert np.allclose(tps_warp(CONTROL, target, QUERY), QUERY @ affine.T + [dx, dy], atol=1e-6)


def test_weights_sum_to_one_and_scale_does_not_matter():
    basis = tps_basis(CONTROL, QUERY)
    assert np.allclose(basis.sum(1), 1)
    assert np.allclose(tps_basis(CONTROL * 1000 + 7, QUERY * 1000 + 7), basis, atol=1e-6)


def test_round_trip_through_the_inverse_correspondence_is_close():
    target = CONTROL + RNG.normal(0, 1.0, CONTROL.shape)
    there = tps_warp(CONTROL, target, QUERY[:50] * 0.6 + 20)
    back = tps_warp(target, CONTROL, there)
    assert np.abs(back - (QUERY[:50] * 0.6 + 20)).max() < 1.5


def test_smoothing_tends_to_the_least_squares_affine_map():
    target = CONTROL @ np.array([[1.1, 0.2], [-0.1, 0.9]]) + RNG.normal(0, 4, CONTROL.shape)
    stiff = tps_warp(CONTROL, target, QUERY, smoothing=1e12)
    design = np.concatenate([np.ones((len(CONTROL), 1)), CONTROL], 1)
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    assert np.allclose(stiff, np.concatenate([np.ones((len(QUERY), 1)), QUERY], 1) @ solution, atol=1e-2)


def test_bending_energy_is_zero_for_affine_maps_and_grows_with_bending():
    bend = RNG.normal(0, 1, CONTROL.shape)
    assert bending_energy(CONTROL, CONTROL * 2 + 3) == pytest.approx(0, abs=1e-6)
    assert 0 < bending_energy(CONTROL, CONTROL + bend) < bending_energy(CONTROL, CONTROL + 3 * bend)


def test_degenerate_controls_are_refused():
    line = np.stack([np.arange(5.0), 2 * np.arange(5.0)], -1)
    with pytest.raises(ValueError, match="off one line"):
        tps_basis(line, QUERY)
    with pytest.raises(ValueError, match="three control points"):
        tps_basis(CONTROL[:2], QUERY)


def _shirt(height=128, width=96, shift=(0, 0), scale=1.0):
    y, x = np.mgrid[:height, :width]
    x, y = (x - width / 2 - shift[0]) / scale, (y - height / 2 - shift[1]) / scale
    body = (np.abs(x) < 20) & (np.abs(y) < 38)
    sleeves = (np.abs(x) < 38) & (y > -38) & (y < -16 + 0.2 * np.abs(x))
    return body | sleeves


def test_shape_context_fit_moves_a_shirt_onto_a_scaled_and_shifted_one():
    query = np.array([[48.0, 64.0], [30.0, 40.0], [66.0, 90.0]])
    got = shape_context_fit(_shirt(), _shirt(shift=(5, -4), scale=1.2), query)
    want = (query - [48, 64]) * 1.2 + [53, 60]
    assert np.abs(got - want).max() < 5.0


def test_shape_contexts_are_histograms_and_match_themselves():
    points, tangent = contour_points(_shirt())
    assert points.shape == (100, 2)
    mean = float(np.linalg.norm(points[:, None] - points[None], axis=-1).mean())
    context = shape_contexts(points, tangent, mean)
    assert np.allclose(context.sum(1), 1)
    cost = match_cost(context, context, tangent, tangent)
    assert np.allclose(np.diag(cost), 0, atol=1e-9) and cost.max() <= 1.0 + 1e-6


def test_outline_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="100 are needed"):
        contour_points(np.zeros((50, 50), bool))
