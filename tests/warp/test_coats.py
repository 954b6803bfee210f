"""Long open coats: the legs that they hid, and their inner side between the legs."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from drawn_person import LABEL
from drawn_wear import SIZE, UNIT, body_of, scene, skirt, tee, trousers

from vidvton.render.composite import paste
from vidvton.values import Garment
from vidvton.warp.outfit import fit_outfit
from vidvton.warp.shade import learn_albedo


def worn(garment: Garment, seen: np.ndarray, labels: np.ndarray, clear: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[h, w, 3] the garment on a person in the frame `seen` with `labels`, whose body is measured by the labels `clear`."""
    outfit = fit_outfit((garment,), body_of(clear, points), learn_albedo(seen, labels), points, np.zeros((1, 33)), np.zeros(1))
    return paste(seen[0], outfit.draw(0, seen[0], labels[0], SIZE)[0]).astype(int)


def test_legs_that_a_coat_hides_are_there_when_it_is_gone():
    frames, labels, points = scene(1)
    coat, seen = labels.copy(), frames.copy()
    hip, ankle = points[0, 24, :2], points[0, 28, :2]
    hidden = np.zeros(SIZE, np.uint8)
    ends = [tuple(int(v) for v in hip + (ankle - hip) * share) for share in (0.1, 0.75)]
    cv2.line(hidden, *ends, 1, int(0.5 * UNIT))
    hidden = (hidden > 0) & (np.arange(SIZE[1]) < points[0, 24:26, 0].mean() + 0.05 * UNIT)[None]
    coat[0][hidden], seen[0][hidden] = LABEL["upper"], (120, 30, 30)
    out = worn(tee(), seen, coat, labels, points)
    trousers = frames[0][labels[0] == LABEL["pants"]].mean(0)
    leg, beside = hidden & (labels[0] == LABEL["pants"]), hidden & (labels[0] == LABEL["background"])
    low = np.arange(SIZE[0])[:, None] > hip[1] + 0.45 * UNIT
    close = np.abs(out - trousers).max(-1) < 40
    away = cv2.distanceTransform((labels[0] != LABEL["pants"]).astype(np.uint8), cv2.DIST_L2, 3) > 8
    assert close[leg & low].mean() > 0.8 and close[beside & low & away].mean() < 0.45


def test_a_skirt_hides_what_is_seen_between_legs_and_not_what_a_hand_holds():
    frames, labels, points = scene(1)
    middle = points[0, 23:27, :2].mean(0) + (0, 0.1 * UNIT)
    for held in (False, True):
        thing, seen = labels.copy(), frames.copy()
        where = np.zeros(SIZE, np.uint8)
        cv2.ellipse(where, tuple(int(v) for v in middle), (12, 24), 0, 0, 360, 1, -1)
        if held:
            cv2.line(where, tuple(int(v) for v in middle), tuple(int(v) for v in points[0, 15, :2]), 1, 9)
        thing[0][where > 0], seen[0][where > 0] = LABEL["scarf"], (10, 10, 10)
        thing[0][labels[0] == LABEL["left_arm"]] = LABEL["left_arm"]
        out = worn(skirt(), seen, thing, labels, points)
        shown = np.abs(out - 10).max(-1)[cv2.erode(where, np.ones((5, 5))) > 0] < 25
        assert shown.mean() > 0.9 if held else shown.mean() < 0.1


def test_a_coats_rim_beside_a_new_skirt_is_no_leg():
    frames, labels, points = scene(1)
    coat, seen = labels.copy(), frames.copy()
    hip, ankle = points[0, 24, :2].astype(int), points[0, 28, :2].astype(int)
    flap = np.zeros(SIZE, bool)
    flap[hip[1] + 20 : ankle[1] - 30, hip[0] - 30 : hip[0] + 4] = True
    coat[0][flap], seen[0][flap] = LABEL["upper"], (40, 90, 40)
    blue = replace(skirt(), image=torch.zeros_like(skirt().image) + torch.tensor([40, 60, 150], dtype=torch.uint8)[:, None, None])
    out = worn(blue, seen, coat, coat, points)
    edge = flap & ~cv2.erode(flap.astype(np.uint8), np.ones((7, 7))).astype(bool)
    red = (out[..., 0] - out[..., 2] > 30) & edge
    assert red.sum() < 0.02 * edge.sum()


