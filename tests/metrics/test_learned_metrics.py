"""Metrics that need weights: the networks against their published structure, files in every form, and whole measurements."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import scipy.linalg
import torch
from moving_scene import blurred, make_scene
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from vidvton.errors import MisuseError
from vidvton.metrics import distribution, learned
from vidvton.metrics.controls import CONTROLS, control, expected_moves
from vidvton.metrics.inception import Inception, _mean
from vidvton.metrics.measure import measure
from vidvton.metrics.perceptual import Lpips, load_lpips
from vidvton.metrics.series import Features, Piece, per_frame, score
from vidvton.metrics.video_networks import I3d, Resnext3d, load_i3d, load_resnext
from vidvton.metrics.vision_transformer import VisionTransformer, load_transformer
from vidvton.metrics.weight_files import fit, is_script, read_state

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the public archives are TorchScript


def drawn(network, seed=0):
    """A state dict of the network's shapes, numbers of its own, variances positive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = value
            continue
        numbers = torch.randn(value.shape, generator=generator)
        fan = max(1, value[0].numel()) if value.ndim > 1 else 1
        plain = value.ndim <= 1
        state[name] = (
            1 + 0.1 * numbers.abs()
            if plain and name.endswith(("weight", "var"))
            else numbers * (0.1 if plain else (2 / fan) ** 0.5)
        )
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def alex(folder):
    """AlexNet's file as torchvision names it, with LPIPS's heads."""
    network = Lpips("alex")
    state = {k: v for k, v in drawn(network).items() if k.startswith("features.")}
    state |= {
        f"lin{i}.model.1.weight": torch.rand(1, len(w), 1, 1, generator=torch.Generator().manual_seed(i))
        for i, w in enumerate(network.lin)
    }
    path = folder / "alex.safetensors"
    save_file(state, path)
    return path, state


def test_lpips_is_zhang_s(alex):
    """Equation 1, straight: unit-length channels, weighted squared difference, mean over places, sum over layers."""
    path, state = alex
    first, second = torch.rand(2, 1, 3, 64, 48, generator=torch.Generator().manual_seed(1)).unbind(0)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def see(x):
        x = ((2 * x - 1) - shift[:, None, None]) / scale[:, None, None]
        features = []
        for i, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            x = F.relu(F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], stride, padding))
            features.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
            if i in (0, 3):
                x = F.max_pool2d(x, 3, 2)
        return features

    expected = 0
    for i, (a, b) in enumerate(zip(see(first), see(second))):
        expected += F.conv2d((a - b) ** 2, state[f"lin{i}.model.1.weight"]).mean()
    network = load_lpips("alex", path)
    assert float(network(first, second)) == pytest.approx(float(expected), abs=1e-5)
    assert float(network(second, first)) == pytest.approx(float(expected), abs=1e-5)
    assert float(network(first, first)) == 0
    both = network(torch.cat([first, second]), torch.cat([second, second]))
    assert both.tolist() == pytest.approx([float(expected), 0], abs=1e-5)


@pytest.mark.parametrize(("backbone", "names", "taps"), [
    ("vgg", ("features.0.weight", "features.28.bias"), [(64, 64), (128, 32), (256, 16), (512, 8), (512, 4)]),
    ("squeeze", ("features.3.squeeze.weight", "features.12.expand3x3.bias"),
     [(64, 31), (128, 15), (256, 7), (384, 3), (384, 3), (512, 3), (512, 3)]),
    ("alex", ("features.0.weight", "features.10.bias"), [(64, 15), (192, 7), (384, 3), (256, 3), (256, 3)]),
])  # fmt: skip
def test_lpips_stacks_have_torchvision_s_names_and_the_paper_s_taps(backbone, names, taps):
    network = Lpips(backbone)
    assert all(name in network.state_dict() for name in names)
    seen = network.see(torch.rand(1, 3, 64, 64))
    assert [(s.shape[1], s.shape[2]) for s in seen] == taps
    assert [len(w) for w in network.lin] == [width for width, _ in taps]


