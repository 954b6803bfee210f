"""What a render writes: segments of a video that are joined, or pictures that are moved to their place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import VidvtonError
from ..media.files import remove, written_beside
from ..media.images import IMAGE_SUFFIXES, natural_key, write_image
from ..media.info import ClipInfo
from ..media.segments import SegmentWriter, join_segments
from ..values import Clip
from .plan import RenderPlan
from .settings import VideoSettings


class Writer(Protocol):
    """What an open segment takes."""

    def write(self, clip: Clip) -> None: ...


class Output(Protocol):
    """One kind of result. Segments are whole or absent, and so is what `join` makes of them."""

    def segment(self, folder: Path, index: int) -> Path: ...

    def open_segment(self, path: Path) -> AbstractContextManager[Writer]: ...

    def join(self, segments: list[Path], joined: Path) -> None: ...


def output_for(plan: RenderPlan, info: ClipInfo) -> Output:
    """The output that fits the plan's source; `info` describes the finished frames."""
    if info.kind == "video":
        return VideoOutput(info, plan.settings.video, plan.request.source)
    source = plan.request.source
    names = (plan.output.name,) if info.kind == "image" else tuple(picture_names(source))
    return PictureOutput(names, plan.settings.video.segment, info.kind == "folder")


def picture_names(folder: Path) -> Iterator[str]:
    """The names of the pictures in `folder`, in the order in which they are read."""
    paths = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() and not p.name.startswith("."))
    yield from (path.name for path in sorted(paths, key=natural_key))


@dataclass(frozen=True)
class VideoOutput:
    """A video with the sound of `source`."""

    info: ClipInfo
    settings: VideoSettings
    source: Path

    def segment(self, folder: Path, index: int) -> Path:
        return folder / f"{index:06}.nut"

    def open_segment(self, path: Path) -> SegmentWriter:
        video = self.settings
        return SegmentWriter(path, self.info, codec=video.codec, crf=video.crf, preset=video.preset, overwrite=True)

    def join(self, segments: list[Path], joined: Path) -> None:
        join_segments(segments, joined, self.info, audio_from=self.source, overwrite=True)


@dataclass(frozen=True)
class PictureOutput:
    """Pictures named `names`, one per frame: a folder of them, or a single one. A segment is a folder of `size` of them."""

    names: tuple[str, ...]
    size: int
    many: bool

    def segment(self, folder: Path, index: int) -> Path:
        return folder / f"{index:06}.pictures"

    @contextmanager
    def open_segment(self, path: Path) -> Iterator[Writer]:
        remove(path)
        with written_beside(path, overwrite=True) as part:
            part.mkdir()
            first = int(path.stem) * self.size
            yield _Pictures(part, iter(self.names[first : first + self.size]))

    def join(self, segments: list[Path], joined: Path) -> None:
        pictures = [segment / name for segment, names in zip(segments, self._shares()) for name in names]
        with written_beside(joined, overwrite=True) as part:
            if not self.many:
                shutil.copyfile(pictures[0], part)
                return
            part.mkdir()
            for picture in pictures:
                _place(picture, part / picture.name)

    def _shares(self) -> list[tuple[str, ...]]:
        return [self.names[i : i + self.size] for i in range(0, len(self.names), self.size)]


def _place(picture: Path, target: Path) -> None:
    """The same picture at `target`, without a copy where the disk allows; the segment stays whole, should this be cut short."""
    try:
        target.hardlink_to(picture)
    except OSError:
        shutil.copyfile(picture, target)


@dataclass
class _Pictures:
    folder: Path
    names: Iterator[str]

    def write(self, clip: Clip) -> None:
        for frame in clip.frames:
            name = next(self.names, None)
            if name is None:
                raise VidvtonError("the engine gave more frames than the folder has pictures; the folder may have changed")
            write_image(self.folder / name, frame)
