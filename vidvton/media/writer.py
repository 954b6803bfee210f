"""Clips out to files: a video with its source's sound and times, one picture, or a folder of pictures."""

from __future__ import annotations

from pathlib import Path

from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.files import check_writable, part_path, remove, settle
from vidvton.media.images import IMAGE_SUFFIXES, write_image
from vidvton.media.info import ClipInfo
from vidvton.media.segments import CONTAINERS, SegmentWriter, check_output, join_segments
from vidvton.values import Clip


class VideoWriter:
    """Writes clips to `path`, whole or absent; a context manager, and leaving it by an exception removes what was written.

    The suffix says what is written: .mp4 .mov .mkv .webm a video (size, pixel shape, times and colours of `info`, the sound of
    `info.path` copied packet by packet), .png .jpg ... one picture, no suffix a folder of PNG pictures.
    """

    def __init__(
        self, path: str | Path, info: ClipInfo, *, codec: str = "h264", crf: int | None = None, preset: str | None = None,
        overwrite: bool = False, sound: bool = True,
    ) -> None:  # fmt: skip
        """MisuseError, before any work, for whatever cannot be written: unknown suffix or codec, sound the container cannot
        hold, existing file, missing folder; VidvtonError for no permission."""
        self.path, self._overwrite = Path(path), overwrite
        suffix = self.path.suffix.lower()
        if suffix in IMAGE_SUFFIXES or suffix == "":
            if suffix and info.kind != "image":
                raise MisuseError(f"{self.path} is one picture but {info.path} is a clip; write to .mp4 or a folder")
            self._out = _PictureWriter(self.path, overwrite=overwrite)
        elif suffix in CONTAINERS:
            audio = info.path if sound and info.has_audio else None
            check_output(self.path, info, codec=codec, audio_from=audio, overwrite=overwrite)
            self._out = _FilmWriter(self.path, info, audio, codec=codec, crf=crf, preset=preset, overwrite=overwrite)
        else:
            known = ", ".join((*CONTAINERS, *IMAGE_SUFFIXES))
            raise MisuseError(f"{self.path} has a suffix that cannot be written; use one of {known}, or none for a folder")

    def write(self, clip: Clip) -> None:
        """Append the frames of `clip`, which come later than all before."""
        self._out.write(clip)

    def close(self) -> None:
        """Finish, and give the file its name."""
        self._out.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._out.abandon()


class _FilmWriter:
    """One segment, and its joining with the sound."""

    def __init__(self, path, info, audio, *, codec, crf, preset, overwrite) -> None:
        self._path, self._info, self._audio, self._overwrite = path, info, audio, overwrite
        part = part_path(path)
        self._middle = part.with_suffix(".nut")
        self._segment = SegmentWriter(self._middle, info, codec=codec, crf=crf, preset=preset, overwrite=True)

    def write(self, clip: Clip) -> None:
        self._segment.write(clip)

    def close(self) -> None:
        try:
            self._segment.close()
            join_segments([self._middle], self._path, self._info, audio_from=self._audio, overwrite=self._overwrite)
        finally:
            remove(self._middle)

    def abandon(self) -> None:
        self._segment.abandon()
        remove(self._middle)


class _PictureWriter:
    """One picture, or a folder of them."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        check_writable(path, overwrite=overwrite)
        self._path, self._overwrite, self._count = path, overwrite, 0
        self._part = part_path(path)
        self._single = path.suffix != ""
        if not self._single:
            self._part.mkdir()

    def write(self, clip: Clip) -> None:
        for frame in clip.frames:
            self._count += 1
            if self._single and self._count > 1:
                raise MisuseError(f"{self._path} is one picture but the clip has several frames; write to .mp4 or a folder")
            write_image(self._part if self._single else self._part / f"{self._count:06d}.png", frame)

    def close(self) -> None:
        try:
            if not self._count:
                raise VidvtonError(f"no frame was given to {self._path}; a clip needs at least one")
            check_writable(self._path, overwrite=self._overwrite)
            settle(self._part, self._path)
        finally:
            remove(self._part)

    def abandon(self) -> None:
        remove(self._part)
