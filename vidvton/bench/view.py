"""What a report shows, decided once for HTML and Markdown: which rows, in which unit, with which words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..metrics.series import per_frame
from ..metrics.table import METRICS, NEARER_SOURCE, Metric, find_metric
from .charts import Curve, Mark, draw_curves, draw_strip, number
from .results import BenchResult, CaseFacts, ClipResult
from .statistics import Agreement, Cell, Interval, Row, flow_agreement, summarise
from .trust import Check, check_controls

HEADLINE = (
    ("warping-error", "region"), ("garment-flicker", "region"), ("seam", "region"), ("drift-colour", "region"),
    ("identity", "background"), ("leak", "region"), ("garment-colour", "region"), ("garment-print", "region"), ("ssim", "region"),
    ("lpips-alex", "region"),
)  # fmt: skip
"""What the first table shows, as far as it was measured; everything else stands below."""
CURVES = (("warping-error", "region"), ("temporal-flickering", "region"), ("identity", "background"), ("ssim", "region"))
PLACES = {"region": "garment region", "background": "background", "frame": "whole frame"}
WHICH_WAY = {"lower": "lower is better", "higher": "higher is better", NEARER_SOURCE: "nearer to the source is better"}
ARROWS = {"lower": "↓", "higher": "↑", NEARER_SOURCE: "≈"}
COLOURS = 8


@dataclass(frozen=True)
class ShownCell:
    """A method's cell in the row's unit, as text; `rank` is empty where there is none."""

    method: str
    colour: str
    value: str
    interval: str
    difference: str
    rank: str
    first: bool
    count: int


@dataclass(frozen=True)
class ShownRow:
    """A metric in one place: titles, unit with its power of ten, the source's own value, a cell a method, a strip chart."""

    metric: Metric
    where: str
    place: str
    unit: str
    arrow: str
    source: str
    cells: tuple[ShownCell, ...]
    strip: str


@dataclass(frozen=True)
class ShownChart:
    """A curve over the frames of a case."""

    title: str
    unit: str
    svg: str