def test_the_skin_of_a_leg_does_not_look_out_beside_its_trousers():
    frames, labels, points = scene(1)
    bare, seen = labels.copy(), frames.copy()
    for name, joints in (("left_leg", (23, 25, 27)), ("right_leg", (24, 26, 28))):
        line = points[0, list(joints), :2] + ((0.13 if name == "left_leg" else -0.13) * UNIT, 0)
        leg = np.zeros(SIZE, np.uint8)
        cv2.polylines(leg, [line.astype(np.int32)], False, 1, 20)
        leg[: int(points[0, 23, 1] + 0.4 * UNIT)] = 0
        bare[0][(labels[0] == LABEL["pants"]) & (np.arange(SIZE[0]) > points[0, 23, 1] + 0.4 * UNIT)[:, None]] = 0
        bare[0][leg > 0], seen[0][leg > 0] = LABEL[name], (205, 150, 125)
    blue = replace(
        trousers(), image=torch.zeros_like(trousers().image) + torch.tensor([40, 60, 150], dtype=torch.uint8)[:, None, None]
    )
    out = worn(blue, seen, bare, labels, points)  # measured where the legs are not
    low = (np.arange(SIZE[0]) < points[0, 27, 1] - 0.1 * UNIT)[:, None]
    skin = np.isin(bare[0], (LABEL["left_leg"], LABEL["right_leg"])) & low
    assert (out[..., 2] - out[..., 0])[skin].mean() > 60 and ((out[..., 0] > 150) & skin).sum() < 0.12 * skin.sum()


def test_under_a_long_dress_that_becomes_a_short_skirt_there_are_legs():
    frames, labels, points = scene(1, skirt=True)
    dress, seen = labels.copy(), frames.copy()
    corners = [(24, -0.25, 0), (23, 0.25, 0), (27, 0.3, -0.3), (28, -0.3, -0.3)]
    outline = [np.round(points[0, j, :2] + UNIT * np.array([x, y])).astype(int) for j, x, y in corners]
    below = cv2.fillPoly(np.zeros(SIZE, np.uint8), [np.array(outline)], 1) > 0
    cloth = (below | (labels[0] == LABEL["upper"])) & np.isin(
        labels[0], [LABEL[n] for n in ("background", "upper", "skirt", "left_leg", "right_leg")]
    )
    dress[0][cloth], seen[0][cloth] = LABEL["dress"], (150, 40, 60)
    out = worn(skirt(short=True), seen, dress, dress, points)
    for hip in (23, 24):
        x, y = (points[0, hip + 2, :2] * 0.4 + points[0, hip + 4, :2] * 0.6).astype(int)
        assert np.abs(out[y, x - 2 : x + 3] - (205, 150, 125)).max() < 70 and (out[y, x, 0] - out[y, x, 2]) > 25


def test_a_bag_on_a_sleeved_arm_stays_before_a_skirt():
    frames, labels, points = scene(1, long_sleeve=True)
    bag, seen = labels.copy(), frames.copy()
    x, y = points[0, 23, :2].astype(int) + (int(0.12 * UNIT), int(0.65 * UNIT))
    where = np.zeros(SIZE, np.uint8)
    cv2.rectangle(where, (x - 12, y - 18), (x + 12, y + 18), 1, -1)
    bag[0][where > 0], seen[0][where > 0] = LABEL["scarf"], (230, 210, 20)
    out = worn(skirt(), seen, bag, labels, points)
    inner = cv2.erode(where, np.ones((7, 7))) > 0
    assert (np.abs(out - (230, 210, 20)).max(-1)[inner] < 30).mean() > 0.9
