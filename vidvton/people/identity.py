"""Who is who: bodies of both passes grouped into persons, persons followed over time, and the one asked for picked out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidvton.errors import MisuseError
from vidvton.people.opinions import worth_belief
from vidvton.people.skeleton import BONES, LEFT_RIGHT_SWAP

MAIN_JOINTS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_LEAST_TORSO = 0.08  # of the frame's height: shorter bodies are phantoms on shoes and bags
_PART, _AS_LARGE = 0.2, 0.1  # of a new shot's frames, and of the usual weight, that somebody unlike has to fill
_HEADS = 0.4  # torso lengths between two heads from which they are two people's
_GAP = 20  # frames over which a person may be out of sight and still be linked by position
_LEAP, _PACE = 1.5, 0.4  # torso lengths at once, and more with every frame out of sight, farther than anybody gets
_TWIN = 0.75  # likeness of somebody who may have got farther all the same: a cut may have been overlooked
_OTHERS, _RATHER = 0.25, 0.1  # of the weight of the person asked for, that makes somebody else; how much liker them counts


@dataclass(frozen=True)
class Bodies:
    """All bodies of a clip, without masks: see `candidates.Seen`. `frame` [m] counts over the whole clip; `chunk` and `row` say
    where the mask lies."""

    frame: np.ndarray
    back: np.ndarray
    keypoints: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    score: np.ndarray
    agree: np.ndarray
    fit: np.ndarray
    extent: np.ndarray
    look: np.ndarray
    chunk: np.ndarray
    row: np.ndarray

    @property
    def torso(self) -> np.ndarray:
        """[m] length from mid shoulder to mid hip in pixels, depth included, so that bending does not shorten it."""
        middle = np.concatenate([self.keypoints[..., :2], self.depth[..., None]], -1)
        step = middle[:, 11:13].mean(1) - middle[:, 23:25].mean(1)
        flat = np.hypot(step[:, 0], step[:, 1])
        return np.sqrt(flat**2 + np.minimum(np.abs(step[:, 2]), 1.5 * flat) ** 2)


def check_who(who: str) -> tuple[str, tuple[float, ...]]:
    """("largest", ()), ("number", (n,)) or ("point", (x, y)) from the word given.

    Raises:
        MisuseError: the word is none of these.
    """
    word = str(who).strip()
    if word == "largest":
        return "largest", ()
    if re.fullmatch(r"[1-9]\d*", word):
        return "number", (float(word),)
    if re.fullmatch(r"\d+(\.\d+)?\s*,\s*\d+(\.\d+)?", word):
        x, y = (float(v) for v in word.split(","))
        return "point", (x, y)
    raise MisuseError(f"--who is {who!r}, expected 'largest', a number from the left (1 is the leftmost) or a pixel 'x,y'")


def believable(bodies: Bodies, shots: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[m] bool: bodies that may be people, by the length of their torso against the frame's height and the shot's median."""
    torso = bodies.torso
    good = (torso >= _LEAST_TORSO * size[0]) & (bodies.extent[:, 4] > 0)
    good &= worth_belief(bodies.score, bodies.fit, bodies.agree)
    for shot in np.unique(shots):
        rows = np.flatnonzero(good & (shots[bodies.frame] == shot))
        if not len(rows):
            continue
        longest: dict[int, float] = {}
        for row in rows:
            longest[bodies.frame[row]] = max(longest.get(bodies.frame[row], 0.0), torso[row])
        median = float(np.median(list(longest.values())))
        # a person further off is smaller too: what the segmenter confirms may stay
        good[rows] &= (torso[rows] >= 0.5 * median) | ((bodies.agree[rows] > 0.25) & (torso[rows] >= 0.25 * median))
    return good


