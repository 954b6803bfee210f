"""The ends and sides of trousers on a drawn person: as wide as cloth falls, whatever the old ones looked like."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, scene, trousers

from vidvton.garment.prepare import prepare_garment
from vidvton.warp.body import LIMB, BodyMeasure, measure_frame
from vidvton.warp.fit import fit_panels, is_snug
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.panels import panels_for
from vidvton.warp.shade import learn_albedo
from vidvton.warp.solve import solve_body


@pytest.fixture(scope="module")
def standing():
    _, labels, points = scene()
    measure = BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)])
    return points, solve_body(measure, points, np.zeros(len(points)))


def with_legs(body, hem: float, half: dict[float, float]):
    """`body` in trousers down to `hem`, whose legs are seen to be `half` torso lengths to either side at these leg stations."""
    widths = np.interp(LIMB, list(half), list(half.values()))
    legs = np.stack([-widths, widths], -1)[None, None].repeat(len(body.legs), 0).repeat(2, 1)
    return replace(body, legs=legs, trouser_hems=np.array([hem, hem]))


def half_widths(garment, body, points, stations) -> np.ndarray:
    """[n] torso lengths, of the left leg."""
    panels = panels_for(garment, body)
    leg = fit_panels(panels, body, points, np.zeros((len(points), 33)), np.zeros(len(points)))[0]
    ends = leg.points[2]
    wide = np.linalg.norm(ends[:, 2] - ends[:, 0], axis=-1) / 2 / body.unit[2]
    return np.interp(stations, leg.controls, wide), leg.panel.hem


def test_a_hem_is_as_wide_as_the_leg_above_it_where_old_trousers_flare(standing):
    points, body = standing
    flared = with_legs(body, 1.7, {0: 0.17, 1: 0.12, 1.6: 0.22, 1.8: 0.08})
    (above, at), hem = half_widths(trousers(flare=38), flared, points, [1.55, 1.68])
    assert hem == pytest.approx(1.7, abs=0.05)
    assert above > 0.18 and at > 0.92 * above


def test_narrow_trousers_are_narrow_over_old_ones_that_flare(standing):
    """But not narrower than the legs that the old ones tell of, nor at the hips; a bare leg is covered whole."""
    points, body = standing
    flared = with_legs(body, 1.7, {0: 0.17, 0.4: 0.15, 1: 0.12, 1.6: 0.22, 1.8: 0.08})
    tight = with_legs(body, 1.7, {0: 0.17, 0.4: 0.15, 1: 0.12, 1.6: 0.08, 1.8: 0.07})
    garment = trousers(flare=-24)
    (thigh, shin), _ = half_widths(garment, flared, points, [0.2, 1.5])
    (_, least), _ = half_widths(garment, tight, points, [0.2, 1.5])
    assert thigh > 0.14 and shin < 0.13
    assert abs(shin - least) < 0.03
    assert is_snug(panels_for(garment, flared)[0], flared) and not is_snug(panels_for(garment, tight)[0], tight)
    shorts = with_legs(body, 0.6, {0: 0.17, 0.55: 0.2, 0.65: 0.12, 2: 0.08})
    bare, _ = half_widths(garment, shorts, points, [1.0, 1.5])
    assert (bare > 1.03 * np.interp([1.0, 1.5], [0.65, 2], [0.12, 0.08])).all()


def test_old_shorts_say_nothing_of_a_long_hem(standing):
    points, body = standing
    wide, slim = (with_legs(body, 0.6, {0: 0.17, 0.4: 0.17, 0.5: at_hem, 0.8: 0.12, 2: 0.08}) for at_hem in (0.3, 0.15))
    ours, theirs = (half_widths(trousers(), worn, points, [0.9, 1.1, 1.6])[0] for worn in (wide, slim))
    assert np.allclose(ours, theirs, atol=0.01)


def test_wide_legs_stay_wide_over_thin_ankles(standing):
    points, body = standing
    thin = with_legs(body, 1.9, {0: 0.17, 1: 0.13, 1.7: 0.06, 2: 0.05})
    (knee, ankle), _ = half_widths(trousers(flare=38), thin, points, [1.0, 1.8])
    straight, _ = half_widths(trousers(), thin, points, [1.8])
    assert ankle > knee and ankle > 1.5 * straight[0]


def on_picture(layer) -> np.ndarray:
    """[h, w] float32 a layer's alpha where it lies in the whole picture."""
    out = np.zeros(SIZE, np.float32)
    (top, left), (height, width) = layer.corner, layer.alpha.shape
    out[top : top + height, left : left + width] = layer.alpha
    return out


