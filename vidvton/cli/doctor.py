"""`vidvton doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..errors import VidvtonError
from .shell import app


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON [default: off]")] = False) -> None:
    """Check this installation: versions, devices, codecs, models, and known traps. Exit code 1 if something needed is broken."""
    from ..doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:<7} {finding.name:<20} {finding.text}")
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        raise VidvtonError(f"this installation is broken: {', '.join(broken)}; see the lines above")
