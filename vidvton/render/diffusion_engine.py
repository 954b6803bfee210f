"""The diffusion engine: the network generates the region on person-centred crops, the rest stays the source's.

`prepare` analyses the clip, fits the garments as the warp engine does (the hint, the start, and the source of fine detail),
draws the conditions at the network's size and samples every shot, all of it in the work folder and resumable; `dress` enlarges,
sharpens and pastes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from vidvton.analysis import FramesAt, Shot, analyse_clip, load_analysis
from vidvton.collate import garment_conditions
from vidvton.errors import MisuseError
from vidvton.frames import as_arrays
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.models.person_features import PersonFeatures, load_features
from vidvton.people.agnostic import old_garment
from vidvton.progress import Note, Progress
from vidvton.render.checkpoint import Checkpoint
from vidvton.render.conditions import Conditions, Stage, make_stage, write_conditions
from vidvton.render.detail import blend, enlarge, feathered, free_of, grown, sharpen
from vidvton.render.dressing import LEAST_FOR_WORKERS, PIECE, dressed_pieces, warnings_of, with_frames
from vidvton.render.engine import EngineSummary, GarmentFacts
from vidvton.render.settings import RenderSettings
from vidvton.render.worn import Outfits, Worn, fit_all
from vidvton.tryon import Network, Sampling, TryOn
from vidvton.values import Clip, Garment
from vidvton.workers import fork_workers, worker_context, worker_count

Task = tuple[int, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
"""(index, source frame [H, W, 3], labels, the network's frame [h, w, 3], region), the last two None where nobody is dressed."""


@dataclass(frozen=True)
class Film:
    """A clip to be read again and again: `clips(start)` gives consecutive pieces from a frame on; `size` (height, width) in
    pixels, `rate` frames/s, `name` what errors call it; `frames_at` gives single frames where that is cheaper."""

    clips: Callable[[int], Iterator[Clip]]
    size: tuple[int, int]
    rate: float
    name: object = "the clip"
    frames_at: FramesAt | None = None


def film_of(source: Path, limits: Limits) -> Film:
    """The film in file or folder `source`."""
    reader = open_clip(source, limits=limits)
    info = reader.info
    clips = lambda start: open_clip(source, limits=limits).clips(PIECE, start=start)  # noqa: E731
    return Film(clips, info.size, float(info.rate) or 25.0, source, reader.frames_at)


class DiffusionEngine:
    """See `render.engine.Engine`."""

    name = "diffusion"

    def __init__(
        self,
        film: Film,
        garments: tuple[Garment, ...],
        work: Path,
        settings: RenderSettings,
        checkpoint: Checkpoint,
        *,
        network: Network | None = None,
    ) -> None:
        """`network` is the model of `checkpoint` where it is in memory already; None loads it when it is needed."""
        self._film, self._garments, self._work = film, garments, work
        self._settings, self._checkpoint, self._network = settings, checkpoint, network
        self._sampling = sampling_of(settings, checkpoint)
        self._stage: Stage | None = None
        self._conditions: Conditions | None = None
        self._runs: dict[int, TryOn] = {}
        self._pool: Executor | None = None

    def prepare(self) -> Iterator[Progress | Note]:
        yield from self.prepare_conditions()
        yield from self._sample([shot for shot in self._worn.analysis.shots if shot.body is not None])
        if self.num_frames() >= LEAST_FOR_WORKERS and worker_count() > 1:
            self._pool = fork_workers(worker_count(), self)

    def prepare_conditions(self) -> Iterator[Progress | Note]:
        """All of `prepare` but the sampling."""
        film = self._film
        who = self._settings.who
        yield from analyse_clip(film.clips, film.size, self._work, who=who, name=film.name, frames_at=film.frames_at)
        analysis, outfits = load_analysis(self._work, film.size, rate=film.rate), Outfits()
        yield from fit_all(analysis, self._garments, outfits, untucked=self._settings.warp.untucked)
        categories = {g.category for g in self._garments}
        category = categories.pop() if len(categories) == 1 else "full"
        size = self._checkpoint.config.size
        self._stage = make_stage(Worn(analysis, outfits), film.size, size, category)
        yield from write_conditions(self._stage, self._work / "conditions", film.clips)
        garments = garment_conditions(self._garments, size)
        self._conditions = Conditions(self._stage, self._work / "conditions", garments, hint=self._settings.diffusion.hint)

    def close(self) -> None:
        """End the worker processes; without it they end with this one."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    @property
    def stage(self) -> Stage:
        """How the clip is shown to the network, after `prepare_conditions`."""
        return self._stage

    @property
    def conditions(self) -> Conditions:
        """What the network is told, after `prepare_conditions`."""
        return self._conditions

    def _sample(self, shots: list[Shot]) -> Iterator[Progress]:
        """Every shot's frames, by way of the work folder."""
        person = self._person()
        for shot in shots:
            span, folder = (shot.start, shot.stop), self._work / "sampled" / f"{shot.start:08d}"
            self._runs[shot.start] = TryOn(self._conditions, span, folder, self._sampling, person=person)
        total, done = sum(s.stop - s.start for s in shots), 0
        model = self._network
        for shot in shots:
            run = self._runs[shot.start]
            if not run.done:
                model = load_network(self._checkpoint, self._settings) if model is None else model
                for step in run.run(model):
                    yield Progress(step.stage, done + step.done, total)
            done += shot.stop - shot.start
        del model
        gc.collect()

    def _person(self) -> PersonFeatures | None:
        """The features tuned to this person, where some were given. MisuseError where they are of another clip."""
        path, frames = self._settings.diffusion.person_features, self.num_frames()
        if path is None:
            return None
        features = load_features(Path(path))
        if len(features.mix) != frames:
            raise MisuseError(f"{path} is of a clip of {len(features.mix)} frames and this one has {frames}; tune this clip")
        return features

    @property
    def _worn(self) -> Worn:
        return self._stage.worn

    def num_frames(self) -> int:
        return len(self._worn.analysis.track)

    def summary(self) -> EngineSummary:
        track = self._worn.analysis.track
        facts = tuple(GarmentFacts(g.category, asdict(g.layout)) for g in self._garments)
        checkpoint = self._checkpoint
        used = {
            "model": str(checkpoint.folder),
            "model_digest": checkpoint.digest,
            "size": list(checkpoint.config.size),
            "device": checkpoint.device,
            "precision": checkpoint.precision,
            **asdict(self._sampling),
        }
        return EngineSummary(1, tuple(track.quality.tolist()), tuple(track.present.tolist()), facts, warnings_of(track), used)

    def dress(self, start: int, stop: int) -> Iterator[Clip]:
        pieces = self._pieces(start, stop)
        for clip, frames in dressed_pieces(pieces, lambda task: self._dress_frame(*task), self._pool, _dress_in_worker):
            yield with_frames(clip, frames)

    def glimpse(self, t: int) -> Clip:
        (piece,) = self.dress(t, t + 1)
        return piece

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[Clip, list[Task]]]:
        """Pieces of the source from `start` to `stop`, with the task of each of their frames."""
        position = start
        for clip in self._film.clips(start):
            clip = clip.window(0, min(len(clip), stop - position))
            if not len(clip):
                return
            end = position + len(clip)
            labels, masks = self._worn.analysis.labels(position, end), self._conditions.masks(position, end)
            made = self._made(position, end)
            rows = zip(as_arrays(clip.frames), labels, made, masks)
            yield clip, [(position + k, *row) for k, row in enumerate(rows)]
            position = end

    def _made(self, start: int, stop: int) -> list[np.ndarray | None]:
        """The network's frames [h, w, 3] uint8, None where nobody is dressed."""
        out: list[np.ndarray | None] = [None] * (stop - start)
        for run in self._runs.values():
            a, b = max(start, run.start), min(stop, run.stop)
            if a < b:
                out[a - start : b - start] = list(np.ascontiguousarray(as_arrays(run.frames(a, b))))
        return out

    def _dress_frame(
        self, t: int, frame: np.ndarray, labels: np.ndarray, made: np.ndarray | None, region: np.ndarray | None
    ) -> np.ndarray:
        """The finished frame [H, W, 3] uint8; the source's own array where nobody is dressed."""
        if made is None or region is None or not self._worn.seen(t) or not region.any():
            return frame
        stage, analysis = self._stage, self._worn.analysis
        crop, wide = analysis.crops.boxes[t], stage.boxes[t]
        source = np.ascontiguousarray(frame[wide[1] : wide[3], wide[0] : wide[2]])
        left, top = crop[:2] - wide[:2]
        inside = slice(top, top + crop[3] - crop[1]), slice(left, left + crop[2] - crop[0])
        box = stage.letterbox(t)
        (up, aside), (height, width) = box.corner, box.inner
        made = made[up : up + height, aside : aside + width]
        fade, fade_to = self._worn.fade(t)
        if fade > 0:
            made = np.rint(made * (1 - fade) + fade * fade_to).astype(np.uint8)
        dressed = source.copy()
        dressed[inside] = self._worn.dressed(t, frame, labels)
        if self._settings.diffusion.detail:
            pose = analysis.crops.pose(analysis.track, t, t + 1)
            old = old_garment(torch.from_numpy(labels)[None], pose, stage.category)[0].numpy()
            free = np.ones(source.shape[:2], np.float32)
            free[inside] = free_of(old, free[inside].shape)
            picture = sharpen(made, dressed, source, free, fade=fade)
        else:
            picture = enlarge(made, source.shape[:2])
        size = source[inside].shape[:2]
        crop_out = blend(source[inside], dressed[inside], feathered(grown(region), size))
        crop_out = blend(crop_out, picture[inside], feathered(region, size))
        out = frame.copy()
        out[crop[1] : crop[3], crop[0] : crop[2]] = crop_out
        return out


