"""Running a suite: every job in a process of its own, as many at once as asked; what is done is not done again."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from ..errors import MisuseError
from ..metrics.distribution import distance
from ..metrics.series import Features
from ..metrics.table import METRICS
from ..progress import Note
from ..whole import open_arrays
from ..workers import worker_count
from .cases import Case, list_cases
from .clip import check_metrics, check_weights
from .jobs import Job, clip_of, controls_of, failure_row, is_done, read_note, run_job, write_note
from .report import write_html, write_markdown
from .results import BenchResult, CaseFacts, Failure, MethodFacts, SetDistance, provenance, write_result
from .suite import Method, Suite

_KINDS = {
    "paste": "garment picture pasted onto every frame by itself",
    "folder": "finished clips",
    "render": "vidvton render",
    "truth": "the truth itself",
}


@dataclass(frozen=True)
class Plan:
    """What a suite will do: its cases, and the jobs that are not done yet of all there are."""

    cases: tuple[Case, ...]
    jobs: tuple[Job, ...]
    left: tuple[Job, ...]


def plan_suite(suite: Suite, home: Path) -> Plan:
    """The jobs of a suite in `home`, which need not be there; nothing is written. MisuseError for a suite that cannot run."""
    suite, measure = suite.with_model(), suite.measure
    measure = measure.model_copy(update={"metrics": check_metrics(measure.metrics) if measure.metrics else ()})
    check_weights({key: Path(path) for key, path in measure.weights.items()})
    for method in suite.methods:
        if method.kind == "folder" and not Path(method.folder).is_dir():
            raise MisuseError(f"method {method.name!r}: there is no folder {method.folder}; give one with finished clips")
    cases = list_cases(suite)
    films = [Job("film", case, home, measure) for case in cases]
    rest = [Job("measure", case, home, measure, method) for case in cases for method in suite.methods if _suits(method, case)]
    if measure.controls or measure.pictures:
        rest += [Job("controls", case, home, measure) for case in cases]
    jobs = (*films, *rest)
    return Plan(cases, jobs, tuple(job for job in jobs if not is_done(job)))


def run_suite(suite: Suite, home: Path, *, command: list[str], workers: int = 0) -> Generator[Note, None, BenchResult]:
    """Runs what is not done yet in the folder `home`, telling progress; writes result.json, report.html and report.md there and
    returns the result. Stopped or killed and called again, it goes on; failed rows are tried again."""
    suite = suite.with_model()
    plan = plan_suite(suite, home)
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        done, total = len(plan.jobs) - len(plan.left), len(plan.jobs)
        yield Note(f"{done} of {total} jobs are done already in {home}" if done else f"{total} jobs, all in {home}")
        count = workers or suite.workers or worker_count()
        for stage in ("film", None):
            jobs = [j for j in plan.left if (j.stage == "film") == (stage == "film")]
            jobs = [j for j in jobs if stage == "film" or _is_ready(j)]
            for job in run_jobs(jobs, count):
                done += 1
                yield Note(f"{done} of {total}: {_told(job)}")
        result = gather(suite, plan, home, command)
        write_result(home / "result.json", result)
        write_html(home / "report.html", result, home / "pictures")
        write_markdown(home / "report.md", result)
    return result


def _told(job: Job) -> str:
    """What came of a job, in a few words."""
    note = read_note(job) or {}
    if row := note.get("failure"):
        return f"failed: {row['case']}, {row['method']} ({row['stage']}): {row['sentence']}"
    done = {"film": "made ready", "controls": "controls measured"}.get(job.stage)
    return f"{job.case.name}: {done or f'{job.method.name} measured'}"


def _suits(method: Method, case: Case) -> bool:
    return method.kind != "truth" or case.studio is not None or case.truth is not None


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Only one run works in a folder at a time; the kernel lets go of the lock however a run ends."""
    with open(home / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MisuseError(f"another run is at work in {home}; wait for it, or give another folder") from None
        yield


def _is_ready(job: Job) -> bool:
    return is_done(replace(job, stage="film", method=None))


def run_jobs(jobs: list[Job], count: int, *, work: Callable[[Job], None] = run_job) -> Iterator[Job]:
    """Runs jobs in processes of their own, `count` at once, and gives each back when it has left its note; one whose process died
    gets a note that says so. Closed early, it ends what is running."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidvton.bench.jobs"])
    waiting, running = deque(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < count:
                job = waiting.popleft()
                process = context.Process(target=work, args=(job,), name=job.name)
                process.start()
                running[process.sentinel] = (process, job)
            for sentinel in wait(list(running)):
                process, job = running.pop(sentinel)
                process.join()
                if process.exitcode != 0 or read_note(job) is None:
                    write_note(job, {"failure": failure_row(job, job.stage, _ended(process))})
                yield job
    finally:
        for process, _ in running.values():
            _end(process)


def _ended(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}{' (was there enough memory?)' if name == 'SIGKILL' else ''}"
    return f"its process ended with code {code}; VIDVTON_DEBUG=1 shows why"


def _end(process: BaseProcess) -> None:
    """Ends a job and all it started: it leads a group of its own once it runs."""
    with contextlib.suppress(OSError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGTERM)
    process.terminate()
    process.join(10)


def gather(suite: Suite, plan: Plan, home: Path, command: list[str]) -> BenchResult:
    """The result of all jobs that left a note."""
    facts, clips, controls, failures = {}, [], [], []
    for job in plan.jobs:
        note = read_note(job)
        if note is None:
            continue
        if note.get("failure"):
            failures.append(Failure(**note["failure"]))
        elif job.stage == "film":
            facts[job.case.name] = _facts(note)
        elif job.stage == "measure":
            clips.append(clip_of(note))
        else:
            controls.append(controls_of(job, note))
    cases = tuple(facts[c.name] for c in plan.cases if c.name in facts)
    methods = tuple(MethodFacts(m.name, m.kind, m.detail or _KINDS[m.kind]) for m in suite.methods)
    distances = tuple(_distances(suite, plan, home))
    made = provenance(command, suite.model_dump(mode="json"))
    return BenchResult(suite.title, cases, methods, tuple(clips), tuple(controls), tuple(failures), distances, made)


def _facts(note: dict) -> CaseFacts:
    row = note["facts"]
    return CaseFacts(**{**row, "size": tuple(row["size"])})


def _distances(suite: Suite, plan: Plan, home: Path) -> Iterator[SetDistance]:
    """Metrics over sets, from the features that measuring left: against the truth where there is one, else the source."""
    for set_name in dict.fromkeys(c.set for c in plan.cases):
        for method in suite.methods:
            found: dict[tuple[str, str], list[Features]] = {}
            for job in plan.jobs:
                path = home / "features" / f"{job.name}.npz"
                if job.method == method and job.case.set == set_name and path.exists() and is_done(job):
                    with open_arrays(path) as stored:
                        for key in stored.files:
                            name, of = key.split("|")
                            found.setdefault((name, of), []).append(Features(name, of, stored[key]))
            for metric in METRICS:
                mine = found.get((metric.name, "output"))
                against = "truth" if (metric.name, "truth") in found else "source"
                if mine and (metric.name, against) in found:
                    value = distance(mine, found[metric.name, against])
                    rows = sum(len(f.values) for f in mine)
                    yield SetDistance(metric.name, set_name, method.name, against, value, rows)
