"""What a benchmark found, as raw sums per clip, metric and place; failures as rows; how it all was made. JSON in and out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import MisuseError, VidvtonError
from ..media.files import written_beside
from ..metrics.series import NotMeasured, Series
from .align import Misfit

SCHEMA = 1
"""Number of the JSON's layout; a file of another number is refused."""
_PACKAGES = ("torch", "numpy", "opencv-python", "av", "mediapipe", "scikit-image", "torchmetrics")


@dataclass(frozen=True)
class CaseFacts:
    """One clip that was to be dressed. `region` and `truth` say in words where they came from (None: there is none); sizes are
    (height, width)."""

    name: str
    set: str
    source: str
    frames: int
    size: tuple[int, int]
    rate: float
    garment: str | None = None
    region: str | None = None
    truth: str | None = None
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodFacts:
    """One way of dressing clips, and in words what it is."""

    name: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class WorstFrame:
    """A frame where `metric` was worst: its index among the pairs, its time in the source in seconds, the value, a picture's
    path."""

    frame: int
    seconds: float
    value: float
    metric: str
    picture: str


@dataclass(frozen=True)
class Pictures:
    """Files drawn of one clip, relative to the result's folder; None where there is none. `zoom` says what slices and worst
    frames show."""

    slice: str | None = None
    video: str | None = None
    worst: tuple[WorstFrame, ...] = ()


@dataclass(frozen=True)
class ClipResult:
    """What was measured of one method's output for one case.

    `size` (height, width) is the one measured at, `frames` the number of pairs, `boundaries` the first frames of windows after
    the first. `series` holds the output's values and, `of` "source", those of the source measured in its place. `sentences` say
    what did not fit; `notes` how the region was found and the like.
    """

    case: str
    method: str
    frames: int
    size: tuple[int, int]
    series: tuple[Series, ...]
    missing: tuple[NotMeasured, ...] = ()
    misfit: Misfit | None = None
    notes: tuple[str, ...] = ()
    pictures: Pictures = Pictures()
    output: str | None = None
    digest: str | None = None
    command: str | None = None
    seconds: float = 0.0
    render_seconds: float | None = None

    def find(self, name: str, where: str, *, of: str = "output") -> Series | None:
        """The series of a metric, or None."""
        return next((s for s in self.series if (s.name, s.where, s.of) == (name, where, of)), None)


@dataclass(frozen=True)
class ControlResult:
    """The built-in controls of one case: all series, `of` the control's name or "source"."""

    case: str
    series: tuple[Series, ...]
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A row that could not be measured, and one sentence why. `stage` is film, render, measure or controls."""

    case: str
    method: str
    stage: str
    sentence: str


@dataclass(frozen=True)
class SetDistance:
    """A metric over all clips of a set: the distance of a method's clips from `against`, from so many rows of features."""

    name: str
    set: str
    method: str
    against: str
    value: float
    rows: int


@dataclass(frozen=True)
class BenchResult:
    """Everything a report is made from."""

    title: str
    cases: tuple[CaseFacts, ...]
    methods: tuple[MethodFacts, ...]
    clips: tuple[ClipResult, ...]
    controls: tuple[ControlResult, ...] = ()
    failures: tuple[Failure, ...] = ()
    distances: tuple[SetDistance, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)

    def case(self, name: str) -> CaseFacts:
        """The case of that name; KeyError for none."""
        return next((c for c in self.cases if c.name == name), None) or _missing(name)


def _missing(name: str) -> CaseFacts:
    raise KeyError(name)


