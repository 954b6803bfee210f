"""Measuring whole clips: independent of cutting and workers, flat in memory, honest about what it lacks; the controls."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from moving_scene import make_scene, noisy

from vidvton.errors import MisuseError
from vidvton.metrics.controls import CONTROLS, control, expected_moves
from vidvton.metrics.measure import GarmentPicture, measure
from vidvton.metrics.series import Piece, score
from vidvton.metrics.table import METRICS, WEIGHT_FREE


@pytest.fixture(scope="module")
def scene():
    return make_scene()


def everything(scene, *, length, workers, known=True):
    worn = GarmentPicture(scene.garment, torch.ones(scene.garment.shape[1:], dtype=torch.bool))
    pieces = scene.pieces(noisy(scene.source, 6), length=length, known=known, truth=scene.source)
    names = WEIGHT_FREE if known else [name for name in WEIGHT_FREE if name != "warping-error-exact"]
    return measure(pieces, names=names, garment=worn, boundaries=[12, 24], workers=workers)


@pytest.fixture(scope="module")
def cut(scene):
    """Everything measured in pieces of five frames by three workers."""
    return everything(scene, length=5, workers=3)


@pytest.mark.parametrize("known", [True, False])
def test_neither_cutting_nor_workers_change_a_number(scene, cut, known):
    whole = everything(scene, length=36, workers=1, known=known)
    assert not whole.missing and whole.frames == 36 and whole.size == (96, 80)
    length = 1 if known else 7
    for other in (everything(scene, length=length, workers=2, known=known), *((cut,) if known else ())):
        assert [(s.name, s.of, s.where) for s in other.series] == [(s.name, s.of, s.where) for s in whole.series]
        for a, b in zip(whole.series, other.series):
            assert a.frames.tolist() == b.frames.tolist(), a.name
            assert a.counts.tolist() == b.counts.tolist(), a.name
            assert b.sums == pytest.approx(a.sums, rel=1e-6, abs=1e-9), a.name


def test_every_weight_free_metric_comes_out_in_its_places_for_its_frames(cut):
    for m in METRICS:
        if m.name not in WEIGHT_FREE:
            continue
        for where in m.where:
            for of in ("output", "source"):
                s = cut.find(m.name, of=of, where=where)
                assert s is not None, (m.name, where, of)
                count = {"frame": 36, "pair": 35, "clip": 1}[m.per]
                count = {"second-difference": 34, "seam": 2}.get(m.name, count)
                assert len(s.frames) == len(s.sums) == len(s.counts) == count, m.name
                assert np.isfinite(score(s)), (m.name, where, of)
    pair = cut.find("warping-error").frames
    assert pair.tolist() == list(range(1, 36)) and cut.find("second-difference").frames.tolist() == list(range(1, 35))
    assert cut.find("seam").frames.tolist() == [12, 24]


def test_region_and_background_share_out_the_frame(cut):
    for name in ("warping-error", "psnr", "ssim", "temporal-flickering", "tof-source"):
        frame, region, background = (cut.find(name, where=where) for where in ("frame", "region", "background"))
        assert region.sums + background.sums == pytest.approx(frame.sums), name
        assert (region.counts + background.counts).tolist() == frame.counts.tolist(), name


def test_memory_does_not_grow_with_the_clip():
    scene = make_scene(16)
    source, region = scene.source[..., 20:60, 20:60], scene.region[..., 20:60, 20:60]

    def peak(frames):
        alive, most = weakref.WeakSet(), 0

        def pieces():
            nonlocal most
            for start in range(0, frames, 4):
                rows = torch.arange(start, start + 4) % 16
                piece = Piece(source[rows], source[rows], region[rows])
                alive.add(piece)
                most = max(most, len(alive))
                yield piece

        names = ["temporal-flickering", "identity"]
        got = measure(pieces(), names=names, workers=2)
        assert got.frames == frames
        return most

    assert peak(320) <= peak(96) + 1 <= 6


def test_what_lacks_is_said_and_nothing_stands_in():
    scene = make_scene(4)
    bare = (Piece(p.output, p.source) for p in scene.pieces())
    got = measure(bare, names=[m.name for m in METRICS])
    said = {m.name: str(m) for m in got.missing}
    assert said["lpips-alex"] == "not measured: needs a truth clip and FILE (weights of lpips-alex)"
    assert said["fvd"] == "not measured: needs FILE (weights of fvd)"
    assert said["garment-colour"] == "not measured: needs the garment's picture and a region mask"
    assert said["warping-error-exact"] == "not measured: needs exact flow"
    assert said["seam"] == "not measured: needs the windows' boundaries"
    assert {s.name for s in got.series} == {"warping-error", "tof-source", "temporal-flickering", "second-difference"}
    assert {s.where for s in got.series} == {"frame"} and not {s.name for s in got.series} & set(said)


def test_one_frame_and_an_empty_region_measure_what_can_be(scene):
    blank = Piece(scene.source[:1], scene.source[:1], torch.zeros(1, 1, 96, 80, dtype=torch.bool), truth=scene.source[:1])
    got = measure([blank], names=WEIGHT_FREE)
    assert score(got.find("psnr")) == 100 and got.find("warping-error") is None
    assert np.isnan(score(got.find("psnr", where="region"))) and np.isnan(score(got.find("leak", where="region")))
    assert np.isnan(score(got.find("drift-colour", where="region")))


def test_mistakes_are_named():
    scene = make_scene(4)
    with pytest.raises(MisuseError, match="no metric called 'warping-eror'; the nearest is 'warping-error'"):
        measure(scene.pieces(), names=["warping-eror"])
    with pytest.raises(MisuseError, match="no set of weights called 'lpips'"):
        measure(scene.pieces(), weights={"lpips": "x"})
    with pytest.raises(MisuseError, match="no frames"):
        measure([])
    with pytest.raises(ValueError, match=r"Piece.output is torch.uint8 \[3, 3, 96, 80\], expected torch.uint8 \[4, 3, 96, 80\]"):
        Piece(scene.source[:3], scene.source)
    with pytest.raises(MisuseError, match="frames of 8x80 are too small"):
        measure([Piece(scene.source[..., :8, :], scene.source[..., :8, :])])
    with pytest.raises(ValueError, match="given in some pieces"):
        measure([Piece(scene.source, scene.source, scene.region), Piece(scene.source, scene.source)])
    with pytest.raises(ValueError, match="sizes"):
        measure([Piece(scene.source, scene.source), Piece(scene.source[..., :40], scene.source[..., :40])])


@pytest.fixture(scope="module")
def controlled():
    scene = make_scene(33)
    made = {name: torch.cat(list(control(name, [(scene.source, scene.region)]))) for name in CONTROLS}
    pieces = scene.pieces(truth=scene.source, also=made)
    return measure(pieces, names=WEIGHT_FREE)


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_moves_every_metric_as_it_must(controlled, name):
    moves = expected_moves(name)
    assert len(moves) >= 6
    for (metric, where), sign in moves.items():
        if metric not in WEIGHT_FREE:
            continue
        change = score(controlled.find(metric, of=name, where=where)) - score(controlled.find(metric, of="source", where=where))
        assert np.sign(change) == sign, (metric, where, change)


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_depend_on_the_seed_and_the_frame_alone(name):
    scene = make_scene(40)
    whole = torch.cat(list(control(name, [(scene.source, scene.region)], seed=3)))
    for lengths in ([7, 1, 16, 11, 5], [40], [1] * 40):
        cuts = np.cumsum([0, *lengths])
        streamed = [(scene.source[a:b], scene.region[a:b]) for a, b in zip(cuts[:-1], cuts[1:])]
        pieces = list(control(name, streamed, seed=3))
        assert [len(p) for p in pieces] == lengths
        assert torch.cat(pieces).equal(whole) and whole.dtype == torch.uint8
    again = torch.cat(list(control(name, [(scene.source, scene.region)], seed=4)))
    assert again.equal(whole) == (name in ("source", "frozen"))
    assert whole.equal(scene.source) == (name == "source")


def test_the_wobbling_mask_touches_only_the_outline_and_needs_a_region():
    scene = make_scene(6)
    changed = (torch.cat(list(control("wobbling-mask", [(scene.source, scene.region)]))) != scene.source).any(1)
    near = torch.nn.functional.max_pool2d(scene.region.float(), 9, 1, 4)[:, 0] > 0
    far = torch.nn.functional.max_pool2d(1 - scene.region.float(), 9, 1, 4)[:, 0] > 0
    assert changed.any() and not (changed & ~(near & far)).any()
    with pytest.raises(ValueError, match="needs a region"):
        list(control("wobbling-mask", [(scene.source, None)]))
    with pytest.raises(ValueError, match="no control called"):
        control("still", [])
