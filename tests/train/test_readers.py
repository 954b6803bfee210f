"""Every layout from small folders: pairs by name, mismatches named, what the set knows found."""

import json

import pytest

from vidvton.errors import MisuseError
from vidvton.train.readers import find_layout, read_listing


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "words", [("openpose-json", "image-parse", "cloth_mask"), ("openpose_json", "image-parse-v3", "cloth-mask")]
)
def test_viton_hd_in_both_spellings(tmp_path, words):
    pose, parse, mask = words
    touch(tmp_path, *(f"train/image/{n}.jpg" for n in ("00001_00", "00002_00", "00004_00")))
    touch(tmp_path, *(f"train/cloth/{n}.jpg" for n in ("00002_00", "00001_00", "00003_00")))
    touch(tmp_path, f"train/{pose}/00001_00_keypoints.json", f"train/{parse}/00001_00.png", f"train/{mask}/00001_00.jpg")
    touch(tmp_path, "train/agnostic-mask/00002_00_mask.png")
    listing = read_listing(tmp_path)
    assert listing.layout == "viton-hd" and [p.name for p in listing.pairs] == ["00001_00", "00002_00"]
    one, two = listing.pairs
    assert one.person.name == one.garment.name == "00001_00.jpg" and one.person.parent.name == "image"
    assert one.poses[0].parent.name == pose and one.parses[0].parent.name == parse and one.garment_mask.parent.name == mask
    assert two.region.name == "00002_00_mask.png" and not two.poses and one.region is None and one.category == "upper"
    assert listing.mismatches == ("train: person 00004_00 has no garment", "train: garment 00003_00 has no person")
    assert listing.known["poses"] == 1 and listing.known["region"] == 1


def test_viton_hd_pairs_file_chooses_the_persons_and_the_garment_stays_the_worn_one(tmp_path):
    touch(tmp_path, *(f"test/{side}/{n}_00.jpg" for side in ("image", "cloth") for n in ("00001", "00002", "00003")))
    (tmp_path / "test_pairs.txt").write_text(
        "00001_00.jpg 00002_00.jpg\n00003_00.jpg 00001_00.jpg\n00009_00.jpg x.jpg\nrubbish\n"
    )
    listing = read_listing(tmp_path, split="test")
    assert [(p.person.stem, p.garment.stem) for p in listing.pairs] == [("00001_00", "00001_00"), ("00003_00", "00003_00")]
    assert listing.mismatches[0].startswith("test_pairs.txt line 4") and "00009_00 is not in image" in listing.mismatches[1]


def test_dresscode_by_folder_and_by_its_lists(tmp_path):
    for folder, names in (("upper_body", ("000001", "000002")), ("dresses", ("000003",))):
        touch(tmp_path, *(f"{folder}/images/{n}_{k}.jpg" for n in names for k in (0, 1)))
    touch(tmp_path, "lower_body/images/000004_0.jpg", "upper_body/keypoints/000001_2.json", "upper_body/label_maps/000001_4.png")
    listing = read_listing(tmp_path)
    assert listing.layout == "dresscode"
    assert [p.name for p in listing.pairs] == ["dresses/000003", "upper_body/000001", "upper_body/000002"]
    assert [p.category for p in listing.pairs] == ["full", "upper", "upper"]
    known = listing.pairs[1]
    assert known.pose_format == "dresscode" and known.parse_format == "atr" and known.poses and known.parses
    assert listing.mismatches == ("lower_body: person 000004 has no garment",)
    (tmp_path / "train_pairs.txt").write_text(
        "000002_0.jpg 000002_1.jpg 0\n000003_0.jpg 000001_1.jpg 2\n000008_0.jpg 000008_1.jpg 0\n"
    )
    listing = read_listing(tmp_path)
    assert [p.name for p in listing.pairs] == ["upper_body/000002"]
    assert any("is no person with the garment worn" in line for line in listing.mismatches)
    assert any("000008 is listed and has no picture" in line for line in listing.mismatches)
    (tmp_path / "train_pairs.txt").unlink()
    (tmp_path / "dresses" / "train_pairs_paired.txt").write_text("000003_0.jpg 000003_1.jpg\n")
    assert [p.name for p in read_listing(tmp_path).pairs] == ["dresses/000003"]


def test_vivid_by_category_pairs_by_stem_then_by_number(tmp_path):
    touch(tmp_path, "upper_body/videos/1219222_detail.mp4", "upper_body/images/1219222_in_xl.jpg")
    touch(tmp_path, "upper_body/videos/77.mp4", "upper_body/images/77.png", "upper_body/images/77_in_xl.jpg")
    touch(tmp_path, "upper_body/agnostic_mask/1219222_detail.mp4", "upper_body/cloth_mask/1219222_in_xl.png")
    touch(tmp_path, "lower_body/videos/5_a.mp4", "lower_body/videos/5_b.mp4", "lower_body/images/5_in.jpg")
    listing = read_listing(tmp_path)
    assert listing.layout == "vivid"
    assert {p.name: p.garment.name for p in listing.pairs} == {
        "upper_body/77": "77.png",
        "upper_body/1219222_detail": "1219222_in_xl.jpg",
    }
    full = next(p for p in listing.pairs if "1219222" in p.name)
    assert full.region.suffix == ".mp4" and full.garment_mask.suffix == ".png" and full.category == "upper"
    # two clips claim one garment: nobody gets it
    assert sum("lower_body: clip 5_" in line for line in listing.mismatches) == 2
    assert "lower_body: garment 5_in has no clip" in listing.mismatches


