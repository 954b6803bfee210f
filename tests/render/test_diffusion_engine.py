"""The diffusion engine on a drawn person with a small random network: the promises of a render, kill and resume, bad models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from drawn_person import clip as drawn_clip
from scripted_people import scripted, standing

from vidvton.diffusion.noise import generator_for
from vidvton.diffusion.schedule import Schedule
from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays
from vidvton.media.images import write_image
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.models.bundle import ModelCard, save_bundle
from vidvton.models.config import ModelConfig
from vidvton.models.person_features import PersonFeatures, save_features
from vidvton.models.unet import TryOnUNet
from vidvton.people.track import analyse
from vidvton.render import diffusion_engine, tune
from vidvton.render.detail import grown
from vidvton.render.diffusion_engine import DiffusionEngine
from vidvton.render.engines import make_engine
from vidvton.render.plan import RenderPlan, RenderRequest, make_plan
from vidvton.render.settings import DiffusionSettings, RenderSettings
from vidvton.render.video import render_clip

FRAMES, UNIT = 14, 78.0
TINY = ModelConfig(
    size=(64, 48), frames=8, patch=4, widths=(16, 16, 16), strides=(1, 2, 2), blocks=(1, 1, 1), encoder_widths=(16, 16, 16),
    encoder_blocks=(1, 1, 1), dit_blocks=1, head_width=16, embedding_width=16,
)  # fmt: skip


def random_network(seed: int = 0) -> TryOnUNet:
    """A network whose every weight counts: a fresh one's output layer is zero."""
    torch.manual_seed(seed)
    network = TryOnUNet(TINY).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape) * 0.08)
    return network


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with a numbered film of a drawn person, its pose already found, a garment and a model."""
    folder = tmp_path_factory.mktemp("diffusion")
    frames = as_arrays(drawn_clip(FRAMES)[0]).copy()
    for number, frame in enumerate(frames):
        frame[0, 0] = (0, number, 0)
    with av.open(str(folder / "clip.mkv"), "w") as box:
        film = box.add_stream("ffv1", rate=25, width=240, height=320)
        film.pix_fmt = "bgr0"
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")
            picture.pts = number
            box.mux(film.encode(picture))
        box.mux(film.encode(None))

    def seen(number: int, back: bool) -> list:
        return [standing(unit=UNIT, centre=(120 + 3 * np.sin(number / 2), 66.0))]

    for _ in analyse(lambda: open_clip(folder / "clip.mkv").clips(8), folder / "analysis", estimators=scripted(seen)):
        pass
    write_image(folder / "top.png", torch.from_numpy(garment_picture()).movedim(-1, 0))
    save_bundle(random_network(), folder / "model", ModelCard(name="random"))
    return folder


def garment_picture() -> np.ndarray:
    from garment_drawings import top

    return top("tee", colour=(190, 40, 50)).picture


def settings_for(desk: Path, **changes: object) -> RenderSettings:
    wanted = {"model": str(desk / "model"), "steps": 2, "overlap": 3, "device": "cpu", **changes}
    return RenderSettings(diffusion=DiffusionSettings(**wanted))


def plan_for(desk: Path, output: Path, **changes: object) -> RenderPlan:
    request = RenderRequest(desk / "clip.mkv", (desk / "top.png",), output, settings_for(desk, **changes), ("upper",))
    return make_plan(request)


def engine_for(desk: Path, work: Path, **changes: object) -> DiffusionEngine:
    if not work.exists():
        shutil.copytree(desk / "analysis", work)
    engine = make_engine(plan_for(desk, work.parent / "out.mkv", **changes), work)
    for _ in engine.prepare():
        pass
    return engine


def all_frames(engine: DiffusionEngine) -> np.ndarray:
    return np.concatenate([as_arrays(c.frames) for c in engine.dress(0, engine.num_frames())])


@pytest.fixture(scope="module")
def prepared(desk) -> DiffusionEngine:
    return engine_for(desk, desk / "work")


@pytest.fixture(scope="module")
def dressed(prepared) -> np.ndarray:
    return all_frames(prepared)


@pytest.fixture(scope="module")
def source(desk) -> np.ndarray:
    return np.concatenate([as_arrays(c.frames) for c in open_clip(desk / "clip.mkv").clips(8)])


def test_outside_the_region_every_pixel_is_the_source_s_and_inside_the_network_s(prepared, dressed, source):
    changed = (dressed != source).any(-1)
    assert 0.05 < changed.mean() < 0.6
    boxes, masks = prepared._worn.analysis.crops.boxes, prepared._conditions.masks(0, FRAMES)
    for t in range(FRAMES):
        x0, y0, x1, y1 = boxes[t]
        region = np.zeros(source.shape[1:3], bool)
        assert masks[t].shape == (y1 - y0, x1 - x0)  # the clip is small: working size is the source's
        region[y0:y1, x0:x1] = grown(masks[t])
        assert not (changed[t] & ~region).any(), t
        assert (changed[t] & region).sum() > 0.5 * region.sum()
    assert not changed[:, :40].any()  # the head


def test_a_frame_looks_the_same_in_whatever_span_it_is_asked_for(prepared, dressed):
    for start, stop in [(11, 13), (0, 3), (7, 14)]:
        assert np.array_equal(np.concatenate([as_arrays(c.frames) for c in prepared.dress(start, stop)]), dressed[start:stop])


def test_the_summary_says_which_model_and_how(prepared, desk):
    said = prepared.summary()
    assert said.settings["model"] == str(desk / "model") and said.settings["steps"] == 2 and said.settings["window"] == 8
    assert len(said.settings["model_digest"]) == 64 and said.garments[0].category == "upper"
    json.dumps(said.settings)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("at", [1, 4])
def test_killed_while_it_samples_it_goes_on_and_gives_the_same_frames(at, desk, dressed, prepared, tmp_path, monkeypatch):
    shutil.copytree(desk / "work", tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "sampled")
    real, calls = diffusion_engine.load_network, []

    def fragile(checkpoint, settings):
        network = real(checkpoint, settings)
        predict = network.predict

        def counted(*given):
            calls.append(given)
            if len(calls) == at:
                raise Stopped
            return predict(*given)

        network.predict = counted
        return network

    monkeypatch.setattr(diffusion_engine, "load_network", fragile)
    with pytest.raises(Stopped):
        engine_for(desk, tmp_path / "work")
    went_on = engine_for(desk, tmp_path / "work")
    windows = len(went_on._sampling.plan(FRAMES))
    assert len(calls) == 2 * windows + 1  # the window that was cut short, and no other, was done twice
    assert np.array_equal(all_frames(went_on), dressed)


def test_a_render_from_end_to_end_keeps_times_and_reports(desk, dressed, prepared, tmp_path):
    made = plan_for(desk, tmp_path / "out.mkv")
    made = replace(made, request=replace(made.request, report=tmp_path / "report.json", work=tmp_path / "work"))

    def engine_of(plan, work):
        shutil.copytree(desk / "work", work, dirs_exist_ok=True)
        return make_engine(plan, work)

    for _ in render_clip(made, engine_of):
        pass
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["engine"] == "diffusion" and report["frames"] == FRAMES
    assert report["engine_settings"]["precision"] == "fp32"
    with av.open(str(tmp_path / "out.mkv")) as out, av.open(str(desk / "clip.mkv")) as given:
        times = [[f.time for f in box.decode(video=0)] for box in (out, given)]
    assert times[0] == times[1]


def test_seeds_and_strengths_change_the_frames_and_a_start_keeps_near_the_warp(desk, dressed, prepared, tmp_path):
    def again(name: str, **changes: object) -> np.ndarray:
        work = tmp_path / name
        shutil.copytree(desk / "work", work)
        shutil.rmtree(work / "sampled")
        return all_frames(engine_for(desk, work, **changes))

    near = again("near", strength=0.05, steps=1, detail=False)
    worn = prepared._worn
    assert not np.array_equal(near, dressed)
    t, frame = 10, near[10]
    x0, y0, x1, y1 = worn.analysis.crops.boxes[t]
    warp = worn.dressed(t, np.concatenate([as_arrays(c.frames) for c in open_clip(desk / "clip.mkv").clips(8, start=t)])[0],
                        worn.analysis.labels(t, t + 1)[0])  # fmt: skip
    inside = np.abs(warp.astype(int) - frame[y0:y1, x0:x1]).mean()
    far = np.abs(warp.astype(int) - dressed[t][y0:y1, x0:x1]).mean()
    assert inside < 0.5 * far


def test_person_features_are_used_and_of_another_clip_refused(desk, dressed, prepared, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(desk / "work", work)
    shutil.rmtree(work / "sampled")
    tokens, width = 4 * 3, TINY.widths[-1]
    save_features(PersonFeatures(torch.ones(1, tokens, width), torch.ones(FRAMES, 1)), tmp_path / "person.safetensors")
    tuned = all_frames(engine_for(desk, work, person_features=str(tmp_path / "person.safetensors")))
    assert not np.array_equal(tuned, dressed)
    shutil.rmtree(work / "sampled")
    save_features(PersonFeatures(torch.ones(1, tokens, width), torch.ones(9, 1)), tmp_path / "other.safetensors")
    with pytest.raises(MisuseError, match="9 frames and this one has 14"):
        engine_for(desk, work, person_features=str(tmp_path / "other.safetensors"))


def refused(desk: Path, tmp_path: Path, match: str, kind: type[Exception] = MisuseError, **changes: object) -> None:
    engine = changes.pop("engine", "diffusion")
    settings = RenderSettings(engine=engine, diffusion=DiffusionSettings(**{"device": "cpu", **changes}))
    with pytest.raises(kind, match=match) as raised:
        made = make_plan(RenderRequest(desk / "clip.mkv", (desk / "top.png",), tmp_path / "o.mkv", settings, ("upper",)))
        diffusion_engine.load_network(made.checkpoint, settings)
    assert len(str(raised.value).splitlines()) == 1


def test_models_that_are_none_are_one_sentence_each(desk, tmp_path):
    def copied(name: str) -> Path:
        shutil.copytree(desk / "model", tmp_path / name)
        return tmp_path / name

    refused(desk, tmp_path, "is not there", model=str(tmp_path / "nowhere"))
    refused(desk, tmp_path, "is a file", model=str(desk / "top.png"))
    refused(desk, tmp_path, "add --model")
    refused(desk, tmp_path, "leave out --model", engine="warp", model=str(desk / "model"))
    weights = "diffusion_pytorch_model.safetensors"
    pickled = copied("pickled")
    (pickled / weights).rename(pickled / "diffusion_pytorch_model.bin")
    refused(desk, tmp_path, "pickle", model=str(pickled))
    bare = copied("bare")
    (bare / "config.json").unlink()
    refused(desk, tmp_path, "config.json", model=str(bare))
    other = copied("other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "_class_name": "UNet2DConditionModel"}))
    refused(desk, tmp_path, "UNet2DConditionModel", model=str(other))
    (other / "config.json").write_text(json.dumps({**config, "dit_blocks": 2}))
    refused(desk, tmp_path, r"dit\.1\.", kind=VidvtonError, model=str(other))
    cut = copied("cut")
    (cut / weights).write_bytes((cut / weights).read_bytes()[:1000])
    refused(desk, tmp_path, "damaged", kind=VidvtonError, model=str(cut))
    refused(desk, tmp_path, "fp16 runs on GPUs", model=str(desk / "model"), precision="fp16")
    refused(desk, tmp_path, "xformers", kind=VidvtonError, model=str(desk / "model"), attention="xformers")
    refused(desk, tmp_path, "no file .* of person features", model=str(desk / "model"), person_features="none.safetensors")
    if not torch.cuda.is_available():
        refused(desk, tmp_path, "0 usable GPUs", model=str(desk / "model"), device="cuda")


def test_auto_takes_diffusion_where_a_model_is_given_and_another_model_is_another_render(desk, tmp_path):
    with_model = plan_for(desk, tmp_path / "o.mkv")
    assert with_model.engine == "diffusion" and ("engine", "diffusion") in with_model.rows()
    assert with_model.as_json()["model"] == str(desk / "model")
    without = make_plan(RenderRequest(desk / "clip.mkv", (desk / "top.png",), tmp_path / "o.mkv", RenderSettings(), ("upper",)))
    assert without.engine == "warp" and without.checkpoint is None
    save_bundle(random_network(1), tmp_path / "model", ModelCard())
    shutil.copytree(desk / "model", tmp_path / "same")
    digests = [
        plan_for(desk, tmp_path / "o.mkv", model=str(m)).identity["model"] for m in (tmp_path / "model", tmp_path / "same")
    ]
    assert digests[0] != with_model.identity["model"] == digests[1]


def test_out_of_memory_while_sampling_names_the_option(desk, prepared, tmp_path, monkeypatch):
    shutil.copytree(desk / "work", tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "sampled")

    class Full:
        config, device, dtype = TINY, torch.device("cpu"), torch.float32

        def encode(self, conditioning):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(diffusion_engine, "load_network", lambda checkpoint, settings: Full())
    with pytest.raises(VidvtonError, match="windows of 8 frames .* --window"):
        engine_for(desk, tmp_path / "work")


def test_limits_of_the_settings_are_said():
    for changes, match in [
        ({"guidance": (1.0, 2.0)}, "4 weights"),
        ({"guidance": (0.0,) * 4}, "not all 0"),
        ({"order": ("person", "person", "pose")}, "each once"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"window": 8, "overlap": 8}, "overlap 8"),
        ({"strength": 0.0}, "greater than 0"),
    ]:
        with pytest.raises(ValueError, match=match):
            DiffusionSettings(**changes)


def test_tuning_learns_offsets_alone_that_make_the_clip_likelier_and_the_file_fits_a_render(desk, prepared, tmp_path):
    film = diffusion_engine.film_of(desk / "clip.mkv", Limits())
    settings = settings_for(desk)
    network = diffusion_engine.load_network(prepared._checkpoint, settings)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    tuning = tune.Tuning(steps=12, rate=0.05, rank=2, window=7)
    run = tune.tune_person(network, prepared.stage, prepared.conditions, film, tuning)
    shown = []
    while True:
        try:
            shown.append(next(run))
        except StopIteration as end:
            features = end.value
            break
    assert shown[-1] == ("tune", 12, 12, "steps")
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert features.mix.shape == (FRAMES, 2) and features.maps.abs().sum() > 0

    def loss_with(given: PersonFeatures) -> float:
        windows = list(tune._windows(network, prepared.stage, prepared.conditions, film, tuning))
        with torch.no_grad():
            losses = [
                tune._loss(network, w, given, Schedule.for_size(TINY.size), tuning, step, generator_for("test", step))
                for step in range(8)
                for w in windows
            ]
        return float(torch.stack(losses).mean())

    untuned = PersonFeatures(torch.zeros_like(features.maps), features.mix)
    assert loss_with(features) < loss_with(untuned)
    save_features(features, tmp_path / "person.safetensors")
    assert (tmp_path / "person.safetensors").stat().st_size < 20_000


def test_what_is_to_be_tuned_is_said(desk, tmp_path):
    with pytest.raises(MisuseError, match="--category"):
        next(tune.tune_clip(desk / "clip.mkv", None, None, settings_for(desk), tune.Tuning()))
    with pytest.raises(MisuseError, match="no file"):
        next(tune.tune_clip(desk / "none.mkv", None, "upper", settings_for(desk), tune.Tuning()))
    unseen = tune._unseen("upper")
    assert unseen.category == "upper" and unseen.mask.any()
