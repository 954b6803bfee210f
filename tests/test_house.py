"""The rules of the house (CONTRIBUTING.md), held by reading the source: floors, walls, names, sizes, import times."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vidvton"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"values", "frames", "config", "errors", "progress", "smoothing", "workers", "allocator", "whole"}
ROOMS = {"media", "people", "garment", "warp", "models", "diffusion", "metrics", "synth", "crops"}
SEEING = {"analysis"}  # what both prepare and an engine stand on
MEETING = {"prepare", "tryon", "studio", "collate", "worn"}
USES = {"render", "train", "bench"}
DOOR = {"cli", "__main__", "doctor", "terminal", "pipeline"}
FLOORS = {name: floor for floor, names in enumerate((GROUND, ROOMS, SEEING, MEETING, USES, DOOR)) for name in names}

# Library -> the places it may be imported in: a room, or one module.
WALLS = {
    "av": ("media",),
    "decord": ("media",),
    "PIL": ("media", "render.sheet", "garment.sheet", "people.draw", "train.plot", "train.strip"),
    "mediapipe": ("people.mediapipe_*",),
    "cv2": (
        "media.images",
        "people",
        "garment",
        "warp",
        "synth",
        "metrics.flow",
        "metrics.sift",
        "analysis",
        "crops",
        "render.composite",
        "render.steady",
        "render.detail",
        "render.conditions",
    ),
    "accelerate": ("train",),
    "xformers": ("models.attention",),
    "diffusers": ("diffusion", "models.bundle", "models.unet", "pipeline"),
    "einops": ("models",),
    "yaml": ("config",),
    "pydantic": ("config", "render.settings", "models.config", "train.config", "train.prepare_settings", "bench.suite"),
    "typer": ("cli",),
    "rich": ("cli", "terminal"),
    "jinja2": ("bench.report",),
    "torchvision": (),
    "matplotlib": (),
    "jax": (),
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "manager", "handler", "handlers"}
SOFT_LINES, HARD_LINES = 400, 450


def parts_of(path: Path) -> tuple[str, ...]:
    """("people", "track") of vidvton/people/track.py; ("media",) of vidvton/media/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@cache
def imports_of(path: Path) -> list[tuple[str, int]]:
    """(absolute dotted module, line) of every import anywhere in a file, relative ones resolved, type-checking ones too."""
    package = ("vidvton", *path.relative_to(PACKAGE).parent.parts)
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            full = ".".join(filter(None, [stem, node.module or ""]))
            if node.module is None or full == "vidvton":
                found += [(f"{full}.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((full, node.lineno))
    return found


def place_of(path: Path) -> str:
    return ".".join(parts_of(path)) or "vidvton"


def allowed(place: str, homes: tuple[str, ...]) -> bool:
    for home in homes:
        if place == home or place.startswith(f"{home}.") or (home.endswith("*") and place.startswith(home[:-1])):
            return True
    return False


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_a_module_imports_its_own_room_or_a_lower_floor(path):
    parts = parts_of(path)
    if not parts:  # vidvton/__init__.py stands below everything
        assert not imports_of(path)
        return
    room = parts[0]
    assert room in FLOORS, f"{room} stands on no floor; give it one in this test and in CONTRIBUTING.md"
    for module, line in imports_of(path):
        if not module.startswith("vidvton."):
            continue
        other = module.split(".")[1]
        if other == room or other == "__version__":
            continue
        assert other in FLOORS, f"{path.name}:{line} imports {module}, which stands on no floor"
        same_ground = FLOORS[room] == FLOORS[other] and FLOORS[room] in (0, 5)
        assert FLOORS[other] < FLOORS[room] or same_ground, f"{path.name}:{line} imports {module}: sideways or upwards"


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_libraries_stay_behind_their_walls(path):
    for module, line in imports_of(path):
        library = module.split(".")[0]
        if library in WALLS:
            homes = WALLS[library]
            assert allowed(place_of(path), homes), f"{place_of(path)}:{line} imports {library}, allowed in {homes}"


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_modules_have_telling_names_and_moderate_length(path):
    assert not set(parts_of(path)) & FORBIDDEN_NAMES
    lines = len(text_of(path).splitlines())
    if lines > SOFT_LINES:
        warnings.warn(f"{place_of(path)} has {lines} lines; split it at about {SOFT_LINES}", stacklevel=1)
    assert lines <= HARD_LINES, f"{place_of(path)} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_libraries_do_not_print_and_modules_say_what_they_are(path):
    tree = tree_of(path)
    if text_of(path).strip():
        assert ast.get_docstring(tree), f"{place_of(path)} has no docstring"
    if parts_of(path)[:1] in (("cli",), ("terminal",)):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "breakpoint", "input"), f"{place_of(path)}:{node.lineno} calls {node.func.id}"


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_no_pickles_no_loose_loads_no_bare_excepts(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{place_of(path)}:{node.lineno} has a bare except"
        if isinstance(node, ast.Call) and "load" in ast.unparse(node.func):
            loose = [k for k in node.keywords if k.arg == "strict" and ast.unparse(k.value) == "False"]
            assert not loose, f"{place_of(path)}:{node.lineno} loads weights with strict=False"
    assert not {module for module, _ in imports_of(path)} & {"pickle", "dill", "joblib", "shelve"}


def test_importing_the_package_and_the_command_line_is_light():
    code = (
        "import sys, vidvton, vidvton.cli\n"
        "try: vidvton.cli.main(['render', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'av', 'numpy', 'scipy', 'PIL', 'yaml', 'rich', 'jax', 'diffusers'}\n"
        "loaded = sorted(heavy & set(sys.modules))\n"
        "sys.exit(f'help imports {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--garment" in done.stdout


def test_the_licence_is_there_and_is_the_one_declared():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_no_media_weights_or_large_files_are_tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    third_party = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tflite", ".onnx"}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        ours = name == "examples/clip.mp4"  # made by tools/make_example.py, not filmed
        assert ours or path.suffix.lower() not in third_party, name
        assert not path.exists() or path.stat().st_size < 1 << 20, f"{name} is larger than a mebibyte"


def test_scripts_are_executable():
    for name in ("tools/vidvton", "tools/test", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), name


def test_one_off_tools_stay_small():
    for path in (ROOT / "tools").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 150, path.name
