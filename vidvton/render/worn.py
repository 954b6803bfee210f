"""A clip's analysis with garments fitted to every shot: what the diffusion engine asks the warp for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vidvton.analysis import Analysis, Shot, cut
from vidvton.prepare import fit_shot
from vidvton.progress import Progress
from vidvton.render.composite import paste
from vidvton.render.warp_engine import unfade
from vidvton.values import Garment
from vidvton.warp.outfit import Drawn, Outfit

Outfits = dict[int, Outfit]


@dataclass(frozen=True)
class Worn:
    """`analysis` and, by the first frame of a shot, the garments fitted to it."""

    analysis: Analysis
    outfits: Outfits

    def shot(self, t: int) -> Shot:
        """The shot of frame `t`."""
        return next(s for s in self.analysis.shots if s.start <= t < s.stop)

    def seen(self, t: int) -> bool:
        """Whether frame `t` shows somebody who is dressed."""
        return self.shot(t).body is not None and bool(self.analysis.track.present[t])

    def fade(self, t: int) -> tuple[float, float]:
        """(how much of a flat grey lies over frame `t`, that grey's level 0-255)."""
        shot = self.shot(t)
        return (0.0 if shot.fade is None else float(shot.fade[t - shot.start])), shot.fade_to

    def small(self, t: int, frame: np.ndarray) -> np.ndarray:
        """The crop of `frame` [H, W, 3] at working size, any fade taken off."""
        box, size = self.analysis.crops.boxes[t], self.analysis.crops.sizes[t]
        return unfade(np.ascontiguousarray(cut(frame, box, size)), *self.fade(t))

    def draw(self, t: int, small: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> list[Drawn]:
        """The garments of frame `t` drawn at (height, width) `size` of the crop, from the crop `small` at working size."""
        shot, box = self.shot(t), self.analysis.crops.boxes[t]
        behind: Callable | None = None if shot.plate is None else lambda size: shot.plate.cut(box, size)
        return self.outfits[shot.start].draw(t - shot.start, small, labels, size, behind=behind)

    def dressed(self, t: int, frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The crop of `frame` at source resolution as the warp engine dresses it, fade and all."""
        box = self.analysis.crops.boxes[t]
        crop = np.ascontiguousarray(frame[box[1] : box[3], box[0] : box[2]])
        fade, fade_to = self.fade(t)
        for drawn in self.draw(t, self.small(t, frame), labels, crop.shape[:2]):
            crop = paste(crop, drawn, fade=fade, fade_to=fade_to)
        return crop


def fit_all(analysis: Analysis, garments: tuple[Garment, ...], outfits: Outfits, *, untucked: bool = False) -> Iterator[Progress]:
    """Fit `garments` to every shot that shows the person, into `outfits`."""
    for shot in analysis.shots:
        if shot.body is not None:
            outfits[shot.start] = fit_shot(analysis, shot, garments, untucked=untucked)
        yield Progress("fit", shot.stop, len(analysis.track))
