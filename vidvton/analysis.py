"""A clip's analysis, made once and kept in a work folder.

Passes in fixed chunks, so that a killed run goes on where it stopped and finds the same numbers: `people.track` follows the
person; colours are learned from a few frames of every shot; a person-centred crop is labelled and the body measured in it.
Loading brings a shot's measurements together with past and future. Nothing here grows with the clip but a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch

from vidvton.crops import Crops, cut, plan_crops
from vidvton.frames import as_arrays, from_arrays
from vidvton.people.appearance import Appearance, learn_appearance
from vidvton.people.edges import voted, way_between
from vidvton.people.parse import parse_frames, person_window
from vidvton.people.silhouettes import Silhouettes
from vidvton.people.track import analyse, load_track
from vidvton.progress import Progress
from vidvton.values import Clip, PoseTrack
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.plate import Plate, learn_plate
from vidvton.warp.shade import Albedo, learn_albedo
from vidvton.warp.solve import Body, solve_body
from vidvton.whole import open_arrays, write_arrays
from vidvton.workers import fork_workers, in_order, worker_count

CHUNK, CONTEXT = 32, 2
SAMPLES = 14  # frames a shot from which colours are learned
FLOW_STEP = 8  # working pixels a cell of the stored flow
_VERSION = 14  # of all that is kept: bodies, track, colours, labels

ClipSource = Callable[[int], Iterator[Clip]]
"""Starts a clip at a frame index and gives consecutive pieces of it."""
FramesAt = Callable[[Sequence[int]], Iterator[np.ndarray]]
"""Gives the frames [H, W, 3] uint8 of some indices, ascending."""


@dataclass(frozen=True)
class Shot:
    """Frames `start` to `stop` of one shot and what holds for all of it; `body` and the rest are None where nobody is to be
    dressed. `fade` [T] 0-1 is how much of the flat grey level `fade_to` (0-255) lies over each frame where the shot fades in or
    out."""

    start: int
    stop: int
    appearance: Appearance | None = None
    albedo: Albedo | None = None
    plate: Plate | None = None
    body: Body | None = None
    fade: np.ndarray | None = None
    fade_to: float = 255.0


@dataclass(frozen=True)
class Analysis:
    """All that is known of a clip before it is dressed, read from its work folder."""

    work: Path
    track: PoseTrack
    crops: Crops
    shots: tuple[Shot, ...]

    def labels(self, start: int, stop: int) -> list[np.ndarray]:
        """CIHP labels [h, w] uint8 of frames `start` to `stop`, at working size."""
        return [_png(blob) for _, blob, _ in self._rows(start, stop)]

    def motion(self, start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frame by frame: optical flow [h, w, 2] in working pixels from frame t-1 to t (zero where there is none), on cells of
        FLOW_STEP, and the labels [H, W]."""
        for _, blob, flow in self._rows(start, stop):
            yield flow.astype(np.float32), _png(blob)

    def _rows(self, start: int, stop: int) -> Iterator[tuple[int, bytes, np.ndarray]]:
        loaded: dict[int, dict[str, np.ndarray]] = {}
        for shot in self.shots:
            for low, high in spans(shot.start, shot.stop):
                if high <= start or low >= stop:
                    continue
                with open_arrays(_chunk_path(self.work, low)) as stored:
                    loaded = {k: stored[k] for k in ("ends", "data", "flow")}
                data = loaded["data"].tobytes()
                for t in range(max(low, start), min(high, stop)):
                    k = t - low
                    first = int(loaded["ends"][k - 1]) if k else 0
                    yield t, data[first : int(loaded["ends"][k])], loaded["flow"][k]


def spans(start: int, stop: int) -> list[tuple[int, int]]:
    """The fixed chunks of a shot: multiples of CHUNK from its start."""
    return [(a, min(a + CHUNK, stop)) for a in range(start, stop, CHUNK)]


def _chunk_path(work: Path, start: int) -> Path:
    return work / f"parse_{start:08d}.npz"


def _look_path(work: Path, start: int) -> Path:
    return work / f"look_{start:08d}.npz"


def _png(blob: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_UNCHANGED)


