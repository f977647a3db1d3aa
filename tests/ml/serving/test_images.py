from __future__ import annotations

import re
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ml.serving.images import MAX_JPEG_SEGMENTS, ImageError, decode, sniff
from tests.ml.serving.samples import encode, jpeg_segment, photo, png_chunk

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
EXACT = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}, "TIFF": {}}  # formats that change no pixel


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(pixels(one) - pixels(other)).mean())


def refused(data: bytes, code: str, message: str, **options: object) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        decode(data, **options)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_decoded_to_rgb_of_the_same_size(kind: str) -> None:
    image = decode(encode(photo(), kind))
    assert (image.mode, image.size) == ("RGB", (90, 70))
    assert distance(image, photo()) < 6


@pytest.mark.parametrize("kind", FORMATS)
def test_the_format_is_told_from_the_bytes(kind: str) -> None:
    assert sniff(encode(photo(), kind)) == kind


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), *((kind, mode) for kind in ("PNG", "GIF", "BMP", "TIFF") for mode in ("1", "L", "P"))],
)
def test_pixels_of_few_bits_become_rgb(kind: str, mode: str) -> None:
    source = photo().convert(mode)
    assert distance(decode(encode(source, kind)), source.convert("RGB")) < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256 * 3, dtype=np.uint16).reshape(3, 256)
    found = pixels(decode(encode(Image.fromarray(ramp), kind)))
    np.testing.assert_array_equal(found, np.rint(ramp / 257.0).astype(int)[..., None].repeat(3, axis=2))


def test_the_transparent_value_of_a_sixteen_bit_grey_png_becomes_white() -> None:
    source = Image.fromarray(np.array([[0, 1000]], np.uint16))
    data = encode(source)
    header = 8 + 25  # signature and IHDR
    data = data[:header] + png_chunk(b"tRNS", (1000).to_bytes(2, "big")) + data[header:]
    assert pixels(decode(data)).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(("kind", "mode"), [("TIFF", "F"), ("TIFF", "I")])
def test_pixels_of_unknown_range_are_refused(kind: str, mode: str) -> None:
    refused(
        encode(photo().convert(mode), kind), "unsupported_pixels", f"mode {mode}, whose range is not known"
    )


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(kind: str) -> None:
    # PIL writes JPEGs as Adobe does: an APP14 segment, and all four channels inverted.
    image = decode(encode(photo().convert("CMYK"), kind))
    assert distance(image, photo()) < 6


@pytest.mark.parametrize("kind", EXACT)
def test_transparency_is_laid_on_white(kind: str) -> None:
    layer = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    layer.putpixel((1, 0), (200, 0, 0, 0))
    layer.putpixel((2, 0), (0, 0, 0, 51))
    found = pixels(decode(encode(layer, kind, **EXACT[kind])))
    assert found.tolist() == [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]


