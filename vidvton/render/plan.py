"""What a render is asked to do, and everything that can be checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .. import __version__
from ..config import nearest
from ..errors import MisuseError, VidvtonError
from ..media.files import check_writable
from ..media.images import IMAGE_SUFFIXES, read_image
from ..media.info import ClipInfo, Limits
from ..media.reader import open_clip
from ..media.segments import check_output
from ..values import CATEGORIES, Garment
from ..worn import prepare_any_garment
from .checkpoint import Checkpoint, choose_engine
from .report import SourceFacts
from .resume import Grid, identify, peek_work, was_published
from .settings import RenderSettings

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class RenderRequest:
    """One render as the user asked for it. `categories` has one word (or None: find out) per garment."""

    source: Path
    garments: tuple[Path, ...]
    output: Path
    settings: RenderSettings = RenderSettings()
    categories: tuple[str | None, ...] = ()
    work: Path | None = None
    keep_work: bool = False
    overwrite: bool = False
    report: Path | None = None
    side_by_side: bool = False
    preview: int | None = None


@dataclass(frozen=True)
class RenderPlan:
    """A request found possible: the garments understood, the clip's header read, every path decided; nothing written yet."""

    request: RenderRequest
    info: ClipInfo
    garments: tuple[Garment, ...]
    output: Path
    work: Path
    engine: str
    identity: dict[str, object]
    overwrite: bool
    notes: tuple[str, ...] = ()
    segments_done: int | None = None
    checkpoint: Checkpoint | None = None
    source: SourceFacts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", source_facts(self.info))

    @property
    def settings(self) -> RenderSettings:
        return self.request.settings

    def rows(self) -> list[tuple[str, str]]:
        """(what, how) for people to read, in order."""
        source, video = self.source, self.settings.video
        length = f"{source.seconds:.1f} s, " if source.seconds else ""
        rate = f" at {source.rate:.3g} frames/s" if source.kind == "video" and source.rate else ""
        sound = ", sound kept" if source.sound else ""
        rows = [("clip", f"{source.path}: {source.width}x{source.height}, {length}about {self.info.frames} frames{rate}{sound}")]
        for path, garment in zip(self.request.garments, self.garments):
            cut = [str(value) for value in (garment.layout.sleeve, garment.layout.leg) if value]
            rows.append(("garment", f"{path}: {garment.category}" + (f" ({', '.join(cut)})" if cut else "")))
        rows.append(("engine", self.engine))
        if self.checkpoint is not None:
            height, width = self.checkpoint.config.size
            how = f"{height}x{width} on {self.checkpoint.device} in {self.checkpoint.precision}"
            rows.append(("model", f"{self.checkpoint.folder}: {how}, {self.settings.diffusion.steps} steps"))
        rows.append(("person", self.settings.who))
        if self.request.preview is not None:
            rows.append(("output", f"{self.output}: a sheet of {self.request.preview} frames"))
        elif source.kind == "video":
            facts = [video.codec] + (
                ["lossless"] if video.codec == "ffv1" else [f"crf {'as usual' if video.crf is None else video.crf}"]
            )
            facts += ["side by side"] if self.request.side_by_side else []
            rows.append(("output", f"{self.output}: {', '.join(facts)}"))
            rows.append(("segments", f"about {len(Grid(self.info.frames, video.segment))} of {video.segment} frames"))
        else:
            rows.append(("output", f"{self.output}: {'one picture' if source.kind == 'image' else 'a folder of pictures'}"))
        rows.append(("work", f"{self.work}" + (f" ({self.segments_done} finished segments in it)" if self.segments_done else "")))
        return rows + [("note", note) for note in self.notes]

    def as_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return {
            "source": {**vars(self.source), "frames_estimated": self.info.frames},
            "garments": [
                {"picture": str(path), "category": garment.category, "layout": dict(vars(garment.layout))}
                for path, garment in zip(self.request.garments, self.garments)
            ],
            "engine": self.engine,
            "model": None if self.checkpoint is None else str(self.checkpoint.folder),
            "output": str(self.output),
            "work": str(self.work),
            "segments_done": self.segments_done,
            "side_by_side": self.request.side_by_side,
            "preview": self.request.preview,
            "settings": self.settings.model_dump(mode="json"),
            "notes": list(self.notes),
        }


def make_plan(request: RenderRequest) -> RenderPlan:
    """The plan for `request`, after every check that needs no analysis.

    MisuseError or VidvtonError where a file is missing, unreadable, too large, of the wrong kind, or must not be written.
    """
    categories = check_categories(request.categories, len(request.garments))
    settings = request.settings
    limits = limits_of(settings)
    if not request.source.exists():
        raise MisuseError(f"there is no file {request.source}; give a clip, a photo or a folder of pictures")
    for path in request.garments:
        if not path.exists():
            raise MisuseError(f"there is no garment picture {path}; give a picture of a garment")
    output = _output_of(request)
    work = request.work if request.work is not None else output.with_name(f".{output.name}.work")
    engine, checkpoint = choose_engine(settings)
    model = None if checkpoint is None else checkpoint.identity
    identity = {
        "version": __version__,
        "source": identify(request.source),
        "garments": [{**identify(path), "category": category} for path, category in zip(request.garments, categories)],
        "settings": settings.model_dump(mode="json"),
        "model": model,
        "layout": "side by side" if request.side_by_side else "result",
    }
    overwrite = request.overwrite or was_published(work, identity, output)
    _check_outputs(request, output, overwrite=overwrite)
    reader = open_clip(request.source, limits=limits)
    info, notes = reader.info, tuple(reader.notes)
    if request.preview is None:
        check_suffix(output, info)
        if info.kind == "video":
            check_output(output, info, codec=settings.video.codec, audio_from=request.source, overwrite=overwrite)
    garments = tuple(read_garment(path, category, settings) for path, category in zip(request.garments, categories))
    done = peek_work(work, identity)
    return RenderPlan(request, info, garments, output, work, engine, identity, overwrite, notes, done, checkpoint)


