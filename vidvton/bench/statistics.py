"""How sure a number is: bootstrap intervals over clips, ranks, and which differences are more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..metrics.series import Series, per_frame, score
from ..metrics.table import HIGHER, METRICS, NEARER_SOURCE, Metric, find_metric
from .results import BenchResult

LEVEL, COMPARE_LEVEL = 0.95, 0.99
"""Of an interval in a table; of one that must say "more than noise" among the many rows of a comparison."""
RESAMPLES = 4000
BLOCK = 8
"""Frames that are drawn together where there is only one clip: neighbouring frames are no independent evidence."""


@dataclass(frozen=True)
class Interval:
    """A mean over `count` values and the bounds between which it lies (NaN where `count` is below two)."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return not math.isnan(self.low)

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the bounds; False where there are none."""
        return self.known and not self.low <= value <= self.high


NOTHING = Interval(float("nan"), float("nan"), float("nan"), 0)


def bootstrap_mean(values: np.ndarray, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of `values` [n] (NaN left out) with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13),
    widened by sqrt(n / (n - 1)) about the mean: with few clips the plain one is too narrow by that much. Same seed, same
    bounds."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return NOTHING
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"), len(values))
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return _interval(values[draws].mean(1), mean, len(values), level)


def bootstrap_blocks(values: np.ndarray, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of a clip's frames [n] with a moving-block bootstrap interval (Kuensch 1989): for one clip alone."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 3 * BLOCK:
        return Interval(float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan"), len(values))
    blocks = -(-len(values) // BLOCK)
    starts = np.random.default_rng(seed).integers(0, len(values) - BLOCK + 1, (resamples, blocks))
    drawn = values[(starts[..., None] + np.arange(BLOCK)).reshape(resamples, -1)[:, : len(values)]]
    return _interval(drawn.mean(1), float(values.mean()), len(values) // BLOCK, level)


def _interval(means: np.ndarray, mean: float, count: int, level: float) -> Interval:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    wider = math.sqrt(count / (count - 1))
    return Interval(mean, mean + (float(low) - mean) * wider, mean + (float(high) - mean) * wider, count)


def cost(metric: Metric, value: np.ndarray, source: np.ndarray) -> np.ndarray:
    """What is to be small: the value, its negative, or its distance from the source's own."""
    if metric.better == NEARER_SOURCE:
        return np.abs(value - source)
    return -value if metric.better == HIGHER else value


@dataclass(frozen=True)
class Cell:
    """One method, metric and place over a set of clips. `clips` [n] and `sources` [n] are scores by clip in the set's order, NaN
    where not measured; `rank` is None where nothing was measured."""

    method: str
    value: Interval
    source: Interval
    difference: Interval
    clips: np.ndarray
    sources: np.ndarray
    rank: int | None = None


@dataclass(frozen=True)
class Row:
    """One metric in one place, with every method's cell."""

    metric: Metric
    where: str
    cells: tuple[Cell, ...]

    def cell(self, method: str) -> Cell | None:
        """The cell of a method."""
        return next((c for c in self.cells if c.method == method), None)


