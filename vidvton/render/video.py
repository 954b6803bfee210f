"""A render from end to end: analyse, dress and encode side by side in segments, join, tell.

Three things overlap: the engine (which decodes ahead by itself), this generator, and a thread that encodes. Between them stands a
queue of a few small pieces, so memory does not grow with the clip. A finished segment is a closed file in the work folder; a run
that was killed finds it there and goes on with the first one missing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import VidvtonError
from ..media.files import check_writable
from ..progress import Note, Progress
from ..values import Clip
from .encode import Encoder, done_segments
from .engine import Engine, EngineSummary
from .outputs import output_for
from .plan import RenderPlan, limits_of
from .preview import draw_preview
from .report import RenderReport, Timing, garment_rows, peak_memory_mib, read_versions, write_report
from .resume import Grid, WorkFolder, open_work, publish, remove_stale_parts, remove_work
from .side_by_side import SideBySide

EngineOf = Callable[[RenderPlan, Path], Engine]
Events = Generator[Progress | Note, None, RenderReport]


@dataclass
class Clock:
    """Seconds and frames per stage of this run."""

    began: float = field(default_factory=time.monotonic)
    stages: dict[str, Timing] = field(default_factory=dict)

    def add(self, stage: str, seconds: float, frames: int = 0) -> None:
        old = self.stages.get(stage, Timing(0.0, 0))
        self.stages[stage] = Timing(old.seconds + seconds, old.frames + frames)

    @property
    def spent(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began


def render_clip(plan: RenderPlan, engine_of: EngineOf) -> Events:
    """Carry out `plan`, yielding progress and notes; returns the report.

    The output appears whole at the end or not at all. A run that fails leaves nothing behind, unless its work folder was named or
    is to be kept; a run that is stopped or killed leaves its work folder, and the same call goes on from there.
    """
    clock, request = Clock(), plan.request
    yield from (Note(text) for text in plan.notes)
    with open_work(plan.work, plan.identity) as work:
        yield from (Note(text) for text in work.notes)
        remove_stale_parts(plan.output)
        try:
            report = yield from _rendered(plan, engine_of, work, clock)
        except (VidvtonError, OSError, MemoryError):
            if request.work is None and not request.keep_work:
                remove_work(work)
            raise
        if not request.keep_work:
            remove_work(work)
    return report


def _rendered(plan: RenderPlan, engine_of: EngineOf, work: WorkFolder, clock: Clock) -> Events:
    engine = engine_of(plan, work.analysis)
    if work.resumed:
        yield Note(f"going on with the unfinished work in {work.path}")
    yield from _timed(engine.prepare(), clock, resumed=work.resumed)
    frames, summary = engine.num_frames(), engine.summary()
    check_summary(summary, frames, plan)
    if plan.request.preview is not None:
        yield from draw_preview(plan, engine, frames)
        clock.add("preview", clock.spent, plan.request.preview)
        report = _report(plan, engine, summary, clock, frames)
    else:
        report = yield from _written(plan, engine, summary, work, clock)
    if plan.request.report is not None:
        check_writable(plan.request.report, overwrite=plan.overwrite)
        write_report(plan.request.report, report)
    yield from (Note(f"warning: {text}") for text in report.warnings)
    return report


def _written(plan: RenderPlan, engine: Engine, summary: EngineSummary, work: WorkFolder, clock: Clock) -> Events:
    """Dress and encode what is missing, join it all."""
    frames, info = engine.num_frames(), plan.info
    dress = engine.dress
    if plan.request.side_by_side:
        beside = SideBySide(plan.request.source, limits_of(plan.settings), info, plan.garments)
        info, dress = beside.info, lambda start, stop: beside.joined(engine.dress(start, stop), start)
    output = output_for(plan, info)
    grid = Grid(frames, plan.settings.video.segment)
    done = done_segments(work.segments, grid, output)
    resumed = sum(stop - start for start, stop in map(grid.span, done))
    if done:
        yield Note(f"{len(done)} of {len(grid)} segments ({resumed} of {frames} frames) are done already")
    yield Progress("dress", resumed, frames)
    finished = resumed
    with Encoder(work.segments, output) as encoder:
        for first, last in grid.missing(done):
            start, stop = grid.span(first)[0], grid.span(last - 1)[1]
            with closing(_closable(dress(start, stop))) as pieces:
                for index, piece, ends in cut_at_grid(_clocked(pieces, clock), grid, start, stop):
                    encoder.put(index, piece, ends)
                    finished += len(piece)
                    yield Progress("dress", finished, frames)
        encoder.finish()
    clock.add("encode", encoder.busy, finished - resumed)
    yield Progress("join", 0, frames)
    began = time.monotonic()
    joined = work.path / f"joined{plan.output.suffix}"
    output.join([output.segment(work.segments, i) for i in range(len(grid))], joined)
    publish(work, joined, plan.output, overwrite=plan.overwrite)
    clock.add("join", time.monotonic() - began, frames)
    yield Progress("join", frames, frames)
    digest = hashlib.sha256("".join(encoder.digests(grid)).encode()).hexdigest()
    return _report(plan, engine, summary, clock, frames, resumed=resumed, digest=digest)


def cut_at_grid(pieces: Iterator[Clip], grid: Grid, start: int, stop: int, *, most: int = 8) -> Iterator[tuple[int, Clip, bool]]:
    """(segment, piece, whether the segment ends with it): `pieces` from frame `start`, cut at segment borders and to `most`.

    VidvtonError where the pieces do not add up to `stop - start` frames.
    """
    at = start
    for piece in pieces:
        taken = 0
        while taken < len(piece) and at < stop:
            index = at // grid.size
            end = grid.span(index)[1]
            count = min(len(piece) - taken, end - at, most)
            yield index, piece.window(taken, taken + count), at + count == end
            taken, at = taken + count, at + count
        if taken < len(piece):
            raise VidvtonError(f"the engine gave more than the {stop - start} frames asked for from frame {start}")
    if at != stop:
        raise VidvtonError(f"the engine stopped at frame {at} of {stop}; the clip may have changed while it was read")


def check_summary(summary: EngineSummary, frames: int, plan: RenderPlan) -> None:
    """VidvtonError where the analysis found nothing to render."""
    source = plan.request.source
    if frames == 0:
        raise VidvtonError(f"{source} holds no frames; give a clip with at least one")
    if not any(summary.present):
        where = "in it" if frames == 1 else f"in any of its {frames} frames"
        raise VidvtonError(f"{source}: nobody was found {where}; give a clip that shows a person, or try another --who")


def _timed(steps: Iterator[Progress | Note], clock: Clock, *, resumed: bool) -> Iterator[Progress | Note]:
    """`steps`, with the time up to each one booked on its stage; in a resumed run a stage may begin with frames done before."""
    reached: dict[str, int] = {}
    last = time.monotonic()
    for step in steps:
        now = time.monotonic()
        stage = getattr(step, "stage", None)
        if stage is not None:
            clock.add(stage, now - last, max(0, step.done - reached.get(stage, step.done if resumed else 0)))
            reached[stage] = step.done
            last = now
        yield step


def _clocked(pieces: Iterator[Clip], clock: Clock) -> Iterator[Clip]:
    """`pieces`, with the time spent waiting for each one booked as dressing."""
    while True:
        began = time.monotonic()
        piece = next(pieces, None)
        clock.add("dress", time.monotonic() - began, 0 if piece is None else len(piece))
        if piece is None:
            return
        yield piece


def _closable(pieces: Iterator[Clip]) -> Generator[Clip, None, None]:
    """`pieces` as a generator that can be closed, whatever they are."""
    with ExitStack() as stack:
        if hasattr(pieces, "close"):
            stack.callback(pieces.close)
        yield from pieces


def _report(
    plan: RenderPlan,
    engine: Engine,
    summary: EngineSummary,
    clock: Clock,
    frames: int,
    *,
    resumed: int = 0,
    digest: str | None = None,
) -> RenderReport:
    return RenderReport(
        output=str(plan.output),
        engine=engine.name,
        versions=read_versions(),
        source=plan.source,
        garments=garment_rows(plan.request.garments, summary),
        frames=frames,
        frames_resumed=resumed,
        persons=summary.persons,
        frames_present=sum(map(bool, summary.present)),
        quality=tuple(summary.quality),
        warnings=tuple(dict.fromkeys(summary.warnings)),
        stages=dict(clock.stages),
        seconds=clock.spent,
        peak_memory_mib=peak_memory_mib(),
        settings=plan.settings.model_dump(mode="json"),
        engine_settings=dict(summary.settings),
        digest=digest,
    )
