"""Small pictures to JPEG bytes and back, in memory; files from outside go through `images`."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import VidvtonError
from ..frames import as_arrays, from_arrays


def write_jpeg(image: Tensor, *, quality: int = 95) -> bytes:
    """`image` [3, H, W] uint8 as JPEG with full-size chroma."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(as_arrays(image))).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def read_jpeg(data: bytes) -> Tensor:
    """[3, H, W] uint8. VidvtonError for what is not a JPEG of ours."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            if picture.width * picture.height > 1 << 24:
                raise VidvtonError(f"a stored picture has {picture.width}x{picture.height} pixels, more than any we store")
            return from_arrays(np.array(picture.convert("RGB")))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as problem:
        raise VidvtonError(f"a stored picture is damaged ({problem}); prepare the set again") from problem