def test_vivid_released_sample_is_flat(tmp_path):
    touch(tmp_path, "data/videos/upper1.mp4", "data/videos/dress2.mp4", "data/videos/x3.mp4")
    touch(tmp_path, "data/cloth/upper1.jpg", "data/cloth/dress2.jpg", "data/cloth/x3.jpg", "data/agnostic_mask/upper1.mp4")
    listing = read_listing(tmp_path)
    assert [(p.name, p.category) for p in listing.pairs] == [("data/dress2", "full"), ("data/upper1", "upper"), ("data/x3", None)]
    assert listing.pairs[1].region is not None


@pytest.mark.parametrize(
    ("frames", "shelf", "garment"),
    [
        ("lip_train_frames", "lip_clothes_person/4he21d00f-g11", "4he21d00f-g11@10=cloth_front.jpg"),
        ("train/train_frames", "clothes_person/img/4HE21D00F", "4HE21D00F-G11@8=cloth_front.jpg"),
        ("lip_train_frames", "clothes_person/4he21d00f-g11", "any.jpg"),
    ],
)
def test_vvt_frames_and_shop_pictures(tmp_path, frames, shelf, garment):
    touch(tmp_path, *(f"{frames}/4he21d00f-g11/{n}.png" for n in (1, 2, 10)), f"{frames}/lonely-a1/1.png")
    touch(tmp_path, f"{shelf}/{garment}", f"{shelf}/4he21d00f-g11@5=person.png")
    touch(tmp_path, *(f"{frames}_keypoint/4he21d00f-g11/{n}_keypoints.json" for n in (1, 2, 10)))
    touch(tmp_path, *(f"{frames}_parsing/4he21d00f-g11/{n}_label.png" for n in (1, 2)))
    listing = read_listing(tmp_path)
    assert listing.layout == "vvt" and len(listing.pairs) == 1
    pair = listing.pairs[0]
    assert pair.person.is_dir() and pair.garment.name == garment and pair.parse_format == "lip"
    assert [p.stem for p in pair.poses] == ["1_keypoints", "2_keypoints", "10_keypoints"]  # natural order, as frames are read
    assert not pair.parses and any("no parses for 1 of 3 frames" in line for line in listing.mismatches)
    assert any("lonely-a1 has no garment" in line for line in listing.mismatches)


def test_studio_clips_and_their_other_garment(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    for name, folder, category in (("000000", "upper_body", "upper"), ("000001", "dresses", "full")):
        (tmp_path / "clips" / f"{name}.json").write_text(json.dumps({"id": name, "folder": folder, "category": category}))
        touch(tmp_path, f"{folder}/videos/{name}.mp4", f"{folder}/images/{name}.png", f"{folder}/cloth_mask/{name}.png")
        touch(tmp_path, f"{folder}/truth/{name}.npz")
    touch(
        tmp_path,
        *(f"upper_body/{w}_other_garment/000000.{s}" for w, s in (("videos", "mp4"), ("images", "png"), ("cloth_mask", "png"))),
    )
    for note, told in (("000002", {"id": "000002", "folder": "../elsewhere", "category": "upper"}), ("000003", {"id": "../x"})):
        (tmp_path / "clips" / f"{note}.json").write_text(json.dumps(told))
    listing = read_listing(tmp_path)
    assert [(p.name, p.group) for p in listing.pairs] == [
        ("000000", "000000"),
        ("000000_other_garment", "000000"),
        ("000001", "000001"),
    ]
    other = listing.pairs[1]
    assert other.person == listing.pairs[0].person and other.truth.parent.name == "videos_other_garment"
    assert listing.pairs[0].truth is None and len(listing.mismatches) == 2
    assert [p.name for p in read_listing(tmp_path, variants=False).pairs] == ["000000", "000001"]


def test_what_is_no_data_set_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(MisuseError, match="there is no folder"):
        read_listing(tmp_path / "none")
    with pytest.raises(MisuseError, match="none of the layouts known"):
        find_layout(tmp_path)
    touch(tmp_path, "train/image/a.jpg", "train/cloth/b.jpg")
    with pytest.raises(MisuseError, match="no pairs in its train split .*person a has no garment"):
        read_listing(tmp_path)
    with pytest.raises(MisuseError, match="no pairs in its test split"):
        read_listing(tmp_path, split="test")


def test_a_test_split_that_is_not_there_is_refused_and_never_the_training_pairs(tmp_path):
    viv, dress = tmp_path / "viv", tmp_path / "dress"
    touch(viv, "upper_body/videos/a.mp4", "upper_body/images/a.jpg")
    assert len(read_listing(viv).pairs) == 1
    with pytest.raises(MisuseError, match="read as vivid, has no test split; prepare it whole and train with data.held_out"):
        read_listing(viv, split="test")
    touch(dress, *(f"dresses/images/{n}_{k}.jpg" for n in ("000001", "000002") for k in (0, 1)))
    assert len(read_listing(dress).pairs) == 2
    with pytest.raises(MisuseError, match="no list of its test split .test_pairs.txt"):
        read_listing(dress, split="test")
    (dress / "dresses" / "test_pairs_paired.txt").write_text("000002_0.jpg 000002_1.jpg\n")
    assert [p.name for p in read_listing(dress, split="test").pairs] == ["dresses/000002"]
    with pytest.raises(MisuseError, match="no list of its train split"):  # all of it would hold the test pairs
        read_listing(dress)
