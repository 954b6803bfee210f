"""Shards: plain tar files that any tool opens, and an index of where each member lies, so that a sample is a few reads.

FOLDER/dataset.json       what the set is and was made from; written last, so a folder that has it is whole
FOLDER/index.json         every sample: its shard, its members' places, its facts
FOLDER/shard-00000.tar    KEY.facts.json KEY.frames.mp4 KEY.planes.safetensors ... (named as webdataset does)

Nothing is ever unpacked to disk and nothing in a shard can run: members are JSON, safetensors, JPEG and MP4, read by position;
keys are letters, digits, - and _; a member whose header does not say what the index says is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MisuseError, VidvtonError

FORMAT = 1
EXTENSIONS = (".json", ".safetensors", ".mp4", ".jpg")
BLOCK = 512
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,19}\.(json|safetensors|mp4|jpg)")
_SHARD = re.compile(r"shard-\d{5,8}\.tar")
_LARGEST = 1 << 31


@dataclass(frozen=True)
class Stored:
    """One sample of a set: `key`, the `shard` it lies in (a file name), `members` name -> (offset, bytes), and its `facts`."""

    key: str
    shard: str
    members: Mapping[str, tuple[int, int]]
    facts: Mapping[str, Any]


def tar_sample(key: str, members: Mapping[str, bytes]) -> bytes:
    """The tar blocks of one sample (no end mark, no clock, no owner: the same members give the same bytes)."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no sample key")
    out = []
    for word, data in members.items():
        if not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} is no member name")
        info = tarfile.TarInfo(f"{key}.{word}")
        info.size, info.mode = len(data), 0o644
        out += [info.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % BLOCK)]
    return b"".join(out)


def join_samples(parts: Iterable[Path], shard: Path) -> None:
    """Writes a shard from files of `tar_sample` blocks, whole or absent."""
    beside = shard.with_name(f".{shard.name}.part")
    with open(beside, "wb") as out:
        for part in parts:
            with open(part, "rb") as one:
                shutil.copyfileobj(one, out, 1 << 20)
        out.write(bytes(2 * BLOCK))
        out.flush()
        os.fsync(out.fileno())
    os.replace(beside, shard)


def list_shard(shard: Path) -> list[Stored]:
    """The samples of a shard in their order, from its headers. VidvtonError for what is not one of ours: other kinds of entries,
    names that lead elsewhere, endings not in EXTENSIONS, an end before the end mark."""
    members: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(shard, "r:") as box:
            for info in box:
                key, word = _split(info.name, shard)
                if not info.isreg():
                    raise VidvtonError(f"{shard} holds {info.name!r}, which is no plain file; prepare the set again")
                if word in members.setdefault(key, {}):
                    raise VidvtonError(f"{shard} holds {info.name!r} twice; prepare the set again")
                members[key][word] = (info.offset_data, info.size)
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise VidvtonError(f"{shard} is no shard that can be read ({problem}); prepare the set again") from problem
    found = []
    for key, places in members.items():
        if "facts.json" not in places:
            raise VidvtonError(f"{shard} holds no facts of {key!r}; prepare the set again")
        bare = Stored(key, shard.name, places, {})
        found.append(Stored(key, shard.name, places, _json(read_member(shard.parent, bare, "facts.json"), shard)))
    return found


def _split(name: str, shard: Path) -> tuple[str, str]:
    key, _, word = name.partition(".")
    if not _KEY.fullmatch(key) or not _WORD.fullmatch(word):
        raise VidvtonError(f"{shard} holds {name!r}, which is no name of ours; prepare the set again")
    return key, word


def _json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise VidvtonError(f"{path} holds JSON that cannot be read ({problem}); prepare the set again") from problem
    if not isinstance(value, dict):
        raise VidvtonError(f"{path} holds JSON of another kind than expected; prepare the set again")
    return value


def read_member(folder: Path, sample: Stored, word: str) -> bytes:
    """One member's bytes. VidvtonError where the shard is missing, cut short, or has something else in that place."""
    if word not in sample.members or not _SHARD.fullmatch(sample.shard):
        raise VidvtonError(f"{folder}: sample {sample.key} has no {word}; prepare the set again")
    offset, size = sample.members[word]
    path = folder / sample.shard
    if not (0 <= offset - BLOCK and 0 <= size <= _LARGEST):
        raise VidvtonError(f"the index of {folder} is damaged at {sample.key}; prepare the set again")
    try:
        with open(path, "rb") as shard:
            shard.seek(offset - BLOCK)
            data = shard.read(BLOCK + size)
    except OSError as problem:
        raise VidvtonError(f"{path} cannot be read ({problem.strerror}); prepare the set again") from problem
    name = data[:100].rstrip(b"\0").decode("ascii", "replace")
    if len(data) != BLOCK + size or name != f"{sample.key}.{word}":
        raise VidvtonError(f"{path} does not hold {sample.key}.{word} where the index says; prepare the set again")
    return data[BLOCK:]


def write_index(folder: Path, samples: Iterable[Stored]) -> None:
    """Writes index.json, whole or absent."""
    rows = [{"key": s.key, "shard": s.shard, "members": dict(s.members), "facts": dict(s.facts)} for s in samples]
    write_text(folder / "index.json", json.dumps({"format": FORMAT, "samples": rows}))


def read_index(folder: Path) -> tuple[Stored, ...]:
    """The samples of a finished set. MisuseError where `folder` is not one."""
    if not folder.is_dir():
        raise MisuseError(f"there is no folder {folder}; give one that vidvton prepare made")
    if not (folder / "dataset.json").is_file() or not (folder / "index.json").is_file():
        raise MisuseError(f"{folder} holds no finished set (dataset.json is missing); run vidvton prepare to the end first")
    index = _json((folder / "index.json").read_bytes(), folder / "index.json")
    if index.get("format") != FORMAT:
        raise MisuseError(f"{folder} holds a set of format {index.get('format')}, expected {FORMAT}; prepare it again")
    try:
        return tuple(
            Stored(
                str(row["key"]), str(row["shard"]), {str(w): (int(a), int(b)) for w, (a, b) in row["members"].items()},
                dict(row["facts"]),
            )
            for row in index["samples"]
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise VidvtonError(f"the index of {folder} is damaged ({problem}); prepare the set again") from problem


def digest_of_index(folder: Path) -> str:
    """SHA-256 of a finished set's index.json: two sets that share it hold the same samples in the same order, wherever they
    lie."""
    with open(folder / "index.json", "rb") as index:
        return hashlib.file_digest(index, "sha256").hexdigest()


def read_facts(folder: Path) -> dict[str, Any]:
    """dataset.json of a finished set."""
    return _json((folder / "dataset.json").read_bytes(), folder / "dataset.json")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or absent."""
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(beside, path)
