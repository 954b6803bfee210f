"""Flat garments with known landmarks, and a drawn person who sways, to wear them."""

import cv2
import numpy as np
import torch
from drawn_person import draw, joints

from vidvton.frames import from_arrays
from vidvton.values import LANDMARKS, Garment, Layout, Part
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.solve import Body, solve_body

SIZE, UNIT = (480, 360), 110.0


def tee() -> Garment:
    """A flat tee with a red square print in the middle of a blue chest; every landmark known."""
    picture = np.full((300, 320, 3), (40, 60, 150), np.uint8)
    picture[110:150, 140:180] = (220, 30, 30)
    parts = np.zeros((300, 320), np.uint8)
    parts[40:280, 90:230] = Part.TORSO
    cv2.fillPoly(parts, [np.array([[230, 40], [290, 120], [250, 145], [230, 120]])], int(Part.LEFT_SLEEVE))
    cv2.fillPoly(parts, [np.array([[90, 40], [30, 120], [70, 145], [90, 120]])], int(Part.RIGHT_SLEEVE))
    parts[30:60, 135:185] = 0
    where = {
        "neck": (185, 40), "shoulder": (230, 40), "armpit": (230, 120), "sleeve_outer": (260, 80), "sleeve_inner": (240, 132),
        "cuff_outer": (290, 120), "cuff_inner": (250, 145), "waist": (230, 220), "hem": (230, 280),
    }  # fmt: skip
    rows = []
    for name in LANDMARKS["upper"]:
        stem, _, side = name.rpartition("_")
        x, y = {"neck_centre": (160, 60), "hem_centre": (160, 280)}.get(name) or where[stem]
        rows.append((320 - x if side == "right" else x, y, 1.0))
    alpha = torch.from_numpy((parts > 0).astype(np.float32))
    fabric = torch.tensor([40, 60, 150]) / 255
    return Garment(from_arrays(picture), alpha, torch.from_numpy(parts), "upper", torch.tensor(rows), Layout("short"), fabric)


def trousers(flare: int = 0) -> Garment:
    """Flat long trousers, each leg at its hem `flare` (-30 to 40) pixels wider than straight."""
    parts = np.zeros((300, 200), np.uint8)
    parts[10:290, 40:100], parts[10:290, 100:160] = Part.RIGHT_LEG, Part.LEFT_LEG
    if flare:
        for part, edge, out in ((Part.RIGHT_LEG, 40, -flare), (Part.LEFT_LEG, 159, flare)):
            cv2.fillPoly(parts, [np.array([[edge, 70], [edge, 289], [edge + out, 289]])], int(part) if flare > 0 else 0)
    parts[100:290, 90:110] = 0
    where = {"waist_left": (160, 10), "waist_centre": (100, 10), "waist_right": (40, 10), "hip_left": (160, 70),
             "hip_right": (40, 70), "crotch": (100, 100), "knee_outer_left": (160, 190), "knee_inner_left": (110, 190),
             "knee_outer_right": (40, 190), "knee_inner_right": (90, 190), "hem_outer_left": (160, 290),
             "hem_inner_left": (110, 290), "hem_outer_right": (40, 290), "hem_inner_right": (90, 290),
             "hem_centre": (100, 290)}  # fmt: skip
    for side, out in (("left", flare), ("right", -flare)):
        for name, share in ((f"knee_outer_{side}", 0.55), (f"hem_outer_{side}", 1.0)):
            where[name] = (where[name][0] + out * share, where[name][1])
    marks = torch.tensor([(*where[name], 1.0) for name in LANDMARKS["lower"]])
    alpha = torch.from_numpy((parts > 0).astype(np.float32))
    picture = from_arrays(np.full((300, 200, 3), (90, 80, 50), np.uint8))
    return Garment(picture, alpha, torch.from_numpy(parts), "lower", marks, Layout(leg="long"), torch.tensor([90, 80, 50]) / 255)


def skirt(*, short: bool = False) -> Garment:
    """A flat brown skirt, knee-long, or a blue one that ends above the knees."""
    end, half, colour = (110, 52, (40, 60, 150)) if short else (290, 80, (99, 80, 50))
    left, right = 100 + half, 100 - half
    parts = np.zeros((300, 200), np.uint8)
    cv2.fillPoly(parts, [np.array([[60, 10], [140, 10], [left, end], [right, end]])], int(Part.SKIRT))
    where = {"waist_left": (140, 10), "waist_centre": (100, 10), "waist_right": (60, 10), "hip_left": (150, 80),
             "hip_right": (50, 80), "hem_outer_left": (left, end), "hem_outer_right": (right, end),
             "hem_centre": (100, end)}  # fmt: skip
    marks = torch.tensor([(*where.get(name, (0, 0)), float(name in where)) for name in LANDMARKS["lower"]])
    alpha, picture = torch.from_numpy((parts > 0).astype(np.float32)), from_arrays(np.full((300, 200, 3), colour, np.uint8))
    return Garment(picture, alpha, torch.from_numpy(parts), "lower", marks, Layout(leg="skirt"), torch.tensor(colour) / 255)


def scene(count=6, sway=4.0, **how):
    """Frames, labels and keypoints of a drawn person who sways sideways by `sway` pixels a frame."""
    rows = []
    for t in range(count):
        points = joints(UNIT, (SIZE[1] / 2 + sway * (t - count / 2), 90))
        picture, labels, _ = draw(points, UNIT, SIZE, **how)
        rows.append((picture, labels, points))
    return tuple(np.stack(x) for x in zip(*rows))


def body_of(labels: np.ndarray, points: np.ndarray) -> Body:
    """The body that drawn labels show."""
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)])
    return solve_body(measure, points, np.zeros(len(points)))
