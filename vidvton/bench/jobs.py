"""One job of a suite, in a process of its own: make a case ready, dress and measure it by one method, or measure its controls.

A job leaves one JSON file, written last: what it found, or one sentence why it failed.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .. import __version__
from ..errors import VidvtonError
from ..whole import write_arrays
from .cases import Case, ReadyCase, find_output, load_exact, make_ready, read_ready
from .clip import Request, Settings, measure_pair
from .paste import paste_clip
from .results import ClipResult, ControlResult, Failure, pack_clip, pack_series, unpack_clip, unpack_series
from .suite import MeasureSettings, Method

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """What to do: `stage` film (make the case ready), measure (dress by `method`, then measure) or controls; `home` is the
    suite's folder."""

    stage: str
    case: Case
    home: Path
    measure: MeasureSettings
    method: Method | None = None

    @property
    def name(self) -> str:
        """What the job's files are called."""
        return slug(f"{self.case.name}__{self.method.name if self.method else self.stage}")

    @property
    def note(self) -> Path:
        """The file it leaves."""
        return self.home / "jobs" / f"{self.name}.json"

    def identity(self) -> str:
        """Changes whenever the result could."""
        method = self.method.model_dump(mode="json") if self.method else None
        value = {"version": __version__, "stage": self.stage, "case": self.case.identity(), "method": method}
        if self.method is not None and (model := _model_of(self.method)) is not None:
            value["model"] = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(model.rglob("*")) if p.is_file()]
        if self.stage != "film":
            value["measure"] = self.measure.model_dump(mode="json")
        return json.dumps(value, sort_keys=True)


def _model_of(method: Method) -> Path | None:
    """The folder of the model a diffusion method names."""
    mine = method.settings.get("diffusion")
    return Path(mine["model"]) if isinstance(mine, dict) and isinstance(mine.get("model"), str) else None


