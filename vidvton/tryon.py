"""Model and sampler on conditions: frames. Short clips in memory (`generate`), long ones by way of the disk (`TryOn`).

On disk lies a state per window and step, and nothing else is held: memory does not grow with the clip, and a run that was killed
goes on with the window it was at and gives the same frames. Files are read and written whole, never mapped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load, save
from torch import Tensor

from .diffusion.augment import augment
from .diffusion.guidance import guide, terms
from .diffusion.noise import clip_noise
from .diffusion.precondition import Denoise, Prediction, clip, inpaint, precondition
from .diffusion.sample import Memory, Sampler, SamplerName, begin
from .diffusion.schedule import Schedule
from .diffusion.windows import WindowPlan, plan_windows, windowed
from .errors import VidvtonError
from .frames import to_uint8
from .models.person_features import PersonFeatures
from .progress import Progress
from .values import GROUPS, Conditioning


class Predicting(Protocol):
    """The part of a model's configuration that matters here."""

    prediction: Prediction


class Network(Protocol):
    """What is asked of a model (`models.unet.TryOnUNet` is one). What `encode` returns is a flat dataclass of tensors (or None)
    with a `window(start, stop)`."""

    @property
    def config(self) -> Predicting: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def encode(self, conditioning: Conditioning) -> Any: ...

    def predict(self, x: Tensor, noise_level: Tensor, encoded: Any) -> Tensor: ...


@dataclass(frozen=True)
class Sampling:
    """How frames are sampled.

    `strength` 0-1 is the noise level at which a run starts from its start frames (1: pure noise, no start frames); `weights` are
    those of split guidance, nothing first, then each group of `order`; `window` frames are sampled at once, sharing `overlap`
    with the next; `augmentation` 0-1 is the level of the noise on what the network is shown.
    """

    steps: int = 8
    sampler: SamplerName = "dpm++"
    strength: float = 1.0
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    order: tuple[str, ...] = GROUPS
    seed: int = 0
    window: int = 64
    overlap: int = 16
    augmentation: float = 0.0

    def solver(self, size: tuple[int, int]) -> Sampler:
        """The sampler for frames of (height, width) `size`."""
        return Sampler(self.sampler, Schedule.for_size(size).sigmas(self.steps, strength=self.strength))

    def plan(self, frames: int) -> WindowPlan:
        """The windows of a clip."""
        return plan_windows(frames, self.window, min(self.overlap, self.window - 1))

    @property
    def givens(self) -> tuple[tuple[str, ...], ...]:
        """The sets of groups that guidance asks for, each once."""
        return tuple(term.given for term in terms(self.weights, self.order))


class Source(Protocol):
    """Gives one clip's conditions, any span at any time: `conditioning` (B = 1) and `beginning` [1, T, 3, H, W] -1 to 1, the
    frames that a run with a strength under 1 starts from."""

    def conditioning(self, start: int, stop: int) -> Conditioning: ...

    def beginning(self, start: int, stop: int) -> Tensor: ...


EncodedOf = Callable[[tuple[str, ...]], Any]


def denoiser(model: Network, encoded_of: EncodedOf, sampling: Sampling, conditioning: Conditioning) -> Denoise:
    """The guided estimate of `model` for one window, held to -1..1 and, where nothing is to be generated, to the given frames.

    `encoded_of(given)` is what the model's encoders say when those groups are given.
    """

    def denoise_given(x: Tensor, sigma: Tensor, given: tuple[str, ...]) -> Tensor:
        encoded = encoded_of(given)

        def predict(noisy: Tensor, level: Tensor) -> Tensor:
            return model.predict(noisy.to(model.dtype), level, encoded).float()

        return precondition(predict, model.config.prediction)(x, sigma)

    known = conditioning.agnostic.float().to(model.device) * 2 - 1
    # A pixel on the region's edge holds some of the grey, so it is the network's as a whole.
    region = (conditioning.region > 0).to(known)
    return inpaint(clip(guide(denoise_given, sampling.weights, sampling.order)), known, region)


