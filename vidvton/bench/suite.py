"""What a suite compares: sets of cases and methods, as `configs/bench/*.yaml` give them. Paths are from the working directory."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ..config import Strict
from ..synth.scene import check_size
from .clip import MAX_SIDE


class StudioSet(Strict):
    """Clips made on the fly, with exact truth: the source wears another garment of the same category than the truth."""

    name: str = "studio"
    seed: int = Field(900_000, ge=0)
    """Of everything random. Seeds from 900000 up are held out: no training configuration of this repository uses them."""
    clips: int = Field(8, ge=1)
    frames: int = Field(48, ge=2)
    size: tuple[int, int] = (384, 288)
    """(height, width) in pixels."""
    motion: str | None = None
    garment: str | None = None

    @field_validator("size")
    @classmethod
    def _size_is_possible(cls, size: tuple[int, int]) -> tuple[int, int]:
        try:
            check_size(size)
        except Exception as error:
            raise ValueError(str(error)) from error
        return size


class ClipPair(Strict):
    """A real clip, the garment to be worn, and what is known besides."""

    clip: str
    garment: str | None = None
    category: Literal["upper", "lower", "full"] | None = None
    region: str | None = None
    truth: str | None = None


class ClipSet(Strict):
    """Real clips: those of `pairs`, and every clip of `folder` with the garment picture of `garments` that bears its name, or
    with `garment`."""

    name: str = "clips"
    folder: str | None = None
    garments: str | None = None
    garment: str | None = None
    category: Literal["upper", "lower", "full"] | None = None
    pairs: tuple[ClipPair, ...] = ()

    @model_validator(mode="after")
    def _something_is_there(self) -> ClipSet:
        if not self.pairs and self.folder is None:
            raise ValueError("expected pairs or a folder of clips")
        return self


class VividSet(Strict):
    """A folder laid out like ViViD's (or like `vidvton synth` writes): upper_body, lower_body, dresses, or one of them."""

    name: str = "vivid"
    folder: str
    limit: int = Field(0, ge=0)
    """Most clips taken, in the order of their names; 0 takes all."""


class Method(Strict):
    """One way of dressing. `render` runs `vidvton render` with `settings` (as in configs/render/*.yaml); `paste` pastes the
    garment onto every frame by itself; `folder` takes finished clips, paired by name; `truth` is the truth itself where a case
    has one, measured as an output: what a perfect method would score. It takes no rank."""

    name: str
    kind: Literal["render", "paste", "folder", "truth"] = "render"
    detail: str = ""
    settings: dict[str, Any] = {}
    folder: str | None = None
    pattern: str = "{case}"
    """Name without suffix of a finished clip; {case}, {clip} and {garment} stand for those names."""
    window: int = Field(0, ge=0)
    """Frames of a generator's windows, for the seam score; 0 where there are none."""
    overlap: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Method:
        if (self.kind == "folder") != (self.folder is not None):
            raise ValueError(
                f"method {self.name!r} of kind {self.kind} {'needs' if self.kind == 'folder' else 'takes no'} folder"
            )
        if self.window and self.overlap >= self.window:
            raise ValueError(f"method {self.name!r} has windows of {self.window} frames overlapping by {self.overlap}")
        if not re.fullmatch(r"[\w .,+()@=-]{1,60}", self.name) or self.name in ("source", "truth"):
            raise ValueError(
                f"method name {self.name!r} cannot be used; take letters, digits, spaces and .,+()@=- (not source, truth)"
            )
        return self


class MeasureSettings(Strict):
    """How every clip is measured."""

    metrics: tuple[str, ...] = ()
    """Names of the table; none takes all that need no weights, "all" every one."""
    weights: dict[str, str] = {}
    """Files of weights by their keys."""
    max_side: int = Field(MAX_SIDE, ge=32, le=8192)
    """Longer side in pixels at which clips are measured."""
    controls: bool = True
    pictures: bool = True


class Suite(Strict):
    """Cases times methods."""

    title: str = "Flicker benchmark"
    studio: tuple[StudioSet, ...] = ()
    clips: tuple[ClipSet, ...] = ()
    vivid: tuple[VividSet, ...] = ()
    methods: tuple[Method, ...]
    model: str | None = None
    """Folder of the trained model of every diffusion method that names none; None takes the one that ships."""
    measure: MeasureSettings = MeasureSettings()
    workers: int = Field(0, ge=0)
    """Processes side by side; 0 is one per processor."""

    @model_validator(mode="after")
    def _names_differ(self) -> Suite:
        sets = [s.name for s in (*self.studio, *self.clips, *self.vivid)]
        for what, names in (("methods", [m.name for m in self.methods]), ("sets of cases", sets)):
            if not names:
                raise ValueError(f"there are no {what}; give at least one")
            double = next((n for n in names if names.count(n) > 1), None)
            if double is not None:
                raise ValueError(f"two {what} are called {double!r}; give each its own name")
        return self

    def with_model(self) -> Suite:
        """The same with `model` put into the settings of the diffusion methods that name none."""
        if self.model is None:
            return self
        methods = []
        for method in self.methods:
            mine = method.settings.get("diffusion", {})
            if method.settings.get("engine") == "diffusion" and isinstance(mine, dict) and not mine.get("model"):
                method = method.model_copy(update={"settings": {**method.settings, "diffusion": {**mine, "model": self.model}}})
            methods.append(method)
        return self.model_copy(update={"methods": tuple(methods)})
