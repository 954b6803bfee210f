"""Every command README prints runs as printed.

A fenced block of README is run where its language is `bash` or `sh` or its first line is `$ ...`; every line in it that calls
`vidvton` or `tools/vidvton` is carried out, in order, in one folder that holds a file for each input the commands name (a film of
a person for clips, a portrait for pictures called person, photo, portrait or me, else a garment). Other lines that call a script
of tools/ are only checked for its presence. A block after the comment `<!-- not run: REASON -->` is left out.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import ready

sys.path.insert(0, str(Path(__file__).parent / "render"))
from tinting import make_clip, make_skirt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?P<skip><!-- not run: .+? -->\s*)?^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S
)
CLIPS, PICTURES = (".mp4", ".mov", ".mkv", ".webm"), (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]

    @property
    def inputs(self) -> list[str]:
        """The files the command reads: everything that looks like a clip or picture and is not written."""
        written = {self.words[i + 1] for i, w in enumerate(self.words[:-1]) if w in ("-o", "--output", "--report", "--work")}
        return [w for w in self.words if w.endswith((*CLIPS, *PICTURES)) and w not in written]


def commands_in(text: str) -> list[Command]:
    """The commands of all runnable blocks, comments and prompts taken off, continued lines joined."""
    found = []
    for block in BLOCK.finditer(text):
        body = block["body"]
        if block["skip"] or not (block["language"] in ("bash", "sh", "console") or body.lstrip().startswith("$ ")):
            continue
        for line in re.sub(r"\\\n\s*", " ", body).splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and (words[0] in ("vidvton", "tools/vidvton") or words[0].startswith("tools/")):
                found.append(Command(tuple(words)))
    return found


def test_commands_are_found_where_they_stand():
    text = (
        "```bash\ntools/vidvton render a.mp4 \\\n  --garment b.png -o c.mp4  # dressed\ntools/test\n```\n"
        "<!-- not run: needs a GPU -->\n```bash\nvidvton train x.yaml\n```\n"
        "```python\nvidvton render\n```\n```\n$ vidvton doctor\nok\n```\n"
    )
    commands = commands_in(text)
    assert [c.words[:2] for c in commands] == [("tools/vidvton", "render"), ("tools/test",), ("vidvton", "doctor")]
    assert commands[0].inputs == ["a.mp4", "b.png"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with every input the README's commands name, and with its configurations."""
    folder = tmp_path_factory.mktemp("readme")
    for name in {name for command in commands_in(README) for name in command.inputs}:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(CLIPS):
            film(path)
        elif is_person(name):
            portrait(path)
        else:
            make_skirt(path)
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


def is_person(name: str) -> bool:
    return any(word in Path(name).stem for word in ("person", "photo", "portrait", "me"))


def photo():
    """A real photo of a person, which is installed with matplotlib (mediapipe brings it)."""
    import importlib.util

    from PIL import Image

    spec = importlib.util.find_spec("matplotlib")
    path = Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    return Image.open(path).convert("RGB").resize((192, 224))


def portrait(path: Path) -> None:
    photo().save(path)


def film(path: Path) -> None:
    """The photo, moving a little, for eight frames."""
    import av
    import numpy as np

    picture = np.asarray(photo())
    with av.open(str(path), "w") as box:
        stream = box.add_stream("libx264", rate=25, width=192, height=224)
        stream.pix_fmt = "yuv420p"
        for step in range(8):
            box.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, step // 3, axis=1), format="rgb24")))
        box.mux(stream.encode(None))


@pytest.mark.parametrize("command", commands_in(README), ids=lambda c: " ".join(c.words)[:60])
def test_every_command_of_the_readme_runs(command, desk):
    name, *arguments = command.words
    if name not in ("vidvton", "tools/vidvton"):
        assert os.access(ROOT / name, os.X_OK), f"README calls {name}, which is not there or not executable"
        return
    done = ready.run(arguments, desk)
    assert done.returncode == 0, done.stderr
    for flag in ("-o", "--output"):
        if flag in arguments and not {"--dry-run", "--preview"} & set(arguments):
            assert (desk / arguments[arguments.index(flag) + 1]).exists()


def test_the_helper_media_are_what_they_should_be(tmp_path):
    make_clip(tmp_path / "a.mkv", 2)
    film(tmp_path / "b.mp4")
    portrait(tmp_path / "c.jpg")
    assert all((tmp_path / name).stat().st_size > 500 for name in ("a.mkv", "b.mp4", "c.jpg"))
