"""The command line as a user meets it: help, one-sentence errors with their exit codes, nothing written when it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import ready

sys.path.insert(0, str(Path(__file__).parent / "render"))
from tinting import make_clip, make_engine, make_skirt, use_tint  # noqa: E402

from vidvton import __version__
from vidvton.cli import explain, main
from vidvton.config import read_config
from vidvton.render.settings import RenderSettings


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a clip and a garment, the tinting engine behind the command line, and no debugging."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIDVTON_DEBUG", raising=False)
    monkeypatch.setattr("vidvton.render.engines.make_engine", make_engine)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    make_clip(Path("clip.mkv"), 12)
    make_skirt(Path("skirt.png"))
    return tmp_path


RENDER = ["render", "clip.mkv", "--garment", "skirt.png", "-o", "out.mkv", "--category", "lower", "--codec", "ffv1"]


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"vidvton {__version__}"


def test_no_arguments_show_the_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("render", "garment", "doctor"))


@pytest.mark.parametrize("command", ["render", "garment", "doctor"])
def test_every_option_says_its_default(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    options = re.split(r"\n  (?=-)", text.split("Options:\n")[1].replace("  -", "\n  -", 1))
    options = [" ".join(option.split()) for option in options if option.strip().startswith("-")]
    assert len(options) >= 2
    for option in options:
        assert "--help" in option or "[default:" in option or "[required]" in option, option


def test_defaults_in_the_help_are_the_defaults_of_the_settings(capsys):
    main(["render", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    said = dict(re.findall(r"--([a-z-]+) [A-Z]+ .*?\[default: ([^\]]+)\]", text))
    settings = RenderSettings()
    assert said["who"] == settings.who and said["engine"] == settings.engine and said["codec"] == settings.video.codec
    assert int(said["seed"]) == settings.seed
    assert int(said["max-pixels"]) == settings.limits.max_pixels and float(said["max-seconds"]) == settings.limits.max_seconds


def test_render_prints_the_path_and_nothing_else_on_stdout(desk, capsys):
    assert main([*RENDER, "--report", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert out == "out.mkv\n"
    assert "dress 12/12 frames" in err and "frames/s" in err
    assert files(desk) == ["clip.mkv", "out.mkv", "r.json", "skirt.png"]
    report = json.loads(Path("r.json").read_text())
    assert report["engine"] == "tint" and report["frames"] == 12 and report["garments"][0]["category"] == "lower"


def test_json_is_the_report_and_quiet_is_quiet(desk, capsys):
    assert main([*RENDER, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["output"] == "out.mkv" and err == ""


def test_dry_run_tells_the_plan_and_writes_nothing(desk, capsys):
    before = files(desk)
    assert main([*RENDER, "--dry-run"]) == 0
    out = capsys.readouterr().out
    for word in ("clip.mkv: 64x48", "skirt.png: lower", "ffv1, lossless", ".out.mkv.work", "warp"):
        assert word in out
    assert main([*RENDER, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["source"]["width"] == 64 and plan["settings"]["video"]["codec"] == "ffv1"
    assert files(desk) == before


def test_options_win_over_the_configuration(desk, capsys):
    Path("c.yaml").write_text("video: {codec: h264, crf: 30}\nseed: 7\n")
    assert read_config(Path("c.yaml"), RenderSettings).video.crf == 30
    assert main([*RENDER, "--config", "c.yaml", "--dry-run", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["video"]["codec"] == "ffv1" and settings["video"]["crf"] == 30 and settings["seed"] == 7


def test_preview_is_a_sheet_beside_the_output(desk, capsys):
    assert main([*RENDER, "--preview", "3"]) == 0
    assert capsys.readouterr().out == "out.mkv.preview.png\n"
    assert files(desk) == ["clip.mkv", "out.mkv.preview.png", "skirt.png"]


def test_overwrite_replaces(desk, capsys):
    Path("out.mkv").write_text("old")
    assert main(RENDER) == 2
    assert "exists already" in capsys.readouterr().err and Path("out.mkv").read_text() == "old"
    assert main([*RENDER, "--overwrite"]) == 0
    assert Path("out.mkv").stat().st_size > 1000


def render(*changes: str, clip="clip.mkv", garment="skirt.png", output="out.mkv") -> list[str]:
    return ["render", clip, "--garment", garment, "-o", output, *changes]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (render(clip="none.mp4"), 2, ["none.mp4", "no file"]),
        (render(garment="none.png"), 2, ["none.png", "garment picture"]),
        (render(clip="text.mp4"), 2, ["text.mp4"]),
        (render(clip="empty.mp4"), 2, ["empty.mp4"]),
        (render(clip="headless.mkv"), None, ["headless.mkv"]),
        (render(clip="nothing"), 2, ["nothing", "no pictures"]),
        (render(garment="text.png"), 2, ["text.png", "picture"]),
        (render(garment="blank.png"), 1, ["blank.png", "garment"]),
        (render(garment="bomb.png"), None, ["bomb.png"]),
        (render("--category", "uper"), 2, ["'uper'", "did you mean 'upper'"]),
        (render("--category", "upper", "--category", "lower"), 2, ["2 categories", "1 garments"]),
        (render(output="out.xyz"), 2, ["out.xyz", ".mp4"]),
        (render(output="out.png"), 2, ["out.png", "a clip gives a clip"]),
        (render(output="out"), 2, ["no suffix"]),
        (render(output="clip.mkv"), 2, ["clip.mkv", "is an input"]),
        (render("--overwrite", output="clip.mkv"), 2, ["clip.mkv", "is an input"]),
        (render("--overwrite", output="link.mkv"), 2, ["link.mkv", "is an input"]),
        (render("--overwrite", "--report", "skirt.png"), 2, ["skirt.png", "is an input"]),
        (render("--report", "out.mkv"), 2, ["out.mkv", "two names"]),
        (render(output="no/such/out.mkv"), 2, ["no/such"]),
        (render("--crf", "99"), 2, ["crf", "99"]),
        (render("--crf", "x"), 2, ["--crf"]),
        (render("--codec", "h265"), 2, ["h265", "hevc"]),
        (render("--codec", "h264", output="out.webm"), 2, ["h264", ".webm"]),
        (render("--who", "tallest"), 2, ["tallest", "largest"]),
        (render("--engine", "magic"), 2, ["magic", "warp"]),
        (render("--preview", "0"), 2, ["preview"]),
        (render("--max-pixels", "100", clip="clip.mp4", output="out.mp4"), 2, ["--max-pixels"]),
        (render("--max-seconds", "0.1"), 2, ["--max-seconds"]),
        (render("--config", "none.yaml"), 2, ["none.yaml"]),
        (render("--config", "wrong.yaml"), 2, ["wrong.yaml", "'vidoe'", "'video'"]),
        (render("--work", "nothing/../full"), 2, ["holds other files"]),
        (["render", "clip.mkv", "-o", "out.mkv"], 2, ["--garment"]),
        (["rendr"], 2, ["rendr", "render"]),
        (render("--grament", "x"), 2, ["--grament"]),
        (["garment", "blank.png", "-o", "s.png"], 1, ["blank.png"]),
        (["garment", "none.png", "-o", "s.png"], 2, ["none.png"]),
        (["garment", "skirt.png", "-o", "s.mp4"], 2, ["s.mp4", "picture"]),
        (["garment", "skirt.png", "-o", "skirt.png", "--overwrite"], 2, ["is an input"]),
        (["garment", "skirt.png", "-o", "s.png", "--category", "dress"], 2, ["'dress'", "full"]),
    ],
)
def test_errors_are_one_sentence_and_write_nothing(desk, capsys, arguments, code, words):
    Path("text.mp4").write_text("these are words\n" * 50)
    Path("text.png").write_text("these are words\n" * 50)
    Path("empty.mp4").touch()
    make_clip(Path("clip.mp4"), 2)
    Path("headless.mkv").write_bytes(Path("clip.mkv").read_bytes()[:300])
    Path("nothing").mkdir()
    Path("full").mkdir()
    Path("full/letter.txt").write_text("dear")
    Path("link.mkv").symlink_to("clip.mkv")
    Path("wrong.yaml").write_text("vidoe: {crf: 3}\n")
    white(Path("blank.png"), (64, 64))
    bomb(Path("bomb.png"))
    before = files(desk)
    got = main(arguments)
    out, err = capsys.readouterr()
    assert got == code if code is not None else got in (1, 2), err
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("vidvton: "), err
    for word in words:
        assert word in lines[0], lines[0]
    assert out == "" and "Traceback" not in err
    assert files(desk) == before


def white(path: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    Image.new("RGB", size, (255, 255, 255)).save(path)


def bomb(path: Path) -> None:
    """A PNG of a few bytes that claims 40000 x 40000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_debug_restores_tracebacks(desk, capsys, monkeypatch):
    monkeypatch.setenv("VIDVTON_DEBUG", "1")
    assert main(render(clip="none.mp4")) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_unexpected_is_one_sentence_with_a_hint(desk, capsys, monkeypatch):
    def broken(plan, work):
        raise ZeroDivisionError("all the\nbest")

    monkeypatch.setattr("vidvton.render.engines.make_engine", broken)
    assert main(RENDER) == 1
    err = capsys.readouterr().err.strip()
    assert "ZeroDivisionError: all the best" in err and "VIDVTON_DEBUG=1" in err and len(err.splitlines()) == 1


