"""Photos in and out, through Pillow: it refuses decompression bombs from the header, which OpenCV does not."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays, from_arrays
from vidvton.media.files import written_beside
from vidvton.media.info import DEFAULT_LIMITS, Limits

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_READABLE = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF")
_PILLOW_LIMIT_LOCK = threading.Lock()
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, MemoryError, OverflowError)


@dataclass(frozen=True)
class Picture:
    """A still picture, upright: `image` [3, H, W] uint8 sRGB and `alpha` [H, W] float32 0-1, None where every pixel is opaque."""

    image: Tensor
    alpha: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[1], self.image.shape[2]


def read_image(path: str | Path, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> Picture:
    """The picture in `path`: turned by its EXIF orientation, converted to 8-bit sRGB whatever it holds (CMYK, grey, palette,
    16 bits, an ICC profile such as Display P3), alpha apart.

    MisuseError where there is no such file, it is no picture, or it has more than `max_pixels`; VidvtonError where it is damaged.
    """
    path = Path(path)
    with _opened(path, max_pixels) as picture:
        try:
            picture.load()
            return _understood(picture)
        except _PILLOW_ERRORS as problem:
            raise VidvtonError(f"{path} cannot be decoded ({_brief(problem)}); give an undamaged picture") from problem


def read_labels(path: str | Path, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> np.ndarray:
    """The numbers [H, W] uint8 in a label map: a palette picture's indices, else its grey levels; errors as `read_image`.

    VidvtonError for a map drawn in colours.
    """
    path = Path(path)
    with _opened(path, max_pixels) as picture:
        try:
            picture.load()
            numbers = np.array(picture if picture.mode in ("P", "L", "I", "I;16") else picture.convert("RGB"))
        except _PILLOW_ERRORS as problem:
            raise VidvtonError(f"{path} cannot be decoded ({_brief(problem)}); give an undamaged label map") from problem
    if numbers.ndim == 3:
        if (numbers != numbers[..., :1]).any():
            raise VidvtonError(f"{path} is drawn in colours; give a map of label numbers")
        numbers = numbers[..., 0]
    return np.clip(numbers, 0, 255).astype(np.uint8)


def image_size(path: str | Path, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> tuple[int, int]:
    """(height, width) of the upright picture, from its header; errors as `read_image`."""
    with _opened(Path(path), max_pixels) as picture:
        width, height = picture.size
        turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def write_image(path: str | Path, image: Tensor, alpha: Tensor | None = None, *, overwrite: bool = True) -> None:
    """Write `image` [3, H, W] uint8 (with `alpha` [H, W] float32 0-1) in the format of the suffix, whole or not at all.

    MisuseError for an unknown suffix, alpha in a format without it, or an existing file without `overwrite`.
    """
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise MisuseError(f"{path} has no picture suffix that can be written; use one of {', '.join(IMAGE_SUFFIXES)}")
    pixels = np.ascontiguousarray(as_arrays(image))
    if alpha is not None:
        if kind in ("JPEG", "BMP"):
            raise MisuseError(f"{path} cannot hold transparency; use .png or .webp")
        coverage = (alpha.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        pixels = np.dstack([pixels, coverage])
    settings = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95, "exact": True}, "PNG": {"compress_level": 4}}
    with written_beside(path, overwrite=overwrite) as part:
        Image.fromarray(pixels).save(part, format=kind, **settings.get(kind, {}))


def _opened(path: Path, max_pixels: int) -> Image.Image:
    if not path.exists():
        raise MisuseError(f"there is no file {path}; give a picture")
    try:
        picture = _open(path)
    except PermissionError as problem:
        raise VidvtonError(f"{path} cannot be read (permission denied); change its permissions") from problem
    except _PILLOW_ERRORS as problem:
        raise MisuseError(f"{path} is not a picture that can be read; give a JPEG, PNG, WebP, TIFF or BMP file") from problem
    width, height = picture.size
    if width * height > max_pixels:
        picture.close()
        Limits(max_pixels=max_pixels).check_size(path, width, height)
    return picture


def _open(path: Path) -> Image.Image:
    Image.init()
    known = [name for name in _READABLE if name in Image.OPEN]
    with _PILLOW_LIMIT_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit is checked next, before any pixel is read
        try:
            return Image.open(path, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _understood(picture: Image.Image) -> Picture:
    profile = picture.info.get("icc_profile")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        grey = np.asarray(picture).astype(np.float32)
        top = 65535.0 if picture.mode != "I" or grey.max() > 255 else 255.0
        grey = np.clip(np.rint(grey * (255.0 / top)), 0, 255).astype(np.uint8)
        return Picture(from_arrays(np.repeat(grey[..., None], 3, axis=2)))
    if picture.mode == "F":
        grey = np.nan_to_num(np.asarray(picture))
        grey = np.rint(np.clip(grey, 0, 1) * 255 if grey.max() <= 1 else np.clip(grey, 0, 255)).astype(np.uint8)
        return Picture(from_arrays(np.repeat(grey[..., None], 3, axis=2)))
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    alpha = None
    if has_alpha:
        picture = picture.convert("RGBA")
        coverage = np.asarray(picture.getchannel("A"))
        if coverage.min() < 255:
            alpha = torch.from_numpy(coverage.astype(np.float32) / 255)
    pixels = np.array(_to_srgb(picture, profile))
    return Picture(from_arrays(pixels), alpha)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken or unfitting profile: the numbers are taken as sRGB, as viewers do
    return picture.convert("RGB")


def _brief(problem: BaseException) -> str:
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text[:120]


def natural_key(path: Path) -> tuple:
    """A sort key under which picture2 comes before picture10."""
    return tuple((0, int(bit), "") if bit.isdigit() else (1, 0, bit.lower()) for bit in re.split(r"(\d+)", os.fspath(path.name)))
