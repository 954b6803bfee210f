"""Drawings of a report as inline SVG: curves frame by frame, intervals on a common scale. Colours come from the page's CSS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

POINTS = 400
"""Points of a curve at most; more frames are drawn as the largest of each bin, so that no spike is lost."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 190, 52, 10, 10, 26


@dataclass(frozen=True)
class Curve:
    """One line: its name, its CSS colour class, and values over x (NaN breaks it)."""

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Mark:
    """One method on a strip: its CSS colour class, its mean, and its bounds (NaN: none)."""

    name: str
    colour: str
    mean: float
    low: float
    high: float


def draw_curves(curves: Sequence[Curve], *, label: str, scale: float = 1.0) -> str:
    """An SVG of curves over seconds; `label` says what it shows to those who do not see it; values are multiplied by `scale`."""
    curves = [c for c in curves if np.isfinite(c.y).any()]
    if not curves:
        return ""
    finite = np.concatenate([c.y[np.isfinite(c.y)] for c in curves]) * scale
    x0 = min(float(c.x[0]) for c in curves)
    x1 = max(max(float(c.x[-1]) for c in curves), x0 + 1e-3)
    bottom, top = min(0.0, float(finite.min())), float(finite.max())
    if bottom == 0 and finite.min() > 0.6 * top:  # a narrow band far from zero shows nothing if drawn from zero
        bottom = float(finite.min()) - 0.1 * (top - float(finite.min()))
    ticks = nice_ticks(bottom, top if top > bottom else bottom + 1)
    bottom, top = min(bottom, ticks[0]), max(top, ticks[-1])

    def px(x: float) -> float:
        return _LEFT + (x - x0) / (x1 - x0) * (_WIDTH - _LEFT - _RIGHT)

    def py(y: float) -> float:
        return _TOP + (top - y) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">']
    for tick in ticks:
        y = py(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in nice_ticks(x0, x1, about=6):
        if x0 <= tick <= x1 + 1e-9:
            parts.append(f'<text class="tick" x="{px(tick):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{_tick(tick)} s</text>')
    for curve in curves:
        path = _path(*_thinned(curve.x, curve.y * scale), px, py)
        parts.append(f'<path class="line {curve.colour}" d="{path}"><title>{escape(curve.name)}</title></path>')
    return "".join(parts) + "</svg>"


def draw_strip(marks: Sequence[Mark], source: float, *, label: str) -> str:
    """An SVG of means and intervals, one line a method, on one scale, with a tick where the source lies (NaN: none)."""
    shown = [m for m in marks if math.isfinite(m.mean)]
    values = [v for m in shown for v in (m.mean, m.low, m.high) if math.isfinite(v)] + ([source] if math.isfinite(source) else [])
    if not shown or not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span
    step, width = 12, 180
    height = step * len(marks) + 6

    def px(value: float) -> float:
        return 4 + (value - low) / (high - low) * (width - 8)

    parts = [f'<svg class="strip" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">']
    if math.isfinite(source):
        parts.append(f'<line class="own" x1="{px(source):.1f}" x2="{px(source):.1f}" y1="0" y2="{height}"/>')
    for k, mark in enumerate(marks):
        y = 3 + step * (k + 0.5)
        if not math.isfinite(mark.mean):
            continue
        if math.isfinite(mark.low):
            parts.append(
                f'<line class="whisker {mark.colour}" x1="{px(mark.low):.1f}" x2="{px(mark.high):.1f}" y1="{y}" y2="{y}"/>'
            )
        parts.append(
            f'<circle class="dot {mark.colour}" cx="{px(mark.mean):.1f}" cy="{y}" r="3.6"><title>{escape(mark.name)}</title>'
        )
        parts.append("</circle>")
    return "".join(parts) + "</svg>"


def nice_ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Round numbers from `low` or below to `high` or above, about so many."""
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def number(value: float) -> str:
    """Three significant digits without an exponent, with a true minus sign."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < 5e-5:
        return "0" if abs(value) < 1e-9 else "≈0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-9))
    text = f"{value:.{min(digits, 8)}f}"
    if "." in text and abs(value) < 1e4:
        text = text.rstrip("0").rstrip(".") if float(text) == round(value) and abs(value) >= 100 else text
    return text.replace("-", "−")


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(x) <= POINTS:
        return x, y
    edges = np.linspace(0, len(x), POINTS + 1).round().astype(int)
    rows = []
    for a, b in zip(edges, edges[1:]):
        part = y[a:b]
        rows.append(a + (int(np.nanargmax(part)) if np.isfinite(part).any() else 0))
    return x[rows], y[rows]


def _path(x: np.ndarray, y: np.ndarray, px, py) -> str:
    commands, pen_down = [], False
    for a, b in zip(x.tolist(), y.tolist()):
        if not math.isfinite(b):
            pen_down = False
            continue
        commands.append(f"{'L' if pen_down else 'M'}{px(a):.1f} {py(b):.1f}")
        pen_down = True
    return "".join(commands)
