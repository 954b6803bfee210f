"""Shards: what goes in comes out, any tar tool reads them, and nothing that is not ours is believed."""

import io
import json
import os
import tarfile
from dataclasses import replace

import pytest
import torch
from drawn_set import drawn_scene, write_set

from vidvton.errors import MisuseError, VidvtonError
from vidvton.media.random_access import open_film
from vidvton.train.scene import decode_scene, encode_scene
from vidvton.train.shards import join_samples, list_shard, read_index, read_member, tar_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("sets") / "drawn", clips=3, frames=10, size=(32, 64))


def test_a_scene_comes_back_as_it_was_stored():
    scene = drawn_scene("clip", frames=10, size=(32, 64), seed=4)
    members = encode_scene(scene)
    facts = json.loads(members["facts.json"])
    back = decode_scene(facts, members.__getitem__, [7, 2])
    for exact in ("region", "keypoints", "alpha"):
        assert torch.equal(getattr(back, exact), getattr(scene, exact)[[7, 2]]), exact
    for lossy, most in (("truth", 4), ("source", 4)):
        assert (getattr(back, lossy).float() - getattr(scene, lossy)[[7, 2]].float()).abs().mean() < most, lossy
    inside = scene.region[[7, 2]].expand(-1, 3, -1, -1)
    assert (back.warped.float() - scene.warped[[7, 2]].float())[inside].abs().mean() < 8
    garment, other = scene.garments[0], back.garments[0]
    assert torch.equal(garment.parts, other.parts) and torch.equal(garment.landmarks, other.landmarks)
    assert garment.layout == other.layout and garment.category == other.category
    assert (garment.alpha - other.alpha).abs().max() <= 0.5 / 255 + 1e-6
    assert facts["exact"] is True and facts["frames"] == 10


def test_what_need_not_be_stored_is_not():
    scene = drawn_scene("clip", frames=4)
    paired = replace(scene, source=scene.truth, alpha=torch.zeros_like(scene.alpha))
    members = encode_scene(paired)
    assert json.loads(members["facts.json"])["pictures"] == ["truth"] and open_film(members["frames.mp4"]).size == (32, 32)
    back = decode_scene(json.loads(members["facts.json"]), members.__getitem__, [1, 3])
    assert back.source is back.truth and not back.alpha.any() and back.warped.shape == (2, 3, 32, 32)


def test_shards_are_the_same_bytes_again_and_any_tool_reads_them(folder, tmp_path):
    again = write_set(tmp_path / "again", clips=3, frames=10, size=(32, 64))
    assert (again / "shard-00000.tar").stat().st_size == (folder / "shard-00000.tar").stat().st_size
    blocks = tar_sample("k", {"facts.json": b"{}", "frames.mp4": b"123"})
    assert blocks == tar_sample("k", {"facts.json": b"{}", "frames.mp4": b"123"}) and len(blocks) == 4 * 512
    with tarfile.open(folder / "shard-00000.tar") as box:
        names = box.getnames()
        assert names[0] == "000000.facts.json" and json.load(box.extractfile(names[0]))["name"] == "clip0"


def test_webdataset_reads_them(folder, monkeypatch):
    monkeypatch.setenv("WDS_SECURE", "1")
    wds = pytest.importorskip("webdataset")
    samples = list(wds.WebDataset(str(folder / "shard-00000.tar"), shardshuffle=False))
    assert [s["__key__"].split("/")[-1] for s in samples] == ["000000", "000001", "000002"]
    assert json.loads(samples[1]["facts.json"])["name"] == "clip1" and samples[1]["frames.mp4"][4:8] == b"ftyp"


