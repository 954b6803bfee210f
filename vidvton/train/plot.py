"""A run's curves as one PNG, drawn from metrics.jsonl: losses, noise levels, gradient, rate, speed, flicker, over the stages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidvton.errors import MisuseError
from vidvton.media.files import written_beside

from .journal import NAME, read_journal

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 1200, 230, 92, 170, 40, 34
FINE = 2
"""Everything is drawn this many times larger and shrunk, which smooths its edges."""
PAPER, INK, FAINT, GRID = (255, 255, 255), (38, 42, 51), (120, 126, 138), (228, 231, 237)
BANDS = ((246, 248, 252), (255, 255, 255))
COLOURS = ((31, 98, 189), (214, 96, 20), (22, 138, 96), (158, 48, 133), (120, 104, 20), (70, 70, 190))


@dataclass(frozen=True)
class Curve:
    """Points (step, value) under a name; `faint` ones lie behind the others as thin lines."""

    name: str
    steps: np.ndarray
    values: np.ndarray
    colour: tuple[int, int, int]
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """One diagram: its title, its curves, and whether its axis is logarithmic."""

    title: str
    curves: tuple[Curve, ...]
    log: bool


def plot_run(run: Path, output: Path | None = None) -> Path:
    """Draws the curves of the run in folder `run` to `output` (default: curves.png in it, replaced) and returns that path.

    MisuseError where there is no journal or nothing in it yet.
    """
    journal = Path(run) / NAME
    records = read_journal(journal)
    if not records:
        raise MisuseError(f"{run} holds no {NAME} with anything in it; give the folder that a vidvton train run writes to")
    panels = [panel for panel in panels_of(records) if panel.curves]
    target = output or Path(run) / "curves.png"
    with written_beside(target, overwrite=output is None) as part:
        draw(panels, bands_of(records), title=Path(run).resolve().name).save(part, format="PNG")
    return target


def panels_of(records: list[dict[str, Any]]) -> list[Panel]:
    """The diagrams that `records` of a journal fill."""
    train = [r for r in records if r.get("kind") == "train"]
    held = [r for r in records if r.get("kind") == "validate"]
    raw = _curve("each log line", train, "loss", COLOURS[0], faint=True)
    smooth = raw and Curve("smoothed", raw.steps, smoothed(raw.values), COLOURS[0])
    names = sorted({level for r in held for level in (r.get("levels") or {})}, key=float)
    levels = [_curve(f"noise {n}", held, ("levels", n), COLOURS[i % len(COLOURS)]) for i, n in enumerate(names)]
    return [
        _panel("training loss", [raw, smooth], log=True),
        _panel("loss on held-out clips, by noise level", levels, log=True),
        _panel("PSNR of sampled results in the region, dB (held out)", [_curve("sampled", held, "psnr", COLOURS[2])]),
        _panel(
            "flicker of sampled results, against the truth's own",
            [_curve("result", held, "flicker", COLOURS[1]), _curve("truth", held, "flicker_truth", COLOURS[2])],
        ),
        _panel("gradient norm", [_curve("before clipping", train, "grad_norm", COLOURS[3])], log=True),
        _panel("learning rate", [_curve("rate", train, "rate", COLOURS[4])], log=True),
        _panel("frames a second", [_curve("trained", train, "frames_per_second", COLOURS[2])]),
        _panel("share of time waiting for data", [_curve("waiting", train, "data_wait", COLOURS[1])]),
        _panel("memory, GiB", [_curve("peak", train, "memory_gib", COLOURS[5])]),
    ]


def bands_of(records: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """(name, first step, last step) of every stage that `records` tell of, in order."""
    bands: dict[str, tuple[int, int]] = {}
    for record in records:
        name = record.get("stage")
        if isinstance(name, str):
            low, high = bands.get(name, (record["step"], record["step"]))
            bands[name] = (min(low, record["step"]), max(high, record["step"]))
    ordered = sorted(bands.items(), key=lambda band: band[1])
    out, begin = [], 0
    for name, (_, high) in ordered:
        out.append((name, begin, high))
        begin = high
    return out


def smoothed(values: np.ndarray, share: float = 0.04) -> np.ndarray:
    """A centred running median of a running mean over `share` of all points: what the eye should follow."""
    half = max(1, round(len(values) * share / 2))
    mean = np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])
    return np.array([np.median(mean[max(0, i - half // 2) : i + half // 2 + 1]) for i in range(len(mean))])


def _curve(name: str, records: list[dict[str, Any]], field: str | tuple[str, str], colour, faint=False) -> Curve | None:
    points = []
    for record in records:
        value = record.get(field) if isinstance(field, str) else (record.get(field[0]) or {}).get(field[1])
        if isinstance(value, int | float) and math.isfinite(value):
            points.append((record["step"], float(value)))
    if not points:
        return None
    steps, values = np.array(points, dtype=np.float64).T
    return Curve(name, steps, values, colour, faint)


def _panel(title: str, curves: list[Curve | None], *, log: bool = False) -> Panel:
    there = tuple(curve for curve in curves if curve is not None)
    return Panel(title, there, log and all((curve.values > 0).any() for curve in there))


def draw(panels: list[Panel], bands: list[tuple[str, int, int]], *, title: str) -> Image.Image:
    """All `panels` below each other over one axis of steps, `bands` of stages behind them."""
    height = TOP + len(panels) * PANEL + 20
    image = Image.new("RGB", (WIDTH * FINE, height * FINE), PAPER)
    pen = ImageDraw.Draw(image)
    last = max([c.steps[-1] for p in panels for c in p.curves] + [b[2] for b in bands] + [1])
    _text(pen, (LEFT, 10), title, size=19)
    for row, panel in enumerate(panels):
        _draw_panel(pen, panel, bands, top=TOP + row * PANEL, last=last)
    return image.resize((WIDTH, height), Image.Resampling.BOX)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, bands: list[tuple[str, int, int]], *, top: int, last: float) -> None:
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, top + 26, top + PANEL - BOTTOM
    across = lambda step: x0 + (x1 - x0) * step / last  # noqa: E731
    for number, (_, first, until) in enumerate(bands):
        _box(pen, (across(first), y0, across(until), y1), BANDS[number % 2])
        if number:
            _line(pen, [(across(first), y0), (across(first), y1)], (200, 205, 215), 1)
    values = np.concatenate([c.values[c.values > 0] if panel.log else c.values for c in panel.curves])
    scale = (lambda v: np.log10(np.maximum(v, 1e-12))) if panel.log else (lambda v: np.asarray(v, dtype=np.float64))
    low, high = _limits(scale(values), log=panel.log)
    down = lambda v: y1 - (y1 - y0) * (scale(v) - low) / (high - low)  # noqa: E731
    for tick in _ticks(low, high, log=panel.log):
        y = float(down(tick))
        _line(pen, [(x0, y), (x1, y)], GRID, 1)
        _text(pen, (x0 - 8, y - 8), _number(tick), size=13, colour=FAINT, right=True)
    for tick in _ticks(0, last, log=False):
        _text(pen, (across(tick) - 4, y1 + 5), _number(tick), size=13, colour=FAINT)
    _line(pen, [(x0, y0), (x0, y1), (x1, y1)], FAINT, 1)
    _text(pen, (x0, top + 4), panel.title, size=15)
    for curve in panel.curves:
        good = curve.values > 0 if panel.log else np.full(len(curve.values), True)
        points = list(zip(across(curve.steps[good]).tolist(), down(curve.values[good]).tolist()))
        tint = tuple((c + 2 * 255) // 3 for c in curve.colour) if curve.faint else curve.colour
        _line(pen, points, tint, 1 if curve.faint else 2.4)
        if len(points) <= 60 and not curve.faint:
            for x, y in points:
                pen.ellipse([(x - 3) * FINE, (y - 3) * FINE, (x + 3) * FINE, (y + 3) * FINE], fill=tint)
    for name, first, until in bands:
        if across(until) - across(first) > 8 * len(name):
            _text(pen, (across(first) + 5, y0 + 3), name, size=12, colour=FAINT)
    for row, curve in enumerate(panel.curves):
        tint = tuple((c + 2 * 255) // 3 for c in curve.colour) if curve.faint else curve.colour
        y = y0 + 10 + 20 * row
        _line(pen, [(x1 + 12, y), (x1 + 34, y)], tint, 3)
        _text(pen, (x1 + 40, y - 9), f"{curve.name} {_number(curve.values[-1])}" if not curve.faint else curve.name, size=13)


def _limits(values: np.ndarray, *, log: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or max(abs(high) * 0.1, 0.1)
    return (low - room if log or low < 0 or room < low else 0.0), high + room


def _ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Four to eight round numbers between the limits (of logarithms where `log`), as values."""
    if log and high - low > 0.7:
        marks = [
            m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in ((1, 2, 5) if high - low < 2.5 else (1,))
        ]
        return [mark for mark in marks if low <= math.log10(mark) <= high]
    if log:
        return [tick for tick in _ticks(10**low, 10**high, log=False) if tick > 0]
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float) -> str:
    """Short: 0.0031, 12.5, 1200, 3e-05."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.2g}"
    return f"{round(value, 4 if abs(value) < 1 else 2 if abs(value) < 100 else 0):g}"


def _box(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], colour) -> None:
    pen.rectangle([round(v * FINE) for v in box], fill=colour)


def _line(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour, width: float) -> None:
    if len(points) > 1:
        pen.line([(x * FINE, y * FINE) for x, y in points], fill=colour, width=round(width * FINE), joint="curve")


def _text(pen: ImageDraw.ImageDraw, place, text: str, *, size: int, colour=INK, right: bool = False) -> None:
    font = ImageFont.load_default(size * FINE)
    pen.text((place[0] * FINE, place[1] * FINE), text, fill=colour, font=font, anchor="ra" if right else "la")
