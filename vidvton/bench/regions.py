"""The region where a garment was to be generated: given as a mask, known by the studio, or found by parsing the person."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..analysis import Analysis, analyse_clip, load_analysis
from ..crops import placed
from ..errors import MisuseError, VidvtonError
from ..frames import resize
from ..media.images import IMAGE_SUFFIXES
from ..media.info import DEFAULT_LIMITS, ClipInfo, Limits
from ..media.reader import open_clip
from ..media.writer import VideoWriter
from ..people.agnostic import make_agnostic, old_garment
from ..values import CATEGORIES, Clip, PersonTrack
from .align import Alignment, ClipIndex, read_frames

_CONTEXT, _SPAN = 4, 32  # frames around and in a piece: a frame's region depends on three on either side
_CHANGED = 14  # grey levels of 255 that no codec makes over a whole neighbourhood
_STEADY = 2  # pairs on either side over which a difference is steadied
_AGREE = 0.1  # least overlap of what changed with what was worn


@dataclass(frozen=True)
class Region:
    """Where it is: a mask film at `path` (white = generate), whether its frames are numbered like the source's or the
    output's, and how it was found, in words."""

    path: Path
    numbered: str
    words: str

    @property
    def still(self) -> bool:
        """Whether it is one picture for all frames."""
        return self.path.suffix.lower() in IMAGE_SUFFIXES

    def frames(self, alignment: Alignment, size: tuple[int, int], *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Tensor]:
        """[1, H, W] bool of each pair, at the measured (height, width) `size`."""
        column = 0 if self.numbered == "source" else 1
        box = alignment.fit.source if column == 0 else alignment.fit.output
        numbers = np.zeros(len(alignment.pairs), np.int64) if self.still else alignment.pairs[:, column]
        info = open_clip(self.path, limits=limits).info
        whole = (box[0], box[1]) == (0, 0)
        scaled = None if whole else _scaled(box, (info.height, info.width), alignment, column)
        for frame in read_frames(self.path, numbers, scaled, size, limits=limits):
            yield frame.float().mean(0, keepdim=True) > 127


def _scaled(box, size: tuple[int, int], alignment: Alignment, column: int) -> tuple[int, int, int, int]:
    """A box of the source's or output's pixels in those of a mask of another size."""
    own = alignment.misfit.sizes[column]
    return tuple(round(v * size[k % 2] / own[k % 2]) for k, v in enumerate(box))


def given_region(path: Path, source: ClipIndex, output: ClipIndex, *, limits: Limits = DEFAULT_LIMITS) -> Region:
    """A mask film, folder or picture that somebody gave; white is the region. MisuseError where its length fits neither clip."""
    reader = open_clip(path, limits=limits)
    if reader.info.kind == "image":
        return Region(path, "source", f"the mask {path.name}, one picture for all frames")
    count = sum(len(clip) for clip in reader.clips(16))
    for name, clip in (("source", source), ("output", output)):
        if count == len(clip):
            return Region(path, name, f"the mask {path.name}, frame by frame of the {name}")
    raise MisuseError(
        f"the mask {path} has {count} frames, expected {len(source)} as the source or {len(output)} as the output; "
        "give one mask a frame, or one picture"
    )


def find_region(
    source: ClipIndex, work: Path, *, category: str | None = None, output: ClipIndex | None = None,
    alignment: Alignment | None = None, who: str = "largest", limits: Limits = DEFAULT_LIMITS,
) -> Region | None:  # fmt: skip
    """The region of a garment of `category` on the person of the source; made into a mask film in the folder `work`.

    Without a category, the difference of output and source says which of the person's garments was replaced. Where nobody is
    found it is what differs; None where nothing does. The same source and category give the same region whatever the output.
    """
    path = work / f"region_{category or 'found'}.mkv"
    try:
        analysis = _analyse(source, work / "analysis", who, limits)
    except MisuseError:
        raise
    except VidvtonError:
        analysis = None
    if analysis is not None and bool(analysis.track.present.any()):
        how = "by its garment's category"
        if category is None:
            category = _replaced(analysis, source, output, alignment) if output is not None and alignment is not None else None
            how = "what changed from source to output says which" if category else "nothing tells which garment: upper assumed"
        category = category or "upper"
        _write_masks(path, source.info, _parsed(analysis, source, category, limits))
        return Region(path, "source", f"parsed from the source's person, {category} garment ({how})")
    if output is None or alignment is None:
        return None
    some = [m.any() for m in _write_masks(path, source.info, _differing(source, output, alignment, limits))]
    return Region(path, "source", "where output and source differ (nobody was found in the source)") if any(some) else None


def _analyse(source: ClipIndex, work: Path, who: str, limits: Limits) -> Analysis:
    for _ in analyse_clip(
        lambda start: open_clip(source.path, limits=limits).clips(8, start=start), source.info.size, work, who=who
    ):
        pass
    return load_analysis(work, source.info.size, rate=source.rate)


