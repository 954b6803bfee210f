"""Letters and emblems as strokes, so that prints need no font file."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_STROKES = {
    "A": "0026-2640-1232", "B": "0006-0636-3645-4534-3403-3442-4231-3100", "C": "4636-3615-1501-0110-1040", "D":
    "0006-0626-2644-4442-4220-2000",
    "E": "4606-0600-0040-0333", "F": "4606-0600-0333", "G": "4616-1605-0501-0110-1030-3041-4143-4323", "H": "0006-4046-0343",
    "I": "2026-1636-1030", "J": "3631-3120-2010-1001", "K": "0006-4603-0340", "L": "0600-0040", "M": "0006-0623-2346-4640",
    "N": "0006-0640-4046",
    "O": "1005-0516-1636-3645-4541-4130-3010-0501-0110", "P": "0006-0636-3645-4534-3403", "Q":
    "1005-0516-1636-3645-4541-4130-3010-0501-0110-2140",
    "R": "0006-0636-3645-4534-3403-2340", "S": "4536-3616-1605-0504-0413-1333-3342-4241-4130-3010-1001", "T": "0646-2620",
    "U": "0601-0110-1030-3041-4146",
    "V": "0620-2046", "W": "0610-1023-2330-3046", "X": "0046-0640", "Y": "0623-4623-2320", "Z": "0646-4600-0040",
    "0": "1005-0516-1636-3645-4541-4130-3010-0501-0110-1135", "1": "1526-2620-1030", "2": "0516-1636-3645-4544-4400-0040",
    "3": "0646-4623-2342-4230-3010-1001",
    "4": "3036-3602-0242", "5": "4606-0603-0333-3342-4241-4130-3000", "6": "3616-1604-0401-0110-1030-3041-4142-4233-3303",
    "7": "0646-4620",
    "8": "1616-1636-3645-4544-4433-3313-1304-0405-0516-1302-0201-0110-1030-3041-4142-4233", "9":
    "4313-1304-0405-0516-1636-3645-4542-4210",
}  # fmt: skip


def text_strokes(text: str) -> Tensor:
    """Line segments [S, 4] (x0, y0, x1, y1) of a word in letter heights: y up, centred on the origin, one unit high."""
    rows, pen = [], 0.0
    for letter in text.upper():
        for stroke in filter(None, _STROKES.get(letter, "").split("-")):
            x0, y0, x1, y1 = (int(c) for c in stroke)
            rows.append((pen + x0 / 6, y0 / 6 - 0.5, pen + x1 / 6, y1 / 6 - 0.5))
        pen += 0.9 if letter != " " else 0.6
    segments = torch.tensor(rows or [(0, 0, 0, 0)], dtype=torch.float32)
    segments[:, [0, 2]] -= (pen - 0.23) / 2
    return segments


def stroke_distance(x: Tensor, y: Tensor, segments: Tensor) -> Tensor:
    """Distance of points [...] to the nearest segment."""
    best = torch.full_like(x, 1e9)
    for x0, y0, x1, y1 in segments.tolist():
        dx, dy = x1 - x0, y1 - y0
        t = (((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12)).clamp(0, 1)
        best = torch.minimum(best, torch.hypot(x - x0 - t * dx, y - y0 - t * dy))
    return best


def star_distance(x: Tensor, y: Tensor, points: int, inner: float) -> Tensor:
    """Signed distance, roughly, to a star of radius one."""
    angle = torch.atan2(x, y)
    sector = math.pi / points
    folded = (angle + 100 * math.tau) % (2 * sector) - sector
    radius = torch.hypot(x, y)
    px, py = radius * folded.abs().sin(), radius * folded.abs().cos()
    # The edge from the outer tip (at the sector's border) to the inner corner (at its middle).
    ax, ay = math.sin(sector), math.cos(sector)
    bx, by = 0.0, inner
    nx, ny = by - ay, ax - bx
    length = math.hypot(nx, ny)
    return ((px - bx) * -nx + (py - by) * -ny) / -length
