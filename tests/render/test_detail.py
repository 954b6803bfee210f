"""Detail transfer and pasting: sharp where the network agrees, the network's own where it does not, the source's elsewhere."""

from __future__ import annotations

import cv2
import numpy as np

from vidvton.render.detail import blend, feathered, free_of, grown, sharpen

BIG, SMALL = (320, 240), (80, 60)


def printed() -> np.ndarray:
    """A dark cloth with small bright lettering, too fine for a quarter of its size."""
    cloth = np.full((*BIG, 3), (30, 35, 60), np.uint8)
    for row in range(5):
        cv2.putText(cloth, "FINE PRINT", (30, 70 + 50 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (230, 120, 40), 2, cv2.LINE_AA)
    return cloth


def shrunk(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, SMALL[::-1], interpolation=cv2.INTER_AREA)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_a_small_network_that_agrees_with_the_warp_gives_its_sharp_print():
    print_, plain = printed(), np.full((*BIG, 3), 90, np.uint8)
    made = cv2.GaussianBlur(shrunk(print_), (0, 0), 0.6)
    plainly = cv2.resize(made, BIG[::-1], interpolation=cv2.INTER_CUBIC)
    sharp = sharpen(made, print_, plain, np.zeros(BIG, np.float32))
    assert apart(sharp, print_) < 0.2 * apart(plainly, print_)


def test_the_network_decides_the_light():
    print_, plain = printed(), np.full((*BIG, 3), 90, np.uint8)
    light = np.linspace(1.0, 0.75, BIG[1], dtype=np.float32)[None, :, None]
    lit = (print_ * light).astype(np.uint8)
    sharp = sharpen(shrunk(lit), print_, plain, np.zeros(BIG, np.float32))
    assert apart(sharp, lit) < 0.5 * apart(print_, lit)


def test_where_the_network_made_something_else_it_is_not_overruled():
    made = np.full((*SMALL, 3), (200, 200, 190), np.uint8)  # a white shirt, whatever the warp says
    source = np.full((*BIG, 3), (40, 160, 60), np.uint8)
    out = sharpen(made, printed(), source, np.ones(BIG, np.float32))
    assert np.abs(out.astype(int) - (200, 200, 190)).max() <= 2


def test_what_the_network_left_alone_is_the_source_unless_old_cloth_was_there():
    rng = np.random.default_rng(0)
    source = np.clip(np.kron(rng.integers(60, 200, (20, 15, 3)), np.ones((16, 16, 1))) + rng.normal(0, 4, (*BIG, 3)), 0, 255)
    source = source.astype(np.uint8)
    elsewhere = np.full((*BIG, 3), 255, np.uint8)
    old = np.zeros(BIG, bool)
    old[100:200] = True
    out = sharpen(shrunk(source), elsewhere, source, free_of(old, BIG))
    assert apart(out[:80], source[:80]) < 0.5
    assert apart(out[120:180], source[120:180]) > 3  # the old garment's grain did not come through


def test_the_feather_ends_at_the_region_and_zero_is_bit_for_bit():
    region = np.zeros(SMALL, bool)
    region[20:60, 15:45] = True
    share = feathered(region, BIG)
    outside = np.kron(region, np.ones((4, 4))) == 0
    shifted = cv2.dilate((~outside).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert (share[shifted] == 0).all() and share.max() == 1 and share[40 * 4 // 2 + 80, 120] == 1
    rng = np.random.default_rng(1)
    source, made = (rng.integers(0, 256, (*BIG, 3), dtype=np.uint8) for _ in range(2))
    out = blend(source, made, share)
    assert (out[share == 0] == source[share == 0]).all() and (out[share == 1] == made[share == 1]).all()
    assert (grown(region) & ~region).any() and (grown(region) | ~region).all()


def test_at_its_own_size_the_feather_stays_inside():
    region = np.zeros(SMALL, bool)
    region[20:60, 15:45] = True
    assert (feathered(region, SMALL)[~region] == 0).all()
