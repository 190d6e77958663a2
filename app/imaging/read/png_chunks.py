"""Walk the chunks of a PNG and put them in order for Pillow.

Pillow decodes all pixels to find metadata behind them, and refuses a file for damaged text.
Source: W3C PNG specification, third edition, section 5.
"""

import zlib
from collections.abc import Iterable, Iterator
from struct import Struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"

IDAT, IEND = b"IDAT", b"IEND"

_LENGTH_AND_KIND = Struct(">L4s")
_CRC_BYTES = 4
_FRAME = b"fcTL"
_EARLY = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"acTL", _FRAME)
"""Pillow reads these chunks in front of the pixels."""
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_EXIF = (b"eXIf", *_TEXT)
"""Pillow looks for the orientation in these chunks, also behind the pixels."""
_KEYWORDS = (b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Texts with an orientation begin with one of these words."""

_MOST_INFLATED_BYTES = 2**20
"""Pillow refuses a file for a text or colour profile that inflates to more."""

Chunk = tuple[bytes, int, int]
"""A chunk has a kind, a start and an end in the file."""


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield kind, start and end of each chunk, up to IEND or the end of a file cut off.

    A chunk contains its length, kind, body and checksum; the last chunk may end outside ``data``.
    """
    position = len(SIGNATURE)
    while position + _LENGTH_AND_KIND.size <= len(data):
        length, kind = _LENGTH_AND_KIND.unpack_from(data, position)
        end = position + _LENGTH_AND_KIND.size + length + _CRC_BYTES
        yield kind, position, end
        if kind == IEND:
            return
        position = end


def in_order(data: bytes) -> bytes:
    """Return a PNG with the same pixels, and its metadata in front of them.

    The result contains the chunks for pixels, colours, frames and orientation. Of several chunks of
    metadata of one kind it contains the last, like Pillow. Damaged and oversized metadata is
    dropped.
    """
    taken: dict[bytes, bytes] = {}
    first = last = 0
    for kind, start, end in chunks(data):
        if kind == IDAT:
            first = first or start
            if last in (0, start):
                last = end
        elif first and kind == _FRAME:
            break  # the frames behind the first, where Pillow looks for no metadata
        elif kind in _EXIF or (kind in _EARLY and not first):
            name = _keyword(data, start) if kind in _TEXT else kind
            if name and _is_sound(kind, data[start:end]):
                taken[name] = data[start:end]
    return b"".join((SIGNATURE, *taken.values(), memoryview(data)[first:last]))


def reach_end(walk: Iterable[Chunk], byte_count: int) -> bool:
    """Return True if the chunks of a file lead to IEND, with all pixels in one run of chunks."""
    kind, last, has_pixels = b"", 0, False
    for kind, start, end in walk:
        if kind == IDAT:
            if last not in (0, start):
                return False
            last = end
            has_pixels |= end - start > _LENGTH_AND_KIND.size + _CRC_BYTES
    return kind == IEND and has_pixels and end <= byte_count


def _keyword(data: bytes, start: int) -> bytes | None:
    """Return the keyword of the text chunk at ``start``; None for texts without orientation."""
    body = start + _LENGTH_AND_KIND.size
    return next((word for word in _KEYWORDS if data.startswith(word + b"\0", body)), None)


def _is_sound(kind: bytes, chunk: bytes) -> bool:
    """Return False for an ancillary chunk that makes Pillow refuse the file."""
    is_critical = not kind[0] & 0x20
    if is_critical:
        return True
    crc = int.from_bytes(chunk[-_CRC_BYTES:])
    return zlib.crc32(chunk[4:-_CRC_BYTES]) == crc and _is_short(kind, chunk[8:-_CRC_BYTES])


def _is_short(kind: bytes, body: bytes) -> bool:
    """Return True if a chunk's text or profile inflates, to no more than Pillow takes."""
    rest = body.partition(b"\0")[2]
    if kind in (b"iCCP", b"zTXt"):
        if rest[:1] != b"\0":
            return False  # a compression that PNG does not have
        stream = rest[1:]
    elif kind == b"iTXt" and rest[:1] != b"\0":
        stream = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        return True
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, _MOST_INFLATED_BYTES)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail
