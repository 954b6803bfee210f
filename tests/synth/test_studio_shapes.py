"""Distance fields, their surfaces, the z-buffer, the camera and the skeleton, each against something worked out by hand."""

import math

import numpy as np
import pytest
import torch

from vidvton.synth.body import BodyShape, anatomy, body_field, place, rest_joints, skin_weights
from vidvton.synth.camera import look_at
from vidvton.synth.lettering import stroke_distance, text_strokes
from vidvton.synth.motion import ARM_LIMITS, MOTIONS, arm_rotations, make_motion
from vidvton.synth.raster import blend, rasterize
from vidvton.synth.skeleton import INDEX, JOINTS, PARENTS, Pose, euler, limited, rotation, transforms
from vidvton.synth.solids import ball, surface_nets, table
from vidvton.synth.surface import keypoint_anchors, surface_map


def test_surface_nets_of_a_ball_is_round_closed_and_faces_outward():
    surface = surface_nets(lambda p: p.norm(dim=-1) - 0.3, [-0.4] * 3, [0.4] * 3, 0.05)
    assert (surface.points.norm(dim=-1) - 0.3).abs().max() < 1e-3
    a, b, c = (surface.points[surface.faces[:, k]] for k in range(3))
    cross = torch.cross(b - a, c - a, dim=-1)
    assert ((cross * a).sum(-1) > 0).all()
    area = cross.norm(dim=-1).sum() / 2
    assert area == pytest.approx(4 * math.pi * 0.09, rel=0.03)
    volume = (torch.cross(a, b, dim=-1) * c).sum() / 6
    assert float(volume) == pytest.approx(4 / 3 * math.pi * 0.027, rel=0.05)
    edges = torch.cat([surface.faces[:, [0, 1]], surface.faces[:, [1, 2]], surface.faces[:, [2, 0]]])
    forward = {tuple(e) for e in edges.tolist()}
    assert all((j, i) in forward for i, j in forward), "every edge must have a face on both sides"


def test_surface_nets_says_when_there_is_nothing():
    with pytest.raises(ValueError, match="no surface"):
        surface_nets(lambda p: p.norm(dim=-1) + 1, [-1.0] * 3, [1.0] * 3, 0.2)


def test_table_passes_through_its_stations_and_holds_at_the_ends():
    t = table([(0.0, 1.0), (0.5, 3.0), (1.0, 2.0)])
    values = t(torch.tensor([-1.0, 0.0, 0.5, 1.0, 9.0]))[:, 0]
    assert torch.allclose(values, torch.tensor([1.0, 1.0, 3.0, 2.0, 2.0]), atol=0.02)


def test_ball_is_negative_inside_zero_on_and_positive_outside():
    p = torch.tensor([[0.1, 0.2, 0.3], [0.6, 0.2, 0.3], [2.0, 0.2, 0.3]])
    d = ball(p, (0.1, 0.2, 0.3), (0.5, 0.4, 0.3))
    assert d[0] <= 0 and abs(float(d[1])) < 1e-5 and d[2] > 0


def _triangle(x0, y0, x1, y1, x2, y2, depth):
    return torch.tensor([[x0, y0, 1 / depth], [x1, y1, 1 / depth], [x2, y2, 1 / depth]])


def test_rasterizer_covers_exactly_the_samples_inside():
    screen = _triangle(1.0, 1.0, 1.0, 7.0, 7.0, 1.0, 2.0)[None]
    hits = rasterize(screen, torch.tensor([[0, 1, 2]]), (8, 8), two_sided=torch.tensor([True]))
    ys, xs = np.mgrid[0:8, 0:8] + 0.5
    inside = (xs >= 1) & (ys >= 1) & (xs + ys <= 8)
    assert np.array_equal(hits.covered[0].numpy(), inside)
    assert torch.allclose(hits.depth, torch.full_like(hits.depth, 2.0), atol=1e-5)


def test_nearer_triangle_wins_and_a_back_face_is_not_drawn():
    points = torch.cat([_triangle(0, 0, 0, 20, 20, 0, 3.0), _triangle(0, 0, 0, 20, 20, 0, 1.5)])[None]
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    both = rasterize(points, faces, (6, 6), two_sided=torch.ones(2, dtype=torch.bool))
    assert (both.face == 1).all()
    front = rasterize(points, faces, (6, 6))
    back = rasterize(points, faces.flip(-1), (6, 6))
    assert front.covered.any() != back.covered.any()


