"""One pair made ready for training: person, region, warp and garment found once (or taken from what the data set knows), cut to
the stored size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..analysis import FLOW_STEP, SAMPLES, Crops, analyse_clip, cut, load_analysis, plan_crops
from ..collate import GREY, View, crop_view
from ..crops import placed
from ..errors import VidvtonError
from ..frames import as_arrays, resize
from ..garment import prepare_garment
from ..media.images import read_image
from ..media.reader import open_clip
from ..people.agnostic import make_agnostic
from ..prepare import fit_shot, flatten
from ..values import Clip, Garment, PersonTrack, PoseTrack
from ..warp.body import BodyMeasure, measure_frame
from ..warp.outfit import Outfit, fit_outfit
from ..warp.shade import learn_albedo
from ..warp.solve import solve_body
from .annotations import Known, cell_flow, read_known, read_studio
from .pairs import Pair
from .scene import Scene

LARGEST_SIDE = 1280
"""Longer side of the frames worked on; larger sources are brought down to it as they are read."""
READ_AT_ONCE = 16
FADED = 0.1  # share of a flat grey over a frame from which it is left out: the warp would stand in it unfaded


@dataclass(frozen=True)
class Shape:
    """How samples are stored: at (height, width) `size`, at most `longest` frames each, clips of fewer than `shortest` left
    out."""

    size: tuple[int, int]
    longest: int = 128
    shortest: int = 8


@dataclass(frozen=True)
class _Dressed:
    """A piece of a clip, understood: `track` and `region` [T, 1, H, W] in source pixels, `usable` [T] bool the frames that show
    the person unfaded, and `warped` the frames as the warp dresses them, colour times alpha and alpha in the `view`, [T, 4, h, w]
    float32 0-1."""

    track: PoseTrack
    usable: Tensor
    view: View
    region: Tensor
    warped: Tensor


def prepare_pair(pair: Pair, shape: Shape) -> list[Scene]:
    """The scenes of one pair: one for every run of at most `shape.longest` frames of one shot that show the person.

    MisuseError or VidvtonError, in one sentence, where it cannot be read or shows nobody.
    """
    garment = _read_garment(pair)
    stored = _stored_garment(garment, shape.size)
    still = open_clip(pair.person).info.kind == "image"
    known = None if pair.known is None else read_studio(pair.known)
    pieces = _pieces(pair, shape.longest)
    if known is not None or (pair.poses and pair.parses):
        dressed = _dress_known(pair, pieces, known, (garment,), shape.size)
    else:
        dressed = _dress_by_estimators(pair, pieces, (garment,), shape.size)
    scenes = []
    for piece, found in dressed:
        for first, last in _runs(found.usable, found.track.shots, 1 if still else shape.shortest):
            name = pair.name if still else f"{pair.name}@{piece.start + first:05d}"
            scenes.append(_scene(name, pair.group, piece, found, (stored,), first, last))
    if not scenes:
        raise VidvtonError(f"{pair.person} shows nobody for {shape.shortest} frames on end")
    return scenes


@dataclass(frozen=True)
class _Piece:
    """Frames from `start` on of a pair's clip, the `truth` of them (the same clip where it shows the garment), and the `region`
    [T, 1, H, W] bool that the data set says, None where it says none."""

    start: int
    clip: Clip
    truth: Clip
    region: Tensor | None


def _pieces(pair: Pair, longest: int) -> Iterator[_Piece]:
    """The person's clip in pieces of at most `longest` frames. VidvtonError where clip, truth and region do not match."""
    sources = [_shrunk(open_clip(pair.person).clips(longest))]
    sources.append(_shrunk(open_clip(pair.truth).clips(longest)) if pair.truth else None)
    sources.append(_shrunk(open_clip(pair.region).clips(longest)) if pair.region else None)
    start = 0
    for clip in sources[0]:
        truth, mask = (None if s is None else next(s, None) for s in sources[1:])
        for other, path in ((truth, pair.truth), (mask, pair.region)):
            if path is not None and (other is None or len(other) < len(clip)):
                have = start + (0 if other is None else len(other))
                raise VidvtonError(f"{path} has {have} frames and {pair.person} has more; frames must match one by one")
        if truth is not None and truth.size != clip.size:
            raise VidvtonError(f"{pair.truth} is {truth.size[1]}x{truth.size[0]}, {pair.person} {clip.size[1]}x{clip.size[0]}")
        region = None if mask is None else resize(mask.frames[: len(clip)], clip.size).float().mean(1, keepdim=True) > 127
        yield _Piece(start, clip, clip if truth is None else truth.window(0, len(clip)), region)
        start += len(clip)


def _working_size(size: tuple[int, int]) -> tuple[int, int]:
    ratio = min(1.0, LARGEST_SIDE / max(size))
    return round(size[0] * ratio), round(size[1] * ratio)


def _shrunk(clips: Iterator[Clip]) -> Iterator[Clip]:
    for clip in clips:
        size = _working_size(clip.size)
        yield clip if size == clip.size else Clip(resize(clip.frames, size), clip.pts, clip.time_base)