def analyse_clip(
    source: ClipSource,
    size: tuple[int, int],
    work: Path,
    *,
    who: str = "largest",
    name: object = "the clip",
    frames_at: FramesAt | None = None,
) -> Iterator[Progress]:
    """Analyses a clip into `work`; what is there already is not done again. `size` is the source's (height, width), `name` what
    errors call it; `frames_at` gives single frames of `source` where that is cheaper than to read through it.

    Raises what `people.track.analyse` raises.
    """
    work.mkdir(parents=True, exist_ok=True)
    _forget_other_versions(work)
    cv2.setNumThreads(1)  # two threads of ours do the work: a third that waits for pieces of a picture only burns time
    yield from analyse(lambda: source(0), work, who=who, name=name)
    track = load_track(work)
    crops = plan_crops(track, size)
    shots = _shots(track)
    yield from _learn(frames_at or _read_through(source), work, track, crops, shots)
    yield from _parse(source, work, track, crops, shots)


def _forget_other_versions(work: Path) -> None:
    """Deletes what another version of this module left in `work`."""
    mark = work / "analysis.version"
    if mark.exists() and mark.read_text() == str(_VERSION):
        return
    for path in (*work.glob("seen_*.npz"), *work.glob("look_*.npz"), *work.glob("parse_*.npz")):
        path.unlink()
    mark.write_text(str(_VERSION))


def _shots(track: PoseTrack) -> list[Shot]:
    numbers = track.shots.numpy()
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    return [Shot(a, b) for a, b in zip(starts, starts[1:])]


def _sampled(track: PoseTrack, shot: Shot) -> list[int]:
    """Frames from which to learn a shot's colours: present, of good quality, spread evenly."""
    rows = np.arange(shot.start, shot.stop)[track.present.numpy()[shot.start : shot.stop]]
    if not len(rows):
        return []
    quality = track.quality.numpy()[rows]
    rows = rows[quality >= 0.6 * np.median(quality)]
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int))].tolist()


def _learn(frames_at: FramesAt, work: Path, track: PoseTrack, crops: Crops, shots: list[Shot]) -> Iterator[Progress]:
    """Appearance and albedo of every shot, from a few of its frames, in one pass over the clip."""
    missing = [s for s in shots if not _look_path(work, s.start).exists()]
    wanted = [_sampled(track, s) for s in missing]
    total, done = sum(map(len, wanted)), 0
    silhouettes = Silhouettes(work)
    chosen = [t for rows in wanted for t in rows]
    pictures = (cut(frame, crops.boxes[t], crops.sizes[t]) for t, frame in zip(chosen, frames_at(chosen)))
    for shot, rows in zip(missing, wanted):
        arrays: dict[str, np.ndarray] = {"seen": np.array(bool(rows))}
        if rows:
            frames = np.stack([next(pictures) for _ in rows])
            outlines = torch.from_numpy(
                np.stack([silhouettes.cut(t, tuple(crops.boxes[t]), tuple(crops.sizes[t])) for t in rows])
            )
            pose = _pick(crops.pose(track, shot.start, shot.stop), [t - shot.start for t in rows])
            appearance = learn_appearance(from_arrays(frames), pose, outlines)
            labels = parse_frames(from_arrays(frames), pose, outlines, appearance).numpy()
            arrays |= {f"appearance_{k}": v for k, v in appearance.to_arrays().items()}
            arrays |= {f"albedo_{k}": v for k, v in learn_albedo(frames, labels).to_arrays().items()}
            plate = learn_plate(frames, labels, crops.boxes[rows])
            arrays |= {f"plate_{k}": v for k, v in plate.to_arrays().items()} if plate is not None else {}
        write_arrays(_look_path(work, shot.start), arrays)
        done += len(rows)
        yield Progress("colours", done, total)


def _pick(pose: PoseTrack, rows: list[int]) -> PoseTrack:
    return PoseTrack(**{f.name: getattr(pose, f.name)[rows] for f in fields(PoseTrack)})


def _read_through(source: ClipSource) -> FramesAt:
    """Single frames of a clip that can only be read as it runs."""

    def frames_at(rows: Sequence[int]) -> Iterator[np.ndarray]:
        if rows:
            t, left = rows[0], set(rows)
            for frame in (f for clip in source(t) for f in as_arrays(clip.frames)):
                if t in left:
                    yield frame
                left.discard(t)
                t += 1
                if not left:
                    return

    return frames_at


def _load_look(work: Path, start: int) -> tuple[Appearance, Albedo, Plate | None] | None:
    with open_arrays(_look_path(work, start)) as stored:
        if not bool(stored["seen"]):
            return None
        appearance = Appearance.from_arrays(
            {k.removeprefix("appearance_"): stored[k] for k in stored.files if k.startswith("appearance_")}
        )
        albedo = Albedo.from_arrays({k.removeprefix("albedo_"): stored[k] for k in stored.files if k.startswith("albedo_")})
        plate = {k.removeprefix("plate_"): stored[k] for k in stored.files if k.startswith("plate_")}
        return appearance, albedo, Plate.from_arrays(plate) if plate else None


