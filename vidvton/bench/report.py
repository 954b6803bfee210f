"""The report: one HTML file that opens offline, and the same as Markdown. No outside request; all comes from the result."""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..media.files import written_beside
from .charts import number
from .results import BenchResult, CaseFacts, ClipResult
from .view import PLACES, WHICH_WAY, ShownChart, colour_of, failure_rows, missing_rows, show_charts, show_sets

EMBED_LIMIT = 24 << 20
"""Bytes of pictures and players that go into the HTML file; players beyond that lie beside it."""
_KINDS = {".webp": "image/webp", ".png": "image/png", ".mp4": "video/mp4"}
_MOVES = {1: "↑", -1: "↓", 0: "="}


@dataclass(frozen=True)
class ShownVideo:
    """A player or picture of a case: whose, its colour class, where it is."""

    name: str
    colour: str
    address: str


@dataclass(frozen=True)
class ShownWorst:
    """A worst frame's sheet; `first` is a method's worst, which `more` others follow."""

    method: str
    colour: str
    words: str
    address: str
    first: bool
    more: int


@dataclass(frozen=True)
class ShownCase:
    """Everything drawn of one case."""

    facts: CaseFacts
    videos: tuple[ShownVideo, ...]
    slices: tuple[ShownVideo, ...]
    charts: tuple[ShownChart, ...]
    worst: tuple[ShownWorst, ...]
    fits: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]


class _Files:
    """Puts pictures into the page while they are small enough together, and beside it after that."""

    def __init__(self, folder: Path, page: Path, limit: int) -> None:
        self._folder, self._page, self._left = folder, page, limit
        self.embedded, self.beside = 0, 0

    def address(self, name: str | None) -> str | None:
        """A data address, or a relative one; None where the file is not there."""
        path = self._folder / name if name else None
        if path is None or not path.exists():
            return None
        size = path.stat().st_size * 4 // 3
        if size <= self._left:
            self._left -= size
            self.embedded += 1
            return f"data:{_KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        self.beside += 1
        if not self._folder.resolve().is_relative_to(self._page.parent.resolve()):
            beside = self._page.with_name(f"{self._page.stem}_files")
            beside.mkdir(exist_ok=True)
            path = Path(shutil.copy(path, beside / path.name))
        return os.path.relpath(path.resolve(), self._page.parent.resolve())

    def sentence(self) -> str:
        """What became of the files."""
        if not self.beside:
            return "Pictures and players are inside this file; it needs nothing else."
        return f"{self.embedded} pictures and players are inside this file, {self.beside} lie beside it: move them together."


def write_html(path: Path, result: BenchResult, pictures: Path, *, limit: int = EMBED_LIMIT, overwrite: bool = True) -> None:
    """The report as one HTML file; `pictures` is the folder in which the result's pictures lie."""
    text = render_html(result, pictures, path, limit=limit)
    with written_beside(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")


def render_html(result: BenchResult, pictures: Path, page: Path, *, limit: int = EMBED_LIMIT) -> str:
    """The page's text, which will be saved as `page`."""
    files = _Files(pictures, page, limit)
    cases = _show_cases(result, files)
    settings = json.dumps(result.provenance.get("settings", {}), indent=1, default=str)
    return _environment().get_template("report.html.j2").render(
        **_shown(result), cases=cases, files=files.sentence(), places=PLACES, settings=settings,
        machine=_pairs(result, "machine"), colour=lambda name: colour_of(result, name),
    )  # fmt: skip


def _shown(result: BenchResult) -> dict[str, object]:
    """What both templates show."""
    sets = show_sets(result)
    return {
        "result": result, "sets": sets, "missing": missing_rows(result), "failures": failure_rows(result), "ways": WHICH_WAY,
        "moves": _MOVES, "command": _command(result), "versions": _pairs(result, "versions"), "number": number,
        "warnings": [w for s in sets for w in s.warnings],
    }  # fmt: skip


def write_markdown(path: Path, result: BenchResult, *, overwrite: bool = True) -> None:
    """The report's tables as Markdown."""
    with written_beside(path, overwrite=overwrite) as part:
        part.write_text(render_markdown(result), encoding="utf-8")


def render_markdown(result: BenchResult) -> str:
    """The tables, failures and provenance as Markdown text."""
    fits = tuple((clip.case, *fit) for clip in result.clips if (fit := _fit(clip))[1])
    return _environment().get_template("report.md.j2").render(**_shown(result), fits=fits)


def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
    )  # fmt: skip
    env.filters["svg"] = Markup
    env.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return env


def _show_cases(result: BenchResult, files: _Files) -> tuple[ShownCase, ...]:
    slices = {case.name: _slices(result, case, files) for case in result.cases}
    worst = {case.name: _worst(result, case, files) for case in result.cases}
    out = []
    for case in result.cases:
        clips = [c for c in result.clips if c.case == case.name]
        if not clips:
            continue
        videos = _videos(result, case, files)
        fits = tuple(_fit(c) for c in clips)
        out.append(ShownCase(case, videos, slices[case.name], show_charts(result, case), worst[case.name], fits))
    return tuple(out)


def _fit(clip: ClipResult) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return clip.method, clip.misfit.sentences() if clip.misfit is not None else (), clip.notes


def _drawn_of_case(result: BenchResult, case: CaseFacts) -> dict[str, str]:
    return next((c.pictures for c in result.controls if c.case == case.name), {})


def _named(result: BenchResult, case: CaseFacts, own: str, mine: str) -> list[tuple[str, str, str | None]]:
    drawn = _drawn_of_case(result, case)
    rows: list[tuple[str, str, str | None]] = [("source", "own", drawn.get(f"source_{own}"))]
    for clip in result.clips:
        if clip.case == case.name:
            rows.append((clip.method, colour_of(result, clip.method), getattr(clip.pictures, mine)))
    return rows + [("truth", "own", drawn.get(f"truth_{own}"))]


def _videos(result: BenchResult, case: CaseFacts, files: _Files) -> tuple[ShownVideo, ...]:
    rows = [(name, colour, files.address(path)) for name, colour, path in _named(result, case, "video", "video")]
    return tuple(ShownVideo(n, c, a) for n, c, a in rows if a is not None)


def _slices(result: BenchResult, case: CaseFacts, files: _Files) -> tuple[ShownVideo, ...]:
    rows = [(name, colour, files.address(path)) for name, colour, path in _named(result, case, "slice", "slice")]
    return tuple(ShownVideo(n, c, a) for n, c, a in rows if a is not None)


def _worst(result: BenchResult, case: CaseFacts, files: _Files) -> tuple[ShownWorst, ...]:
    out = []
    for clip in result.clips:
        if clip.case != case.name:
            continue
        colour, mine = colour_of(result, clip.method), [(w, files.address(w.picture)) for w in clip.pictures.worst]
        mine = [(w, address) for w, address in mine if address is not None]
        for k, (found, address) in enumerate(mine):
            words = f"at {found.seconds:.2f} s, frame {found.frame}"
            out.append(ShownWorst(clip.method, colour, words, address, first=k == 0, more=len(mine) - 1 if k == 0 else 0))
    return tuple(out)


def _command(result: BenchResult) -> str:
    return " ".join(str(word) for word in result.provenance.get("command", []))


def _pairs(result: BenchResult, key: str) -> list[tuple[str, str]]:
    found = result.provenance.get(key, {})
    return [(str(k), str(v)) for k, v in found.items()] if isinstance(found, dict) else []
