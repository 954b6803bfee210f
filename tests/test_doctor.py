"""The doctor finds the traps it was made for, and this installation sound."""

from __future__ import annotations

import json

import pytest

from vidvton import doctor
from vidvton.cli import main
from vidvton.doctor import (
    MODELS,
    check_cv2,
    check_encoders,
    check_models,
    check_packages,
    check_python,
    check_torchvision,
    check_xformers,
)


def test_python_versions():
    assert check_python((3, 11, 7)).state == "ok" == check_python((3, 12, 0)).state
    assert check_python((3, 10, 9)).state == "broken" == check_python((3, 13, 0)).state


@pytest.mark.parametrize(
    ("wheels", "state"),
    [
        ({"opencv-python": "4.11.0.86", "opencv-contrib-python": "4.11.0.86"}, "ok"),
        ({"opencv-python": "4.11.0.86"}, "ok"),
        ({"opencv-python": "4.12.0.88", "opencv-contrib-python": "4.11.0.86"}, "broken"),
        ({"opencv-python": "4.11.0.86", "opencv-python-headless": "4.11.0.86"}, "broken"),
        ({}, "broken"),
    ],
)
def test_cv2_wheels_that_overwrite_each_other(wheels, state):
    finding = check_cv2(wheels)
    assert finding.state == state and all(name in finding.text for name in wheels)


def test_torchvision_is_not_wanted(monkeypatch):
    assert check_torchvision({}).state == "ok"
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)  # as if its import failed
    finding = check_torchvision({"torchvision": "0.28", "torch": "2.13.0+cpu"})
    assert finding.state == "broken" and "2.13.0+cpu" in finding.text


def test_xformers_fits_one_torch():
    assert check_xformers({}).state == "ok"
    both = {"xformers": "0.0.35", "torch": "2.13.0+cu130"}
    assert check_xformers(both, ["torch==2.13.0", "numpy"]).state == "ok"
    misfit = check_xformers(both, ["torch==2.10.0"])
    assert misfit.state == "note" and "2.10.0" in misfit.text


def test_missing_and_empty_models(tmp_path):
    assert check_models(None)[0].state == "broken"
    for model in MODELS:
        (tmp_path / model).parent.mkdir(exist_ok=True)
        (tmp_path / model).write_bytes(b"model")
    assert check_models(tmp_path)[0].state == "ok"
    (tmp_path / MODELS[0]).write_bytes(b"")
    (tmp_path / MODELS[1]).unlink()
    finding = check_models(tmp_path)[0]
    assert finding.state == "broken" and MODELS[0] in finding.text and MODELS[1] in finding.text


def test_packages_missing_out_of_range_and_unimportable(monkeypatch):
    needed = {"pyyaml": "yaml", "numpy": "numpy", "gone": "gone", "broken": "no_such_module_anywhere"}
    monkeypatch.setattr(doctor, "IMPORTS", needed)
    installed = {"pyyaml": "6.0", "numpy": "2.3.0", "broken": "1.0"}
    states = {f.name: f for f in check_packages(installed, ["numpy>=1.26,<2", "pyyaml>=6", "x; extra == 'dev'"])}
    assert states["pyyaml"].state == "ok"
    assert states["numpy"].state == "broken" and "<2" in states["numpy"].text
    assert states["gone"].state == "broken" and "missing" in states["gone"].text
    assert states["broken"].state == "broken" and "does not import" in states["broken"].text


def test_the_encoders_a_render_needs_are_here():
    findings = {f.name: f.state for f in check_encoders()}
    assert findings["encoder libx264"] == "ok"


def test_a_broken_installation_exits_1_in_one_sentence(monkeypatch, capsys):
    broken = [doctor.Finding("python", "ok", "3.11"), doctor.Finding("av", "broken", "missing")]
    monkeypatch.setattr(doctor, "examine", lambda: broken)
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "broken  av" in out and "av" in err and len(err.strip().splitlines()) == 1
    monkeypatch.setattr(doctor, "examine", lambda: broken[:1])
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "python", "state": "ok", "text": "3.11"}]


@pytest.mark.slow
def test_this_installation_is_sound():
    assert [f for f in doctor.examine() if f.state == "broken"] == []
