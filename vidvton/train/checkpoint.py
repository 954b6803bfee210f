"""Checkpoints: folders of safetensors and JSON that are whole or absent, whichever process dies when.

step-00000120/
    model.safetensors                   all tensors; or model-00000-of-00002.safetensors ..., rows of each, a file a process
    ema.safetensors optimizer.safetensors
    state.json                          step, counts, configuration, versions
    manifest.json                       size and SHA-256 of every file; written last, so what it lists is complete

A folder is written beside its place, flushed, and renamed; older ones go last. Any number of processes can load what any number
wrote. Pickles are neither written nor read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from vidvton.errors import VidvtonError
from vidvton.media.files import remove
from vidvton.models.config import ModelConfig

from .processes import Processes

FORMAT = 1
_NAME = re.compile(r"step-(\d{8})")
_PIECE = re.compile(r"(\w+)-(\d{5})-of-(\d{5})\.safetensors")


def folder_of(root: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return root / f"step-{step:08d}"


def save_checkpoint(
    root: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any], processes: Processes
) -> Path:
    """Writes the checkpoint of `step` below `root` and returns its folder; all processes call it together.

    `tensors` maps file stems to named tensors; those that are DTensors sharded over processes are written in pieces, all others
    by the first process. VidvtonError on every process where one of them cannot write; earlier checkpoints then stand as they
    were.
    """
    final = folder_of(root, step)
    part = root / f".{final.name}.part"
    problem: Exception | None = None
    if processes.is_first:
        try:
            remove(part)
            part.mkdir(parents=True)
        except OSError as error:
            problem = error
    processes.wait()
    if problem is None:
        try:
            _write_own(part, tensors, processes)
            if processes.is_first:
                _write_json(part / "state.json", dict(facts) | {"format": FORMAT, "step": step})
        except (OSError, SafetensorError) as error:
            problem = error
    fine = processes.all_agree(problem is None)
    if fine and processes.is_first:
        try:
            _finish(part, final)
        except OSError as error:
            problem = error
    if not processes.all_agree(problem is None):
        if processes.is_first and part.is_dir():
            remove(part)
        raise VidvtonError(_refusal(root, step, problem)) from problem
    return final


def prune(root: Path, step: int, *, keep: int, also: Iterable[int] = ()) -> None:
    """Deletes all but the newest `keep` checkpoints up to `step` and those of the steps in `also`, and what killed runs left
    half written."""
    kept = {s for s in also if s <= step} | set(sorted((s for s in steps_in(root) if s <= step), reverse=True)[:keep])
    for found in steps_in(root):
        if found not in kept:
            # Its manifest goes first: a folder half deleted must not pass for a checkpoint.
            (folder_of(root, found) / "manifest.json").unlink(missing_ok=True)
            remove(folder_of(root, found))
    for leftover in root.glob(".step-*.part"):
        remove(leftover)


def find_newest(root: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint below `root` whose manifest verifies, or None, and a sentence for each newer one that was skipped."""
    notes = []
    for step in sorted(steps_in(root), reverse=True):
        folder = folder_of(root, step)
        damage = verify(folder)
        if damage is None:
            return folder, notes
        notes.append(f"skipping checkpoint {folder.name}: {damage}")
    return None, notes


