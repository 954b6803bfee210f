"""Do the metrics move as they must? The built-in controls of every case against what is expected of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..metrics.controls import CONTROLS, expected_moves
from ..metrics.series import score
from ..metrics.table import METRICS, Metric, find_metric
from .results import BenchResult

_SAME = 1e-3  # of the source's value: what counts as not moved


@dataclass(frozen=True)
class Check:
    """How one metric moved for one control: the mean of the control and of the source over the clips, and in how many of `clips`
    it moved as it must (`expected` +1 higher, -1 lower, 0 the same)."""

    metric: Metric
    where: str
    control: str
    expected: int
    source: float
    value: float
    held: int
    clips: int

    @property
    def passed(self) -> bool:
        """Whether it moved as it must in every clip."""
        return self.held == self.clips

    def warning(self) -> str:
        """One sentence for a check that did not pass."""
        must = {1: "rise", -1: "fall", 0: "stay the same"}[self.expected]
        return (
            f"{self.metric.title} ({self.where}) did not {must} for the {self.control} control in {self.clips - self.held} of "
            f"{self.clips} clips: there it does not see that damage"
        )


def check_controls(result: BenchResult, case_names: Iterable[str] | None = None) -> tuple[Check, ...]:
    """Every expectation that could be checked on the controls that were measured, in the order of the table of metrics."""
    wanted = None if case_names is None else set(case_names)
    measured = [c for c in result.controls if c.series and (wanted is None or c.case in wanted)]
    checks = []
    for control in CONTROLS if measured else ():
        for (name, where), expected in expected_moves(control).items():
            pairs = []
            for case in measured:
                found = {s.of: score(s) for s in case.series if (s.name, s.where) == (name, where)}
                if control in found and "source" in found and np.isfinite([found[control], found["source"]]).all():
                    pairs.append((found["source"], found[control]))
            if pairs:
                held = sum(_holds(expected, own, value) for own, value in pairs)
                own, value = np.mean(pairs, axis=0).tolist()
                checks.append(Check(find_metric(name), where, control, expected, own, value, held, len(pairs)))
    order = [m.name for m in METRICS]
    return tuple(sorted(checks, key=lambda c: (order.index(c.metric.name), c.where, CONTROLS.index(c.control))))


def _holds(expected: int, own: float, value: float) -> bool:
    if expected == 0:
        return abs(value - own) <= _SAME * max(abs(own), 1e-6)
    return (value - own) * expected > 0