def shard_of(path, entries):
    with tarfile.open(path, "w") as box:
        for name, data, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd" if kind != tarfile.REGTYPE else ""
            box.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/x.facts.json", tarfile.REGTYPE),
        ("/abs.facts.json", tarfile.REGTYPE),
        ("a/b.facts.json", tarfile.REGTYPE),
        ("k.facts.pyd", tarfile.REGTYPE),
        ("k.facts.pickle", tarfile.REGTYPE),
        ("k.json", tarfile.REGTYPE),
        ("k.facts.json", tarfile.SYMTYPE),
        ("k.facts.json", tarfile.LNKTYPE),
        ("k.facts.json", tarfile.DIRTYPE),
        ("k.facts.json", tarfile.FIFOTYPE),
    ],
)
def test_strange_entries_are_refused(tmp_path, name, kind):
    data = b"{}" if kind == tarfile.REGTYPE else b""
    with pytest.raises(VidvtonError, match="prepare the set again"):
        list_shard(shard_of(tmp_path / "shard-00000.tar", [(name, data, kind)]))


def test_doubled_and_factless_samples_are_refused(tmp_path):
    twice = [("k.facts.json", b"{}", tarfile.REGTYPE)] * 2
    with pytest.raises(VidvtonError, match="twice"):
        list_shard(shard_of(tmp_path / "shard-00000.tar", twice))
    with pytest.raises(VidvtonError, match="no facts"):
        list_shard(shard_of(tmp_path / "shard-00001.tar", [("k.frames.mp4", b"1", tarfile.REGTYPE)]))


def test_the_index_is_checked_against_the_shard(folder):
    sample = read_index(folder)[1]
    assert read_member(folder, sample, "facts.json").startswith(b"{")
    offset, size = sample.members["frames.mp4"]
    for places in ((offset + 512, size), (offset, 1 << 30), (offset, -5), (3, 5)):
        wrong = replace(sample, members={**sample.members, "frames.mp4": places})
        with pytest.raises(VidvtonError, match="prepare the set again"):
            read_member(folder, wrong, "frames.mp4")
    for shard in ("../drawn/shard-00000.tar", "/etc/passwd", "shard-00007.tar"):
        with pytest.raises(VidvtonError):
            read_member(folder, replace(sample, shard=shard), "frames.mp4")
    with pytest.raises(VidvtonError, match="has no secret.json"):
        read_member(folder, sample, "secret.json")


def test_damage_is_told(folder, tmp_path):
    whole = (folder / "shard-00000.tar").read_bytes()
    short = tmp_path / "shard-00000.tar"
    short.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VidvtonError):
        read_member(tmp_path, read_index(folder)[2], "frames.mp4")
    members = encode_scene(drawn_scene("clip", frames=2))
    facts = json.loads(members["facts.json"])
    for word in ("planes.safetensors", "frames.mp4", "garment0.jpg"):
        broken = {**members, word: members[word][: len(members[word]) // 2]}
        with pytest.raises(VidvtonError, match="prepare the set again"):
            decode_scene(facts, broken.__getitem__, [0, 1])
    with pytest.raises(VidvtonError, match="damaged"):
        decode_scene(facts | {"size": [64, 64]}, members.__getitem__, [0])


def test_unfinished_and_foreign_folders_are_refused(tmp_path, folder):
    with pytest.raises(MisuseError, match="there is no folder"):
        read_index(tmp_path / "none")
    with pytest.raises(MisuseError, match="no finished set"):
        read_index(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "index.json").write_text('{"format": 99}')
    with pytest.raises(MisuseError, match="format 99, expected 1"):
        read_index(tmp_path)
    for text in ("{", "[]", '{"format": 1}', '{"format": 1, "samples": [{"key": 1}]}'):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(VidvtonError, match="prepare the set again"):
            read_index(tmp_path)


def test_a_full_disk_leaves_no_half_shard(tmp_path, monkeypatch):
    part = tmp_path / "a.part"
    part.write_bytes(tar_sample("k", {"facts.json": b"{}"}))

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        join_samples([part], tmp_path / "shard-00000.tar")
    assert not (tmp_path / "shard-00000.tar").exists()


def test_keys():
    for key in ("", "../a", "a.b", "-a"):
        with pytest.raises(ValueError):
            tar_sample(key, {"facts.json": b""})
