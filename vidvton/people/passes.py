"""The passes over a chunk of frames: one with time, one against it where the first is in doubt, and all other opinions.

The pass with time runs in a thread of its own, a chunk ahead of the rest. The pass against time costs as much and mends what the
first gets wrong: nobody found, a skeleton that does not fit, sides exchanged from one frame to the next, several bodies. Where
nothing of that kind is near, its bodies moved joints by half a hundredth of a torso length, and it is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vidvton.frames import from_arrays
from vidvton.people.estimators import Body, Estimators
from vidvton.people.opinions import Glance, Opinions, form_opinions, glance

Result = TypeVar("Result")
_STRIDE = 16
_MARGIN = 2  # frames around a doubt that are looked at once more
_WARM = 6  # frames ahead of them for the pass against time to find its feet
_LOST = 0.25  # share of doubtful frames from which all are looked at again: a pass begun anew is none the wiser
_UNSURE, _MISFIT, _DISAGREE = 0.85, 0.65, 0.65  # presence, fit to the mask, overlap with the segmenter
_NARROW = 0.12  # torso lengths: shoulders and hips both in one line
_JUMP, _TURN = 0.25, 0.5  # torso lengths between two frames; cosine of the torso's turn
_MAIN = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)


@dataclass(frozen=True)
class Span:
    """A chunk to be looked at: its `pictures` [t, h, w, 3] of which `own` count, numbered from `start`; `pieces` of one shot each
    within the own ones; the last of them goes on in the pictures up to `reach`; `joined` says whether the first of them goes on
    from the chunk before."""

    start: int
    own: int
    pictures: np.ndarray
    pieces: list[tuple[int, int]]
    reach: int
    joined: bool


@dataclass(frozen=True)
class Found:
    """Bodies of every frame, which of them are from the pass against time, the other opinions, and the `state` to go on from."""

    bodies: list[list[Body]]
    backs: list[list[bool]]
    opinions: list[Opinions]
    state: np.ndarray


class Passes:
    """The models of one analysis. `begin` and `finish` take turns, `begin` of the next chunk best before `finish` of this."""

    def __init__(self, estimators: Estimators, state: np.ndarray | None) -> None:
        self._estimators, self._state = estimators, state
        self._thread = ThreadPoolExecutor(1)  # kept: new threads for every chunk would each bring memory of their own
        self._ahead = self._thread.submit(estimators.pose)
        self._against = None
        self._segmenters = [estimators.segmenter()]
        self._faces = [estimators.faces()]

    def begin(self, span: Span) -> Future:
        """Starts the pass with time over `span`."""
        return self._thread.submit(self._forward, span)

    def finish(self, span: Span, begun: Future) -> Found:
        """Everything about `span`; the thread helps where it has nothing else to do."""
        ahead, state = begun.result()
        glances = self._shared(span.own, lambda i, k: glance(self._segmenters[k], span.pictures[i], ahead[i]))
        against = self._backward(span, _again(span, ahead, glances))
        bodies = [a + b for a, b in zip(ahead, against)]
        backs = [[False] * len(a) + [True] * len(b) for a, b in zip(ahead, against)]

        def opinion(i: int, k: int) -> Opinions:
            seen = glance(self._segmenters[k], span.pictures[i], bodies[i], glances[i]) if against[i] else glances[i]
            return form_opinions(self._faces[k], span.start + i, span.pictures[i], bodies[i], backs[i], seen)

        return Found(bodies, backs, self._shared(span.own, opinion), state)

    def _shared(self, count: int, work: Callable[[int, int], Result]) -> list[Result]:
        """`work(i, k)` for i below `count`, with the k-th set of models: with the first from the front in this thread, with the
        second from the end in the other one, as soon as that is free."""
        out: list = [None] * count
        left = deque(range(count))

        def theirs() -> None:
            if left and len(self._segmenters) < 2:
                self._segmenters.append(self._estimators.segmenter())
                self._faces.append(self._estimators.faces())
            for i in _taken(left.pop):
                out[i] = work(i, 1)

        help = self._thread.submit(theirs)
        try:
            for i in _taken(left.popleft):
                out[i] = work(i, 0)
        finally:
            left.clear()
            if not help.cancel():
                help.result()
        return out

    def _forward(self, span: Span) -> tuple[list[list[Body]], np.ndarray]:
        found: list[list[Body]] = []
        for first, last in span.pieces:
            state = self._state if first == 0 and span.joined else None
            bodies, self._state = self._ahead.result().follow(from_arrays(span.pictures[first:last]), state)
            found += bodies
        return found, self._state

    def _backward(self, span: Span, again: np.ndarray) -> list[list[Body]]:
        """Bodies of the frames for which `again` is true, followed against time through every run of such frames."""
        found: list[list[Body]] = [[] for _ in again]
        for first, last in span.pieces:
            end = span.reach if last == span.pieces[-1][1] else last
            for low, high in _runs(again[first:last], first):
                stop, state = min(high + (len(span.pictures) if high == last else _WARM), end), None
                while stop > low:  # in small steps: turning frames round copies them
                    begin = max(low, stop - _STRIDE)
                    self._against = self._against or self._estimators.pose()
                    bodies, state = self._against.follow(from_arrays(span.pictures[begin:stop][::-1].copy()), state)
                    for i, row in zip(range(stop - 1, begin - 1, -1), bodies):
                        if i < high:
                            found[i] = row
                    stop = begin
        return found


def _taken(pop: Callable[[], int]) -> Iterator[int]:
    """What `pop` gives, until there is nothing left."""
    with suppress(IndexError):
        while True:
            yield pop()


def pieces_of(cuts: np.ndarray) -> list[tuple[int, int]]:
    """Spans of one shot each."""
    starts = sorted({0, *np.flatnonzero(cuts).tolist()})
    return list(zip(starts, starts[1:] + [len(cuts)]))


def _again(span: Span, ahead: list[list[Body]], glances: list[Glance]) -> np.ndarray:
    """[own] bool: frames in which the pass with time is in doubt, or near one where it is."""
    doubt = np.array([_doubtful(bodies, seen) for bodies, seen in zip(ahead, glances)])
    for first, last in span.pieces:
        for i in range(first + 1, last):
            if ahead[i - 1] and ahead[i] and _jumps(ahead[i - 1], ahead[i]):
                doubt[i - 1 : i + 1] = True
        reach = last - first if doubt[first:last].mean() > _LOST else _MARGIN
        doubt[first:last] = np.convolve(doubt[first:last], np.ones(2 * reach + 1), "full")[reach : reach + last - first] > 0.5
    return doubt


def _doubtful(bodies: list[Body], seen: Glance) -> bool:
    if len(bodies) != 1:
        return True
    body, (agree, fit) = bodies[0], seen.extents[0][5:7]
    points = body.keypoints[:, :2]
    wide = max(np.linalg.norm(points[11] - points[12]), np.linalg.norm(points[23] - points[24]))
    return bool(body.score < _UNSURE or fit < _MISFIT or agree < _DISAGREE or wide < _NARROW * _torso(body))


def _jumps(before: list[Body], after: list[Body]) -> bool:
    """Whether the body moves or turns more from one frame to the next than people do."""
    main = list(_MAIN)
    for body in after:
        ways = [np.linalg.norm(b.keypoints[main, :2] - body.keypoints[main, :2], axis=1).mean() for b in before]
        old = before[int(np.argmin(ways))]
        a, b = _across(old), _across(body)
        turn = float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9)
        if min(ways) > _JUMP * _torso(body) or turn < _TURN:
            return True
    return False


def _torso(body: Body) -> float:
    return max(1.0, float(np.linalg.norm(body.keypoints[11:13, :2].mean(0) - body.keypoints[23:25, :2].mean(0))))


def _across(body: Body) -> np.ndarray:
    """(x, z) from the person's right side to the left, shoulders and hips together."""
    return ((body.world[11] - body.world[12]) + (body.world[23] - body.world[24]))[[0, 2]]


def _runs(marked: np.ndarray, offset: int) -> list[tuple[int, int]]:
    """Spans of true values, `offset` added."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return [(int(a) + offset, int(b) + offset) for a, b in zip(edges[::2], edges[1::2])]
