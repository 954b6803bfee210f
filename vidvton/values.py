"""The nouns that flow through vidvton. All are frozen; shapes and types are checked when one is made.

Axes: T frames, C channels, H W pixels, K keypoints, L landmarks. Order is [T, C, H, W]. Stored pictures are uint8 0-255,
computed ones float32 0-1. Points are (x, y) in pixels with pixel centres at +0.5; boxes are xyxy, half-open; colours RGB;
left and right are the person's own (in a front view the person's left is on the right of the picture).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from fractions import Fraction

import torch
from torch import Tensor

CATEGORIES = ("upper", "lower", "full")

CIHP_LABELS = (
    "background", "hat", "hair", "glove", "sunglasses", "upper", "dress", "coat", "socks", "pants",
    "torso_skin", "scarf", "skirt", "face", "left_arm", "right_arm", "left_leg", "right_leg", "left_shoe", "right_shoe",
)  # fmt: skip
LIP_LABELS = CIHP_LABELS[:10] + ("jumpsuit",) + CIHP_LABELS[11:]
LABEL_SETS = {"cihp": CIHP_LABELS, "lip": LIP_LABELS}


class Part(IntEnum):
    """A piece of a garment that follows its own piece of the body."""

    NONE = 0
    TORSO = 1
    LEFT_SLEEVE = 2
    RIGHT_SLEEVE = 3
    LEFT_LEG = 4
    RIGHT_LEG = 5
    SKIRT = 6


_UPPER = (
    "neck_left", "neck_centre", "neck_right",
    "shoulder_left", "shoulder_right", "armpit_left", "armpit_right",
    "sleeve_outer_left", "sleeve_inner_left", "sleeve_outer_right", "sleeve_inner_right",  # half way along the sleeve
    "cuff_outer_left", "cuff_inner_left", "cuff_outer_right", "cuff_inner_right",
    "waist_left", "waist_right", "hem_left", "hem_centre", "hem_right",
)  # fmt: skip
_LOWER = (
    "waist_left", "waist_centre", "waist_right", "hip_left", "hip_right", "crotch",
    "knee_outer_left", "knee_inner_left", "knee_outer_right", "knee_inner_right",
    "hem_outer_left", "hem_inner_left", "hem_outer_right", "hem_inner_right", "hem_centre",
)  # fmt: skip
LANDMARKS = {"upper": _UPPER, "lower": _LOWER, "full": _UPPER}
"""Names of the rows of `Garment.landmarks`, per category. A landmark a garment has not got (a skirt's crotch, a vest's cuff)
has score 0. For skirts the knee and inner hem rows have score 0 and the outer hem rows are the hem's ends; dresses use the
upper names, their hem at the skirt's end."""


def _check(value: object, name: str, shape: tuple[int | None, ...], dtype: torch.dtype) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch tensor, not {type(value).__name__}")
    ranks_differ = value.ndim != len(shape)
    if ranks_differ or any(want is not None and want != got for want, got in zip(shape, value.shape)):
        wanted = "[" + ", ".join("*" if n is None else str(n) for n in shape) + "]"
        raise ValueError(f"{name} has shape {list(value.shape)}, expected {wanted}")
    if value.dtype != dtype:
        raise TypeError(f"{name} is {value.dtype}, expected {dtype}")


@dataclass(frozen=True)
class Clip:
    """Frames with their times. `frames` [T, 3, H, W] uint8 RGB, `pts` [T] int64 ascending; a frame's time is `pts * time_base`
    seconds."""

    frames: Tensor
    pts: Tensor
    time_base: Fraction

    def __post_init__(self) -> None:
        _check(self.frames, "Clip.frames", (None, 3, None, None), torch.uint8)
        _check(self.pts, "Clip.pts", (len(self.frames),), torch.int64)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.frames.shape[2], self.frames.shape[3]

    def window(self, start: int, stop: int) -> Clip:
        """Frames `start` to `stop`, without a copy."""
        return Clip(self.frames[start:stop], self.pts[start:stop], self.time_base)


MEDIAPIPE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
"""The 33 points of a `PoseTrack`, in their order."""