def provenance(command: list[str], settings: dict[str, object] | None = None) -> dict[str, object]:
    """How a result was made: command line, versions, machine, settings."""
    versions = {"vidvton": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    machine = {"system": f"{platform.system()} {platform.machine()}", "processors": len(os.sched_getaffinity(0))}
    return {"command": command, "versions": versions, "machine": machine, "settings": settings or {}}


def hash_file(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(str(part.relative_to(path)).encode())
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def pack_series(series: Series) -> dict[str, object]:
    """Plain JSON values; numbers keep 9 digits, a run of frames is its ends, equal counts are one number."""
    frames, counts = series.frames.tolist(), _digits(series.counts)
    if frames and frames == list(range(frames[0], frames[-1] + 1)):
        frames = {"from": frames[0], "to": frames[-1] + 1}
    if len(set(counts)) == 1 and len(counts) > 1:
        counts = counts[0]
    row = {"name": series.name, "of": series.of, "where": series.where}
    return row | {"frames": frames, "sums": _digits(series.sums), "counts": counts}


def unpack_series(row: dict[str, object]) -> Series:
    """The series that `pack_series` packed."""
    frames, sums, counts = row["frames"], np.array(row["sums"], np.float64), row["counts"]
    frames = range(frames["from"], frames["to"]) if isinstance(frames, dict) else frames
    counts = np.full(len(sums), float(counts)) if isinstance(counts, int | float) else np.array(counts, np.float64)
    numbers = np.array(list(frames), np.int64)
    if not len(numbers) == len(sums) == len(counts):
        raise ValueError(f"series {row['name']} has {len(numbers)} frames, {len(sums)} sums and {len(counts)} counts")
    return Series(str(row["name"]), str(row["of"]), str(row["where"]), numbers, sums, counts)


def _digits(values: np.ndarray) -> list[float]:
    out = []
    for value in values.tolist():
        short = float(f"{value:.9g}")
        out.append(int(short) if short.is_integer() and abs(short) < 1e15 else short)
    return out


def pack_clip(clip: ClipResult) -> dict[str, object]:
    """Plain JSON values of one clip's result."""
    row = asdict(clip)
    row["series"] = [pack_series(s) for s in clip.series]
    return row


def unpack_clip(row: dict[str, object]) -> ClipResult:
    """The result that `pack_clip` packed."""
    misfit = row["misfit"]
    if misfit is not None:
        sizes = tuple(tuple(s) for s in misfit["sizes"])
        misfit = Misfit(**{**misfit, "frames": tuple(misfit["frames"]), "rates": tuple(misfit["rates"]), "sizes": sizes})
    drawn = row["pictures"]
    pictures = Pictures(drawn["slice"], drawn["video"], tuple(WorstFrame(**w) for w in drawn["worst"]))
    changed = {
        "size": tuple(row["size"]), "series": tuple(unpack_series(s) for s in row["series"]), "misfit": misfit,
        "missing": tuple(NotMeasured(**m) for m in row["missing"]), "notes": tuple(row["notes"]), "pictures": pictures,
    }  # fmt: skip
    return ClipResult(**{**row, **changed})


def as_json(result: BenchResult) -> dict[str, object]:
    """Plain JSON values of a whole result."""
    return {
        "schema": SCHEMA,
        "title": result.title,
        "provenance": result.provenance,
        "cases": [asdict(c) for c in result.cases],
        "methods": [asdict(m) for m in result.methods],
        "failures": [asdict(f) for f in result.failures],
        "distances": [asdict(d) | {"value": d.value if np.isfinite(d.value) else None} for d in result.distances],
        "controls": [asdict(c) | {"series": [pack_series(s) for s in c.series]} for c in result.controls],
        "clips": [pack_clip(c) for c in result.clips],
    }


def from_json(data: dict[str, object]) -> BenchResult:
    """The result that `as_json` gave. KeyError, TypeError or ValueError for anything else."""
    return BenchResult(
        title=data["title"],
        cases=tuple(CaseFacts(**{**c, "size": tuple(c["size"])}) for c in data["cases"]),
        methods=tuple(MethodFacts(**m) for m in data["methods"]),
        clips=tuple(unpack_clip(c) for c in data["clips"]),
        controls=tuple(
            ControlResult(c["case"], tuple(unpack_series(s) for s in c["series"]), c["pictures"]) for c in data["controls"]
        ),
        failures=tuple(Failure(**f) for f in data["failures"]),
        distances=tuple(
            SetDistance(**{**d, "value": float("nan") if d["value"] is None else d["value"]}) for d in data["distances"]
        ),
        provenance=data["provenance"],
    )


def write_result(path: Path, result: BenchResult, *, overwrite: bool = True) -> None:
    """The result as a JSON file, whole or not at all; one line a series."""
    with written_beside(path, overwrite=overwrite) as part:
        part.write_text(result_text(result), encoding="utf-8")


def result_text(result: BenchResult) -> str:
    """The JSON text, the same for the same result."""
    return json.dumps(as_json(result), ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace(
        '{"name":', '\n{"name":'
    )


def read_result(path: Path) -> BenchResult:
    """A result from its JSON file. MisuseError where it is no such file or of another schema number."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MisuseError(f"{path} cannot be read ({error.strerror}); give a JSON file that vidvton bench wrote") from error
    except ValueError as error:
        raise MisuseError(f"{path} is not JSON; give a file that vidvton bench wrote") from error
    if not isinstance(data, dict) or "schema" not in data:
        raise MisuseError(f"{path} is no benchmark result; give a JSON file that vidvton bench wrote")
    if data["schema"] != SCHEMA:
        raise MisuseError(f"{path} has schema {data['schema']}, this version reads {SCHEMA}; run the benchmark again")
    try:
        return from_json(data)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VidvtonError(f"{path} is damaged ({type(error).__name__}: {error}); run the benchmark again") from error
