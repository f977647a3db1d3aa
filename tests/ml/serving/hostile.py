"""1,000 image files that mean harm, the same ones every time."""

from __future__ import annotations

import pickle
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image

from tests.ml.serving.samples import encode, jpeg_segment, photo, png_chunk

COUNT = 1000
SIGNATURE = b"\x89PNG\r\n\x1a\n"

MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
ANY = "application/x-image"

File = tuple[str, str, bytes]  # what it is, the Content-Type, the body


def hostile_files() -> list[File]:
    made = list(_handmade())
    random_source = random.Random(20240501)  # noqa: S311 - repeatable, not secret
    seeds = _seeds()
    while len(made) < COUNT:
        name, kind, data = seeds[len(made) % len(seeds)]
        mutation = random_source.choice(_MUTATIONS)
        content_type = random_source.choice(
            [MIME.get(kind, ANY), ANY, ANY, random_source.choice(list(MIME.values()))]
        )
        made.append((f"{name}: {mutation.__name__}", content_type, mutation(data, random_source)))
    return made


def _seeds() -> list[tuple[str, str, bytes]]:
    small, exif = photo((48, 40)), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    palette = small.convert("RGB").quantize(32)
    frames = {"save_all": True, "append_images": [photo((48, 40), seed) for seed in range(3)]}
    return [
        ("baseline JPEG", "JPEG", encode(small, "JPEG", exif=exif)),
        ("progressive JPEG", "JPEG", encode(small, "JPEG", progressive=True)),
        ("JPEG with restarts", "JPEG", encode(small, "JPEG", restart_marker_blocks=2)),
        ("CMYK JPEG", "JPEG", encode(small.convert("CMYK"), "JPEG")),
        ("grey JPEG", "JPEG", encode(small.convert("L"), "JPEG", quality=20)),
        ("RGB PNG", "PNG", encode(small, exif=exif)),
        ("palette PNG", "PNG", encode(palette, transparency=3)),
        ("one-bit PNG", "PNG", encode(small.convert("1"))),
        ("16-bit PNG", "PNG", encode(Image.new("I;16", (48, 40), 40000))),
        ("animated PNG", "PNG", encode(small, **frames)),
        ("lossy WebP", "WEBP", encode(small, "WEBP", exif=exif)),
        ("lossless WebP", "WEBP", encode(small.convert("RGBA"), "WEBP", lossless=True)),
        ("animated WebP", "WEBP", encode(small, "WEBP", **frames)),
        ("GIF", "GIF", encode(palette, "GIF", **frames)),
        ("BMP", "BMP", encode(small, "BMP")),
        ("TIFF", "TIFF", encode(small, "TIFF", compression="tiff_lzw")),
    ]


def _cut(data: bytes, source: random.Random) -> bytes:
    return data[: source.randrange(len(data))]


