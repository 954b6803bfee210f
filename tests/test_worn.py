"""Garment pictures with somebody in them: the face stays out, the cloth goes on where the picture ends."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from matplotlib import cbook

from vidvton.errors import VidvtonError
from vidvton.frames import from_arrays
from vidvton.worn import prepare_any_garment, wearer_labels


def hopper() -> np.ndarray:
    """Grace Hopper's portrait [600, 512, 3] uint8 RGB, which matplotlib brings along: a bust in a dark uniform."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def tee(colour=(60, 110, 190)) -> np.ndarray:
    """A flat tee [500, 480, 3] on white."""
    picture = np.full((500, 480, 3), 250, np.uint8)
    outline = [[170, 60], [310, 60], [440, 160], [395, 215], [345, 180], [345, 460], [135, 460], [135, 180], [85, 215], [40, 160]]
    cv2.fillPoly(picture, [np.array(outline)], colour)
    cv2.ellipse(picture, (240, 60), (45, 25), 0, 0, 180, (250, 250, 250), -1)
    return picture


def test_of_a_portrait_the_garment_is_what_is_worn():
    picture = hopper()
    labels = wearer_labels(from_arrays(picture))
    assert labels.shape == picture.shape[:2] and labels[400:, 100:400].any()
    garment = prepare_any_garment(from_arrays(picture))
    assert garment.category == "upper"
    cloth = garment.image.movedim(0, -1).numpy()[garment.alpha.numpy() > 0.9].astype(int)
    skin = (cloth[:, 0] > 150) & (cloth[:, 0] > cloth[:, 2] + 30)
    assert skin.mean() < 0.05, "no face"
    assert np.median(cloth) < 60, "a dark uniform"
    height, width = garment.alpha.shape
    assert 1.1 < height / width < 1.6, "as long as tops are, though the picture ends at the chest"


def test_what_the_person_does_not_wear_in_the_picture_is_one_sentence():
    with pytest.raises(VidvtonError, match="no lower garment found"):
        prepare_any_garment(from_arrays(hopper()[:450]), category="lower")


def test_a_garment_by_itself_is_read_as_ever():
    picture = from_arrays(tee())
    assert wearer_labels(picture) is None
    garment = prepare_any_garment(picture)
    assert garment.category == "upper" and garment.layout.sleeve != "long"


def test_a_face_printed_on_a_tee_wears_nothing():
    picture = tee((205, 150, 125))
    face = cv2.resize(hopper()[150:370, 150:360], (110, 115), interpolation=cv2.INTER_AREA)
    picture[220:335, 185:295] = face
    assert wearer_labels(from_arrays(picture)) is None


def test_a_picture_with_coverage_of_its_own_is_believed():
    picture = from_arrays(hopper())
    alpha = torch.zeros(600, 512)
    alpha[350:590, 100:400] = 1
    garment = prepare_any_garment(picture, alpha, category="upper")
    assert garment.alpha.shape[0] < 300
