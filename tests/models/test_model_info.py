"""Counts of parameters, arithmetic and memory are what the real thing has, and every preset is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from networks import SMALL, make_conditioning, make_network, noise
from torch.profiler import ProfilerActivity, profile

from vidvton import cli
from vidvton.config import parse_config, read_config, write_config
from vidvton.errors import MisuseError
from vidvton.models.bundle import ModelCard, save_bundle
from vidvton.models.config import ModelConfig
from vidvton.models.info import count_parameters, describe, peak_bytes
from vidvton.models.unet import TryOnUNet

PRESETS = Path(__file__).resolve().parents[2] / "configs" / "model"


@pytest.mark.parametrize(
    ("name", "millions", "size"),
    [
        ("tiny", (9, 13), (256, 192)),
        ("small", (27, 33), (512, 384)),
        ("base", (150, 260), (512, 384)),
        ("large", (700, 1100), (1024, 512)),
    ],
)
def test_presets_are_the_sizes_they_say(name, millions, size):
    config = read_config(PRESETS / f"{name}.yaml", ModelConfig)
    assert config.size == size and config.frames == 64 and config.dit_blocks == 8
    assert parse_config(write_config(config), ModelConfig, name="again") == config
    with torch.device("meta"):
        model = TryOnUNet(config)
    counts = count_parameters(model)
    assert millions[0] < sum(counts.values()) / 1e6 < millions[1]
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters()) and all(counts.values())


def test_stages_of_a_preset_grow_from_image_to_64_frames():
    config = read_config(PRESETS / "tiny.yaml", ModelConfig)
    assert config.for_frames(64) == config
    assert [config.for_frames(n).temporal for n in (1, 8, 32)] == [False, True, True]
    assert [config.for_frames(n).temporal_stride for n in (1, 8, 32)] == [1, 1, 1]


def test_counted_memory_is_what_the_allocator_gives():
    model, conditioning, x = make_network(), make_conditioning(frames=4), noise(frames=4)
    level = torch.tensor([0.5])
    with torch.inference_mode():
        encoded = model.encode(conditioning)
        counted = peak_bytes(lambda: model.predict(x, level, encoded))
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            model.predict(x, level, encoded)
    now = peak = 0
    events = (event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]")
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert abs(counted - peak) < 0.05 * peak, (counted, peak)
    without = describe(SMALL, frames=4)
    held = sum(v.numel() * 4 for v in vars(encoded).values() if v is not None) + x.numel() * 4
    assert without.memory["fp32"].peak - without.memory["fp32"].weights - held == pytest.approx(
        counted, rel=0.1
    )  # attention takes another road
    assert without.memory["bf16"].peak == pytest.approx(without.memory["fp32"].peak / 2, rel=0.02)
    assert describe(SMALL, frames=4, frames_at_a_time=1).memory["fp32"].peak < without.memory["fp32"].peak


def test_arithmetic_is_counted_by_hand():
    one = SMALL.model_copy(update={"dit_blocks": 1})
    two = one.model_copy(update={"blocks": (2, 1, 1, 1, 1)})
    more = describe(two, frames=1).step_flops - describe(one, frames=1).step_flops
    convolutions = 2 * 2 * (2 * 9 * 16 * 16) * 16 * 16  # down and up, two each, on a 16x16 grid of 16 channels
    film = 2 * 2 * 32 * 32
    assert more == convolutions + film


def test_the_command_counts_a_preset_and_a_saved_model(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text(write_config(SMALL.model_copy(update={"dit_blocks": 1})))
    assert cli.main(["model", "info", str(path), "--frames", "2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (
        data["frames"] == 2
        and data["total_parameters"] == sum(data["parameters"].values())
        and data["memory"]["bf16"]["peak"] > 0
    )
    save_bundle(make_network(SMALL.model_copy(update={"dit_blocks": 1})), tmp_path / "m", ModelCard())
    assert cli.main(["model", "info", str(tmp_path / "m"), "--frames", "2"]) == 0
    text = capsys.readouterr().out
    assert "DiT blocks" in text and f"{data['total_parameters'] / 1e6:.2f} M" in text and "bf16" in text
    assert cli.main(["model", "info", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strides": [1, 2]}, "strides has 2 entries, expected 5"),
        ({"strides": [2, 1, 1, 1, 1]}, "expected 1 first"),
        ({"widths": [16, 32, 32, 48, 40]}, "multiple of 16"),
        ({"head_width": 20}, "does not divide"),
        ({"size": [32, 36]}, "not a multiple of 8"),
        ({"temporal": False, "temporal_stride": 2}, "needs temporal layers"),
        ({"prediction": "noise"}, "prediction"),
        ({"widht": 3}, "did you mean 'widths'"),
    ],
)
def test_configurations_that_make_no_network_are_one_sentence(changes, words):
    text = json.dumps({**SMALL.model_dump(mode="json"), **changes})
    with pytest.raises(MisuseError, match=words):
        parse_config(text, ModelConfig, name="net.yaml")