def test_transparent_grey_is_laid_on_white() -> None:
    layer = Image.new("LA", (2, 1), (10, 255))
    layer.putpixel((1, 0), (10, 0))
    assert pixels(decode(encode(layer))).tolist() == [[[10] * 3, [255] * 3]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"], ids=["an index", "an alpha for each colour"])
def test_a_transparent_palette_is_laid_on_white(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    found = decode(encode(image, transparency=transparency))
    assert pixels(found).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_transparent_gif_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert pixels(decode(encode(image, "GIF", transparency=1))).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_transparent_colour_of_a_png_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    assert pixels(decode(encode(image, transparency=(9, 9, 9)))).tolist() == [[[1, 2, 3], [255, 255, 255]]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](photo())
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encode(stored, kind, exif=exif))
    assert image.size == photo().size
    assert distance(image, photo()) < 6


@pytest.mark.parametrize("order", ["II", "MM"])
def test_both_byte_orders_of_exif_are_read(order: str) -> None:
    big = order == "MM"
    number = (
        (lambda value, size: value.to_bytes(size, "big")) if big else (lambda v, s: v.to_bytes(s, "little"))
    )
    entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(6, 2) + bytes(2)
    exif = order.encode() + number(42, 2) + number(8, 4) + number(1, 2) + entry + bytes(4)
    jpeg = encode(photo(), "JPEG")
    turned = jpeg[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif) + jpeg[2:]
    assert decode(turned).size == (70, 90)


@pytest.mark.parametrize(
    "exif", [b"", b"II", b"XX*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_leaves_the_picture_as_it_is(exif: bytes) -> None:
    jpeg = encode(photo(), "JPEG")
    assert decode(jpeg[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif) + jpeg[2:]).size == (90, 70)


@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]
)
def test_of_an_animation_the_first_frame_is_taken(kind: str, options: dict[str, object]) -> None:
    later = [Image.new("RGB", (90, 70), colour) for colour in ("black", "white")]
    first = photo().quantize(64).convert("RGB")
    data = encode(first, kind, save_all=True, append_images=later, **options)
    assert distance(decode(data), first) < 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_a_file_cut_short_is_refused(kind: str, share: float) -> None:
    data = encode(photo(), kind)
    with pytest.raises(ImageError) as caught:
        decode(data[: int(share * len(data))])
    assert caught.value.code in ("broken_image", "not_an_image")


def test_an_empty_file_is_refused() -> None:
    refused(b"", "empty_image", "it has 0 bytes")


@pytest.mark.parametrize(
    "data", [b"<svg/>", b"%PDF-1.7", b"\x80\x04.", b"GIF88a", b"RIFF\0\0\0\0WAVE", b"\xff\xd8"]
)
def test_bytes_of_no_known_format_are_refused(data: bytes) -> None:
    refused(data, "not_an_image", r"no image. Send one of: JPEG, PNG, WEBP, GIF, BMP, TIFF\.")


def test_a_format_that_is_not_wanted_is_refused_by_name() -> None:
    refused(encode(photo(), "GIF"), "unsupported_format", "is a GIF. Send one of: JPEG.", formats=["JPEG"])


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limit_of_pixels_is_applied_to_the_header(kind: str) -> None:
    # Cut off after the header: whoever decoded first would find a damaged file.
    whole = encode(photo((1000, 500)), kind, **({"compression": "raw"} if kind == "TIFF" else {}))
    data = whole if kind in ("TIFF", "WEBP", "PNG") else whole[: max(800, len(whole) // 3)]
    refused(data, "too_many_pixels", r"1000 x 500 pixels; at most 499,999 are allowed\.", max_pixels=499_999)


def test_a_side_of_more_pixels_than_a_jpeg_can_have_is_refused() -> None:
    data = encode(Image.new("1", (65_536, 1)))
    refused(data, "too_many_pixels", r"65536 x 1 pixels; at most 65,535 a side are allowed\.")


@pytest.mark.parametrize(
    ("shorter", "size"),
    [
        (None, (900, 700)),
        (700, (900, 700)),
        (351, (900, 700)),
        (350, (450, 350)),
        (175, (225, 175)),
        (1, (113, 88)),
    ],
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_leaves_enough(
    shorter: int | None, size: tuple[int, int], options: dict[str, object]
) -> None:
    source = photo((900, 700))
    found = decode(encode(source, "JPEG", **options), shorter=shorter)
    assert found.size == size
    assert distance(found, source.resize(size, Image.Resampling.BOX)) < 3


def test_the_orientation_of_a_jpeg_decoded_small_is_undone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encode(photo((900, 700)), "JPEG", exif=exif), shorter=100).size == (175, 225)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_only_jpegs_are_decoded_small(kind: str) -> None:
    assert decode(encode(photo((900, 700)), kind), shorter=10).size == (900, 700)


def test_the_limit_is_of_the_pixels_in_the_file_however_small_it_would_be_decoded() -> None:
    data = encode(photo((900, 700)), "JPEG")
    refused(data, "too_many_pixels", "900 x 700 pixels", max_pixels=900 * 700 - 1, shorter=10)


def test_exactly_the_limit_of_pixels_is_allowed() -> None:
    assert decode(encode(photo()), max_pixels=90 * 70).size == (90, 70)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP"])
def test_giant_declared_sizes_are_refused_without_a_warning_or_memory(kind: str) -> None:
    data = bytearray(encode(photo(), kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "PNG":
        data[16:24] = b"\0\0\xff\xff" * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif kind == "GIF":
        data[6:10] = b"\xff" * 4
    elif kind == "BMP":
        data[18:26] = b"\xff\xff\0\0" * 2
    else:
        data[21:25] = (0x0FFFFFFF).to_bytes(4, "little")
    with warnings.catch_warnings(record=True) as leaked:
        refused(bytes(data), "too_many_pixels", "pixels")
    assert leaked == []


def test_a_jpeg_of_many_scans_is_refused() -> None:
    jpeg = encode(photo(), "JPEG", progressive=True)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    refused(jpeg[:-2] + 200 * last + jpeg[-2:], "too_many_scans", "baseline JPEG", max_pixels=90 * 70)


def test_a_jpeg_of_thousands_of_segments_is_refused() -> None:
    jpeg = encode(photo(), "JPEG")
    comments = MAX_JPEG_SEGMENTS * jpeg_segment(0xFE, b"")
    refused(jpeg[:2] + comments + jpeg[2:], "broken_image", "more than 4096 header segments")


def test_an_exif_directory_that_multiplies_its_size_is_not_followed() -> None:
    # 65,535 entries that share a block of 2 MB: 130 GB, were they read.
    entries = b"".join(
        number.to_bytes(2, "little") + b"\x07\0" + (2_000_000).to_bytes(4, "little") + b"\x08\0\0\0"
        for number in range(65535)
    )
    exif = b"II*\0\x08\0\0\0\xff\xff" + entries + bytes(2_000_000)
    png = encode(photo())
    assert decode(png[:33] + png_chunk(b"eXIf", exif) + png[33:]).size == (90, 70)


def test_a_colour_profile_that_is_a_zip_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    png = encode(photo())
    assert decode(png[:33] + 100 * png_chunk(b"iCCP", b"a\0\0" + bomb) + png[33:]).size == (90, 70)


@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_is_damaged_only_image_errors_are_raised(kind: str) -> None:
    data = encode(photo((40, 30)), kind)
    random = np.random.default_rng(7)
    errors = []
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 6):
            damaged[place] = random.integers(0, 256)
        try:
            assert decode(bytes(damaged)).mode == "RGB"
        except ImageError as error:
            errors.append(error)
    assert "broken_image" in {error.code for error in errors}
    assert not re.search(r"0x|BytesIO|\\x", " ".join(error.message for error in errors))


def test_pil_warnings_stay_inside_in_every_thread() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40)
    tiff_with_odd_tag = encode(photo(), "TIFF", tiffinfo={34665: 7})
    jpeg = encode(photo(), "JPEG")
    samples = [jpeg[:2] + jpeg_segment(0xE1, exif) + jpeg[2:], tiff_with_odd_tag]

    def work() -> None:
        for data in 20 * samples:
            decode(data)

    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert leaked == []


def test_a_png_with_text_and_profile_is_decoded_without_them() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 1000, zip=True)
    image = decode(encode(photo(), pnginfo=info, icc_profile=b"no profile"))
    assert distance(image, photo()) == 0
