"""Photos of every kind, and folders of them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from vidvton.errors import MisuseError, VidvtonError
from vidvton.frames import as_arrays
from vidvton.media.images import read_image, write_image
from vidvton.media.reader import open_clip, probe
from vidvton.media.writer import VideoWriter

H, W = 30, 41
y, x = np.mgrid[:H, :W]
COLOURS = np.stack([x * 6, y * 8, (x + y) * 3], -1).astype(np.uint8)


def pixels(picture):
    return picture.image.movedim(0, -1).numpy()


@pytest.mark.parametrize("suffix, slack", [("png", 0), ("bmp", 0), ("tif", 0), ("webp", 12), ("jpg", 12)])
def test_formats(tmp_path, suffix, slack):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(path, quality=100)
    picture = read_image(path)
    assert picture.alpha is None and picture.size == (H, W) and picture.image.dtype == torch.uint8
    assert np.abs(pixels(picture).astype(int) - COLOURS).max() <= slack + 8 * (slack > 0)
    assert np.abs(pixels(picture).astype(int) - COLOURS).mean() <= slack / 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = COLOURS
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert np.array_equal(pixels(read_image(path)), upright)
    assert probe(path).size == (H, W)


def test_alpha_is_kept_apart(tmp_path):
    coverage = (x * 6).astype(np.uint8)
    Image.fromarray(np.dstack([COLOURS, coverage])).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert np.array_equal(pixels(picture), COLOURS)
    assert np.allclose(picture.alpha.numpy(), coverage / 255) and picture.alpha.dtype == torch.float32
    write_image(tmp_path / "b.png", picture.image, picture.alpha)
    again = read_image(tmp_path / "b.png")
    assert torch.equal(again.image, picture.image) and torch.equal(again.alpha, picture.alpha)
    with pytest.raises(MisuseError, match="transparency"):
        write_image(tmp_path / "b.jpg", picture.image, picture.alpha)
    Image.fromarray(np.dstack([COLOURS, np.full((H, W), 255, np.uint8)])).save(tmp_path / "opaque.png")
    assert read_image(tmp_path / "opaque.png").alpha is None


def test_grey_and_sixteen_bits(tmp_path):
    grey = np.clip(x * 6, 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(np.dstack([grey, 255 - grey]), "LA").save(tmp_path / "la.png")
    for name in ("a.png", "deep.png", "la.png"):
        assert np.array_equal(pixels(read_image(tmp_path / name)), np.repeat(grey[..., None], 3, -1)), name
    assert np.allclose(read_image(tmp_path / "la.png").alpha.numpy(), (255 - grey) / 255)
    (Image.fromarray(grey > 100)).save(tmp_path / "bits.png")
    assert set(np.unique(pixels(read_image(tmp_path / "bits.png")))) == {0, 255}


def test_sixteen_bit_colour(tmp_path):
    import struct
    import zlib

    deep = COLOURS.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in deep)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", W, H, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    assert np.abs(pixels(read_image(tmp_path / "a.png")).astype(int) - COLOURS).max() <= 1


def test_palette_with_transparency(tmp_path):
    blocks = np.where(x < 20, 1, 0).astype(np.uint8)
    picture = Image.fromarray(blocks, "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "a.png", transparency=0)
    read = read_image(tmp_path / "a.png")
    assert pixels(read)[0, 0].tolist() == [200, 100, 50]
    assert read.alpha[0, 0] == 1 and read.alpha[0, -1] == 0


def test_cmyk(tmp_path):
    Image.fromarray(COLOURS).resize((64, 64)).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    wanted = np.asarray(Image.fromarray(COLOURS).resize((64, 64))).astype(int)
    assert np.abs(pixels(read_image(tmp_path / "a.jpg")).astype(int) - wanted).mean() < 6


def test_colour_profiles_are_honoured(tmp_path):
    lab = ImageCms.createProfile("sRGB")
    Image.fromarray(COLOURS).save(tmp_path / "a.png", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert np.abs(pixels(read_image(tmp_path / "a.png")).astype(int) - COLOURS).max() <= 2
    Image.fromarray(COLOURS).save(tmp_path / "b.png", icc_profile=b"not a profile")
    assert np.array_equal(pixels(read_image(tmp_path / "b.png")), COLOURS)


def test_broken_pictures(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(VidvtonError, match="cut.png"):
        read_image(tmp_path / "cut.png")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(MisuseError, match="not a picture"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(MisuseError, match="--max-pixels"):
        read_image(tmp_path / "a.png", max_pixels=100)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MisuseError, match="no pictures"):
        open_clip(tmp_path / "empty")


def test_writing_a_picture_is_whole_or_absent(tmp_path, monkeypatch):
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    with pytest.raises(MisuseError, match="suffix"):
        write_image(tmp_path / "a.xyz", image)
    write_image(tmp_path / "a.png", image)
    with pytest.raises(MisuseError, match="--overwrite"):
        write_image(tmp_path / "a.png", image, overwrite=False)

    def half(self, path, **_):
        open(path, "wb").write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(VidvtonError, match="disk is full"):
        write_image(tmp_path / "b.png", image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_photo_is_a_clip_of_one_frame(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    reader = open_clip(tmp_path / "a.png")
    (clip,) = reader.clips(16)
    assert len(clip) == 1 and reader.info.kind == "image" and reader.info.frames == 1
    for name in ("out.png", "out.mp4"):
        with VideoWriter(tmp_path / name, reader.info) as writer:
            writer.write(clip)
    (again,) = open_clip(tmp_path / "out.png").clips(1)
    assert torch.equal(again.frames, clip.frames)
    (film,) = open_clip(tmp_path / "out.mp4").clips(5)
    assert film.size == (H, W) and (film.frames.float() - clip.frames.float()).abs().mean() < 5


def test_folders_are_read_in_natural_order_and_written_back(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (10, 2, 1):
        Image.fromarray(np.full((8, 10, 3), number, np.uint8)).save(folder / f"shot{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    reader = open_clip(folder)
    clips = list(reader.clips(2, overlap=1))
    assert [c.frames[:, 0, 0, 0].tolist() for c in clips] == [[1, 2], [2, 10]]
    assert reader.info.kind == "folder" and reader.info.frames == 3
    assert [c.pts.tolist() for c in reader.clips(9, start=1)] == [[1, 2]]
    with VideoWriter(tmp_path / "out", reader.info) as writer:
        writer.write(next(reader.clips(3)))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000001.png", "000002.png", "000003.png"]
    assert as_arrays(next(open_clip(tmp_path / "out").clips(3)).frames)[:, 0, 0, 0].tolist() == [1, 2, 10]
    Image.fromarray(np.zeros((9, 10, 3), np.uint8)).save(folder / "shot3.png")
    with pytest.raises(VidvtonError, match="one size"):
        list(reader.__class__(folder).clips(2))