def slug(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-")


def read_note(job: Job) -> dict | None:
    """What the job left when it ran to its end with these settings; None where it did not."""
    try:
        note = json.loads(job.note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if note.get("identity") == job.identity() else None


def is_done(job: Job) -> bool:
    """Whether the job need not run again: it ran to its end, and well."""
    note = read_note(job)
    if note is None or note.get("failure") is not None:
        return False
    return job.stage != "film" or read_ready(job.case, case_folder(job)) is not None


def case_folder(job: Job) -> Path:
    """Where a case lies ready."""
    return job.home / "cases" / slug(job.case.name)


def run_job(job: Job) -> None:
    """Runs one job to its end, whatever happens in it; its note says what came of it. For a process of its own."""
    _settle_in()
    stage = job.stage
    try:
        found = _film(job) if stage == "film" else _measure(job) if stage == "measure" else _controls(job)
    except VidvtonError as error:
        found = {"failure": failure_row(job, getattr(error, "stage", stage), str(error))}
    except MemoryError:
        found = {"failure": failure_row(job, stage, "there was not enough memory; give smaller clips or fewer workers")}
    except Exception as error:  # one bad clip must not end the suite
        if os.environ.get("VIDVTON_DEBUG") == "1":
            raise
        found = {"failure": failure_row(job, stage, f"something unexpected went wrong ({type(error).__name__}: {error})")}
    write_note(job, found)


def failure_row(job: Job, stage: str, sentence: str) -> dict[str, str]:
    """A failure as plain JSON values."""
    row = Failure(job.case.name, job.method.name if job.method else "all methods", stage, " ".join(sentence.split()))
    return asdict(row)


def write_note(job: Job, found: dict[str, object]) -> None:
    """Leaves the job's file, whole or not at all."""
    job.note.parent.mkdir(parents=True, exist_ok=True)
    part = job.note.with_suffix(f".part-{os.getpid()}")
    part.write_text(json.dumps({"identity": job.identity(), **found}), encoding="utf-8")
    os.replace(part, job.note)


def _settle_in() -> None:
    """A group of its own, so that it ends with all it started; and it ends with whoever started it."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A render that a job starts keeps to one core too: threads that wait for each other's cores cost it most of its time.
    os.environ["VIDVTON_WORKERS"] = os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _film(job: Job) -> dict[str, object]:
    ready = make_ready(job.case, case_folder(job))
    return {"facts": asdict(ready.facts)}


def _ready(job: Job) -> ReadyCase:
    ready = read_ready(job.case, case_folder(job))
    if ready is None:
        raise VidvtonError("the case could not be made ready")
    return ready


def _settings(job: Job) -> Settings:
    measure, method = job.measure, job.method
    weights = {key: Path(path) for key, path in measure.weights.items()}
    names = {"metrics": measure.metrics} if measure.metrics else {}
    mine = {"window": method.window, "overlap": method.overlap, "controls": False, "source_pictures": False} if method else {}
    own = {} if method else {"controls": measure.controls, "pictures": False, "source_pictures": measure.pictures}
    drawn = {"pictures": measure.pictures} if method else {}
    return Settings(weights=weights, max_side=measure.max_side, workers=1, **names, **mine, **own, **drawn)


def _request(ready: ReadyCase, output: Path) -> Request:
    return Request(
        output=output, source=ready.source, garment=ready.garment, category=ready.category, known=ready.region,
        truth=ready.truth, exact=load_exact(ready),
    )  # fmt: skip


def _measure(job: Job) -> dict[str, object]:
    ready = _ready(job)
    try:
        output, command, seconds = dress(ready, job.method, job.home)
    except VidvtonError as error:
        error.stage = "render"
        raise
    with tempfile.TemporaryDirectory(prefix="vidvton-bench-") as work:
        found = measure_pair(
            _request(ready, output), _settings(job), Path(work), job.home / "pictures",
            case=slug(job.case.name), method=slug(job.method.name),
        )  # fmt: skip
    clip = replace(found.clip, case=job.case.name, method=job.method.name, command=command, render_seconds=seconds)
    if found.features:
        write_features(job, {f"{f.name}|{f.of}": f.values for f in found.features})
    return {"clip": pack_clip(clip)}


def write_features(job: Job, arrays: dict[str, np.ndarray]) -> None:
    """What networks saw of one output, for metrics over sets."""
    path = job.home / "features" / f"{job.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays)


def dress(ready: ReadyCase, method: Method, home: Path) -> tuple[Path, str | None, float | None]:
    """The method's output for a case, the command that made it, and the seconds it took (None where it lay there)."""
    if method.kind == "folder":
        return find_output(ready, Path(method.folder), method.pattern), None, None
    if method.kind == "truth":
        return ready.truth, None, None
    if ready.garment is None:
        raise VidvtonError(f"the case {ready.facts.name} has no garment picture to dress its person in")
    folder = home / "outputs" / slug(method.name)
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / (f"{slug(ready.facts.name)}.mkv" if ready.source.is_file() else slug(ready.facts.name))
    began = time.monotonic()
    if method.kind == "paste":
        paste_clip(ready.source, ready.garment, out, category=ready.category)
        return out, "vidvton.bench.paste: the garment picture stretched into each frame's own box", time.monotonic() - began
    return out, _render(ready, method, out), time.monotonic() - began


def _render(ready: ReadyCase, method: Method, out: Path) -> str:
    """Runs `vidvton render` as a program: what breaks there breaks nothing here, and a stopped one goes on by itself."""
    config = out.with_name(f"{out.name}.yaml")
    config.write_text(write_render_config(method), encoding="utf-8")
    words = ["render", str(ready.source), "--garment", str(ready.garment), "--config", str(config), "-o", str(out), "--overwrite"]
    words += ["--category", ready.category] if ready.category else []
    ran = subprocess.run(
        [sys.executable, "-m", "vidvton", *words, "--quiet"], capture_output=True, text=True, preexec_fn=_die_with_parent
    )  # fmt: skip
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.startswith("vidvton: ")]
        ended = f"vidvton render ended with code {ran.returncode}"
        raise VidvtonError(said[-1].removeprefix("vidvton: ") if said else ended)
    return f"vidvton {shlex.join(words)}"


def write_render_config(method: Method) -> str:
    """The method's settings for `vidvton render`, as JSON, which is YAML too; lossless unless they say otherwise."""
    return json.dumps({"video": {"codec": "ffv1"}, **method.settings}, indent=1)


def _controls(job: Job) -> dict[str, object]:
    ready = _ready(job)
    with tempfile.TemporaryDirectory(prefix="vidvton-bench-") as work:
        found = measure_pair(
            _request(ready, ready.source), _settings(job), Path(work), job.home / "pictures",
            case=slug(job.case.name), method="-source",
        )  # fmt: skip
    drawn = found.controls
    return {"controls": {"series": [pack_series(s) for s in drawn.series], "pictures": drawn.pictures}}


def clip_of(note: dict) -> ClipResult:
    """The result in a measuring job's note."""
    return unpack_clip(note["clip"])


def controls_of(job: Job, note: dict) -> ControlResult:
    """The controls in a controls job's note."""
    row = note["controls"]
    return ControlResult(job.case.name, tuple(unpack_series(s) for s in row["series"]), row["pictures"])
