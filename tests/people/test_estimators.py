"""One contract for every backend."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scripted_people import clip_of, hopper, numbered_clip, scripted, standing

from vidvton.frames import from_arrays
from vidvton.people.mediapipe_pose import MediaPipePose, _cut, mediapipe_estimators
from vidvton.people.plausible import fit_to_mask, piece_of


def scripted_backend():
    return scripted(lambda number, back: [standing(0.02 * number)]), numbered_clip(6).frames


def mediapipe_backend():
    picture = hopper(480)
    frames = [np.roll(picture, 3 * i, axis=1) for i in range(6)]
    return mediapipe_estimators(), clip_of(frames).frames


@pytest.fixture(scope="module", params=[scripted_backend, mediapipe_backend], ids=["scripted", "mediapipe"])
def backend(request):
    return request.param()


@pytest.fixture(scope="module")
def seen(backend):
    estimators, frames = backend
    return estimators.pose().follow(frames)


def equal(a, b):
    return all(
        np.array_equal(x.keypoints, y.keypoints) and np.array_equal(x.mask, y.mask) and x.thread == y.thread
        for p, q in zip(a, b, strict=True)
        for x, y in zip(p, q, strict=True)
    )


def test_every_frame_shows_one_body_in_the_frame(backend, seen):
    _, frames = backend
    bodies, _ = seen
    assert [len(b) for b in bodies] == [1] * len(frames)
    for body in (b[0] for b in bodies):
        assert body.score > 0.5
        assert (body.keypoints[:, 2] >= 0).all() and (body.keypoints[:, 2] <= 1).all()
        shoulders = body.keypoints[11:13, :2].mean(0)
        assert 0 < shoulders[0] < frames.shape[3] and 0 < shoulders[1] < frames.shape[2]
        assert body.keypoints[11, 0] > body.keypoints[12, 0]  # the person's left is on the picture's right


def test_the_mask_holds_the_trunk(seen):
    for body in (b[0] for b in seen[0]):
        back = np.linalg.inv(np.vstack([body.to_frame, [0, 0, 1]]))
        middle = back @ [*body.keypoints[11:13, :2].mean(0), 1]
        x, y = middle[:2].astype(int)
        assert body.mask[y + 4, x] > 200
        assert fit_to_mask(body) > 0.6


def test_one_body_keeps_its_thread(seen):
    assert len({b[0].thread for b in seen[0]}) == 1


def test_a_run_in_two_parts_equals_one(backend, seen):
    estimators, frames = backend
    pose = estimators.pose()
    first, state = pose.follow(frames[:3])
    assert state.dtype == np.float32 and state.ndim == 2
    second, _ = estimators.pose().follow(frames[3:], state)
    assert equal(first + second, seen[0])


def test_what_was_asked_before_does_not_matter(backend, seen):
    estimators, frames = backend
    pose = estimators.pose()
    pose.follow(frames.flip(0))
    assert equal(pose.follow(frames)[0], seen[0])


def test_segmenter_returns_soft_coverage(backend):
    estimators, frames = backend
    mask = estimators.segmenter().segment(frames[0].movedim(0, -1).numpy())
    assert mask.dtype == np.uint8 and mask.ndim == 2
    assert mask.max() > 250 and mask.min() < 5


def test_faces_have_five_columns(backend):
    estimators, frames = backend
    rows = estimators.faces().find(frames[0].movedim(0, -1).numpy())
    assert rows.dtype == np.float32 and rows.ndim == 2 and rows.shape[1] == 5


def test_mediapipe_finds_nobody_in_noise_and_is_quiet(capfd):
    frames = from_arrays(np.full((2, 120, 160, 3), 127, np.uint8))
    estimators = mediapipe_estimators()
    bodies, _ = estimators.pose().follow(frames)
    assert bodies == [[], []]
    assert len(estimators.faces().find(np.zeros((64, 64, 3), np.uint8))) == 0
    assert capfd.readouterr().err == ""


def test_mediapipe_places_the_nose_and_the_face():
    picture = hopper(600)
    body = mediapipe_estimators().pose().follow(clip_of([picture]).frames)[0][0][0]
    assert np.linalg.norm(body.keypoints[0, :2] - (267, 231)) < 15  # seen by eye
    row = mediapipe_estimators().faces().find(picture)[0]
    assert row[0] < body.keypoints[0, 0] < row[2] and row[1] < body.keypoints[0, 1] < row[3] and row[4] > 0.7


def test_mediapipe_looks_at_a_photograph_out_of_a_better_square():
    pose, picture = MediaPipePose(), hopper(600)

    def worth(square):
        body, _ = pose._landmarks(picture, square, 0)
        return body.score * fit_to_mask(body)

    first = [pose.follow(clip_of([picture] * n).frames)[0][0][0] for n in (1, 2)]
    assert fit_to_mask(first[0]) > fit_to_mask(first[1]) + 0.03
    (found,) = pose._search(picture, [], [(0, 0, 512, 600)])
    assert worth(pose._settled(picture, found)) > worth(found) + 0.03
    for turned in (0.6, -0.6):
        square = (*found[:3], found[3] + turned)
        assert worth(pose._settled(picture, square)) >= worth(square)


def test_mediapipe_finds_somebody_smaller_in_a_photograph_too():
    picture = np.full((600, 1000, 3), 150, np.uint8)
    large, small = hopper(600), hopper(300)
    picture[:, : large.shape[1]] = large
    picture[300:, -small.shape[1] :] = small
    bodies = MediaPipePose().follow(clip_of([picture]).frames)[0][0]
    assert sorted(round(b.keypoints[0, 0] / 100) for b in bodies) == [3, 9]


def test_a_head_that_the_picture_cuts_off_does_not_push_the_body_down():
    picture, cut = hopper(600), 250
    seen = [MediaPipePose().follow(clip_of([p] * 3).frames)[0] for p in (picture, np.ascontiguousarray(picture[cut:]))]
    assert [len(bodies) for bodies in seen[0] + seen[1]] == [1] * 6, "and nobody else is seen in the mirror image"
    whole, headless = (bodies[-1][0].keypoints[[0, 11, 12], :2] for bodies in seen)
    off = headless + (0, cut) - whole
    assert abs(off[0, 1]) < 35 and np.abs(off[1:]).max() < 35  # before black the nose comes to lie 57 pixels too low


def test_what_the_model_sees_above_a_picture_is_its_mirror_image_and_beside_it_black():
    picture = np.random.default_rng(0).integers(30, 256, (120, 90, 3), np.uint8)
    first = np.array([[1.0, 0, 60], [0, 1.0, 50]])  # where the picture's first pixel comes to lie
    seen = _cut(picture, first, mirrored=True)
    assert np.array_equal(seen[50:170, 60:150], picture)
    assert np.array_equal(seen[30:50, 60:150], picture[1:21][::-1])
    for outside in (seen[:30], seen[170:], seen[:, :60], seen[:, 150:]):
        assert not outside.any()
    assert not _cut(picture, first, mirrored=False)[:50].any()


def test_a_small_body_within_a_large_ones_mask_is_a_piece_of_it():
    real = standing(unit=90, centre=(120, 80))
    assert piece_of(real, standing(unit=30, centre=(120, 100)))
    assert not piece_of(real, standing(unit=70, centre=(120, 100))), "somebody before them"
    assert not piece_of(real, standing(unit=30, centre=(30, 100))), "somebody farther off"
    assert not piece_of(standing(unit=30, centre=(120, 100)), real)


def test_mediapipe_keypoints_scale_with_the_picture():
    small, large = hopper(300), hopper(900)
    pose = mediapipe_estimators().pose()
    a = pose.follow(clip_of([small]).frames)[0][0][0]
    b = pose.follow(clip_of([large]).frames)[0][0][0]
    assert np.abs(3 * a.keypoints[11:13, :2] - b.keypoints[11:13, :2]).max() < 0.04 * 900


def test_mediapipe_opens_without_matplotlib_and_whole_when_asked():
    code = (
        "import sys\n"
        "from vidvton.people.mediapipe_pose import MediaPipeFaces\n"
        "MediaPipeFaces()\n"
        "assert not {'matplotlib', 'sounddevice'} & set(sys.modules)\n"
        "import mediapipe\n"
        "assert mediapipe.solutions.pose.PoseLandmark.NOSE == 0 and mediapipe.__version__\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