def _read_garment(pair: Pair) -> Garment:
    picture = read_image(pair.garment)
    alpha = picture.alpha
    if pair.garment_mask is not None:
        mask = resize(read_image(pair.garment_mask).image, picture.size).float().mean(0) / 255
        alpha = mask if alpha is None else alpha * mask
    return prepare_garment(picture.image, alpha, category=pair.category)


def _stored_garment(garment: Garment, size: tuple[int, int]) -> Garment:
    """The garment picture no larger than a frame: nothing is gained from detail a frame cannot show."""
    height, width = garment.alpha.shape
    ratio = min(1.0, max(size) / max(height, width))
    to = max(1, round(height * ratio)), max(1, round(width * ratio))
    if ratio == 1:
        return garment
    rows, columns = (((torch.arange(n) + 0.5) * m / n).long() for n, m in zip(to, (height, width)))
    scale = garment.landmarks.new_tensor([to[1] / width, to[0] / height, 1])
    return replace(
        garment,
        image=resize(garment.image, to),
        alpha=resize(garment.alpha[None], to)[0],
        parts=garment.parts[rows][:, columns].contiguous(),
        landmarks=garment.landmarks * scale,
    )


def _known_of(pair: Pair, piece: _Piece, known: Known | None) -> Known:
    """What the data set knows of a piece. VidvtonError where it does not fit the clip."""
    start, stop, size = piece.start, piece.start + len(piece.clip), piece.clip.size
    if known is None:
        forms = {"pose_format": pair.pose_format, "parse_format": pair.parse_format}
        part = read_known(pair.poses[start:stop], pair.parses[start:stop], size, **forms)
    else:
        part = known.window(start, stop)
    if len(part.track) < len(piece.clip) or tuple(part.labels.shape[1:]) != size:
        raise VidvtonError(
            f"what is known of {pair.person} is {len(part.track)} frames of {tuple(part.labels.shape[1:])} from frame {start}, "
            f"and the clip has {len(piece.clip)} of {size}"
        )
    return part


def _dress_known(
    pair: Pair, pieces: Iterator[_Piece], known: Known | None, garments: tuple[Garment, ...], size: tuple[int, int]
) -> Iterator[tuple[_Piece, _Dressed]]:
    """Pieces whose joints and labels are known."""
    for piece in pieces:
        part, clip = _known_of(pair, piece, known), piece.clip
        if not bool(part.track.present.any()):
            continue
        crops = plan_crops(part.track, clip.size)
        view = crop_view(torch.from_numpy(crops.boxes), clip.size, size)
        region = next((r for r in (piece.region, part.region) if r is not None), None)
        if region is None:
            region = make_agnostic(clip, PersonTrack(part.track, part.labels), _category(garments)).region
        labels = [_cut_labels(part.labels[t].numpy(), crops.boxes[t], crops.sizes[t]) for t in range(len(clip))]
        outfit = _fit_known(clip, part, crops, labels, garments)
        warped = torch.zeros(len(clip), 4, *size)
        for t, frame in enumerate(as_arrays(clip.frames)):
            if bool(part.track.present[t]):
                warped[t] = _draw(outfit, t, frame, labels[t], crops.boxes[t], view.window(t, t + 1))
        yield piece, _Dressed(part.track, part.track.present, view, region, warped)


def _category(garments: tuple[Garment, ...]) -> str:
    kinds = {g.category for g in garments}
    return kinds.pop() if len(kinds) == 1 else "full"


def _dress_by_estimators(
    pair: Pair, pieces: Iterator[_Piece], garments: tuple[Garment, ...], size: tuple[int, int]
) -> Iterator[tuple[_Piece, _Dressed]]:
    """Pieces of a clip of which nothing is known; it is analysed as a whole, for a person's back is told from their front by what
    they did before."""

    def source(start: int) -> Iterator[Clip]:
        return _shrunk(open_clip(pair.person).clips(READ_AT_ONCE, start=start))

    info = open_clip(pair.person).info
    with tempfile.TemporaryDirectory(prefix="vidvton-prepare-") as folder:
        work = Path(folder)
        for _ in analyse_clip(source, _working_size(info.size), work):
            pass
        analysis = load_analysis(work, _working_size(info.size), rate=float(info.rate) or 25.0)
        outfits = {shot.start: fit_shot(analysis, shot, garments) for shot in analysis.shots if shot.body is not None}
        boxes = analysis.crops.boxes
        for piece in pieces:
            clip, start = piece.clip, piece.start
            stop = start + len(clip)
            track = analysis.track.window(start, stop)
            view = crop_view(torch.from_numpy(boxes[start:stop]), clip.size, size)
            usable, frames = track.present.clone(), as_arrays(clip.frames)
            warped = torch.zeros(len(clip), 4, *size)
            whole = np.zeros((len(clip), *clip.size), np.uint8)
            for k, labels in enumerate(analysis.labels(start, stop)):
                t = start + k
                shot = next(s for s in analysis.shots if s.start <= t < s.stop)
                whole[k] = placed(labels, boxes[t], clip.size)
                faded = shot.fade is not None and shot.fade[t - shot.start] > FADED
                usable[k] &= shot.start in outfits and not faded
                if bool(usable[k]):
                    warped[k] = _draw(outfits[shot.start], t - shot.start, frames[k], labels, boxes[t], view.window(k, k + 1))
            region = piece.region
            if region is None:
                region = make_agnostic(clip, PersonTrack(track, torch.from_numpy(whole)), _category(garments)).region
            yield piece, _Dressed(track, usable, view, region, warped)