def _parse(source: ClipSource, work: Path, track: PoseTrack, crops: Crops, shots: list[Shot]) -> Iterator[Progress]:
    """Labels, body measurements and flow, chunk by chunk, two chunks at a time."""
    todo = [(s, a, b) for s in shots for a, b in spans(s.start, s.stop) if not _chunk_path(work, a).exists()]
    done = len(track) - sum(b - a for _, a, b in todo)
    if not todo:
        return
    yield Progress("parse", done, len(track))
    looks = {s.start: _load_look(work, s.start) for s, _, _ in todo}
    cv2.setNumThreads(1)  # every core has a process of its own; and a fork must not inherit a pool of threads that are not there
    count = worker_count()
    with fork_workers(count) as pool:
        tasks = _parse_tasks(source, work, track, crops, todo, looks)
        for frames in in_order(pool, _parse_chunk, tasks, ahead=count + 1):
            done += frames
            yield Progress("parse", done, len(track))


@dataclass(frozen=True)
class _ParseTask:
    """One chunk's work: frames `low` to `high` of a shot. `pictures` and `outlines` begin at frame `first` and show the part
    `window` (top, bottom, left, right) of crops of (height, width) `size`; `pose` is in the crops' pixels, `tones`
    [high - low, 2] are mean and contrast of their grey."""

    work: Path
    low: int
    high: int
    first: int
    size: tuple[int, int]
    window: tuple[int, int, int, int]
    pictures: np.ndarray
    outlines: np.ndarray
    tones: np.ndarray
    pose: dict[str, np.ndarray]
    look: Appearance | None


def _parse_tasks(source: ClipSource, work: Path, track: PoseTrack, crops: Crops, todo, looks) -> Iterator[_ParseTask]:
    silhouettes = Silhouettes(work)
    for shot, low, high, pictures in _chunks(source, crops, todo):
        first = max(shot.start, low - CONTEXT)
        last = first + len(pictures)
        outlines = np.stack([silhouettes.cut(t, tuple(crops.boxes[t]), tuple(crops.sizes[t])) for t in range(first, last)])
        pose = crops.pose(track, first, last)
        window = top, bottom, left, right = person_window(pose, outlines)
        arrays = {f.name: getattr(pose, f.name).numpy() for f in fields(PoseTrack)}
        look = looks[shot.start]
        parts = np.stack([p[top:bottom, left:right] for p in pictures])
        tones = np.stack([_tone(p) for p in pictures[low - first : high - first]])
        yield _ParseTask(
            work, low, high, first, outlines.shape[1:], window, parts, outlines[:, top:bottom, left:right].copy(), tones, arrays,
            look and look[0],
        )  # fmt: skip


def _tone(picture: np.ndarray) -> np.ndarray:
    """[2] mean and standard deviation of a picture's grey."""
    return np.array([float(v[0, 0]) for v in cv2.meanStdDev(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))])


def _chunks(
    source: ClipSource, crops: Crops, todo: list[tuple[Shot, int, int]]
) -> Iterator[tuple[Shot, int, int, list[np.ndarray]]]:
    """The cropped frames of every chunk with its context on both sides, reading the clip once."""
    held: dict[int, np.ndarray] = {}
    position = max(todo[0][0].start, todo[0][1] - CONTEXT)
    frames = (f for clip in source(position) for f in as_arrays(clip.frames))
    for shot, low, high in todo:
        first, last = max(shot.start, low - CONTEXT), min(shot.stop, high + CONTEXT)
        while position < last:
            frame = next(frames)
            if position >= first:
                held[position] = cut(frame, crops.boxes[position], crops.sizes[position]).copy()
            position += 1
        yield shot, low, high, [held[t] for t in range(first, last)]
        held = {t: f for t, f in held.items() if t >= high - CONTEXT}