def test_lpips_takes_torchmetrics_heads_where_the_file_has_none(folder):
    if importlib.util.find_spec("torchmetrics") is None:
        pytest.skip("torchmetrics is not installed")
    state = {k: v for k, v in drawn(Lpips("squeeze")).items() if k.startswith("features.")}
    torch.save(state, folder / "squeeze.pth")
    network = load_lpips("squeeze", folder / "squeeze.pth")
    assert all(float(w.min()) >= 0 and float(w.max()) > 0 for w in network.lin)  # LPIPS's heads are not negative


def test_controls_move_lpips_as_they_must(alex):
    scene = make_scene(17)
    made = {name: torch.cat(list(control(name, [(scene.source, scene.region)]))) for name in CONTROLS}
    pieces = scene.pieces(truth=scene.source, also=made)
    got = measure(pieces, names=["lpips-alex"], weights={"lpips-alex": alex[0]})
    for name in CONTROLS:
        moves = {key: sign for key, sign in expected_moves(name).items() if key[0] == "lpips-alex"}
        assert moves or name == "colour-noise"
        for (metric, where), sign in moves.items():
            change = score(got.find(metric, of=name, where=where)) - score(got.find(metric, of="source", where=where))
            assert np.sign(change) == sign, name


def test_lpips_and_tlp_of_a_clip(alex):
    scene = make_scene(5)
    scores = []
    for sigma in (0, 1, 3):
        output = blurred(scene.source, sigma)
        got = measure(
            scene.pieces(output, truth=scene.source, length=2), names=["lpips-alex", "tlp"], weights={"lpips-alex": alex[0]}
        )
        scores.append(score(got.find("lpips-alex")))
        for where in ("region", "background"):
            assert np.isfinite(score(got.find("lpips-alex", where=where)))
    assert scores[0] == 0 and (np.diff(scores) > 0).all()
    network = load_lpips("alex", alex[0])
    out, true = output.float() / 255, scene.source.float() / 255
    own, step = float(network(out[:1], out[1:2])), float(network(true[:1], true[1:2]))
    assert per_frame(got.find("tlp"))[0] == pytest.approx(100 * abs(own - step), abs=1e-4)
    assert per_frame(got.find("lpips-alex"))[2] == pytest.approx(float(network(out[2:3], true[2:3])), abs=1e-5)
    assert score(got.find("tlp", of="source")) == 0


def small_vit(clip):
    return VisionTransformer(patch=32, width=64, depth=2, hidden=128, tokens=50, out=16 if clip else None, clip=clip)


def clip_file(folder):
    """A small tower as OpenAI names it, among a text tower's tensors."""
    names = {
        "cls_token": "class_embedding", "pos_embed": "positional_embedding", "patch_embed.proj.": "conv1.", "projection": "proj",
        "norm_pre.": "ln_pre.", "blocks.": "transformer.resblocks.", ".norm1.": ".ln_1.", ".norm2.": ".ln_2.",
        ".attn.qkv.": ".attn.in_proj_", ".attn.proj.": ".attn.out_proj.", ".mlp.fc1.": ".mlp.c_fc.", ".mlp.fc2.": ".mlp.c_proj.",
    }  # fmt: skip
    state = {"logit_scale": torch.tensor(1.0), "ln_final.weight": torch.ones(8)}
    for name, value in drawn(small_vit(True), 3).items():
        new = "ln_post." + name[5:] if name.startswith("norm.") else name
        for ours, theirs in names.items():
            new = new.replace(ours, theirs)
        value = value.reshape(-1) if name == "cls_token" else value[0] if name == "pos_embed" else value
        state[f"visual.{new}"] = value.half()
    torch.save(state, folder / "clip.pt")
    return folder / "clip.pt", state


