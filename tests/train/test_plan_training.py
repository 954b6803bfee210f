"""The plan on paper: what it says of samples at once is what training takes, and its memory is near what a real step holds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from drawn_run import MODEL, write_run

from vidvton.config import parse_config, read_config
from vidvton.errors import MisuseError
from vidvton.models.config import ModelConfig
from vidvton.models.info import peak_bytes
from vidvton.models.unet import TryOnUNet
from vidvton.train.config import Stage, share_out
from vidvton.train.network import Pass, settings_for
from vidvton.train.plan import check_batches, read_plan
from vidvton.values import Conditioning

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "plan_training.py"


@pytest.fixture(scope="module")
def plan():
    found = importlib.util.spec_from_file_location("plan_training", TOOL)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


NETWORK = parse_config(MODEL, ModelConfig, name="model.yaml")
WINDOWS = Stage(name="w", frames=4, size=(32, 32), steps=8, batch=16, image_batch=32, images=0.5, accumulate=2)


@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_samples_at_once_are_training_s_own(plan, gpus):
    found = plan.cost(WINDOWS, NETWORK, gpus, checkpointing=False)
    assert (found.windows, found.images) == (share_out(WINDOWS, gpus), share_out(WINDOWS, gpus, images=True))
    assert found.work == pytest.approx(plan.cost(WINDOWS, NETWORK, 1, checkpointing=False).work)


def test_what_training_refuses_is_refused(plan):
    with pytest.raises(MisuseError, match="batch of 16, which 16 processes x 2 accumulated"):
        plan.cost(WINDOWS, NETWORK, 16, checkpointing=False)


def test_fewer_samples_at_once_where_memory_is_small(plan):
    held = plan.cost(WINDOWS, NETWORK, 1, checkpointing=False).copied
    for room, parts in ((held * 4, 1), (held, 2), (held * 0.8, 4), (0, 16)):
        stage = plan.fitted(WINDOWS, NETWORK, 1, room, checkpointing=False)
        assert stage.accumulate == parts
        check_batches(stage, 1)


def test_memory_is_near_what_a_real_step_holds(plan):
    small = read_config(ROOT / "configs" / "model" / "debug.yaml", ModelConfig)
    settings = settings_for(small, WINDOWS.model_copy(update={"size": (64, 48)}))
    parameters, _, held = plan.count(settings, 4, False)
    network, given = TryOnUNet(settings), vars(plan._empty_conditioning(settings, 4))
    real = {name: torch.zeros((2, *value.shape[1:]), dtype=value.dtype) for name, value in given.items() if value is not None}

    def step():
        with torch.autocast("cpu", torch.bfloat16):
            out = Pass(network)(torch.zeros(2, 4, 3, 64, 48), torch.full((2,), 0.5), Conditioning(**real))
        out.float().square().mean().backward()

    step()  # so that gradients stand, as they do in the plan's bytes a parameter
    assert 0.85 < (plan.CASTS * parameters + 2 * held) / peak_bytes(step) < 1.05


def test_a_fitted_configuration_is_one_to_train_with(plan, tmp_path, monkeypatch, capsys):
    config = write_run(tmp_path)
    given = ["--gpus", "2", "--memory", "0.0001", "--fit", "--write", str(tmp_path / "to" / "2.yaml")]
    monkeypatch.setattr("sys.argv", ["plan_training.py", str(config), *given])
    plan.main()
    said = capsys.readouterr().out
    assert "| video | 2 | 2 | 1 / 1 |" in said and "**too much**" in said
    fitted, model = read_plan(tmp_path / "to" / "2.yaml")
    before, _ = read_plan(config)
    assert model == NETWORK and [stage.accumulate for stage in fitted.stages] == [2, 2, 2]
    ours, theirs = (c.model_dump(mode="json", exclude={"stages": {"__all__": {"accumulate"}}}) for c in (fitted, before))
    assert ours == theirs


@pytest.mark.slow
def test_the_progressive_run_fits_sixty_four_gpus_as_it_is_and_eight_when_fitted(plan):
    config, model = read_plan(ROOT / "configs" / "train" / "progressive.yaml")
    room = plan.FILL * 80e9
    for stage in config.stages:
        assert plan.cost(stage, model, 64, checkpointing=True).copied < room
        fitted = plan.fitted(stage, model, 8, room, checkpointing=True)
        assert plan.cost(fitted, model, 8, checkpointing=True).copied < room
        check_batches(fitted, 8)
