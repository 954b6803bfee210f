"""Data sets as they are downloaded, listed as training pairs: VITON-HD, DressCode, ViViD, VVT and our studio.

Pairs are made by name, never by position in a sorted folder. What has no other half is listed; nothing is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..errors import MisuseError
from ..media.images import IMAGE_SUFFIXES, natural_key
from .pairs import Listing, Pair, count_known

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")
CATEGORY_FOLDERS = {"upper_body": "upper", "lower_body": "lower", "dresses": "full"}
_DRESSCODE_NUMBERS = {"0": "upper_body", "1": "lower_body", "2": "dresses"}


def read_listing(root: Path, *, layout: str = "auto", split: str = "train", variants: bool = True) -> Listing:
    """The pairs of the data set in `root`, in the order of their names. `layout` is one of LAYOUTS or auto; `split` train or test
    where the set has both; `variants` also lists the studio's clips with another garment on.

    MisuseError for a folder that is missing, of no known layout, or without a single pair, and for a test split of a set that has
    none: its pairs would be those that are trained on.
    """
    if not root.is_dir():
        raise MisuseError(f"there is no folder {root}; give the folder of a data set")
    if layout == "auto":
        layout = find_layout(root)
    if split != "train" and layout in UNSPLIT:
        raise MisuseError(f"{root}, read as {layout}, has no {split} split; prepare it whole and train with data.held_out")
    pairs, mismatches = _READERS[layout](root, split) if layout != "studio" else _studio(root, variants)
    if not pairs:
        missing = f" ({len(mismatches)} without their other half, {mismatches[0]})" if mismatches else ""
        raise MisuseError(f"{root}, read as {layout}, has no pairs in its {split} split{missing}; give another folder or --split")
    pairs = sorted(pairs, key=lambda p: natural_key(Path(p.name.replace("/", "_"))))
    return Listing(layout, tuple(pairs), tuple(mismatches), count_known(tuple(pairs)))


def find_layout(root: Path) -> str:
    """The layout a folder has, by what lies in it. MisuseError where that is none we know."""
    if (root / "manifest.json").is_file() and (root / "clips").is_dir():
        return "studio"
    for split in ("train", "test"):
        if (root / split / "image").is_dir() and (root / split / "cloth").is_dir():
            return "viton-hd"
        if _vvt_frames(root, split) is not None:
            return "vvt"
    homes = [root / name for name in CATEGORY_FOLDERS if (root / name).is_dir()]
    if any((home / "videos").is_dir() for home in (*homes, root, root / "data")):
        return "vivid"
    if any((home / "images").is_dir() for home in homes):
        return "dresscode"
    raise MisuseError(
        f"{root} has none of the layouts known (VITON-HD, DressCode, ViViD, VVT, studio); "
        "docs/training.md says what each looks like, --layout names one"
    )


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder by stem; {} where there is no such folder."""
    if not folder.is_dir():
        return {}
    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return {p.stem: p for p in sorted(found)}


def _first_folder(home: Path, *names: str) -> Path:
    return next((home / name for name in names if (home / name).is_dir()), home / names[0])


def _unmatched(persons: Iterable[str], garments: Mapping[str, Path], where: str) -> list[str]:
    """One line for everything on either side that stands alone."""
    persons = set(persons)
    lines = [f"{where}: person {name} has no garment" for name in sorted(persons - garments.keys())]
    return lines + [f"{where}: garment {name} has no person" for name in sorted(garments.keys() - persons)]


def _one(path: Path | None) -> tuple[Path, ...]:
    return () if path is None else (path,)