def test_explain_knows_the_system():
    assert "disk is full" in explain(OSError(28, "No space left on device"))
    assert "memory" in explain(MemoryError())
    assert explain(PermissionError(13, "Permission denied", "/x")) == "/x: Permission denied"


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 1 MiB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
        pytest.skip("may not mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 8192, 40_000, 300_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(desk, tiny_disk, capsys, room):
    make_clip(Path("large.mkv"), 30, (240, 320))
    filler = tiny_disk / "filler"
    filler.write_bytes(b"x" * ((1 << 20) - 4096 - room))
    output = str(tiny_disk / "out.mkv")
    code = main(["render", "large.mkv", "-g", "skirt.png", "-o", output, "--category", "lower", "--codec", "ffv1", "-q"])
    err = capsys.readouterr().err.strip()
    assert code == 1 and len(err.splitlines()) == 1 and "disk is full" in err, err
    assert files(tiny_disk) == ["filler"]


def test_no_permission_is_one_sentence(desk, tiny_disk, capsys):
    """On a disk mounted read-only, for root may write anywhere else."""
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    for command in (render(output=str(tiny_disk / "out.mkv")), ["garment", "skirt.png", "-o", str(tiny_disk / "s.png")]):
        assert main([*command, "--category", "lower"]) == 1
        err = capsys.readouterr().err.strip()
        assert "no permission" in err and len(err.splitlines()) == 1
    assert main(render("--report", str(tiny_disk / "r.json"))) == 1
    assert "no permission" in capsys.readouterr().err
    assert main(render("--category", "lower", "--work", str(tiny_disk / "work"))) == 1
    err = capsys.readouterr().err.strip()
    assert "cannot be written" in err and len(err.splitlines()) == 1, err


def tint_and_heed(number: int) -> None:
    signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
    use_tint()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_is_one_line_and_keeps_the_work(tmp_path, number):
    make_clip(tmp_path / "clip.mkv", 200)
    make_skirt(tmp_path / "skirt.png")
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    child = ready.start(
        RENDER, tmp_path, out=out, err=err, before=partial(tint_and_heed, number), environment={"TINT_SLEEP": "0.05"}
    )
    while child.is_alive() and not err.stat().st_size:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(child.pid, number)
    child.join(30)
    said = err.read_text()
    assert child.exitcode == 130 and "analyse" in said.splitlines()[0] and out.read_text() == ""
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "stopped" in line] == [said.splitlines()[-1]]
    assert ".out.mkv.work" in said and "same command" in said
    assert (tmp_path / ".out.mkv.work").is_dir() and not (tmp_path / "out.mkv").exists()


def test_a_reader_that_leaves_is_no_error_to_shout_about(desk):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "vidvton", "--version"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == "" and done.returncode == 1


def test_the_garment_command_draws_a_sheet(desk, capsys):
    assert main(["garment", "skirt.png", "-o", "sheet.png", "--category", "lower", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["category"] == "lower" and facts["sheet"] == "sheet.png" and "waist_left" in facts["landmarks"]
    assert Path("sheet.png").stat().st_size > 1000