def test_keep_cuts_a_triangle_where_it_turns_negative():
    screen = _triangle(0, 0, 0, 10, 10, 0, 1.0)[None]
    keep = torch.tensor([-1.0, -1.0, 1.0])  # zero half way to the corner at x = 10
    hits = rasterize(screen, torch.tensor([[0, 1, 2]]), (10, 10), keep=keep, two_sided=torch.tensor([True]))
    columns = hits.covered[0].any(0)
    assert not columns[:4].any() and columns[5:9].all()


def test_weights_are_perspective_correct():
    camera = look_at(torch.tensor([[0.0, 0, 3]]), torch.zeros(1, 3), torch.zeros(1), torch.tensor([1.0]))
    world = torch.tensor([[-1.0, -1, 1], [1, -1, -1], [0, 1.2, -2]])[None]
    pixels = camera.project(world, (64, 64))
    screen = torch.cat([pixels[..., :2], 1 / pixels[..., 2:]], -1)
    hits = rasterize(screen, torch.tensor([[0, 1, 2]]), (64, 64), two_sided=torch.tensor([True]))
    seen = blend(world, torch.tensor([[0, 1, 2]]), hits)
    ys, xs = hits.covered[0].nonzero(as_tuple=True)
    again = camera.project(seen[None], (64, 64))[0]
    assert torch.allclose(again[:, :2], torch.stack([xs, ys], -1) + 0.5, atol=2e-3)
    assert torch.allclose(again[:, 2], hits.depth, atol=1e-4)


def test_camera_looks_where_it_is_told_and_rays_meet_projections():
    camera = look_at(torch.tensor([[1.0, 2, 5]]), torch.tensor([[0.2, 1.0, 0]]), torch.tensor([0.1]), torch.tensor([1.8]))
    middle = camera.project(torch.tensor([[[0.2, 1.0, 0.0]]]), (100, 80))[0, 0]
    assert torch.allclose(middle[:2], torch.tensor([40.0, 50.0]), atol=1e-3)
    rays = camera.rays((100, 80))
    point = camera.centre + 3.0 * rays[:, 70, 11]
    assert torch.allclose(camera.project(point[:, None], (100, 80))[0, 0], torch.tensor([11.5, 70.5, 3.0]), atol=1e-3)
    left_of = camera.project(torch.tensor([[[-0.8, 1.0, 0.0]]]), (100, 80))[0, 0]
    assert left_of[0] < middle[0], "the world's +x is the picture's right"


def test_rest_pose_is_kept_by_the_transforms_of_no_rotation():
    rest = rest_joints(BodyShape())
    pose = Pose(torch.eye(3).expand(2, len(JOINTS), 3, 3), torch.tensor([[0.0, 0, 0], [1, 2, 3]]))
    m = transforms(rest, pose, 1.1)
    moved = torch.einsum("tjrc,jc->tjr", m[..., :3], rest) + m[..., 3]
    assert torch.allclose(moved[0], rest * 1.1, atol=1e-5)
    assert torch.allclose(moved[1], (rest + torch.tensor([1.0, 2, 3])) * 1.1, atol=1e-5)


