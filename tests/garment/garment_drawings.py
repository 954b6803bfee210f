"""Garments drawn by code, with their true mask, neck hole and landmarks, on grounds of several kinds; and what
`prepare_garment` makes of them, asked once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from vidvton.garment import prepare_garment
from vidvton.values import Garment

TOPS, BOTTOMS = ("tee", "long", "tank", "dress"), ("trousers", "shorts", "skirt")
SIZE = (640, 520)  # height, width
CENTRE = 260.0


@dataclass(frozen=True)
class Drawing:
    """`picture` [H, W, 3] uint8; `mask` [H, W] bool, what is worn outside; `hole` [H, W] bool, the inside of the neck;
    `points`, true landmarks (x, y), pixel centres at +0.5."""

    picture: np.ndarray
    mask: np.ndarray
    hole: np.ndarray
    points: dict[str, tuple[float, float]]

    @property
    def tensor(self) -> torch.Tensor:
        return torch.from_numpy(self.picture).movedim(-1, 0)


def both(right_of_picture: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Landmarks of both sides from those of the picture's right, which is the wearer's left."""
    out = {f"{k}_left": v for k, v in right_of_picture.items()}
    out |= {f"{k}_right": (2 * CENTRE - x, y) for k, (x, y) in right_of_picture.items()}
    return out


def _mirrored(half: list[tuple[float, float]]) -> np.ndarray:
    return np.array(half + [(2 * CENTRE - x, y) for x, y in reversed(half)])


