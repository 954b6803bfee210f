"""How a shot is lit: well exposed neutral clips change nothing, dark ones darken the cloth, casts need two witnesses."""

import numpy as np
from drawn_person import SKIN

from vidvton.warp.lamp import learn_lamp
from vidvton.warp.texture import Texture

TONE = np.array([SKIN, SKIN]) / 255


def room(gain=(1.0, 1.0, 1.0), wall=(235, 235, 235)):
    """Frames [3, 80, 60, 3] of a wall, a dark thing and skin, under a light of `gain`; and the skin's colour."""
    frames = np.full((3, 80, 60, 3), wall, np.float64)
    frames[:, 40:, :30], frames[:, 60:, 30:] = (40, 40, 45), SKIN
    return np.clip(frames * gain, 0, 255).astype(np.uint8), TONE * gain


def test_a_well_exposed_clip_changes_nothing():
    assert np.array_equal(learn_lamp(*room()), np.ones(3, np.float32))
    assert np.array_equal(learn_lamp(*room(wall=(30, 30, 30))), np.ones(3, np.float32)), "bright skin before a dark wall"
    frames, _ = room()
    assert np.array_equal(learn_lamp(frames, np.full((2, 3), np.nan)), np.ones(3, np.float32)), "no skin is seen"


def test_dark_clips_darken_the_cloth():
    dim, dark, night = (learn_lamp(*room((g, g, g))) for g in (0.45, 0.25, 0.02))
    assert 0.7 < dim[0] < 1 and 0.25 < dark[0] < 0.5 and 0.1 < night[0] < 0.2
    assert np.ptp(dim) == 0
    frames, _ = room((0.8, 0.8, 0.8), wall=(180, 180, 180))
    assert learn_lamp(frames, np.array([[85, 58, 46]] * 2) / 255).min() > 0.7, "dark skin makes no dark clip"


def test_a_cast_needs_the_wall_and_the_skin():
    warm, cold = learn_lamp(*room((1.0, 0.85, 0.55))), learn_lamp(*room((0.55, 0.8, 1.0)))
    assert warm[0] == 1 > warm[1] > warm[2] > 0.6 and cold[2] == 1 > cold[1] > cold[0] > 0.6
    assert np.array_equal(learn_lamp(*room(wall=(235, 200, 130))), np.ones(3, np.float32)), "a yellow wall"
    frames, skin = room()
    assert np.array_equal(learn_lamp(frames, skin * (1, 0.8, 0.5)), np.ones(3, np.float32)), "tanned skin"


def test_the_cloth_stands_under_the_lamp():
    picture = np.full((4, 4, 3), 200, np.uint8)
    texture = Texture(picture, picture, picture, picture)
    assert texture.under(np.ones(3, np.float32)) is texture
    under = texture.under(np.float32([1.5, 0.5, 0.25]))
    assert under.front[0, 0].tolist() == under.back[0, 0].tolist() == [255, 100, 50] and under.outlines is picture
