"""Made clips: truth against truth, garment swaps, seeds, shop pictures, sensor, refusals. Small pictures, few frames."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from vidvton.errors import MisuseError
from vidvton.synth.clip import agnostic_frames, make_clip, make_frames, make_shop_pictures
from vidvton.synth.garments import KINDS, GarmentSpec
from vidvton.synth.scene import from_json, make_shot, to_json, with_another_garment, with_another_person, write_script
from vidvton.synth.sensor import Sensor, compress
from vidvton.synth.truth import FLOW_STEP
from vidvton.values import CIHP_LABELS, LANDMARKS, MEDIAPIPE

SIZE = (128, 96)
PLAIN = Sensor(noise=0.0, vignette=0.0, blur=0.0, quality=100)
LABEL = {name: i for i, name in enumerate(CIHP_LABELS)}


@pytest.fixture(scope="module")
def script():
    made = write_script(3, 1, frames=4, size=SIZE, motion="dance", garment="tee", place="studio")
    camera = dataclasses.replace(made.camera, style="handheld", framing="full")
    return dataclasses.replace(made, sensor=PLAIN, camera=camera)


@pytest.fixture(scope="module")
def clip(script):
    return make_clip(script)


def test_joints_in_space_project_onto_joints_in_the_picture(clip):
    camera, truth = clip.shot.camera, clip.truth
    height, width = SIZE
    local = truth.keypoints_3d
    x = local[..., 0] / local[..., 2] * camera.focal[:, None] * height + width / 2
    y = local[..., 1] / local[..., 2] * camera.focal[:, None] * height + height / 2
    assert torch.allclose(torch.stack([x, y], -1), truth.keypoints[..., :2], atol=2e-3)
    nose, hip = MEDIAPIPE.index("nose"), MEDIAPIPE.index("left_hip")
    assert (truth.keypoints[:, nose, 1] < truth.keypoints[:, hip, 1]).all()


def test_visible_joints_lie_on_the_person(clip):
    truth = clip.truth
    grown = F.max_pool2d(truth.person[:, None].float(), 5, 1, 2)[:, 0] > 0
    for t, points in enumerate(truth.keypoints):
        for x, y, seen in points.tolist():
            if seen:
                assert grown[t, int(y), int(x)]
    assert truth.keypoints[..., 2].mean() > 0.5


def test_flow_warps_each_frame_onto_the_next(clip):
    truth, (height, width) = clip.truth, SIZE
    frames = clip.frames.float() / 255
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for flow, hidden, here, there in (
        (truth.flow_forward[:-1], truth.hidden_forward[:-1], frames[:-1], frames[1:]),
        (truth.flow_backward[1:], truth.hidden_backward[1:], frames[1:], frames[:-1]),
    ):
        f = flow.float() * FLOW_STEP
        grid = torch.stack([(xs + f[..., 0]) / width * 2 - 1, (ys + f[..., 1]) / height * 2 - 1], -1)
        warped = F.grid_sample(there, grid, align_corners=False, padding_mode="border")
        seen = ~hidden
        assert seen.float().mean() > 0.8
        error = (warped - here).abs().mean(1)
        assert error[seen].mean() < 0.02
        moving = seen & truth.person[: len(seen)]
        still = (there - here).abs().mean(1)[moving].mean()
        assert error[moving].mean() < 0.6 * still, "the flow explains most of the change on the person"


def test_forward_and_backward_flow_undo_each_other(clip):
    truth, (height, width) = clip.truth, SIZE
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    forward = truth.flow_forward[:1].float() * FLOW_STEP
    back = (truth.flow_backward[1:2].float() * FLOW_STEP).permute(0, 3, 1, 2)
    grid = torch.stack([(xs + forward[..., 0]) / width * 2 - 1, (ys + forward[..., 1]) / height * 2 - 1], -1)
    there = F.grid_sample(back, grid, align_corners=False).permute(0, 2, 3, 1)
    inner = ~truth.hidden_forward[:1]
    assert (there + forward).norm(dim=-1)[inner].median() < 0.05


def test_labels_masks_parts_and_garments_agree(clip):
    truth = clip.truth
    assert torch.equal(truth.labels > 0, truth.person)
    assert torch.equal(truth.part > 0, truth.person)
    sold = truth.garment == clip.script.sold + 1
    assert torch.equal(sold, truth.labels == LABEL["upper"])
    assert torch.equal(truth.garment > 0, truth.piece > 0)
    assert (truth.garment_xy[truth.garment == 0] == 0).all()
    assert (truth.normal[~truth.person] == 0).all()
    length = truth.normal[truth.person].float().norm(dim=-1) / 127
    assert ((length - 1).abs() < 0.02).all()
    assert (truth.normal[truth.person][:, 2] < 40).float().mean() > 0.99, "what is seen faces the camera"
    assert (truth.depth > 0.3).all() and torch.isfinite(truth.depth).all()
    for name in ("hair", "face", "left_arm", "right_arm"):
        assert (truth.labels == LABEL[name]).any()


def test_region_covers_the_garment_and_spares_face_and_hair(clip):
    truth = clip.truth
    garment = truth.labels == LABEL["upper"]
    assert truth.region[garment].all()
    for name in ("face", "hair", "left_shoe", "right_shoe"):
        assert not truth.region[truth.labels == LABEL[name]].any()
    grey = agnostic_frames(clip.frames, truth.region)
    assert (grey.permute(0, 2, 3, 1)[truth.region] == 128).all()
    assert torch.equal(grey.permute(0, 2, 3, 1)[~truth.region], clip.frames.permute(0, 2, 3, 1)[~truth.region])


def test_another_garment_changes_nothing_but_what_either_covers_or_shades(script, clip):
    other = with_another_garment(script, 5)
    assert other.garments != script.garments and other.look == script.look
    frames, worn, light = make_frames(other)
    covered = worn | ((clip.truth.garment_touch >> script.sold) & 1).bool()
    shaded = light != clip.truth.light
    changed = (frames != clip.frames).any(1)
    assert covered.float().mean() < 0.25 and changed[covered].float().mean() > 0.3
    outside = changed & ~covered & ~shaded
    # What is left is light that changed by less than the light map can say: one step of 255, never more.
    assert not ((frames.int() - clip.frames.int()).abs().amax(1)[outside] > 1).any()
    assert outside.float().mean() < 0.002


def test_another_person_keeps_camera_motion_and_garments(script, clip):
    other = with_another_person(script, 2)
    assert other.look != script.look
    assert dataclasses.replace(other, look=script.look) == script
    one, two = clip.shot, make_shot(other)
    assert torch.equal(one.camera.centre, two.camera.centre) and torch.equal(one.camera.rotation, two.camera.rotation)
    assert torch.equal(one.performance.pose.rotations, two.performance.pose.rotations)


def test_the_seed_decides_everything(script, clip):
    again = make_clip(from_json(json.loads(json.dumps(to_json(script)))))
    assert torch.equal(again.frames, clip.frames), "also through JSON"
    for field in dataclasses.fields(clip.truth):
        assert torch.equal(getattr(again.truth, field.name), getattr(clip.truth, field.name)), field.name
    assert write_script(3, 1) == write_script(3, 1) and write_script(3, 1) != write_script(3, 2) != write_script(4, 2)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_garment_has_two_views_and_landmarks_on_it(kind):
    script = write_script(8, 0, frames=1, size=SIZE, garment=kind)
    front, back = make_shop_pictures(script, (128, 96))
    category = script.target.category
    assert front.landmarks.shape == (len(LANDMARKS[category]), 3)
    for picture in (front, back):
        assert picture.image.shape == (3, 128, 96) and picture.image.dtype == torch.uint8
        assert 0.12 < float(picture.alpha.mean()) < 0.85
        assert picture.alpha.max() <= 1 and picture.alpha[0].max() == 0 and picture.alpha[:, 0].max() == 0
        assert ((picture.parts > 0) <= (picture.alpha > 0.2)).float().mean() > 0.995
    covered = F.max_pool2d(front.alpha[None, None], 13, 1, 6)[0, 0]
    named = {n: row for n, row in zip(LANDMARKS[category], front.landmarks.tolist()) if row[2] > 0}
    assert len(named) >= 5
    for name, (x, y, _) in named.items():
        assert covered[int(min(max(y, 0), 127)), int(min(max(x, 0), 95))] > 0.5, name
    left, right = named.get("hem_left") or named["waist_left"], named.get("hem_right") or named["waist_right"]
    assert left[0] > right[0], "the person's left is on the picture's right"


def test_worn_cloth_is_the_shop_picture_s_cloth(clip):
    """Colours looked up in the shop picture by garment coordinates are the colours worn, but for light."""
    front, _ = make_shop_pictures(clip.script, (512, 384))
    scale, left, top = front.to_pixels
    truth = clip.truth
    worn = (truth.garment == clip.script.sold + 1) & ~truth.garment_back
    xy = truth.garment_xy[worn].float()
    x, y = (left + scale * xy[:, 0]).long().clamp(0, 383), (top - scale * xy[:, 1]).long().clamp(0, 511)
    shop = front.image.permute(1, 2, 0)[y, x].float()
    inside = front.alpha[y, x] > 0.99
    assert inside.float().mean() > 0.9
    seen = clip.frames.permute(0, 2, 3, 1)[worn].float()
    chroma = lambda c: c / c.sum(-1, keepdim=True).clamp_min(30)  # noqa: E731
    assert (chroma(shop) - chroma(seen))[inside].abs().mean() < 0.05


def test_compression_quantises_more_at_lower_quality():
    picture = torch.rand(1, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    fine, coarse = ((compress(picture, q) - picture).abs().mean() for q in (95, 30))
    assert fine < 0.03 < coarse
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert torch.allclose(compress(flat, 60), flat, atol=0.02)


def test_wrong_words_and_sizes_are_refused_in_one_sentence():
    for wrong, match in (
        ({"motion": "fly"}, "motion 'fly' is not known"),
        ({"garment": "toga"}, "garment 'toga' is not known"),
        ({"place": "moon"}, "background 'moon' is not known"),
        ({"size": (100, 33)}, "100x33 is not allowed"),
        ({"size": (16, 16)}, "16x16 is not allowed"),
        ({"frames": 0}, "0 frames cannot be made"),
    ):
        with pytest.raises(MisuseError, match=match):
            write_script(1, 0, **wrong)
    with pytest.raises(MisuseError, match="neck"):
        GarmentSpec("tee", neck="ruff")


def test_motion_blur_softens_what_moves_and_leaves_truth_alone(script, clip):
    blurred = make_clip(dataclasses.replace(script, sensor=dataclasses.replace(PLAIN, shutter=0.8)))
    assert torch.equal(blurred.truth.labels, clip.truth.labels)
    difference = (blurred.frames.float() - clip.frames.float()).abs().mean(1)
    assert difference[clip.truth.person].mean() > 0.5

    def detail(frames):
        return (frames[..., 1:].float() - frames[..., :-1].float()).abs().mean()

    assert detail(blurred.frames) < detail(clip.frames)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_clip(script, clip):
    other = make_clip(script, device="cuda")
    assert (other.truth.labels == clip.truth.labels).float().mean() > 0.999
    assert (other.frames.float() - clip.frames.float()).abs().mean() < 0.5
