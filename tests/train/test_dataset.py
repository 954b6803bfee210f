"""Windows out of prepared sets: functions of their arguments alone, in this process and in a loader's."""

from dataclasses import fields

import pytest
import torch
from drawn_set import drawn_scene, write_set
from torch.utils.data import DataLoader

from vidvton.errors import MisuseError, VidvtonError
from vidvton.train.augmentation import Augmentation
from vidvton.train.dataset import Dataset, gather, open_dataset

HOW = Augmentation(crops=0.2, colour=0.3, light=0.3, noise=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("sets") / "drawn", clips=4, frames=12, size=(32, 64))


@pytest.fixture(scope="module")
def data(folder):
    return open_dataset(folder)


def equal(one, two):
    assert one.name == two.name and torch.equal(one.target, two.target)
    for field in fields(one.conditioning):
        a, b = getattr(one.conditioning, field.name), getattr(two.conditioning, field.name)
        assert a is b is None or torch.equal(a, b), field.name


def test_a_sample_has_what_the_network_is_given_and_must_make(data):
    sample = data.sample(1, frames=5, size=(16, 32), seed=3, garment_size=(24, 24), slots=2)
    given = sample.conditioning
    assert sample.target.shape == (5, 3, 16, 32) and sample.target.dtype == torch.float32
    assert 0 <= sample.target.min() and sample.target.max() <= 1
    assert given.agnostic.shape == (1, 5, 3, 16, 32) and given.garments.shape == (1, 2, 4, 24, 24)
    assert given.slots.tolist() == [[0, -1]] and given.given.all() and sample.name.startswith("clip1:")
    region = given.region[0] > 0.99
    grey = given.agnostic[0][region.expand(-1, 3, -1, -1)]
    assert (grey - 128 / 255).abs().max() < 0.02  # nothing of the source shows where the network is to draw
    outside = given.region[0] < 0.01
    kept = (given.agnostic[0] - sample.target)[outside.expand(-1, 3, -1, -1)]
    assert kept.abs().mean() < 0.02  # and all of it elsewhere
    hint = given.warped[0, :, :3][region.expand(-1, 3, -1, -1)] - sample.target[region.expand(-1, 3, -1, -1)]
    assert hint.abs().mean() < 0.06


def test_the_truth_wears_the_garment_and_the_source_does_not(data):
    scene = data.scene(0, [0, 5])
    inside = scene.region.expand(-1, 3, -1, -1)
    sold = drawn_scene("clip0", frames=1, size=(32, 64), seed=0).truth
    assert (scene.truth[inside].float() - scene.source[inside].float()).abs().mean() > 20 and sold.shape == (1, 3, 32, 64)


def test_a_sample_is_a_function_of_its_arguments(data, folder):
    for seed in range(4):
        arguments = dict(frames=3, size=(32, 64), seed=seed, stride=4, augmentation=HOW)
        one = data.sample(2, **arguments)
        data.sample(0, **arguments)  # what was drawn before does not matter
        equal(one, open_dataset(folder).sample(2, **arguments))
    names = {data.sample(2, frames=3, size=(32, 64), seed=s).name for s in range(60)}
    assert names == {f"clip2:{n}" for n in range(10)}  # every start is drawn


def test_strides_are_drawn_up_to_the_largest_that_fits(data):
    scene = drawn_scene("clip3", frames=12, size=(32, 64), seed=3)
    lefts = scene.region[:, 0].any(1).float().argmax(1)
    steps = set()
    for seed in range(60):
        sample = data.sample(3, frames=4, size=(32, 64), seed=seed, stride=9)
        found = (sample.conditioning.region[0, :, 0] > 0.5).any(1).float().argmax(1)
        start = int(sample.name.split(":")[1])
        steps |= {s for s in (1, 2, 3) if start + 3 * s < 12 and torch.equal(found, lefts[start : start + 3 * s + 1 : s])}
    assert steps == {1, 2, 3}


def test_windows_for_validation_are_as_stored(data):
    sample = data.window(1, frames=4, size=(32, 64), start=6)
    scene = data.scene(1, [6, 7, 8, 9])
    assert torch.equal((sample.target * 255).round().to(torch.uint8), scene.truth) and sample.name == "clip1:6"
    bare = data.window(1, frames=4, size=(32, 64), start=6, hint=False)
    assert not bare.conditioning.warped.any() and sample.conditioning.warped.any()


def test_other_proportions_are_letterboxed(data):
    sample = data.window(0, frames=1, size=(64, 64))
    assert (sample.target[0, :, :15] - 128 / 255).abs().max() < 0.01 and not sample.conditioning.region[0, 0, 0, :15].any()


def test_sets_are_joined_narrowed_and_parted(data, folder, tmp_path):
    short = write_set(tmp_path / "short", clips=3, frames=5, size=(32, 64))
    both = open_dataset([folder, short])
    assert len(both) == 7 and [both.length(i) for i in range(7)] == [12] * 4 + [5] * 3
    assert len(both.at_least(6)) == 4 and len(both.at_least(5)) == 7 and both.category(5) == "upper"
    with pytest.raises(VidvtonError, match="no sample has 13 frames .the longest of 7 has 12"):
        both.at_least(13)
    with pytest.raises(VidvtonError, match="has 5 frames and 6 were asked for"):
        both.sample(6, frames=6, size=(32, 64), seed=0)
    rest, held = both.parted(0.5)
    assert len(rest) + len(held) == 7 and {rest.name(i) for i in range(len(rest))}.isdisjoint(
        {held.name(i) for i in range(len(held))}
    )
    assert len(both.parted(0.0)[1]) == 0 and len(both.parted(1.0)[0]) == 0


def test_loader_workers_give_the_same_samples(data):
    """decord in the workers, PyAV here: bit for bit the same."""

    class Draws:
        def __len__(self):
            return 4

        def __getitem__(self, number):
            return gather([data.sample(i, frames=3, size=(32, 64), seed=10 * number + i, augmentation=HOW) for i in (0, 3)])

    here = [Draws()[n] for n in range(4)]
    there = list(DataLoader(Draws(), batch_size=None, num_workers=2))
    for one, two in zip(here, there):
        assert one.names == two.names and torch.equal(one.target, two.target)
        assert torch.equal(one.conditioning.warped, two.conditioning.warped)
    assert here[0].target.shape == (2, 3, 3, 32, 64)


def test_nothing_to_open(tmp_path):
    with pytest.raises(MisuseError, match="there is no folder .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(MisuseError, match="no folder was given"):
        open_dataset([])
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "index.json").write_text('{"format": 1, "samples": []}')
    with pytest.raises(MisuseError, match="a set without samples"):
        open_dataset(tmp_path)
    assert len(Dataset(())) == 0
