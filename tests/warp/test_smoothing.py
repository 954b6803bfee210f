import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidvton.smoothing import follow, running_median, whittaker


def test_lines_pass_unchanged_and_gaps_are_bridged():
    line = np.linspace(3, 9, 40)
    weights = np.ones(40)
    weights[10:20] = 0
    assert np.allclose(whittaker(np.where(weights > 0, line, 99.0), weights, 50.0), line, atol=1e-6)


def test_smoothing_has_no_lag():
    time = np.arange(120)
    truth = np.sin(time / 12)
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, 120)
    smooth = whittaker(noisy, np.ones(120), 20.0)
    assert np.abs(smooth - truth).mean() < 0.6 * np.abs(noisy - truth).mean()
    lags = [np.abs(np.roll(smooth, k)[10:-10] - truth[10:-10]).mean() for k in (-2, -1, 0, 1, 2)]
    assert int(np.argmin(lags)) == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5))
def test_short_series_keep_constants(count):
    assert np.allclose(whittaker(np.full(count, 4.0), np.ones(count), 100.0), 4.0)


def test_follow_keeps_the_steps_and_the_mean_of_the_anchors():
    steps = np.zeros((30, 1))
    steps[1:] = 0.5
    anchors = np.arange(30)[:, None] * 0.5 + np.random.default_rng(1).normal(0, 0.4, (30, 1))
    path = follow(anchors, np.full((30, 1), 0.01), steps, np.ones((30, 1)))
    assert np.abs(np.diff(path[:, 0]) - 0.5).max() < 0.02
    assert abs((path - anchors).mean()) < 1e-3
    untrusted = follow(anchors, np.ones((30, 1)), steps * 9, np.full((30, 1), 1e-9))
    assert np.allclose(untrusted, anchors, atol=1e-5)


def test_a_running_median_passes_over_what_lasts_less_than_half_its_reach():
    values = np.zeros((20, 2))
    values[8:11, 0], values[10:, 1] = 1, 1
    out = running_median(values, 4)
    assert out.shape == values.shape and not out[:, 0].any() and np.array_equal(out[:, 1], values[:, 1])