@dataclass(frozen=True)
class PoseTrack:
    """Where one person is in every frame of a clip, without pictures (small: about a kilobyte a frame).

    `boxes` [T, 4] float32 xyxy around the whole body; `keypoints` [T, 33, 3] float32 (x, y, score 0-1) in MediaPipe's order;
    `depth` [T, 33] float32 in pixels, smaller is nearer to the camera; `yaw` [T] float32, the torso's turn about the vertical in
    radians (0 faces the camera, positive when the person has turned towards the picture's left, +-pi shows the back);
    `present` [T] bool; `quality` [T] float32 0-1; `shots` [T] int64, rising by one at every hard cut. Where `present` is False
    the geometry is zero and the scores are zero.
    """

    boxes: Tensor
    keypoints: Tensor
    depth: Tensor
    yaw: Tensor
    present: Tensor
    quality: Tensor
    shots: Tensor

    def __post_init__(self) -> None:
        n = len(self.boxes)
        _check(self.boxes, "PoseTrack.boxes", (n, 4), torch.float32)
        _check(self.keypoints, "PoseTrack.keypoints", (n, 33, 3), torch.float32)
        _check(self.depth, "PoseTrack.depth", (n, 33), torch.float32)
        _check(self.yaw, "PoseTrack.yaw", (n,), torch.float32)
        _check(self.present, "PoseTrack.present", (n,), torch.bool)
        _check(self.quality, "PoseTrack.quality", (n,), torch.float32)
        _check(self.shots, "PoseTrack.shots", (n,), torch.int64)

    def __len__(self) -> int:
        return len(self.boxes)

    def window(self, start: int, stop: int) -> PoseTrack:
        """Frames `start` to `stop`, without a copy."""
        return PoseTrack(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})

    def moved(self, scale: Tensor, offset: Tensor) -> PoseTrack:
        """The same track in other pixel coordinates: `p * scale + offset`, with `scale` [T] and `offset` [T, 2] float32."""
        points = self.keypoints.clone()
        points[..., :2] = points[..., :2] * scale[:, None, None] + offset[:, None]
        boxes = self.boxes * scale[:, None] + offset.repeat(1, 2)
        return replace(self, keypoints=points, boxes=boxes, depth=self.depth * scale[:, None])


@dataclass(frozen=True)
class PersonTrack:
    """One person in every frame of a clip: `pose`, and `labels` [T, H, W] uint8 whose numbers `label_set` names (LABEL_SETS)."""

    pose: PoseTrack
    labels: Tensor
    label_set: str = "cihp"

    def __post_init__(self) -> None:
        _check(self.labels, "PersonTrack.labels", (len(self.pose), None, None), torch.uint8)
        if self.label_set not in LABEL_SETS:
            raise ValueError(f"PersonTrack.label_set is {self.label_set!r}, expected one of {', '.join(LABEL_SETS)}")

    @property
    def boxes(self) -> Tensor:
        """[T, 4] float32 xyxy."""
        return self.pose.boxes

    @property
    def keypoints(self) -> Tensor:
        """[T, 33, 3] float32 (x, y, score)."""
        return self.pose.keypoints

    def __len__(self) -> int:
        return len(self.pose)

    def window(self, start: int, stop: int) -> PersonTrack:
        """Frames `start` to `stop`, without a copy."""
        return PersonTrack(self.pose.window(start, stop), self.labels[start:stop], self.label_set)


@dataclass(frozen=True)
class Layout:
    """How a garment is cut, in M&M VTO's layout words; None where the word does not apply.

    `sleeve` is none, short, elbow or long; `leg` is skirt, shorts, knee or long (lower and full garments); `open` says that the
    front is worn open.
    """

    sleeve: str | None = None
    leg: str | None = None
    open: bool | None = None


