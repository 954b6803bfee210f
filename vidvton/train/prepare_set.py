"""A whole data set made ready for training, once: every pair in a worker process, then shards.

OUT/work/plan.json      what the set is prepared from; a run with other settings does not go on with it
OUT/work/000123.part    pair 123, done (tar blocks of its samples); 000123.bad why it could not be used
OUT/shard-*.tar, index.json, dataset.json       see shards.py; made when all pairs are through, and `work` removed
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import __version__
from ..errors import MisuseError, VidvtonError
from ..progress import Note, Progress
from ..workers import live_as_worker
from .pairs import Listing, Pair
from .prepare_settings import PrepareSettings
from .readers import read_listing
from .shards import FORMAT, join_samples, list_shard, tar_sample, write_index, write_text

EXECUTORS = ("local", "ray")
SHOWN = 3  # pairs named in a message
DEATHS = 2  # processes that may die on one pair before it is given up


@dataclass(frozen=True)
class Task:
    """Pair number `number`, and where its part goes."""

    number: int
    pair: Pair
    work: Path
    settings: PrepareSettings

    @property
    def part(self) -> Path:
        return self.work / f"{self.number:06d}.part"

    @property
    def bad(self) -> Path:
        return self.work / f"{self.number:06d}.bad"

    @property
    def begun(self) -> Path:
        return self.work / f"{self.number:06d}.begun"


def prepare_set(
    source: Path, out: Path, settings: PrepareSettings, *, workers: int = 0, executor: str = "local", overwrite: bool = False
) -> Iterator[Progress | Note]:
    """Prepares the data set in `source` into `out`; what stands there already is kept, and a finished set is left as it is.

    `workers` processes work side by side (0: one per processor), or with `executor` ray as many tasks of a Ray cluster, whose
    machines must see both folders. Samples and their order are the same whoever made them; the last bits of their films may not
    be, for x264's depend on what its process encoded before. MisuseError for a data set that is missing or empty and for an `out`
    that holds something else; VidvtonError for a full disk, and where more pairs than `settings.bad_share` cannot be used (the
    first are named; all stand in OUT/work/*.bad, and are tried again next time).
    """
    if workers < 0:
        raise MisuseError(f"{workers} worker processes cannot be used; give 0 for one per processor, or a positive number")
    if executor not in EXECUTORS:
        raise MisuseError(f"there is no executor {executor!r}; use one of {', '.join(EXECUTORS)}")
    if _overlap(source, out):
        raise MisuseError(f"{out} lies inside the data set {source} (or the other way round); give another folder")
    listing = plan_set(source, settings)
    yield from notes_on(listing)
    try:
        if _open_out(source, out, listing, settings, overwrite=overwrite):
            yield Progress("prepare", len(listing.pairs), len(listing.pairs), "pairs")
            return
        work = out / "work"
        tasks = [Task(n, pair, work, settings) for n, pair in enumerate(listing.pairs)]
        for task in tasks:
            for old in (task.bad, task.begun):
                old.unlink(missing_ok=True)
        yield from _work_through(tasks, workers, executor)
        yield from _finish(source, out, listing, tasks, settings)
    except OSError as problem:
        raise _explained(problem, out) from problem


def plan_set(source: Path, settings: PrepareSettings) -> Listing:
    """The pairs that `prepare_set` would work through; errors as `readers.read_listing`."""
    listing = read_listing(source, layout=settings.layout, split=settings.split, variants=settings.variants)
    return replace(listing, pairs=listing.pairs[: settings.limit]) if settings.limit else listing


def notes_on(listing: Listing) -> Iterator[Note]:
    """What there is to say of a listing: its layout, what it brings, what does not match."""
    brought = ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in sorted(listing.known.items()) if n)
    yield Note(f"read as {listing.layout}: {len(listing.pairs)} pairs{f', with {brought}' if brought else ''}")
    if listing.mismatches:
        yield Note(f"{len(listing.mismatches)} without their other half, left out: {_some(listing.mismatches)}")


def _some(lines: Iterable[str]) -> str:
    lines = list(lines)
    rest = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _overlap(source: Path, out: Path) -> bool:
    one, two = source.resolve(), out.resolve()
    return one == two or one in two.parents or two in one.parents


def _plan_facts(source: Path, listing: Listing, settings: PrepareSettings) -> dict:
    """What decides the samples: not how many may be bad, nor how large shards are."""
    names = hashlib.sha256("\n".join(p.name for p in listing.pairs).encode()).hexdigest()
    told = settings.model_dump(mode="json", exclude={"bad_share", "shard_mib"}) | {"layout": listing.layout}
    return {"format": FORMAT, "source": str(source.resolve()), "settings": told, "pairs": len(listing.pairs), "names": names}


def _open_out(source: Path, out: Path, listing: Listing, settings: PrepareSettings, *, overwrite: bool) -> bool:
    """Makes the folder, or checks the one there; True where the set is finished already."""
    mine = _plan_facts(source, listing, settings)
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out} is a file; give a folder for the set")
    if overwrite and out.is_dir() and ((out / "dataset.json").exists() or (out / "work" / "plan.json").exists()):
        _clear(out)
    for path in (out / "dataset.json", out / "work" / "plan.json"):
        if not path.exists():
            continue
        try:
            there = json.loads(path.read_text())
        except ValueError:
            raise MisuseError(f"{path} cannot be read; give another folder, or --overwrite") from None
        there = there.get("plan", there)
        if there != mine:
            raise MisuseError(f"{out} holds a set prepared {_difference(there, mine)}; give another folder, or --overwrite")
        if path.name == "dataset.json":
            shutil.rmtree(out / "work", ignore_errors=True)
            return True
    if not (out / "work" / "plan.json").exists():
        if out.is_dir() and any(out.iterdir()):
            raise MisuseError(f"{out} is not empty and holds no set; give an empty or a new folder")
        (out / "work").mkdir(parents=True, exist_ok=True)
        write_text(out / "work" / "plan.json", json.dumps(mine, indent=1))
    return False


def _difference(there: dict, mine: dict) -> str:
    for key, value in mine["settings"].items():
        if there.get("settings", {}).get(key) != value:
            return f"with {key} {there.get('settings', {}).get(key)!r}, not {value!r}"
    return f"from {there.get('source')}" if there.get("source") != mine["source"] else "from other files of that folder"


def _clear(out: Path) -> None:
    """Takes a set of ours away, and nothing else."""
    for name in ("dataset.json", "index.json"):
        (out / name).unlink(missing_ok=True)
    for shard in out.glob("shard-*.tar"):
        shard.unlink()
    shutil.rmtree(out / "work", ignore_errors=True)


def _work_through(tasks: list[Task], workers: int, executor: str) -> Iterator[Progress]:
    todo = [task for task in tasks if not task.part.exists()]
    done = len(tasks) - len(todo)
    yield Progress("prepare", done, len(tasks), "pairs")
    if not todo:
        return
    allowed = tasks[0].settings.bad_share * len(tasks)
    bad: list[str] = []
    run = _run_on_ray if executor == "ray" else run_here
    for reason in run(todo, min(workers or len(os.sched_getaffinity(0)), len(todo))):
        done += 1
        if reason:
            bad.append(reason)
        if len(bad) > allowed:
            share = f"{100 * tasks[0].settings.bad_share:g} %"
            raise VidvtonError(
                f"{len(bad)} of {len(tasks)} pairs cannot be used, more than the {share} that bad_share allows: {_some(bad)}"
            )
        yield Progress("prepare", done, len(tasks), "pairs")


def run_here(tasks: list[Task], workers: int, work: Callable[[Task], str] | None = None) -> Iterator[str]:
    """Does `work` (None: `make_part`) on all tasks in `workers` processes; for each that is through, why it could not be used, or
    "". A process that dies takes the others with it; they are started again, and the pair that killed two is given up."""
    work = make_part if work is None else work
    waiting = deque(tasks)
    deaths: dict[int, int] = {}
    while waiting:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["vidvton.train.preprocess"])
        under_way: dict[Future, Task] = {}
        try:
            with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in) as pool:
                try:
                    while waiting or under_way:
                        while waiting and len(under_way) < 2 * workers:
                            task = waiting.popleft()
                            under_way[pool.submit(work, task)] = task
                        for job in wait(under_way, return_when=FIRST_COMPLETED).done:
                            reason = job.result()
                            del under_way[job]
                            yield reason
                except BaseException:
                    _stop(pool)
                    raise
        except BrokenProcessPool:
            for task in under_way.values():
                if task.part.exists():  # done, and its process died with another's
                    yield ""
                    continue
                deaths[task.number] = deaths.get(task.number, 0) + task.begun.exists()
                task.begun.unlink(missing_ok=True)
                if deaths[task.number] < DEATHS:
                    waiting.append(task)
                else:
                    yield _give_up(task, "the process that worked on it died, twice (out of memory?)")
            workers = 1  # so that the next one to die is known


def _stop(pool: ProcessPoolExecutor) -> None:
    """Ends the workers now: what they are at is not lost, for the next run begins it anew."""
    processes = list((getattr(pool, "_processes", None) or {}).values())  # the executor itself would wait for them
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


def _settle_in() -> None:
    live_as_worker()
    one_core()


def one_core() -> None:
    """Every core has a process of its own already: no threads in them, no processes from them."""
    os.environ["VIDVTON_WORKERS"] = "1"
    import torch

    torch.set_num_threads(1)


def make_part(task: Task) -> str:
    """Prepares one pair into its part, whole or absent; why it could not be used, or "". Runs in a process of its own; disks that
    are full and memory that runs out are not the pair's fault and are raised."""
    from .preprocess import Shape, prepare_pair
    from .scene import encode_scene

    task.begun.touch()
    settings = task.settings
    try:
        scenes = prepare_pair(task.pair, Shape(settings.size, settings.longest, settings.shortest))
        blocks = [tar_sample(f"{task.number:06d}-{k:03d}", encode_scene(scene)) for k, scene in enumerate(scenes)]
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _give_up(task, str(problem))
    except MemoryError:
        raise
    except Exception as problem:  # whatever a strange file does to the estimators is that file's trouble
        told = str(problem) if isinstance(problem, VidvtonError) else f"{type(problem).__name__}: {problem}"
        return _give_up(task, told)
    beside = task.part.with_suffix(".partial")
    beside.write_bytes(b"".join(blocks))
    os.replace(beside, task.part)
    task.begun.unlink(missing_ok=True)
    return ""


def _give_up(task: Task, reason: str) -> str:
    line = f"{task.pair.name}: {' '.join(reason.split())}"
    write_text(task.bad, line)
    task.begun.unlink(missing_ok=True)
    return line


def _run_on_ray(tasks: list[Task], workers: int) -> Iterator[str]:
    """As `run_here`, through Ray Data: on the cluster this process belongs to, else on one started here with `workers`."""
    try:
        import ray
    except ImportError as problem:
        raise MisuseError("Ray is not installed; pip install 'vidvton[ray]', or use --executor local") from problem
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        local = {} if address else {"num_cpus": workers, "include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        rows = ray.data.from_items([{"task": asdict_task(t)} for t in tasks], override_num_blocks=len(tasks))
        for row in rows.map(_make_row).iter_rows():
            yield row["reason"]
    finally:
        if started:
            ray.shutdown()


def asdict_task(task: Task) -> str:
    """A task as JSON: what goes over a network is text."""
    pair = {k: _plain(v) for k, v in asdict(task.pair).items()}
    settings = task.settings.model_dump(mode="json")
    return json.dumps({"number": task.number, "pair": pair, "work": str(task.work), "settings": settings})


def task_from(text: str) -> Task:
    """The task that `asdict_task` wrote."""
    told = json.loads(text)
    pair = told["pair"]
    for key in ("person", "garment", "garment_mask", "truth", "region", "known"):
        pair[key] = None if pair[key] is None else Path(pair[key])
    for key in ("poses", "parses"):
        pair[key] = tuple(map(Path, pair[key]))
    settings = PrepareSettings.model_validate_json(json.dumps(told["settings"]))
    return Task(told["number"], Pair(**pair), Path(told["work"]), settings)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else [_plain(v) for v in value] if isinstance(value, tuple) else value


def _make_row(row: dict) -> dict:
    one_core()
    return {"reason": make_part(task_from(row["task"]))}


def _finish(source: Path, out: Path, listing: Listing, tasks: list[Task], settings: PrepareSettings) -> Iterator[Progress | Note]:
    """Parts become shards, in the order of the pairs; then the index, then dataset.json."""
    whole = [task for task in tasks if task.part.exists()]
    bad = [task.bad.read_text() for task in tasks if task.bad.exists()]
    if not whole:
        raise VidvtonError(f"none of {len(tasks)} pairs of {source} could be used: {_some(bad)}")
    for old in out.glob("shard-*.tar"):
        old.unlink()
    samples = []
    for number, group in enumerate(_groups(whole, settings.shard_mib << 20)):
        shard = out / f"shard-{number:05d}.tar"
        join_samples([task.part for task in group], shard)
        samples += list_shard(shard)
        yield Progress("shards", len(samples), None, "samples")
    write_index(out, samples)
    facts = {
        "format": FORMAT,
        "made_by": f"vidvton {__version__}",
        "plan": _plan_facts(source, listing, settings),
        "samples": len(samples),
        "frames": sum(int(s.facts["frames"]) for s in samples),
        "bytes": sum(p.stat().st_size for p in out.glob("shard-*.tar")),
        "unusable": bad,
        "mismatches": list(listing.mismatches),
    }
    write_text(out / "dataset.json", json.dumps(facts, indent=1))
    shutil.rmtree(out / "work", ignore_errors=True)
    if bad:
        yield Note(f"{len(bad)} of {len(tasks)} pairs could not be used: {_some(bad)}")


def _groups(tasks: list[Task], limit: int) -> Iterator[list[Task]]:
    group: list[Task] = []
    size = 0
    for task in tasks:
        group.append(task)
        size += task.part.stat().st_size
        if size >= limit:
            yield group
            group, size = [], 0
    if group:
        yield group


def _explained(problem: OSError, out: Path) -> VidvtonError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return VidvtonError(f"the disk that holds {out} is full; free some space and run the same command again, it goes on")
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return VidvtonError(f"{out} cannot be written to; choose a folder you may write in")
    return VidvtonError(f"{out}: {problem.strerror or problem}; run the same command again, it goes on from there")