def _viton_hd(root: Path, split: str) -> tuple[list[Pair], list[str]]:
    """The garment worn has the person's name; the pairs file of the test split names another one, and is used for its persons."""
    home = root / split
    persons, garments = _files(home / "image", IMAGE_SUFFIXES), _files(home / "cloth", IMAGE_SUFFIXES)
    masks = _files(_first_folder(home, "cloth-mask", "cloth_mask"), IMAGE_SUFFIXES)
    regions = _files(_first_folder(home, "agnostic-mask", "agnostic_mask"), IMAGE_SUFFIXES)
    poses = _files(_first_folder(home, "openpose_json", "openpose-json"), (".json",))
    parses = _files(_first_folder(home, "image-parse-v3", "image-parse"), (".png",))
    listed, mismatches = _listed(root / f"{split}_pairs.txt")
    if listed is not None:
        names = [Path(row[0]).stem for row in listed]
        mismatches += [f"{split}_pairs.txt: person {n} is not in image" for n in names if n not in persons]
        persons = {n: persons[n] for n in names if n in persons}
        garments = {n: p for n, p in garments.items() if n in persons}
    pairs = []
    for name in persons.keys() & garments.keys():
        pairs.append(
            Pair(
                name=name,
                group=name,
                category="upper",
                person=persons[name],
                garment=garments[name],
                garment_mask=masks.get(name),
                region=regions.get(f"{name}_mask") or regions.get(name),
                poses=_one(poses.get(f"{name}_keypoints") or poses.get(name)),
                parses=_one(parses.get(name)),
            )
        )
    return pairs, mismatches + _unmatched(persons, garments, split)


def _listed(path: Path) -> tuple[list[list[str]] | None, list[str]]:
    """Rows of words of a pairs file, None where there is none, and a line for each row that is not of two or three words."""
    if not path.is_file():
        return None, []
    rows, bad = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if len(words) in (2, 3):
            rows.append(words)
        elif words:
            bad.append(f"{path.name} line {number}: expected a person and a garment, found {len(words)} words")
    return rows, bad


def _dresscode(root: Path, split: str) -> tuple[list[Pair], list[str]]:
    wanted, mismatches = _dresscode_ids(root, split)
    pairs: list[Pair] = []
    for folder, category in CATEGORY_FOLDERS.items():
        home = root / folder
        pictures = _files(home / "images", IMAGE_SUFFIXES)
        persons = {stem[:-2]: p for stem, p in pictures.items() if stem.endswith("_0")}
        garments = {stem[:-2]: p for stem, p in pictures.items() if stem.endswith("_1")}
        if wanted is not None:
            names = wanted.get(folder, set())
            mismatches += [
                f"{folder}: {n} is listed and has no picture" for n in sorted(names - (persons.keys() | garments.keys()))
            ]
            persons, garments = ({n: p for n, p in side.items() if n in names} for side in (persons, garments))
        poses, parses = _files(home / "keypoints", (".json",)), _files(home / "label_maps", (".png",))
        masks = _files(_first_folder(home, "cloth_mask", "masks"), IMAGE_SUFFIXES)
        regions = _files(_first_folder(home, "mask", "agnostic_mask"), IMAGE_SUFFIXES)
        for name in persons.keys() & garments.keys():
            pairs.append(
                Pair(
                    name=f"{folder}/{name}",
                    group=f"{folder}/{name}",
                    category=category,
                    person=persons[name],
                    garment=garments[name],
                    garment_mask=masks.get(f"{name}_1"),
                    region=regions.get(f"{name}_0"),
                    poses=_one(poses.get(f"{name}_2")),
                    pose_format="dresscode",
                    parses=_one(parses.get(f"{name}_4")),
                    parse_format="atr",
                )
            )
        mismatches += _unmatched(persons, garments, folder)
    return pairs, mismatches


