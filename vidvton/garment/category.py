"""Whether a silhouette is an upper, lower or full garment, and its cut in layout words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import MisuseError
from ..values import CATEGORIES, Layout
from .landmarks import PLACED, Shape, read_upper
from .outline import Half, leg_gap, torso_width

LONGEST_TOP = 1.7  # chest widths that a top reaches below the armpits at most; what reaches further is a dress


@dataclass(frozen=True)
class Reading:
    """`category` with a `confidence` 0-1, and the clues it rests on."""

    category: str
    confidence: float
    clues: str


def check_category(word: str | None) -> str | None:
    """The word itself; MisuseError for one that is no category."""
    if word is not None and word not in CATEGORIES:
        raise MisuseError(
            f"garment category is {word!r}, expected one of {', '.join(CATEGORIES)}: give one of these or leave it out"
        )
    return word


def read_category(mask: np.ndarray) -> Reading:
    """The category of an upright mask [H, W] bool, by sleeves, straps, the gap between legs, and proportions."""
    shape = read_upper(mask, full=True)
    if shape is None:
        return Reading("upper", 0.1, "no outline")
    rows = np.nonzero(mask.any(1))[0]
    top, height = rows[0], rows[-1] - rows[0] + 1
    body = torso_width(mask)
    sleeves = [s.sleeve is not None for s in (shape.left, shape.right)]
    gap = leg_gap(mask, shape.axis)
    fork = (gap[1] - top) / height if gap else None
    top_like = _shouldered(mask, shape)
    tall = height / max(1.0, _body_span(shape, body, any(sleeves)))
    clues = f"sleeves {sum(sleeves)}, fork {fork if fork is None else round(fork, 2)}, shoulders {top_like:.2f}, tall {tall:.2f}"
    if gap and fork is not None and fork > 0.06:
        if not any(sleeves) and top_like < 0.6:
            return Reading("lower", 0.95 - 0.5 * top_like, clues)
        if fork < 0.3 and tall < 2.2 or fork < 0.42 and any(sleeves):  # no crotch lies so high
            return Reading("upper", 0.7, clues + ", open front")
        if fork > 0.8:
            return Reading("full" if tall > 2.15 else "upper", 0.6, clues)
        return Reading("full", 0.7, clues + ", jumpsuit")
    if any(sleeves) or top_like > 0.4 or _is_halter(mask):
        limit = _dress_limit(shape, any(sleeves))
        sure = float(np.clip(0.5 + abs(tall - limit) * 0.7, 0.5, 0.98))
        return Reading("full" if tall > limit else "upper", sure, clues + f", dress above {limit:.2f}")
    return Reading("lower", float(np.clip(0.9 - 0.6 * top_like, 0.4, 0.9)), clues)


def _dress_limit(shape: Shape, sleeved: bool) -> float:
    """Height in body spans above which a garment is a dress: less with a waist drawn in, more for a straight boxy cut."""
    limit = 2.3 if sleeved else 1.95
    if _skirt_length(shape) > LONGEST_TOP:
        return min(limit, 1.6)
    waists = [s.points["waist"][2] for s in (shape.left, shape.right)]
    if min(waists) > 0.65:
        return limit - 0.15
    chest, hem = (sum(s.points[n][0] - s.half.axis for s in (shape.left, shape.right)) for n in ("armpit", "hem"))
    return limit + (0.3 if sleeved else 0.1) if abs(hem / max(1.0, chest) - 1) < 0.12 else limit


def _skirt_length(shape: Shape) -> float:
    """How far a garment reaches below the armpits, in widths of its chest; 0 where the armpits are only placed."""
    sides = shape.left, shape.right
    if min(s.points["armpit"][2] for s in sides) <= PLACED:
        return 0.0
    chest = sum(s.points["armpit"][0] - s.half.axis for s in sides)
    return float(np.mean([s.points["hem"][1] - s.points["armpit"][1] for s in sides]) / max(1.0, chest))


def _is_halter(mask: np.ndarray) -> bool:
    """Whether a silhouette is narrow at its top only, as a top held at the neck is; a skirt widens down to its hem."""
    width = mask.sum(1)[mask.any(1)]
    n = len(width)
    straight = width[int(0.45 * n) : int(0.97 * n)].min() > 0.85 * width.max()
    return bool(straight and width[: max(1, n // 12)].mean() < 0.33 * width.max())


def _body_span(shape: Shape, body: float, sleeved: bool) -> float:
    """What height is compared with: the shoulders where sleeves show them, else the chest under the arms."""
    name, least = ("shoulder", 0.75) if sleeved else ("armpit", 0.9)
    wide = sum(s.points[name][0] - s.half.axis for s in (shape.left, shape.right))
    return max(float(wide), least * body)


def _shouldered(mask: np.ndarray, shape: Shape) -> float:
    """0-1: how much the upper edge looks like shoulders or straps (a dip at the neck, sloping sides, arm holes) and not like a
    waistband."""
    value = 0.0
    for side in (shape.left, shape.right):
        clue = upper_edge(side.half)
        value += 0.5 * np.clip((clue.dip - 0.08) / 0.17, 0, 1)
        value += 0.5 * np.clip((clue.back - 0.015) / 0.05, 0, 1)
        value += 0.5 * np.clip((clue.slope - 0.08) / 0.12, 0, 1)
    return float(min(1.0, value / 2))


@dataclass(frozen=True)
class UpperEdge:
    """Clues of one half's upper edge, in shares of its half width: `dip` of the centre below the peak, how far the outline comes
    `back` inward below the shoulder's tip, `slope` of the edge from the peak to its outer end."""

    dip: float
    back: float
    slope: float


