"""One pair, measured: whoever made it, whatever its size and rate; every bad input is one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from moving_clips import BLUE, RED, frames_at, moments, write_film

from vidvton.bench.align import align, index_clip
from vidvton.bench.clip import Request, Settings, check_metrics, measure_pair, window_starts
from vidvton.bench.pieces import Pair, open_pieces
from vidvton.bench.regions import Region, find_region, given_region
from vidvton.bench.results import read_result
from vidvton.cli import main
from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import resize
from vidvton.media.images import write_image
from vidvton.metrics.measure import measure
from vidvton.metrics.series import Piece, per_frame, score

FEW = ("warping-error", "temporal-flickering", "second-difference", "identity", "leak-pixels", "psnr")
QUICK = Settings(metrics=FEW, controls=False, pictures=False, source_pictures=False, workers=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Source, steady and flickering outputs, mask, garment picture."""
    folder = tmp_path_factory.mktemp("films")
    source, mask = frames_at(moments(26))
    write_film(folder / "source.mkv", source)
    write_film(folder / "mask.mkv", (mask * 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous())
    write_film(folder / "steady.mkv", frames_at(moments(26), shirt=BLUE)[0])
    write_film(folder / "flicker.mkv", frames_at(moments(26), shirt=BLUE, flicker=12)[0])
    write_film(folder / "short.mkv", (mask[:9] * 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous())
    picture = torch.full((3, 120, 96), 246, dtype=torch.uint8)
    picture[:, 24:104, 22:74] = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None]
    write_image(folder / "top.png", picture)
    return folder


def measured(films, tmp_path, name, settings=QUICK, **more):
    request = Request(films / name, films / "source.mkv", **{"region": films / "mask.mkv", **more})
    return measure_pair(request, settings, tmp_path, tmp_path / "pictures", case="source")


def test_scores_are_those_of_the_frames_and_tell_flicker(films, tmp_path):
    steady, flicker = (measured(films, tmp_path, f"{n}.mkv").clip for n in ("steady", "flicker"))
    for name, where in (("warping-error", "region"), ("second-difference", "region")):
        assert score(flicker.find(name, where)) > 2 * score(steady.find(name, where))
        assert score(flicker.find(name, where, of="source")) == score(steady.find(name, where, of="source"))
    assert score(flicker.find("identity", "background")) == 0
    (source, region), (output, _) = frames_at(moments(26)), frames_at(moments(26), shirt=BLUE, flicker=12)
    direct = measure([Piece(output=output, source=source, region=region)], names=FEW, workers=1)
    for series in direct.series:
        found = flicker.find(series.name, series.where, of=series.of)
        assert np.allclose(found.sums, series.sums) and np.allclose(found.counts, series.counts)
    assert flicker.misfit.perfect and flicker.frames == 26 and len(flicker.digest) == 64


def test_another_size_rate_and_length_is_measured_and_told(films, tmp_path):
    small = resize(frames_at(moments(20, 12.5, start=0.08), (192, 144), BLUE)[0], (48, 36))
    write_film(tmp_path / "theirs.mkv", small[:11], rate=12.5)
    request = Request(tmp_path / "theirs.mkv", films / "source.mkv", region=films / "mask.mkv")
    found = measure_pair(request, QUICK, tmp_path, tmp_path, case="source").clip
    words = " ".join(found.misfit.sentences())
    assert "36x48" in words and "scaled" in words and "12.5 frames a second" in words and "0.080 s later in the source" in words
    assert found.size == (96, 72) and found.frames == 11
    assert np.isfinite(score(found.find("warping-error", "region")))
    tiny = measure_pair(
        request,
        Settings(metrics=FEW, max_side=48, controls=False, pictures=False, source_pictures=False),
        tmp_path,
        tmp_path,
        case="source",
    ).clip
    assert tiny.size == (48, 36)


def test_pieces_are_the_same_however_they_are_cut(films):
    source, output = index_clip(films / "source.mkv"), index_clip(films / "flicker.mkv")
    region = given_region(films / "mask.mkv", source, output)
    pair = Pair(source.path, output.path, align(source, output), (96, 72), region, (output.path, align(source, output)))
    for length in (1, 7, 26):
        pieces = list(open_pieces(pair, length=length))
        assert torch.equal(torch.cat([p.output for p in pieces]), frames_at(moments(26), shirt=BLUE, flicker=12)[0])
        assert torch.equal(torch.cat([p.region for p in pieces]), frames_at(moments(26))[1])
        assert torch.equal(torch.cat([p.truth for p in pieces]), torch.cat([p.output for p in pieces]))


def test_controls_and_pictures_come_with_the_pair(films, tmp_path):
    found = measured(films, tmp_path, "flicker.mkv", Settings(metrics=FEW, workers=1))
    assert {s.of for s in found.controls.series} == {"source", "frozen", "shuffled", "colour-noise", "wobbling-mask"}
    assert {"source_video", "source_slice"} <= set(found.controls.pictures)
    drawn = found.clip.pictures
    for name in (drawn.slice, drawn.video, *(w.picture for w in drawn.worst), *found.controls.pictures.values()):
        assert (tmp_path / "pictures" / name).stat().st_size > 100
    values = per_frame(found.clip.find("warping-error", "region"))
    assert drawn.worst[0].value == pytest.approx(np.nanmax(values))
    assert drawn.worst[0].seconds == pytest.approx(drawn.worst[0].frame / 25)


def test_the_region_is_what_differs_where_nobody_is_found(films, tmp_path, monkeypatch):
    def nobody(*_):
        raise VidvtonError("nobody")

    monkeypatch.setattr("vidvton.bench.regions._analyse", nobody)
    source, output = index_clip(films / "source.mkv"), index_clip(films / "steady.mkv")
    found = find_region(source, tmp_path, output=output, alignment=align(source, output))
    assert "nobody was found" in found.words
    made = torch.stack(list(found.frames(align(source, output), (96, 72))))
    truth = frames_at(moments(26))[1]
    assert (made & truth).sum() / truth.sum() > 0.97 and (made & truth).sum() / (made | truth).sum() > 0.5
    same = find_region(source, tmp_path, output=source, alignment=align(source, source))
    assert same is None


def test_a_photo_and_an_empty_mask_are_measured_as_far_as_they_go(films, tmp_path):
    for name, shirt in (("a", RED), ("b", BLUE)):
        write_image(tmp_path / f"{name}.png", frames_at([0.0], shirt=shirt)[0][0])
    write_image(tmp_path / "none.png", torch.zeros(3, 96, 72, dtype=torch.uint8))
    write_image(tmp_path / "all.png", torch.full((3, 96, 72), 255, dtype=torch.uint8))
    settings = Settings(metrics=FEW, pictures=False, source_pictures=False)
    photo = measure_pair(
        Request(tmp_path / "b.png", tmp_path / "a.png", region=tmp_path / "all.png"), settings, tmp_path, tmp_path, case="a"
    )
    assert 0 < score(photo.clip.find("leak-pixels", "region")) < 1 and not photo.controls.series
    assert any("at least 8 frames" in line for line in photo.clip.notes)
    empty = measured(films, tmp_path, "steady.mkv", region=tmp_path / "none.png").clip
    assert any("region is empty" in line for line in empty.notes)
    assert np.isfinite(score(empty.find("warping-error", "frame")))


def test_a_still_mask_and_a_mask_numbered_like_the_output(films, tmp_path):
    source, output = index_clip(films / "source.mkv"), index_clip(write_film(tmp_path / "o.mkv", frames_at(moments(20))[0]))
    write_image(tmp_path / "still.png", torch.full((3, 96, 72), 255, dtype=torch.uint8))
    still = given_region(tmp_path / "still.png", source, output)
    assert torch.stack(list(still.frames(align(source, output), (48, 36)))).all() and "one picture" in still.words
    write_film(tmp_path / "m.mkv", torch.zeros(20, 3, 96, 72, dtype=torch.uint8))
    assert given_region(tmp_path / "m.mkv", source, output).numbered == "output"
    assert isinstance(still, Region)


def test_window_starts_and_metric_names():
    assert window_starts(64, 16, 4) == (12, 24, 36, 48) and window_starts(20, 8, 0) == (8, 16)
    assert window_starts(10, 0, 0) is None and window_starts(10, 16, 4) == ()
    assert check_metrics(("ssim", "warping-error")) == ("warping-error", "ssim")
    with pytest.raises(MisuseError, match="did you mean 'warping-error'"):
        check_metrics(("warping-eror",))


def test_the_command_prints_a_table_and_writes_three_reports(films, tmp_path, capsys):
    names = ",".join(FEW)
    words = [
        "bench",
        "clip",
        str(films / "flicker.mkv"),
        "--source",
        str(films / "source.mkv"),
        "--region",
        str(films / "mask.mkv"),
    ]
    words += ["--truth", str(films / "steady.mkv"), "--garment", str(films / "top.png"), "--metrics", names, "--workers", "1"]
    outputs = [tmp_path / f"r.{kind}" for kind in ("html", "json", "md")]
    files = ["--html", str(outputs[0]), "--json", str(outputs[1]), "--markdown", str(outputs[2])]
    assert main([*words, *files]) == 0
    said = capsys.readouterr().out
    assert "Warping error" in said and "note      region: the mask mask.mkv" in said
    result = read_result(outputs[1])
    assert result.cases[0].hashes.keys() == {"source", "garment", "truth"} and result.cases[0].name == "source"
    assert "Warping error" in outputs[0].read_text() and "| Warping error" in outputs[2].read_text()
    assert main([*words, *files]) == 2 and "exists already" in capsys.readouterr().err
    assert main([*words, "--no-controls", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1

    steady = [w.replace("flicker.mkv", "steady.mkv") for w in words]
    assert main([*steady, "--no-controls", "--json", str(tmp_path / "s.json")]) == 0
    capsys.readouterr()
    assert main(["bench", "compare", str(outputs[1]), str(tmp_path / "s.json")]) == 0
    assert "Warping error (region)" in (told := capsys.readouterr().out) and "better" in told
    assert main(["bench", "compare", str(outputs[1]), str(tmp_path / "s.json"), "--json"]) == 0
    rows = {(r["metric"], r["where"]): r for r in json.loads(capsys.readouterr().out)}
    assert rows["warping-error", "region"]["verdict"] == "better" and rows["identity", "background"]["verdict"] == "the same"


def test_a_dry_run_says_how_the_clips_fit(films, capsys):
    assert main(["bench", "clip", str(films / "steady.mkv"), "-s", str(films / "source.mkv"), "--dry-run"]) == 0
    assert "every frame has its partner" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (["--region", "short.mkv"], 2, ["9 frames", "26 as the source"]),
        (["--region", "none.mkv"], 2, ["there is no file", "none.mkv"]),
        (["--metrics", "warping-eror"], 2, ["did you mean 'warping-error'"]),
        (["--weights", "lpips-alx=top.png"], 2, ["did you mean 'lpips-alex'"]),
        (["--weights", "lpips-alex=none.pt"], 2, ["there is no file none.pt"]),
        (["--weights", "lpips-alex"], 2, ["KEY=FILE"]),
        (["--truth", "late.mkv"], 2, ["share no time"]),
        (["--garment", "notes.txt"], 2, ["not a picture"]),
        (["--category", "uper"], 2, ["did you mean 'upper'"]),
        (["--align", "tme"], 2, ["did you mean 'time'"]),
        (["--offset", "90"], 2, ["share no time"]),
        (["--overlap", "4"], 2, ["cannot overlap"]),
        (["--json", "none/x.json"], 2, ["no folder"]),
    ],
)
def test_bad_input_is_one_sentence(films, monkeypatch, capsys, change, code, words):
    monkeypatch.chdir(films)
    (films / "notes.txt").write_text("not a film")
    if not (films / "late.mkv").exists():
        write_film(films / "late.mkv", frames_at(moments(10), shirt=RED)[0], first=400)
    given = ["bench", "clip", "steady.mkv", "--source", "source.mkv", "--metrics", "psnr", "--no-controls"]
    given += [] if "--region" in change else ["--region", "mask.mkv"]
    assert main([*given, *change]) == code
    said = capsys.readouterr().err
    assert said.startswith("vidvton: ") and said.count("\n") == 1
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(("output", "words"), [("notes.txt", "not a video"), ("none.mp4", "no file"), ("broken.mkv", "")])
def test_unreadable_clips_are_one_sentence(films, monkeypatch, capsys, output, words):
    monkeypatch.chdir(films)
    (films / "notes.txt").write_text("not a film")
    data = (films / "steady.mkv").read_bytes()
    (films / "broken.mkv").write_bytes(data[:300] + b"\0" * 400)
    assert main(["bench", "clip", output, "--source", "source.mkv", "--metrics", "psnr"]) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("vidvton: ") and said.count("\n") == 1 and words in said