def _fit_known(clip: Clip, known: Known, crops: Crops, labels: list[np.ndarray], garments: tuple[Garment, ...]) -> Outfit:
    """The garments fitted to a clip of one shot whose joints and labels are known."""
    pose = crops.pose(known.track, 0, len(clip))
    points, yaw = pose.keypoints.numpy(), pose.yaw.numpy()
    present = known.track.present.numpy()
    measure = BodyMeasure.stack([measure_frame(points[t], labels[t], bool(present[t])) for t in range(len(clip))])
    body = solve_body(measure, points, yaw)
    rows = np.flatnonzero(present)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).round().astype(int))]
    frames = as_arrays(clip.frames)
    pictures = np.stack([cut(frames[t], crops.boxes[t], crops.sizes[t]) for t in rows])
    albedo = learn_albedo(pictures, np.stack([labels[t] for t in rows]))

    def motion() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for t in range(len(clip)):
            yield cell_flow(known.motion[t], crops.boxes[t], crops.sizes[t], FLOW_STEP), labels[t]

    zoom = float((crops.boxes[0, 3] - crops.boxes[0, 1]) / crops.sizes[0, 0])
    return fit_outfit(
        garments, body, albedo, body.keypoints, pose.depth.numpy(), yaw, zoom=zoom,
        motion=None if known.motion is None else motion, flow_step=FLOW_STEP,
    )  # fmt: skip


def _cut_labels(labels: np.ndarray, box: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Labels inside `box` at (height, width) `size`, nearest."""
    rows, columns = (
        (low + (np.arange(n) + 0.5) * (high - low) / n).astype(int)
        for n, low, high in ((size[0], box[1], box[3]), (size[1], box[0], box[2]))
    )
    return np.ascontiguousarray(labels[rows][:, columns])


def _draw(outfit: Outfit, row: int, frame: np.ndarray, labels: np.ndarray, box: np.ndarray, view: View) -> Tensor:
    """[4, h, w] float32: one frame (`row` of its shot) whose crop is `box` as the warp dresses it, colour times alpha and alpha,
    in the frame's `view`; alpha is 1 in the crop."""
    size = int(box[3] - box[1]), int(box[2] - box[0])
    small = np.ascontiguousarray(cut(frame, box, labels.shape))
    colour, cover = flatten(outfit.draw(row, small, labels, size), size)
    whole = torch.zeros(1, 4, *frame.shape[:2])
    before = torch.from_numpy(np.ascontiguousarray(frame[box[1] : box[3], box[0] : box[2]])).permute(2, 0, 1) / 255
    whole[0, :3, box[1] : box[3], box[0] : box[2]] = torch.lerp(before, colour, cover)
    whole[0, 3, box[1] : box[3], box[0] : box[2]] = 1
    return view.apply(whole)[0]


def _runs(usable: Tensor, shots: Tensor, shortest: int) -> list[tuple[int, int]]:
    """Runs of usable frames of one shot."""
    runs: list[tuple[int, int]] = []
    for t, (here, shot) in enumerate(zip(usable.tolist(), shots.tolist())):
        if here and runs and runs[-1][1] == t and shot == int(shots[t - 1]):
            runs[-1] = (runs[-1][0], t + 1)
        elif here:
            runs.append((t, t + 1))
    return [run for run in runs if run[1] - run[0] >= shortest]


def _scene(
    name: str, group: str, piece: _Piece, dressed: _Dressed, garments: tuple[Garment, ...], first: int, last: int
) -> Scene:
    view = dressed.view.window(first, last)
    height, width = view.size

    def stored(frames: Tensor) -> Tensor:
        return (view.apply(frames[first:last], fill=GREY) * 255).round().to(torch.uint8)

    after = stored(piece.truth.frames)
    points = dressed.track.keypoints[first:last].clone()
    points[..., :2] = view.points(points[..., :2]) * points.new_tensor([width, height])
    points = torch.where(points[..., 2:] > 0, points, torch.zeros(()))
    warped = dressed.warped[first:last]
    alpha = warped[:, 3:]
    # Where nothing is known the garment's own colour stands: compression has no edge to blur there.
    fabric = garments[0].fabric[None, :, None, None]
    colour = torch.where(alpha > 1 / 64, warped[:, :3] / alpha.clamp_min(1e-6), fabric)
    return Scene(
        name=name,
        group=group,
        truth=after,
        source=after if piece.truth is piece.clip else stored(piece.clip.frames),
        region=view.apply(dressed.region[first:last]) > 0.5,
        keypoints=points,
        warped=(colour.clamp(0, 1) * 255).round().to(torch.uint8),
        alpha=(alpha * 255).round().to(torch.uint8),
        garments=garments,
    )