@dataclass(frozen=True)
class Garment:
    """A garment picture, understood, upright and cropped to the garment with a small margin.

    `image` [3, H, W] uint8; `alpha` [H, W] float32 0-1 soft coverage; `parts` [H, W] uint8, values of `Part`, zero where alpha is
    under one half and on what is not worn outside (the inside of the neck, lining, hanger); `category` upper, lower or full;
    `landmarks` [L, 3] float32 (x, y, score) in the order LANDMARKS[category]; `layout`; `fabric` [3] float32 0-1, the dominant
    colour."""

    image: Tensor
    alpha: Tensor
    parts: Tensor
    category: str
    landmarks: Tensor
    layout: Layout
    fabric: Tensor

    def __post_init__(self) -> None:
        _check(self.image, "Garment.image", (3, None, None), torch.uint8)
        size = tuple(self.image.shape[1:])
        _check(self.alpha, "Garment.alpha", size, torch.float32)
        _check(self.parts, "Garment.parts", size, torch.uint8)
        if self.category not in CATEGORIES:
            raise ValueError(f"Garment.category is {self.category!r}, expected one of {', '.join(CATEGORIES)}")
        _check(self.landmarks, "Garment.landmarks", (len(LANDMARKS[self.category]), 3), torch.float32)
        _check(self.fabric, "Garment.fabric", (3,), torch.float32)

    @property
    def mask(self) -> Tensor:
        """[H, W] bool: what is worn outside."""
        return self.parts > 0

    def landmark(self, name: str) -> tuple[float, float, float]:
        """(x, y, score) of one landmark by name; KeyError for a name the category has not got."""
        names = LANDMARKS[self.category]
        if name not in names:
            raise KeyError(f"{self.category} garments have no landmark {name!r}")
        x, y, score = self.landmarks[names.index(name)].tolist()
        return x, y, score


@dataclass(frozen=True)
class AgnosticFrames:
    """Frames with the region to be generated greyed out: `frames` [T, 3, H, W] uint8, `region` [T, 1, H, W] bool (True =
    generate), `quality` [T] float32 0-1, how far the region can be trusted."""

    frames: Tensor
    region: Tensor
    quality: Tensor

    def __post_init__(self) -> None:
        n, _, h, w = self.frames.shape
        _check(self.frames, "AgnosticFrames.frames", (None, 3, None, None), torch.uint8)
        _check(self.region, "AgnosticFrames.region", (n, 1, h, w), torch.bool)
        _check(self.quality, "AgnosticFrames.quality", (n,), torch.float32)


@dataclass(frozen=True)
class WarpedGarment:
    """The garment bent onto the body, and what takes the place of the old one: `frames` [T, 3, H, W] float32 0-1, `alpha`
    [T, 1, H, W] float32 0-1."""

    frames: Tensor
    alpha: Tensor

    def __post_init__(self) -> None:
        n, _, h, w = self.frames.shape
        _check(self.frames, "WarpedGarment.frames", (None, 3, None, None), torch.float32)
        _check(self.alpha, "WarpedGarment.alpha", (n, 1, h, w), torch.float32)


@dataclass(frozen=True)
class TryOnInputs:
    """All that is known before rendering one window: what `prepare` returns and training reads."""

    clip: Clip
    person: PersonTrack
    garments: tuple[Garment, ...]
    agnostic: AgnosticFrames
    warped: WarpedGarment

    def __post_init__(self) -> None:
        lengths = {len(self.clip), len(self.person), len(self.agnostic.frames), len(self.warped.frames)}
        if len(lengths) != 1:
            raise ValueError(f"TryOnInputs needs one length, got clip, person, agnostic, warped of {sorted(lengths)} frames")


GROUPS = ("person", "garment", "pose")
"""Groups of conditions that guidance may give or withhold, each as a whole."""
LAYOUT_WORDS = {
    "sleeve": ("none", "short", "elbow", "long"),
    "leg": ("skirt", "shorts", "knee", "long"),
    "rolled": ("no", "yes"),
    "tucked": ("no", "yes"),
    "outer": ("no", "yes"),
    "open": ("no", "yes"),
}
"""Layout attributes of a garment as worn, in the order of `Conditioning.layout`; code 0 is N/A, code n the n-th word."""
POINTS = max(len(names) for names in LANDMARKS.values())
"""Rows of `Conditioning.garment_points`."""


