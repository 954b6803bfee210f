"""Solving a clip from scripted sightings: sides, phantoms, gaps, turns, smoothness, resuming."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from drawn_person import joints
from scripted_people import SIZE, DoubtfulFaces, flipped, numbered_clip, scripted, standing

from vidvton.errors import MisuseError, VidvtonError
from vidvton.people.candidates import CHUNK, chunk_path
from vidvton.people.estimators import Estimators
from vidvton.people.identity import Bodies, Person, choose
from vidvton.people.silhouettes import Silhouettes
from vidvton.people.smooth import smooth_curve, smooth_yaw
from vidvton.people.track import analyse, load_track, track_clip


def follow(script, count, **settings):
    return track_clip(numbered_clip(count), estimators=scripted(script), **settings)


def noisy(body, seed, pixels=1.0):
    rng = np.random.default_rng(seed)
    points = body.keypoints.copy()
    points[:, :2] += rng.normal(0, pixels, (33, 2))
    return replace(body, keypoints=points.astype(np.float32))


def test_left_and_right_do_not_follow_the_models_changes_of_mind():
    wrong = {3, 4, 9, 10, 11, 20, 21, 22, 23, 24, 31}
    track, _ = follow(lambda n, back: [flipped(standing()) if (n in wrong) != (back and n % 7 == 0) else standing()], 40)
    assert track.present.all()
    assert (track.keypoints[:, 11, 0] > track.keypoints[:, 12, 0] + 30).all()
    assert track.yaw.abs().max() < 0.2


def followed(clip, work, who, estimators):
    """(track, outline) of one of several people; another one of the same clip costs no look at it in the same `work`."""
    for _ in analyse(lambda: iter([clip]), work, who=who, estimators=estimators):
        pass
    return load_track(work), Silhouettes(work)


def test_two_heads_are_two_people_and_each_keeps_its_own(tmp_path):
    left, right = standing(centre=(95, 60)), standing(centre=(125, 60))
    both = np.maximum(left.mask, right.mask)  # so near each other the model takes both for one
    pair = [replace(left, mask=both), replace(right, mask=both, thread=1)]
    for who, head, other in (("1", 95, 125), ("2", 125, 95), ("98,24", 95, 125), ("122,24", 125, 95)):
        track, outline = followed(numbered_clip(8), tmp_path, who, scripted(lambda n, back: pair, both))
        assert np.abs(track.keypoints[:, 0, 0].numpy() - head).max() < 3
        mask = outline.cut(4, (0, 0, SIZE[1], SIZE[0]), SIZE)
        y = int(left.keypoints[0, 1])
        assert mask[y, head] > 200 and mask[y, other] < 60 and mask[110, 110] > 200


def test_the_side_is_put_to_the_vote_of_the_shot():
    mostly_back = lambda n, back: [standing() if n % 9 == 4 else flipped(standing())]  # noqa: E731
    track, _ = follow(mostly_back, 60)
    assert (track.keypoints[:, 11, 0] < track.keypoints[:, 12, 0]).all()
    assert (track.yaw.cos() < -0.9).all()


def test_without_a_face_the_vote_counts_less_than_the_custom_to_begin_from_the_front():
    turned = lambda centre: follow(lambda n, back: [flipped(standing(centre=centre))], 40)[0].yaw.cos()  # noqa: E731
    assert (turned((120.0, 60.0)) < -0.9).all()
    assert (turned((120.0, 25.0)) > 0.9).all(), "the head is above the picture"


def test_the_custom_is_asked_of_frames_that_show_a_side_clearly():
    def begun_collapsed(n, back):
        body = standing(1.5 if n < 5 else 0.0, centre=(120.0, 25.0))
        return [flipped(body) if n >= 5 else body]

    cosine = follow(begun_collapsed, 30)[0].yaw.cos()
    assert (cosine[6:] > 0.9).all()


def test_nobody_spins_round_in_one_frame_whatever_the_votes():
    def turns_then_is_mistaken(n, back):
        if n < 40:
            return [standing(np.interp(n, [5, 25], [0, np.pi]), centre=(120.0, 60.0))]
        return [standing(1.5 if n == 40 else 0.0, centre=(120.0, 60.0))]  # a skeleton in one line, then fronts

    cosine = follow(turns_then_is_mistaken, 55)[0].yaw.cos()
    assert (cosine[:5] > 0.9).all() and (cosine[30:38] < -0.9).all() and (cosine[44:] < -0.9).all()


def test_a_turn_is_one_curve_through_the_profile():
    truth = np.concatenate([np.zeros(15), np.linspace(0, np.pi, 40), np.full(15, np.pi)])
    wrong = {5, 6, 12, 60, 63}
    track, _ = follow(lambda n, back: [flipped(standing(truth[n])) if n in wrong else noisy(standing(truth[n]), n, 0.5)], 70)
    assert np.abs(track.yaw.numpy() - truth).max() < 0.35
    assert np.abs(np.diff(track.yaw.numpy())).max() < 0.25


def test_a_phantom_does_not_take_the_persons_place():
    shoe = standing(unit=14, centre=(125, 280))
    track, _ = follow(lambda n, back: [shoe] if n in (8, 9, 30) else [standing(), shoe] if n % 2 else [standing()], 40)
    height = (track.keypoints[:, 23, 1] - track.keypoints[:, 11, 1]).numpy()
    assert track.present.all()
    assert (np.abs(height - 70) < 3).all()


def test_collapsed_skeletons_are_bridged_though_their_mask_is_right():
    def collapsed():
        body = standing()
        points = body.keypoints.copy()
        points[:, 0] = 120 + 0.05 * (points[:, 0] - 120)
        return replace(body, keypoints=points)

    track, outline = follow(lambda n, back: [collapsed() if n in (10, 11, 25) and not back or n in (11, 26) else standing()], 40)
    width = (track.keypoints[:, 11, 0] - track.keypoints[:, 12, 0]).numpy()
    assert (width > 0.6 * np.median(width)).all()
    assert outline.cut(11, (0, 0, SIZE[1], SIZE[0]), SIZE)[80, 120] > 200


def test_short_gaps_are_filled_with_lower_scores_and_long_ones_left_out():
    missing = {10, 11, 12, *range(30, 60)}
    track, outline = follow(lambda n, back: [] if n in missing else [standing(centre=(100 + n, 60))], 80)
    assert track.present[:30].all() and not track.present[30:60].any() and track.present[60:].all()
    assert track.keypoints[11, 0, 0].item() == pytest.approx(111, abs=1)
    assert track.keypoints[11, 11, 2] < 0.9 * track.keypoints[8, 11, 2]
    assert track.quality[11] < track.quality[8]
    assert track.keypoints[40].abs().sum() == 0 and track.quality[40] == 0 and track.boxes[40].sum() == 0
    assert outline.cut(40, (0, 0, 240, 320), (64, 48)).max() == 0
    assert outline.cut(8, (0, 0, 240, 320), (64, 48)).max() > 200


def test_smoothing_calms_rest_and_does_not_lag():
    frames = np.arange(120)
    swing = 30 * np.sin(2 * np.pi * frames / 12) * (frames > 40) * (frames < 90)
    path = np.stack([100 + swing, np.full(120, 50.0)], 1)
    rng = np.random.default_rng(1)
    seen = path + rng.normal(0, 0.7, path.shape)
    out = smooth_curve(seen, np.ones(120), 70.0)
    rest = slice(5, 35)
    assert np.abs(np.diff(out[rest], 2, axis=0)).mean() < 0.2 * np.abs(np.diff(seen[rest], 2, axis=0)).mean()
    moving = slice(44, 86)
    lags = [np.abs(out[moving, 0] - path[44 + k : 86 + k, 0]).mean() for k in (-2, -1, 0, 1, 2)]
    assert int(np.argmin(lags)) == 2
    assert out[moving, 0].max() < 134 and out[moving, 0].max() > 125  # neither overshot nor flattened


def test_smoothing_drops_a_wild_value_but_keeps_a_jump():
    path = np.zeros((40, 2))
    path[20:] += 60  # squats at five frames a second move like this
    wild = path.copy()
    wild[10] += 50
    out = smooth_curve(wild, np.ones(40), 70.0)
    assert np.abs(out[8:13]).max() < 4
    assert np.abs(out - path)[[18, 19, 20, 21]].max() < 9


def test_yaw_at_the_back_does_not_wind_up():
    rng = np.random.default_rng(2)
    angle = np.pi + rng.normal(0, 0.3, 200)
    yaw = smooth_yaw(np.stack([np.cos(angle), -np.sin(angle)], 1), np.ones(200))
    assert np.abs(np.abs(yaw) - np.pi).max() < 0.4


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path):
    count = CHUNK + 18
    script = lambda n, back: [noisy(standing(centre=(90 + 0.3 * n, 60)), 2 * n + back)]  # noqa: E731
    pieces = lambda: iter([numbered_clip(50, 0), numbered_clip(count - 50, 50)])  # noqa: E731

    class Killed(Exception):
        pass

    def dies(n, back):
        if n > CHUNK + 9:
            raise Killed
        return script(n, back)

    list(analyse(pieces, tmp_path / "whole", estimators=scripted(script)))
    with pytest.raises(Killed):
        list(analyse(pieces, tmp_path / "cut", estimators=scripted(dies)))
    assert chunk_path(tmp_path / "cut", 0).exists() and not chunk_path(tmp_path / "cut", 1).exists()
    made = []
    counting = scripted(lambda n, back: made.append(n) or script(n, back))
    stages = [p.stage for p in analyse(pieces, tmp_path / "cut", estimators=counting)]
    assert min(made) >= CHUNK and stages[0] == "pose" and stages[-1] == "outline"
    a, b = load_track(tmp_path / "whole"), load_track(tmp_path / "cut")
    assert all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("keypoints", "yaw", "boxes", "quality", "depth"))
    for index in (3, CHUNK + 1, count - 1):
        cuts = [Silhouettes(tmp_path / w).cut(index, (20, 10, 200, 300), (145, 90)) for w in ("whole", "cut")]
        assert np.array_equal(*cuts) and cuts[0].max() > 200
    assert list(analyse(pieces, tmp_path / "cut", estimators=scripted(dies))) == []  # all is there already


def test_a_run_killed_while_outlines_are_written_ends_the_same(tmp_path):
    script = lambda n, back: [standing(centre=(90 + 0.3 * n, 60))]  # noqa: E731
    clips = lambda: iter([numbered_clip(CHUNK + 10)])  # noqa: E731
    stopped = analyse(clips, tmp_path, estimators=scripted(script))
    assert list(islice((p for p in stopped if p.stage == "outline"), 1))[0].done == CHUNK
    stopped.close()
    assert not (tmp_path / "track.json").exists()
    list(analyse(clips, tmp_path, estimators=scripted(script)))
    assert len(load_track(tmp_path)) == CHUNK + 10
    assert not list(tmp_path.glob("*.part"))


def test_who_is_followed(tmp_path):
    left, right = standing(unit=45, centre=(60, 60)), standing(unit=60, centre=(170, 60))
    mask = np.maximum(left.mask, right.mask)
    both = lambda: scripted(lambda n, back: [right, left], mask)  # noqa: E731
    clip = numbered_clip(12)
    where = {who: followed(clip, tmp_path, who, both())[0].keypoints[:, 0, 0].mean().item() for who in
             ("largest", "1", "2", "61,90", "172.5, 100")}  # fmt: skip
    assert where == pytest.approx({"largest": 170, "1": 60, "2": 170, "61,90": 60, "172.5, 100": 170}, abs=1)
    _, outline = followed(clip, tmp_path, "1", both())
    cut = outline.cut(5, (0, 0, 240, 320), SIZE)
    assert cut[80, 60] > 200 and cut[:, 140:].max() < 30


def test_a_new_shot_of_somebody_else_is_followed_afresh_unless_somebody_was_named():
    """Shot 0: a person; shot 1: a small one who looks like them and a large one who does not; shot 2: two who do not."""
    heights, looks, shots = [290, 80, 250, 90, 240], [0, 0, 1, 2, 3], [0, 1, 1, 2, 2]
    count = 4 * len(heights)
    frame = np.array([4 * shots[i // 4] + i % 4 for i in range(count)])
    extent = np.array([(0, 0, 50, heights[i // 4], 99) for i in range(count)], float)
    keypoints = np.tile(joints(60, (60, 60)), (count, 1, 1))
    ones = np.ones(count)
    bodies = Bodies(frame=frame, back=ones < 0, keypoints=keypoints, depth=ones, world=ones, score=ones, agree=ones, fit=ones,
                    extent=extent, look=ones, chunk=ones, row=ones)  # fmt: skip
    people = []
    for p, (look, shot) in enumerate(zip(looks, shots)):
        colours = np.zeros(128)
        colours[[look, 64 + look]] = 1
        people.append(Person({4 * shot + k: [4 * p + k] for k in range(4)}, colours, shot))
    who = choose(people, bodies, np.array([0] * 4 + [1] * 4 + [2] * 4), "largest", (300, 200))
    assert [who[f][0] // 4 for f in range(12)] == [0] * 4 + [1] * 4 + [4] * 4
    named = choose(people, bodies, np.array([0] * 4 + [1] * 4 + [2] * 4), "30,30", (300, 200))
    assert sorted(named) == list(range(8))


@pytest.mark.parametrize("who", ["biggest", "0", "-1", "1,2,3", "", "x,y"])
def test_wrong_words_are_refused_before_anything_is_done(who, tmp_path):
    with pytest.raises(MisuseError, match="largest"):
        next(analyse(lambda: pytest.fail("read the clip"), tmp_path, who=who))


@pytest.mark.parametrize("who", ["2", "5,5"])
def test_naming_nobody_is_misuse(who):
    with pytest.raises(MisuseError):
        follow(lambda n, back: [standing()], 5, who=who)


def test_nobody_anywhere_is_one_sentence_with_the_number_of_frames():
    with pytest.raises(VidvtonError, match="7 frames") as caught:
        follow(lambda n, back: [], 7)
    assert not isinstance(caught.value, MisuseError) and "\n" not in str(caught.value)


def test_one_frame_is_enough():
    track, outline = follow(lambda n, back: [standing(0.4)], 1)
    assert track.present.tolist() == [True] and track.yaw.item() == pytest.approx(0.4, abs=0.1)
    assert outline.cut(0, (60, 40, 180, 260), (220, 120)).mean() > 60


def test_outlines_are_cut_where_and_how_large_they_are_asked_for():
    body = standing()
    track, outline = follow(lambda n, back: [standing()], 6)
    whole = outline.cut(3, (0, 0, 240, 320), SIZE) > 127
    truth = body.mask[:, :192]
    scaled = truth[(np.arange(320) * 256 // 320)[:, None], np.arange(240) * 192 // 240] > 127
    assert (whole & scaled).sum() / (whole | scaled).sum() > 0.93
    part = outline.cut(3, (60, 40, 180, 200), (320, 240)) > 127
    assert (part[::2, ::2] == whole[40:200, 60:180]).mean() > 0.98


def test_what_flickers_for_a_frame_is_taken_out_of_the_outline():
    def script(n, back):
        body = standing()
        mask = body.mask.copy()
        if n == 10:
            mask[130:190, 150:180] = 255  # a bag
        return [replace(body, mask=mask)]

    everything = standing().mask.copy()
    everything[130:190, 150:180] = 255
    estimators = scripted(script)
    plain = estimators.segmenter()

    class Segmenter:
        calls = 0

        def segment(self, picture):
            number = int(picture[0, 0, 0]) * 256 + int(picture[0, 0, 1])
            return everything[:, :192] if number == 10 else plain.segment(picture)

    track, outline = track_clip(numbered_clip(21), estimators=Estimators(estimators.pose, Segmenter, DoubtfulFaces))
    bag = [outline.cut(i, (0, 0, 240, 320), SIZE)[180:220, 192:220].mean() for i in (5, 10, 15)]
    assert max(bag) < 40


def test_temporary_folders_go_with_the_silhouettes():
    _, outline = follow(lambda n, back: [standing()], 3)
    folder = outline._work
    assert folder.exists()
    del outline
    gc.collect()
    assert not folder.exists()
