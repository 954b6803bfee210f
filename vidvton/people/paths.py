"""The cheapest path through choices that have a cost of their own and a cost of following one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cheapest_path(own: Sequence[np.ndarray], links: Sequence[np.ndarray]) -> list[int]:
    """Which choice to take at each step (Viterbi): `own` [n_i] what the choices of step i cost, `links` [n_i, n_i+1] what it
    costs to go from one to the next."""
    cost, back = own[0], []
    for here, link in zip(own[1:], links):
        total = cost[:, None] + link
        back.append(total.argmin(0))
        cost = total.min(0) + here
    path = [int(cost.argmin())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return path[::-1]
