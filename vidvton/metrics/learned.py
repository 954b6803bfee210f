"""Metrics that see with networks: what each looks at, at which size, and how it is read. Weights come from files, always."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import MisuseError
from .block_measures import Entry, Moment
from .blocks import Block
from .inception import load_inception
from .perceptual import SMALLEST, Lpips, load_lpips
from .places import places_of
from .series import TRUTH, Features
from .table import FRAME
from .video_networks import load_i3d, load_resnext
from .vision_transformer import load_transformer
from .weight_files import is_script


@dataclass(frozen=True)
class Window:
    """How a metric over sets cuts clips: `length` frames at `size` x `size` (squashed, antialiased bilinear), end to end.

    `legacy`: as the public VVT script reads them, whose reader seeks to the start every time and hands on what OpenCV decoded:
    the first window only, its channels BGR.
    """

    network: str
    length: int
    size: int
    legacy: bool = False


WINDOWS = {
    "vfid10-i3d": Window("i3d", 10, 224, legacy=True),
    "vfid10-resnext": Window("resnext", 10, 224, legacy=True),
    "vfid-i3d": Window("i3d", 10, 224),
    "vfid-resnext": Window("resnext", 10, 224),
    "fvd": Window("fvd", 16, 256),
}
_BACKBONES = {"lpips-alex": "alex", "lpips-vgg": "vgg", "lpips-squeeze": "squeeze"}
_SINGLE = {"tlp": "lpips-alex", "clip-f": "clip", "dino-consistency": "dino", "fid": "inception", "kid": "inception"}
_CLIP = torch.tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])[..., None, None]
_IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]


def load_network(key: str, path: Path) -> Callable[[Tensor], Tensor]:
    """The network of a key of `table.WEIGHTS`. "i3d", "resnext", "fvd" and "inception" also take a TorchScript archive, which is
    called with what our own network would get and has to give [B, D]. MisuseError for a file that does not fit."""
    if key in _BACKBONES:
        return load_lpips(_BACKBONES[key], path)
    if key in ("clip", "dino"):
        return load_transformer(path, clip=key == "clip")
    if path.is_file() and is_script(path):
        return _load_script(path)
    return {"i3d": load_i3d, "fvd": load_i3d, "resnext": load_resnext, "inception": load_inception}[key](path)


def _load_script(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise MisuseError(f"the weights {path} cannot be read as TorchScript ({str(error).splitlines()[0][:120]})") from None
    words = {argument.name for argument in script.forward.schema.arguments}
    # The I3D and Inception archives of StyleGAN-V and StyleGAN give class scores unless they are asked for features.
    asked = {"return_features": True} | ({"rescale": False, "resize": True} if "rescale" in words else {})
    asked = {word: value for word, value in asked.items() if word in words}

    def see(x: Tensor) -> Tensor:
        features = script(x, **asked)
        if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(x):
            raise MisuseError(f"the TorchScript {path} did not give one row of features per input")
        return features.flatten(2).mean(2) if features.ndim > 2 else features

    return see


class Seeing:
    """The networks at work on one clip, block after block: entries of per-frame metrics, and features for those over sets."""

    def __init__(self, names: Sequence[str], weights: Mapping[str, Path], videos: Sequence[str], *, truth: bool) -> None:
        self.names, self.videos = frozenset(names), tuple(videos)
        self.everyone = (*self.videos, *([TRUTH] if truth else []))
        keys = {WINDOWS[name].network for name in names if name in WINDOWS} | (set(_BACKBONES) & self.names)
        keys |= {key for name, key in _SINGLE.items() if name in self.names}
        self.networks = {key: load_network(key, Path(weights[key])) for key in sorted(keys)}
        self.held: dict[tuple[int, str], list[Tensor]] = defaultdict(list)
        self.rows: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        self.last: dict[tuple[str, str], object] = {}

    def look(self, block: Block) -> list[Entry]:
        """What the per-frame metrics find in a block; blocks have to come in order."""
        entries: list[Entry] = []
        if not self.networks:
            return entries
        with torch.inference_mode():
            for row in range(block.lead, len(block.piece)):
                moment = Moment(block, row)
                self._perceive(moment, entries)
                self._liken(moment, entries)
                self._gather(moment)
        return entries

    def features(self) -> list[Features]:
        """The features of the whole clip, for metrics over sets."""
        return [Features(name, of, np.concatenate(rows)) for (name, of), rows in self.rows.items()]

    def _perceive(self, moment: Moment, entries: list[Entry]) -> None:
        """LPIPS against the truth and tLP."""
        for key in (key for key in _BACKBONES if key in self.networks):
            network: Lpips = self.networks[key]
            if min(moment.piece.size) < SMALLEST:
                continue
            seen = {of: network.see(moment.picture(of)[None]) for of in self.everyone}
            if key in self.names:
                for of in self.videos:
                    distances = list(network.between(seen[of], seen[TRUTH]))
                    for where, mask in places_of(moment.region(), moment.piece.size).items():
                        total = _masked_sum(distances, mask)
                        known = not np.isnan(total)
                        entries.append((key, of, where, moment.frame, total if known else 0.0, float(known)))
            if key == "lpips-alex" and "tlp" in self.names:
                before, self.last["tlp", ""] = self.last.get(("tlp", "")), seen
                if before is not None:
                    steps = {of: sum(float(d.mean()) for d in network.between(before[of], seen[of])) for of in self.everyone}
                    for of in self.videos:
                        entries.append(("tlp", of, FRAME, moment.frame, 100 * abs(steps[of] - steps[TRUTH]), 1.0))

    def _liken(self, moment: Moment, entries: list[Entry]) -> None:
        """CLIP-F and DINO consistency."""
        for name, key in (("clip-f", "clip"), ("dino-consistency", "dino")):
            if name not in self.names:
                continue
            for of in self.videos:
                shown = for_clip(moment.picture(of)) if key == "clip" else for_dino(moment.picture(of))
                token = F.normalize(self.networks[key](shown[None])[0], dim=0)
                first, before = self.last.get((name, of), (token, None))
                self.last[name, of] = first, token
                if before is not None:
                    value = float(token @ before)
                    if key == "dino":  # VBench takes the mean of the likeness to the first frame and to the one before
                        value = (max(value, 0.0) + max(float(token @ first), 0.0)) / 2
                    entries.append((name, of, FRAME, moment.frame, value, 1.0))

    def _gather(self, moment: Moment) -> None:
        """Features for metrics over sets, each frame or window on its own, so that no batch size can matter."""
        for of in self.everyone:
            if "inception" in self.networks:
                row = self.networks["inception"](moment.picture(of)[None]).float().numpy()
                for name in ("fid", "kid"):
                    if name in self.names:
                        self.rows[name, of].append(row)
            for length, size in sorted({(w.length, w.size) for name, w in WINDOWS.items() if name in self.names}):
                held = self.held[length, of]
                held.append(squashed(moment.picture(of), size))
                if len(held) == length:
                    self._see_window(torch.stack(held, 1)[None], of, length, first=moment.frame + 1 == length)
                    held.clear()

    def _see_window(self, window: Tensor, of: str, length: int, *, first: bool) -> None:
        for name, how in WINDOWS.items():
            if name in self.names and how.length == length and (first or not how.legacy):
                shown = window.flip(1) if how.legacy else window
                self.rows[name, of].append(self.networks[how.network](shown * 2 - 1).float().numpy())


def _masked_sum(distances: list[Tensor], mask: Tensor | None) -> float:
    """Sum over taps of the mean of `distances` [1, h, w] where `mask` [H, W] is, by its share of each of the taps' pixels."""
    if mask is None:
        return sum(float(d.mean()) for d in distances)
    if not bool(mask.any()):
        return float("nan")
    total = 0.0
    for d in distances:
        share = F.adaptive_avg_pool2d(mask.float()[None, None], d.shape[1:])[0]
        total += float((d * share).sum() / share.sum())
    return total