def test_clip_tower_is_openai_s(folder):
    """The published forward pass on the published names: first norm, quick GELU, multi-head attention, projection."""
    path, state = clip_file(folder)
    v = {k.removeprefix("visual."): t.float() for k, t in state.items()}
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    y = F.conv2d(x, v["conv1.weight"], stride=32).flatten(2).transpose(1, 2)
    y = torch.cat([v["class_embedding"].expand(2, 1, -1), y], 1) + v["positional_embedding"]
    y = F.layer_norm(y, (64,), v["ln_pre.weight"], v["ln_pre.bias"])
    for i in range(2):
        b = {k.removeprefix(f"transformer.resblocks.{i}."): t for k, t in v.items()}
        z = F.layer_norm(y, (64,), b["ln_1.weight"], b["ln_1.bias"])
        attention = nn.MultiheadAttention(64, 1, batch_first=True)
        attention.load_state_dict({k.removeprefix("attn."): t for k, t in b.items() if k.startswith("attn.")})
        y = y + attention.eval()(z, z, z, need_weights=False)[0]
        z = F.layer_norm(y, (64,), b["ln_2.weight"], b["ln_2.bias"])
        z = F.linear(z, b["mlp.c_fc.weight"], b["mlp.c_fc.bias"])
        y = y + F.linear(z * torch.sigmoid(1.702 * z), b["mlp.c_proj.weight"], b["mlp.c_proj.bias"])
    expected = F.layer_norm(y[:, 0], (64,), v["ln_post.weight"], v["ln_post.bias"]) @ v["proj"]
    got = load_transformer(path, clip=True)(x)
    assert got.numpy() == pytest.approx(expected.detach().numpy(), rel=1e-4, abs=1e-4)


def test_clip_f_and_dino_of_a_clip(folder):
    clip, _ = clip_file(folder)
    torch.save({"teacher": {f"module.backbone.{k}": v for k, v in drawn(small_vit(False), 4).items()}}, folder / "dino.pth")
    weights = {"clip": clip, "dino": folder / "dino.pth"}
    scene = make_scene(4)
    frozen = scene.source[:1].expand_as(scene.source)
    got = measure(scene.pieces(frozen, length=3), names=["clip-f", "dino-consistency"], weights=weights)
    for name in ("clip-f", "dino-consistency"):
        assert score(got.find(name)) == pytest.approx(1, abs=1e-5)  # a still clip wins: so the table says nearer the source
        assert -1 <= score(got.find(name, of="source")) < 1 - 1e-4
    network = load_transformer(folder / "dino.pth", clip=False)
    tokens = [F.normalize(network(learned.for_dino(f.float() / 255)[None])[0], dim=0) for f in scene.source]
    expected = [(max(0, float(tokens[t] @ tokens[t - 1])) + max(0, float(tokens[t] @ tokens[0]))) / 2 for t in (1, 2, 3)]
    assert per_frame(got.find("dino-consistency", of="source")) == pytest.approx(expected, abs=1e-5)
    assert learned.for_dino(torch.rand(3, 448, 300)).shape == (3, 335, 224) and learned.for_clip(
        torch.rand(3, 448, 300)
    ).shape == (3, 224, 224)


def test_i3d_and_resnext_have_the_published_shapes_and_leave_classifiers_aside(folder):
    i3d = I3d()
    state = i3d.state_dict()
    assert (
        state["Mixed_4f.b2b.conv3d.weight"].shape == (128, 32, 3, 3, 3) and sum(p.numel() for p in i3d.parameters()) == 12_287_264
    )
    whole = Resnext3d()
    assert whole.state_dict()["layer3.22.conv2.weight"].shape == (512, 16, 3, 3, 3)
    small = Resnext3d((1, 1, 1, 1))
    save = {f"module.{k}": v for k, v in drawn(small).items()} | {
        "module.fc.weight": torch.zeros(400, 2048),
        "module.fc.bias": torch.zeros(400),
    }
    torch.save({"state_dict": save, "epoch": torch.tensor(3)}, folder / "resnext.pth")
    loaded = load_resnext(folder / "resnext.pth", depths=(1, 1, 1, 1))
    assert loaded(torch.rand(1, 3, 10, 32, 32)).shape == (1, 2048)
    torch.save(drawn(i3d) | {"logits.conv3d.weight": torch.zeros(400, 1024, 1, 1, 1)}, folder / "i3d.pt")
    with torch.inference_mode():
        assert load_i3d(folder / "i3d.pt")(torch.rand(1, 3, 10, 64, 64) * 2 - 1).shape == (1, 1024)