def verify(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None: every file that its manifest lists must be there, of that size and hash."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["format"] != FORMAT:
            return f"it is of format {manifest['format']}, expected {FORMAT}"
        if not files or manifest["digest"] != _digest_of(files):
            return "manifest.json is damaged"
        for name, fact in files.items():
            path = folder / Path(name).name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != fact["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, expected {fact['bytes']}"
            if _hash(path) != fact["sha256"]:
                return f"{name} does not have the hash that the manifest gives"
    except FileNotFoundError:
        return "it has no manifest.json"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "manifest.json cannot be read"
    return None


def read_facts(folder: Path) -> dict[str, Any]:
    """The checkpoint's state.json."""
    return json.loads((folder / "state.json").read_text(encoding="utf-8"))


def read_architecture(folder: Path) -> ModelConfig:
    """The architecture of the network whose weights the checkpoint holds."""
    return ModelConfig.model_validate_json(json.dumps(read_facts(folder)["architecture"]))


def averaged(folder: Path) -> TensorFile:
    """The checkpoint's averaged weights, or its own where no average was kept."""
    try:
        return TensorFile(folder, "ema")
    except FileNotFoundError:
        return TensorFile(folder, "model")


@dataclass(frozen=True)
class _Piece:
    path: Path
    name: str
    start: int
    rows: int


@dataclass(frozen=True)
class _Stored:
    shape: tuple[int, ...]
    pieces: tuple[_Piece, ...]


class TensorFile:
    """The tensors of one stem ("model") of a checkpoint, wherever their rows lie. Nothing is read until it is asked for."""

    def __init__(self, folder: Path, stem: str) -> None:
        """FileNotFoundError where the checkpoint has no such stem."""
        paths = sorted(p for p in folder.glob(f"{stem}*.safetensors") if _stem_of(p) == stem)
        if not paths:
            raise FileNotFoundError(folder / f"{stem}.safetensors")
        self._stored: dict[str, _Stored] = {}
        self._files = {path: safe_open(path, framework="pt") for path in paths}  # opened once: opening reads all its names
        for path, file in self._files.items():
            layout = json.loads((file.metadata() or {}).get("rows", "{}"))
            for name in file.keys():
                own = tuple(file.get_slice(name).get_shape())
                start, shape = layout.get(name, (0, own))
                piece = _Piece(path, name, start, own[0] if own else 1)
                before = self._stored.get(name)
                self._stored[name] = _Stored(tuple(shape), (*(before.pieces if before else ()), piece))

    def names(self) -> list[str]:
        return sorted(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """The whole tensor's shape."""
        return self._stored[name].shape

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of the whole tensor; not to be written to: the next who asks may get the same memory."""
        found = []
        for piece in sorted(self._stored[name].pieces, key=lambda p: p.start):
            low, high = max(start, piece.start), min(stop, piece.start + piece.rows)
            if low < high:
                found.append(self._files[piece.path].get_slice(name)[low - piece.start : high - piece.start])
        return torch.cat(found) if len(found) != 1 else found[0]

    def whole(self, name: str) -> Tensor:
        stored = self._stored[name]
        if stored.shape:
            return self.rows(name, 0, stored.shape[0])
        return self._files[stored.pieces[0].path].get_tensor(name)

    def into(self, name: str, target: Tensor) -> None:
        """Copies the stored values into `target`, only its own rows where it is sharded. ValueError for another shape."""
        if self.shape(name) != tuple(target.shape):
            raise ValueError(f"{name} has shape {list(self.shape(name))}, expected {list(target.shape)}")
        with torch.no_grad():
            if isinstance(target, DTensor):
                local, start = local_rows(target)
                if len(local):
                    local.copy_(self.rows(name, start, start + len(local)))
            else:
                target.copy_(self.whole(name))


def local_rows(tensor: DTensor) -> tuple[Tensor, int]:
    """This process's rows of a tensor sharded along its first axis, and the number of the first. They are views."""
    local = tensor.to_local()
    placement = tensor.placements[0]
    if len(tensor.placements) != 1 or not placement.is_shard(0):
        raise ValueError(f"expected a tensor sharded along its first axis alone, got placements {tensor.placements}")
    chunk = -(-tensor.shape[0] // tensor.device_mesh.size())  # torch.chunk's size, which FSDP2 uses
    return local, min(chunk * tensor.device_mesh.get_local_rank(), tensor.shape[0])


def _stem_of(path: Path) -> str:
    piece = _PIECE.fullmatch(path.name)
    return piece[1] if piece else path.stem


def steps_in(root: Path) -> list[int]:
    """The steps of all checkpoints below `root`, in no order, whether or not they verify; none where there is no such folder."""
    if not root.is_dir():
        return []
    return [int(found[1]) for path in root.iterdir() if (found := _NAME.fullmatch(path.name)) and path.is_dir()]


def _write_own(part: Path, tensors: Mapping[str, Mapping[str, Tensor]], processes: Processes) -> None:
    """This process's files, flushed, and a note of their hashes for the manifest."""
    hashes = {}
    for stem, named in tensors.items():
        sharded = any(isinstance(t, DTensor) for t in named.values())
        if not sharded and not processes.is_first:
            continue
        own: dict[str, Tensor] = {}
        layout = {}
        for name, tensor in named.items():
            if isinstance(tensor, DTensor):
                local, start = local_rows(tensor)
                if len(local):
                    own[name] = local.detach().contiguous()
                    layout[name] = (start, list(tensor.shape))
            elif processes.is_first:
                own[name] = tensor.detach().contiguous()
        name = f"{stem}-{processes.rank:05d}-of-{processes.count:05d}.safetensors" if sharded else f"{stem}.safetensors"
        save_file({key: own[key].cpu() for key in sorted(own)}, part / name, metadata={"rows": json.dumps(layout)})
        _flush(part / name)
        hashes[name] = {"bytes": (part / name).stat().st_size, "sha256": _hash(part / name)}
    _write_json(part / f".hashes-{processes.rank:05d}", hashes)


def _finish(part: Path, final: Path) -> None:
    """Manifest last, then the name."""
    state = part / "state.json"
    files = {state.name: {"bytes": state.stat().st_size, "sha256": _hash(state)}}
    for note in sorted(part.glob(".hashes-*")):
        files |= json.loads(note.read_text(encoding="utf-8"))
        note.unlink()
    _write_json(part / "manifest.json", {"format": FORMAT, "files": files, "digest": _digest_of(files)})
    _flush(part)
    if final.exists():  # it is there because it did not verify when this run began
        remove(final)
    os.rename(part, final)
    _flush(final.parent)


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")
    _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(files: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _refusal(root: Path, step: int, problem: Exception | None) -> str:
    stands, _ = find_newest(root)
    kept = f"the checkpoint of step {int(stands.name[5:])} stands" if stands else "no earlier checkpoint stands"
    if problem is None:
        return f"the checkpoint of step {step} could not be written by another process; {kept}"
    text = str(problem)
    if "os error 28" in text or "No space left" in text or getattr(problem, "errno", None) == 28:
        free = shutil.disk_usage(root).free >> 20 if root.is_dir() else 0
        return (
            f"the disk is full ({free} MiB free), the checkpoint of step {step} could not be written; {kept}: free some space "
            "and run the same command again"
        )
    return f"the checkpoint of step {step} could not be written ({text}); {kept}"
