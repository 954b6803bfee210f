"""Intervals cover, ranks are what the damage says, and a comparison tells a change from noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_results import make_result, series

from vidvton.bench.results import from_json, read_result, result_text, write_result
from vidvton.bench.statistics import (
    BETTER,
    NOISE,
    SAME,
    WORSE,
    Measured,
    bootstrap_blocks,
    bootstrap_mean,
    compare_results,
    rank_methods,
    summarise,
)
from vidvton.errors import MisuseError, VidvtonError
from vidvton.metrics.table import find_metric

WARPING = find_metric("warping-error")


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(3), 0
    for k in range(300):
        hits += not bootstrap_mean(rng.normal(5, 2, 20), seed=k, resamples=600).excludes(5.0)
    assert 0.88 < hits / 300 < 0.98


def test_by_hand():
    found = bootstrap_mean(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found.mean == 2.0 and found.count == 3 and 1.0 <= found.low < 2.0 < found.high <= 3.0
    assert bootstrap_mean(np.array([4.0])).mean == 4.0 and not bootstrap_mean(np.array([4.0])).known
    assert bootstrap_mean(np.array([np.nan])).count == 0
    same = bootstrap_mean(np.full(6, 2.5))
    assert same.low == same.high == 2.5 and same.excludes(2.4)
    assert bootstrap_mean(np.arange(9.0)) == bootstrap_mean(np.arange(9.0)), "the same values give the same bounds"


def test_blocks_know_that_neighbouring_frames_are_alike():
    """A slow wave is one observation, not 160: its interval must be far wider than that of independent frames."""
    wave = np.repeat(np.random.default_rng(0).normal(0, 1, 20), 8)
    shuffled = np.random.default_rng(1).permutation(wave)
    slow, quick = bootstrap_blocks([wave]), bootstrap_blocks([shuffled])
    assert slow.high - slow.low > 1.8 * (quick.high - quick.low)
    assert not bootstrap_blocks([np.arange(10.0)]).known and bootstrap_blocks([]).count == 0


def measured(level, *, seed, metric="warping-error"):
    return Measured(
        series(metric, "region", "output", level, spread=0.3, seed=seed),
        series(metric, "region", "source", 1e-4, spread=0.3, seed=seed),
    )


def test_ranks_follow_the_damage_and_equals_share_them():
    cases = range(8)
    methods = {
        name: {str(c): measured(level * (1 + 0.05 * np.sin(c)), seed=10 * c + k) for c in cases}
        for k, (name, level) in enumerate({"bad": 9e-4, "good": 2e-4, "fair": 5e-4, "also good": 2e-4}.items())
    }
    assert rank_methods(WARPING, methods) == {"bad": 4, "good": 1, "fair": 3, "also good": 1}
    higher = find_metric("ssim")
    up = {
        name: {str(c): measured(v + 0.001 * c, seed=c, metric="ssim") for c in cases} for name, v in {"a": 0.9, "b": 0.5}.items()
    }
    assert rank_methods(higher, up) == {"a": 1, "b": 2}


def test_nearer_to_the_source_wins_not_more():
    """A frozen clip's flickering score of 1 is as far from the source's as one that flickers."""
    steady, frozen = 0.97, 1.0
    flickering = find_metric("temporal-flickering")

    def row(level, seed):
        own = series("temporal-flickering", "region", "source", 0.968, spread=0.0, seed=seed)
        return Measured(series("temporal-flickering", "region", "output", level, spread=0.002, seed=seed), own)

    methods = {"frozen": {str(c): row(frozen, c) for c in range(6)}, "steady": {str(c): row(steady, c) for c in range(6)}}
    assert rank_methods(flickering, methods) == {"frozen": 2, "steady": 1}
    one_clip = {name: {"0": rows["0"]} for name, rows in methods.items()}
    assert rank_methods(flickering, one_clip) == {"frozen": 2, "steady": 1}


def test_a_summary_has_the_source_and_the_difference_beside_every_score():
    result = make_result({"warp": 0.0, "paste": 3.0})
    rows = {(r.metric.name, r.where): r for r in summarise(result, "studio")}
    row = rows["warping-error", "region"]
    for cell, extra in zip(row.cells, (0.0, 9e-4)):
        assert cell.value.count == 6 and cell.difference.mean == pytest.approx(cell.value.mean - cell.source.mean)
        assert cell.difference.mean == pytest.approx(extra, abs=1e-4)
    assert [c.rank for c in row.cells] == [1, 2]
    assert [c.rank for c in rows["warping-error", "background"].cells] == [1, 1]
    assert list(rows)[0] == ("warping-error", "region"), "the table's order"


def test_the_truth_as_a_method_takes_no_rank():
    result = make_result({"perfect": 0.0, "warp": 0.5, "paste": 3.0})
    methods = tuple(replace(m, kind="truth") if m.name == "perfect" else m for m in result.methods)
    row = summarise(replace(result, methods=methods), "studio")[0]
    assert {c.method: c.rank for c in row.cells} == {"perfect": None, "warp": 1, "paste": 2}


def test_a_comparison_tells_a_change_from_noise():
    before = make_result({"warp": 1.0, "paste": 3.0})
    after = make_result({"warp": 2.0, "paste": 3.0}, seed=0)
    verdicts = {(c.method, c.metric.name, c.where): c.verdict for c in compare_results(before, after)}
    assert verdicts["warp", "warping-error", "region"] == WORSE
    assert verdicts["warp", "garment-print", "region"] == BETTER
    assert verdicts["paste", "warping-error", "region"] == SAME
    noisy = replace(
        after,
        clips=tuple(
            replace(c, series=tuple(replace(s, sums=s.sums * (1 + 0.02 * (-1) ** int(c.case[-1]))) for s in c.series))
            for c in before.clips
        ),
    )
    assert all(c.verdict == NOISE for c in compare_results(before, noisy) if c.before != 0)
    assert compare_results(before, make_result({"other": 1.0, "another": 2.0})) == ()


def test_one_clip_is_compared_by_its_frames_and_other_sources_not_at_all():
    before, after = make_result({"a": 1.0}, clips=1), make_result({"b": 2.0}, clips=1)
    changes = {(c.metric.name, c.where): c for c in compare_results(before, after)}
    assert changes["warping-error", "region"].verdict == WORSE and changes["warping-error", "region"].method == "a to b"
    other = replace(after, cases=(replace(after.cases[0], hashes={"source": "f" * 64}),))
    assert compare_results(before, other) == ()


def test_results_survive_json(tmp_path):
    result = make_result({"warp": 0.5, "paste": 2.0})
    path = tmp_path / "result.json"
    write_result(path, result)
    again = read_result(path)
    assert result_text(again) == path.read_text()
    one, two = result.clips[3].series[2], again.clips[3].series[2]
    assert np.allclose(one.sums, two.sums, rtol=1e-8) and np.array_equal(one.frames, two.frames)
    assert again.failures == result.failures and again.cases == result.cases and again.methods == result.methods


def test_files_that_are_no_results(tmp_path):
    for text, words in (("{", "not JSON"), ("[]", "no benchmark result"), ('{"schema": 99}', "schema 99")):
        path = tmp_path / "x.json"
        path.write_text(text)
        with pytest.raises(MisuseError, match=words):
            read_result(path)
    with pytest.raises(MisuseError, match="cannot be read"):
        read_result(tmp_path / "none.json")
    path.write_text('{"schema": 1, "title": "x"}')
    with pytest.raises(VidvtonError, match="damaged"):
        read_result(path)
    with pytest.raises(KeyError):
        from_json({"schema": 1})