def encode(model: Network, conditioning: Conditioning, given: tuple[str, ...], person: PersonFeatures | None = None) -> Any:
    """What the encoders of `model` say of `conditioning` with the groups `given` alone; `person` are features tuned to the person
    of these very frames."""
    withheld = tuple(name for name in GROUPS if name not in given)
    encoded = model.encode(conditioning.to(model.device, model.dtype).drop(withheld))
    if person is None or "person" not in given:
        return encoded
    return encoded.with_person_features(person.offsets().to(model.device))


@torch.inference_mode()
def generate(
    model: Network,
    conditioning: Conditioning,
    sampling: Sampling,
    *,
    start: Tensor | None = None,
    first_frame: int = 0,
    person: PersonFeatures | None = None,
) -> Iterator[Tensor]:
    """Frames [B, T, 3, H, W] float32 0-1 after each step, in memory; the last are the result.

    `start` [B, T, 3, H, W] -1 to 1 is what a run with `sampling.strength` under 1 starts from (None: the warped garment over the
    agnostic frames). Noise is that of frames `first_frame` onwards. `person` as in `encode`. VidvtonError where memory runs out.
    """
    with memory_told(sampling):
        batch, frames, size = len(conditioning.agnostic), conditioning.num_frames, conditioning.size
        conditioning = augmented(conditioning, sampling, first_frame)
        encoded = {given: encode(model, conditioning, given, person) for given in sampling.givens}

        def of_window(a: int, b: int) -> Denoise:
            return denoiser(model, lambda given: encoded[given].window(a, b), sampling, conditioning.window(a, b))

        denoise = windowed(of_window, sampling.plan(frames))
        solver = sampling.solver(size)
        noise = clip_noise(sampling.seed, first_frame, first_frame + frames, (3, *size)).expand(batch, -1, -1, -1, -1)
        start = warp_start(conditioning) if start is None else start
        x, memory = begin(noise.to(model.device), solver.sigmas[0], start.to(model.device)), ()
        for index, sigma in enumerate(solver.sigmas):
            x, memory = solver.step(index, x, denoise(x, x.new_full((batch,), sigma)), memory)
            yield ((checked(x, index) + 1) / 2).clamp(0, 1).cpu()


def warp_start(conditioning: Conditioning) -> Tensor:
    """[B, T, 3, H, W] -1 to 1: the warped garment over the agnostic frames."""
    colour, alpha = conditioning.warped[:, :, :3].float(), conditioning.warped[:, :, 3:].float()
    return (conditioning.agnostic.float() * (1 - alpha) + colour) * 2 - 1


def augmented(conditioning: Conditioning, sampling: Sampling, first_frame: int) -> Conditioning:
    """`conditioning` with the noise that `sampling.augmentation` asks for."""
    level = torch.full((len(conditioning.agnostic),), sampling.augmentation)
    return augment(conditioning, level, [sampling.seed] * len(level), first_frame=first_frame)


def checked(x: Tensor, step: int) -> Tensor:
    """`x`, or VidvtonError where the model gave numbers that are none."""
    if not bool(torch.isfinite(x).all()):
        raise VidvtonError(
            f"the model gave values that are not numbers in step {step + 1}; its weights are damaged, or use --precision fp32"
        )
    return x


