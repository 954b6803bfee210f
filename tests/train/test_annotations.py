"""OpenPose points and parse maps in our own terms."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vidvton.errors import VidvtonError
from vidvton.people.skeleton import MEDIAPIPE, J, to_body_25, to_coco_18
from vidvton.train.annotations import cell_flow, from_openpose, read_known, read_openpose, read_parse, track_of
from vidvton.values import CIHP_LABELS

LABEL = {name: n for n, name in enumerate(CIHP_LABELS)}


def somebody():
    """A skeleton with all 33 points seen."""
    draw = torch.Generator().manual_seed(0)
    return torch.cat([torch.rand(33, 2, generator=draw) * 200 + 20, torch.full((33, 1), 0.9)], -1)


@pytest.mark.parametrize("form", [to_body_25, to_coco_18])
def test_points_that_both_have_come_back_as_they_were(form):
    points = somebody()
    back = torch.from_numpy(from_openpose(form(points).numpy()))
    shared = [
        J[n] for n in MEDIAPIPE if n.split("_", 1)[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")
    ]
    assert len(shared) == 16 and torch.equal(back[[*shared, J["nose"]]], points[[*shared, J["nose"]]])
    assert (back[J["left_index"], 2] > 0) and back[J["left_index"], 2] < 0.9  # made up, and says so
    if form is to_body_25:
        feet = [J[f"{side}_{end}"] for side in ("left", "right") for end in ("heel", "foot_index")]
        assert torch.equal(back[feet], points[feet])


def test_missing_points_stay_missing():
    rows = to_body_25(somebody()).numpy()
    rows[4] = 0  # right wrist
    rows[9, :2] = 0  # right hip at the corner, whatever its score
    back = from_openpose(rows)
    for name in ("right_wrist", "right_index", "right_hip"):
        assert back[J[name]].tolist() == [0, 0, 0]
    assert back[J["left_wrist"], 2] > 0


def test_openpose_files(tmp_path):
    rows = to_body_25(somebody()).numpy()
    path = tmp_path / "a.json"
    weak = rows * [1, 1, 0.1]
    people = [{"pose_keypoints_2d": weak.flatten().tolist()}, {"pose_keypoints_2d": rows.flatten().tolist()}]
    path.write_text(json.dumps({"people": people}))
    assert np.allclose(read_openpose(path, size=(10, 10)), from_openpose(rows), atol=1e-4)  # the surer of two
    flat = to_coco_18(somebody()).numpy()
    path.write_text(json.dumps({"people": [{"pose_keypoints": flat.flatten().tolist()}]}))
    assert read_openpose(path, size=(10, 10))[J["nose"], 2] > 0
    path.write_text(json.dumps({"keypoints": [[*row, n] for n, row in enumerate(flat.tolist())]}))
    scaled = read_openpose(path, size=(1024, 768), form="dresscode")
    assert np.allclose(scaled[J["nose"], :2], flat[0, :2] * 2, atol=1e-3)
    for text in ("", "[]", '{"people": []}', '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}'):
        path.write_text(text)
        with pytest.raises(VidvtonError, match="a.json"):
            read_openpose(path, size=(10, 10))


def test_parse_maps_in_three_number_systems(tmp_path):
    numbers = np.arange(18, dtype=np.uint8).reshape(3, 6)
    palette = Image.fromarray(numbers).convert("P")
    palette.putpalette([7 * n % 256 for n in range(768)])
    palette.save(tmp_path / "p.png")
    Image.fromarray(numbers).save(tmp_path / "l.png")
    for name in ("p.png", "l.png"):
        atr = read_parse(tmp_path / name, "atr").flatten()
        assert atr[4] == LABEL["upper"] and atr[9] == LABEL["left_shoe"] and atr[14] == LABEL["left_arm"] and atr[16] == 0
        lip = read_parse(tmp_path / name, "lip").flatten()
        assert lip[10] == LABEL["dress"] and np.array_equal(np.delete(lip, 10), np.delete(numbers.flatten(), 10))
        assert np.array_equal(read_parse(tmp_path / name, "cihp").flatten(), numbers.flatten())
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(tmp_path / "high.png")
    with pytest.raises(VidvtonError, match="label 200"):
        read_parse(tmp_path / "high.png", "cihp")
    Image.fromarray(np.dstack([numbers, numbers * 3, numbers])).save(tmp_path / "drawn.png")
    with pytest.raises(VidvtonError, match="drawn in colours"):
        read_parse(tmp_path / "drawn.png", "cihp")


def test_tracks_tell_front_from_back_and_presence(tmp_path):
    front = somebody().numpy()
    front[J["left_shoulder"], 0], front[J["right_shoulder"], 0] = 150, 50
    back = front.copy()
    back[J["left_shoulder"], 0], back[J["right_shoulder"], 0] = 50, 150
    labels = np.zeros((3, 240, 240), np.uint8)
    labels[:2, 40:200, 60:100] = LABEL["upper"]
    track = track_of(np.stack([front, back, front]), labels)
    assert track.yaw.tolist() == pytest.approx([0, math.pi, 0])
    assert track.present.tolist() == [True, True, False] and track.boxes[0].tolist() == [60, 40, 100, 200]
    assert not track.keypoints[2].any()


def test_parses_of_another_size_are_brought_to_the_frames(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": to_body_25(somebody()).flatten().tolist()}]}))
    half = np.zeros((120, 90), np.uint8)
    half[30:60, 20:40] = 5
    Image.fromarray(half).save(tmp_path / "a.png")
    known = read_known([tmp_path / "a.json"], [tmp_path / "a.png"], (240, 180), pose_format="openpose", parse_format="cihp")
    assert known.labels.shape == (1, 240, 180) and int((known.labels == 5).sum()) == 60 * 40
    assert known.labels[0, 60, 40] == 5 and known.labels[0, 59, 40] == 0


def test_cells_hold_how_far_their_content_came():
    motion = torch.zeros(40, 60, 2)
    motion[..., 0] = -3.0  # everything was 3 pixels further left: it moved right
    flow = cell_flow(motion, np.array([10, 0, 60, 40]), (80, 100), 8)
    assert flow.shape == (10, 13, 2) and np.allclose(flow[..., 0], 6) and np.allclose(flow[..., 1], 0)