def _flip_bits(data: bytes, source: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(source.choice([1, 3, 30])):
        damaged[source.randrange(len(data))] ^= 1 << source.randrange(8)
    return bytes(damaged)


def _damage_header(data: bytes, source: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(4):
        damaged[source.randrange(4, min(64, len(data)))] = source.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(damaged)


def _extreme_number(data: bytes, source: random.Random) -> bytes:
    at, number = (
        source.randrange(len(data)),
        source.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"]),
    )
    return data[:at] + number + data[at + 4 :]


def _drop(data: bytes, source: random.Random) -> bytes:
    start = source.randrange(len(data))
    return data[:start] + data[start + source.randrange(1, 100) :]


def _repeat(data: bytes, source: random.Random) -> bytes:
    start = source.randrange(len(data))
    end = start + source.randrange(1, 200)
    return data[:end] + data[start:end] * source.choice([1, 50, 2000]) + data[end:]


def _noise_inside(data: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(data))
    return data[:at] + source.randbytes(source.choice([1, 64, 5000])) + data[at:]


def _repair_png(data: bytes, source: random.Random) -> bytes:
    """Damaged, and the checksums of a PNG right again, so that the damage gets past them."""
    damaged = _flip_bits(data, source)
    if not damaged.startswith(SIGNATURE):
        return damaged
    out, at = [SIGNATURE], 8
    while at + 12 <= len(damaged):
        length = int.from_bytes(damaged[at : at + 4], "big")
        out.append(png_chunk(damaged[at + 4 : at + 8], damaged[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join(out)


_MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _cut,
    _flip_bits,
    _damage_header,
    _extreme_number,
    _drop,
    _repeat,
    _noise_inside,
    _repair_png,
]


def png(width: int, height: int, depth: int, colour: int, *chunks: bytes, rows: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(bytes(1000), 9) if rows is None else rows
    return b"".join(
        [SIGNATURE, png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")]
    )


def _handmade() -> Iterator[File]:
    yield from _bombs()
    yield from _metadata()
    yield from _impostors()
    yield from _oddities()


def _bombs() -> Iterator[File]:
    jpeg, webp = encode(photo(), "JPEG"), encode(photo(), "WEBP")
    frame = jpeg.index(b"\xff\xc0") + 5
    for width, height in [(65535, 65535), (50_001, 1000), (1, 65535), (65535, 1), (0, 0), (0, 90), (90, 0)]:
        size = f"{width} x {height}"
        yield f"JPEG of {size}", ANY, jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :]
        yield (
            f"GIF of {size}",
            ANY,
            b"GIF89a" + struct.pack("<HH", width, height) + encode(photo(), "GIF")[10:],
        )
    for width, height in [
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 1),
        (100_000, 100_000),
        (0, 5),
        (1, 50_000_000),
        (7072, 7072),
    ]:
        for depth, colour in [(1, 0), (8, 2), (16, 6), (8, 3)]:
            yield (
                f"PNG of {width} x {height}, {depth} bit, type {colour}",
                ANY,
                png(width, height, depth, colour),
            )
    canvas = struct.pack("<I", 0xFFFFFF)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + 2 * canvas
    yield "WebP canvas of 2^24 squared", ANY, _riff(extended + webp[12:])
    lossless = b"VP8L" + struct.pack("<I", 5) + b"\x2f\xff\xff\xff\x0f"
    yield "lossless WebP of 16384 squared", ANY, _riff(lossless + b"\0")
    yield "lossy WebP of 16383 squared", ANY, webp[:26] + b"\xff\x3f\xff\x3f" + webp[30:]
    for side in (30_000, -30_000, 2**31 - 1, 0):
        yield f"BMP of {side} squared", ANY, _bmp(side)
    # What is just allowed: large pictures out of small files.
    blank = zlib.compress(bytes(7000 * (1 + 4 * 7000)), 9)
    yield "49 million transparent pixels in 190 kB", MIME["PNG"], png(7000, 7000, 8, 6, rows=blank)
    yield "49 million transparent pixels of WebP", ANY, _blank_webp(7000)
    yield "49 million pixels of JPEG", MIME["JPEG"], encode(Image.new("L", (7000, 7000)), "JPEG")
    yield "a line of 16,000 pixels", MIME["JPEG"], encode(photo((16_000, 1)), "JPEG")
    progressive = encode(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield "JPEG of 6,000 scans", ANY, progressive[:-2] + 6000 * scan + b"\xff\xd9"
    yield (
        "PNG that goes on after its pixels",
        ANY,
        png(10, 10, 8, 2, rows=zlib.compress(bytes(100_000_000), 9)),
    )


def _metadata() -> Iterator[File]:
    whole_png, jpeg = encode(photo()), encode(photo(), "JPEG")
    bomb = zlib.compress(bytes(20_000_000), 9)

    def in_png(*chunks: bytes) -> bytes:
        return whole_png[:33] + b"".join(chunks) + whole_png[33:]

    def in_jpeg(*segments: bytes) -> bytes:
        return jpeg[:2] + b"".join(segments) + jpeg[2:]

    yield "iCCP bomb", ANY, in_png(png_chunk(b"iCCP", b"icc\0\0" + bomb))
    yield "a hundred iCCP bombs", ANY, in_png(*100 * [png_chunk(b"iCCP", b"icc\0\0" + bomb)])
    yield "zTXt bomb", ANY, in_png(png_chunk(b"zTXt", b"key\0\0" + bomb))
    yield "iTXt bomb", ANY, in_png(png_chunk(b"iTXt", b"key\0\1\0\0\0" + bomb))
    yield "100,000 text chunks", ANY, in_png(*100_000 * [png_chunk(b"tEXt", b"k\0v")])
    yield "4 MB of text", ANY, in_png(png_chunk(b"tEXt", b"k\0" + bytes(4_000_000)))
    yield "APNG of 4 billion frames", ANY, in_png(png_chunk(b"acTL", b"\xff" * 8))
    entries = b"".join(struct.pack("<HHII", tag, 7, 2_000_000, 8) for tag in range(65535))
    swollen = b"II*\0" + struct.pack("<IH", 8, 65535) + entries + bytes(2_000_000)
    yield "EXIF entries that share their data", ANY, in_png(png_chunk(b"eXIf", swollen))
    yield "the same in a WebP", ANY, encode(photo(), "WEBP", exif=swollen)
    yield "100,000 EXIF segments", ANY, in_jpeg(*100_000 * [jpeg_segment(0xE1, b"Exif\0\0II*\0")])
    yield "a million empty comments", ANY, in_jpeg(*1_000_000 * [jpeg_segment(0xFE, b"")])
    yield "5 MB of fill bytes", ANY, in_jpeg(b"\xff" * 5_000_000)
    yield "50 segments of EXIF", ANY, in_jpeg(*50 * [jpeg_segment(0xE1, b"Exif\0\0" + bytes(65_000))])
    for offset in (0, 6, 8, 0x7FFFFFFF, 0xFFFFFFFF):
        exif = b"MM\0*" + struct.pack(">IH", offset, 0xFFFF) + b"\x01\x12\0\3\0\0\0\1\0\x06\0\0"
        yield f"EXIF directory at {offset}", ANY, in_jpeg(jpeg_segment(0xE1, b"Exif\0\0" + exif))
    itself = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    yield "EXIF directory that holds itself", ANY, in_jpeg(jpeg_segment(0xE1, b"Exif\0\0" + itself))
    yield "MPF directory", ANY, in_jpeg(jpeg_segment(0xE2, b"MPF\0" + swollen[:60_000]))
    yield "Photoshop resources", ANY, in_jpeg(jpeg_segment(0xED, b"Photoshop 3.0\0" + b"8BIM\xff" * 9000))
    yield (
        "ICC profile in 255 parts, one there",
        ANY,
        in_jpeg(jpeg_segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(900))),
    )
    xmp = b"<x:xmpmeta>" + b"<a>" * 20_000
    yield "XMP nested 20,000 deep", ANY, in_jpeg(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))


def _impostors() -> Iterator[File]:
    jpeg, whole_png = encode(photo(), "JPEG"), encode(photo())
    texts = {
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "SVG of entities": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><svg>&c;</svg>',
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n(%pipe%id) (w) file\n",
        "XBM": b"#define x_width 9\n#define x_height 9\nstatic char x_bits[] = {0};",
        "PPM": b"P6 60000 60000 255\n",
        "pickle": pickle.dumps({"image": [1, 2, 3]}),
        "ZIP": b"PK\x03\x04" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
        "ELF": b"\x7fELF" + bytes(60),
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(60),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
        "ICO": b"\0\0\1\0\1\0" + bytes(60),
        "PSD": b"8BPS\0\1" + bytes(60),
        "TGA": b"\0\0\2" + bytes(9) + b"\xff\xff\xff\xff\x20\0",
        "DDS": b"DDS |\0\0\0" + bytes(120),
        "FLI": bytes(4) + b"\x11\xaf" + bytes(122),
        "nothing": b"",
        "one byte": b"\xff",
        "zeros": bytes(5000),
        "a newline": b"\n",
        "UTF-16": "image".encode("utf-16"),
    }
    for name, data in texts.items():
        yield name, ANY, data
        yield f"{name} as image/jpeg", MIME["JPEG"], data
    for name, data in [("JPEG", jpeg), ("PNG", whole_png), ("WebP", encode(photo(), "WEBP"))]:
        yield f"{name} declared as another", MIME["PNG" if name != "PNG" else "JPEG"], data
        yield f"{name} and a ZIP after it", ANY, data + b"PK\x03\x04" + bytes(100)
        yield f"{name} and HTML after it", ANY, data + b"<script>alert(1)</script>"
        yield f"{name} after an empty line", ANY, b"\n" + data
        yield f"{name} after a byte-order mark", ANY, b"\xef\xbb\xbf" + data
        yield f"{name} twice", ANY, data + data
        yield f"{name} as the text of its bytes", ANY, repr(data).encode()
    signatures = [
        SIGNATURE,
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"RIFF\xff\xff\xff\xffWEBP",
    ]
    for signature in signatures:
        for tail in (b"", b"\0", bytes(100), b"\xff" * 100, b"A" * 100_000):
            yield f"{signature[:4]!r} and {len(tail)} bytes", ANY, signature + tail
    for first, second in [(SIGNATURE, jpeg), (b"GIF89a", whole_png), (jpeg[:20], whole_png), (b"BM", jpeg)]:
        yield "head of one, body of another", ANY, first + second


def _oddities() -> Iterator[File]:
    for colour in range(8):
        for depth in (1, 2, 3, 4, 8, 16, 255):
            yield f"PNG of type {colour} with {depth} bits", ANY, png(10, 10, depth, colour)
    for entries in (0, 1, 255, 257, 2000, 1_000_000):
        chunk = png_chunk(b"PLTE", bytes(3 * entries))
        yield f"PNG palette of {entries}", ANY, png(10, 10, 8, 3, chunk)
        yield (
            f"PNG transparency of {entries}",
            ANY,
            png(10, 10, 8, 3, png_chunk(b"PLTE", bytes(9)), png_chunk(b"tRNS", bytes(entries))),
        )
    rows = zlib.compress(10 * (b"\x07" + bytes(30)))
    yield "PNG with an unknown filter", ANY, png(10, 10, 8, 2, rows=rows)
    yield "PNG with pixels that are no zlib", ANY, png(10, 10, 8, 2, rows=b"no zlib")
    yield "PNG without pixels", ANY, png(10, 10, 8, 2, rows=b"")
    yield (
        "PNG of two headers",
        ANY,
        png(10, 10, 8, 2, png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))),
    )
    yield "PNG with a chunk of 4 GB", ANY, SIGNATURE + b"\xff\xff\xff\xffIHDR" + bytes(100)
    cmyk = photo().convert("CMYK")
    plain = encode(cmyk, "JPEG")
    adobe = plain.index(b"Adobe")
    for transform in range(4):
        yield (
            f"CMYK JPEG with Adobe transform {transform}",
            ANY,
            plain[: adobe + 11] + bytes([transform]) + plain[adobe + 12 :],
        )
    yield "CMYK JPEG without Adobe's mark", ANY, plain.replace(b"Adobe", b"Edoba")
    yield "CMYK JPEG cut short", ANY, plain[: len(plain) // 2]
    for components in (0, 2, 5, 255):
        jpeg = encode(photo(), "JPEG")
        at = jpeg.index(b"\xff\xc0") + 9
        yield f"JPEG of {components} components", ANY, jpeg[:at] + bytes([components]) + jpeg[at + 1 :]
    for marker in (0xC1, 0xC3, 0xC5, 0xC9, 0xCB, 0xF7):
        yield (
            f"JPEG of process {marker:x}",
            ANY,
            encode(photo(), "JPEG").replace(b"\xff\xc0", bytes([0xFF, marker])),
        )
    tiny = [Image.new("RGB", (4, 4), (number % 256, number // 256, 0)) for number in range(3000)]
    frames = partial(encode, tiny[0], save_all=True, append_images=tiny[1:])
    yield "PNG of 3,000 frames", ANY, frames("PNG")
    yield "WebP of 3,000 frames", ANY, frames("WEBP", lossless=True, method=0)
    yield "GIF of 3,000 frames", ANY, frames("GIF")


def _riff(content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content


def _bmp(side: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


def _blank_webp(side: int) -> bytes:
    return encode(Image.new("RGBA", (side, side)), "WEBP", lossless=True, method=0, quality=0)
