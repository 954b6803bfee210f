"""Where tops end and trousers begin, on drawn people: in profile, cut off, beside gloves."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL, TOP, TROUSERS, clip, iou, joints, track

from vidvton.people.appearance import learn_appearance
from vidvton.people.evidence import SKIN, SURFACES, UPPER, loose_pieces
from vidvton.people.parse import _name, parse_frames
from vidvton.people.zones import body_of, grid, zones_of


def test_trousers_stay_trousers_where_the_hips_are_taken_for_lower():
    """From the side the joints of the hips lie lower on the cloth than from the front: colour must decide at the waist."""
    frames, pose, silhouettes, labels = clip(8)
    appearance = learn_appearance(frames[:4], pose.window(0, 4), silhouettes[:4])
    low = pose.keypoints.clone()
    low[:, [23, 24], 1] += 0.16 * 78
    found = parse_frames(frames, track(low.numpy()), silhouettes, appearance).numpy()
    assert iou(found == LABEL["pants"], labels == LABEL["pants"]) > 0.88


def test_high_trousers_beside_an_arm_in_profile_are_no_top():
    """In profile the pose model lays the far arm over the belly: what is highest of the trousers there, and lit otherwise than
    the rest, is theirs by its colours."""
    frames, pose, silhouettes, labels = clip(6, long_sleeve=True, top=(30, 28, 30))
    unit, belly = 78.0, np.zeros(labels.shape, bool)
    keypoints = pose.keypoints.clone()
    for t in range(len(frames)):
        neck = (keypoints[t, 11, :2] + keypoints[t, 12, :2]) / 2
        rows = np.arange(labels.shape[1])[:, None]
        belly[t] = (labels[t] == LABEL["upper"]) & (rows > float(neck[1]) + 0.55 * unit)
        belly[t, :, : int(neck[0] - 0.3 * unit)] = belly[t, :, int(neck[0] + 0.3 * unit) :] = False
        for j, place in ((13, (0.2, 0.5)), (15, (0.22, 0.95)), (17, (0.22, 1.05)), (19, (0.22, 1.05)), (21, (0.22, 1.05))):
            keypoints[t, j, :2] = neck + unit * torch.tensor(place)
    shade = 1 + 0.4 * np.sin(np.arange(labels.shape[2]) / 2.5) + 0.4 * belly  # folds, and light from above
    cloth = belly | (labels == LABEL["pants"])
    for c, value in enumerate((50, 80, 140)):
        frames[:, c][torch.from_numpy(cloth)] = torch.from_numpy((value * shade).clip(0, 255).astype(np.uint8)[cloth])
    pose = track(keypoints.numpy())
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    assert (found[belly] == LABEL["pants"]).mean() > 0.9


@pytest.mark.parametrize("cells, held", [(6, False), (30, True)])
def test_what_is_seen_of_a_far_sleeve_is_the_tops_and_a_fold_of_its_colour_is_not(cells, held):
    body = body_of(joints(78.0, (120, 70)), 0.0, np.array([60.0, 10, 180, 300]))
    zones = zones_of(body, grid((320, 240), 4))
    soft = np.zeros((SURFACES, *zones.v.shape), np.float32)
    soft[UPPER] = (zones.torso > 0.5) & (zones.lat < 0.85)
    arm = np.argwhere((zones.arm[0] > 0.6) & (zones.v > 0.45) & (zones.lat > 1.0))[:cells]
    soft[UPPER][tuple(arm.T)] = 1
    assert len(arm) == cells
    loose = dict(loose_pieces(soft, zones, head=True)).get(UPPER, np.zeros(zones.v.shape, bool))
    assert loose[tuple(arm.T)].mean() == (0 if held else 1)


@pytest.mark.parametrize("cut", [0.42, 0.6])
def test_a_dress_cut_off_below_the_breast_is_one(cut):
    """What the picture does not show of a top tells nothing of its colours."""
    frames, pose, silhouettes, labels = clip(6, skirt=True, top=TROUSERS)
    row = int(66 + cut * 78)
    keypoints = pose.keypoints.clone()
    keypoints[..., 1] -= row
    found = parse_frames(
        frames[:, :, row:],
        track(keypoints.numpy()),
        silhouettes[:, row:],
        learn_appearance(frames[:, :, row:], track(keypoints.numpy()), silhouettes[:, row:]),
    ).numpy()
    worn = np.isin(labels[:, row:], [LABEL["upper"], LABEL["skirt"]])
    assert iou(found == LABEL["dress"], worn) > 0.9


@pytest.mark.parametrize("part, ends", [("hand", (1.0, 1.3)), ("band", (0.8, 0.95))])
def test_a_glove_of_the_tops_colour_is_no_sleeve(part, ends):
    frames, pose, silhouettes, labels = clip(3, scale=2)
    worn = np.zeros(labels.shape, np.uint8)
    for t in range(len(frames)):
        elbow, wrist = (pose.keypoints[t, j, :2].numpy() for j in (13, 15))
        ends_at = (tuple(np.round(elbow + (wrist - elbow) * e).astype(int).tolist()) for e in ends)
        cv2.line(worn[t], *ends_at, 1, 30)
    worn = (worn > 0) & (labels == LABEL["left_arm"])
    for c, value in enumerate(TOP):
        frames[:, c][torch.from_numpy(worn)] = value
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    assert worn.sum() > 1200 and (found[worn] == LABEL["upper"]).mean() < 0.2


def test_beside_a_bare_leg_a_hand_is_no_wider_than_hands_are():
    frames, pose, silhouettes, _ = clip(3)
    shorts = replace(learn_appearance(frames, pose, silhouettes), leg=0.3)
    unit = 156.0
    points = joints(unit, (240, 140))
    hip, knee = points[23, :2], points[25, :2]
    middle = hip + (knee - hip) * 0.55
    for j, down in ((15, -0.1), (17, 0.08), (19, 0.08), (21, 0.08)):  # the hand hangs 0.26 torso lengths beside the thigh's bone
        points[j, :2] = middle + unit * np.array([0.26, down])
    body = body_of(points, 0.0, np.array([120.0, 20, 360, 600]))
    zones = zones_of(body, grid((640, 480), 4))
    found = _name(np.full((640, 480), SKIN, np.uint8), zones, body, shorts)

    def at(beside: float) -> int:
        x, y = middle + unit * np.array([beside, 0.05])
        return found[int(y), int(x)]

    assert at(0.05) == at(0.16) == LABEL["left_leg"] and at(0.22) == at(0.28) == LABEL["left_arm"]
