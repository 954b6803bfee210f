"""Progress is one integer: stages, learning rates, sample order and randomness are pure functions of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidvton.train.config import Dropout, Stage
from vidvton.train.order import (
    draw_augmentation,
    draw_noise,
    draw_times,
    draw_withheld,
    key,
    share_of,
    slots_of_step,
)
from vidvton.train.stages import Position, first_step, image_steps, is_image_step, learning_rate, locate, only_temporal


def stage(**changes) -> Stage:
    return Stage(**({"name": "s", "frames": 8, "size": (64, 48), "steps": 10, "batch": 4, "images": 0.25} | changes))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_locate_counts_through_the_stages(lengths):
    stages = [stage(name=str(i), steps=n) for i, n in enumerate(lengths)]
    expected = [Position(i, k) for i, n in enumerate(lengths) for k in range(n)]
    assert [locate(stages, s) for s in range(sum(lengths))] == expected
    assert locate(stages, sum(lengths)) == Position(len(lengths) - 1, lengths[-1], finished=True)
    assert [locate(stages, first_step(stages, i)).stage for i in range(len(lengths))] == list(range(len(lengths)))
    for outside in (-1, sum(lengths) + 1):
        with pytest.raises(ValueError, match="outside"):
            locate(stages, outside)


def test_the_learning_rate_warms_up_and_falls():
    warm = stage(rate=1e-2, warmup=4, steps=100)
    assert [learning_rate(warm, k) for k in range(6)] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2, 1e-2])
    cosine = stage(rate=1e-2, warmup=0, steps=101, decay="cosine", final_rate=0.1)
    assert learning_rate(cosine, 0) == pytest.approx(1e-2)
    assert learning_rate(cosine, 50) == pytest.approx(0.55e-2)
    assert learning_rate(cosine, 100) == pytest.approx(1e-3)


def test_temporal_layers_learn_first():
    assert [only_temporal(stage(temporal_first=2), k) for k in range(4)] == [True, True, False, False]
    assert only_temporal(stage(trains="temporal"), 9)


@given(st.integers(0, 1000), st.integers(1, 300))
def test_images_are_mixed_in_at_their_share_and_evenly(thousandths, steps):
    mixed = stage(images=thousandths / 1000)
    which = [is_image_step(mixed, k) for k in range(steps)]
    for k in range(steps + 1):
        assert sum(which[:k]) == image_steps(mixed, k)
        assert abs(sum(which[:k]) - k * thousandths / 1000) < 1


def test_single_frames_wait_until_more_than_temporal_layers_learn():
    waiting = stage(images=0.5, temporal_first=4)
    assert [is_image_step(waiting, k) for k in range(10)] == [False] * 4 + [False, True] * 3
    assert not any(is_image_step(stage(images=0.9, trains="temporal"), k) for k in range(10))


def test_every_clip_comes_once_before_any_comes_again():
    videos = stage(images=0.0, batch=3)
    items = [slot.item for k in range(14) for slot in slots_of_step(1, videos, 0, k, (7, 5))]
    epochs = [sorted(items[i : i + 7]) for i in range(0, 42, 7)]
    assert epochs == [list(range(7))] * 6
    assert items[:7] != items[7:14]


def test_every_sample_has_a_seed_of_its_own():
    mixed = stage()
    seeds = [slot.seed for n in range(3) for k in range(20) for slot in slots_of_step(1, mixed, n, k, (7, 5))]
    assert len(set(seeds)) == len(seeds) == 240
    again = slots_of_step(2, mixed, 0, 0, (7, 5))
    assert again[0].seed not in seeds


@given(st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)]), st.integers(0, 9))
def test_however_many_processes_share_a_step_its_samples_are_the_same(shape, step):
    processes, accumulate = shape
    slots = slots_of_step(5, stage(), 2, step, (9, 9))
    parts = [share_of(slots, rank=r, world_size=processes, accumulate=accumulate) for r in range(processes)]
    assert [s for part in range(accumulate) for r in range(processes) for s in parts[r][part]] == slots


def test_times_cover_the_range_in_every_step():
    wide = stage(noise_low=0.2, noise_high=0.9)
    levels = torch.stack([draw_times(3, wide, 1, k, 8) for k in range(200)])
    assert levels.min() >= 0.2 and levels.max() <= 0.9
    in_order = levels.sort(1).values
    assert ((in_order[:, 1:] - in_order[:, :-1]) - 0.7 / 8).abs().max() < 1e-4  # evenly spaced, whatever the offset
    assert abs(levels.mean() - 0.55) < 0.01 and abs(levels[:, 0].mean() - 0.55) < 0.05
    assert torch.equal(draw_times(3, wide, 1, 7, 8), levels[7])
    assert not torch.equal(draw_times(4, wide, 1, 7, 8), levels[7])
    late = stage(noise_power=2.0)
    assert torch.stack([draw_times(3, late, 1, k, 8) for k in range(50)]).mean() > 0.6


def test_draws_depend_on_the_sample_alone():
    slot, other = slots_of_step(1, stage(), 0, 0, (7, 5))[:2]
    assert torch.equal(draw_noise(slot, (2, 3, 4, 4)), draw_noise(slot, (2, 3, 4, 4)))
    assert not torch.equal(draw_noise(slot, (2, 3, 4, 4)), draw_noise(other, (2, 3, 4, 4)))
    strong = stage(augmentation=0.5)
    levels = [draw_augmentation(strong, s) for k in range(200) for s in slots_of_step(1, strong, 0, k, (7, 5))]
    assert 0 <= min(levels) and max(levels) <= 0.5 and abs(sum(levels) / len(levels) - 0.25) < 0.02


def test_groups_are_withheld_independently_and_as_often_as_asked():
    often = stage(dropout=Dropout(person=0.5, garment=0.25, pose=0.0))
    rows = torch.stack([draw_withheld(often, s) for k in range(300) for s in slots_of_step(1, often, 0, k, (7, 5))]).double()
    assert (rows.mean(0) - torch.tensor([0.5, 0.25, 0.0])).abs().max() < 0.04
    assert abs((rows[:, 0] * rows[:, 1]).mean() - 0.125) < 0.03


def test_keys_are_the_same_on_every_machine():
    assert key(0, "order", 1) == key(0, "order", 1) != key(0, "order", 2)
    assert key("vidvton") == 3257331845330235200
    assert 0 <= key("x") < 2**63
