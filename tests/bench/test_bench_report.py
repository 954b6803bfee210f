"""The report opens offline in a browser, says what the result holds, fits a phone, and warns where a metric did not move."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_results import control_series, draw_case, make_result

from vidvton.bench.charts import Curve, draw_curves, nice_ticks, number
from vidvton.bench.report import render_html, render_markdown, write_html
from vidvton.bench.statistics import summarise
from vidvton.bench.trust import check_controls
from vidvton.bench.view import show_sets
from vidvton.metrics.controls import expected_moves

METHODS = {"warp": 0.2, "diffusion, 16 frames": 1.0, "paste": 3.0}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(result, its pictures' folder, the page)."""
    folder = tmp_path_factory.mktemp("report")
    result = make_result(METHODS)
    result = replace(result, controls=(control_series(expected_moves),))
    result = draw_case(result, folder / "pictures", {"warp": 0.5, "diffusion, 16 frames": 4, "paste": 15})
    write_html(folder / "report.html", result, folder / "pictures")
    return result, folder / "pictures", folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; .ci/run installs it."""
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (it is in the extra dev)")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_a_browser_opens_the_page_offline_and_reads_its_table(browser, drawn, width, scheme):
    result, _, page_file = drawn
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState >= 1)", timeout=20_000)

    heads = [h.strip() for h in page.locator("#summary-1 thead th").all_inner_texts()]
    assert heads[1:5] == ["source", *METHODS]
    row = next(r for r in summarise(result, "studio") if (r.metric.name, r.where) == ("warping-error", "region"))
    cells = page.locator("#summary-1 tbody tr").first.locator("td").all_inner_texts()
    assert float(cells[0]) == pytest.approx(row.cells[0].source.mean * 1e4, rel=0.01)
    for text, cell in zip(cells[1:4], row.cells):
        words = text.replace("−", "-").split()
        assert int(words[0]) == cell.rank
        assert float(words[1]) == pytest.approx(cell.value.mean * 1e4, rel=0.01)
        assert float(words[2]) == pytest.approx(cell.value.low * 1e4, rel=0.01) and words[3] == "to"
        assert float(words[5]) == pytest.approx(cell.difference.mean * 1e4, rel=0.01)

    assert not said, said
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    assert page.locator("video").count() == 4 and page.locator(".row.wide img").count() == 4
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.locator("svg.curves").count() >= 3
    ink, paper = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert (_light(ink) > _light(paper)) == (scheme == "dark")
    context.close()


def _light(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_the_players_play_together_and_the_places_switch(browser, drawn):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(drawn[2].as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState >= 2)", timeout=20_000)
    page.locator("[data-do=next]").first.click()
    page.locator("[data-do=next]").first.click()
    page.wait_for_function(
        "[...document.querySelectorAll('video')].every(v => Math.abs(v.currentTime - 0.08) < 0.02)", timeout=5_000
    )
    page.locator(".tabs label", has_text="background").first.click()
    shown = page.locator(".tabs > section:visible tbody th").all_inner_texts()
    assert shown and all("background" in text for text in shown)
    page.close()


def test_nothing_in_the_page_points_outside(drawn):
    text = drawn[2].read_text(encoding="utf-8")
    text = re.sub(r"data:[^\"']+", "", text)
    assert not re.findall(r"(?:src|href|url\()=?[\"']?(?:https?:)?//", text)
    assert "@import" not in text and '<link rel="stylesheet"' not in text


def test_names_from_files_cannot_write_into_the_page(tmp_path):
    result = make_result({"<script>alert(1)</script>": 1.0}, clips=1, title="<img src=x onerror=alert(1)>")
    text = render_html(result, tmp_path, tmp_path / "x.html")
    assert "<script>alert" not in text and "<img src=x" not in text


def test_a_metric_that_does_not_move_as_it_must_is_a_warning(drawn):
    result, pictures, page = drawn
    assert check_controls(result) and all(c.passed for c in check_controls(result))
    broken = replace(result, controls=(control_series(expected_moves, broken="warping-error"),))
    failed = [c for c in check_controls(broken) if not c.passed]
    assert failed and {c.metric.name for c in failed} == {"warping-error"}
    text = render_html(broken, pictures, page)
    assert "did not move the way they must" in text and failed[0].warning() in text.replace("&#39;", "'")
    assert "did not move the way they must" not in render_html(result, pictures, page)
    assert f"- {failed[0].warning()}" in render_markdown(broken)


def test_players_that_would_make_the_file_too_large_lie_beside_it(drawn, tmp_path):
    result, pictures, _ = drawn
    small = sum(p.stat().st_size for p in pictures.glob("*.webp")) * 4 // 3 + 2000
    write_html(tmp_path / "page.html", result, pictures, limit=small)
    text = (tmp_path / "page.html").read_text()
    names = re.findall(r'<video[^>]+src="(page_files/[^"]+)"', text)
    assert len(names) >= 3 and all((tmp_path / n).exists() for n in names) and "lie beside it" in text
    write_html(pictures.parent / "near.html", result, pictures, limit=small)
    assert re.findall(r'<video[^>]+src="pictures/[^"]+"', (pictures.parent / "near.html").read_text())


def test_markdown_has_the_same_tables(drawn):
    result = drawn[0]
    lines = render_markdown(result).splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("| metric | place | unit | source |"))
    assert [c.strip() for c in lines[head].strip("|").split("|")][4:] == list(METHODS)
    rows = lines[head + 2 : head + 2 + len(show_sets(result)[0].headline)]
    widths = {line.count("|") for line in lines[head : head + 2 + len(rows)]}
    assert len(widths) == 1 and all(row.startswith("| ") for row in rows)
    assert any("the checkpoint runs/x is not there" in line for line in lines)
    assert any("not measured: needs weights lpips-alex" in line for line in lines)


def test_numbers_and_ticks_by_hand():
    assert [number(v) for v in (0.0, 1.0, 12.345, 1234.5, 0.012345, -0.5, float("nan"), 2e-6)] == [
        "0",
        "1.00",
        "12.3",
        "1234" if number(1234.5) == "1234" else "1235",
        "0.0123",
        "−0.500",
        "–",
        "≈0",
    ]
    assert nice_ticks(0, 10) == [0, 2.5, 5, 7.5, 10] and nice_ticks(0.0, 0.9)[-1] >= 0.9
    x = np.arange(3000) / 25
    y = np.ones(3000)
    y[1234] = 9.0
    y[500:520] = np.nan
    svg = draw_curves([Curve("a", "c0", x, y)], label="one spike")
    assert svg.count("M") == 2, "a gap breaks the line"
    heights = [float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", svg)]
    assert min(heights) < 40 and len(heights) <= 400, "thinned, and the spike kept"


def test_pictures_show_the_flicker(drawn):
    """The x-t slice of a flickering clip changes from row to row far more than a steady one's."""
    from vidvton.media.images import read_image

    def stripes(method):
        image = read_image(drawn[1] / f"studio-000_{method}_slice.webp").image.float()
        rows = image[:, ::5, 24:40]  # inside the shirt, one line a frame
        return (rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2]).abs().mean().item()

    assert stripes("paste") > 1.5 * stripes("warp")
    assert Path(drawn[1] / "studio-000_warp.mp4").stat().st_size > 1000