def squashed(picture: Tensor, size: int) -> Tensor:
    """[3, size, size] of a picture [3, H, W] float 0-1, sides stretched each on its own (what VFID's and FVD's scripts do)."""
    return F.interpolate(picture[None], size=(size, size), mode="bilinear", align_corners=False, antialias=True)[0]


def for_clip(picture: Tensor) -> Tensor:
    """[3, 224, 224] as CLIP wants it: shorter side to 224 (antialiased bicubic), the middle cut out, normalised."""
    small = _shorter_side(picture, 224, "bicubic")
    top, left = (small.shape[1] - 224) // 2, (small.shape[2] - 224) // 2
    return (small[:, top : top + 224, left : left + 224].clamp(0, 1) - _CLIP[0]) / _CLIP[1]


def for_dino(picture: Tensor) -> Tensor:
    """[3, h, w] as VBench shows DINO a frame: shorter side to 224 (bilinear), nothing cut, normalised; the network leaves out
    what is less than a patch."""
    return (_shorter_side(picture, 224, "bilinear") - _IMAGENET[0]) / _IMAGENET[1]


def _shorter_side(picture: Tensor, side: int, mode: str) -> Tensor:
    height, width = picture.shape[1:]
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    return F.interpolate(picture[None], size=size, mode=mode, align_corners=False, antialias=mode == "bicubic")[0]
