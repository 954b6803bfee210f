"""Training, the page to read first: stage after stage, each opened from the checkpoint that ended the one before.

`train` is what `vidvton train`, `accelerate launch -m vidvton train` and `torchrun -m vidvton train` all call. Progress is one
integer; all else follows from it and from the newest checkpoint, so that starting again is how a run resumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidvton import __version__
from vidvton.config import write_config
from vidvton.diffusion.schedule import diffuse, to_level
from vidvton.errors import VidvtonError
from vidvton.progress import Note

from .checkpoint import find_newest, prune, read_facts, save_checkpoint
from .config import Stage, TrainConfig
from .export import export_model, is_exported
from .journal import NAME, Journal
from .launch import Launch, computing_in
from .learner import Learner, open_learner, set_rate, tensors_of, update
from .loader import Parts, Ready, Sets, load
from .meter import Meter, describe
from .plan import Plan
from .run_folder import RunFolder, check_data, open_run, write_settings
from .stages import first_step, learning_rate, locate, only_temporal, work, work_left
from .stopping import Stopped, StopWatch
from .strip import draw_strips, write_sheet
from .terms import Terms, loss_terms
from .validate import validate


def train(plan: Plan, out: Path, launch: Launch) -> Iterator[Note]:
    """Trains to the end of the last stage in folder `out`, going on from its newest whole checkpoint, and says how it goes.

    All processes run through it together. MisuseError and VidvtonError, in one sentence, for settings that cannot be, another
    run's folder, a full disk, samples that cannot be read and gradients that stay infinite. Told to stop (SIGINT or SIGTERM, in
    one process or all), it finishes the step, saves it, and raises Stopped.
    """
    config, processes = plan.config, launch.processes
    with open_run(out, config, plan.model, processes) as folder, StopWatch() as stop:
        yield from map(Note, check_data(out, plan.record))
        checkpoint, notes = find_newest(folder.checkpoints)
        yield from map(Note, notes)
        if notes and checkpoint is None:
            yield Note(f"none of the {len(notes)} checkpoints in {folder.checkpoints} can be used: beginning again from nothing")
        facts = read_facts(checkpoint) if checkpoint else {}
        step = facts.get("step", 0)
        if step:
            yield Note(f"going on after step {step} of {config.total_steps} ({checkpoint})")
        launch.open_tracker(config.model_dump(mode="json"))
        journal = Journal(out / NAME, step) if processes.is_first else None
        if processes.is_first and step in _stage_ends(config) and not is_exported(step, folder.model):
            export_model(checkpoint, plan, folder.model)  # the start before ended between its checkpoint and this
        while step < config.total_steps:
            learner = open_learner(plan, step, launch, checkpoint=checkpoint, facts=facts)
            run = _StageRun(plan, folder, launch, learner, journal, stop, first=step)
            yield from run.run()
            checkpoint, facts = run.checkpoint, read_facts(run.checkpoint)
            step = facts["step"]
            if processes.is_first and step == run.last:
                export_model(checkpoint, plan, folder.model)
            processes.wait()
            if run.stopped and step < config.total_steps:
                raise Stopped(f"stopped after step {step}, which is saved; the same command goes on from there")
        if processes.is_first:
            yield Note(f"done: {config.total_steps} steps, model in {folder.model}")


def _stage_ends(config: TrainConfig) -> list[int]:
    return [first_step(config.stages, number + 1) for number in range(len(config.stages))]


class _StageRun:
    """The steps of one stage from `first` to its end at `last`, or until all processes have heard that one of them is to stop."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        launch: Launch,
        learner: Learner,
        journal: Journal | None,
        stop: StopWatch,
        *,
        first: int,
    ) -> None:
        self.plan, self.config, self.folder, self.launch, self.journal = plan, plan.config, folder, launch, journal
        self.learner, self.processes, self.stop = learner, launch.processes, stop
        self.position = locate(self.config.stages, first)
        self.first, self.last = first, first_step(self.config.stages, self.position.stage + 1)
        self.stage: Stage = self.config.stages[self.position.stage]
        self.precision = computing_in(self.config.precision, self.processes.device)
        features = plan.features.get(self.stage.loss.perceptual_weights or "") if self.stage.loss.perceptual > 0 else None
        self.features: nn.Module | None = features and features.to(self.processes.device)
        self.checkpoint: Path | None = None
        self.stopped = False
        self.unreadable: set[str] = set()

    def run(self) -> Iterator[Note]:
        """All its steps; at the end `checkpoint` is the one of step `last`, or of the one after which it was `stopped`."""
        config, meter = self.config, Meter()
        offset = first_step(config.stages, self.position.stage)
        parts = load(self._parts(offset), self.processes)
        for step in range(self.first, self.last):
            rate = learning_rate(self.stage, step - offset)
            set_rate(self.learner, rate)
            temporal = only_temporal(self.stage, step - offset)
            for part in range(self.stage.accumulate):
                asked = time.perf_counter()
                ready = next(parts)
                waited = time.perf_counter() - asked
                yield from self._note_unreadable(ready)
                meter.add(self._backward(ready, last=part == self.stage.accumulate - 1), ready.frames, waited)
            norm, moved = update(self.learner, config, half=config.precision == "fp16", temporal=temporal)
            meter.steps += 1
            if not moved:
                yield from self._check_skips(step, ready)
            if step == self.first and self.processes.is_first:  # a start that fails before this leaves no settings behind
                write_settings(self.folder.path, config, self.plan.model, self.plan.record)
            # Signals reach processes at different steps, so they agree here, where all of them are at the same one.
            self.stopped = not self.processes.all_agree(not self.stop.asked)
            after, ends = step + 1, step + 1 == self.last
            if after % config.log_every == 0 or ends:
                yield from self._log(after, meter, norm, rate)
            paused, looks = time.perf_counter(), config.validate_on
            if looks and self.plan.held_out and (ends or after % looks.every == 0 and not self.stopped):
                yield from self._look(after)
            if after % config.save.every == 0 or ends or self.stopped:
                self._save(after)
            if self.stopped:
                return
            if after % config.log_every == 0 or ends:
                meter = Meter()
            else:
                meter.pause(paused)

    def _parts(self, offset: int) -> Parts:
        sets: Sets = self.plan.sets.for_stage(self.stage)
        number, rank, count = self.position.stage, self.processes.rank, self.processes.count
        return Parts(self.config, sets, number, self.first - offset, self.last - offset, rank, count)

    def _backward(self, ready: Ready, *, last: bool) -> Terms:
        """Adds the gradient of one part; processes meet on the `last` part of a step."""
        ready = ready.to(self.processes.device)
        x0 = ready.batch.target * 2 - 1
        x = diffuse(x0, ready.noise, ready.sigma)
        module = self.learner.module
        apart = module.no_sync() if hasattr(module, "no_sync") and not last else nullcontext()
        with apart:
            with self.precision():
                output = module(x, to_level(ready.sigma), ready.batch.conditioning)
            prediction, settings = self.learner.settings.prediction, self.stage.loss
            given = (output, x0, ready.noise, ready.sigma, prediction, settings)
            terms = loss_terms(*given, region=ready.region, features=self.features)
            scale = self.learner.counts.scale if self.config.precision == "fp16" else 1.0
            self.launch.accelerator.backward(terms.total * (scale / self.stage.accumulate))
        return terms

    def _note_unreadable(self, ready: Ready) -> Iterator[Note]:
        counts = self.learner.counts
        counts.asked_for += len(ready.batch.names) + len(ready.unreadable)
        counts.unreadable += len(ready.unreadable)
        for name in sorted(set(ready.unreadable) - self.unreadable):
            self.unreadable.add(name)
            yield Note(f"sample {name} cannot be read; others stand in for it")
        share = self.config.data.bad_share
        if counts.unreadable > max(share * counts.asked_for, share * 100):
            names = ", ".join(sorted(self.unreadable)[:3])
            raise VidvtonError(
                f"{counts.unreadable} of {counts.asked_for} samples could not be read ({names}), more than the share of "
                f"{share:g} that data.bad_share allows; prepare the set again"
            )

    def _check_skips(self, step: int, ready: Ready) -> Iterator[Note]:
        counts, limit = self.learner.counts, self.config.optimizer.max_skips
        names = ", ".join(ready.batch.names[:3])
        if counts.skipped_in_a_row >= limit:
            raise VidvtonError(
                f"{counts.skipped_in_a_row} steps in a row, up to step {step} of stage {self.stage.name!r} (samples {names}), "
                "gave no finite gradient; look at those samples, lower the rate, or train in bf16 or fp32"
            )
        if self.config.precision != "fp16" or counts.scale <= 1:  # overflows of a loss scale are its way of finding itself
            yield Note(f"step {step} gave no finite gradient and was skipped ({counts.skipped} so far; samples {names})")

    def _log(self, step: int, meter: Meter, norm: float, rate: float) -> Iterator[Note]:
        values: dict[str, Any] = meter.values(self.processes) | {"grad_norm": norm, "rate": rate}
        values |= {"skipped": self.learner.counts.skipped, "updates": self.learner.counts.updates}
        if self.journal is None:
            return
        self.journal.write(step, "train", {"stage": self.stage.name} | values)
        self.launch.track(values, step)
        speed = work(self.stage) / values["seconds_per_step"]
        left = work_left(self.config.stages, step) / speed
        yield Note(describe(step, self.config.total_steps, self.stage.name, values, left))

    def _look(self, step: int) -> Iterator[Note]:
        """Validation; every process computes the same, the first one writes."""
        began, looks = time.perf_counter(), self.config.validate_on
        findings = validate(
            self.learner,
            self.plan.held_out.at_least(self.stage.frames),
            self.config,
            looks,
            self.stage,
            precision=self.precision,
            device=self.processes.device,
        )
        if self.journal is None:
            return
        seconds = time.perf_counter() - began
        self.journal.write(step, "validate", {"stage": self.stage.name, "seconds": seconds} | findings.values())
        self.launch.track({f"held_out/{name}": value for name, value in (findings.levels | findings.scores()).items()}, step)
        if findings.strips:
            sheet = draw_strips(findings.strips)
            write_sheet(sheet, self.folder.samples / f"step-{step:08d}.png")
            self.launch.show("held_out/strips", sheet, step)
        yield Note(f"step {step}, held out: {findings.describe()}")

    def _save(self, step: int) -> None:
        facts = {
            "counts": asdict(self.learner.counts),
            "stage": self.stage.name,
            "architecture": self.learner.settings.model_dump(mode="json"),
            "config": write_config(self.config),
            "processes": self.processes.count,
            "versions": {"vidvton": __version__, "torch": torch.__version__},
        }
        tensors = tensors_of(self.learner)
        self.checkpoint = save_checkpoint(self.folder.checkpoints, step, tensors, facts, self.processes)
        if self.processes.is_first:
            stage_ends = _stage_ends(self.config) if self.config.save.keep_stages else []
            prune(self.folder.checkpoints, step, keep=self.config.save.keep, also=stage_ends)