def _fill(polygon: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    big = np.zeros((size[0] * 4, size[1] * 4), np.uint8)
    cv2.fillPoly(big, [np.round(polygon * 4).astype(np.int32)], 255)
    return cv2.resize(big, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def ground(kind: str, seed: int = 0) -> np.ndarray:
    """[H, W, 3] float 0-255: plain, gradient (a vignette), rug, wood."""
    h, w = SIZE
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    if kind == "plain":
        return np.full((h, w, 3), 246, np.float32)
    if kind == "gradient":
        r = np.hypot((x - w / 2) / w, (y - h / 2) / h)
        return (np.array([226, 214, 196]) * (1.05 - 0.55 * r[..., None] ** 2)).astype(np.float32) + rng.normal(0, 1.5, (h, w, 1))
    if kind == "rug":
        tufts = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 2.0)
        return 205 + 14 * (tufts / tufts.std())[..., None] + np.array([4.0, 0, -4])
    if kind == "wood":
        grain = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), sigmaX=1.2, sigmaY=40)
        planks = ((x // 130) % 2)[..., None] * 8
        return np.array([206, 164, 112]) + 9 * (grain / grain.std())[..., None] + planks
    raise ValueError(kind)


def _paint(cover, hole, points, colour, back, seed) -> Drawing:
    h, w = SIZE
    rng = np.random.default_rng(seed + 1)
    folds = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=30)
    cloth = np.array(colour, np.float32) * (1 + 0.03 * (folds / folds.std())[..., None]) + rng.normal(0, 1.2, (h, w, 1))
    cloth = np.where(hole[..., None] > 0.5, cloth * 0.6, cloth)
    picture = back * (1 - cover[..., None]) + cloth * cover[..., None]
    picture = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    return Drawing(picture, (cover > 0.5) & (hole <= 0.5), (cover > 0.5) & (hole > 0.5), points)


def _neck(half_width: float, top: float, depth: float, power: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """(outline of the back collar, polygon of the neck hole) between the collar's ends at `top`."""
    u = np.linspace(-1, 1, 61)
    x = CENTRE + half_width * u
    back = top + 0.12 * half_width * (1 - u**2)
    front = top + depth * (1 - np.abs(u) ** power)
    return np.stack([x, back], 1), np.vstack([np.stack([x, back], 1), np.stack([x, front], 1)[::-1]])


def top(kind: str, *, on: str = "plain", colour=(70, 90, 150), neck_inside: bool = True, seed: int = 0) -> Drawing:
    """A tee, long (sleeves away from the body), tank or dress."""
    points: dict[str, tuple[float, float]]
    y0 = 90.0
    if kind == "tee":
        side = dict(shoulder=(355, 118), cuff_outer=(428, 194), cuff_inner=(388, 236), armpit=(352, 212), hem=(356, 480))
        half = [(305, y0), side["shoulder"], side["cuff_outer"], side["cuff_inner"], side["armpit"], side["hem"]]
    elif kind == "long":
        side = dict(shoulder=(348, 116), cuff_outer=(452, 452), cuff_inner=(414, 462), armpit=(344, 210), hem=(346, 470))
        half = [(302, y0), side["shoulder"], side["cuff_outer"], side["cuff_inner"], side["armpit"], side["hem"]]
    elif kind == "tank":
        side = dict(shoulder=(338, 100), armpit=(358, 218), hem=(360, 445))
        half = [(306, y0), side["shoulder"], (326, 150), (334, 196), side["armpit"], side["hem"]]
    elif kind == "dress":
        y0 = 40.0
        side = dict(shoulder=(318, 48), armpit=(330, 128), waist=(312, 225), hem=(386, 590))
        half = [(296, y0), side["shoulder"], (310, 80), (314, 110), side["armpit"], side["waist"], side["hem"]]
    else:
        raise ValueError(kind)
    ends = half[0][0] - CENTRE
    depth = {"tee": 36, "long": 34, "tank": 62, "dress": 44}[kind]
    back, hole = _neck(ends, y0, depth)
    body = _mirrored(half)
    outline = np.vstack([back, body[1:-1]])
    points = both({"neck": (CENTRE + ends, y0), **side})
    points |= {"neck_centre": (CENTRE, y0 + depth), "hem_centre": (CENTRE, half[-1][1])}
    if not neck_inside:
        outline = np.vstack([hole[61:][::-1], body[1:-1]])
    inside = _fill(hole) if neck_inside else np.zeros(SIZE, np.float32)
    return _paint(_fill(outline), inside, points, colour, ground(on, seed), seed)


CUTS = {  # the picture's right half, from the top of the centre line to its bottom
    "crop": [(CENTRE, 130), (300, 112), (352, 130), (384, 180), (452, 470), (404, 482), (356, 240), (352, 300), (CENTRE, 302)],
    "camisole": [(CENTRE, 196), (286, 178), (308, 150), (320, 80), (334, 80), (338, 150), (356, 196), (384, 226), (392, 530),
                 (CENTRE, 536)],
    "strapless": [(CENTRE, 86), (306, 76), (342, 88), (346, 130), (326, 220), (362, 360), (430, 600), (CENTRE, 610)],
    "jumpsuit": [(CENTRE, 96), (290, 72), (340, 90), (404, 160), (372, 188), (346, 160), (342, 268), (352, 350), (372, 612),
                 (288, 616), (CENTRE, 396)],
    "jacket": [(CENTRE, 120), (296, 92), (340, 112), (398, 178), (420, 452), (376, 460), (358, 250), (357, 232), (354, 250),
               (360, 500), (CENTRE, 504)],
    "halter": [(CENTRE, 110), (286, 104), (296, 112), (372, 270), (376, 520), (CENTRE, 528)],
    "shell": [(CENTRE, 108), (300, 100), (314, 92), (346, 96), (346, 150), (352, 190), (352, 400), (CENTRE, 400)],
    "rollneck": [(CENTRE, 60), (296, 60), (298, 104), (344, 122), (330, 176), (356, 226), (356, 420), (CENTRE, 420)],
    "bubble": [(CENTRE, 100), (287, 100), (321, 150), (347, 220), (361, 300), (365, 400), (357, 470), (CENTRE, 480)],
    "open coat": [(CENTRE, 100), (300, 70), (344, 84), (410, 330), (372, 340), (352, 210), (366, 610), (290, 614), (264, 260),
                  (CENTRE, 250)],
    "mini": [(CENTRE, 110), (296, 92), (346, 104), (400, 170), (368, 196), (340, 172), (322, 262), (408, 492), (CENTRE, 500)],
    "balloon": [(CENTRE, 120), (290, 96), (352, 112), (440, 180), (466, 300), (436, 412), (436, 440), (410, 440), (410, 412),
                (372, 300), (352, 220), (356, 470), (CENTRE, 476)],
}  # fmt: skip


def cut(kind: str, *, colour=(70, 90, 150), seed: int = 0, shadow: float = 0.0) -> Drawing:
    """A garment of another cut on a plain ground: a cropped top whose long sleeves hang below its hem, a jacket whose sleeves lie
    close to its body, and what else there is in CUTS. Its `shadow` takes that share of the ground's light where it is deepest. It
    has no true landmarks."""
    cover = _fill(_mirrored(CUTS[kind]))
    lit = ground("plain", seed) * (1 - shadow * cv2.GaussianBlur(cover, (0, 0), 6))[..., None]
    return _paint(cover, np.zeros(SIZE, np.float32), {}, colour, lit, seed)


FOLDED = (  # a sweater laid out, one sleeve beside its trunk, the other across it: outlines, and the way across their stripes
    ([(310, 96), (358, 112), (360, 440), (160, 440), (162, 112), (210, 96)], (0.0, 1.0)),
    ([(163, 114), (112, 280), (100, 470), (150, 474), (161, 440), (162, 230)], (0.0, 1.0)),
    ([(356, 112), (404, 175), (420, 230), (318, 510), (270, 500), (338, 250), (340, 180)], (-0.34, 0.94)),
)


def folded_sweater() -> Drawing:
    """A sweater striped in black and red, the wearer's left sleeve across its front; its cuff hangs below the hem."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    cloth, cover = np.zeros((*SIZE, 3), np.float32), np.zeros(SIZE, np.float32)
    back, hole = _neck(50, 96, 34)
    for k, (outline, (aside, down)) in enumerate(FOLDED):
        piece = _fill(np.vstack([back, outline[1:-1]]) if k == 0 else np.array(outline, np.float32))
        stripes = (((aside * x + down * y) // 20) % 2 == 0)[..., None]
        cloth = np.where(piece[..., None] > 0.5, np.where(stripes, (40, 36, 40), (200, 60, 50)), cloth)
        cloth = np.where(_fill(hole)[..., None] > 0.5, cloth * 0.55, cloth) if k == 0 else cloth
        cover = np.maximum(cover, piece)
    picture = ground("plain") * (1 - cover[..., None]) + cloth * cover[..., None]
    return Drawing(np.clip(picture, 0, 255).astype(np.uint8), cover > 0.5, _fill(hole) > 0.5, {})


def bottom(kind: str, *, on: str = "plain", colour=(60, 70, 90), seed: int = 0) -> Drawing:
    """Trousers, shorts or a skirt."""
    if kind == "trousers":
        side = dict(waist=(326, 60), hem_outer=(362, 590), hem_inner=(300, 590))
        half = [(CENTRE, 60), side["waist"], (350, 190), side["hem_outer"], side["hem_inner"], (CENTRE + 7, 222), (CENTRE, 215)]
        fork = 215.0
    elif kind == "shorts":
        side = dict(waist=(350, 160), hem_outer=(392, 400), hem_inner=(276, 400))
        half = [(CENTRE, 160), side["waist"], (378, 270), side["hem_outer"], side["hem_inner"], (CENTRE, 330)]
        fork = 330.0
    elif kind == "skirt":
        side = dict(waist=(330, 150), hem_outer=(410, 480))
        half = [(CENTRE, 150), side["waist"], side["hem_outer"], (CENTRE, 480)]
        fork = None
    else:
        raise ValueError(kind)
    points = both(side) | {"waist_centre": (CENTRE, half[0][1])}
    points |= {"crotch": (CENTRE, fork)} if fork else {"hem_centre": (CENTRE, 480.0)}
    return _paint(_fill(_mirrored(half)), np.zeros(SIZE, np.float32), points, colour, ground(on, seed), seed)


def draw(kind: str, **settings) -> Drawing:
    """A garment by its kind alone: of `top`, `bottom` or `cut`."""
    return (top if kind in TOPS else bottom if kind in BOTTOMS else cut)(kind, **settings)


@cache
def understood(kind: str, *, category: str | None = None, **settings) -> Garment:
    """What `prepare_garment` makes of that drawing; it takes a second, so it is asked once, and nobody may write into it."""
    return prepare_garment(draw(kind, **settings).tensor, category=category)
