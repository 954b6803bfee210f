"""Sets of made clips on disk: the studio's clips in ViViD's folder layout, with their truth, resumable and in several processes.

OUT/manifest.json                       what the whole set was made from
OUT/clips/000007.json                   one clip's whole script; written last, so a clip that has it is complete
OUT/{upper_body,lower_body,dresses}/    by what the shop sells, and in each, paired by file stem:
    videos/*.mp4  images/*.png  cloth_mask/*.png        the clip, the shop's front view and its mask
    images_back/*.png  cloth_mask_back/*.png            the shop's back view
    agnostic/*.mp4  agnostic_mask/*.mp4                 what a try-on model is given
    densepose/*.mp4                                     body parts as ViViD draws them: viridis(part * 255 / 24)
    truth/*.npz                                         every array of synth.truth.Truth, and the masks of the two variants
    videos_other_garment/*.mp4  images_other_garment/*.png  cloth_mask_other_garment/*.png
    videos_other_person/*.mp4                           the same motion, camera, light and noise, dressed or cast anew
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidvton import __version__
from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.images import write_image
from vidvton.media.info import ClipInfo
from vidvton.media.writer import VideoWriter
from vidvton.progress import Progress
from vidvton.synth.clip import SynthClip, agnostic_frames, make_clip, make_frames, make_shop_pictures
from vidvton.synth.scene import Script, check_size, from_json, to_json, with_another_garment, with_another_person, write_script
from vidvton.synth.truth import FLOW_STEP, camera_table, name_of_fields
from vidvton.values import Clip

FOLDERS = {"upper": "upper_body", "lower": "lower_body", "full": "dresses"}
FORMAT = 1
"""Number of the layout; a set of another number is not continued."""


@dataclass(frozen=True)
class SetPlan:
    """What a set is made from. `size` (height, width); `variants` also makes the clip with another garment and another
    person; `motion`,
    `garment`, `place` fix those words for all clips."""

    seed: int = 0
    frames: int = 64
    size: tuple[int, int] = (512, 384)
    fps: float = 25.0
    variants: bool = True
    motion: str | None = None
    garment: str | None = None
    place: str | None = None


def make_dataset(out: Path, plan: SetPlan, *, clips: int, workers: int = 0, overwrite: bool = False) -> Iterator[Progress]:
    """Makes clips 0 to `clips` - 1 of a set in `out`, telling after each how many frames stand; clips that stand already are
    kept.

    `workers` processes work side by side (0: one per processor). The same plan gives the same files on the same machine,
    whatever the
    number of processes. MisuseError for a plan that cannot be made or an `out` that holds another set; VidvtonError for a
    full disk.
    """
    if clips < 1:
        raise MisuseError(f"a set of {clips} clips cannot be made; ask for at least 1")
    if workers < 0:
        raise MisuseError(f"{workers} worker processes cannot be used; give 0 for one per processor, or a positive number")
    if plan.seed < 0:
        raise MisuseError(f"the seed {plan.seed} is negative; give a whole number from 0 up")
    check_size(plan.size)
    plan_script(plan, 0)
    _open_set(out, plan, overwrite=overwrite)
    missing = [i for i in range(clips) if not _stands(out, i)]
    done = clips - len(missing)
    yield Progress("clips", done * plan.frames, clips * plan.frames)
    if not missing:
        return
    # A fresh process per clip, forked from one that has the libraries loaded: x264's bytes depend on what a process encoded
    # before.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vidvton.studio"])
    count = min(workers or os.cpu_count() or 1, len(missing))
    with context.Pool(count, maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(_make_one, [(out, plan, i) for i in missing]):
            done += 1
            yield Progress("clips", done * plan.frames, clips * plan.frames)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of a size written HEIGHTxWIDTH; MisuseError for anything else."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise MisuseError(f"the size {text!r} cannot be read; write height x width in pixels, for example 512x384")
    return int(height), int(width)


def plan_script(plan: SetPlan, index: int) -> Script:
    """The script of one clip of a set."""
    return write_script(
        plan.seed,
        index,
        frames=plan.frames,
        size=plan.size,
        fps=plan.fps,
        motion=plan.motion,
        garment=plan.garment,
        place=plan.place,
    )


def _open_set(out: Path, plan: SetPlan, *, overwrite: bool) -> None:
    """Makes the folder and its manifest, or checks that the one there is of the same plan."""
    manifest = out / "manifest.json"
    facts = {
        "format": FORMAT,
        "made_by": f"vidvton {__version__}",
        "plan": asdict(plan),
        "flow_step": FLOW_STEP,
        "truth": name_of_fields(),
    }
    mine = json.loads(json.dumps(facts))
    try:
        if manifest.exists() and not overwrite:
            there = json.loads(manifest.read_text())
            if there.get("plan") != mine["plan"] or there.get("format") != FORMAT:
                raise MisuseError(f"{out} holds a set made from other settings; give those, another folder, or --overwrite")
            return
        if out.exists() and not out.is_dir():
            raise MisuseError(f"{out} is a file; give a folder for the set")
        if out.is_dir() and any(out.iterdir()) and not manifest.exists():
            raise MisuseError(f"{out} is not empty and holds no set; give an empty or a new folder")
        for note in (out / "clips").glob("*.json") if overwrite else ():
            note.unlink()
        (out / "clips").mkdir(parents=True, exist_ok=True)
        _write_text(manifest, json.dumps(mine, indent=1))
    except json.JSONDecodeError:
        raise MisuseError(f"{manifest} cannot be read; give another folder, or --overwrite") from None
    except OSError as error:
        raise _explained(error, out) from error


def _explained(error: OSError, out: Path) -> VidvtonError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return VidvtonError(
            f"the disk that holds {out} is full; free some space and run the same command again, it goes on from there"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return VidvtonError(f"{out} cannot be written to; choose a folder you may write in")
    return VidvtonError(f"{out}: {error.strerror or error}; nothing is lost, run the same command again")


def _stands(out: Path, index: int) -> bool:
    return (out / "clips" / f"{index:06d}.json").exists()


def _make_one(job: tuple[Path, SetPlan, int]) -> int:
    """One clip, in a process of its own."""
    out, plan, index = job
    torch.set_num_threads(1)
    try:
        make_one(out, plan, index)
    except OSError as error:
        raise _explained(error, out) from error
    return index


def make_one(out: Path, plan: SetPlan, index: int) -> Path:
    """Makes clip `index` of a set, whatever else is there; its note, which says it is complete, comes last. Returns the
    note's path."""
    script = plan_script(plan, index)
    name, home = f"{index:06d}", out / FOLDERS[script.target.category]
    clip = make_clip(script)
    extra: dict[str, np.ndarray] = {}
    scripts = {"script": to_json(script)}
    _write_clip(home, name, clip)
    _write_shop(home, name, script, "", both=True)
    if plan.variants:
        for word, other in (
            ("other_garment", with_another_garment(script, index)),
            ("other_person", with_another_person(script, index)),
        ):
            frames, worn, light = make_frames(other)
            _write_video(home / f"videos_{word}" / f"{name}.mp4", frames, script.fps)
            extra[f"{word}_mask"], extra[f"{word}_light"] = worn.numpy(), light.numpy()
            scripts[word] = to_json(other)
            if word == "other_garment":
                _write_shop(home, name, other, f"_{word}", both=False)
    arrays = {field: getattr(clip.truth, field).numpy() for field in name_of_fields()} | extra
    _write_arrays(home / "truth" / f"{name}.npz", arrays)
    note = out / "clips" / f"{name}.json"
    facts = {"id": name, "folder": home.name, "category": script.target.category, "frames": len(clip.frames)}
    facts |= scripts | {"camera": camera_table(clip.shot.camera)}
    _write_text(note, json.dumps(facts, indent=1))
    return note


