"""The cases of a suite: listed without touching anything, then made ready one by one in a folder of their own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..errors import MisuseError, VidvtonError
from ..media.images import IMAGE_SUFFIXES, natural_key, read_image, write_image
from ..media.info import ClipInfo
from ..media.reader import open_clip
from ..media.writer import VideoWriter
from ..metrics.garment import studio_coordinates
from ..synth.clip import make_clip, make_frames, make_shop_pictures
from ..synth.scene import with_another_garment, write_script
from ..synth.truth import FLOW_STEP
from ..values import Clip
from ..whole import open_arrays, write_arrays
from ..worn import prepare_any_garment
from .align import index_clip
from .pieces import Exact
from .regions import Region, find_region, given_region
from .results import CaseFacts, hash_file
from .suite import ClipPair, ClipSet, StudioSet, Suite, VividSet

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".m4v", ".avi")
_VIVID = {"upper_body": "upper", "lower_body": "lower", "dresses": "full"}


@dataclass(frozen=True)
class Case:
    """One case as the suite names it: a studio clip (`studio` and `index`), or files. `identity` changes when any of it does."""

    name: str
    set: str
    studio: StudioSet | None = None
    index: int = 0
    clip: Path | None = None
    garment: Path | None = None
    category: str | None = None
    region: Path | None = None
    truth: Path | None = None
    trouble: str | None = None
    """Why the case cannot be used, where that is known from its files' names."""

    def identity(self) -> dict[str, object]:
        """Plain values that change whenever the case does (files by size and time of change)."""
        value: dict[str, object] = {"name": self.name, "set": self.set, "index": self.index, "category": self.category}
        value["studio"] = None if self.studio is None else self.studio.model_dump(mode="json")
        for what in ("clip", "garment", "region", "truth"):
            path = getattr(self, what)
            value[what] = _stamp(path) if path is not None else None
        return value


def _stamp(path: Path) -> list[object]:
    try:
        facts = path.stat()
    except OSError:
        return [str(path), None]
    return [str(path), facts.st_size, facts.st_mtime_ns]


@dataclass(frozen=True)
class ReadyCase:
    """A case whose files are there: what methods are given and what outputs are measured with."""

    facts: CaseFacts
    source: Path
    garment: Path | None
    category: str | None
    truth: Path | None
    region: Region | None
    exact: Path | None = None
    layer: int = 0
    """Number of the sold garment in the studio's truth."""


def list_cases(suite: Suite) -> tuple[Case, ...]:
    """Every case, in order. MisuseError for folders that are not there or hold nothing, and for two cases of one name."""
    cases: list[Case] = []
    for studio in suite.studio:
        cases += [Case(f"{studio.name}-{k:03}", studio.name, studio=studio, index=k) for k in range(studio.clips)]
    for clips in suite.clips:
        cases += _clip_cases(clips)
    for vivid in suite.vivid:
        cases += _vivid_cases(vivid)
    names = [c.name for c in cases]
    for name in names:
        if names.count(name) > 1:
            raise MisuseError(f"two cases are called {name!r}; rename one of the clips or garments")
    return tuple(cases)


def _clip_cases(clips: ClipSet) -> list[Case]:
    pairs = list(clips.pairs)
    if clips.folder is not None:
        garments = _by_stem(Path(clips.garments), IMAGE_SUFFIXES) if clips.garments else {}
        for stem, path in _by_stem(Path(clips.folder), VIDEO_SUFFIXES).items():
            garment = garments.get(stem)
            pairs.append(ClipPair(clip=str(path), garment=str(garment) if garment else clips.garment, category=clips.category))
    out = []
    for pair in pairs:
        clip, garment = Path(pair.clip), Path(pair.garment) if pair.garment else None
        name = clip.stem if garment is None else f"{clip.stem}__{garment.stem}"
        paths = {"region": pair.region, "truth": pair.truth}
        given = {key: Path(p) for key, p in paths.items() if p}
        lost = next((p for p in (clip, garment, *given.values()) if p is not None and not p.exists()), None)
        trouble = f"there is no file {lost}; give it, or leave the case out" if lost is not None else None
        category = pair.category or clips.category
        out.append(Case(name, clips.name, clip=clip, garment=garment, category=category, trouble=trouble, **given))
    return out


