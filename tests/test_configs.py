"""Every shipped configuration loads, says what it seems to say, and strict reading is strict."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vidvton.config import MAX_BYTES, Strict, nearest, overlay, parse_config, read_config, write_config
from vidvton.errors import MisuseError
from vidvton.render.settings import RenderSettings

ROOT = Path(__file__).resolve().parents[1]
RENDER_CONFIGS = sorted((ROOT / "configs" / "render").glob("*.yaml"))


class Layer(Strict):
    width: int = 8
    rate: float = 1e-3
    sizes: tuple[int, ...] = (1, 2)


class Network(Strict):
    name: str = "tiny"
    layers: tuple[Layer, ...] = ()
    first: Layer | None = None


@pytest.mark.parametrize("path", RENDER_CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_render_configuration_loads(path):
    settings = read_config(path, RenderSettings)
    assert parse_config(write_config(settings), RenderSettings, name="again") == settings


def test_the_default_file_lists_every_setting_with_its_default():
    path = ROOT / "configs" / "render" / "default.yaml"
    assert read_config(path, RenderSettings) == RenderSettings()
    assert yaml.safe_load(path.read_text()) == RenderSettings().model_dump(mode="json")


def test_other_files_change_something():
    for path in RENDER_CONFIGS:
        if path.stem != "default":
            assert read_config(path, RenderSettings) != RenderSettings(), path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nam: x", ["'nam'", "'name'"]),
        ("first: {widht: 3}", ["'first.widht'", "'width'"]),
        ("layers: [{width: 1}, {with: 3}]", ["'layers.1.with'", "'width'"]),
        ("first: {rate: 1e-4}", ["first.rate", '"1e-4"', "text", "write 0.0001"]),
        ("first: {width: '3'}", ["first.width", "whole number", "write 3"]),
        ("first: {width: 3.5}", ["first.width", "3.5"]),
        ("first: {width: no}", ["first.width", "false", "truth value"]),
        ("first: {width: 12:30:45}", ["first.width", "12:30:45", "text"]),
        ("first: {rate: .inf}", ["first.rate"]),
        ("first: {sizes: 3}", ["first.sizes"]),
        ("name: 3", ["name", "text"]),
        ("name: 2020-01-01\nfirst: 3", ["first", "group of keys"]),
        ("a: &x {}\nname: *x", ["aliases", "line 2"]),
        ("name: a\nname: b", ["'name'", "twice", "line 2"]),
        ("[1, 2]", ["list"]),
        ("just words", ["text"]),
        ("name: [", ["YAML"]),
        ("1: 2", ["key"]),
        ("name: !!python/object/apply:os.system [true]", ["YAML"]),
        ("{" * 5000, ["deep"]),
    ],
)
def test_what_is_doubtful_is_one_sentence_with_file_and_key(text, words):
    with pytest.raises(MisuseError) as caught:
        parse_config(text, Network, name="net.yaml")
    message = str(caught.value)
    assert message.startswith("net.yaml") and "\n" not in message
    for word in words:
        assert word in message, message


def test_yaml_lists_fill_tuples_and_numbers_keep_their_type():
    net = parse_config("layers: [{sizes: [3, 4], rate: 2, width: 1_000}]\nname: 12:30", Network, name="x")
    assert net.layers == (Layer(sizes=(3, 4), rate=2.0, width=1000),)
    assert net.name == "12:30"


def test_an_empty_file_is_all_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    assert read_config(path, Network) == Network()


def test_files_that_are_not_configurations(tmp_path):
    with pytest.raises(MisuseError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", Network)
    with pytest.raises(MisuseError, match="not a file"):
        read_config(tmp_path, Network)
    large = tmp_path / "large.yaml"
    large.write_text("name: x\n" + "#" * MAX_BYTES)
    with pytest.raises(MisuseError, match="at most"):
        read_config(large, Network)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(MisuseError, match="UTF-8"):
        read_config(binary, Network)


def test_overlay_changes_only_what_is_given():
    settings = RenderSettings()
    changed = overlay(settings, {"seed": None, "video": {"crf": 20, "codec": None}}, name="the options")
    assert changed.video.crf == 20 and changed.video.codec == "h264" and changed.seed == 0
    with pytest.raises(MisuseError, match="the options: video.crf"):
        overlay(settings, {"video": {"crf": 99}}, name="the options")
    with pytest.raises(MisuseError, match="out of range for h264"):
        overlay(settings, {"video": {"crf": 60}}, name="the options")
    assert overlay(settings, {"video": {"crf": 60, "codec": "vp9"}}, name="the options").video.crf == 60


@pytest.mark.parametrize("who", ["largest", "1", "12", "3,4", "3.5,4.25"])
def test_who_accepts(who):
    assert overlay(RenderSettings(), {"who": who}, name="x").who == who


@pytest.mark.parametrize("who", ["", "0", "-1", "smallest", "1,", "1,2,3", "a,b"])
def test_who_refuses(who):
    with pytest.raises(MisuseError, match="who is"):
        overlay(RenderSettings(), {"who": who}, name="x")


def test_nearest_names_one_word_or_all():
    assert nearest("uper", ("upper", "lower")) == "did you mean 'upper'?"
    assert nearest("xyz", ("upper", "lower")) == "expected one of upper, lower"
