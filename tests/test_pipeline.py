"""The pipeline for programs: frames in, frames out, the same as the engine's; not loaded unless asked for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn_person import clip as drawn_clip
from garment_drawings import top
from scripted_people import scripted, standing

from vidvton.errors import MisuseError
from vidvton.garment import prepare_garment
from vidvton.models.bundle import ModelCard, save_bundle
from vidvton.models.config import ModelConfig
from vidvton.models.unet import TryOnUNet

FRAMES = 6
TINY = ModelConfig(
    size=(64, 48), frames=8, patch=4, widths=(16, 16, 16), strides=(1, 2, 2), blocks=(1, 1, 1), encoder_widths=(16, 16, 16),
    encoder_blocks=(1, 1, 1), dit_blocks=1, head_width=16, embedding_width=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    network = TryOnUNet(TINY)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape) * 0.08)
    path = tmp_path_factory.mktemp("pipeline") / "model"
    save_bundle(network, path, ModelCard())
    return path


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    made = drawn_clip(FRAMES)[0].clone()
    for number in range(FRAMES):
        made[number, :, 0, 0] = torch.tensor([0, number, 0])
    return made


@pytest.fixture
def seen(monkeypatch):
    """A pose model that has read the script."""

    def script(number: int, back: bool) -> list:
        return [standing(unit=78.0, centre=(120 + 3 * np.sin(number / 2), 66.0))]

    monkeypatch.setattr("vidvton.people.mediapipe_pose.mediapipe_estimators", lambda: scripted(script))
    understood = prepare_garment(top("tee", colour=(190, 40, 50)).tensor, category="upper")  # takes seconds: once is enough
    monkeypatch.setattr("vidvton.pipeline.prepare_any_garment", lambda picture, category: understood)


def test_frames_of_any_kind_come_back_dressed_the_same_every_time(folder, frames, seen):
    from vidvton.pipeline import VideoTryOnPipeline

    pipeline = VideoTryOnPipeline.from_pretrained(folder).to("cpu")
    assert pipeline.device.type == "cpu" and pipeline.dtype == torch.float32
    how = {"num_inference_steps": 1, "category": "upper", "seed": 3}
    garment = top("tee", colour=(190, 40, 50)).picture
    once = pipeline(frames, garment, **how)
    assert once.shape == frames.shape and once.dtype == torch.uint8
    changed = (once != frames).any(1)
    assert 0.05 < changed.float().mean() < 0.6 and not changed[:, :40].any()  # the head is theirs
    arrays = np.ascontiguousarray(frames.movedim(1, -1).numpy())
    assert torch.equal(pipeline(list(arrays), [garment], **how), once)


def test_what_cannot_be_frames_or_settings_is_one_sentence(folder, frames):
    from vidvton.pipeline import VideoTryOnPipeline

    pipeline = VideoTryOnPipeline.from_pretrained(str(folder), dtype=torch.bfloat16)
    assert pipeline.dtype == torch.bfloat16 and pipeline.checkpoint.precision == "bf16"
    assert pipeline.to(dtype=torch.float32).checkpoint.precision == "fp32"
    garment = top("tee", colour=(190, 40, 50)).picture
    for given, match in [(frames.float(), "uint8"), ([], "no frames"), (frames[:, :1], "expected uint8"), (["x"], "a str")]:
        with pytest.raises(MisuseError, match=match):
            pipeline(given, garment, category="upper")
    with pytest.raises(MisuseError, match="steps"):
        pipeline(frames, garment, category="upper", num_inference_steps=0)
    with pytest.raises(MisuseError, match="4 weights"):
        pipeline(frames, garment, category="upper", guidance_scale=(1.0, 2.0))
    with pytest.raises(MisuseError, match="float16"):
        VideoTryOnPipeline.from_pretrained(folder, dtype=torch.float64)
    with pytest.raises(MisuseError, match="is not there"):
        VideoTryOnPipeline.from_pretrained(folder / "none")


def test_importing_the_package_does_not_load_it():
    code = "import sys, vidvton; sys.exit('vidvton.pipeline' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
