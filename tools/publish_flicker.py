#!/usr/bin/env python
"""Puts the tables of a finished suite into docs/flicker.md, between its two markers.

.venv/bin/python -m vidvton bench run configs/bench/full.yaml -o OUT
.venv/bin/python tools/publish_flicker.py OUT
"""

import argparse
from pathlib import Path

from vidvton.bench.results import read_result
from vidvton.bench.view import PLACES, failure_rows, show_sets

BEGIN, END = "<!-- table: tools/publish_flicker.py -->", "<!-- end of table -->"


def tables(result) -> list[str]:
    """The summary of each set, the controls' verdict, the agreement of flows, what failed, and how it was made."""
    lines = []
    for shown in show_sets(result):
        lines += [f"### {shown.name}: {shown.clips} {'clip' if shown.clips == 1 else 'clips'}", ""]
        lines += [
            "| metric | place, unit | source | " + " | ".join(shown.methods) + " |",
            "|---|---|---|" + "---|" * len(shown.methods),
        ]
        for row in shown.headline:
            cells = {cell.method: cell for cell in row.cells}
            texts = []
            for method in shown.methods:
                cell = cells.get(method)
                spread = f" ({cell.interval})" if cell is not None and cell.interval else ""
                rank = f", rank {cell.rank}" if cell is not None and cell.rank else ""
                texts.append("-" if cell is None else f"{'**' * cell.first}{cell.value}{'**' * cell.first}{spread}{rank}")
            place = ", ".join(filter(None, (row.place, row.unit)))
            lines.append(f"| {row.metric.title} {row.arrow} | {place} | {row.source} | " + " | ".join(texts) + " |")
        if shown.ranks:
            lines += ["", "Mean rank: " + ", ".join(f"{m} {mean} ({firsts})" for m, mean, firsts in shown.ranks) + "."]
        failed = len(shown.warnings)
        lines += ["", f"Controls: {len(shown.checks) - failed} of {len(shown.checks)} checks moved as they must."]
        lines += [f"- {line}" for line in shown.warnings]
        for a in shown.agreements:
            lines.append(
                f"- Warping error by DIS flow against exact flow, {PLACES[a.where]}, {a.count} clips of all methods and the "
                f"source: correlation {a.pearson:.3f}, of logarithms {a.of_logs:.3f}, of ranks {a.spearman:.3f}."
            )
        lines.append("")
    if result.failures:
        lines += ["### What failed", "", "| methods | clips | why |", "|---|---|---|"]
        lines += [f"| {row.method} | {len(row.cases)} | {row.sentence} |" for row in failure_rows(result)] + [""]
    made = result.provenance
    versions = ", ".join(f"{k} {v}" for k, v in made["versions"].items())
    return [*lines, f"Made by `{' '.join(made['command'])}` with {versions}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the finished suite")
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs" / "flicker.md")
    args = parser.parse_args()
    before, rest = args.page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    text = "\n".join([BEGIN, "", *tables(read_result(args.out / "result.json")), "", END])
    args.page.write_text(before + text + after, encoding="utf-8")


if __name__ == "__main__":
    main()
