"""Metadata put into image files by hand, in every place and way that readers meet."""

import struct
import zlib


def exif(orientation, *, order="<", kind=3, values=1, damaged=False) -> bytes:
    """An EXIF block with one orientation tag, or none; damaged: a tag before it points outside."""
    shape = {1: "B3x", 3: "H2x", 4: "L", 9: "l", 11: "f"}[kind]
    entries = []
    if damaged:
        entries.append(struct.pack(order + "HHLL", 0x010F, 2, 8, 9999))
    if orientation is not None:
        value = struct.pack(order + shape, orientation)
        entries.append(struct.pack(order + "HHL", 0x0112, kind, values) + value)
    head = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    return b"Exif\0\0" + head + struct.pack(order + "L", 8) + directory


def xmp(orientation, *, as_element=False) -> bytes:
    """An XMP packet with the orientation as attribute or element."""
    inner = (
        f"<tiff:Orientation>{orientation}</tiff:Orientation>"
        if as_element
        else f'<rdf:Description tiff:Orientation="{orientation}"/>'
    )
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>é{inner}</x:xmpmeta>".encode()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def xmp_segment(packet: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def with_segments(jpeg: bytes, segments: list[bytes]) -> bytes:
    """The JPEG with these segments behind its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def raw_profile(block: bytes) -> bytes:
    """EXIF as ImageMagick writes it into a text chunk."""
    return f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()


def xmp_chunk(packet: bytes, *, compressed=False) -> bytes:
    flag = b"\1\0" if compressed else b"\0\0"
    text = zlib.compress(packet) if compressed else packet
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + flag + b"\0\0" + text)


def with_chunks(png: bytes, early: list[bytes], late: list[bytes]) -> bytes:
    """The PNG with these chunks before its image and behind it."""
    image, end = png.index(b"IDAT") - 4, len(png) - 12
    return png[:image] + b"".join(early) + png[image:end] + b"".join(late) + png[end:]