def read_garment(path: Path, category: str | None, settings: RenderSettings) -> Garment:
    """The garment in picture `path`; errors name the file."""
    picture = read_image(path, max_pixels=settings.limits.max_pixels)
    try:
        return prepare_any_garment(picture.image, picture.alpha, category=category)
    except VidvtonError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def check_categories(words: tuple[str | None, ...], garments: int) -> tuple[str | None, ...]:
    """One category (or None) per garment: none given, one for all, or one each. MisuseError otherwise, and for unknown words."""
    if garments == 0:
        raise MisuseError("no garment was given; add --garment PICTURE")
    for word in words:
        if word is not None and word not in CATEGORIES:
            raise MisuseError(f"category {word!r} is unknown; {nearest(word, CATEGORIES)}")
    if not words:
        return (None,) * garments
    if len(words) == 1:
        return words * garments
    if len(words) != garments:
        raise MisuseError(f"{len(words)} categories were given for {garments} garments; give one for all or one for each")
    return words


def check_suffix(output: Path, info: ClipInfo) -> None:
    """MisuseError where the output's name does not fit what comes out of such a source."""
    suffix = output.suffix.lower()
    has = f"{output} has suffix {suffix!r}" if suffix else f"{output} has no suffix"
    if info.kind == "image" and suffix not in IMAGE_SUFFIXES:
        raise MisuseError(f"{has}; a photo gives a photo: use one of {', '.join(IMAGE_SUFFIXES)}")
    if info.kind == "video" and suffix not in VIDEO_SUFFIXES:
        raise MisuseError(f"{has}; a clip gives a clip: use one of {', '.join(VIDEO_SUFFIXES)}")
    if info.kind == "folder" and suffix in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES):
        raise MisuseError(f"{has}; a folder of pictures gives a folder: use a name without a suffix")


def check_picture_output(output: Path, picture: Path) -> None:
    """MisuseError where `output` is no picture's name or the very picture that is read."""
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        raise MisuseError(f"{output} has suffix {output.suffix or 'none'!r}, expected a picture: {', '.join(IMAGE_SUFFIXES)}")
    if _same(output, picture):
        raise MisuseError(f"{output} is an input and would be overwritten; choose another name")


def limits_of(settings: RenderSettings) -> Limits:
    """The media room's limits from the settings."""
    return Limits(max_pixels=settings.limits.max_pixels, max_seconds=settings.limits.max_seconds)


def source_facts(info: ClipInfo) -> SourceFacts:
    """What the report says of the source."""
    moving = info.kind == "video"
    return SourceFacts(
        path=str(info.path),
        kind=info.kind,
        width=info.width,
        height=info.height,
        rate=float(info.rate) if moving and info.rate else None,
        seconds=float(info.duration) if moving and info.duration is not None else None,
        codec=info.codec,
        sound=info.has_audio,
    )


def _output_of(request: RenderRequest) -> Path:
    """Where the result goes; for a preview a PNG."""
    output = request.output
    if not output.name:
        raise MisuseError(f"{output} is a folder, expected a file name")
    if request.preview is None or output.suffix.lower() == ".png":
        return output
    return output.with_name(output.name + ".preview.png")


def _check_outputs(request: RenderRequest, output: Path, *, overwrite: bool) -> None:
    """MisuseError or VidvtonError where what is to be written must not or cannot be."""
    if request.preview is not None and request.preview < 1:
        raise MisuseError(f"a preview of {request.preview} frames is nothing; give --preview a number from 1")
    inputs = (request.source, *request.garments)
    written = [output] + ([request.report] if request.report is not None else [])
    for path in written:
        for given in inputs:
            if _same(path, given):
                raise MisuseError(f"{path} is an input and would be overwritten; choose another name")
            if given.is_dir() and path.resolve().parent == given.resolve():
                raise MisuseError(f"{path} lies in the folder that is read; choose a place outside it")
        if path.is_dir() and not (path is output and request.source.is_dir()):
            raise MisuseError(f"{path} is a folder, expected a file name")
        check_writable(path, overwrite=overwrite)
    if len(written) == 2 and written[0].resolve() == written[1].resolve():
        raise MisuseError(f"{output} was given both as output and as report; choose two names")


def _same(path: Path, given: Path) -> bool:
    return path.resolve() == given.resolve() or (path.exists() and path.samefile(given))