@contextmanager
def memory_told(sampling: Sampling) -> Iterator[None]:
    """Running out of memory as one sentence that names the option to change."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise VidvtonError(_memory_sentence(sampling)) from error
    except RuntimeError as error:
        if "memory" not in str(error).lower():
            raise
        raise VidvtonError(_memory_sentence(sampling)) from error


def _memory_sentence(sampling: Sampling) -> str:
    return f"windows of {sampling.window} frames need more memory than there is; give a smaller --window, or --precision bf16"


class TryOn:
    """Frames `span` (start, stop) of one shot sampled by way of `folder`, which nobody else may use and which belongs to this
    model, these conditions and this `sampling`. `person` are features tuned to the person of the clip, a row for every frame."""

    def __init__(
        self, source: Source, span: tuple[int, int], folder: Path, sampling: Sampling, *, person: PersonFeatures | None = None
    ) -> None:
        self._source, self._folder, self._sampling, self._person = source, folder, sampling, person
        self.start, self.stop = span
        self._plan = sampling.plan(self.stop - self.start)

    @property
    def done(self) -> bool:
        """Whether all frames are there."""
        return self._position() == (self._sampling.steps, 0)

    @torch.inference_mode()
    def run(self, model: Network) -> Iterator[Progress]:
        """Sample what is missing, window by window. Progress is in frames: a step over all of them is one N-th of N steps' work.
        VidvtonError where memory runs out or the model gives values that are no numbers."""
        if self.done:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with memory_told(self._sampling):
            features = _Features(self._folder / "features", model, self._sampling)
            person = None if self._person is None else self._person.window(self.start, self.stop)
            yield from features.fill(self._plan, self._conditions, person)
            yield from self._sample(model, features)
        shutil.rmtree(self._folder / "features", ignore_errors=True)

    def frames(self, start: int, stop: int) -> Tensor:
        """[T, 3, H, W] uint8: the finished frames `start` to `stop` of the clip."""
        last = self._sampling.steps - 1
        pieces = []
        for index in range(len(self._plan)):
            low, high = self._share(index)
            a, b = max(start - self.start, low), min(stop - self.start, high)
            if a < b:
                pieces.append(self._read(last, index)["x"][a - low : b - low])
        return torch.cat(pieces)

    def _sample(self, model: Network, features: _Features) -> Iterator[Progress]:
        first, window = self._position()
        steps, frames = self._sampling.steps, self.stop - self.start
        yield Progress("denoise", (first * frames + self._plan.spans[window][0]) // steps, frames)
        for step in range(first, steps):
            for index in range(window, len(self._plan)):
                self._advance(model, features, step, index)
                yield Progress("denoise", (step * frames + self._share(index)[1]) // steps, frames)
            window = 0

    def _advance(self, model: Network, features: _Features, step: int, index: int) -> None:
        """One window through one step: its estimate blended with what earlier windows left, its share of frames stepped on."""
        (start, stop), (_, end) = self._plan.spans[index], self._share(index)
        x, memory = self._noisy(step, index)
        conditioning = self._conditions(start, stop)
        denoise = denoiser(model, lambda given: features.of(index, given), self._sampling, conditioning)
        sigma = self._solver.sigmas[step]
        estimate = denoise(x.to(model.device), torch.full((1,), sigma, device=model.device)).cpu()
        blended = estimate * self._plan.weights(index)[:, None, None, None]
        if index:
            carry = load(self._carry(step, index - 1).read_bytes())["carry"][None]
            blended[:, : carry.shape[1]] += carry
        share = end - start
        x, memory = self._solver.step(step, x[:, :share], blended[:, :share], memory)
        checked(x, step)
        if step + 1 == self._sampling.steps:
            kept = {"x": to_uint8((x[0] + 1) / 2)}
        else:
            kept = {"x": x[0], **{f"memory{n}": m[0] for n, m in enumerate(memory)}}
        if index + 1 < len(self._plan):
            _write(self._carry(step, index), {"carry": blended[0, share:]})
        _write(self._path(step, index), kept)
        # From here on the window counts as done, and what it was made of is not asked for again.
        self._carry(step, index - 1).unlink(missing_ok=True)
        self._path(step - 1, index).unlink(missing_ok=True)

    def _noisy(self, step: int, index: int) -> tuple[Tensor, Memory]:
        """(x [1, T, 3, H, W] of window `index` before `step`, what the sampler remembers of the window's own share)."""
        start, stop = self._plan.spans[index]
        if step == 0:
            a, b = self.start + start, self.start + stop
            noise = clip_noise(self._sampling.seed, a, b, (3, *self._size))[None]
            sigma = self._solver.sigmas[0]
            return begin(noise, sigma, self._source.beginning(a, b) if sigma < 1 else None), ()
        own = self._read(step - 1, index)
        pieces, other = [own["x"]], index + 1
        while other < len(self._plan) and self._share(other)[0] < stop:
            pieces.append(self._read(step - 1, other)["x"])
            other += 1
        memory = tuple(own[f"memory{n}"][None] for n in range(self._solver.remembers) if f"memory{n}" in own)
        return torch.cat(pieces)[: stop - start][None], memory

    def _conditions(self, start: int, stop: int) -> Conditioning:
        """The conditions of frames `start` to `stop` of the span."""
        a, b = self.start + start, self.start + stop
        return augmented(self._source.conditioning(a, b), self._sampling, a)

    @cached_property
    def _size(self) -> tuple[int, int]:
        return self._source.conditioning(self.start, self.start + 1).size

    @cached_property
    def _solver(self) -> Sampler:
        return self._sampling.solver(self._size)

    def _share(self, index: int) -> tuple[int, int]:
        """The frames from window `index`'s start to the next one's: no later window sees them."""
        start = self._plan.spans[index][0]
        return start, self._plan.spans[index + 1][0] if index + 1 < len(self._plan) else self.stop - self.start

    def _position(self) -> tuple[int, int]:
        """(step, window) to do next."""
        for step in reversed(range(self._sampling.steps)):
            window = 0
            while window < len(self._plan) and self._path(step, window).exists():
                window += 1
            if window == len(self._plan):
                return step + 1, 0
            if window:
                return step, window
        return 0, 0

    def _path(self, step: int, index: int) -> Path:
        return self._folder / f"{step:04}-{index:06}.safetensors"

    def _carry(self, step: int, index: int) -> Path:
        """Where window `index` leaves its weighted estimates of the frames that it shares with the next."""
        return self._folder / f"{step:04}-{index:06}.carry"

    def _read(self, step: int, index: int) -> dict[str, Tensor]:
        return load(self._path(step, index).read_bytes())


class _Features:
    """What the encoders said of every window, computed once and kept: in memory for a single window, else on disk."""

    def __init__(self, folder: Path, model: Network, sampling: Sampling) -> None:
        self._folder, self._model, self._givens = folder, model, sampling.givens
        self._kind: Any = None
        self._held: dict[tuple[int, tuple[str, ...]], Any] = {}

    def fill(
        self, plan: WindowPlan, conditions: Callable[[int, int], Conditioning], person: PersonFeatures | None
    ) -> Iterator[Progress]:
        """Encode what is missing."""
        self._folder.mkdir(exist_ok=True)
        for index, (start, stop) in enumerate(plan):
            conditioning = None
            for given in self._givens:
                path = self._path(index, given)
                if path.exists() and self._kind is not None:
                    continue
                conditioning = conditions(start, stop) if conditioning is None else conditioning
                encoded = encode(self._model, conditioning, given, person and person.window(start, stop))
                self._kind = type(encoded)
                if len(plan) == 1:
                    self._held[index, given] = encoded
                elif not path.exists():
                    _write(path, _tensors(encoded))
            yield Progress("encode", stop, plan.num_frames)

    def of(self, index: int, given: tuple[str, ...]) -> Any:
        """The features of window `index` with the groups `given`."""
        if (index, given) in self._held:
            return self._held[index, given]
        stored = load(self._path(index, given).read_bytes())
        parts = {f.name: stored.get(f.name) for f in fields(self._kind)}
        return self._kind(**{name: None if part is None else part.to(self._model.device) for name, part in parts.items()})

    def _path(self, index: int, given: tuple[str, ...]) -> Path:
        return self._folder / f"{index:06}-{self._givens.index(given)}.safetensors"


def _tensors(encoded: Any) -> dict[str, Tensor]:
    """The tensors of a flat dataclass by field; what is None is left out."""
    parts = {f.name: getattr(encoded, f.name) for f in fields(encoded)}
    return {name: part.cpu() for name, part in parts.items() if part is not None}


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """A file that is whole or absent."""
    part = path.with_suffix(".part")
    part.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}))
    os.replace(part, path)
