"""A training pair as paths: who wears what, and what a data set already knows of them. Nothing is read yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A clip or picture of a person and the garment they wear (or, with `truth`, are to wear).

    `name` is unique in its set; `group` is what shares a recording; `category` None is found out. `person` is a video, a
    picture or a folder of frames; `truth` the same kind with the garment worn, None where `person` shows it. The rest is used
    where there: `garment_mask` and `region` (white = generate) pictures or videos frame by frame; `poses` OpenPose JSON files,
    one a frame, of `pose_format` openpose or dresscode; `parses` label maps, one a frame, with numbers of `parse_format` cihp,
    lip or atr; `known` the studio's truth."""

    name: str
    group: str
    category: str | None
    person: Path
    garment: Path
    garment_mask: Path | None = None
    truth: Path | None = None
    region: Path | None = None
    poses: tuple[Path, ...] = ()
    pose_format: str = "openpose"
    parses: tuple[Path, ...] = ()
    parse_format: str = "cihp"
    known: Path | None = None


@dataclass(frozen=True)
class Listing:
    """What a reader found: `pairs`, and `mismatches`, one line each, for whatever stands there without its other half."""

    layout: str
    pairs: tuple[Pair, ...]
    mismatches: tuple[str, ...] = ()
    known: Counter = field(default_factory=Counter)
    """How many pairs bring what: garment_mask, region, poses, parses, known."""


def count_known(pairs: tuple[Pair, ...]) -> Counter:
    """How many of `pairs` bring each kind of knowledge with them."""
    words = ("garment_mask", "region", "poses", "parses", "known", "truth")
    return Counter({word: sum(bool(getattr(p, word)) for p in pairs) for word in words})