def _dresscode_ids(root: Path, split: str) -> tuple[dict[str, set[str]] | None, list[str]]:
    """Folder -> ids of a split, from the files at the root (whose third column says the category) or in the folders; None where
    there are no such files of either split: then all pictures count for training. MisuseError where this split alone has none."""
    found: dict[str, set[str]] = {}
    mismatches: list[str] = []
    seen = False
    for home in (root, *(root / name for name in CATEGORY_FOLDERS)):
        for name in (f"{split}_pairs_paired.txt", f"{split}_pairs.txt"):
            rows, bad = _listed(home / name)
            mismatches += bad
            if rows is None:
                continue
            seen = True
            for row in rows:
                folder = home.name if home != root else _DRESSCODE_NUMBERS.get(row[2]) if len(row) == 3 else None
                stems = [Path(word).stem for word in row[:2]]
                ids = {s[:-2] for s in stems if s.endswith(("_0", "_1"))}
                if folder is None or len(ids) != 1:
                    mismatches.append(f"{name}: {' '.join(row)} is no person with the garment worn")
                else:
                    found.setdefault(folder, set()).update(ids)
            break
    if not seen and (split != "train" or any(root.glob("test_pairs*.txt")) or any(root.glob("*/test_pairs*.txt"))):
        raise MisuseError(
            f"{root}, read as dresscode, has no list of its {split} split ({split}_pairs.txt); bring the data set's own lists, "
            "or prepare all of it without any list and train with data.held_out"
        )
    return (found if seen else None), mismatches


def _vivid(root: Path, split: str) -> tuple[list[Pair], list[str]]:
    """Both the folders by category and the flat one of the released sample; a clip and its garment share their stem, or what
    stands before the first underscore (1219222_detail.mp4 and 1219222_in_xl.jpg)."""
    root = root / "data" if (root / "data" / "videos").is_dir() else root
    homes = [(root / name, category) for name, category in CATEGORY_FOLDERS.items() if (root / name / "videos").is_dir()]
    if (root / "videos").is_dir():
        homes.append((root, None))
    pairs, mismatches = [], []
    for home, category in homes:
        videos = _files(home / "videos", VIDEO_SUFFIXES)
        garments = _files(_first_folder(home, "images", "cloth"), IMAGE_SUFFIXES)
        masks = _files(_first_folder(home, "cloth_mask", "images_mask"), IMAGE_SUFFIXES)
        regions = _files(home / "agnostic_mask", VIDEO_SUFFIXES)
        found, lonely = _by_name(videos, garments, home.name)
        mismatches += lonely
        for name, garment in found.items():
            told = category or next((c for c in ("upper", "lower") if name.startswith(c)), "full" if "dress" in name else None)
            pairs.append(
                Pair(
                    name=f"{home.name}/{name}",
                    group=f"{home.name}/{name}",
                    category=told,
                    person=videos[name],
                    garment=garment,
                    garment_mask=masks.get(garment.stem),
                    region=regions.get(name),
                )
            )
    return pairs, mismatches


def _by_name(videos: Mapping[str, Path], garments: Mapping[str, Path], where: str) -> tuple[dict[str, Path], list[str]]:
    """Video stem -> garment. A shared beginning counts only where it is nobody else's."""
    found = {name: garments[name] for name in videos if name in garments}
    used = {p.stem for p in found.values()}
    begins: dict[str, list[str]] = {}
    for stem in garments.keys() - used:
        begins.setdefault(stem.split("_")[0], []).append(stem)
    left = [name for name in videos if name not in found]
    for name in left:
        head = name.split("_")[0]
        rivals = [n for n in left if n.split("_")[0] == head]
        if len(begins.get(head, [])) == 1 and len(rivals) == 1:
            found[name] = garments[begins[head][0]]
    used = {p.stem for p in found.values()}
    lines = [f"{where}: clip {name} has no garment" for name in sorted(videos.keys() - found.keys())]
    return found, lines + [f"{where}: garment {stem} has no clip" for stem in sorted(garments.keys() - used)]


def _vvt_frames(root: Path, split: str) -> Path | None:
    homes = (root / f"lip_{split}_frames", root / split / f"{split}_frames", root / f"{split}_frames")
    return next((home for home in homes if home.is_dir()), None)