def apart(a: np.ndarray, b: np.ndarray, torso: float) -> float:
    """Mean distance of the main joints of two bodies [33, 2+] in torso lengths, left and right taken as they fit best."""
    main = list(MAIN_JOINTS)
    straight = np.linalg.norm(a[main, :2] - b[main, :2], axis=1).mean()
    swapped = np.linalg.norm(a[main, :2] - b[list(LEFT_RIGHT_SWAP)][main, :2], axis=1).mean()
    return float(min(straight, swapped) / max(torso, 1.0))


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """0-1 overlap of two colour looks [128]; the better of the upper and the lower half counts most."""
    upper, lower = np.minimum(a[:64], b[:64]).sum(), np.minimum(a[64:], b[64:]).sum()
    return float(0.6 * max(upper, lower) + 0.4 * min(upper, lower))


@dataclass
class Person:
    """One person over an unbroken stretch: rows of `Bodies` per frame."""

    rows: dict[int, list[int]]
    look: np.ndarray
    shot: int

    @property
    def last(self) -> int:
        return max(self.rows)


def follow_people(bodies: Bodies, good: np.ndarray, shots: np.ndarray) -> list[Person]:
    """The persons of a clip, each within one shot: bodies of a frame that lie on one another are one person, and persons are
    linked from frame to frame by place and colour (assignment problem)."""
    by_frame: dict[int, list[int]] = {}
    for row in np.flatnonzero(good):
        by_frame.setdefault(int(bodies.frame[row]), []).append(int(row))
    torso = bodies.torso
    people: list[Person] = []
    alive: list[Person] = []
    for frame in sorted(by_frame):
        alive = [p for p in alive if p.shot == shots[frame] and frame - p.last <= _GAP]
        groups = _groups(bodies, by_frame[frame], torso)
        cost = np.array([[_link_cost(bodies, torso, p, g, frame) for g in groups] for p in alive])
        taken = set()
        for i, j in zip(*linear_sum_assignment(cost)) if alive else ():
            if cost[i, j] < 1.0:
                alive[i].rows[frame] = groups[j]
                alive[i].look = 0.95 * alive[i].look + 0.05 * bodies.look[groups[j]].mean(0)
                taken.add(j)
        for j, group in enumerate(groups):
            if j not in taken:
                alive.append(Person({frame: group}, bodies.look[group].mean(0), int(shots[frame])))
                people.append(alive[-1])
    return people


def _groups(bodies: Bodies, rows: list[int], torso: np.ndarray) -> list[list[int]]:
    groups: list[list[int]] = []
    for row in sorted(rows, key=lambda r: -torso[r] * (0.2 + bodies.agree[r])):
        for group in groups:
            if _one_person(bodies, torso, group[0], row):
                group.append(row)
                break
            if _phantom_of(bodies, torso, group[0], row):
                break
        else:
            groups.append([row])
    return groups


