"""Light on new cloth: pale cloth keeps its form, on black clothes too."""

from dataclasses import replace

import numpy as np
import torch
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, body_of, scene, skirt, tee

from vidvton.render.composite import paste
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.shade import learn_albedo, without_glare


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


def test_where_old_dark_cloth_ends_new_cloth_has_no_step():
    frames, labels, points = scene(1)
    dark = frames.copy()
    dark[labels == LABEL["pants"]] = 25
    white = replace(skirt(), image=torch.full_like(skirt().image, 225), fabric=torch.full((3,), 0.88))
    albedo = learn_albedo(dark, labels)
    outfit = fit_outfit((white,), body_of(labels, points), albedo, points, np.zeros((1, 33)), np.zeros(1))
    out = paste(dark[0], outfit.draw(0, dark[0], labels[0], SIZE)[0]).astype(int)
    row = int(points[0, 25, 1] - 0.2 * UNIT)
    line = out[row].mean(-1)
    inside = np.flatnonzero((out[row].min(-1) > 150) & (np.abs(np.arange(SIZE[1]) - points[0, 23:25, 0].mean()) < 0.6 * UNIT))
    line = line[inside.min() + 3 : inside.max() - 2]
    assert len(line) > 0.5 * UNIT and np.abs(np.diff(line)).max() < 8