@pytest.mark.parametrize("beside", [0.14, 0.16, 0.18])
def test_trousers_do_not_line_the_rim_of_a_skirt_they_replace(beside):
    """A skirt down to the ankles, its sides `beside` torso lengths from the knees."""
    frames, labels, points = scene(sway=0.0)
    low, high = round(90 + 0.9 * UNIT), round(90 + 2.5 * UNIT)
    left, right = (round(float(points[0, j, 0]) + sign * beside * UNIT) for j, sign in ((26, -1), (25, 1)))
    labels[:, low:high, left:right] = LABEL["skirt"]
    frames[:, low:high, left:right] = (60, 60, 65)
    body = solve_body(
        BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)]), points, np.zeros(len(points))
    )
    still = np.zeros((len(points), 33)), np.zeros(len(points))
    outfit = fit_outfit((trousers(),), body, learn_albedo(frames, labels), points, *still)
    (drawn,) = outfit.draw(2, frames[2], labels[2], SIZE)
    cloth = np.maximum.reduce([on_picture(layer) for layer in drawn.layers])
    rows = slice(round(90 + 1.5 * UNIT), round(90 + 2.2 * UNIT))
    assert cloth[rows, round(float(points[0, 25, 0]))].mean() > 0.9
    for outward in (cloth[rows, left + 2 : left - 4 : -1], cloth[rows, right - 2 : right + 4]):
        assert np.diff(outward.mean(0)).max() < 0.05, "beyond the legs' outline cloth ends"


def test_old_trousers_are_covered_at_the_hips_and_each_leg_ends_at_the_seam():
    """Hips wider than the solver believes at the last, with hands hanging beside them; down to the crotch nothing of the near
    leg's cloth lies on the far one's."""
    frames, labels, points = scene(sway=0.0)
    body = solve_body(
        BodyMeasure.stack([measure_frame(p, m, True) for p, m in zip(points, labels)]), points, np.zeros(len(points))
    )
    middle, rows = SIZE[1] // 2, slice(round(90 + 1.12 * UNIT), round(90 + 1.3 * UNIT))
    hips = np.zeros(SIZE, bool)
    hips[rows, middle - round(0.41 * UNIT) : middle + round(0.41 * UNIT)] = True
    worn = hips & (labels[2] == 0)
    labels[:, worn], frames[:, worn] = LABEL["pants"], (60, 60, 65)
    depth = np.zeros((len(points), 33))
    depth[:, [23, 25, 27]] = -5  # the left leg lies in front
    outfit = fit_outfit((trousers(),), body, learn_albedo(frames, labels), points, depth, np.zeros(len(points)))
    (drawn,) = outfit.draw(2, frames[2], labels[2], SIZE)
    far, near = (on_picture(layer) for layer in drawn.layers)
    old = hips & (labels[2] == LABEL["pants"])
    assert worn.sum() > 200 and np.maximum(far, near)[worn & old].mean() > 0.9
    past = slice(rows.start, rows.start + 6), slice(middle - 5, middle - 2)  # on the far leg's side of the seam
    assert near[past].mean() < 0.05 and far[past].mean() > 0.95


@pytest.mark.parametrize("rise", [0, 40])
def test_hems_of_legs_that_lie_apart_are_level(standing, rise):
    """Both ends of the hem lie at one station of the leg, though in the picture the outer one is `rise` pixels higher."""
    half = [(0, 40), (50, 40), (70, 120), (130, 440 - rise), (25, 440), (4, 190), (0, 190)]
    outline = np.array([(200 + x, y) for x, y in half] + [(200 - x, y) for x, y in half[::-1]], np.int32)
    picture = cv2.fillPoly(np.full((480, 400, 3), 244, np.uint8), [outline], (60, 70, 110))
    garment = prepare_garment(torch.from_numpy(picture).permute(2, 0, 1))
    assert garment.category == "lower" and garment.layout.leg == "long"
    for panel, (outer, inner) in zip(panels_for(garment, standing[1]), ((-1, 0), (0, -1))):
        at = [np.interp(panel.hem, panel.stations, panel.lattice[:, end, 1]) for end in (outer, inner)]
        assert at[1] - at[0] == pytest.approx(rise, abs=8)