def _replaced(analysis: Analysis, source: ClipIndex, output: ClipIndex, alignment: Alignment) -> str | None:
    """The category whose worn pixels agree best with those that changed, from thumbnails; None where none does."""
    pairs = alignment.pairs
    chosen = pairs[np.linspace(0, len(pairs) - 1, min(16, len(pairs))).round().astype(int)]
    overlap = {category: [0.0, 0.0] for category in CATEGORIES}
    if source.thumbs.shape[1:] != output.thumbs.shape[1:]:
        return None
    small = source.thumbs.shape[1:]
    for a, b in chosen.tolist():
        if not bool(analysis.track.present[a]):
            continue
        changed = np.abs(source.thumbs[a].astype(np.int16) - output.thumbs[b].astype(np.int16)) > _CHANGED
        labels = _labels(analysis, source, a, a + 1)
        for category in CATEGORIES:
            worn = old_garment(labels, analysis.track.window(a, a + 1), category).float()
            worn = resize(worn[:, None], small)[0, 0].numpy() > 0.5
            overlap[category][0] += float((worn & changed).sum())
            overlap[category][1] += float((worn | changed).sum())
    scores = {category: both / max(either, 1.0) for category, (both, either) in overlap.items()}
    best = max(scores, key=lambda c: scores[c])
    return best if scores[best] >= _AGREE else None


def _labels(analysis: Analysis, source: ClipIndex, start: int, stop: int) -> Tensor:
    rows = zip(analysis.labels(start, stop), analysis.crops.boxes[start:stop])
    return torch.from_numpy(np.stack([placed(label, box, source.info.size) for label, box in rows]))


def _parsed(analysis: Analysis, source: ClipIndex, category: str, limits: Limits) -> Iterator[Tensor]:
    """[n, 1, H, W] bool pieces of the agnostic region of every frame."""
    track, count = analysis.track, len(analysis.track)
    for start in range(0, count, _SPAN):
        first, stop = max(0, start - _CONTEXT), min(count, start + _SPAN)
        last = min(count, stop + _CONTEXT)
        clip = next(open_clip(source.path, limits=limits).clips(last - first, start=first))
        person = PersonTrack(track.window(first, last), _labels(analysis, source, first, last))
        yield make_agnostic(clip, person, category).region[start - first : stop - first]


def _differing(source: ClipIndex, output: ClipIndex, alignment: Alignment, limits: Limits) -> Iterator[Tensor]:
    """[1, 1, H, W] bool of every source frame: where the pair's pictures differ around a pixel, steadied over five pairs; frames
    without a partner take the last one's. Neighbourhoods are a sixty-fourth of the shorter side."""
    size = source.info.size
    reach = max(1, min(size) // 128)
    maps = _differences(source, output, alignment, size, reach, limits)
    near: deque[Tensor] = deque(islice(maps, _STEADY + 1), maxlen=2 * _STEADY + 1)
    rows, at = alignment.pairs[:, 0].tolist(), 0
    for k, row in enumerate(rows):
        share = torch.stack(list(near)).mean(0)
        wide = F.max_pool2d((share >= 0.4).float(), 2 * reach + 1, 1, reach)
        mask = F.interpolate(wide, size=size, mode="nearest") > 0.5
        stop = rows[k + 1] if k + 1 < len(rows) else len(source)
        while at < max(stop, row + 1):
            yield mask
            at += 1
        following = next(maps, None)
        if following is not None:
            near.append(following)
        elif len(near) > _STEADY + 1:
            near.popleft()


def _differences(
    source: ClipIndex, output: ClipIndex, alignment: Alignment, size: tuple[int, int], reach: int, limits: Limits
) -> Iterator[Tensor]:
    """[1, 1, H / 2, W / 2] float32 of every pair: 1 where the pictures differ around a pixel by more than any codec makes."""
    mine = read_frames(source.path, alignment.pairs[:, 0], None, size, limits=limits)
    theirs = read_frames(output.path, alignment.pairs[:, 1], alignment.fit.output, size, limits=limits)
    for a, b in zip(mine, theirs):
        gap = (a.float() - b.float()).abs().amax(0)[None, None]
        yield (F.avg_pool2d(gap, 2 * reach + 1, 1, reach) > _CHANGED)[:, :, ::2, ::2].float()


def _write_masks(path: Path, info: ClipInfo, pieces: Iterator[Tensor]) -> list[Tensor]:
    """Writes masks [n, 1, H, W] bool as a lossless film beside the source's times; returns each piece's sums."""
    rate = Fraction(25)
    film = ClipInfo(path, "video", info.width, info.height, 1 / rate, rate, 0, "ffv1", "gray")
    sums, at = [], 0
    with VideoWriter(path, film, codec="ffv1", overwrite=True, sound=False) as writer:
        for masks in pieces:
            frames = (masks * 255).to(torch.uint8).expand(-1, 3, -1, -1)
            frames = frames.contiguous(memory_format=torch.channels_last)
            writer.write(Clip(frames, torch.arange(at, at + len(frames)), 1 / rate))
            at += len(frames)
            sums.append(masks.sum())
    return sums
