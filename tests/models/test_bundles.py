"""Saving, loading, inflating: strict, whole or absent, and every refusal one sentence."""

from __future__ import annotations

import json

import pytest
import torch
from networks import SMALL, make_conditioning, make_network, noise
from safetensors.torch import load_file, save_file

from vidvton.errors import MisuseError, VidvtonError
from vidvton.models.bundle import CONFIG, INDEX, WEIGHTS, ModelCard, load_bundle, read_card, save_bundle
from vidvton.models.inflate import inflate, load_weights
from vidvton.models.unet import TryOnUNet

CARD = ModelCard(name="test", position={"stage": "32 frames", "step": 1200}, data="studio")


def change_config(folder, **changes):
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_bundle_comes_back_as_it_was(tmp_path):
    model = make_network(gates=0.3)
    save_bundle(model, tmp_path / "m", CARD)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"config.json", WEIGHTS, "model_card.json"}
    again = load_bundle(tmp_path / "m")
    assert again.config == model.config and not again.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
    assert read_card(tmp_path / "m") == CARD
    assert load_bundle(tmp_path / "m", dtype=torch.bfloat16).stem.weight.dtype == torch.bfloat16
    with pytest.raises(MisuseError, match="exists"):
        save_bundle(model, tmp_path / "m", CARD)
    save_bundle(make_network(seed=1), tmp_path / "m", CARD, overwrite=True)
    assert not torch.equal(load_bundle(tmp_path / "m").stem.weight, model.stem.weight)


def test_diffusers_reads_our_folders_and_we_read_theirs(tmp_path):
    model, conditioning, x = make_network(gates=0.3), make_conditioning(), noise()
    level = torch.tensor([0.5])
    save_bundle(model, tmp_path / "ours", CARD)
    model.save_pretrained(tmp_path / "theirs")
    through_diffusers = TryOnUNet.from_pretrained(tmp_path / "ours", use_safetensors=True)
    with torch.inference_mode():
        wanted = model.predict(x, level, model.encode(conditioning))
        for other in (through_diffusers, load_bundle(tmp_path / "theirs")):
            assert torch.allclose(other.predict(x, level, other.encode(conditioning)), wanted, atol=1e-5)
    assert through_diffusers.config == model.config


def test_weights_in_several_files_are_read_both_ways_and_nothing_beside_them(tmp_path):
    model = make_network(gates=0.3)
    save_bundle(model, tmp_path / "ours", CARD, largest=200_000)
    parts = list((tmp_path / "ours").glob("*.safetensors"))
    assert len(parts) > 1 and max(p.stat().st_size for p in parts) < 300_000 and (tmp_path / "ours" / INDEX).is_file()
    model.save_pretrained(tmp_path / "theirs", max_shard_size=200_000)
    for other in (
        load_bundle(tmp_path / "ours"),
        load_bundle(tmp_path / "theirs"),
        TryOnUNet.from_pretrained(tmp_path / "ours", use_safetensors=True),
    ):
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))
    index = json.loads((tmp_path / "ours" / INDEX).read_text())
    first = next(iter(index["weight_map"]))
    for wrong, said in (("../x.safetensors", "beside it"), (parts[0].name + ".bin", "beside it")):
        (tmp_path / "ours" / INDEX).write_text(json.dumps({"weight_map": {**index["weight_map"], first: wrong}}))
        with pytest.raises(VidvtonError, match=said):
            load_bundle(tmp_path / "ours")
    (tmp_path / "ours" / INDEX).write_text(
        json.dumps({"weight_map": {k: v for k, v in index["weight_map"].items() if k != first}})
    )
    with pytest.raises(VidvtonError, match=f"differ, first in {first}"):
        load_bundle(tmp_path / "ours")


def test_a_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        save_bundle(make_network(), tmp_path / "m", ModelCard(position={"step": object()}))
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_architecture_name_the_first_differing_keys(tmp_path):
    save_bundle(make_network(), tmp_path / "m", CARD)
    change_config(tmp_path / "m", dit_blocks=1, embedding_width=48)
    with pytest.raises(VidvtonError) as caught:
        load_bundle(tmp_path / "m")
    message = str(caught.value)
    assert "another architecture" in message and "; dit.1." in message and "more" in message
    change_config(tmp_path / "m", dit_blocks=2)
    with pytest.raises(VidvtonError, match=r"has shape \[\d+, \d+\], expected \[\d+, \d+\]"):
        load_bundle(tmp_path / "m")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    save_bundle(make_network(), tmp_path / "m", CARD)
    path = tmp_path / "m" / WEIGHTS
    weights = load_file(path)
    weights["dit.1.qkv.weight"][0, :3] = value
    save_file(weights, path)
    with pytest.raises(VidvtonError, match=r"dit\.1\.qkv\.weight holds 3 values that are NaN or infinite"):
        load_bundle(tmp_path / "m")


def test_folders_that_hold_no_model_are_one_sentence(tmp_path):
    with pytest.raises(MisuseError, match=r"not a model folder: config\.json cannot be read"):
        load_bundle(tmp_path / "none")
    save_bundle(make_network(), tmp_path / "m", CARD)
    weights = tmp_path / "m" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(VidvtonError, match="damaged"):
        load_bundle(tmp_path / "m")
    weights.unlink()
    with pytest.raises(MisuseError, match="holds no diffusion_pytorch_model.safetensors"):
        load_bundle(tmp_path / "m")
    (tmp_path / "m" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(VidvtonError, match="pickled weights"):
        load_bundle(tmp_path / "m")
    change_config(tmp_path / "m", _class_name="UNet3DConditionModel")
    with pytest.raises(MisuseError, match="class UNet3DConditionModel"):
        load_bundle(tmp_path / "m")
    change_config(tmp_path / "m", _class_name="TryOnUNet", dit_block=3)
    with pytest.raises(MisuseError, match="unknown key 'dit_block'; did you mean 'dit_blocks'"):
        load_bundle(tmp_path / "m")
    (tmp_path / "m" / CONFIG).write_text("{")
    with pytest.raises(MisuseError, match="not JSON"):
        load_bundle(tmp_path / "m")


def test_inflation_adds_what_it_may_and_nothing_else():
    image, video = make_network(SMALL.image), make_network()
    strided = SMALL.model_copy(update={"temporal_stride": 2})
    new = inflate(make_network(seed=3), image.state_dict())
    assert set(new) == set(video.state_dict()) - set(image.state_dict())
    assert inflate(make_network(), video.state_dict()) == ()
    assert len(inflate(make_network(strided), video.state_dict())) == 4
    assert len(inflate(make_network(strided), image.state_dict())) == len(new) + 4
    torn = video.state_dict()
    del torn["down.3.0.time.gate1"]
    with pytest.raises(VidvtonError, match=r"down\.3\.0\.time\.gate1 is missing"):
        inflate(make_network(), torn)
    with pytest.raises(VidvtonError, match=r"time\.\S+ is not known"):
        inflate(make_network(SMALL.image), video.state_dict())
    with pytest.raises(VidvtonError, match="is missing"):
        load_weights(make_network(), image.state_dict())


def test_a_refused_load_changes_nothing():
    model = make_network()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    bad = {name: weight + 1 for name, weight in before.items()}
    bad["stem.bias"] = bad["stem.bias"] / 0
    with pytest.raises(VidvtonError, match="stem.bias"):
        load_weights(model, bad)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
