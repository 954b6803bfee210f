"""What a render tells afterwards: how it was made, how long each stage took, how far each frame can be trusted."""

from __future__ import annotations

import json
import platform
import re
import resource
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from .. import __version__
from ..media.files import disk_errors
from .engine import EngineSummary
from .resume import write_text

DISTRIBUTIONS = {
    "torch": "torch",
    "mediapipe": "mediapipe",
    "av": "av",
    "opencv": "opencv-python",
    "numpy": "numpy",
    "pillow": "pillow",
}


@dataclass(frozen=True)
class SourceFacts:
    """The clip that came in. `rate` is the mean in frames a second; sizes are as displayed, in pixels."""

    path: str
    kind: str
    width: int
    height: int
    rate: float | None
    seconds: float | None
    codec: str | None
    sound: bool


@dataclass(frozen=True)
class Timing:
    """Seconds and frames of one stage of this run; stages overlap, so they need not add up to the whole."""

    seconds: float
    frames: int

    @property
    def rate(self) -> float | None:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds > 0 and self.frames else None


@dataclass(frozen=True)
class RenderReport:
    """All a render knows about itself.

    `quality` has a value 0-1 per frame; `frames_resumed` were found done; `digest` is the SHA-256 over all finished frames before
    encoding, segment by segment: equal digests, equal frames.
    """

    output: str
    engine: str
    versions: dict[str, str]
    source: SourceFacts
    garments: tuple[dict[str, object], ...]
    frames: int
    frames_resumed: int
    persons: int
    frames_present: int
    quality: tuple[float, ...]
    warnings: tuple[str, ...]
    stages: dict[str, Timing]
    seconds: float
    peak_memory_mib: float
    settings: dict[str, object]
    engine_settings: dict[str, object] = field(default_factory=dict)
    digest: str | None = None

    def as_json(self) -> dict[str, object]:
        """Plain JSON values."""
        value = asdict(self)
        value["stages"] = {
            name: {"seconds": round(t.seconds, 3), "frames": t.frames, "frames_per_second": round(t.rate, 2) if t.rate else None}
            for name, t in self.stages.items()
        }
        value["quality"] = [round(float(q), 3) for q in self.quality]
        value["quality_mean"] = round(sum(self.quality) / len(self.quality), 3) if self.quality else None
        value["seconds"] = round(self.seconds, 3)
        value["peak_memory_mib"] = round(self.peak_memory_mib, 1)
        return value


def write_report(path: Path, report: RenderReport) -> None:
    """The report as a JSON file, whole or not at all."""
    with disk_errors(path):
        write_text(path, report_text(report) + "\n")


def report_text(report: RenderReport) -> str:
    """The report as indented JSON, with each list of numbers on one line."""
    text = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([-+.\deE,\s]+?)\s+\]", lambda match: "[" + " ".join(match[1].split()) + "]", text)


def read_versions() -> dict[str, str]:
    """Versions of vidvton, Python and the packages whose numbers show in the pixels; "missing" where one is not installed."""
    versions = {"vidvton": __version__, "python": platform.python_version()}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            versions[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions


def peak_memory_mib() -> float:
    """The most memory this process has held, in MiB."""
    try:  # getrusage counts what a parent held before exec
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def garment_rows(paths: tuple[Path, ...], summary: EngineSummary) -> tuple[dict[str, object], ...]:
    """One row per garment: its picture's path, category and cut."""
    return tuple({"picture": str(p), "category": g.category, "layout": dict(g.layout)} for p, g in zip(paths, summary.garments))
