"""How sure a number is: bootstrap intervals over clips, ranks, and which differences are more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.series import Series, per_frame, score
from ..metrics.table import HIGHER, METRICS, NEARER_SOURCE, Metric, find_metric
from .results import BenchResult

LEVEL, COMPARE_LEVEL = 0.95, 0.99
"""Of an interval in a table; of one that must say "more than noise" among the many rows of a comparison."""
RESAMPLES = 4000
BLOCK = 8
"""Frames that are drawn together inside a clip: neighbouring frames are no independent evidence."""
FEW = 5
"""Clips from which on a difference is judged over clips; below, over the frames of these clips."""


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


NAN = float("nan")
NOTHING = Interval(NAN, NAN, NAN, 0)


def bootstrap_mean(values: np.ndarray, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of `values` [n] (NaN left out) with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).
    Same seed, same bounds. With few values it is too narrow: below FEW nothing is concluded from it."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Interval(float(values.mean()), float("nan"), float("nan"), 1) if len(values) else NOTHING
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return _interval(values[draws].mean(1), float(values.mean()), len(values), level)


def bootstrap_blocks(clips: Sequence[np.ndarray], *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over a few clips of their means over frames [n] each, with a moving-block bootstrap interval (Kuensch 1989) over
    the frames inside each clip: what can be said of these very clips. No bounds where a clip has under three blocks."""
    rng, means, total = np.random.default_rng(seed), [], []
    for values in clips:
        values = np.asarray(values, np.float64)
        values = values[~np.isnan(values)]
        if not len(values):
            continue
        means.append(float(values.mean()))
        if len(values) >= 3 * BLOCK:
            starts = rng.integers(0, len(values) - BLOCK + 1, (resamples, -(-len(values) // BLOCK)))
            rows = (starts[..., None] + np.arange(BLOCK)).reshape(resamples, -1)[:, : len(values)]
            total.append(values[rows].mean(1))
    if not means:
        return NOTHING
    mean = float(np.mean(means))
    if len(total) < len(means):
        return Interval(mean, float("nan"), float("nan"), len(means))
    return _interval(np.mean(total, axis=0), mean, len(means), level)


def _interval(means: np.ndarray, mean: float, count: int, level: float) -> Interval:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), count)


def cost(metric: Metric, value: np.ndarray, source: np.ndarray) -> np.ndarray:
    """What is to be small: the value, its negative, or its distance from the source's own."""
    if metric.better == NEARER_SOURCE:
        return np.abs(value - source)
    return -value if metric.better == HIGHER else value


@dataclass(frozen=True)
class Measured:
    """One metric of one output, and of the source in its place (None: not measured)."""

    series: Series
    source: Series | None

    @property
    def score(self) -> float:
        """The clip's score."""
        return score(self.series)

    @property
    def own(self) -> float:
        """The source's score, NaN for none."""
        return NAN if self.source is None else score(self.source)


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
    found: dict[tuple[str, str], dict[str, dict[str, Measured]]] = {}
    for clip in result.clips:
        if clip.case not in cases:
            continue
        own = {(s.name, s.where): s for s in clip.series if s.of == "source"}
        for series in clip.series:
            key = series.name, series.where
            if series.of == "output" and series.counts.any():
                found.setdefault(key, {}).setdefault(clip.method, {})[clip.case] = Measured(series, own.get(key))
    rows = []
    for name, where in sorted(found, key=_order):
        metric, methods = find_metric(name), found[name, where]
        ranked = {m.name for m in result.methods if m.kind != "truth"}
        ranks = rank_methods(metric, {m: found for m, found in methods.items() if m in ranked})
        cells = (_cell(m.name, methods[m.name], cases, ranks.get(m.name)) for m in result.methods if m.name in methods)
        rows.append(Row(metric, where, tuple(cells)))
    return tuple(rows)


@dataclass(frozen=True)
class Agreement:
    """How the warping error by DIS flow goes with the one by exact flow, over `count` clips of all methods and of the source:
    Pearson's correlation of the two, of their logarithms, and Spearman's of their ranks."""

    where: str
    count: int
    pearson: float
    of_logs: float
    spearman: float


def flow_agreement(result: BenchResult, set_name: str) -> tuple[Agreement, ...]:
    """The agreement in each place where both were measured on at least FEW clips."""
    cases = {c.name for c in result.cases if c.set == set_name}
    out = []
    for where in ("region", "background", "frame"):
        rows: dict[tuple[str, str], tuple[float, float]] = {}
        for clip in (c for c in result.clips if c.case in cases):
            for of in ("output", "source"):
                pair = [clip.find(name, where, of=of) for name in ("warping-error", "warping-error-exact")]
                if None not in pair:
                    rows[clip.case, clip.method if of == "output" else ""] = score(pair[0]), score(pair[1])
        both = np.array([p for p in rows.values() if np.isfinite(p).all()]).reshape(-1, 2)
        if len(both) >= FEW:
            ranks = both.argsort(0).argsort(0)
            logs = np.log(np.maximum(both, 1e-12))
            r = [float(np.corrcoef(v.T)[0, 1]) for v in (both, logs, ranks)]
            out.append(Agreement(where, len(both), *r))
    return tuple(out)


def _order(key: tuple[str, str]) -> tuple[int, int]:
    return [m.name for m in METRICS].index(key[0]), ("region", "background", "frame").index(key[1])


def _cell(method: str, found: Mapping[str, Measured], cases: list[str], rank: int | None) -> Cell:
    clips = np.array([found[c].score if c in found else np.nan for c in cases])
    sources = np.array([found[c].own if c in found else np.nan for c in cases])
    return Cell(
        method, bootstrap_mean(clips), bootstrap_mean(sources), bootstrap_mean(clips - sources), clips, sources, rank
    )  # fmt: skip


def rank_methods(metric: Metric, methods: Mapping[str, Mapping[str, Measured]]) -> dict[str, int | None]:
    """Rank 1, 2, ... of each method (its measurements by case); None where nothing was measured.

    A method's rank is one more than the number of methods that are better beyond noise on the cases both have. Methods that
    cannot be told apart share a rank.
    """
    ranks: dict[str, int | None] = {}
    for mine, own in methods.items():
        if all(math.isnan(m.score) for m in own.values()):
            ranks[mine] = None
            continue
        ranks[mine] = 1 + sum(_beats(metric, theirs, own) for other, theirs in methods.items() if other != mine)
    return ranks


def _beats(metric: Metric, theirs: Mapping[str, Measured], own: Mapping[str, Measured]) -> bool:
    pairs = [(theirs[case], own[case]) for case in theirs if case in own]
    return judge_pairs(metric, pairs, level=LEVEL)[1].low > 0


def judge_pairs(metric: Metric, pairs: Sequence[tuple[Measured, Measured]], *, level: float) -> tuple[Interval, Interval]:
    """(difference second - first, how much worse the second is) over the same cases, each with its interval: over clips from FEW
    clips on, else over the frames of these clips, else without bounds."""
    pairs = [(a, b) for a, b in pairs if not math.isnan(a.score) and not math.isnan(b.score)]
    a, b = (np.array([p[k].score for p in pairs]) for k in (0, 1))
    own_a, own_b = (np.array([p[k].own for p in pairs]) for k in (0, 1))
    harm = cost(metric, b, own_b) - cost(metric, a, own_a)
    if len(pairs) >= FEW:
        return bootstrap_mean(b - a, level=level), bootstrap_mean(harm, level=level)
    if not pairs:
        return NOTHING, NOTHING
    frames = [_by_frame(metric, *pair) for pair in pairs]
    if any(f is None for f in frames):
        return Interval(float((b - a).mean()), NAN, NAN, len(pairs)), Interval(float(harm.mean()), NAN, NAN, len(pairs))
    return bootstrap_blocks([f[0] for f in frames], level=level), bootstrap_blocks([f[1] for f in frames], level=level)


def _by_frame(metric: Metric, a: Measured, b: Measured) -> tuple[np.ndarray, np.ndarray] | None:
    """(difference, how much worse) frame by frame; None where the two were measured on other frames."""
    if not np.array_equal(a.series.frames, b.series.frames):
        return None
    one, two = per_frame(a.series), per_frame(b.series)
    if metric.better != NEARER_SOURCE:
        return two - one, cost(metric, two, two) - cost(metric, one, one)
    # Of a mean that must be near the source's mean: every frame counts as far as it moves the clip's own mean the wrong way.
    side = np.sign(b.score - b.own), np.sign(a.score - a.own)
    base = per_frame(a.source) if a.source is not None else np.full(len(one), NAN)
    return two - one, side[0] * (two - base) - side[1] * (one - base)


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
    """What changed from one result to the other, on the cases they share (same name and same source), method by method of the
    same name (where each has but one method, those two, whatever their names)."""
    names = [(m.name, m.name) for m in before.methods if any(m.name == n.name for n in after.methods)]
    if not names and len(before.methods) == len(after.methods) == 1:
        names = [(before.methods[0].name, after.methods[0].name)]
    shared, changes = _shared_cases(before, after), []
    for old, new in names:
        first = {c.case: c for c in before.clips if c.method == old}
        pairs = [(first[c.case], c) for c in after.clips if c.method == new and c.case in first and c.case in shared]
        keys = {(s.name, s.where) for a, _ in pairs for s in a.series if s.of == "output"}
        for name, where in sorted(keys, key=_order):
            series = [
                (a.find(name, where), b.find(name, where), a.find(name, where, of="source"), b.find(name, where, of="source"))
                for a, b in pairs
            ]
            series = [row for row in series if row[0] is not None and row[1] is not None]
            if series:
                changes.append(_change(new if old == new else f"{old} to {new}", name, where, series))
    return tuple(changes)


def _shared_cases(before: BenchResult, after: BenchResult) -> set[str]:
    """Names of cases that both have, without those whose source files are known to differ."""
    sources = {c.name: c.hashes.get("source") for c in before.cases}
    return {c.name for c in after.cases if c.name in sources and sources[c.name] in (None, c.hashes.get("source"))}


def _change(method: str, name: str, where: str, series: list[tuple[Series, Series, Series | None, Series | None]]) -> Change:
    metric = find_metric(name)
    pairs = [(Measured(a, own_a), Measured(b, own_b)) for a, b, own_a, own_b in series]
    difference, harm = judge_pairs(metric, pairs, level=COMPARE_LEVEL)
    before, after = (_mean(np.array([p[k].score for p in pairs])) for k in (0, 1))
    return Change(method, metric, where, len(series), before, after, difference, _verdict(difference, harm))


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
