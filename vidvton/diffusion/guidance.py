"""Split classifier-free guidance: groups of conditions with a weight each (Fashion-VDM, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from .precondition import Denoise

DenoiseGiven = Callable[[Tensor, Tensor, tuple[str, ...]], Tensor]
"""(x, sigma, names of the groups that are given) -> x0."""


class Term(NamedTuple):
    """One evaluation: how much it counts, and which groups it is given."""

    factor: float
    given: tuple[str, ...]


def terms(weights: Sequence[float], order: Sequence[str]) -> tuple[Term, ...]:
    """The evaluations that guidance needs.

    `weights` (w0, ..., wn) has one number for nothing given and one for each of the n groups of `order`, which accumulate: with
    e_i the estimate given the first i groups, the result is w0 e_0 + sum of w_i (e_i - e_(i-1)). The factor of e_i is therefore
    w_i - w_(i+1), and equal neighbours save an evaluation; all weights 1 leave the last alone. (The algorithm as printed puts
    w0 e_0 for e_0 in the first difference; with w0 = 1, as in all that was published, the two are one.) ValueError where the
    numbers do not fit or nothing would be left.
    """
    if len(weights) != len(order) + 1:
        raise ValueError(f"{len(weights)} guidance weights were given for {len(order)} groups, expected {len(order) + 1}")
    if len(set(order)) != len(order):
        raise ValueError(f"a group stands twice in the order {', '.join(order)}")
    factors = [a - b for a, b in zip(weights, (*weights[1:], 0.0))]
    kept = tuple(Term(factor, tuple(order[:count])) for count, factor in enumerate(factors) if factor != 0)
    if not kept:
        raise ValueError("all guidance weights are 0, expected at least one that is not")
    return kept


def guide(denoise_given: DenoiseGiven, weights: Sequence[float], order: Sequence[str]) -> Denoise:
    """The guided Denoise; see `terms`. Evaluations come one after the other, so that memory does not grow with their number.

    x0 estimates are combined instead of the eps of the paper: with w0 = 1 the factors add up to 1 and both are the same.
    """
    needed = terms(weights, order)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        total = None
        for factor, given in needed:
            estimate = denoise_given(x, sigma, given)
            if factor != 1:
                estimate = estimate * factor
            total = estimate if total is None else total + estimate
        return total

    return denoise