@dataclass(frozen=True)
class Conditioning:
    """What the network is given, batched, at the network's pixel size; pictures are float 0-1 of one dtype.

    Per frame: `agnostic` [B, T, 3, H, W]; `region` [B, T, 1, H, W] (1 = generate); `pose` [B, T, 33, 3] (x, y as shares of the
    frame's width and height, score 0-1); `warped` [B, T, 4, H, W] the region as the warp engine dresses it, colour times
    alpha and alpha (zero outside it, and all over where there is no such hint). Per garment: `garments`
    [B, G, 4, h, w] colour times alpha and alpha; `garment_points` [B, G, POINTS, 3] landmarks like `pose`; `slots` [B, G] int64,
    index into CATEGORIES or -1 for an empty slot (its rows are zero); `layout` [B, G, 6] int64 codes of LAYOUT_WORDS. Per
    sample: `given` [B, 3] bool, which of GROUPS is given; what is
    withheld is zero; `augmentation` [B] float 0-1, level of the noise added to agnostic frames and garments; `embedding` [B, D]
    an optional global image embedding of the garment (None: not used).
    """

    agnostic: Tensor
    region: Tensor
    pose: Tensor
    warped: Tensor
    garments: Tensor
    garment_points: Tensor
    slots: Tensor
    layout: Tensor
    given: Tensor
    augmentation: Tensor
    embedding: Tensor | None = None

    def __post_init__(self) -> None:
        if self.agnostic.ndim != 5 or self.garments.ndim != 5:
            raise ValueError(
                f"Conditioning needs agnostic [B, T, 3, H, W] and garments [B, G, 4, h, w], got {list(self.agnostic.shape)} and "
                f"{list(self.garments.shape)}"
            )
        b, t, _, h, w = self.agnostic.shape
        g, kind = self.garments.shape[1], self.agnostic.dtype
        _check(self.agnostic, "Conditioning.agnostic", (b, t, 3, h, w), kind)
        _check(self.region, "Conditioning.region", (b, t, 1, h, w), kind)
        _check(self.pose, "Conditioning.pose", (b, t, 33, 3), kind)
        _check(self.warped, "Conditioning.warped", (b, t, 4, h, w), kind)
        _check(self.garments, "Conditioning.garments", (b, g, 4, None, None), kind)
        _check(self.garment_points, "Conditioning.garment_points", (b, g, POINTS, 3), kind)
        _check(self.slots, "Conditioning.slots", (b, g), torch.int64)
        _check(self.layout, "Conditioning.layout", (b, g, len(LAYOUT_WORDS)), torch.int64)
        _check(self.given, "Conditioning.given", (b, len(GROUPS)), torch.bool)
        _check(self.augmentation, "Conditioning.augmentation", (b,), kind)
        if self.embedding is not None:
            _check(self.embedding, "Conditioning.embedding", (b, None), kind)

    @property
    def num_frames(self) -> int:
        return self.agnostic.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.agnostic.shape[3], self.agnostic.shape[4]

    def window(self, start: int, stop: int) -> Conditioning:
        """Frames `start` to `stop`, without a copy; what belongs to garments and samples stays."""
        cut = {name: getattr(self, name)[:, start:stop] for name in ("agnostic", "region", "pose", "warped")}
        return replace(self, **cut)

    def drop(self, withheld: Tensor | tuple[str, ...]) -> Conditioning:
        """The same with groups withheld: names of GROUPS for every sample, or a mask [B, 3] bool (True: withhold).

        Person covers agnostic frames and region; garment covers garments, their points, slots, layout, embedding and the warped
        hint; pose covers the person's pose. ValueError for an unknown name.
        """
        if isinstance(withheld, tuple):
            unknown = set(withheld) - set(GROUPS)
            if unknown:
                raise ValueError(f"unknown group {sorted(unknown)[0]!r}, expected some of {', '.join(GROUPS)}")
            names = torch.tensor([name in withheld for name in GROUPS], device=self.given.device)
            withheld = names.expand(len(self.given), -1)
        given = self.given & ~withheld
        person, garment, pose = given.unbind(1)

        def keep(values: Tensor, flags: Tensor, empty: float = 0) -> Tensor:
            flags = flags.reshape(-1, *[1] * (values.ndim - 1))
            return torch.where(flags, values, torch.full((), empty, dtype=values.dtype, device=values.device))

        return replace(
            self,
            agnostic=keep(self.agnostic, person),
            region=keep(self.region, person),
            pose=keep(self.pose, pose),
            warped=keep(self.warped, garment),
            garments=keep(self.garments, garment),
            garment_points=keep(self.garment_points, garment),
            slots=keep(self.slots, garment, -1),
            layout=keep(self.layout, garment),
            given=given,
            embedding=None if self.embedding is None else keep(self.embedding, garment),
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """The same on another device, floating tensors in another dtype."""
        moved = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None:
                moved[f.name] = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        return replace(self, **moved)
