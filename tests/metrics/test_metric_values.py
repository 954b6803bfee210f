"""Each metric against its definition: identity, sign, graded damage, values worked out by hand, and reference code."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from moving_scene import blurred, make_scene, noisy, texture
from scipy.ndimage import convolve
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from vidvton.metrics import flow, garment, image, sift, temporal
from vidvton.metrics.measure import GarmentPicture, measure
from vidvton.metrics.places import shrink, sums_of
from vidvton.metrics.series import Series, per_frame, score
from vidvton.metrics.table import METRICS, WEIGHT_FREE

PERFECT = {
    ("identity", "background"): 0.0, ("leak", "region"): 1.0, ("leak-pixels", "region"): 1.0, ("psnr", "frame"): 100.0,
    ("ssim", "frame"): 1.0, ("ssim", "region"): 1.0, ("gradient-similarity", "background"): 1.0, ("tof", "frame"): 0.0,
    ("tof-source", "region"): 0.0, ("warping-error-exact", "frame"): 0.0, ("warping-error-exact", "region"): 0.0,
    ("garment-flicker", "region"): 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    return make_scene()


@pytest.fixture(scope="module")
def brief():
    return make_scene(14)


@pytest.fixture(scope="module")
def worn(scene):
    return GarmentPicture(scene.garment, torch.ones(scene.garment.shape[1:], dtype=torch.bool))


def measured(scene, output, name, where="frame", **more):
    """Score of one metric of one output."""
    known = more.pop("known", True)
    fields = {"truth": scene.source} if name in ("tof", "ssim", "psnr", "gradient-similarity") else {}
    got = measure(scene.pieces(output, known=known, **fields), names=[name], source_too=False, workers=1, **more)
    return score(got.find(name, where=where))


def test_a_perfect_copy_scores_what_perfect_means(scene):
    got = measure(scene.pieces(truth=scene.source), names=[name for name, _ in PERFECT], workers=1)
    for (name, where), value in PERFECT.items():
        for of in ("output", "source"):
            assert score(got.find(name, of=of, where=where)) == pytest.approx(value, abs=1e-9), (name, where, of)


def test_a_print_and_a_colour_are_found_where_they_are_and_not_elsewhere(brief, worn):
    here = measure(brief.pieces(), names=["garment-colour", "garment-print"], garment=worn, workers=1)
    other = GarmentPicture(torch.from_numpy((texture(99, 44, 44) * [255, 60, 60]).astype(np.uint8)).permute(2, 0, 1), worn.mask)
    wrong = measure(brief.pieces(), names=["garment-colour", "garment-print"], garment=other, workers=1)
    assert score(here.find("garment-print", where="region")) > 0.8 > 0.2 > score(wrong.find("garment-print", where="region"))
    assert score(here.find("garment-colour", where="region")) < 10
    assert score(wrong.find("garment-colour", where="region")) > 1.5 * score(here.find("garment-colour", where="region"))


@pytest.mark.parametrize(
    ("name", "where", "sign"),
    [
        ("warping-error", "frame", 1), ("warping-error", "background", 1), ("warping-error-exact", "region", 1),
        ("temporal-flickering", "frame", -1), ("second-difference", "region", 1), ("garment-flicker", "region", 1),
        ("identity", "background", 1), ("leak-pixels", "region", -1), ("psnr", "frame", -1), ("drift-colour", "region", 1),
    ],
)  # fmt: skip
def test_more_colour_noise_is_worse(brief, name, where, sign):
    scores = [measured(brief, noisy(brief.source, level), name, where) for level in (0, 6, 12, 25)]
    assert (np.diff(scores) * sign > 0).all(), scores


@pytest.mark.parametrize(
    ("name", "where", "sign"),
    [("ssim", "frame", -1), ("gradient-similarity", "region", -1), ("leak", "region", -1), ("tof", "frame", 1),
     ("tof-source", "region", 1), ("garment-print", "region", -1), ("second-difference", "frame", -1)],
)  # fmt: skip
def test_more_blur_is_worse_or_less(brief, worn, name, where, sign):
    scores = [measured(brief, blurred(brief.source, sigma), name, where, garment=worn) for sigma in (0, 1.2, 2.5, 6)]
    assert (np.diff(scores) * sign > 0).all(), scores


def test_garment_colour_grows_with_the_tint(brief, worn):
    tint = torch.tensor([0.0, 60, -60]).reshape(3, 1, 1)
    scores = []
    for share in (0, 0.3, 0.6, 1):
        output = (brief.source.float() + share * tint).clamp(0, 255).to(torch.uint8)
        scores.append(measured(brief, output, "garment-colour", "region", garment=worn))
    assert (np.diff(scores) > 0).all(), scores


def test_a_larger_step_at_a_window_boundary_scores_higher_and_none_scores_one(scene):
    scores = []
    for step in (0, 6, 12, 24):
        output = scene.source.clone()
        output[16:] = (output[16:].float() + step).clamp(0, 255).to(torch.uint8)
        scores.append(measured(scene, noisy(output, 1), "seam", boundaries=[16]))
    assert (np.diff(scores) > 0).all(), scores
    assert scores[0] < 5
    steady = np.array([2.0, 2, 2, 6, 2, np.nan])
    frames, seams = temporal.seam_scores(np.arange(1, 7), steady, [4, 6, 99])
    assert frames.tolist() == [4] and seams.tolist() == [3.0]


def test_sharpness_drift_has_the_sign_of_the_change(scene):
    softer, sharper = scene.source.clone(), scene.source.clone()
    softer[20:] = blurred(scene.source[20:], 1.5)
    sharper[:20] = blurred(scene.source[:20], 1.5)
    assert measured(scene, softer, "drift-sharpness", "region") < -0.5
    assert measured(scene, sharper, "drift-sharpness", "region") > 0.5
    assert abs(measured(scene, scene.source, "drift-sharpness", "region")) < 0.02


def test_drift_by_hand():
    lab = np.array(
        [[50.0, 0, 0]] * 4 + [[50.0, 2.5, 0]] * 4
    )  # a' = 1.5 a = 3.75; S_C = 1 + 0.045 * 1.875; CIEDE2000 = 3.75 / S_C
    energy = np.array([1.0, 1, 1, 1, 4, 4, 4, np.nan])
    colour, octaves = temporal.drift(lab, energy)
    assert colour == pytest.approx(3.75 / 1.084375, abs=1e-4) and octaves == pytest.approx(2.0)
    assert temporal.drift(lab, energy, [2, 4])[1] == pytest.approx(2.0)
    assert np.isnan(temporal.drift(np.full((4, 3), np.nan), np.full(4, np.nan))).all()
    tiny = temporal.drift(lab, np.full(8, np.nan))  # a region too thin for edges still has a colour
    assert tiny[0] == colour and np.isnan(tiny[1])
    assert np.isnan(temporal.drift(lab[:1], energy[:1])).all()


def test_colour_distance_is_ciede2000_with_textile_weights():
    """A step of ten in lightness alone is 10 / (kL S_L), kL = 2 (Sharma et al. 2005, eq. 15 and 22)."""
    region = torch.ones(4, 4, dtype=torch.bool)
    frame = torch.tensor([200, 40, 60], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 4, 4)
    picture = torch.tensor([200, 40, 60], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 5, 5)
    same = garment.palette(picture, torch.ones(5, 5, dtype=torch.bool))
    assert same.shares.tolist() == [1.0]
    assert garment.colour_distance(frame, region, same) == pytest.approx(0, abs=1e-9)
    lab = rgb2lab(np.array([[[200, 40, 60]]]) / 255)[0, 0]
    lighter = garment.Palette(lab[None] + [[10.0, 0, 0]], np.ones(1))
    mean = lab[0] + 5
    weight = 1 + 0.015 * (mean - 50) ** 2 / (20 + (mean - 50) ** 2) ** 0.5
    assert garment.colour_distance(frame, region, lighter) == pytest.approx(10 / (2 * weight), abs=1e-5)
    assert np.isnan(garment.colour_distance(frame, ~region, same))


def test_palette_finds_two_colours_with_their_shares():
    picture = torch.zeros(3, 10, 10, dtype=torch.uint8)
    picture[0, :, :3] = 250
    colours = garment.palette(picture, torch.ones(10, 10, dtype=torch.bool))
    assert sorted(colours.shares.round(3).tolist()) == [0.3, 0.7]


def test_warping_error_is_lai_s(scene):
    """Straight from the paper: move O_t back by the flow, square what is left where nothing is hidden, divide by the count."""
    output = noisy(scene.source, 6)
    first, second = (output[t].float().numpy() / 255 for t in (3, 4))
    greys = [cv2.cvtColor(np.ascontiguousarray(scene.source[t].permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY) for t in (3, 4)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward, backward = dis.calc(*greys, None).astype(np.float64), dis.calc(*greys[::-1], None).astype(np.float64)
    height, width = greys[0].shape

    def read(picture, x, y):  # bilinear, [C, H, W]
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        i, j = min(int(x), width - 2), min(int(y), height - 2)
        u, v = x - i, y - j
        top = picture[:, j, i] * (1 - u) + picture[:, j, i + 1] * u
        return top * (1 - v) + (picture[:, j + 1, i] * (1 - u) + picture[:, j + 1, i + 1] * u) * v

    total = count = 0
    back = backward.transpose(2, 0, 1)
    for y in range(height):
        for x in range(width):
            f = forward[y, x]
            there = x + f[0], y + f[1]
            if not (0 <= there[0] <= width - 1 and 0 <= there[1] <= height - 1):
                continue
            b = read(back, *there)
            if ((f + b) ** 2).sum() > 0.01 * ((f**2).sum() + (b**2).sum()) + 0.5:
                continue
            du = forward[y, min(x + 1, width - 1)] - f
            dv = forward[min(y + 1, height - 1), x] - f
            if (du**2).sum() + (dv**2).sum() > 0.01 * (f**2).sum() + 0.002:
                continue
            total += ((read(second, *there) - first[:, y, x]) ** 2).mean()
            count += 1
    got = measure(scene.pieces(output), names=["warping-error"], workers=1).find("warping-error")
    at = got.frames.tolist().index(4)
    assert abs(got.counts[at] - count) <= 2  # float32 against float64 at a threshold
    assert got.sums[at] / got.counts[at] == pytest.approx(total / count, abs=1e-5)


def test_warping_error_by_hand():
    first, second = torch.zeros(3, 4, 6), torch.zeros(3, 4, 6)
    first[:, 1, 2] = 1.0
    second[:, 1, 4] = 1.0
    right = torch.zeros(2, 4, 6)
    right[0] = 2
    errors = flow.warping_error(first, second, right)
    assert float(errors.sum()) == pytest.approx(0, abs=1e-9)  # the spot went two to the right, as the flow says
    assert float(flow.warping_error(first, second, 0 * right).sum()) == pytest.approx(2.0)
    inside = flow.move_back(second, right)[1]
    assert inside.sum() == 16 and not inside[:, 4:].any()
    half = torch.zeros(2, 4, 6)
    half[0] = 0.5
    moved, _ = flow.move_back(second, half)
    assert float(moved[0, 1, 3]) == pytest.approx(0.5) and float(moved[0, 1, 4]) == pytest.approx(0.5)


def test_visible_leaves_out_what_does_not_come_back_and_where_motion_breaks():
    still = torch.zeros(2, 8, 8)
    assert flow.visible(still, still).all()
    there = still.clone()
    there[0] = 2
    assert not flow.visible(there, still).any()  # nothing comes back
    assert flow.visible(there, -there)[:, :6].all() and not flow.visible(there, -there)[:, 6:].any()
    torn = still.clone()
    torn[0, :, 4:] = 1
    assert flow.motion_boundary(torn)[:, 3].all() and flow.motion_boundary(torn).sum() == 8


def test_tof_is_tecogan_s(scene):
    output = blurred(scene.source, 1)

    def farneback(frames, t):
        pair = [cv2.cvtColor(np.ascontiguousarray(frames[i].permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY) for i in (t - 1, t)]
        return cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 15, 3, 5, 1.2, 0)

    expected = [np.sqrt(((farneback(output, t) - farneback(scene.source, t)) ** 2).sum(2)).mean() for t in range(1, 6)]
    got = measure(scene.pieces(output, truth=scene.source), names=["tof"], workers=1).find("tof")
    assert per_frame(got)[:5] == pytest.approx(expected, abs=1e-5)
    up, none = torch.zeros(2, 3, 3), torch.zeros(2, 3, 3)
    up[0], up[1] = 3, 4
    assert flow.flow_distance(up, none).eq(5).all() and flow.flow_distance(none, up).eq(5).all()


def test_temporal_flickering_is_vbench_s(scene):
    output = noisy(scene.source, 5)
    frames = [f.permute(1, 2, 0).numpy() for f in output]
    maes = [np.mean(cv2.absdiff(a, b).astype(np.float64)) for a, b in zip(frames[:-1], frames[1:])]
    assert measured(scene, output, "temporal-flickering") == pytest.approx((255 - np.mean(maes)) / 255, abs=1e-6)


def test_second_difference_by_hand():
    flash = [torch.zeros(3, 2, 2), torch.full((3, 2, 2), 0.5), torch.zeros(3, 2, 2)]
    assert float(temporal.second_difference(*flash).mean()) == pytest.approx(1.0)
    even = [torch.full((3, 2, 2), v) for v in (0.1, 0.3, 0.5)]
    assert float(temporal.second_difference(*even).mean()) == pytest.approx(0, abs=1e-12)
    assert temporal.second_difference(*flash).equal(temporal.second_difference(*flash[::-1]))


def test_garment_flicker_is_the_variance_of_whole_frame_noise(scene):
    """White noise of 10 levels on every frame and channel: its variance is what comes out, whichever way the square moves."""
    steady = (scene.source.float() * 0.6 + 50).round().to(torch.uint8)  # room for the noise
    output = noisy(steady, 10)
    cast = np.rint(np.random.default_rng(5).normal(size=(36, 3)) * 10) / 255  # pictures have whole levels
    got = measure(scene.pieces(output), names=["garment-flicker"], workers=1).find("garment-flicker", where="region")
    blocks = [cast[a:b].var(0, ddof=1).mean() for a, b in ((0, 16), (16, 32), (32, 36))]
    means = [per_frame(got)[a:b].mean() for a, b in ((0, 16), (16, 32), (32, 36))]
    assert means == pytest.approx(blocks, rel=2e-3)


def test_studio_coordinates_keep_layers_and_sides_apart():
    layers = torch.tensor([[[0, 1], [2, 2]]], dtype=torch.uint8)
    xy = torch.tensor([[[[0, 0], [0.1, 0.2]], [[0.5, -0.5], [0.5, -0.5]]]]).half()
    back = torch.tensor([[[False, False], [False, True]]])
    places = garment.studio_coordinates(layers, xy, back, layer=2, pixels_per_metre=100)
    assert places.shape == (1, 2, 2, 2) and places.dtype == torch.float32
    assert places[0, :, 0].isnan().all()
    assert places[0, :, 1, 0].tolist() == [50, -50] and places[0, :, 1, 1].tolist() == [1050, -50]


def test_carried_coordinates_follow_and_die_where_hidden():
    region = torch.ones(6, 8, dtype=torch.bool)
    start = garment.anchor(region)
    back = torch.zeros(2, 6, 8)
    back[0] = -1  # everything came from one pixel to the left
    seen = torch.ones(6, 8, dtype=torch.bool)
    seen[2, 5] = False
    places = garment.alive(garment.carry(start, back, seen, region))
    assert places[0, 3].tolist()[1:] == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5], abs=1e-4)
    assert places[:, :, 0].isnan().all() and places[:, 2, 5].isnan().all() and places[0].isnan().sum() == 7
    still = garment.carry(start, 0 * back, region, region)
    assert still.numpy() == pytest.approx(start.numpy(), abs=1e-4)


def test_garment_flicker_without_maps_follows_the_flow(scene):
    """On a real moving square, DIS's own maps add about the noise's variance to what they give for the source itself."""
    clean = measured(scene, scene.source, "garment-flicker", "region", known=False)
    noise = measured(scene, noisy(scene.source, 8), "garment-flicker", "region", known=False)
    cast = np.rint(np.random.default_rng(5).normal(size=(36, 3)) * 8) / 255
    assert noise - clean == pytest.approx(cast.var(), rel=0.3)


def test_ssim_is_wang_s(scene):
    torchmetrics = pytest.importorskip("torchmetrics.functional.image")
    output = noisy(blurred(scene.source[:2], 1), 6)
    values, valid = image.ssim(output[0], scene.source[0])
    expected = structural_similarity(
        *(f.permute(1, 2, 0).numpy() for f in (output[0], scene.source[0])),
        channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
    )  # fmt: skip
    assert float(values[valid].double().mean()) == pytest.approx(expected, abs=1e-5)
    pair = output[:1].double(), scene.source[:1].double()
    _, full = torchmetrics.structural_similarity_index_measure(*pair, data_range=255.0, return_full_image=True)
    assert expected == pytest.approx(float(full[..., 5:-5, 5:-5].mean()), abs=1e-5)  # its own mean takes a mirrored border too
    assert image.ssim(scene.source[0], output[0])[0].numpy() == pytest.approx(values.numpy(), abs=1e-6)
    assert not image.ssim(output[0, :, :8, :8], output[0, :, :8, :8])[1].any()


def test_psnr_by_hand_and_as_torchmetrics_has_it(scene):
    torchmetrics = pytest.importorskip("torchmetrics.functional.image")
    ten = (scene.source.int() + 10).clamp(0, 265)
    shifted = torch.where(ten > 255, scene.source.int() - 10, ten).to(torch.uint8)
    assert measured(scene, shifted, "psnr") == pytest.approx(20 * np.log10(255 / 10), abs=1e-5)
    output = noisy(scene.source, 7)
    expected = [
        float(torchmetrics.peak_signal_noise_ratio(a.float(), b.float(), data_range=255.0)) for a, b in zip(output, scene.source)
    ]
    assert measured(scene, output, "psnr") == pytest.approx(np.mean(expected), abs=1e-4)


def test_gradient_similarity_is_xue_s(scene):
    first, second = noisy(blurred(scene.source[:1], 1), 4)[0], scene.source[0]
    maps = []
    for frame in (first, second):
        grey = (frame.double() * torch.tensor([0.299, 0.587, 0.114]).double().reshape(3, 1, 1)).sum(0).numpy()
        half = grey.reshape(grey.shape[0] // 2, 2, grey.shape[1] // 2, 2).mean((1, 3))
        kernel = np.array([[1, 0, -1]] * 3) / 3
        maps.append(np.hypot(convolve(half, kernel, mode="constant"), convolve(half, kernel.T, mode="constant")))
    expected = (2 * maps[0] * maps[1] + 170) / (maps[0] ** 2 + maps[1] ** 2 + 170)
    got = image.gradient_similarity(first.float() / 255, second.float() / 255)
    assert got.numpy() == pytest.approx(expected, abs=1e-5)
    assert image.gradient_similarity(second.float() / 255, first.float() / 255).equal(got)


def test_leak_by_hand():
    ramp = torch.linspace(0, 1, 9).expand(9, 9)
    everywhere = torch.ones(9, 9, dtype=torch.bool)
    inner = shrink(everywhere & (torch.arange(9) > 0) & (torch.arange(9) < 8), 1)
    across, down = image.gradients(ramp), image.gradients(ramp.T)
    assert image.leak(across, across * 0.3, inner) == pytest.approx(1)
    assert image.leak(-across, across, inner) == pytest.approx(-1)
    middle = torch.zeros(9, 9, dtype=torch.bool)
    middle[2:7, 2:7] = True
    assert image.leak(down, across, middle) == pytest.approx(0, abs=1e-9)
    assert image.leak(across + down, across, middle) == pytest.approx(2**-0.5)
    assert np.isnan(image.leak(across, across * 0, inner)) and image.leak(across * 0, across, inner) == 0


def test_level_error_and_passed_through_by_hand():
    a, b = torch.zeros(3, 1, 4, dtype=torch.uint8), torch.zeros(3, 1, 4, dtype=torch.uint8)
    b[0, 0] = torch.tensor([0, 8, 9, 255], dtype=torch.uint8)
    assert image.passed_through(a, b).tolist() == [[1, 1, 0, 0]]
    assert image.level_error(a / 255, b / 255)[0].tolist() == pytest.approx([0, 8 / 3, 3, 85], abs=1e-4)


def test_print_features_need_a_print():
    plain = torch.full((3, 64, 64), 120, dtype=torch.uint8)
    whole = torch.ones(64, 64, dtype=torch.bool)
    assert len(sift.print_features(plain, whole)) == 0
    got = measure(make_scene(3).pieces(), names=["garment-print"], garment=GarmentPicture(plain, whole))
    assert "garment picture with a print" in str(got.missing[0]) and not got.series


def test_sums_keep_places_apart():
    values = torch.tensor([[1.0, 2, 4], [8, 16, 32]])
    region = torch.tensor([[True, False, False], [True, True, False]])
    valid = torch.tensor([[True, True, True], [False, True, True]])
    assert sums_of(values, valid=valid, region=region) == {"frame": (55.0, 5.0), "region": (17.0, 2.0), "background": (38.0, 3.0)}
    assert sums_of(values) == {"frame": (63.0, 6.0)}


def test_scores_leave_out_what_was_not_measurable():
    s = Series("identity", "output", "background", np.arange(3), np.array([2.0, 0, 6]), np.array([1.0, 0, 2]))
    assert score(s) == pytest.approx(2.5) and np.isnan(per_frame(s)[1])
    p = Series("psnr", "output", "frame", np.arange(2), np.array([0.0, 0.01]), np.ones(2))
    assert score(p) == pytest.approx(60)  # 100 dB for a copy, 20 dB
    empty = Series("psnr", "output", "frame", np.arange(1), np.zeros(1), np.zeros(1))
    assert np.isnan(score(empty))


def test_the_table_is_whole():
    assert len({m.name for m in METRICS}) == len(METRICS)
    for m in METRICS:
        assert m.better in ("higher", "lower", "nearer-source") and m.per in ("frame", "pair", "clip", "set")
        assert set(m.needs) <= {"source", "truth", "garment", "region", "flow", "windows", "weights"} and m.citation and m.meaning
    assert "lpips-alex" not in WEIGHT_FREE and "warping-error" in WEIGHT_FREE
