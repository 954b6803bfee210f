"""Decoded frames to 8-bit RGB and back: the right matrix and range, correct rounding, HDR brought down to SDR."""

from __future__ import annotations

import functools

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from vidvton.media.info import FULL, HLG, LIMITED, PQ, UNSPECIFIED, Colours

# swscale's default path is 1.2 levels too dark on average and up to 45 off at colour edges. With these flags it is within one
# level of a float conversion with left-sited bilinear chroma; to planar RGB that is SIMD code, 2.0 ms for a 720p frame with two
# threads (rgb24: 4.0 with one; the default path: 0.7).
_TO_RGB = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_FROM_RGB = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
_WHITE_NITS = 203.0  # ITU-R BT.2408: diffuse white of HDR material
_KNEE = 0.5
_BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)


class ToRgb:
    """Turns decoded frames into [H, W, 3] uint8 RGB of one size. Without a matrix tag BT.601 is assumed, as FFmpeg does."""

    def __init__(self, width: int, height: int, *, threads: int = 2) -> None:
        self._width, self._height, self._threads = width, height, threads
        self._reformatter = VideoReformatter()  # one for all frames: ten times faster than one each

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """[H, W, 3] uint8, the stored orientation, a new array."""
        hdr = frame.color_trc in (PQ, HLG)
        picture = self._reformatter.reformat(
            frame, width=self._width, height=self._height, format="gbrp16le" if hdr else "gbrp", interpolation=_TO_RGB,
            dst_color_range=FULL, threads=self._threads,
        )  # fmt: skip
        array = _interleaved(picture, np.uint16 if hdr else np.uint8)
        return tone_mapped(array, frame.color_trc) if hdr else array


class FromRgb:
    """Turns [H, W, 3] uint8 RGB into frames for the encoder, with `colours`' matrix and range, tagged so."""

    def __init__(self, pixel_format: str, colours: Colours) -> None:
        self._format, self._colours = pixel_format, colours
        self._reformatter = VideoReformatter()

    def __call__(self, array: np.ndarray) -> av.VideoFrame:
        """The frame; without times."""
        tags = self._colours
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        matrix = tags.matrix if tags.matrix != UNSPECIFIED else 5  # as ToRgb reads it back
        frame = self._reformatter.reformat(
            picture, format=self._format, dst_colorspace=matrix, dst_color_range=tags.range or LIMITED,
            interpolation=_FROM_RGB, threads=1,
        )  # fmt: skip
        frame.colorspace, frame.color_range = tags.matrix, tags.range
        frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
        return frame


def tags_of(frame: av.VideoFrame) -> Colours:
    """The colour tags of a decoded frame; reserved numbers (0, which some writers put) read as unspecified."""
    full = 2 if frame.format.name.startswith("yuvj") else 0
    return Colours(
        int(frame.color_primaries) or UNSPECIFIED, int(frame.color_trc) or UNSPECIFIED,
        0 if frame.format.is_rgb else int(frame.colorspace) or UNSPECIFIED, int(frame.color_range) or full,
    )  # fmt: skip


def tone_mapped(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """[H, W, 3] uint8 sRGB from [H, W, 3] uint16 BT.2020 code values in PQ or HLG.

    Diffuse white (203 nits, BT.2408) lies at 0.82 linear; up to half of it light is kept as it is, above that it bends softly
    towards the display's white, on the brightest channel so that hues stay.
    """
    light = _linear_table(transfer)[pixels >> 4]
    if transfer == HLG:  # the system gamma of a 1000-nit display
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (1000.0 / _WHITE_NITS * np.power(np.maximum(luma, 1e-6), 0.2))[..., None]
    light = np.maximum(light @ _BT2020_TO_BT709.T, 0)
    peak = light.max(axis=-1, keepdims=True)
    bent = _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - peak) / (1 - _KNEE)))
    light *= np.where(peak > _KNEE, bent / np.maximum(peak, 1e-6), 1)
    return _srgb_table()[np.minimum(np.rint(np.sqrt(light) * 4095), 4095).astype(np.int32)]


@functools.lru_cache(maxsize=2)
def _linear_table(transfer: int) -> np.ndarray:
    code = (np.arange(4096, dtype=np.float64) + 0.5) / 4096
    if transfer == PQ:  # SMPTE ST 2084, in units of diffuse white
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        linear = 10000 / _WHITE_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:  # ARIB STD-B67, scene light 0-1
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        linear = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return linear.astype(np.float32)


@functools.lru_cache(maxsize=1)
def _srgb_table() -> np.ndarray:
    linear = (np.arange(4096) / 4095) ** 2  # indexed by the square root: even steps where the eye wants them
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(code * 255).astype(np.uint8)


def _interleaved(picture: av.VideoFrame, kind: type) -> np.ndarray:
    array = np.empty((picture.height, picture.width, 3), kind)
    for channel, plane in zip((1, 2, 0), picture.planes):  # stored as G, B, R
        rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // array.itemsize)
        array[..., channel] = rows[:, : picture.width]
    return array
