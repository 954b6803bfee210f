"""Forearms that the labels took for the top are arms again, and sleeves stay sleeves."""

import numpy as np
import pytest
from drawn_person import LABEL, SKIN, draw, joints

from vidvton.values import Part
from vidvton.warp.body import BodyMeasure, measure_frame
from vidvton.warp.fit import fit_panels
from vidvton.warp.limbs import bare_forearms
from vidvton.warp.panels import bare_limbs
from vidvton.warp.solve import solve_body

SIZE, UNIT, COUNT = (480, 480), 110.0, 5
ENDS = {Part.LEFT_SLEEVE: 0.9, Part.RIGHT_SLEEVE: 0.9}


@pytest.fixture(scope="module")
def stretched():
    """(frame, labels, limbs, forearm [h, w] bool) of somebody who holds their left arm out to the side."""
    points = joints(UNIT, (200, 90), left_wrist=(0.95, 0.55))
    frame, labels, _ = draw(points, UNIT, SIZE)
    row = measure_frame(points, labels, True)
    body = solve_body(BodyMeasure.stack([row] * COUNT), np.stack([points] * COUNT), np.zeros(COUNT))
    limbs = fit_panels(bare_limbs(), body, np.stack([points] * COUNT), np.zeros((COUNT, 33)), np.zeros(COUNT))
    return frame, labels, limbs, labels == LABEL["left_arm"]


def settled(stretched, colour, ends=ENDS, beside=None):
    """The labels once the forearm is of some colour and taken for the top; `beside` is what the rest of the picture is."""
    frame, labels, limbs, forearm = stretched
    frame, labels = frame.copy(), labels.copy()
    frame[forearm], labels[forearm] = colour, LABEL["upper"]
    if beside is not None:
        labels[labels == 0] = beside
    return bare_forearms(frame, labels, limbs, 2, ends, np.array(SKIN) / 255)


def test_a_forearm_in_backlight_is_an_arm(stretched):
    forearm = stretched[3]
    assert forearm.sum() > 1000
    assert (settled(stretched, np.array(SKIN) * 0.7)[forearm] == LABEL["left_arm"]).mean() > 0.8
    as_it_is = stretched[1]
    assert bare_forearms(stretched[0], as_it_is, stretched[2], 2, ENDS, np.array(SKIN) / 255) is as_it_is


@pytest.mark.parametrize(
    ("colour", "ends", "beside"),
    [
        ((220, 215, 210), ENDS, None),
        (SKIN, {Part.LEFT_SLEEVE: 1.9, Part.RIGHT_SLEEVE: 1.9}, None),
        (SKIN, {}, None),
        (SKIN, ENDS, LABEL["upper"]),
    ],
    ids=["a white sleeve", "long sleeves", "nothing known", "before a cape"],
)
def test_cloth_stays_cloth(stretched, colour, ends, beside):
    assert (settled(stretched, colour, ends, beside)[stretched[3]] == LABEL["upper"]).all()
