"""How a shot is lit as a whole: garment pictures are taken in bright, neutral light, and clips often are not."""

from __future__ import annotations

import cv2
import numpy as np

BRIGHT = 170.0  # a shot whose brightest places reach this is well exposed
SKIN_TO_WHITE = 2.0  # how much brighter than the skin beside it white cloth may be: dark skin alone makes no dark clip
STEEP = 1.2
LEAST = 0.15
SKIN_CAST, WITHIN = float(np.log(1.6)), 0.25  # the logarithm of red over blue that skin has in neutral light, give or take


def learn_lamp(frames: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """[3] float32: the colour of a well lit white cloth in this shot, against that in its picture: ones for a clip that is well
    exposed in neutral light, less where it is dark, less in some colours where all is warm or cold.

    `frames` [S, h, w, 3] uint8 are samples, `skin` [2, 3] 0-1 as `shade.Albedo.skin` (NaN where none is seen). Dark is what has
    neither bright places nor bright skin; a cast of light is what the brightest places and the skin agree on, as a wall may be
    yellow and skin is of many colours.
    """
    small = np.stack([cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for f in frames]).astype(np.float32)
    grey = small @ np.float32([0.299, 0.587, 0.114])
    levels = np.quantile(grey.reshape(len(grey), -1), 0.995, axis=1)
    tones = skin[np.isfinite(skin).all(1)] * 255
    white = max(float(np.median(levels)), SKIN_TO_WHITE * float((tones @ [0.299, 0.587, 0.114]).max(initial=0)))
    exposure = np.clip((white / BRIGHT) ** STEEP, LEAST, 1.0)
    if not len(tones):
        return np.full(3, exposure, np.float32)
    brightest = small[grey >= 0.98 * levels[:, None, None]].mean(0) + 1
    of_white = float(np.log(brightest[0] / brightest[2]))
    excess = float(np.log((tones[0, 0] + 1) / (tones[0, 2] + 1))) - SKIN_CAST
    of_skin = np.sign(excess) * max(abs(excess) - WITHIN, 0.0)
    cast = np.sign(of_skin) * min(abs(of_skin), abs(of_white)) if of_skin * of_white > 0 else 0.0
    colour = np.exp(np.array([cast, 0.0, -cast]) / 2)
    return (exposure * colour / colour.max()).astype(np.float32)