def upper_edge(half: Half) -> UpperEdge:
    """What the upper edge of one half shows."""
    x, y = half.x, half.y
    reach = min(half.height, 2.2 * x.max() * 2)
    upper = np.arange(len(x) // 2)
    upper = upper[y[upper] < 0.3 * reach]
    if len(upper) < 4:
        return UpperEdge(0.0, 0.0, 0.0)
    wide = max(1.0, float(x[upper].max()))
    peak = int(upper[y[upper].argmin()])
    dip = (y[0] - y[peak]) / wide
    outward = np.maximum.accumulate(x[upper])
    below = y[upper] > y[peak] + 0.02 * half.height
    back = float((outward - x[upper])[below].max(initial=0)) / wide
    # the edge ends where it turns steep
    ahead = np.roll(half.path, -8, 0) - half.path
    steep = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0]))
    rest = upper[(upper > peak) & (steep[upper] > 50)]
    end = int(rest[0]) if len(rest) else int(upper[-1])
    return UpperEdge(float(dip), back, float((y[end] - y[peak]) / wide))


def read_layout(category: str, shape: Shape, mask: np.ndarray) -> Layout:
    """The cut in layout words, from landmarks."""
    rows = np.nonzero(mask.any(1))[0]
    height = rows[-1] - rows[0] + 1
    sleeve = _sleeve_word(shape) if category != "lower" else None
    leg = None
    if category != "upper":
        leg = "skirt" if shape.crotch is None else _leg_word(shape, height, category)
    return Layout(sleeve=sleeve, leg=leg, open=_open_front(mask, shape) if category == "upper" else None)


def _open_front(mask: np.ndarray, shape: Shape) -> bool:
    """Whether the ground shows between two fronts from the hem to above the middle."""
    rows = np.nonzero(mask.any(1))[0]
    gap = leg_gap(mask, shape.axis)
    return gap is not None and gap[1] - rows[0] < 0.5 * (rows[-1] - rows[0])


def _sleeve_word(shape: Shape) -> str:
    wide = sum(s.points["shoulder"][0] - s.half.axis for s in (shape.left, shape.right))
    lengths = []
    for side in (shape.left, shape.right):
        if side.sleeve is None:
            continue
        p = {k: np.array(v[:2]) for k, v in side.points.items()}
        lengths.append(np.linalg.norm(p["cuff_outer"] - p["shoulder"]) / max(1.0, wide))
    if not lengths:
        return "none"
    longest = max(lengths)
    return "short" if longest < 0.72 else "elbow" if longest < 1.08 else "long"


def _leg_word(shape: Shape, height: float, category: str) -> str:
    """From the length below the waist in widths of the waist: flat trousers are about 2.6 waist widths long, shorts 1.2."""
    left, right = shape.left.points["waist"], shape.right.points["waist"]
    wide = max(1.0, left[0] - shape.left.half.axis + right[0] - shape.right.half.axis)
    length = height
    if category == "full":
        length = shape.left.half.top + height - 0.5 * (left[1] + right[1])
    ratio = length / wide
    return "shorts" if ratio < 1.45 else "knee" if ratio < 1.95 else "long"
