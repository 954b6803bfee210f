"""metrics.jsonl: one line of JSON for everything a run wants to be remembered, readable while it grows and after any kill."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The records of a journal; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [record for record in records if isinstance(record, dict) and isinstance(record.get("step"), int)]


class Journal:
    """Appends records to `path`, each with its step. What an earlier run wrote of steps after `step` is taken out first, for
    those steps are about to be done again."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [record for record in read_journal(path) if record["step"] <= step]
        part = path.with_name(f".{path.name}.part")
        part.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        os.replace(part, path)

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Adds one record {"step", "kind", ...}; numbers that JSON cannot hold become null."""
        record = {"step": step, "kind": kind} | {key: _plain(value) for key, value in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