def summarise(result: BenchResult, set_name: str) -> tuple[Row, ...]:
    """Every metric and place that was measured on the cases of one set, in the order of the table of metrics."""
    cases = [c.name for c in result.cases if c.set == set_name]
    found: dict[tuple[str, str], dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for clip in result.clips:
        if clip.case not in cases:
            continue
        at = cases.index(clip.case)
        for series in clip.series:
            if series.of not in ("output", "source"):
                continue
            per_method = found.setdefault((series.name, series.where), {})
            pair = per_method.setdefault(clip.method, (np.full(len(cases), np.nan), np.full(len(cases), np.nan)))
            pair[series.of == "source"][at] = score(series)
    order = [m.name for m in result.methods]
    rows = []
    for name, where in sorted(found, key=_order):
        metric, methods = find_metric(name), found[name, where]
        costs = {m: cost(metric, *methods[m]) for m in order if m in methods}
        ranks = rank_methods(costs)
        rows.append(Row(metric, where, tuple(_cell(m, *methods[m], ranks[m]) for m in order if m in methods)))
    return tuple(rows)


def _order(key: tuple[str, str]) -> tuple[int, int]:
    return [m.name for m in METRICS].index(key[0]), ("region", "background", "frame").index(key[1])


def _cell(method: str, clips: np.ndarray, sources: np.ndarray, rank: int | None) -> Cell:
    return Cell(
        method, bootstrap_mean(clips), bootstrap_mean(sources), bootstrap_mean(clips - sources), clips, sources, rank
    )  # fmt: skip


def rank_methods(costs: Mapping[str, np.ndarray]) -> dict[str, int | None]:
    """Rank 1, 2, ... of each method by its costs per clip [n] (the same clips in the same order, NaN: not measured).

    A method's rank is one more than the number of methods that are better beyond noise: their paired differences' bootstrap
    interval excludes zero. Methods that cannot be told apart share a rank. With one clip there is no noise to measure, and the
    plain order counts.
    """
    ranks: dict[str, int | None] = {}
    for mine, own in costs.items():
        if np.isnan(own).all():
            ranks[mine] = None
            continue
        ranks[mine] = 1 + sum(_beats(theirs, own) for other, theirs in costs.items() if other != mine)
    return ranks


def _beats(theirs: np.ndarray, own: np.ndarray) -> bool:
    difference = own - theirs
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        return False
    if len(difference) == 1:
        return bool(difference[0] > 0)
    interval = bootstrap_mean(difference)
    return interval.low > 0


BETTER, WORSE, MOVED, NOISE, SAME = "better", "worse", "moved", "within noise", "the same"


@dataclass(frozen=True)
class Change:
    """How one metric of one method changed from a result A to a result B: means over the shared clips, the paired difference with
    its interval, and a verdict (better, worse, moved where neither is better, within noise, the same, or untold)."""

    method: str
    metric: Metric
    where: str
    clips: int
    before: float
    after: float
    difference: Interval
    verdict: str


def compare_results(before: BenchResult, after: BenchResult) -> tuple[Change, ...]:
    """What changed from one result to the other, on the cases they share, method by method of the same name (where each has but
    one method, those two, whatever their names)."""
    names = [(m.name, m.name) for m in before.methods if any(m.name == n.name for n in after.methods)]
    if not names and len(before.methods) == len(after.methods) == 1:
        names = [(before.methods[0].name, after.methods[0].name)]
    changes = []
    for old, new in names:
        pairs = [
            (a, b) for a in before.clips for b in after.clips if a.method == old and b.method == new and a.case == b.case
        ]  # fmt: skip
        keys = {(s.name, s.where) for a, _ in pairs for s in a.series if s.of == "output"}
        for name, where in sorted(keys, key=_order):
            series = [(a.find(name, where), b.find(name, where), a.find(name, where, of="source")) for a, b in pairs]
            series = [(a, b, s) for a, b, s in series if a is not None and b is not None]
            if series:
                changes.append(_change(new if old == new else f"{old} to {new}", name, where, series))
    return tuple(changes)


def _change(method: str, name: str, where: str, series: list[tuple[Series, Series, Series | None]]) -> Change:
    metric = find_metric(name)
    a, b = (np.array([score(row[k]) for row in series]) for k in (0, 1))
    source = np.array([float("nan") if row[2] is None else score(row[2]) for row in series])
    if len(series) > 1:
        values, worse = b - a, cost(metric, b, source) - cost(metric, a, source)
        difference, harm = (bootstrap_mean(v, level=COMPARE_LEVEL) for v in (values, worse))
    else:
        x, y, s = series[0]
        one, two = per_frame(x), per_frame(y)
        alike = len(one) == len(two) and np.array_equal(x.frames, y.frames)
        base = per_frame(s) if s is not None and len(s.frames) == len(one) else np.full(len(one), np.nan)
        if alike:
            difference = bootstrap_blocks(two - one, level=COMPARE_LEVEL)
            harm = bootstrap_blocks(cost(metric, two, base) - cost(metric, one, base), level=COMPARE_LEVEL)
        else:
            difference, harm = bootstrap_mean(b - a), bootstrap_mean(cost(metric, b, source) - cost(metric, a, source))
    return Change(method, metric, where, len(series), _mean(a), _mean(b), difference, _verdict(difference, harm))


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _verdict(difference: Interval, harm: Interval) -> str:
    if difference.mean == 0 and (not difference.known or difference.low == difference.high == 0):
        return SAME
    if not difference.known:
        return "untold (too few clips and frames)"
    if not difference.excludes(0.0):
        return NOISE
    if harm.excludes(0.0):
        return WORSE if harm.mean > 0 else BETTER
    return MOVED
