"""Borders between person and clothes go to where the colours change."""

import cv2
import numpy as np
import pytest

from vidvton.people.borders import settle_borders
from vidvton.values import CIHP_LABELS

UPPER, ARM = CIHP_LABELS.index("upper"), CIHP_LABELS.index("left_arm")


def forearm(skin=(205, 150, 125), cloth=(70, 75, 80), *, noise=4.0):
    """(picture, true labels) of a forearm before a top, before a wall."""
    labels = np.zeros((120, 160), np.uint8)
    labels[10:110, 20:140] = UPPER
    cv2.line(labels, (40, 80), (115, 45), ARM, 21)
    picture = np.full((*labels.shape, 3), 220, np.float32)
    picture[labels == UPPER], picture[labels == ARM] = cloth, skin
    picture += np.random.default_rng(0).normal(0, noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), labels


@pytest.mark.parametrize("grown", [-3, 4])
def test_labels_that_stray_from_a_hand_come_back(grown):
    picture, truth = forearm()
    arm, size = (truth == ARM).astype(np.uint8), np.ones((2 * abs(grown) + 1,) * 2, np.uint8)
    strayed = truth.copy()
    strayed[(truth == ARM) | (truth == UPPER)] = UPPER
    strayed[((cv2.dilate if grown > 0 else cv2.erode)(arm, size) > 0) & (truth > 0)] = ARM
    settled = settle_borders(strayed, picture)
    assert (strayed != truth).sum() > 400
    assert (settled != truth).sum() < 0.12 * (strayed != truth).sum()
    assert ((settled == 0) == (truth == 0)).all(), "the outline is the silhouette's"


def test_sides_of_one_colour_keep_their_labels():
    picture, truth = forearm(skin=(90, 82, 80), noise=8.0)
    assert (settle_borders(truth, picture) == truth).mean() > 0.999


def test_a_single_side_is_left_alone():
    picture, truth = forearm()
    only = np.where(truth == ARM, UPPER, truth).astype(np.uint8)
    assert settle_borders(only, picture) is only


def test_a_finger_without_an_inside_stays():
    picture, truth = forearm()
    truth[:], picture[:] = UPPER, (70, 75, 80)
    truth[60:62, 40:120], picture[60:62, 40:120] = ARM, (205, 150, 125)
    assert (settle_borders(truth, picture) == truth).all()
