"""Measuring one block of frames: every weight-free metric of every video, sharing the source's flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from . import flow, garment, image, sift, temporal
from .blocks import Block
from .garment import Palette
from .places import Sums, shrink, sums_of
from .series import OUTPUT, SOURCE
from .table import REGION

Entry = tuple[str, str, str, int, float, float]
"""(metric, video, place, frame, sum, count)."""


@dataclass(frozen=True)
class Plan:
    """What to measure: metric names, videos in order, and what is known of the garment."""

    names: frozenset[str]
    videos: tuple[str, ...]
    palette: Palette | None = None
    features: np.ndarray | None = None
    flow_preset: str = "medium"

    def wants(self, *names: str) -> bool:
        return any(name in self.names for name in names)


@dataclass(frozen=True)
class RegionState:
    """What drift needs of the region in one frame of one video: its mean colour and mean squared gradient, NaN where empty."""

    of: str
    frame: int
    lab: np.ndarray
    energy: float


@dataclass
class Findings:
    """All that one block gave."""

    entries: list[Entry] = field(default_factory=list)
    states: list[RegionState] = field(default_factory=list)

    def put(self, name: str, of: str, frame: int, sums: Sums) -> None:
        self.entries += [(name, of, where, frame, total, count) for where, (total, count) in sums.items()]

    def put_one(self, name: str, of: str, frame: int, value: float) -> None:
        """One value of the region; NaN was not measurable."""
        missing = np.isnan(value)
        self.entries.append((name, of, REGION, frame, 0.0 if missing else value, 0.0 if missing else 1.0))


class Moment:
    """One frame of a block with the frames before it, and what is worked out of them only once."""

    def __init__(self, block: Block, row: int, flow_preset: str = "medium") -> None:
        self.flow_preset = flow_preset
        self.block, self.row, self.piece = block, row, block.piece
        self.frame = block.start - block.lead + row

    def video(self, of: str, step: int = 0) -> Tensor:
        """[3, H, W] uint8 of the frame `step` before."""
        at = self.row - step
        if of in (OUTPUT, SOURCE):
            return getattr(self.piece, of)[at]
        return self.piece.truth[at] if of == "truth" else dict(self.piece.also)[of][at]

    def picture(self, of: str, step: int = 0) -> Tensor:
        """[3, H, W] float32 0-1 of the frame `step` before."""
        return self.video(of, step).float() / 255

    def region(self, step: int = 0) -> Tensor | None:
        return None if self.piece.region is None else self.piece.region[self.row - step, 0]

    def region_of(self, steps: int) -> Tensor | None:
        """What is in the region of this frame or of one of the `steps` before."""
        return None if self.piece.region is None else self.piece.region[self.row - steps : self.row + 1, 0].any(0)

    @cached_property
    def source_grey(self) -> tuple[np.ndarray, np.ndarray]:
        return flow.grey(self.video(SOURCE, 1)), flow.grey(self.video(SOURCE))

    @cached_property
    def forward(self) -> Tensor:
        """DIS flow of the source from the frame before to this one."""
        return flow.dis_flow(*self.source_grey, preset=self.flow_preset)

    @cached_property
    def backward(self) -> Tensor:
        return flow.dis_flow(*reversed(self.source_grey), preset=self.flow_preset)

    @cached_property
    def seen(self) -> Tensor:
        """What of the frame before is still visible in this one."""
        return flow.visible(self.forward, self.backward)

    def farneback(self, of: str) -> Tensor:
        return flow.farneback_flow(flow.grey(self.video(of, 1)), flow.grey(self.video(of)))


def measure_block(block: Block, plan: Plan) -> Findings:
    """Entries of every frame of a block that starts no earlier than `block.start`."""
    found = Findings()
    carried: list[Tensor] = []
    with torch.inference_mode():
        for row in range(block.lead, len(block.piece)):
            moment = Moment(block, row, plan.flow_preset)
            _alone(moment, plan, found)
            if row >= 1:
                _pairs(moment, plan, found)
            if row >= 2 and plan.wants("second-difference"):
                for of in plan.videos:
                    frames = (moment.picture(of, step) for step in (2, 1, 0))
                    sums = sums_of(temporal.second_difference(*frames), region=moment.region_of(2))
                    found.put("second-difference", of, moment.frame - 1, sums)
            if plan.wants("garment-flicker"):
                carried.append(_coordinates(moment, carried))
        if plan.wants("garment-flicker"):
            _garment_flicker(block, plan, carried, found)
    return found


def _pairs(moment: Moment, plan: Plan, found: Findings) -> None:
    """What compares a frame with the one before; its region is that of the frame before, or of both where no flow tells more."""
    before, both = moment.region(1), moment.region_of(1)
    pictures = {of: (moment.picture(of, 1), moment.picture(of)) for of in plan.videos}
    if plan.wants("warping-error"):
        for of, pair in pictures.items():
            errors = flow.warping_error(*pair, moment.forward)
            found.put("warping-error", of, moment.frame, sums_of(errors, valid=moment.seen, region=before))
    if plan.wants("warping-error-exact"):
        exact = moment.piece.flow[moment.row - 1]
        seen = flow.move_back(exact[:1], exact)[1] & ~flow.motion_boundary(exact)
        if moment.piece.hidden is not None:
            seen &= ~moment.piece.hidden[moment.row - 1, 0]
        for of, pair in pictures.items():
            errors = flow.warping_error(*pair, exact)
            found.put("warping-error-exact", of, moment.frame, sums_of(errors, valid=seen, region=before))
    if plan.wants("temporal-flickering"):
        for of, pair in pictures.items():
            found.put("temporal-flickering", of, moment.frame, sums_of(temporal.steadiness(*pair), region=both))
    if plan.wants("tof", "tof-source"):
        flows = {of: moment.farneback(of) for of in plan.videos}
        references = [("tof", "truth")] if plan.wants("tof") else []
        references += [("tof-source", SOURCE)] if plan.wants("tof-source") else []
        for name, against in references:
            reference = flows[against] if against in flows else moment.farneback(against)
            for of, own in flows.items():
                found.put(name, of, moment.frame, sums_of(flow.flow_distance(own, reference), region=before))


def _alone(moment: Moment, plan: Plan, found: Findings) -> None:
    """What looks at one frame, alone or against the same frame of the source or the truth."""
    frame, region = moment.frame, moment.region()
    inside = None if region is None else shrink(region, 2)
    source = moment.picture(SOURCE)
    truth = moment.picture("truth") if moment.piece.truth is not None else None
    source_edges = image.gradients(image.luma(source)) if plan.wants("leak") else None
    for of in plan.videos:
        picture = moment.picture(of)
        if plan.wants("identity"):
            sums = sums_of(image.level_error(picture, source), region=region)
            found.put("identity", of, frame, {"background": sums["background"]})
        if plan.wants("leak", "drift-sharpness", "drift-colour"):
            edges = image.gradients(image.luma(picture))
            if plan.wants("leak"):
                found.put_one("leak", of, frame, image.leak(edges, source_edges, inside))
            if plan.wants("drift-sharpness", "drift-colour"):
                found.states.append(_state(of, frame, moment.video(of), edges, region, inside))
        if plan.wants("leak-pixels"):
            sums = sums_of(image.passed_through(moment.video(of), moment.video(SOURCE)), region=region)
            found.put("leak-pixels", of, frame, {REGION: sums[REGION]})
        if plan.wants("garment-colour"):
            found.put_one("garment-colour", of, frame, garment.colour_distance(moment.video(of), region, plan.palette))
        if plan.wants("garment-print"):
            matches = sift.found_again(plan.features, moment.video(of), region)
            count = len(plan.features) if bool(region.any()) else 0
            found.entries.append(("garment-print", of, REGION, frame, float(matches), float(count)))
        if plan.wants("ssim"):
            values, valid = image.ssim(moment.video(of), moment.video("truth"))
            found.put("ssim", of, frame, sums_of(values, valid=valid, region=region))
        if plan.wants("psnr"):
            found.put("psnr", of, frame, sums_of(image.squared_error(picture, truth), region=region))
        if plan.wants("gradient-similarity"):
            values = image.gradient_similarity(picture, truth)
            found.put("gradient-similarity", of, frame, sums_of(values, region=None if region is None else image.halved(region)))


def _state(of: str, frame: int, video: Tensor, edges: Tensor, region: Tensor, inside: Tensor) -> RegionState:
    pixels = garment.thinned(video[:, region])
    lab = garment.lab_of(pixels).mean(0) if pixels.shape[1] else np.full(3, np.nan)
    energy = float(edges.square().sum(0)[inside].double().mean()) if bool(inside.any()) else float("nan")
    return RegionState(of, frame, lab, energy)


def _coordinates(moment: Moment, carried: list[Tensor]) -> Tensor:
    """Place on the garment [2 or 3, H, W] of a frame's pixels: as given, or carried along the flow from the block's start."""
    if moment.piece.coordinates is not None:
        return moment.piece.coordinates[moment.row]
    if not carried:
        return garment.anchor(moment.region())
    seen = flow.visible(moment.backward, moment.forward)
    return garment.carry(carried[-1], moment.backward, seen, moment.region())


def _garment_flicker(block: Block, plan: Plan, carried: list[Tensor], found: Findings) -> None:
    places = [garment.alive(c) if len(c) == 3 else c for c in carried]
    cells = garment.cells_of(places)
    for of in plan.videos:
        frames = [Moment(block, row).picture(of) for row in range(block.lead, len(block.piece))]
        for step, (total, count) in enumerate(garment.flicker(frames, cells)):
            found.entries.append(("garment-flicker", of, REGION, block.start + step, total, count))
