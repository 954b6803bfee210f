"""Contact sheets and the wide clip of --side-by-side."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tinting import SIZE, TintEngine, frames_of, make_clip, make_skirt, times_of

from vidvton.errors import VidvtonError
from vidvton.media.images import read_image
from vidvton.media.info import Limits
from vidvton.media.reader import open_clip
from vidvton.render.plan import RenderRequest, make_plan
from vidvton.render.preview import draw_preview, picked, spread
from vidvton.render.sheet import CAPTION, GAP, PAPER, draw_sheet, label
from vidvton.render.side_by_side import SideBySide, garment_panel


@given(st.integers(1, 10_000), st.integers(1, 50))
def test_spread_is_even_ascending_and_inside(frames, count):
    chosen = spread(frames, count)
    assert len(chosen) == min(frames, count)
    assert all(0 <= i < frames for i in chosen)
    steps = np.diff(chosen)
    assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


def test_picked_gives_the_frames_asked_for(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", 20)
    whole = frames_of(clip)
    for index, frame in picked(clip, [0, 7, 8, 19], Limits()):
        assert np.array_equal(frame.movedim(0, -1).numpy(), whole[index])
    with pytest.raises(VidvtonError, match="ended at frame 20"):
        list(picked(clip, [3, 25], Limits()))


def test_a_sheet_has_one_column_per_frame_with_the_pictures_in_it():
    red, blue = torch.zeros(3, 40, 30, dtype=torch.uint8), torch.zeros(3, 40, 30, dtype=torch.uint8)
    red[0], blue[2] = 255, 255
    sheet = draw_sheet([("0  0.00 s", [red, blue]), ("1  0.04 s", [blue, red])], cell_height=80)
    assert tuple(sheet.shape) == (3, CAPTION + 2 * (80 + GAP), 3 * GAP + 2 * 60)
    top, below = CAPTION + 40, CAPTION + 80 + GAP + 40
    left, right = GAP + 30, 2 * GAP + 60 + 30
    assert sheet[:, top, left].tolist() == [255, 0, 0] == sheet[:, below, right].tolist()
    assert sheet[:, below, left].tolist() == [0, 0, 255] == sheet[:, top, right].tolist()
    assert sheet[:, :CAPTION, GAP : GAP + 60].min() < 120  # something is written
    assert sheet[:, 0, 0].tolist() == [PAPER] * 3


def test_labels_show_different_texts_differently():
    assert not torch.equal(label("12", 60), label("13", 60))
    assert label("", 60).min() == PAPER


def test_a_preview_dresses_only_the_frames_it_shows(tmp_path):
    clip, skirt = make_clip(tmp_path / "clip.mkv", 24), make_skirt(tmp_path / "skirt.png")
    plan = make_plan(RenderRequest(clip, (skirt,), tmp_path / "look.png", categories=("lower",), preview=3))
    engine = TintEngine(clip, plan.garments, tmp_path)
    list(engine.prepare())
    steps = list(draw_preview(plan, engine, 24))
    assert [s.done for s in steps] == [0, 1, 2, 3]
    assert engine.dressed == [(4, 5), (12, 13), (20, 21)]
    sheet = read_image(tmp_path / "look.png").image
    scale = 360 / SIZE[0]
    assert sheet.shape[1] == CAPTION + 2 * (360 + GAP) and sheet.shape[2] == 4 * GAP + 3 * round(SIZE[1] * scale)
    y, x = round(SIZE[0] * 0.375 * scale), GAP + round(SIZE[1] * 0.375 * scale)
    assert sheet[:, CAPTION + 360 + GAP + y, x].tolist() == [37 * 4, 91 * 4 % 256, 128]
    assert sheet[:, CAPTION + y, x].tolist() != [37 * 4, 91 * 4 % 256, 128]


def test_side_by_side_is_source_garments_result(tmp_path):
    clip, skirt = make_clip(tmp_path / "clip.mkv", 12, uneven=True), make_skirt(tmp_path / "skirt.png")
    plan = make_plan(RenderRequest(clip, (skirt,), tmp_path / "o.mkv", categories=("lower",)))
    engine = TintEngine(clip, plan.garments, tmp_path, pieces=5)
    beside = SideBySide(clip, Limits(), open_clip(clip).info, plan.garments)
    pieces = list(beside.joined(engine.dress(3, 12), 3))
    wide = torch.cat([p.frames for p in pieces])
    plain = torch.cat([p.frames for p in engine.dress(3, 12)])
    source = torch.from_numpy(frames_of(clip)[3:]).movedim(-1, 1)
    w = SIZE[1]
    assert tuple(wide.shape) == (9, 3, SIZE[0], beside.info.width)
    assert torch.equal(wide[..., :w], source) and torch.equal(wide[..., -w:], plain)
    assert (wide[0, 0, :, w:-w].float().mean() > 100) and (wide[:, :, :, w:-w] == wide[:1, :, :, w:-w]).all()
    times = [float(p * Fraction(piece.time_base)) for piece in pieces for p in piece.pts.tolist()]
    assert times == times_of(clip)[3:]


def test_the_garment_panel_shows_each_garment_unsquashed(tmp_path):
    skirts = []
    for number, colour in enumerate([(200, 30, 40), (20, 40, 180)]):
        path = make_skirt(tmp_path / f"{number}.png", colour)
        skirts.append(make_plan(RenderRequest(path, (path,), tmp_path / "o.png", categories=("lower",))).garments[0])
    panel = garment_panel(tuple(skirts), (200, 80))
    assert tuple(panel.shape) == (3, 200, 80)
    upper, lower = panel[:, 50, 40].tolist(), panel[:, 150, 40].tolist()
    assert upper[0] > 150 > upper[2] and lower[2] > 150 > lower[0]
    assert panel[:, 0, 0].tolist() == [245] * 3

    def extent(panel):
        inked = (panel[0] - 245).abs().bool()
        return int(inked.any(1).sum()), int(inked.any(0).sum())

    tall, wide = extent(garment_panel(tuple(skirts[:1]), (200, 200)).int())
    tall_anamorphic, wide_anamorphic = extent(garment_panel(tuple(skirts[:1]), (200, 200), aspect=2.0).int())
    assert wide_anamorphic == pytest.approx(wide * (tall_anamorphic / tall) / 2, rel=0.05)
