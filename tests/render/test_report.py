"""The report: plain JSON, rounded, whole or absent; and the pace that progress is told in."""

from __future__ import annotations

import io
import json

import pytest

from vidvton import __version__
from vidvton.progress import Note, Pace, Progress
from vidvton.render.report import RenderReport, SourceFacts, Timing, peak_memory_mib, read_versions, report_text, write_report
from vidvton.terminal import Display, clock, describe


def report(**changes) -> RenderReport:
    facts = SourceFacts("clip.mp4", "video", 640, 480, 30000 / 1001, 4.0, "h264", True)
    values = {
        "output": "out.mp4", "engine": "warp", "versions": read_versions(), "source": facts, "garments": ({"picture": "t.png"},),
        "frames": 120, "frames_resumed": 0, "persons": 1, "frames_present": 118, "quality": (0.123456,) * 3,
        "warnings": ("dark",),
        "stages": {"dress": Timing(4.0, 120), "join": Timing(0.0, 0)}, "seconds": 5.4321, "peak_memory_mib": 512.25,
        "settings": {"seed": 0},
    }  # fmt: skip
    return RenderReport(**{**values, **changes})


def test_the_report_is_json_with_rates_and_rounded_numbers(tmp_path):
    path = tmp_path / "report.json"
    write_report(path, report())
    value = json.loads(path.read_text())
    assert value["stages"]["dress"] == {"seconds": 4.0, "frames": 120, "frames_per_second": 30.0}
    assert value["stages"]["join"]["frames_per_second"] is None
    assert value["quality"] == [0.123] * 3 and value["quality_mean"] == 0.123 and value["seconds"] == 5.432
    assert value["source"]["sound"] is True and value["versions"]["vidvton"] == __version__
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_long_lists_of_numbers_stand_on_one_line_and_words_are_left_alone():
    text = report_text(report(quality=tuple(i / 100 for i in range(100)), warnings=("[ 1,\n 2 ]", "x")))
    assert json.loads(text)["quality"] == [i / 100 for i in range(100)]
    assert json.loads(text)["warnings"] == ["[ 1,\n 2 ]", "x"]
    assert len(text.splitlines()) < 80


def test_versions_name_every_library_whose_numbers_show():
    versions = read_versions()
    assert set(versions) == {"vidvton", "python", "torch", "mediapipe", "av", "opencv", "numpy", "pillow"}
    assert "missing" not in versions.values()


def test_peak_memory_grows_when_memory_is_held():
    before = peak_memory_mib()
    held = bytearray(300 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mib() >= before
    assert peak_memory_mib() > 300


def test_pace_counts_only_what_this_process_did():
    pace = Pace.start(done=300, now=10.0)
    assert pace.rate is None and pace.left(600) is None
    pace.update(360, 12.0)
    assert pace.rate == pytest.approx(30.0) and pace.left(600) == pytest.approx(8.0)
    assert pace.left(None) is None
    pace.update(600, 20.0)
    assert pace.left(600) == 0


def test_describe_and_clock():
    pace = Pace.start(0, 0.0)
    assert describe(Progress("track", 0, None), pace) == "track 0 frames"
    pace.update(120, 4.0)
    assert describe(Progress("track", 120, 2100), pace) == "track 120/2100 frames, 30.0 frames/s, 1:06 left"
    assert [clock(s) for s in (0, 9.6, 65, 3600, 7384)] == ["0:00", "0:10", "1:05", "1:00:00", "2:03:04"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_displays_say_stage_frames_rate_and_notes(stream):
    out = stream()
    with Display(stream=out) as display:
        for event in (Note("going on"), Progress("track", 0, 50), Progress("track", 50, 50), Progress("dress", 0, 50)):
            display.show(event)
        display.show(Progress("dress", 25, 50))
    text = out.getvalue()
    for word in ("going on", "track", "50/50 frames", "dress", "25/50 frames", "frames/s"):
        assert word in text, text


def test_quiet_displays_say_nothing():
    out = io.StringIO()
    with Display(quiet=True, stream=out) as display:
        display.show(Progress("track", 1, 2))
        display.show(Note("psst"))
    assert out.getvalue() == ""
    assert display.last == Progress("track", 1, 2)