def _parse_chunk(task: _ParseTask) -> int:
    """Labels, measures and flow of one chunk, stored; how many frames that were."""
    pictures, (top, bottom, left, right) = task.pictures, task.window
    pose = PoseTrack(**{name: torch.from_numpy(value) for name, value in task.pose.items()})
    if task.look is None:
        labels = np.zeros(pictures.shape[:3], np.uint8)
    else:
        still = torch.ones(len(pose))
        here = pose.moved(still, torch.tensor([-left, -top]) * still[:, None])
        labels = parse_frames(from_arrays(pictures), here, torch.from_numpy(task.outlines), task.look).numpy()
    seen = pose.present.tolist()
    ways = [way_between(pictures[k - 1], pictures[k]) if k and seen[k] and seen[k - 1] else None for k in range(len(pictures))]
    settled = voted(labels, ways, pictures)
    labels = np.zeros((len(pictures), *task.size), np.uint8)
    labels[:, top:bottom, left:right] = settled
    rows, blobs, flows = [], [], []
    cells = tuple(-(-n // FLOW_STEP) for n in task.size)
    for t in range(task.low, task.high):
        k = t - task.first
        rows.append(measure_frame(pose.keypoints[k].numpy(), labels[k], bool(pose.present[k])))
        blobs.append(cv2.imencode(".png", labels[k], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
        flows.append(np.zeros((*cells, 2), np.float16))
        if ways[k] is not None:
            part = _in_cells(ways[k], labels[k, top:bottom, left:right].shape)
            flows[-1][top // FLOW_STEP :, left // FLOW_STEP :][: part.shape[0], : part.shape[1]] = part
    measure = BodyMeasure.stack(rows)
    arrays = {f"measure_{f.name}": getattr(measure, f.name) for f in fields(BodyMeasure)}
    ends = np.cumsum([len(b) for b in blobs])
    data = np.frombuffer(b"".join(blobs), np.uint8)
    write_arrays(
        _chunk_path(task.work, task.low),
        {"ends": ends, "data": data, "flow": np.stack(flows), "tones": task.tones, **arrays},
    )
    return task.high - task.low


def _in_cells(way: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[h, w, 2] float16: how far the content of each cell of FLOW_STEP pixels has come, in pixels of (height, width) `size`."""
    cells = tuple(-(-n // FLOW_STEP) for n in size)
    scale = np.float32([size[1] / way.shape[1], size[0] / way.shape[0]])
    return (-cv2.resize(way, cells[::-1], interpolation=cv2.INTER_AREA) * scale).astype(np.float16)


def load_analysis(work: Path, size: tuple[int, int], *, rate: float = 25.0) -> Analysis:
    """What `analyse_clip` left in `work`, with every shot's body solved over time."""
    track = load_track(work)
    crops = plan_crops(track, size)
    shots = []
    for shot in _shots(track):
        look = _load_look(work, shot.start)
        if look is None:
            shots.append(shot)
            continue
        pose = crops.pose(track, shot.start, shot.stop)
        measure = BodyMeasure.stack([_load_measure(work, low) for low, _ in spans(shot.start, shot.stop)])
        body = solve_body(measure, pose.keypoints.numpy(), pose.yaw.numpy(), rate=rate)
        shots.append(Shot(shot.start, shot.stop, *look, body, *_fade(work, shot)))
    return Analysis(work, track, crops, tuple(shots))


def _fade(work: Path, shot: Shot) -> tuple[np.ndarray | None, float]:
    """How far each frame of a shot is faded, and to what grey: contrast shrinks and brightness goes to that grey in step, at an
    end."""
    tones = []
    for low, _ in spans(shot.start, shot.stop):
        with open_arrays(_chunk_path(work, low)) as stored:
            tones.append(stored["tones"])
    mean, contrast = np.concatenate(tones).T
    if len(mean) < 8:
        return None, 255.0
    usual_mean, usual = float(np.median(mean)), float(np.median(contrast))
    share = np.clip(1 - contrast / max(usual, 1e-6), 0, 1)
    out = np.zeros(len(mean))
    goal = 255.0
    for ordered in (np.arange(len(mean)), np.arange(len(mean))[::-1]):
        run = ordered[: int(np.argmin(np.append(share[ordered] > 0.04, False)))]
        if len(run) < 2 or len(run) > 0.5 * len(mean) or share[run[0]] < 0.3:
            continue
        level = usual_mean + (mean[run[0]] - usual_mean) / share[run[0]]
        goal = 255.0 if level > 128 else 0.0
        fits = np.abs(usual_mean + share[run] * (goal - usual_mean) - mean[run]) < 20
        if fits.mean() > 0.8:
            out[run] = share[run]
    return (out if out.any() else None), goal


def _load_measure(work: Path, low: int) -> BodyMeasure:
    with open_arrays(_chunk_path(work, low)) as stored:
        return BodyMeasure(**{f.name: stored[f"measure_{f.name}"] for f in fields(BodyMeasure)})
