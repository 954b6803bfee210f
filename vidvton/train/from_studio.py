"""Training data out of nothing: the studio makes clips and they are prepared like any other data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..progress import Note, Progress
from ..studio import SetPlan, make_dataset
from .prepare_set import prepare_set
from .prepare_settings import PrepareSettings


def from_studio(
    out: Path, plan: SetPlan, *, clips: int, size: tuple[int, int] | None = None, workers: int = 0, bad_share: float = 0.2
) -> Iterator[Progress | Note]:
    """Makes `clips` clips of `plan` in OUT/clips and prepares them into OUT/set at (height, width) `size` (None: the clips'),
    which `dataset.open_dataset` opens; what stands already is kept. Errors as `studio.make_dataset` and `prepare_set`."""
    clips_folder, set_folder = studio_folders(out)
    yield from make_dataset(clips_folder, plan, clips=clips, workers=workers)
    settings = PrepareSettings(
        layout="studio", size=size or plan.size, longest=max(plan.frames, 1), shortest=min(8, plan.frames), bad_share=bad_share
    )
    yield from prepare_set(clips_folder, set_folder, settings, workers=workers)


def studio_folders(out: Path) -> tuple[Path, Path]:
    """Where `from_studio` puts the clips as made, and the set to train on."""
    return out / "clips", out / "set"
