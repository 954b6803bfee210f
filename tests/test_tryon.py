"""From conditions to frames: the way by the disk is the way in memory, kills change nothing, memory stays flat."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch

from vidvton import tryon
from vidvton.collate import FrameConditions, GarmentConditions, conditions
from vidvton.errors import VidvtonError
from vidvton.tryon import Sampling, TryOn, generate
from vidvton.values import LAYOUT_WORDS, POINTS, Conditioning

SIZE = (16, 12)


@dataclass(frozen=True)
class StandInEncoded:
    person: torch.Tensor
    garment: torch.Tensor
    nothing: torch.Tensor | None = None

    def window(self, start: int, stop: int) -> StandInEncoded:
        return replace(self, person=self.person[:, start:stop])


class StandIn:
    """A network of the right shape: frames mix with their neighbours in the window, so that windows matter."""

    config = SimpleNamespace(prediction="v")
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, *, fault_at: int | None = None, fault: type[BaseException] = KeyboardInterrupt) -> None:
        self.encoded = self.predicted = 0
        self.fault_at, self.fault = fault_at, fault

    def encode(self, c: Conditioning) -> StandInEncoded:
        self.encoded += 1
        nothing = None if bool(c.given.all()) else torch.ones(1)
        return StandInEncoded(c.agnostic + c.pose.mean((2, 3))[:, :, None, None, None], c.garments.mean((1, 2, 3, 4)), nothing)

    def predict(self, x, noise_level, encoded):
        self.predicted += 1
        if self.predicted == self.fault_at:
            raise self.fault("out of memory")
        mixed = x + 0.5 * x.roll(1, 1) * (torch.arange(x.shape[1]) > 0).reshape(1, -1, 1, 1, 1)
        return (
            torch.tanh(mixed * 0.4)
            + encoded.person * 0.3
            - encoded.garment.reshape(-1, 1, 1, 1, 1) * noise_level.reshape(-1, 1, 1, 1, 1)
        )


def conditioning_of(start: int, stop: int) -> Conditioning:
    """Conditions whose every frame is a function of its index."""
    frames = []
    for t in range(start, stop):
        draw = torch.Generator().manual_seed(t)
        frames.append([torch.rand(s, generator=draw) for s in ((3, *SIZE), (1, *SIZE), (33, 3), (4, *SIZE))])
    per_frame = FrameConditions(*(torch.stack(part) for part in zip(*frames)))
    draw = torch.Generator().manual_seed(99)
    words = torch.zeros(1, len(LAYOUT_WORDS), dtype=torch.int64)
    garment = GarmentConditions(
        torch.rand(1, 4, *SIZE, generator=draw),
        torch.rand(1, POINTS, 3, generator=draw),
        torch.zeros(1, dtype=torch.int64),
        words,
    )
    return conditions(per_frame, garment)


class MadeUp:
    """A source that counts what it is asked for."""

    def __init__(self) -> None:
        self.longest = 0

    def conditioning(self, start: int, stop: int) -> Conditioning:
        self.longest = max(self.longest, stop - start)
        return conditioning_of(start, stop)

    def beginning(self, start: int, stop: int) -> torch.Tensor:
        return tryon.warp_start(conditioning_of(start, stop))


def finished(folder, sampling: Sampling, span=(0, 40), model=None, source=None) -> torch.Tensor:
    made = TryOn(source or MadeUp(), span, folder, sampling)
    for _ in made.run(model or StandIn()):
        pass
    return made.frames(*span)


SETTINGS = [
    Sampling(steps=3, window=16, overlap=6),
    Sampling(steps=4, window=16, overlap=12, sampler="unipc"),
    Sampling(steps=3, window=15, overlap=4, sampler="ddim", weights=(1.0, 1.0, 2.0, 1.5), augmentation=0.2),
    Sampling(steps=3, window=16, overlap=6, strength=0.5),
    Sampling(steps=2, window=64),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=lambda s: f"{s.sampler}-{s.window}-{s.strength}")
def test_the_way_by_the_disk_is_the_way_in_memory(sampling, tmp_path):
    by_disk = finished(tmp_path / "work", sampling)
    *_, last = generate(StandIn(), conditioning_of(0, 40), sampling)
    assert torch.equal((last[0] * 255).round().to(torch.uint8), by_disk)
    assert by_disk.float().std() > 5  # a picture, not a constant
    assert not list((tmp_path / "work").glob("*.carry")) and not (tmp_path / "work" / "features").exists()
    assert len(list((tmp_path / "work").iterdir())) == len(sampling.plan(40))  # one result a window, nothing else


@pytest.mark.parametrize("sampling", SETTINGS[:3], ids=lambda s: s.sampler)
def test_killed_anywhere_and_gone_on_with_gives_the_same_frames_without_doing_a_window_twice(sampling, tmp_path):
    counting = StandIn()
    whole = finished(tmp_path / "whole", sampling, model=counting)
    per_window = len(sampling.givens)
    for fault_at in range(1, counting.predicted + 1, 2):
        folder, broken, after = tmp_path / f"killed{fault_at}", StandIn(fault_at=fault_at), StandIn()
        with pytest.raises(KeyboardInterrupt):
            finished(folder, sampling, model=broken)
        assert torch.equal(finished(folder, sampling, model=after), whole), fault_at
        assert after.predicted == counting.predicted - (fault_at - 1) // per_window * per_window, fault_at


def test_killed_between_two_files_is_no_different(tmp_path, monkeypatch):
    sampling, real = SETTINGS[0], tryon._write
    count = []
    monkeypatch.setattr(tryon, "_write", lambda path, tensors: count.append(path) or real(path, tensors))
    whole = finished(tmp_path / "whole", sampling)

    for stop_at in range(len(count)):
        done = []

        def failing(path, tensors, done=done, stop_at=stop_at):
            if len(done) == stop_at:
                path.with_suffix(".part").write_bytes(b"half a file")
                raise KeyboardInterrupt
            done.append(path)
            real(path, tensors)

        monkeypatch.setattr(tryon, "_write", failing)
        with pytest.raises(KeyboardInterrupt):
            finished(tmp_path / f"w{stop_at}", sampling)
        monkeypatch.setattr(tryon, "_write", real)
        assert torch.equal(finished(tmp_path / f"w{stop_at}", sampling), whole), stop_at


def test_a_finished_clip_is_left_alone_and_frames_may_be_asked_for_in_any_span(tmp_path):
    sampling, model = SETTINGS[0], StandIn()
    whole = finished(tmp_path / "work", sampling, span=(5, 45))
    made = TryOn(MadeUp(), (5, 45), tmp_path / "work", sampling)
    assert made.done and list(made.run(model)) == [] and model.encoded == 0
    for start, stop in [(5, 6), (14, 31), (44, 45), (5, 45)]:
        assert torch.equal(made.frames(start, stop), whole[start - 5 : stop - 5])


def test_noise_is_the_frame_s_own_so_a_span_s_place_in_the_clip_counts(tmp_path):
    sampling = Sampling(steps=1, window=8, overlap=0)
    here = finished(tmp_path / "a", sampling, span=(0, 16))
    there = finished(tmp_path / "b", sampling, span=(8, 16))
    assert torch.equal(here[8:], there)
    assert not torch.equal(finished(tmp_path / "c", replace(sampling, seed=1), span=(0, 16)), here)


def test_encoders_run_once_a_window_not_once_a_step(tmp_path):
    model = StandIn()
    sampling = replace(SETTINGS[2], steps=6)
    finished(tmp_path / "work", sampling, model=model)
    windows = len(sampling.plan(40))
    assert model.encoded == windows * len(sampling.givens)
    assert model.predicted == windows * len(sampling.givens) * 6
    short = StandIn()
    list(generate(short, conditioning_of(0, 40), sampling))
    assert short.encoded == len(sampling.givens)


def test_memory_is_flat_in_the_length_of_the_clip(tmp_path):
    sampling, peaks = Sampling(steps=2, window=8, overlap=2), []
    for frames in (32, 256):
        source, most = MadeUp(), 0
        for count, step in enumerate(TryOn(source, (0, frames), tmp_path / str(frames), sampling).run(StandIn())):
            if step.stage == "denoise" and count % (frames // 5) == 0:
                most = max(most, _bytes_alive())
        assert source.longest == 8  # nothing ever asks for more than a window
        peaks.append(most)
    assert 0 < peaks[1] <= peaks[0] * 1.2, peaks


def _bytes_alive() -> int:
    """Bytes of all tensors that anything holds (torch's memory is not tracemalloc's)."""
    held = {o.untyped_storage().data_ptr(): o.untyped_storage().nbytes() for o in gc.get_objects() if type(o) is torch.Tensor}
    return sum(held.values())


def test_progress_counts_frames_and_ends_with_all_of_them(tmp_path):
    steps = list(TryOn(MadeUp(), (0, 40), tmp_path / "work", SETTINGS[0]).run(StandIn()))
    denoise = [s for s in steps if s.stage == "denoise"]
    assert [s.done for s in denoise] == sorted(s.done for s in denoise) and denoise[-1].done == 40
    assert len(denoise) == 1 + 3 * len(SETTINGS[0].plan(40)) and {s.total for s in steps} == {40}


@pytest.mark.parametrize("fault", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_out_of_memory_names_the_option_to_change(fault, tmp_path):
    with pytest.raises(VidvtonError, match=r"windows of 16 frames .* --window"):
        finished(tmp_path / "work", SETTINGS[0], model=StandIn(fault_at=2, fault=fault))
    with pytest.raises(VidvtonError, match="--window"):
        list(generate(StandIn(fault_at=1, fault=fault), conditioning_of(0, 8), SETTINGS[0]))


def test_a_model_that_gives_no_numbers_is_told(tmp_path):
    class Broken(StandIn):
        def predict(self, x, noise_level, encoded):
            return x * float("nan")

    with pytest.raises(VidvtonError, match="not numbers in step 1"):
        finished(tmp_path / "work", SETTINGS[0], model=Broken())


def test_where_nothing_is_to_be_generated_the_frames_are_the_given_ones(tmp_path):
    class Half(MadeUp):
        def conditioning(self, start, stop):
            c = conditioning_of(start, stop)
            region = torch.zeros_like(c.region)
            region[..., :6] = 1
            return replace(c, region=region)

    frames = finished(tmp_path / "work", SETTINGS[0], source=Half())
    given = (conditioning_of(0, 40).agnostic[0] * 255).round()
    assert (frames[..., 6:].float() - given[..., 6:]).abs().max() <= 1
    assert (frames[..., :6].float() - given[..., :6]).abs().mean() > 5
