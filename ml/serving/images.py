"""From the bytes of a photo to an RGB image; one path for training and serving, safe on hostile files.

The format is told from the bytes, and its PIL plugin is used directly. `Image.open` would measure the size
against a limit that is global to the process, and warn; here the limit is an argument, and it is applied to
the header, before memory for a pixel is taken. What PIL's own metadata parsers would do with a crafted file
(an EXIF directory of 65,535 entries that all point at the same megabytes, EXIF blocks joined in quadratic
time, thousands of colour profiles inflated) is avoided by not calling them: the metadata of JPEG and PNG is
cut off first, and the orientation is read here.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Collection
from typing import Final

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_PIXELS: Final = 50_000_000
MAX_SIDE: Final = 65_535  # pixels, as in a JPEG; PIL takes 8 bytes a row besides the pixels
MAX_SCANS: Final = 100  # passes over a JPEG of MAX_PIXELS; cameras and encoders make about ten
MAX_JPEG_SEGMENTS: Final = 4096

_PLUGINS: Final[dict[str, type[ImageFile]]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
FORMATS: Final = tuple(_PLUGINS)

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)

_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(Exception):
    """These bytes are no picture that can be used; `code` is for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def sniff(data: bytes) -> str | None:
    """The format that the first bytes announce, one of FORMATS."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def decode(
    data: bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: Collection[str] = FORMATS,
    shorter: int | None = None,
) -> Image.Image:
    """The upright first frame in RGB; transparency on white, 16-bit grey scaled to 8 bits.

    A JPEG is decoded at the smallest scale of its transform that leaves the shorter side `shorter` pixels: for 512, a
    photo of 12 million pixels is decoded and resized in a quarter of the time, in a sixteenth of the memory.
    Raises ImageError, whatever is wrong.
    """
    # catch_warnings is not thread-safe, and PIL warns about odd metadata, which is no concern of the caller.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    kind = sniff(data)
    if not data:
        raise ImageError("empty_image", "The image is empty: it has 0 bytes.")
    if kind is None:
        raise ImageError("not_an_image", f"The bytes are no image. Send one of: {', '.join(formats)}.")
    if kind not in formats:
        raise ImageError("unsupported_format", f"The image is a {kind}. Send one of: {', '.join(formats)}.")
    try:
        exif = b""
        if kind in _STRIPPERS:
            data, exif = _STRIPPERS[kind](data)
        image: Image.Image = _PLUGINS[kind](io.BytesIO(data))
        _check_size(image, data, max_pixels)
        if shorter is not None and kind == "JPEG":
            image.draft(None, (shorter, shorter))
        image.load()
        return _to_rgb(_upright(image, exif or image.info.get("exif", b"")))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # some plugins look for themselves, at 179 million pixels
        text = f"The {kind} has more than {max_pixels:,} pixels. Scale it down."
        raise ImageError("too_many_pixels", text) from error
    # PIL's decoders raise what they run into: OSError, SyntaxError, struct.error, MemoryError, ...
    except Exception as error:
        raise ImageError("broken_image", f"The {kind} is damaged or cut short.") from error


def _check_size(image: Image.Image, data: bytes, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"The image has {width} x {height} pixels; at most {max_pixels:,} are allowed. Scale it down.",
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            "too_many_pixels",
            f"The image has {width} x {height} pixels; at most {MAX_SIDE:,} a side are allowed. Cut it.",
        )
    # Each scan of a progressive JPEG is a pass over all pixels, and can be written in a few dozen bytes.
    scans = data.count(b"\xff\xda") if image.format == "JPEG" else 1
    if scans * width * height > MAX_SCANS * max_pixels:
        raise ImageError("too_many_scans", f"The JPEG has {scans} scans. Save it again as a baseline JPEG.")


def _strip_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """The JPEG without metadata (only APP0 and APP14 bear on the colours), and its first EXIF block."""
    kept, exif = [b"\xff\xd8"], b""
    at = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        at = data.index(b"\xff", at)
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if marker == 0xDA:  # start of scan: compressed data from here on
            return b"".join([*kept, data[at:]]), exif
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # stuffing and markers that carry no length
            at += 2
            continue
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xE1 and not exif and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = data[at + 4 : end]
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(data[at:end])
        at = end
    raise ImageError("broken_image", f"The JPEG has more than {MAX_JPEG_SEGMENTS} header segments.")


def _strip_png(data: bytes) -> tuple[bytes, bytes]:
    """The PNG with the chunks that make its (first) picture, and its EXIF block."""
    kept, exif = [data[:8]], b""
    at = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ImageError("broken_image", "The PNG is cut short.")
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[at:end])
        elif name == b"eXIf":
            exif = data[at + 8 : end - 4]
        if name == b"IEND":
            return b"".join(kept), exif
        at = end


_STRIPPERS: Final = {"JPEG": _strip_jpeg, "PNG": _strip_png}


def _upright(image: Image.Image, exif: bytes) -> Image.Image:
    try:
        orientation = _orientation(exif.removeprefix(b"Exif\0\0"))
    except struct.error:  # broken metadata does not make a broken picture
        return image
    return image.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else image


def _orientation(exif: bytes) -> int | None:
    """Tag 0x0112 of the first directory (TIFF 6.0, section 2; Exif 2.3, section 4.6.4)."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == 0x0112:
            return int(value) if kind == 3 else None  # 3: SHORT
    return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    elif image.mode in ("I", "F", "LAB"):
        raise ImageError(
            "unsupported_pixels",
            f"The pixels have PIL's mode {image.mode}, whose range is not known. Save it with 8 or 16 bits.",
        )
    # PIL's conversion copies even where there is nothing to convert: 200 MB for the largest images.
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _to_eight_bits(image: Image.Image) -> Image.Image:
    # PIL's own conversion clips at 255 instead of scaling.
    grey = np.asarray(image).astype(np.uint32)
    if "transparency" in image.info:
        grey[grey == image.info["transparency"]] = 65535
    grey *= 255
    grey += 32767
    grey //= 65535
    return Image.fromarray(grey.astype(np.uint8))
