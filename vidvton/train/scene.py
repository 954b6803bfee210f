"""One training sample before it is sized: a span of frames with all that is known of them, to bytes and back.

Pictures lose a little (H.264 at 43 dB, JPEG of quality 95); region, alpha, points and landmarks are exact.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ..errors import VidvtonError
from ..media.film import write_film
from ..media.jpeg import read_jpeg, write_jpeg
from ..media.random_access import agree, open_film
from ..values import Garment, Layout

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Scene:
    """T frames of one shot, all of one size.

    `truth` [T, 3, H, W] uint8 is what the network must produce, `source` the frames it is given (the same tensor where the
    garment is the one worn); `region` [T, 1, H, W] bool; `keypoints` [T, 33, 3] float32 pixels and scores; `warped` [T, 3, H,
    W] uint8 the frames as the warp engine dresses them (not multiplied), where `alpha` [T, 1, H, W] uint8 says that it knows;
    `garments` worn in `truth`. `name` is the source's, `group` what shares a person or a recording and must not be parted
    between training and validation."""

    name: str
    group: str
    truth: Tensor
    source: Tensor
    region: Tensor
    keypoints: Tensor
    warped: Tensor
    alpha: Tensor
    garments: tuple[Garment, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.truth.shape[2], self.truth.shape[3]

    def __post_init__(self) -> None:
        t, _, h, w = self.truth.shape
        wanted = {
            "truth": (t, 3, h, w), "source": (t, 3, h, w), "region": (t, 1, h, w), "keypoints": (t, 33, 3),
            "warped": (t, 3, h, w), "alpha": (t, 1, h, w),
        }  # fmt: skip
        for name, shape in wanted.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"Scene.{name} is {list(getattr(self, name).shape)}, expected {list(shape)}")


def encode_scene(scene: Scene) -> dict[str, bytes]:
    """The members of a scene in a shard, name -> bytes. The pictures of a frame stand one above the other in one film: a film is
    opened once, which for a single frame is most of the work."""
    pictures = {"truth": scene.truth}
    if scene.source is not scene.truth:
        pictures["source"] = scene.source
    if bool(scene.alpha.any()):
        pictures["warped"] = scene.warped
    film = write_film(torch.cat(list(pictures.values()), 2))
    planes = {"keypoints": scene.keypoints.float().contiguous()}
    planes |= _rows("region", [np.packbits(r.numpy()).tobytes() for r in scene.region])
    planes |= _rows("alpha", [a.numpy().tobytes() for a in scene.alpha])
    garments = []
    shop = {}
    for g, garment in enumerate(scene.garments):
        shop[f"garment{g}.jpg"] = write_jpeg(garment.image)
        planes |= _rows(f"garment{g}_alpha", [(garment.alpha * 255).round().to(torch.uint8).numpy().tobytes()])
        planes |= _rows(f"garment{g}_parts", [garment.parts.numpy().tobytes()])
        planes[f"garment{g}_landmarks"], planes[f"garment{g}_fabric"] = (
            garment.landmarks.contiguous(),
            garment.fabric.contiguous(),
        )
        garments.append({"category": garment.category, "layout": vars(garment.layout), "size": list(garment.alpha.shape)})
    facts = {
        "name": scene.name, "group": scene.group, "frames": len(scene), "size": list(scene.size), "garments": garments,
        "pictures": list(pictures), "exact": agree(film),
    }  # fmt: skip
    return {"facts.json": json.dumps(facts).encode(), "frames.mp4": film, "planes.safetensors": save_tensors(planes), **shop}


def decode_scene(facts: Mapping, read: Read, numbers: Sequence[int], *, backend: str = "pyav") -> Scene:
    """Frames `numbers` of a stored scene; `read` gives a member's bytes, `backend` as in `random_access.open_film`. VidvtonError
    where what is stored does not fit together."""
    try:
        return _decode(facts, read, numbers, backend)
    except (KeyError, ValueError, TypeError, IndexError, zlib.error, RuntimeError, SafetensorError) as problem:
        raise VidvtonError(f"the stored sample {facts.get('name')} is damaged ({problem}); prepare the set again") from problem


def _decode(facts: Mapping, read: Read, numbers: Sequence[int], backend: str) -> Scene:
    height, width = facts["size"]
    planes = load_tensors(read("planes.safetensors"))
    packed = _picked(planes, "region", numbers)
    bits = np.stack([np.unpackbits(row, count=height * width) for row in packed])
    region = torch.from_numpy(bits.astype(bool)).reshape(-1, 1, height, width)
    alpha = torch.from_numpy(np.stack(_picked(planes, "alpha", numbers))).reshape(-1, 1, height, width)
    film = open_film(read("frames.mp4"), backend=backend).frames(numbers)
    told = tuple(facts["pictures"])
    if film.shape[2:] != (height * len(told), width) or "truth" not in told:
        raise ValueError(f"its film is {film.shape[3]}x{film.shape[2]}, expected {width}x{height} for each of {', '.join(told)}")
    pictures = dict(zip(told, film.split(height, 2)))
    truth = pictures["truth"]
    nothing = torch.zeros(1, dtype=torch.uint8).expand(len(numbers), 3, height, width)
    source, warped = pictures.get("source", truth), pictures.get("warped", nothing)
    garments = tuple(_garment(g, told, planes, read) for g, told in enumerate(facts["garments"]))
    keypoints = planes["keypoints"][list(numbers)]
    return Scene(facts["name"], facts["group"], truth, source, region, keypoints, warped, alpha, garments)


def _garment(g: int, told: Mapping, planes: Mapping[str, Tensor], read: Read) -> Garment:
    height, width = told["size"]

    def plane(word: str) -> Tensor:
        return torch.from_numpy(_picked(planes, f"garment{g}_{word}", [0])[0].copy()).reshape(height, width)

    return Garment(
        image=read_jpeg(read(f"garment{g}.jpg")),
        alpha=plane("alpha").float() / 255,
        parts=plane("parts"),
        category=told["category"],
        landmarks=planes[f"garment{g}_landmarks"],
        layout=Layout(**told["layout"]),
        fabric=planes[f"garment{g}_fabric"],
    )


def _rows(name: str, rows: Sequence[bytes]) -> dict[str, Tensor]:
    """Rows of bytes, each packed by itself, as one tensor and where each ends."""
    blobs = [zlib.compress(row, 6) for row in rows]
    data = np.frombuffer(b"".join(blobs), np.uint8).copy()
    ends = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
    return {f"{name}_data": torch.from_numpy(data), f"{name}_ends": torch.from_numpy(ends)}


def _picked(planes: Mapping[str, Tensor], name: str, numbers: Sequence[int]) -> list[np.ndarray]:
    data, ends = planes[f"{name}_data"].numpy(), planes[f"{name}_ends"].tolist()
    starts = [0, *ends]
    rows = []
    for n in numbers:
        box = zlib.decompressobj()
        rows.append(np.frombuffer(box.decompress(data[starts[n] : ends[n]].tobytes(), 1 << 27), np.uint8))
    return rows