def _vivid_cases(vivid: VividSet) -> list[Case]:
    root = Path(vivid.folder)
    homes = [(root / part, word) for part, word in _VIVID.items() if (root / part / "videos").is_dir()]
    if not homes and (root / "videos").is_dir():
        homes = [(root, next((w for p, w in _VIVID.items() if p in str(root)), None))]
    if not homes:
        raise MisuseError(f"{root} is not laid out like ViViD: it has neither videos nor upper_body/videos and the like")
    out = []
    for home, category in homes:
        clips = _by_stem(home / "videos", VIDEO_SUFFIXES)
        shelves = [home / shelf for shelf in ("images", "cloth") if (home / shelf).is_dir()]
        garments = {k: v for shelf in reversed(shelves) for k, v in _by_stem(shelf, IMAGE_SUFFIXES).items()}
        masks = _by_stem(home / "agnostic_mask", VIDEO_SUFFIXES) if (home / "agnostic_mask").is_dir() else {}
        for stem, clip in clips.items():
            trouble = None if stem in garments else f"{home} has no garment picture {stem} in images or cloth"
            out.append(Case(f"{home.name}-{stem}" if home != root else stem, vivid.name, clip=clip, garment=garments.get(stem),
                            category=category, region=masks.get(stem), truth=clip, trouble=trouble))  # fmt: skip
    return out[: vivid.limit] if vivid.limit else out


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise MisuseError(f"there is no folder {folder}; give one with {', '.join(suffixes[:3])} files")
    files = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if not files:
        raise MisuseError(f"the folder {folder} holds no {', '.join(suffixes[:3])} files; give one that does")
    return {p.stem: p for p in sorted(files, key=natural_key)}


def make_ready(case: Case, folder: Path) -> ReadyCase:
    """Makes everything of a case that is not there yet, in `folder`. VidvtonError in one sentence for what cannot be used."""
    if case.trouble is not None:
        raise VidvtonError(case.trouble)
    folder.mkdir(parents=True, exist_ok=True)
    ready = _film(case, folder) if case.studio is not None else _understand(case, folder)
    note = folder / "case.json"
    part = note.with_suffix(".part")
    part.write_text(json.dumps({"identity": case.identity(), "ready": pack_ready(ready)}, indent=1))
    part.replace(note)
    return ready


def read_ready(case: Case, folder: Path) -> ReadyCase | None:
    """The case that lies ready in `folder`, or None where none, or another, does."""
    try:
        stored = json.loads((folder / "case.json").read_text())
    except (OSError, ValueError):
        return None
    if stored.get("identity") != json.loads(json.dumps(case.identity())):
        return None
    return unpack_ready(stored["ready"])


def pack_ready(ready: ReadyCase) -> dict[str, object]:
    """Plain JSON values."""
    return json.loads(json.dumps(asdict(ready), default=str))


def unpack_ready(row: dict) -> ReadyCase:
    """What `pack_ready` packed."""
    paths = {key: Path(row[key]) if row[key] else None for key in ("source", "garment", "truth", "exact")}
    region = row["region"]
    known = Region(Path(region["path"]), region["numbered"], region["words"]) if region else None
    facts = CaseFacts(**{**row["facts"], "size": tuple(row["facts"]["size"])})
    return ReadyCase(facts=facts, category=row["category"], region=known, layer=row["layer"], **paths)