def _write_clip(home: Path, name: str, clip: SynthClip) -> None:
    region, fps = clip.truth.region, clip.script.fps
    _write_video(home / "videos" / f"{name}.mp4", clip.frames, fps)
    _write_video(home / "agnostic" / f"{name}.mp4", agnostic_frames(clip.frames, region), fps)
    _write_video(home / "agnostic_mask" / f"{name}.mp4", (region[:, None] * 255).to(torch.uint8).expand(-1, 3, -1, -1), fps)
    _write_video(home / "densepose" / f"{name}.mp4", _viridis(clip.truth.part), fps)


def _write_shop(home: Path, name: str, script: Script, suffix: str, *, both: bool) -> None:
    height = min(1024, max(256, 2 * script.size[0]))
    front, back = make_shop_pictures(script, (height, height * 3 // 4))
    for picture, side in ((front, ""), (back, "_back"))[: 2 if both else 1]:
        _write_picture(home / f"images{side}{suffix}" / f"{name}.png", picture.image)
        mask = ((picture.alpha * 255).round().to(torch.uint8))[None].expand(3, -1, -1)
        _write_picture(home / f"cloth_mask{side}{suffix}" / f"{name}.png", mask)
        if side == "" and suffix == "":
            _write_arrays(
                home / "truth" / f"{name}.garment.npz",
                {
                    "parts": picture.parts.numpy(),
                    "landmarks": picture.landmarks.numpy(),
                    "to_pixels": np.array(picture.to_pixels),
                },
            )


def _write_video(path: Path, frames: Tensor, fps: float) -> None:
    """`frames` [T, 3, H, W] uint8 as H.264 good enough to measure on (crf 12; slower presets of x264 gave other bytes now
    and then)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = Fraction(fps).limit_denominator(1001)
    height, width = frames.shape[2:]
    info = ClipInfo(path, "video", width, height, 1 / rate, rate, len(frames), "h264", "yuv420p")
    with VideoWriter(path, info, crf=12, preset="superfast", overwrite=True, sound=False) as writer:
        # Channels last, so that no copy of unlucky alignment lies between: swscale rounds differently on those.
        writer.write(Clip(frames.contiguous(memory_format=torch.channels_last), torch.arange(len(frames)), 1 / rate))


def _write_picture(path: Path, image: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image, overwrite=True)


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A .npz of arrays, quick compression, no clock in it: the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as box:
            for name, array in arrays.items():
                with box.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


_VIRIDIS = np.array([
    (68, 1, 84), (72, 20, 103), (71, 38, 118), (67, 55, 128), (61, 71, 135), (54, 86, 139), (47, 101, 141), (41, 115, 142),
    (36, 129, 142), (32, 143, 140),
    (32, 157, 136), (43, 170, 128), (67, 184, 117), (98, 195, 101), (134, 206, 80), (173, 215, 56), (213, 221, 33), (253,
    231, 37),
], np.float32)  # fmt: skip


def _viridis(part: Tensor) -> Tensor:
    """[T, 3, H, W] uint8 of body parts [T, H, W] 0-24, coloured as peers colour DensePose."""
    x = np.arange(25) / 24 * (len(_VIRIDIS) - 1)
    i = np.minimum(x.astype(int), len(_VIRIDIS) - 2)
    table = _VIRIDIS[i] + (_VIRIDIS[i + 1] - _VIRIDIS[i]) * (x - i)[:, None]
    return torch.from_numpy(table.round().astype(np.uint8))[part.long()].permute(0, 3, 1, 2)


def remake(note: Path) -> SynthClip:
    """The clip that a note of a set describes, made again in memory."""
    return make_clip(from_json(json.loads(note.read_text())["script"]))