def sampling_of(settings: RenderSettings, checkpoint: Checkpoint) -> Sampling:
    """How the settings ask a model to sample."""
    diffusion = settings.diffusion
    window = diffusion.window or checkpoint.config.frames
    overlap = window // 4 if diffusion.overlap is None else min(diffusion.overlap, window - 1)
    return Sampling(
        steps=diffusion.steps,
        sampler=diffusion.sampler,
        strength=diffusion.strength,
        weights=diffusion.guidance,
        order=diffusion.order,
        seed=settings.seed,
        window=window,
        overlap=overlap,
        augmentation=diffusion.augmentation,
    )


def load_network(checkpoint: Checkpoint, settings: RenderSettings) -> Network:
    """The model, on its device, ready to sample; errors as `models.bundle.load_bundle`."""
    from vidvton.models.bundle import load_bundle

    diffusion = settings.diffusion
    model = load_bundle(checkpoint.folder, device=checkpoint.device, dtype=checkpoint.dtype, attention=diffusion.attention)
    model.frames_at_a_time = diffusion.frames_at_a_time
    model.offload_encoders = diffusion.offload_encoders
    return model


def _dress_in_worker(task: Task) -> np.ndarray:
    torch.set_num_threads(1)
    return worker_context()._dress_frame(*task)