def _film(case: Case, folder: Path) -> ReadyCase:
    """The source, wearing another garment, and the truth with its flow and garment coordinates, as lossless films."""
    plan = case.studio
    script = write_script(
        plan.seed, case.index, frames=plan.frames, size=plan.size, motion=plan.motion, garment=plan.garment
    )  # fmt: skip
    clip = make_clip(script)
    before, worn, _ = make_frames(with_another_garment(script, case.index))
    source, truth, mask = folder / "source.mkv", folder / "truth.mkv", folder / "region.mkv"
    region = clip.truth.region | worn
    for path, frames in ((source, before), (truth, clip.frames), (mask, (region[:, None] * 255).byte().expand(-1, 3, -1, -1))):
        _write_film(path, frames, script.fps)
    height = min(1024, max(256, 2 * plan.size[0]))
    write_image(folder / "garment.png", make_shop_pictures(script, (height, height * 3 // 4))[0].image)
    exact = folder / "exact.npz"
    names = ("flow_forward", "hidden_forward", "garment", "garment_xy", "garment_back")
    write_arrays(exact, {name: getattr(clip.truth, name).numpy() for name in names})
    facts = CaseFacts(
        case.name, case.set, str(source), plan.frames, plan.size, float(script.fps), garment=str(folder / "garment.png"),
        region="exact: the studio's agnostic region and the old garment", truth="exact: the same motion in the new garment",
        hashes={"source": hash_file(source), "garment": hash_file(folder / "garment.png"), "truth": hash_file(truth)},
    )  # fmt: skip
    words = "exact, from the studio"
    return ReadyCase(
        facts, source, folder / "garment.png", script.target.category, truth, Region(mask, "source", words), exact,
        layer=script.sold + 1,
    )  # fmt: skip


def _write_film(path: Path, frames: Tensor, fps: float) -> None:
    rate = Fraction(fps).limit_denominator(1001)
    height, width = frames.shape[2:]
    info = ClipInfo(path, "video", width, height, 1 / rate, rate, len(frames), "ffv1", "gbrp")
    with VideoWriter(path, info, codec="ffv1", overwrite=True, sound=False) as writer:
        frames = frames.contiguous(memory_format=torch.channels_last)
        writer.write(Clip(frames, torch.arange(len(frames)), 1 / rate))


def _understand(case: Case, folder: Path) -> ReadyCase:
    """A real clip: its garment's category, and its region where none was given."""
    category = case.category
    if case.garment is not None and category is None:
        picture = read_image(case.garment)
        category = prepare_any_garment(picture.image, picture.alpha).category
    source = index_clip(case.clip)
    if case.region is not None:
        region = given_region(case.region, source, source)
    else:
        region = find_region(source, folder, category=category)
    files = {"source": case.clip, "garment": case.garment, "region": case.region}
    facts = CaseFacts(
        case.name, case.set, str(case.clip), len(source), source.info.size, source.rate,
        garment=str(case.garment) if case.garment else None, region=region.words if region else None,
        truth=str(case.truth) if case.truth else None,
        hashes={name: hash_file(path) for name, path in files.items() if path is not None},
    )  # fmt: skip
    return ReadyCase(facts, case.clip, case.garment, category, case.truth, region)


def load_exact(ready: ReadyCase) -> Exact | None:
    """The studio's flow, what it hides, and coordinates on the garment; None for a clip that was filmed."""
    if ready.exact is None:
        return None
    with open_arrays(ready.exact) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    xy, worn = arrays["garment_xy"].float(), arrays["garment"] == ready.layer
    both = worn[:, :, 1:] & worn[:, :, :-1]
    step = (xy[:, :, 1:] - xy[:, :, :-1]).norm(dim=-1)[both]
    metre = 1 / max(float(step.median()), 1e-4) if both.any() else 400.0
    coordinates = studio_coordinates(
        arrays["garment"], arrays["garment_xy"], arrays["garment_back"], layer=ready.layer, pixels_per_metre=metre
    )  # fmt: skip
    flow = (arrays["flow_forward"].float() * FLOW_STEP).permute(0, 3, 1, 2)
    return Exact(flow.contiguous(), arrays["hidden_forward"][:, None], coordinates.contiguous())


def find_output(ready: ReadyCase, folder: Path, pattern: str) -> Path:
    """The finished clip of a case in `folder`, by its name. VidvtonError naming what was looked for."""
    words = {"case": ready.facts.name, "clip": ready.source.stem, "garment": ready.garment.stem if ready.garment else "none"}
    try:
        stem = pattern.format(**words)
    except (KeyError, IndexError, ValueError):
        raise VidvtonError(f"the pattern {pattern!r} cannot be read; use {{case}}, {{clip}} and {{garment}} only") from None
    for candidate in (*(folder / f"{stem}{suffix}" for suffix in VIDEO_SUFFIXES), folder / stem):
        if candidate.exists():
            open_clip(candidate)
            return candidate
    raise VidvtonError(f"there is no clip {stem} in {folder}; expected {stem}.mp4, another video or a folder of pictures")