def _vvt(root: Path, split: str) -> tuple[list[Pair], list[str]]:
    """One folder of frames a clip; the shop picture by the clip's name in (lip_)clothes_person, whose folders may be in capitals
    and go without the garment's number (4HE21D00F for 4he21d00f-g11)."""
    home = _vvt_frames(root, split)
    if home is None:
        return [], []
    pairs, mismatches = [], []
    for folder in sorted(p for p in home.iterdir() if p.is_dir()):
        frames = sorted(_files(folder, IMAGE_SUFFIXES).values(), key=natural_key)
        garment = _vvt_garment(root, split, folder.name)
        if not frames or garment is None:
            mismatches.append(f"{home.name}: clip {folder.name} has no {'garment' if frames else 'frames'}")
            continue
        poses = _files(home.with_name(f"{home.name}_keypoint") / folder.name, (".json",))
        parses = _files(home.with_name(f"{home.name}_parsing") / folder.name, (".png",))
        known = []
        for word, files, ending in (("poses", poses, "_keypoints"), ("parses", parses, "_label")):
            mine = [files.get(f"{frame.stem}{ending}") or files.get(frame.stem) for frame in frames]
            missing = sum(path is None for path in mine)
            if files and missing:
                mismatches.append(f"{home.name}: clip {folder.name} has no {word} for {missing} of {len(mine)} frames")
            known.append(() if missing else tuple(mine))
        pairs.append(
            Pair(
                name=folder.name,
                group=folder.name.split("-")[0],
                category="upper",
                person=folder,
                garment=garment,
                poses=known[0],
                parses=known[1],
                parse_format="lip",
            )
        )
    return pairs, mismatches


def _vvt_garment(root: Path, split: str, clip: str) -> Path | None:
    person, _, garment = clip.partition("-")
    shelves = [root / name for name in ("lip_clothes_person", "clothes_person", "clothes_person/img")]
    shelves += [shelf / split for shelf in shelves]
    for shelf in shelves:
        for name in dict.fromkeys((clip, clip.upper(), person, person.upper())):
            files = list(_files(shelf / name, IMAGE_SUFFIXES).values())
            mine = [p for p in files if garment.lower() in p.stem.lower()]
            for several in (mine, files):
                chosen = [p for word in ("cloth_front", "cloth") for p in several if word in p.stem]
                photos = [p for p in several if p.suffix.lower() in (".jpg", ".jpeg")]  # the person there is a PNG
                if chosen or len(photos) == 1:
                    return (chosen or photos)[0]
    return None


def _studio(root: Path, variants: bool) -> tuple[list[Pair], list[str]]:
    """Clips as filmed, and with `variants` the same clips to be dressed in the other garment, which was filmed too."""
    pairs, mismatches = [], []
    for note in sorted((root / "clips").glob("*.json")):
        try:
            facts = json.loads(note.read_text())
            name, folder, category = str(facts["id"]), str(facts["folder"]), str(facts["category"])
        except (ValueError, KeyError, TypeError):
            mismatches.append(f"clips: {note.name} cannot be read")
            continue
        if folder not in CATEGORY_FOLDERS or name != note.stem:
            mismatches.append(f"clips: {note.name} names the clip {folder}/{name}")
            continue
        home = root / folder
        for suffix, filmed in (("", "videos"), ("_other_garment", "videos_other_garment")):
            parts = {
                "person": home / "videos" / f"{name}.mp4",
                "garment": home / f"images{suffix}" / f"{name}.png",
                "garment_mask": home / f"cloth_mask{suffix}" / f"{name}.png",
                "known": home / "truth" / f"{name}.npz",
            }
            truth = home / filmed / f"{name}.mp4"
            if suffix and (not variants or not truth.is_file()):
                continue
            missing = [word for word, path in parts.items() if not path.is_file()]
            if missing:
                mismatches.append(f"{home.name}: clip {name}{suffix} has no {missing[0]}")
                continue
            pairs.append(
                Pair(name=f"{name}{suffix}", group=name, category=category, truth=truth if suffix else None, **parts)  # fmt: skip
            )
    return pairs, mismatches


_READERS: dict[str, Callable[[Path, str], tuple[list[Pair], list[str]]]] = {
    "viton-hd": _viton_hd,
    "dresscode": _dresscode,
    "vivid": _vivid,
    "vvt": _vvt,
}
LAYOUTS = (*_READERS, "studio")
"""Layouts that can be read."""
UNSPLIT = ("vivid", "studio")
"""Those of LAYOUTS that come as one set, without a test split."""