def test_limits_hold_and_parents_come_first():
    assert all(parent < i for i, parent in enumerate(PARENTS))
    assert limited("left_knee", torch.tensor([[-30.0, 10, 10], [200, 0, 0]])).tolist() == [[0, 0, 0], [140, 0, 0]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_arm_words_bring_the_wrist_where_they_say(side):
    rest = rest_joints(BodyShape())
    out, forward, reach = torch.tensor([0.4]), torch.tensor([0.7]), torch.tensor([0.8])
    shoulder, elbow = arm_rotations(side, out, forward, reach, torch.tensor([0.5]))
    r = torch.eye(3).expand(1, len(JOINTS), 3, 3).clone()
    r[:, INDEX[f"{side}_shoulder"]], r[:, INDEX[f"{side}_elbow"]] = shoulder, elbow
    m = transforms(rest, Pose(r, torch.zeros(1, 3)), 1.0)
    j = torch.einsum("tjrc,jc->tjr", m[..., :3], rest) + m[..., 3]
    arm = j[0, INDEX[f"{side}_wrist"]] - j[0, INDEX[f"{side}_shoulder"]]
    sign = 1 if side == "left" else -1
    want = rotation(torch.tensor([1.0, 0, 0]), -forward)[0] @ rotation(torch.tensor([0.0, 0, 1]), sign * out)[0]
    assert torch.allclose(arm, -want[:, 1] * 0.8 * 0.525, atol=1e-4)


@pytest.mark.parametrize("word", MOTIONS)
def test_motions_stand_on_the_floor_keep_bones_and_do_not_jump(word):
    rest = rest_joints(BodyShape())
    pose = make_motion(word, frames=40, fps=25.0, seed=3, rest=rest)
    m = transforms(rest, pose, 1.0)
    j = torch.einsum("tjrc,jc->tjr", m[..., :3], rest) + m[..., 3]
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            length = (j[:, child] - j[:, parent]).norm(dim=-1)
            assert torch.allclose(length, (rest[child] - rest[parent]).norm().expand_as(length), atol=1e-4)
    ankles = j[:, [INDEX["left_ankle"], INDEX["right_ankle"]], 1].amin(1)
    assert (ankles > 0.03).all() and (ankles < 0.16).all()
    assert (j[1:] - j[:-1]).norm(dim=-1).max() < 0.28, "nothing moves faster than 7 m/s"
    assert torch.allclose(pose.rotations @ pose.rotations.transpose(-1, -2), torch.eye(3).expand_as(pose.rotations), atol=1e-4)
    assert ARM_LIMITS["reach"][1] < 1


def test_same_seed_same_motion_other_seed_other_motion():
    rest = rest_joints(BodyShape())
    one, two, three = (make_motion("poses", frames=8, fps=25.0, seed=s, rest=rest) for s in (1, 1, 2))
    assert torch.equal(one.rotations, two.rotations) and not torch.equal(one.rotations, three.rotations)


def test_body_is_a_mirror_image_and_holds_its_joints():
    a = anatomy(BodyShape(woman=0.9, weight=0.5))
    p = torch.tensor([[0.2, 1.2, 0.05], [0.1, 0.6, 0.0], [0.05, 1.6, 0.1]])
    flipped = p * torch.tensor([-1.0, 1, 1])
    assert torch.allclose(body_field(a, p), body_field(a, flipped), atol=1e-6)
    inner = [INDEX[n] for n in ("pelvis", "chest", "head", "left_elbow", "right_wrist", "left_knee", "right_ankle")]
    assert (body_field(a, a.joints[inner]) < 0).all()
    anchors, owners = keypoint_anchors(a)
    assert anchors.shape == (33, 3) and (body_field(a, anchors) < 0.03).all() and int(owners.max()) < len(JOINTS)


def test_skin_weights_sum_to_one_and_follow_the_limbs():
    a = anatomy(BodyShape())
    points = torch.stack([a.joints[INDEX[n]] for n in ("left_wrist", "right_knee", "head", "pelvis")]) + torch.tensor(
        [0.0, 0.06, 0.0]
    )
    w = skin_weights(a, points)
    assert torch.allclose(w.sum(-1), torch.ones(4), atol=1e-5)
    assert w[0, [INDEX["left_elbow"], INDEX["left_wrist"]]].sum() > 0.95
    assert w[1, [INDEX["right_hip"], INDEX["right_knee"]]].sum() > 0.95
    assert w[2, INDEX["head"]] > 0.8 and w[3, [INDEX["pelvis"], INDEX["spine"]]].sum() > 0.8


def test_surface_map_names_the_parts_and_left_from_right():
    a = anatomy(BodyShape())
    front = torch.tensor([[0.05, 1.25, 0.12], [0.1, 0.3, 0.06], [-0.1, 0.7, -0.1], [0.03, 1.6, 0.1]])
    part, uv = surface_map(a, front)
    assert part.tolist() == [2, 14, 7, 24]
    assert ((uv >= 0) & (uv <= 1)).all()
    at = place(a, a.joints[[INDEX["left_elbow"], INDEX["chest"]]])
    assert at.arm[0] > 0.9 and at.arm[1] < 0.01


def test_euler_turns_about_y_towards_the_left_hand():
    turned = euler(torch.tensor([0.0, math.pi / 2, 0.0])) @ torch.tensor([0.0, 0.0, 1.0])
    assert torch.allclose(turned, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)


def test_letters_are_strokes_that_differ():
    xs, ys = torch.meshgrid(torch.linspace(-2, 2, 60), torch.linspace(-0.7, 0.7, 30), indexing="xy")
    words = [stroke_distance(xs, ys, text_strokes(w)) < 0.1 for w in ("HI", "OK", "HI")]
    assert torch.equal(words[0], words[2]) and not torch.equal(words[0], words[1]) and words[0].any()
