"""Prepared sets, opened for training: any window of any sample at any size, as a pure function of a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import get_worker_info

from ..collate import GREY, FrameConditions, View, conditions, garment_conditions, stack, whole_view
from ..errors import MisuseError, VidvtonError
from ..media.random_access import frame_numbers
from ..values import Conditioning
from .augmentation import Augmentation, augment, drawn_view
from .scene import Scene, decode_scene
from .shards import Stored, read_index, read_member

_GREY = round(GREY * 255)


@dataclass(frozen=True)
class Sample:
    """`target` [T, 3, H, W] float32 0-1 is what the network must produce, given `conditioning` (B = 1; all groups given, no noise
    on it). `name` says where it comes from: the stored sample and its first frame."""

    target: Tensor
    conditioning: Conditioning
    name: str


@dataclass(frozen=True)
class Batch:
    """Samples of one shape together: `target` [B, T, 3, H, W] float32 0-1, their `conditioning` and `names`."""

    target: Tensor
    conditioning: Conditioning
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Prepared samples, wherever their shards lie: `entries` are (folder, stored sample). Holds no open file and no pixel, so it
    goes to worker processes as it is."""

    entries: tuple[tuple[Path, Stored], ...]

    def __len__(self) -> int:
        return len(self.entries)

    def length(self, item: int) -> int:
        """How many frames sample `item` has."""
        return int(self.entries[item][1].facts["frames"])

    def name(self, item: int) -> str:
        """What sample `item` is called."""
        return str(self.entries[item][1].facts["name"])

    def category(self, item: int) -> str:
        """The category of the first garment of sample `item`."""
        return str(self.entries[item][1].facts["garments"][0]["category"])

    def at_least(self, frames: int) -> Dataset:
        """Only the samples with that many frames or more. VidvtonError where there is none."""
        kept = tuple(e for e in self.entries if int(e[1].facts["frames"]) >= frames)
        if not kept:
            longest = max((self.length(i) for i in range(len(self))), default=0)
            raise VidvtonError(
                f"no sample has {frames} frames (the longest of {len(self)} has {longest}); prepare longer ones or train on fewer"
            )
        return Dataset(kept)

    def parted(self, share: float) -> tuple[Dataset, Dataset]:
        """(the rest, about `share` of it): samples of one group (one recording) stay together, and which go where depends on
        their names alone."""
        held = tuple(e for e in self.entries if _number(str(e[1].facts["group"])) < share)
        rest = tuple(e for e in self.entries if _number(str(e[1].facts["group"])) >= share)
        return Dataset(rest), Dataset(held)

    def scene(self, item: int, numbers: Sequence[int]) -> Scene:
        """Frames `numbers` of sample `item` as stored. VidvtonError where they cannot be read."""
        folder, stored = self.entries[item]
        # decord may abort its process on a damaged file: only where a loader's worker stands in for it
        backend = "decord" if stored.facts.get("exact") and get_worker_info() is not None else "pyav"
        read = lambda word: read_member(folder, stored, word)  # noqa: E731
        return decode_scene(stored.facts, read, numbers, backend=backend)

    def sample(
        self,
        item: int,
        *,
        frames: int,
        size: tuple[int, int],
        seed: int,
        stride: int = 1,
        augmentation: Augmentation | None = None,
        garment_size: tuple[int, int] | None = None,
        slots: int | None = None,
        hint: bool = True,
    ) -> Sample:
        """A window of `frames` frames of sample `item` at (height, width) `size`, begun at a random frame, its frames up to
        `stride` apart, changed as `augmentation` allows: all of it a function of the arguments alone.

        `garment_size` None is `size`; `slots` as in `collate.garment_conditions`; without `hint` the warped garment is left out.
        VidvtonError where the sample is too short or cannot be read.
        """
        length = self.length(item)
        if frames > length:
            raise VidvtonError(f"sample {self.name(item)} has {length} frames and {frames} were asked for; see Dataset.at_least")
        draw = torch.Generator().manual_seed(seed)
        widest = min(stride, (length - 1) // (frames - 1)) if frames > 1 else 1
        step = int(torch.randint(1, widest + 1, (1,), generator=draw))
        start = int(torch.randint(0, length - (frames - 1) * step, (1,), generator=draw))
        inner, outer = torch.randint(0, 2**62, (2,), generator=draw).tolist()
        scene = self.scene(item, frame_numbers(length, frames, stride=step, start=start))
        view = whole_view(frames, scene.size, size)
        if augmentation is not None:
            scene = augment(scene, augmentation, inner)
            view = drawn_view(frames, scene.size, size, augmentation.crops, outer)
        return _sized(scene, view, start, garment_size=garment_size or size, slots=slots, hint=hint)

    def window(
        self,
        item: int,
        *,
        frames: int,
        size: tuple[int, int],
        start: int = 0,
        garment_size: tuple[int, int] | None = None,
        slots: int | None = None,
        hint: bool = True,
    ) -> Sample:
        """Frames `start` to `start + frames` of sample `item` as they are, for validation; the rest as `sample`."""
        scene = self.scene(item, frame_numbers(self.length(item), frames, start=start))
        view = whole_view(frames, scene.size, size)
        return _sized(scene, view, start, garment_size=garment_size or size, slots=slots, hint=hint)


def open_dataset(folder: Path | str | Sequence[Path | str]) -> Dataset:
    """The samples of one prepared folder, or of several as one. MisuseError for a folder that is missing, not finished or
    empty."""
    folders = [folder] if isinstance(folder, (str, Path)) else list(folder)
    if not folders:
        raise MisuseError("no folder was given; name one that vidvton prepare made")
    entries = []
    for path in map(Path, folders):
        samples = read_index(path)
        if not samples:
            raise MisuseError(f"{path} is a set without samples; prepare it again from a folder that has some")
        entries += [(path, sample) for sample in samples]
    return Dataset(tuple(entries))


def gather(samples: Sequence[Sample]) -> Batch:
    """Samples of equal frames and sizes as one batch."""
    target = torch.stack([s.target for s in samples])
    return Batch(target, stack([s.conditioning for s in samples]), tuple(s.name for s in samples))


def _sized(scene: Scene, view: View, start: int, *, garment_size: tuple[int, int], slots: int | None, hint: bool) -> Sample:
    """The scene in `view`, which holds still. The same as `collate.frame_conditions` to one level in 255, at a fifth of its time:
    pictures are brought to size as bytes, four channels at once."""
    shown = torch.where(scene.region, torch.tensor(_GREY, dtype=torch.uint8), scene.source)
    seen = _bytes(torch.cat([shown, scene.region.to(torch.uint8) * 255], 1), view, (_GREY, _GREY, _GREY, 0))
    share = torch.where(scene.region, scene.alpha, 0) if hint else torch.zeros_like(scene.alpha)
    colour = (scene.warped.float() * (share.float() / 255)).round().to(torch.uint8)
    warped = _bytes(torch.cat([colour, share], 1), view, (0, 0, 0, 0))
    pose = torch.cat([view.points(scene.keypoints[..., :2]), scene.keypoints[..., 2:]], -1)
    pose = torch.where(scene.keypoints[..., 2:] > 0, pose, torch.zeros(()))
    per_frame = FrameConditions(seen[:, :3], seen[:, 3:], pose, warped)
    conditioning = conditions(per_frame, garment_conditions(scene.garments, garment_size, slots=slots))
    return Sample(_bytes(scene.truth, view, (_GREY, _GREY, _GREY)), conditioning, f"{scene.name}:{start}")


def _bytes(frames: Tensor, view: View, fill: tuple[int, ...]) -> Tensor:
    """[T, C, h, w] float32 0-1 of `frames` [T, C, H, W] uint8 in a view of one box, `fill` around."""
    left, top, right, bottom = view.boxes[0].tolist()
    box = view.letterbox(0)
    part = frames[..., top:bottom, left:right].contiguous(memory_format=torch.channels_last)
    if part.shape[2:] != box.inner:
        part = F.interpolate(part, size=box.inner, mode="bilinear", align_corners=False, antialias=True)
    if box.inner != view.size:
        (y, x), (height, width) = box.corner, box.inner
        whole = torch.tensor(fill, dtype=torch.uint8)[:, None, None].repeat(len(frames), 1, *view.size)
        whole[..., y : y + height, x : x + width] = part
        part = whole
    return part.float() / 255


def _number(text: str) -> float:
    """0-1 from a name, evenly, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
