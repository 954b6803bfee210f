"""Is this installation sound? Versions, devices, codecs, models, and the traps that a resolver's yes does not show."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from . import __version__

IMPORTS = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "pillow": "PIL",
    "av": "av",
    "decord2": "decord",
    "opencv-python": "cv2",
    "mediapipe": "mediapipe",
    "einops": "einops",
    "safetensors": "safetensors",
    "diffusers": "diffusers",
    "accelerate": "accelerate",
    "typer": "typer",
    "rich": "rich",
    "pydantic": "pydantic",
    "pyyaml": "yaml",
    "jinja2": "jinja2",
}
"""Distributions a user needs, and the module each one brings."""

MODELS = (
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
    "pose_landmark/pose_landmark_cpu.binarypb",
    "selfie_segmentation/selfie_segmentation.tflite",
    "selfie_segmentation/selfie_segmentation_cpu.binarypb",
)
"""Model files of MediaPipe's wheel, under `mediapipe/modules`, without which nobody is found."""

ENCODERS = {"libx264": True, "libx265": False, "libvpx-vp9": False, "ffv1": False}
"""Encoders of PyAV's FFmpeg, and whether a render needs them by default."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination. `state` is ok, note (works, worth knowing) or broken (something needed does not work)."""

    name: str
    state: str
    text: str


def examine() -> list[Finding]:
    """Everything the doctor looks at, in order. Imports the heavy libraries, so it takes some seconds."""
    installed = installed_versions()
    findings = [Finding("vidvton", "ok", __version__), check_python(sys.version_info[:3])]
    findings += check_packages(installed, metadata.requires("vidvton") or [])
    findings += [check_cv2(installed), check_torchvision(installed), check_xformers(installed)]
    findings += check_models(_modules_of_mediapipe())
    findings += check_encoders()
    findings += list(_devices())
    return findings


def installed_versions() -> dict[str, str]:
    """Name (lower case) to version of everything installed."""
    names = ((d.metadata["Name"], d.version) for d in metadata.distributions())
    return {name.lower().replace("_", "-"): version for name, version in names if name}


def check_python(version: tuple[int, ...]) -> Finding:
    text = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    sound = (3, 11) <= version[:2] < (3, 13)
    return Finding("python", "ok" if sound else "broken", text if sound else f"{text}, expected 3.11 or 3.12")


def check_packages(installed: Mapping[str, str], requirements: list[str]) -> list[Finding]:
    """One finding per needed package: there, in range (`requirements` as in the metadata of vidvton), and importable."""
    ranges = _ranges(requirements)
    findings = []
    for name, module in IMPORTS.items():
        version = installed.get(name)
        if version is None:
            findings.append(Finding(name, "broken", "missing; run tools/vidvton or pip install -e . again"))
        elif name in ranges and not ranges[name].contains(version, prereleases=True):
            findings.append(Finding(name, "broken", f"{version}, expected {ranges[name]}; run pip install -e . again"))
        else:
            problem = _import_problem(module)
            text = f"{version} does not import: {problem}" if problem else version
            findings.append(Finding(name, "broken" if problem else "ok", text))
    return findings


def check_cv2(installed: Mapping[str, str]) -> Finding:
    """The OpenCV wheels share files, and the one installed last wins: they must be of one version, and none headless."""
    wheels = {name: version for name, version in installed.items() if name.startswith("opencv-")}
    text = ", ".join(f"{name} {version}" for name, version in sorted(wheels.items())) or "none"
    if any("headless" in name for name in wheels):
        return Finding("cv2 wheels", "broken", f"{text}; they overwrite each other: uninstall all, install opencv-python")
    if len(set(wheels.values())) > 1:
        return Finding("cv2 wheels", "broken", f"{text}; they share files: install one version of both")
    return Finding("cv2 wheels", "ok" if wheels else "broken", text)


def check_torchvision(installed: Mapping[str, str]) -> Finding:
    """torchvision is not used; a CUDA build of it beside a CPU torch breaks other packages' imports."""
    version = installed.get("torchvision")
    if version is None:
        return Finding("torchvision", "ok", "not installed, not needed")
    problem = _import_problem("torchvision")
    if problem:
        text = f"{version} does not import beside torch {installed.get('torch')}; uninstall it, nothing here needs it"
        return Finding("torchvision", "broken", text)
    return Finding("torchvision", "note", f"{version} installed; nothing here needs it")


def check_xformers(installed: Mapping[str, str], requires: list[str] | None = None) -> Finding:
    """xformers is optional; each of its builds fits exactly one torch."""
    version = installed.get("xformers")
    if version is None:
        return Finding("xformers", "ok", "not installed, optional")
    requires = requires if requires is not None else metadata.requires("xformers") or []
    wanted, torch = _ranges(requires).get("torch"), installed.get("torch", "missing")
    if torch == "missing" or (wanted is not None and not wanted.contains(torch.split("+")[0], prereleases=True)):
        text = f"{version} wants torch{wanted or ''} but {torch} is there; uninstall it or install the build for this torch"
        return Finding("xformers", "note", text)
    return Finding("xformers", "ok", f"{version} (used on CUDA only, when asked for)")


def check_models(modules: Path | None) -> list[Finding]:
    """MediaPipe's model files under `modules`; they come with its wheel."""
    if modules is None:
        return [Finding("models", "broken", "mediapipe is not installed, so its models are missing")]
    missing = [model for model in MODELS if not (modules / model).is_file() or (modules / model).stat().st_size == 0]
    if missing:
        text = f"missing in {modules}: {', '.join(missing)}; run pip install --force-reinstall mediapipe==0.10.21"
        return [Finding("models", "broken", text)]
    return [Finding("models", "ok", f"pose and person segmentation of MediaPipe ({len(MODELS)} files)")]


def check_encoders() -> list[Finding]:
    """Which encoders PyAV's FFmpeg brings."""
    try:
        av = importlib.import_module("av")
    except Exception as error:
        return [Finding("encoders", "broken", f"PyAV does not import: {error}")]
    findings = []
    for name, needed in ENCODERS.items():
        try:
            av.Codec(name, "w")
            findings.append(Finding(f"encoder {name}", "ok", "there"))
        except Exception:
            findings.append(Finding(f"encoder {name}", "broken" if needed else "note", "missing in this build of PyAV"))
    return findings


def _devices() -> Iterator[Finding]:
    yield Finding("cpu", "ok", f"{len(os.sched_getaffinity(0))} cores usable of {os.cpu_count()}")
    disk = shutil.disk_usage(Path.cwd())
    yield Finding("disk", "ok" if disk.free > 1 << 30 else "note", f"{disk.free / (1 << 30):.1f} GiB free here")
    try:
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                yield Finding(f"cuda:{index}", "ok", torch.cuda.get_device_name(index))
        else:
            yield Finding("cuda", "ok", "none; renders run on the CPU")
    except Exception as error:
        yield Finding("cuda", "broken", f"torch does not import: {_sentence(error)}")


def _modules_of_mediapipe() -> Path | None:
    spec = importlib.util.find_spec("mediapipe")
    return Path(spec.origin).parent / "modules" if spec is not None and spec.origin else None


def _import_problem(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken binary raises anything
        return _sentence(error)
    return None


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"


def _ranges(requirements: list[str]) -> dict[str, object]:
    """Name to version range of the unconditional requirements; empty where `packaging` (accelerate brings it) is missing."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return {}
    parsed = (Requirement(text) for text in requirements)
    return {r.name.lower(): r.specifier for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})}
