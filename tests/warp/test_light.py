"""Light on new cloth, and what a long coat hid: pale cloth keeps its form, and legs are whole when the coat is gone."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, scene, tee

from vidvton.render.composite import paste
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.shade import learn_albedo, without_glare
from vidvton.warp.solve import Body, solve_body


def body_of(labels: np.ndarray, points: np.ndarray) -> Body:
    """The body that drawn labels show."""
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)])
    return solve_body(measure, points, np.zeros(len(points)))


def test_pale_cloth_comes_near_white_and_does_not_burn_out():
    light = np.linspace(0.4, 1.6, 49, dtype=np.float32)
    for fabric in (0.93, 0.8, 0.2):
        lit = without_glare(light, np.full(3, fabric))
        assert (lit * fabric <= max(0.985, 1.04 * fabric) + 1e-6).all() and (np.diff(lit) > 0).all()
        assert np.allclose(lit[light <= 1], light[light <= 1])
    assert lit[-1] > 1.5, "dark cloth keeps its sheen"


def test_where_black_cloth_tells_nothing_of_the_light_new_cloth_is_round():
    frames, labels, points = scene(1)
    dark, pale = frames.copy(), frames.copy()
    upper = labels == LABEL["upper"]
    dark[upper], pale[upper] = 22, 200
    white = replace(tee(), image=torch.full_like(tee().image, 225), fabric=torch.full((3,), 0.88))
    edges = []
    for clip in (dark, pale):
        albedo, body = learn_albedo(clip, labels), body_of(labels, points)
        outfit = fit_outfit((white,), body, albedo, points, np.zeros((1, 33)), np.zeros(1))
        out = paste(clip[0], outfit.draw(0, clip[0], labels[0], SIZE)[0]).astype(int)
        row = int(points[0, 11, 1] + 0.55 * UNIT)
        inside = np.flatnonzero(out[row].min(-1) > 130)
        inside = inside[np.abs(inside - points[0, [11, 12], 0].mean()) < 0.5 * UNIT]
        line = out[row, inside.min() : inside.max()].mean(-1)
        edges.append(np.median(line) - np.mean([line[6:10].mean(), line[-10:-6].mean()]))
    assert edges[0] > 12 and edges[1] < edges[0] - 6


def test_legs_that_a_coat_hides_are_there_when_it_is_gone():
    frames, labels, points = scene(1)
    coat, worn = labels.copy(), frames.copy()
    hip, ankle = points[0, 24, :2], points[0, 28, :2]
    hidden = np.zeros(SIZE, np.uint8)
    ends = [tuple(int(v) for v in hip + (ankle - hip) * share) for share in (0.1, 0.75)]
    cv2.line(hidden, *ends, 1, int(0.5 * UNIT))
    hidden = (hidden > 0) & (np.arange(SIZE[1]) < points[0, 24:26, 0].mean() + 0.05 * UNIT)[None]
    coat[0][hidden], worn[0][hidden] = LABEL["upper"], (120, 30, 30)
    outfit = fit_outfit((tee(),), body_of(labels, points), learn_albedo(worn, coat), points, np.zeros((1, 33)), np.zeros(1))
    out = paste(worn[0], outfit.draw(0, worn[0], coat[0], SIZE)[0]).astype(int)
    trousers = frames[0][labels[0] == LABEL["pants"]].mean(0)
    leg, beside = hidden & (labels[0] == LABEL["pants"]), hidden & (labels[0] == LABEL["background"])
    low = np.arange(SIZE[0])[:, None] > hip[1] + 0.45 * UNIT
    close = np.abs(out - trousers).max(-1) < 40
    away = cv2.distanceTransform((labels[0] != LABEL["pants"]).astype(np.uint8), cv2.DIST_L2, 3) > 8
    assert close[leg & low].mean() > 0.8 and close[beside & low & away].mean() < 0.45