def test_inception_is_fid_s():
    network = Inception().eval()
    assert sum(p.numel() for p in network.parameters()) == 21_785_568  # torchvision's Inception v3 without its classifier
    assert network.state_dict()["Mixed_6c.branch7x7dbl_3.conv.weight"].shape == (160, 160, 1, 7)
    x = torch.zeros(1, 2, 3, 3)
    x[0, 0, 0, 0] = 9
    assert float(_mean(x)[0, 0, 0, 0]) == pytest.approx(9 / 4)  # padding does not count
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 40, 30)).shape == (1, 2048)


class Means(nn.Module):
    """Stands for a video network: mean and spread of each channel, and its first frame's mean."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean((2, 3, 4)), x.std((2, 3, 4)), x[:, :, 0].mean((2, 3))], 1)


class Asked(nn.Module):
    """As StyleGAN's archives: scores unless asked for features."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.mean((2, 3)) if return_features else torch.zeros(len(x), 9)


def test_legacy_vfid_sees_ten_frames_in_bgr_and_the_whole_clip_one_sees_all(folder):
    torch.jit.script(Means()).save(str(folder / "means.pt"))
    assert is_script(folder / "means.pt")
    weights = {"i3d": folder / "means.pt", "resnext": folder / "means.pt", "fvd": folder / "means.pt"}
    scene = make_scene(34)
    changed = scene.source.clone()
    changed[10:] = 255 - changed[10:]
    names = ["vfid10-i3d", "vfid-resnext", "fvd"]
    got = measure(scene.pieces(changed, length=9, truth=scene.source), names=names, weights=weights)
    rows = {(f.name, f.of): f.values for f in got.features}
    assert {k: len(v) for k, v in rows.items()} == {
        (n, of): k for n, k in zip(names, (1, 3, 2)) for of in ("output", "source", "truth")
    }
    assert rows["vfid10-i3d", "output"] == pytest.approx(rows["vfid10-i3d", "source"])  # blind after ten frames
    assert not np.allclose(rows["vfid-resnext", "output"][1:], rows["vfid-resnext", "source"][1:], atol=1e-3)
    legacy, first = rows["vfid10-i3d", "source"][0], rows["vfid-resnext", "source"][0]
    assert legacy[:3] == pytest.approx(first[:3][::-1]) and legacy[:3] != pytest.approx(first[:3])
    expected = (
        F.interpolate(scene.source[:10].float() / 255, size=(224, 224), mode="bilinear", antialias=True).mean((0, 2, 3)) * 2 - 1
    )
    assert first[:3] == pytest.approx(expected.numpy(), abs=1e-5)
    short = measure(make_scene(9).pieces(), names=["vfid-i3d"], weights=weights)
    assert short.features == ()


def test_fid_and_kid_features_are_one_a_frame_and_asked_for(folder):
    torch.jit.script(Asked()).save(str(folder / "asked.pt"))
    scene = make_scene(6)
    got = measure(scene.pieces(scene.source // 2 + 120), names=["fid", "kid"], weights={"inception": folder / "asked.pt"})
    values = {(f.name, f.of): f.values for f in got.features}
    assert values["fid", "source"] == pytest.approx((scene.source.float() / 255).mean((2, 3)).numpy(), abs=1e-5)
    of = {
        name: [[f for f in got.features if (f.name, f.of) == (name, who)] for who in ("output", "source")]
        for name in ("fid", "kid")
    }
    for name in ("fid", "kid"):
        assert distribution.distance(*of[name]) > distribution.distance(of[name][1], of[name][1])


def rows(seed, count=300, width=12):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(count, width)) @ generator.normal(size=(width, width)) + seed).astype(np.float32)


