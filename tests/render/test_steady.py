"""Steadied frames: they tremble less and stay as sharp, leave nothing behind, and are the same from wherever one begins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidvton.render.steady import BLOCK, WARM, Dressed, Steadier

SIZE, BOX = (96, 128), (20, 84, 30, 100)


def scene(t: int) -> np.ndarray:
    """[H, W, 3] uint8: a patterned wall that goes a pixel to the right in every frame."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    x = x - t
    grey = 128 + 40 * np.sin(x / 5) * np.cos(y / 7) + 20 * np.sin(x / 17 + y / 11)
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8)


def cloth(t: float, tremble: float = 0.0) -> Dressed:
    """A checked cloth that goes with the wall, out of place by `tremble` pixels."""
    top, bottom, left, right = BOX
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    picture = np.stack([120 + 80 * np.tanh(3 * np.sin((x - t - tremble) / 3 + k) * np.sin(y / 3)) for k in range(3)], -1)
    share = cv2.GaussianBlur(np.pad(np.ones((bottom - top - 8, right - left - 8), np.float32), 4), (0, 0), 1.5)
    share[share < 0.01] = 0
    source = scene(round(t))[top:bottom, left:right]
    picture = np.where(share[..., None] > 0, picture * share[..., None] + source * (1 - share[..., None]), source)
    return Dressed(picture.astype(np.uint8), share, (top, left))


def trembling(count: int) -> list[float]:
    return np.random.default_rng(3).normal(0, 0.3, count).tolist()


def steadied(strength: float, count: int = 12) -> np.ndarray:
    steadier = Steadier(strength)
    return np.stack([steadier.step(t, scene(t), cloth(t, wrong)) for t, wrong in enumerate(trembling(count))])


def unrest(frames: np.ndarray) -> float:
    """Mean difference between frames, the second moved by the known motion, where there is cloth throughout."""
    inner = frames[:, 30:74, 44:86].astype(float)
    moved = frames[1:, 30:74, 45:87].astype(float)
    return float(np.abs(moved[4:] - inner[4:-1]).mean())


def sharpness(frames: np.ndarray) -> float:
    return float(np.mean([cv2.Laplacian(f[30:74, 44:86, 1].astype(np.float32), -1).std() for f in frames[4:]]))


def test_cloth_trembles_less_and_stays_sharp():
    plain, steady = steadied(0.0), steadied(0.85)
    assert unrest(steady) < 0.6 * unrest(plain)
    assert sharpness(steady) > 0.75 * sharpness(plain)


def test_strength_nought_gives_what_was_drawn_and_outside_all_is_the_source_s():
    top, bottom, left, right = BOX
    plain, steady = steadied(0.0), steadied(0.85)
    for t, wrong in enumerate(trembling(12)):
        drawn = cloth(t, wrong)
        assert np.array_equal(plain[t, top:bottom, left:right], drawn.picture)
        new = np.zeros(SIZE, bool)
        new[top:bottom, left:right] = drawn.share > 0
        assert np.array_equal(steady[t][~new], scene(t)[~new])
        assert (steady[t] != plain[t]).any() == (t > 0)


def test_a_frame_without_anybody_is_the_source_itself_and_ends_the_memory():
    steadier = Steadier(0.85)
    steadier.step(0, scene(0), cloth(0))
    source = scene(1)
    assert steadier.step(1, source, None) is source
    drawn = cloth(2, 0.4)
    out = steadier.step(2, scene(2), drawn)
    assert np.array_equal(out[BOX[0] : BOX[1], BOX[2] : BOX[3]], drawn.picture)


def test_what_passed_in_front_leaves_nothing_behind():
    steadier, dark = Steadier(0.85), 20
    for t in range(8):
        source, drawn = scene(0), cloth(0)
        if t < 6:  # a dark hand on the cloth, gone from frame 6 on
            source[40:60, 50:70] = dark
            drawn.picture[20:40, 20:40] = dark
            drawn.share[20:40, 20:40] = 0
        out = steadier.step(t, source, drawn)
    assert (
        np.abs(out[42:58, 52:68].astype(int) - cloth(0).picture[22:38, 22:38]).max() < 12
    )  # sharpening; the hand was up to 180 away


@pytest.mark.parametrize("t", [BLOCK - 3, BLOCK, BLOCK + 5, 2 * BLOCK + 1])
def test_a_frame_is_the_same_from_wherever_one_begins(t):
    wrong = trembling(2 * BLOCK + 8)
    small = [(t, np.roll(scene(0), t % 7, 1), cloth(0, w)) for t, w in enumerate(wrong)]

    def ended(first: int) -> np.ndarray:
        steadier = Steadier(0.85)
        return [steadier.step(*row) for row in small[first : t + 1]][-1]

    assert Steadier.begin(t) in (0, BLOCK - WARM, 2 * BLOCK - WARM) and Steadier.begin(t) <= t
    assert np.array_equal(ended(0), ended(Steadier.begin(t)))
