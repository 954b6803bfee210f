"""The sheet that shows what was found in a garment picture: picture, outline, parts, landmarks, layout words."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from ..frames import as_arrays, from_arrays
from ..values import LANDMARKS, Garment, Part

COLOURS = {
    Part.TORSO: (70, 140, 255),
    Part.LEFT_SLEEVE: (255, 120, 60),
    Part.RIGHT_SLEEVE: (60, 200, 120),
    Part.LEFT_LEG: (240, 180, 40),
    Part.RIGHT_LEG: (150, 90, 230),
    Part.SKIRT: (230, 80, 160),
}
"""Drawing colour (RGB) of each part."""

_HEIGHT = 760
_INK = (30, 30, 30)


def draw_sheet(garment: Garment, picture: Tensor) -> Tensor:
    """[3, H, W] uint8: the `picture` [3, H, W] uint8 as given, the garment on a checkerboard with its outline, its parts in
    colours, its landmarks with their names, and its layout in words."""
    tiles = [_fitted(np.ascontiguousarray(as_arrays(picture))), _cut_out(garment), _parts(garment), _points(garment)]
    body = np.hstack([np.pad(t, ((0, 0), (8, 8), (0, 0)), constant_values=255) for t in tiles])
    foot = np.full((64, body.shape[1], 3), 255, np.uint8)
    _write(foot, words(garment), (14, 40), 0.7)
    r, g, b = (int(round(255 * float(v))) for v in garment.fabric)
    cv2.rectangle(foot, (body.shape[1] - 90, 10), (body.shape[1] - 14, 54), (r, g, b), -1)
    cv2.rectangle(foot, (body.shape[1] - 90, 10), (body.shape[1] - 14, 54), _INK, 1)
    return from_arrays(np.ascontiguousarray(np.vstack([body, foot])))


def words(garment: Garment) -> str:
    """One line: category, layout, size, how many landmarks were found."""
    layout = garment.layout
    said = [garment.category]
    if layout.sleeve is not None:
        said.append(f"sleeve {layout.sleeve}")
    if layout.leg is not None:
        said.append(f"leg {layout.leg}")
    if layout.open:
        said.append("open front")
    found = int((garment.landmarks[:, 2] > 0).sum())
    h, w = garment.alpha.shape
    said.append(f"{w}x{h}")
    said.append(f"{found} of {len(garment.landmarks)} landmarks")
    return "  |  ".join(said)


def _fitted(image: np.ndarray) -> np.ndarray:
    s = _HEIGHT / image.shape[0]
    if image.shape[1] * s > 1.2 * _HEIGHT:
        s = 1.2 * _HEIGHT / image.shape[1]
    size = max(1, round(image.shape[1] * s)), max(1, round(image.shape[0] * s))
    out = cv2.resize(image, size, interpolation=cv2.INTER_AREA if s < 1 else cv2.INTER_LINEAR)
    pad = _HEIGHT - out.shape[0]
    return np.pad(out, ((pad // 2, pad - pad // 2), (0, 0), (0, 0)), constant_values=255) if pad > 0 else out[:_HEIGHT]


def _cut_out(garment: Garment) -> np.ndarray:
    image, alpha = as_arrays(garment.image).astype(np.float32), garment.alpha.numpy()[..., None]
    y, x = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]]
    step = max(4, max(alpha.shape[:2]) // 40)
    board = np.where(((x // step + y // step) % 2 == 0)[..., None], 205.0, 235.0)
    out = _fitted((image * alpha + board * (1 - alpha)).round().astype(np.uint8))
    contours, _ = cv2.findContours(_fitted_labels(garment.mask.numpy().astype(np.uint8)), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, contours, -1, (255, 0, 120), 1, cv2.LINE_AA)
    return out


def _fitted_labels(labels: np.ndarray) -> np.ndarray:
    s = _HEIGHT / labels.shape[0]
    if labels.shape[1] * s > 1.2 * _HEIGHT:
        s = 1.2 * _HEIGHT / labels.shape[1]
    size = max(1, round(labels.shape[1] * s)), max(1, round(labels.shape[0] * s))
    out = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    pad = _HEIGHT - out.shape[0]
    return np.pad(out, ((pad // 2, pad - pad // 2), (0, 0))) if pad > 0 else out[:_HEIGHT]


def _parts(garment: Garment) -> np.ndarray:
    grey = _fitted(as_arrays(garment.image).mean(-1, keepdims=True).repeat(3, -1).astype(np.uint8)).astype(np.float32)
    labels = _fitted_labels(garment.parts.numpy())
    out = np.full_like(grey, 250)
    for part, colour in COLOURS.items():
        where = labels == part
        out[where] = 0.45 * grey[where] + 0.55 * np.array(colour)
    out = out.round().astype(np.uint8)
    line = 24
    for part, colour in COLOURS.items():
        if (labels == part).any():
            cv2.rectangle(out, (6, line - 13), (20, line + 1), colour, -1)
            _write(out, part.name.lower().replace("_", " "), (26, line), 0.45)
            line += 20
    return out


def _points(garment: Garment) -> np.ndarray:
    pale = as_arrays(garment.image).astype(np.float32) * 0.5 + 127
    alpha = garment.alpha.numpy()[..., None]
    out = _fitted((pale * alpha + 250 * (1 - alpha)).round().astype(np.uint8))
    h, w = garment.alpha.shape
    s = min(_HEIGHT / h, 1.2 * _HEIGHT / w)
    top = (_HEIGHT - round(h * s)) // 2
    out = np.pad(out, ((0, 0), (70, 70), (0, 0)), constant_values=250)
    for name, (x, y, score) in zip(LANDMARKS[garment.category], garment.landmarks.tolist()):
        if score <= 0:
            continue
        at = round(x * s) + 70, round(y * s) + top
        sure = (20, 160, 60) if score > 0.65 else (220, 150, 0) if score > 0.45 else (220, 40, 40)
        cv2.circle(out, at, 5, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(out, at, 4, sure, -1, cv2.LINE_AA)
        long = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)[0][0]
        left = at[0] - long - 7 if name.endswith("right") else at[0] - long // 2 if name.endswith("centre") else at[0] + 7
        left = min(max(2, left), out.shape[1] - long - 2)
        _write(out, name, (left, at[1] + (16 if name.endswith("centre") else 4)), 0.36)
    return out


def _write(image: np.ndarray, text: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 3, cv2.LINE_AA)
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
