"""Which sets a run learns from, by what they hold and not by where they lie: a digest of each one's index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vidvton.errors import MisuseError

from .config import Data
from .shards import digest_of_index

KINDS = ("train", "images", "validation")
SHOWN = 12  # letters of a digest that a message shows

Record = dict[str, list[dict[str, str]]]
"""For each of KINDS the sets in their order, each {"folder", "index"}: where it lay and the SHA-256 of its index.json."""


def record_of(data: Data) -> Record:
    """The record of the finished sets that `data` names. MisuseError where a set to look at is also trained on."""
    record: Record = {
        kind: [{"folder": folder, "index": digest_of_index(Path(folder))} for folder in getattr(data, kind)] for kind in KINDS
    }
    learned = {one["index"]: one["folder"] for kind in ("train", "images") for one in record[kind]}
    for one in record["validation"]:
        if one["index"] in learned:
            raise MisuseError(
                f"data.validation names {one['folder']}, whose samples are trained on ({learned[one['index']]}); give another "
                "set, or keep a share of the clips from training with data.held_out"
            )
    return record


def write_record(record: Record) -> str:
    """The record as JSON text."""
    return json.dumps(record, indent=1) + "\n"


def check_record(path: Path, now: Record) -> list[str]:
    """What to say where the run whose record is the file `path` goes on with the sets of `now`: nothing where they hold the same,
    wherever they lie, and where no record was kept; a sentence where those to look at differ.

    MisuseError, naming the first, where those to train on differ or stand in another order.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise MisuseError(f"the run's own record {path} cannot be read ({error}); choose another --out") from error
    for kind in ("train", "images"):
        for text in _differences(kind, before.get(kind, []), now[kind]):
            raise MisuseError(f"{path.parent} was begun with other data ({text}); give the same set again, or another --out")
    texts = list(_differences("validation", before.get("validation", []), now["validation"]))
    return [f"other held-out data than before ({texts[0]}): their numbers do not compare with the earlier ones"] if texts else []


def _differences(kind: str, before: list[dict[str, str]], now: list[dict[str, str]]) -> Iterator[str]:
    if len(before) != len(now):
        yield f"data.{kind} had {len(before)} sets, has {len(now)}"
        return
    for number, (old, new) in enumerate(zip(before, now)):
        if old["index"] != new["index"]:
            was, now_is = (f"{one['folder']} with index {one['index'][:SHOWN]}" for one in (old, new))
            yield f"data.{kind}.{number} was {was}, is {now_is}"