@pytest.mark.parametrize("count", [300, 9])
def test_frechet_is_the_textbook_s(count):
    a, b = rows(1, count).astype(np.float64), rows(2, count).astype(np.float64)
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c @ d + (1e-9 * np.eye(12) if count < 12 else 0)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * root)
    assert distribution.frechet(a, b) == pytest.approx(expected, rel=1e-5 if count > 12 else 1e-3)
    assert distribution.frechet(b, a) == pytest.approx(distribution.frechet(a, b), rel=1e-9)
    assert distribution.frechet(a, a) == pytest.approx(0, abs=1e-8)
    moved = [distribution.frechet(a, a + step) for step in (0, 0.5, 1, 2)]
    assert moved == pytest.approx([12 * step**2 for step in (0, 0.5, 1, 2)], abs=1e-6)  # only the means moved


def test_frechet_and_kernel_are_torchmetrics_s():
    fid, kid = pytest.importorskip("torchmetrics.image.fid"), pytest.importorskip("torchmetrics.image.kid")
    a, b = rows(1, 200), rows(2, 150)
    ta, tb = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    expected = fid._compute_fid(ta.mean(0), ta.T.cov(), tb.mean(0), tb.T.cov())
    assert distribution.frechet(a, b) == pytest.approx(float(expected), rel=1e-5)
    expected = kid.poly_mmd(ta[:150], tb)
    assert distribution.kernel(a[:150], b) == pytest.approx(float(expected), rel=1e-5)
    assert distribution.kernel(a, b) == pytest.approx(distribution.kernel(b, a))


def test_distance_joins_clips_and_refuses_a_mixture():
    parts = [Features("kid", "output", rows(1)[i : i + 100]) for i in (0, 100, 200)]
    whole, other = [Features("kid", "output", rows(1))], [Features("kid", "source", rows(2))]
    assert distribution.distance(parts, other) == pytest.approx(distribution.distance(whole, other))
    assert distribution.distance(whole, other) == pytest.approx(1000 * distribution.kernel(rows(1), rows(2)))
    assert np.isnan(distribution.distance([Features("fid", "output", rows(1)[:1])], [Features("fid", "source", rows(2))]))
    with pytest.raises(ValueError, match="several metrics"):
        distribution.distance(whole, [Features("fid", "source", rows(2))])


def test_weights_that_do_not_fit_are_refused_by_name(folder, alex):
    with pytest.raises(MisuseError, match="are not there"):
        read_state(folder / "none.pth")
    (folder / "text.pth").write_text("hello")
    with pytest.raises(MisuseError, match="cannot be read as plain tensors"):
        read_state(folder / "text.pth")
    (folder / "text.safetensors").write_text("hello")
    with pytest.raises(MisuseError, match="cannot be read as plain tensors"):
        read_state(folder / "text.safetensors")
    torch.save(nn.Linear(2, 2), folder / "module.pth")  # a pickled object, which could run code
    with pytest.raises(MisuseError, match="cannot be read as plain tensors"):
        read_state(folder / "module.pth")
    torch.save({"lr": 3}, folder / "numbers.pth")
    with pytest.raises(MisuseError, match="no table of tensors"):
        read_state(folder / "numbers.pth")
    path = folder / "linear.pth"
    wrong = [
        ("lack 'bias'", {"weight": torch.zeros(2, 2)}),
        ("'weight' is", {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}),
        ("have 'c' too many", {"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "c": torch.zeros(1)}),
    ]
    for word, state in wrong:
        with pytest.raises(MisuseError, match=word):
            fit(nn.Linear(2, 2), state, path)
    with pytest.raises(MisuseError, match="do not fit Lpips"):
        measure(make_scene(2).pieces(truth=make_scene(2).source), names=["lpips-vgg"], weights={"lpips-vgg": alex[0]})
    with pytest.raises(MisuseError, match="are not those of a DINO"):
        load_transformer(alex[0], clip=False)


def test_scripts_that_do_not_answer_a_row_an_input_are_refused(folder):
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum()

    torch.jit.script(Sum()).save(str(folder / "sum.pt"))
    scene = make_scene(2)
    with pytest.raises(MisuseError, match="one row of features"):
        measure([Piece(scene.source, scene.source)], names=["fid"], weights={"inception": folder / "sum.pt"})