def _phantom_of(bodies: Bodies, torso: np.ndarray, real: int, row: int) -> bool:
    """Whether a body is a piece of another one taken for a person: inside it, smaller, and worse explained by its bones."""
    smaller = torso[row] < 0.85 * torso[real] and bodies.fit[row] < bodies.fit[real] - 0.08
    return bool(smaller and _shared(bodies.extent[real], bodies.extent[row]) > 0.85)


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """What two boxes share, as a part of the smaller one."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return float(max(wide, 0) * max(high, 0) / min(_area(a), _area(b)))


def _one_person(bodies: Bodies, torso: np.ndarray, a: int, b: int) -> bool:
    heads = bodies.keypoints[[a, b], :11, :2].mean(1)
    if np.linalg.norm(heads[0] - heads[1]) > _HEADS * max(torso[a], torso[b]):
        return False  # busts side by side: of the rest the models only guess
    if apart(bodies.keypoints[a], bodies.keypoints[b], max(torso[a], torso[b])) < 0.45:
        return True
    if bodies.back[a] == bodies.back[b]:
        return False  # one pass keeps its people apart
    return _shared(bodies.extent[a], bodies.extent[b]) > 0.75


def _area(box: np.ndarray) -> float:
    return float(max(1.0, (box[2] - box[0]) * (box[3] - box[1])))


def _link_cost(bodies: Bodies, torso: np.ndarray, person: Person, group: list[int], frame: int) -> float:
    last = person.last
    gap = frame - last
    near = min(apart(bodies.keypoints[a], bodies.keypoints[b], max(torso[a], torso[b])) for a in person.rows[last] for b in group)
    unlike = 1 - likeness(person.look, bodies.look[group].mean(0))
    return near / (1.2 + 0.15 * gap) + 0.5 * unlike - 0.1 * min(1.0, len(person.rows) / 20)


def choose(people: list[Person], bodies: Bodies, shots: np.ndarray, who: str, size: tuple[int, int]) -> dict[int, list[int]]:
    """Rows of the person asked for, per frame (frames without them are absent). Empty when nobody was there at all. For 'largest'
    a shot that shows nobody like them is followed afresh: its own largest.

    Raises:
        MisuseError: the number or the point names nobody.
    """
    kind, numbers = check_who(who)
    if not people:
        return {}
    weight = [_weight(p, bodies, size) for p in people]
    if kind == "largest":
        seed = int(np.argmax(weight))
    elif kind == "number":
        seed = _numbered(people, bodies, weight, int(numbers[0]))
    else:
        seed = _pointed(people, bodies, numbers)
    chosen = dict(people[seed].rows)
    look = people[seed].look
    taken = {seed}
    lenient = kind == "largest"
    for shot in [people[seed].shot] + [s for s in np.unique(shots) if s != people[seed].shot]:
        alike = look
        while True:
            best = _next_stretch(people, bodies, weight, taken, chosen, alike, shot, lenient or len(people) == 1)
            if best is None and lenient and not any(people[i].shot == shot for i in taken):
                # Nobody is like them: the largest of this shot.
                best = _heaviest(people, weight, shots == shot, weight[seed] / len(people[seed].rows))
                alike = look if best is None else people[best].look
            if best is None:
                break
            taken.add(best)
            chosen = people[best].rows | chosen
    return chosen


def _next_stretch(people, bodies: Bodies, weight, taken: set[int], chosen, look, shot, lenient: bool) -> int | None:
    """The stretch of this shot that most likely is the same person, where the person is not already: like them, liker them than
    anybody else seen beside them, and, if there is anybody else, where they can have got to."""
    least = 0.25 if lenient else 0.4
    here = [i for i, p in enumerate(people) if p.shot == shot]
    mine = {f: chosen[f] for i in here if i in taken for f in people[i].rows}
    beside = {i for i in here if i not in taken and _shared_frames(people[i], mine) > 0.3 * len(people[i].rows)}
    usual = sum(weight[i] for i in here if i in taken)
    others = [p for p in (people[i] for i in beside if weight[i] > _OTHERS * usual) if _is_apart(bodies, p.rows, mine)]
    options = []
    for i in here:
        person = people[i]
        if i in taken or i in beside or len(person.rows) < 3:
            continue  # what is seen for a frame or two only is seldom there
        like = likeness(look, person.look)
        likest = max([like] + [likeness(people[k].look, person.look) for k in here if k in taken])
        theirs = any(likeness(o.look, person.look) > likest + _RATHER and not _shared_frames(person, o.rows) for o in others)
        if like >= least and not theirs and (not others or like >= _TWIN or _within_reach(bodies, person.rows, mine)):
            options.append((like * np.sqrt(weight[i]), i))
    return max(options)[1] if options else None


def _shared_frames(person: Person, rows: dict[int, list[int]]) -> int:
    return len(person.rows.keys() & rows.keys())


def _is_apart(bodies: Bodies, rows: dict[int, list[int]], mine: dict[int, list[int]]) -> bool:
    """Whether `rows` are somebody beside `mine`, not the same person seen twice."""
    both = rows.keys() & mine.keys()
    return float(np.median([_shared(bodies.extent[rows[f][0]], bodies.extent[mine[f][0]]) for f in both])) < 0.5


def _within_reach(bodies: Bodies, rows: dict[int, list[int]], mine: dict[int, list[int]]) -> bool:
    """Whether somebody seen as `mine` can have got from where they were last to where `rows` begin, and on from their end."""
    first, last = min(rows), max(rows)
    before, after = max((f for f in mine if f < first), default=None), min((f for f in mine if f > last), default=None)
    for near, end in ((before, first), (after, last)):
        if near is None:
            continue
        pair = [mine[near][0], rows[end][0]]
        trunks = bodies.keypoints[pair][:, [11, 12, 23, 24], :2].mean(1)
        torso = max(float(bodies.torso[pair].max()), 1.0)
        if np.linalg.norm(trunks[0] - trunks[1]) > (_LEAP + _PACE * abs(end - near)) * torso:
            return False
    return True


def _heaviest(people, weight, shot: np.ndarray, usual: float) -> int | None:
    """The stretch that fills most of the `shot` [T] bool; None where nobody is there for a good part of it and about as large,
    frame by frame, as the person asked for is (`usual` weight)."""
    there = []
    for i, person in enumerate(people):
        inside = shot[person.last] and len(person.rows) >= max(3, _PART * shot.sum())
        if inside and weight[i] >= _AS_LARGE * usual * len(person.rows):
            there.append(i)
    return max(there, key=lambda i: weight[i]) if there else None


def _weight(person: Person, bodies: Bodies, size: tuple[int, int]) -> float:
    """How much of the clip a person fills, and how much they look like one: height squared, summed over frames."""
    total = 0.0
    for rows in person.rows.values():
        best = max(rows, key=lambda r: bodies.agree[r])
        height = (bodies.extent[best, 3] - bodies.extent[best, 1]) / size[0]
        total += float(height**2 * bodies.score[best] * (0.1 + bodies.agree[best]))
    return total


def _numbered(people: list[Person], bodies: Bodies, weight: list[float], number: int) -> int:
    heaviest = max(weight)
    real = [i for i, w in enumerate(weight) if w > 0.03 * heaviest]  # passing phantoms do not count
    frames = sorted({f for i in real for f in people[i].rows})
    most = 0
    for frame in frames:
        here = [i for i in real if frame in people[i].rows]
        most = max(most, len(here))
        if len(here) >= number:
            here.sort(key=lambda i: bodies.keypoints[people[i].rows[frame][0], [11, 12, 23, 24], 0].mean())
            return here[number - 1]
    raise MisuseError(f"--who is {number}, but at most {most} people are seen at once, so expected a number from 1 to {most}")


def _pointed(people: list[Person], bodies: Bodies, point: tuple[float, ...]) -> int:
    x, y = point
    for frame in sorted({f for p in people for f in p.rows}):
        inside = []
        for i, person in enumerate(people):
            for row in person.rows.get(frame, []):
                box = bodies.extent[row]
                if box[0] <= x < box[2] and box[1] <= y < box[3]:
                    inside.append((_distance_to_bones(bodies.keypoints[row], x, y), i))
        if inside:
            return min(inside)[1]
    raise MisuseError(f"--who is '{x:g},{y:g}', but nobody is ever seen at that pixel; expected a point on a person")


def _distance_to_bones(keypoints: np.ndarray, x: float, y: float) -> float:
    head, neck = keypoints[:11, :2].mean(0), keypoints[11:13, :2].mean(0)
    a = np.array([keypoints[i, :2] for i, _ in BONES] + [head])
    b = np.array([keypoints[j, :2] for _, j in BONES] + [neck])
    along = np.clip(((np.array([x, y]) - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-6), 0, 1)
    return float(np.linalg.norm(a + along[:, None] * (b - a) - (x, y), axis=1).min())
