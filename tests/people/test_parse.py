"""Labels of drawn people whose labels are known, and of one real photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn_person import LABEL, SKIN, TOP, clip, iou, joints, track
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vidvton.errors import MisuseError
from vidvton.frames import from_arrays
from vidvton.people.appearance import Appearance, learn_appearance
from vidvton.people.evidence import BACKGROUND, SURFACES, UPPER, _apart, loose_pieces
from vidvton.people.evidence import SKIN as SKIN_CELLS
from vidvton.people.lasting import lasting_colours
from vidvton.people.parse import parse_frames, person_window
from vidvton.people.zones import body_of, grid, zones_of

LEAST = {"upper": 0.9, "pants": 0.9, "face": 0.8, "hair": 0.75, "torso_skin": 0.6, "left_arm": 0.8, "right_arm": 0.8,
         "left_shoe": 0.8, "right_shoe": 0.8}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    frames, pose, silhouettes, labels = clip(7)
    appearance = learn_appearance(frames, pose, silhouettes)
    return frames, pose, silhouettes, labels, appearance, parse_frames(frames, pose, silhouettes, appearance)


def test_every_surface_is_found_where_it_was_drawn(drawn):
    *_, labels, _, found = drawn
    assert found.dtype == torch.uint8 and found.shape == labels.shape
    for name, least in LEAST.items():
        assert iou(found.numpy() == LABEL[name], labels == LABEL[name]) >= least, name


def test_facts_of_the_shot(drawn):
    appearance = drawn[4]
    assert 0.4 <= appearance.sleeve <= 1.0 and appearance.leg > 1.6
    assert appearance.head and not (appearance.dress or appearance.skirt or appearance.bare)


@pytest.mark.parametrize(
    "how",
    [{"long_sleeve": True}, {"top": (235, 232, 228)}, {"top": (70, 20, 30)}, {"top": (215, 205, 170)}, {"top": (205, 160, 140)}],
)
def test_other_tops(how):
    frames, pose, silhouettes, labels = clip(3, **how)
    appearance = learn_appearance(frames, pose, silhouettes)
    found = parse_frames(frames, pose, silhouettes, appearance).numpy()
    assert iou(found == LABEL["upper"], labels == LABEL["upper"]) > 0.85
    assert (appearance.sleeve > 1.7) == bool(how.get("long_sleeve"))


@pytest.mark.parametrize("top", [(40, 40, 44), (150, 150, 150), (205, 160, 140)])
def test_a_face_is_no_garment_in_black_and_white_either(top):
    frames, pose, silhouettes, labels = clip(3, top=top)
    grey = (frames.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    frames = grey.repeat(1, 3, 1, 1).to(torch.uint8)
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    face = labels == LABEL["face"]
    assert (found[face] == LABEL["face"]).mean() > 0.8
    assert iou(found == LABEL["upper"], labels == LABEL["upper"]) > 0.75


@pytest.mark.parametrize("height, loose", [(64, False), (320, True)])
def test_cloth_beside_a_neck_need_not_hang_on_a_trunk_that_is_out_of_the_picture(height, loose):
    body = body_of(joints(78.0, (120, 70)), 0.0, np.array([60.0, 10, 180, 300]))
    zones = zones_of(body, grid((height, 240), 4))
    soft = np.zeros((SURFACES, *zones.v.shape), np.float32)
    soft[UPPER, 13:15, 40:50] = 1
    assert (UPPER in [c for c, _ in loose_pieces(soft, zones, head=True)]) == loose


def test_a_head_of_the_tops_colour_is_no_garment():
    frames, pose, silhouettes, labels = clip(3)
    head = (labels == LABEL["hair"]) | (labels == LABEL["face"])
    for c, value in enumerate(TOP):
        frames[:, c][torch.from_numpy(head)] = value
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    assert (found[head] == LABEL["upper"]).mean() < 0.1


@pytest.mark.parametrize("colour, name, above", [((12, 12, 16), "scarf", -4), (TOP, "upper", 80)])
def test_what_hangs_from_a_hand_is_a_bag_or_a_cloak_by_its_colour(colour, name, above):
    frames, pose, silhouettes, labels = clip(5)
    for t in range(len(frames)):
        x, y = (int(v) for v in pose.keypoints[t, 19, :2])
        bag = np.s_[y - above : y + 40, x - 4 : x + 26]  # a cloak falls from the shoulders
        background = np.asarray(labels[t][bag] == 0)
        frames[t][:, bag[0], bag[1]][:, background] = torch.tensor(colour, dtype=torch.uint8)[:, None]
        silhouettes[t][bag] = torch.where(torch.from_numpy(background), 255, silhouettes[t][bag])
    appearance = learn_appearance(frames, pose, silhouettes)
    found = parse_frames(frames, pose, silhouettes, appearance).numpy()
    x, y = (int(v) for v in pose.keypoints[2, 19, :2])
    bag = found[2, y + 10 : y + 36, x + 4 : x + 24][np.asarray(labels[2][y + 10 : y + 36, x + 4 : x + 24] == 0)]
    assert (bag == LABEL[name]).mean() > 0.8
    assert iou(found == LABEL["pants"], labels == LABEL["pants"]) > 0.85


def test_skirt_over_bare_legs():
    frames, pose, silhouettes, labels = clip(3, skirt=True)
    appearance = learn_appearance(frames, pose, silhouettes)
    found = parse_frames(frames, pose, silhouettes, appearance).numpy()
    assert appearance.skirt and not appearance.dress
    for name in ("skirt", "left_leg", "right_leg"):
        assert iou(found == LABEL[name], labels == LABEL[name]) > 0.75, name


def test_bare_thighs_at_the_bottom_of_the_picture_are_legs():
    frames, pose, silhouettes, labels = clip(3)
    hips = int(pose.keypoints[0, [23, 24], 1].mean())
    bare = (labels == LABEL["pants"]) & (np.arange(labels.shape[1])[None, :, None] > hips + 30)
    pictures = frames.numpy().copy()
    for c, value in enumerate(SKIN):
        pictures[:, c][bare] = value
    middle = pose.keypoints[0, [23, 24], 0].mean().item()
    right = np.arange(labels.shape[2])[None, None] < middle
    labels = np.where(bare, np.where(right, np.uint8(LABEL["right_leg"]), np.uint8(LABEL["left_leg"])), labels)
    height = hips + 56
    cut = torch.from_numpy(pictures)[:, :, :height], pose, silhouettes[:, :height]
    appearance = learn_appearance(*cut)
    found = parse_frames(*cut, appearance).numpy()
    assert appearance.leg < 1, "shorts, though no leg is seen to its end"
    for name in ("left_leg", "right_leg"):
        assert iou(found == LABEL[name], labels[:, :height] == LABEL[name]) > 0.7, name


@pytest.mark.parametrize("fall", [0.0, 0.22])
def test_a_white_top_that_leaves_the_picture_is_one_though_light_falls_off_downwards(fall):
    frames, pose, silhouettes, labels = clip(3)
    height = int(pose.keypoints[0, [23, 24], 1].mean()) + 16
    cloth = np.isin(labels, [LABEL["upper"], LABEL["pants"]])
    light = 1 - fall * np.clip((np.arange(labels.shape[1])[None, :, None] - 60) / (height - 60), 0, 1) * np.ones(labels.shape)
    grain = np.random.default_rng(0).integers(-4, 5, labels.shape)
    pictures = frames.numpy().copy()
    for c, value in enumerate((235, 232, 228)):
        pictures[:, c][cloth] = (value * light + grain)[cloth]
    cut = torch.from_numpy(pictures)[:, :, :height], pose, silhouettes[:, :height]
    found = parse_frames(*cut, learn_appearance(*cut)).numpy()
    assert (found == LABEL["upper"])[cloth[:, :height]].mean() > 0.98


def test_leg_ends_that_few_frames_show_are_not_guessed_over():
    """Somebody in knee-long shorts, whom most of the samples show to the thighs alone."""
    frames, pose, silhouettes, labels = clip(8)
    hips = int(pose.keypoints[0, [23, 24], 1].mean())
    bare = (labels == LABEL["pants"]) & (np.arange(labels.shape[1])[None, :, None] > hips + 75)
    pictures, outlines = frames.numpy().copy(), silhouettes.numpy().copy()
    for c, value in enumerate(SKIN):
        pictures[:, c][bare] = value
    pictures[2:, :, hips + 56 :], outlines[2:, hips + 56 :] = 128, 0
    appearance = learn_appearance(torch.from_numpy(pictures), pose, outlines)
    found = parse_frames(torch.from_numpy(pictures), pose, outlines, appearance).numpy()
    legs = np.isin(found[0], [LABEL["left_leg"], LABEL["right_leg"]])
    assert appearance.leg < 1.6 and iou(legs, bare[0]) > 0.7


def test_hand_across_the_chest_is_arm():
    frames, pose, silhouettes, labels = clip(4, crossing=True)
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    assert iou(found == LABEL["left_arm"], labels == LABEL["left_arm"]) > 0.85
    hand = np.zeros(labels.shape, bool)
    for t, (x, y, _) in enumerate(pose.keypoints[:, 15].tolist()):
        hand[t, int(y) - 6 : int(y) + 6, int(x) - 6 : int(x) + 6] = True
    hand &= labels == LABEL["left_arm"]
    assert (found[hand] == LABEL["left_arm"]).mean() > 0.95


def test_labels_hold_still_while_the_picture_does():
    frames, pose, silhouettes, _ = clip(1)
    rng = np.random.default_rng(5)
    still = np.repeat(np.moveaxis(frames.numpy(), 1, -1), 8, axis=0).astype(np.int16)
    noisy = np.clip(still + rng.integers(-7, 8, still.shape), 0, 255).astype(np.uint8)
    pose8 = track(np.repeat(pose.keypoints.numpy(), 8, axis=0))
    masks = silhouettes.repeat(8, 1, 1)
    found = parse_frames(from_arrays(noisy), pose8, masks, learn_appearance(from_arrays(noisy), pose8, masks)).numpy()
    changed = (found[1:] != found[:-1]).sum() / ((found[1:] > 0) | (found[:-1] > 0)).sum()
    assert changed < 0.012


def test_a_frame_depends_on_no_more_than_four_neighbours(drawn):
    frames, pose, silhouettes, _, appearance, whole = drawn
    part = parse_frames(frames[1:7], pose.window(1, 7), silhouettes[1:7], appearance)
    assert torch.equal(part[2:], whole[3:7])


def test_same_labels_at_twice_the_size():
    small, large = clip(2, size=(320, 240)), clip(2, size=(320, 240), scale=2.0)
    found = [parse_frames(f, p, s, learn_appearance(f, p, s)).numpy() for f, p, s, _ in (small, large)]
    shrunk = found[1][:, ::2, ::2]
    assert (shrunk == found[0]).mean() > 0.97


def test_appearance_survives_a_file(drawn, tmp_path):
    frames, pose, silhouettes, _, appearance, whole = drawn
    np.savez(tmp_path / "a.npz", **appearance.to_arrays())
    with np.load(tmp_path / "a.npz") as arrays:
        back = Appearance.from_arrays(arrays)
    again = parse_frames(frames, pose, silhouettes, back)
    assert (again == whole).float().mean() > 0.999
    assert back.sleeve == pytest.approx(appearance.sleeve) and back.dress == appearance.dress


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(missing=st.sets(st.integers(0, 32)))
def test_no_missing_joint_raises(drawn, missing):
    frames, pose, silhouettes, _, appearance, _ = drawn
    points = pose.keypoints[:1].clone()
    points[:, sorted(missing)] = 0
    holed = track(points.numpy())
    learn_appearance(frames[:1], holed, silhouettes[:1])
    found = parse_frames(frames[:1], holed, silhouettes[:1], appearance)
    assert int(found.max()) < 20
    assert (found > 0).float().mean() <= 1.3 * (silhouettes[:1] > 40).float().mean()


def test_nobody_is_background_and_wrong_sizes_are_refused(drawn):
    frames, pose, silhouettes, _, appearance, _ = drawn
    nobody = track(np.zeros((1, 33, 3), np.float32))
    object.__setattr__(nobody, "present", torch.zeros(1, dtype=torch.bool))
    assert not parse_frames(frames[:1], nobody, silhouettes[:1], appearance).any()
    assert learn_appearance(frames[:1], nobody, silhouettes[:1]).colours.shape == appearance.colours.shape
    with pytest.raises(MisuseError, match="one length and size"):
        parse_frames(frames[:2], pose, silhouettes, appearance)


def test_photo_of_grace_hopper():
    import matplotlib

    photo = np.array(Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB"))
    h, w = photo.shape[:2]
    points = joints(0.55 * h, (0.5 * w, 0.62 * h))
    seen = {0: (0.52, 0.35), 2: (0.57, 0.29), 5: (0.45, 0.29), 7: (0.66, 0.32), 8: (0.36, 0.32), 9: (0.57, 0.42),
            10: (0.47, 0.42), 11: (0.86, 0.68), 12: (0.16, 0.68)}  # fmt: skip
    for j, (x, y) in seen.items():
        points[j, :2] = (x * w, y * h)
    points[13:, 2] = 0
    mask = np.zeros((h, w), np.uint8)
    cv2.ellipse(mask, (int(0.51 * w), int(0.32 * h)), (int(0.2 * w), int(0.24 * h)), 0, 0, 360, 255, -1)
    cv2.fillPoly(
        mask, [(np.array([[0.4, 0.5], [0.62, 0.5], [0.93, 0.65], [1, 1], [0.02, 1], [0.1, 0.65]]) * (w, h)).astype(int)], 255
    )
    mask = cv2.GaussianBlur(mask, (0, 0), 4)
    frames, masks, pose = from_arrays(photo[None]), torch.from_numpy(mask[None]), track(points[None])
    found = parse_frames(frames, pose, masks, learn_appearance(frames, pose, masks))[0].numpy()
    cheek = found[int(0.36 * h) : int(0.4 * h), int(0.46 * w) : int(0.56 * w)]
    jacket = found[int(0.85 * h) : int(0.95 * h), int(0.15 * w) : int(0.35 * w)]
    assert (cheek == LABEL["face"]).mean() > 0.9
    assert (jacket == LABEL["upper"]).mean() > 0.9
    assert (found[: int(0.05 * h)] == 0).all()


def test_the_part_of_the_pictures_with_the_person_is_all_that_is_needed(drawn):
    frames, pose, silhouettes, _, appearance, found = drawn
    wide = torch.nn.functional.pad(frames.float(), (160, 80, 0, 0), mode="replicate").to(torch.uint8)
    masks = torch.nn.functional.pad(silhouettes, (160, 80))
    still = torch.ones(len(pose))
    moved = pose.moved(still, torch.tensor([160.0, 0.0]) * still[:, None])
    top, bottom, left, right = person_window(moved, masks.numpy())
    on, height = masks.numpy().any((0, 1)), masks.shape[1]
    assert (top, bottom) == (0, height) and left % 8 == 0
    assert 120 < left < np.flatnonzero(on)[0] - 8 and right > np.flatnonzero(on)[-1] + 8
    part = pose.moved(still, torch.tensor([160.0 - left, 0.0]) * still[:, None])
    again = np.zeros(masks.shape, np.uint8)
    again[..., left:right] = parse_frames(
        wide[..., left:right].contiguous(), part, masks[..., left:right].contiguous(), appearance
    )
    assert (again[..., 160:400] == found.numpy()).mean() > 0.995


def test_white_cloth_before_a_white_wall_ends_at_its_outline():
    frames, pose, silhouettes, labels = clip(3, top=(222, 222, 220))
    pictures = np.where((labels == 0)[..., None], np.uint8(210), frames.permute(0, 2, 3, 1).numpy())
    frames = from_arrays(np.stack([cv2.GaussianBlur(p, (0, 0), 0.8) for p in pictures]))
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    for t in range(len(labels)):
        away = cv2.distanceTransform((labels[t] == 0).astype(np.uint8), cv2.DIST_L2, 3)
        assert away[found[t] == LABEL["upper"]].max() <= 4
    assert iou(found == LABEL["upper"], labels == LABEL["upper"]) > 0.9


def test_a_short_piece_of_neck_beside_long_bare_legs_is_skin():
    """Of a head that is cut off little of the neck is left; what lies on no limb and no neck is loose all the same."""
    keypoints = joints(78.0, (120, 26))
    zones = zones_of(body_of(keypoints, 0.0, np.array([60, 0, 180, 260])), grid((320, 240), 4))
    soft = np.zeros((SURFACES, *zones.v.shape), np.float32)
    soft[SKIN_CELLS] = np.maximum(*zones.leg) > 0.5
    soft[SKIN_CELLS, 2:5, 28:32] = 1  # the neck
    soft[SKIN_CELLS, 14:17, 28:32] = 1  # a patch on the belly
    ((surface, loose),) = loose_pieces(soft, zones, head=False)
    assert surface == SKIN_CELLS and loose[15, 30] and not loose[3, 30] and not (loose & (np.maximum(*zones.leg) > 0.5)).any()


def test_a_bare_belly_is_the_trunks_to_its_sides():
    frames, pose, silhouettes, labels = clip(4)
    x, y = pose.keypoints[0, [23, 24], 0].mean().item(), pose.keypoints[0, [11, 12, 23, 24], 1]
    top, low = int(0.3 * y[:2].mean() + 0.7 * y[2:].mean()), int(0.08 * y[:2].mean() + 0.92 * y[2:].mean())
    belly = labels == LABEL["upper"]
    belly[:, :top], belly[:, low:] = False, False
    for c, value in enumerate(SKIN):
        frames[:, c][torch.from_numpy(belly)] = value
    found = parse_frames(frames, pose, silhouettes, learn_appearance(frames, pose, silhouettes)).numpy()
    inner = cv2.erode(belly[1].astype(np.uint8), np.ones((9, 5))) > 0
    assert inner.sum() > 200 and np.ptp(np.flatnonzero(inner.any(0))) > 40 and abs(np.flatnonzero(inner.any(0)).mean() - x) < 12
    assert (found[1][inner] == LABEL["torso_skin"]).mean() > 0.9


def test_a_forearm_that_the_segmenter_overlooks_is_told_by_its_colours():
    frames, pose, silhouettes, labels = clip(4)
    forearm = np.zeros(labels.shape, np.uint8)
    for t in range(len(frames)):
        elbow, wrist = (tuple(int(v) for v in pose.keypoints[t, j, :2]) for j in (13, 15))
        cv2.line(forearm[t], elbow, wrist, 1, 3)
    for c, value in enumerate(SKIN):  # the wall has a corner of nearly that colour
        frames[:, c, :60, :60] = value + 6
    appearance = learn_appearance(frames, pose, silhouettes)
    silhouettes[torch.from_numpy(labels == LABEL["left_arm"])] = 0
    found = parse_frames(frames, pose, silhouettes, appearance).numpy()
    assert (found[forearm > 0] == LABEL["left_arm"]).mean() > 0.8


@pytest.mark.parametrize("cells, held", [(4, False), (40, True)])
def test_what_is_seen_of_an_arm_is_skin_beside_long_legs_and_a_button_is_not(cells, held):
    body = body_of(joints(78.0, (120, 70)), 0.0, np.array([60.0, 10, 180, 300]))
    zones = zones_of(body, grid((320, 240), 4))
    soft = np.zeros((SURFACES, *zones.v.shape), np.float32)
    soft[SKIN_CELLS] = np.maximum(*zones.leg) > 0.5
    arm = np.argwhere((zones.arm[0] > 0.6) & (soft[SKIN_CELLS] == 0) & (np.maximum(*zones.leg) < 0.1))
    arm = arm[np.lexsort((arm[:, 1], arm[:, 0]))][60 : 60 + cells]
    soft[SKIN_CELLS][tuple(arm.T)] = 1
    loose = dict(loose_pieces(soft, zones, head=True)).get(SKIN_CELLS, np.zeros(zones.v.shape, bool))
    assert loose[tuple(arm.T)].mean() == (0 if held else 1)


def test_a_colour_that_few_frames_show_is_not_the_hairs():
    one, few, many = 5000, 9000, 17000
    frames = [np.array([many] * 80 + [one] * 20 + ([few] * 60 if t > 9 else [])) for t in range(12)]
    lasting = lasting_colours(frames, np.ones(sum(map(len, frames))))
    assert lasting[many] == lasting[one] == 1 and lasting[few] < 0.05
    assert (lasting_colours(frames[-3:], np.ones(sum(map(len, frames[-3:])))) == 1).all(), (
        "three frames tell nothing of what lasts"
    )
    weight = np.concatenate([np.full(len(bins), float(t < 4)) for t, bins in enumerate(frames)])
    assert (lasting_colours(frames, weight) == 1).all(), "nor do four in which hair is seen"


@pytest.mark.parametrize("gap, surface, kept", [(3, SKIN_CELLS, False), (2, SKIN_CELLS, True), (3, UPPER, True)])
def test_skin_that_hangs_together_with_nothing_is_none(gap, surface, kept):
    soft = np.zeros((SURFACES, 40, 40), np.float32)
    soft[UPPER, 5:30, 5:20] = 1
    soft[surface, 10:16, 20 + gap : 28 + gap] = 1
    soft[BACKGROUND] = 1 - soft.sum(0)
    apart = _apart(soft)
    assert (apart is None) == kept
    if not kept:
        assert apart[10:16, 20 + gap : 28 + gap].all() and not apart[:, :20].any()