@dataclass(frozen=True)
class ShownSet:
    """One set of cases: its rows (the first ones again in `headline`), mean ranks, controls."""

    name: str
    clips: int
    headline: tuple[ShownRow, ...]
    rows: tuple[ShownRow, ...]
    ranks: tuple[tuple[str, str, str], ...]
    checks: tuple[Check, ...]
    distances: tuple[tuple[str, str, tuple[str, ...]], ...]
    methods: tuple[str, ...]
    agreements: tuple[Agreement, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each check that failed."""
        return tuple(c.warning() for c in self.checks if not c.passed)

    @property
    def places(self) -> tuple[tuple[str, str, tuple[ShownRow, ...]], ...]:
        """(place, its name, its rows) for each place with rows."""
        groups = ((w, n, tuple(r for r in self.rows if r.where == w)) for w, n in PLACES.items())
        return tuple(g for g in groups if g[2])

    @property
    def few(self) -> bool:
        """Whether there are too few clips for intervals to be trusted."""
        return self.clips < 5


def colour_of(result: BenchResult, method: str) -> str:
    """The CSS class of a method's colour."""
    names = [m.name for m in result.methods]
    return f"c{names.index(method) % COLOURS}" if method in names else "own"


def show_sets(result: BenchResult) -> tuple[ShownSet, ...]:
    """Every set of cases, in order."""
    return tuple(_show_set(result, name) for name in dict.fromkeys(c.set for c in result.cases))


def _show_set(result: BenchResult, name: str) -> ShownSet:
    rows = summarise(result, name)
    shown = tuple(show_row(result, row) for row in rows)
    chosen = [r for key in HEADLINE for r in shown if (r.metric.name, r.where) == key]
    if not any(r.where == "region" for r in chosen):  # no region: the same metrics over whole frames
        names = [m for m, _ in HEADLINE]
        chosen = [r for r in shown if r.where == "frame" and r.metric.name in names] or list(shown[:8])
    cases = [c.name for c in result.cases if c.set == name]
    methods = [m.name for m in result.methods if any(k.method == m.name and k.case in cases for k in result.clips)]
    headline = {(r.metric.name, r.where) for r in chosen}
    ranks = _mean_ranks(result, [r for r in rows if (r.metric.name, r.where) in headline], methods)
    found = [d for d in result.distances if d.set == name]
    distances = []
    for metric in METRICS:
        mine = {d.method: d for d in found if d.name == metric.name}
        if mine:
            against = next(iter(mine.values())).against
            values = tuple(number(mine[m].value) if m in mine else "–" for m in methods)
            distances.append((metric.title, against, values))
    checks = check_controls(result, cases)
    return ShownSet(name, len(cases), tuple(chosen), shown, ranks, checks, tuple(distances), tuple(methods),
                    flow_agreement(result, name))  # fmt: skip


def _mean_ranks(result: BenchResult, rows: list[Row], methods: list[str]) -> tuple[tuple[str, str, str], ...]:
    """(method, mean rank, in how many rows it is first) over the headline rows, best first; empty for one method."""
    if len(methods) < 2:
        return ()
    out = []
    for method in methods:
        ranks = [cell.rank for row in rows if (cell := row.cell(method)) is not None and cell.rank is not None]
        if ranks:
            out.append((float(np.mean(ranks)), method, f"first in {sum(r == 1 for r in ranks)} of {len(ranks)}"))
    return tuple((method, f"{mean:.2f}", firsts) for mean, method, firsts in sorted(out))


SCALES = {"squared, 0-1": (1e4, "×10⁻⁴")}
"""Units whose values are small: what they are multiplied by, and how that is written. The same in every report."""


def scale_of(metric: Metric) -> tuple[float, str]:
    """(factor, words) by which a metric's values are shown."""
    factor, words = SCALES.get(metric.unit, (1.0, ""))
    return factor, " ".join(filter(None, (metric.unit, words)))


def show_row(result: BenchResult, row: Row) -> ShownRow:
    """The row as text."""
    scale, unit = scale_of(row.metric)
    own = next((c.source.mean for c in row.cells if math.isfinite(c.source.mean)), float("nan"))
    ranked = len([c for c in row.cells if c.rank is not None]) > 1
    cells = tuple(_show_cell(result, c, scale, ranked) for c in row.cells)
    marks = [
        Mark(c.method, colour_of(result, c.method), c.value.mean * scale, c.value.low * scale, c.value.high * scale)
        for c in row.cells
    ]  # fmt: skip
    strip = draw_strip(marks, own * scale, label=f"{row.metric.title}, {PLACES[row.where]}: means and intervals")
    return ShownRow(
        row.metric, row.where, PLACES[row.where], unit, ARROWS[row.metric.better], number(own * scale), cells, strip
    )  # fmt: skip


def _show_cell(result: BenchResult, cell: Cell, scale: float, ranked: bool) -> ShownCell:
    return ShownCell(
        method=cell.method, colour=colour_of(result, cell.method), value=number(cell.value.mean * scale),
        interval=show_interval(cell.value, scale), difference=signed(cell.difference.mean * scale),
        rank=str(cell.rank) if ranked and cell.rank is not None else "", first=ranked and cell.rank == 1, count=cell.value.count,
    )  # fmt: skip


def show_interval(interval: Interval, scale: float = 1.0) -> str:
    """ "low to high", or nothing where there is no interval."""
    return f"{number(interval.low * scale)} to {number(interval.high * scale)}" if interval.known else ""


def signed(value: float) -> str:
    """A difference with its sign; "–" for none."""
    text = number(value)
    return f"+{text}" if text[0].isdigit() and value > 0 and text != "0" else text


def show_charts(result: BenchResult, case: CaseFacts) -> tuple[ShownChart, ...]:
    """Curves over the frames of one case, the source's own first."""
    clips = [c for c in result.clips if c.case == case.name]
    charts = []
    for name, where in CURVES:
        found = [(c, c.find(name, where) or c.find(name, "frame")) for c in clips]
        found = [(c, s) for c, s in found if s is not None]
        if not found:
            continue
        place = found[0][1].where
        curves = []
        first, _ = found[0]
        own = first.find(name, place, of="source")
        if own is not None:
            curves.append(Curve("source", "own", _seconds(first, own.frames, case), per_frame(own)))
        for clip, series in found:
            curves.append(
                Curve(clip.method, colour_of(result, clip.method), _seconds(clip, series.frames, case), per_frame(series))
            )  # fmt: skip
        metric = find_metric(name)
        scale, unit = scale_of(metric)
        svg = draw_curves(curves, label=f"{metric.title}, {PLACES[place]}, over time", scale=scale)
        if svg:
            charts.append(ShownChart(f"{metric.title}, {PLACES[place]}", unit, svg))
    return tuple(charts)


def _seconds(clip: ClipResult, frames: np.ndarray, case: CaseFacts) -> np.ndarray:
    rate = case.rate
    if clip.misfit is not None and clip.misfit.skipped:
        rate = case.rate * clip.frames / max(1, clip.frames + clip.misfit.skipped)
    return frames / rate


def missing_rows(result: BenchResult) -> tuple[tuple[str, str], ...]:
    """(metric, "not measured: needs ...") of everything that was asked for and lacked something, each once."""
    rows: dict[str, str] = {}
    for clip in result.clips:
        for row in clip.missing:
            rows.setdefault(row.name, str(row))
    return tuple((find_metric(name).title, text) for name, text in rows.items())


@dataclass(frozen=True)
class ShownFailure:
    """What failed for one reason: the method, the stage, the sentence, and for which clips."""

    method: str
    stage: str
    sentence: str
    cases: tuple[str, ...]

    @property
    def clips(self) -> str:
        """The clips in a few words."""
        return (
            ", ".join(self.cases) if len(self.cases) <= 3 else f"{len(self.cases)} clips: {self.cases[0]}, {self.cases[1]}, ..."
        )


def failure_rows(result: BenchResult) -> tuple[ShownFailure, ...]:
    """Failures of one method for one reason together, in their order."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for failure in result.failures:
        rows.setdefault((failure.method, failure.stage, failure.sentence), []).append(failure.case)
    return tuple(ShownFailure(*key, tuple(cases)) for key, cases in rows.items())
