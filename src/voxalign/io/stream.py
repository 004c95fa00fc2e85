"""Bytes of files: read strictly and bounded, packed or not; packed in parallel."""
from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import ResourceError, SecurityError
from .header import note, refuse, warn

GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
_MAX_RATIO = 1032  # of deflate: one bit a match of 258 bytes, at most
_BOMB_RATIO, _BOMB_BYTES = 200, 2 << 30  # beyond both, a packed file is taken for a bomb
_SURPLUS = 64 << 20  # bytes after the image that are still read through to verify the checksum


class Stream:
    """The bytes of a file from ``start`` on, unpacked on the way if they are packed (gzip or zlib).

    Reading less than asked for, a wrong checksum or damaged packing is an `InputError`; so is a size that the file
    cannot hold, before anything is allocated. A `SecurityError` is a file that unpacks to absurdly more than it is. With
    ``tail``, other data may follow the image.
    """

    def __init__(self, path: Path, start: int = 0, packed: bool | None = None, tail: bool = False) -> None:
        self.path, self.tail = path, tail
        self._file = open_file(path)
        self._left = max(os.fstat(self._file.fileno()).st_size - start, 0)
        self._file.seek(start)
        self.packed = self._peek(2) == GZIP if packed is None else packed
        self._engine = zlib.decompressobj(47) if self.packed else None  # 47: either gzip or zlib, by its first bytes
        self._pending = b""
        self._size = self._left

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def expect(self, total: int) -> None:
        """Refuse at once if ``total`` bytes from the start cannot be here, or should not be unpacked."""
        if total > self._size * (_MAX_RATIO if self.packed else 1):
            raise refuse(self.path, f"truncated: the header announces {total} bytes, the file has {self._size}; copy it again")
        if self.packed and total > _BOMB_BYTES and total > _BOMB_RATIO * self._size:
            raise SecurityError(note(self.path, f"{self._size} bytes would unpack to {total}; if you trust it, gunzip it yourself"))

    def take(self, count: int) -> NDArray[np.uint8]:
        """The next ``count`` bytes, all of them; a `ResourceError` if memory is too small for them."""
        if count > _memory():
            raise ResourceError(note(self.path, f"its {count / 2**30:.0f} GiB do not fit into memory; crop or downsample it first"))
        out = np.empty(count, np.uint8)
        at = 0
        for piece in self._pieces(count):
            out[at:at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
        if at < count:
            raise refuse(self.path, f"truncated: it ends {count - at} bytes early; copy it again")
        return out

    def peek_bytes(self, count: int) -> bytes:
        """Up to ``count`` of the next bytes, which then count as read."""
        return b"".join(self._pieces(count))

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        if not self.packed:
            self._file.seek(count, os.SEEK_CUR)
            self._left = max(self._left - count, 0)
        elif sum(map(len, self._pieces(count))) < count:
            raise refuse(self.path, "truncated: it ends early; copy it again")

    def finish(self) -> None:
        """Read to the end, verify the checksum of packed data, and warn of bytes that do not belong to the image."""
        extra = 0
        for piece in self._pieces(_SURPLUS if self.packed else _BLOCK):
            extra += len(piece)
        if self.packed and extra >= _SURPLUS:
            raise SecurityError(note(self.path, "it unpacks to much more than the image in it; if you trust it, gunzip it yourself"))
        extra += self._left + len(self._pending)
        if extra and not self.tail:
            warn(self.path, f"{extra} bytes after the image were ignored")

    # ---------------------------------------------------------------- inside
    def _peek(self, count: int) -> bytes:
        here = self._file.tell()
        first = self._file.read(count)
        self._file.seek(here)
        return first

    def _read(self, count: int) -> bytes:
        block = self._file.read(min(count, self._left))
        self._left -= len(block)
        if not block:
            self._left = 0
        return block

    def _pieces(self, count: int) -> Iterator[bytes]:
        """Up to ``count`` bytes in pieces; fewer at the end."""
        while count > 0:
            piece = self._unpack(count) if self.packed else self._read(min(count, 64 * _BLOCK))
            if not piece:
                return
            count -= len(piece)
            yield piece

    def _unpack(self, most: int) -> bytes:
        """Some unpacked bytes; none at the end of the packed data."""
        while True:
            if self._engine.eof and not self._next_member():
                return b""
            block = self._pending or self._read(_BLOCK)
            if not block:
                raise refuse(self.path, "truncated: the packed data end early; copy it again")
            try:
                piece = self._engine.decompress(block, most)
            except zlib.error as error:
                raise refuse(self.path, f"damaged packed data ({error}); copy it again") from None
            self._pending = self._engine.unconsumed_tail
            if piece:
                return piece

    def _next_member(self) -> bool:
        """Whether another gzip member follows (files may be several, one after the other)."""
        rest = self._engine.unused_data or self._pending
        rest = rest if len(rest) > 1 else rest + self._read(_BLOCK)
        self._pending = rest
        if rest[:2] != GZIP:
            if not rest.strip(b"\0"):  # padding, as tape archives leave it
                self._pending = b""
            return False
        self._engine = zlib.decompressobj(47)
        return True


def open_file(path: Path):
    """Open an ordinary file for reading; anything else is an `InputError`."""
    try:
        if not path.is_file():
            what = "a folder" if path.is_dir() else "not an ordinary file" if path.exists() else "missing"
            raise refuse(path, f"this file is {what}; check the path")
        return open(path, "rb")
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check its permissions") from None


def pack(parts: Sequence[bytes | memoryview], container: str = "gzip", strategy: int = zlib.Z_DEFAULT_STRATEGY) -> list[bytes]:
    """Deflate ``parts`` in parallel into one ordinary gzip (or ``zlib``) stream; the bytes do not depend on the threads.

    Blocks are packed on their own and end at byte boundaries, so that they can be joined (as pigz does).
    """
    blocks = [block for part in parts for block in _blocks(memoryview(part).cast("B"))]
    with ThreadPoolExecutor(_threads()) as pool:
        packed = pool.map(lambda item: _deflate(*item, strategy), [(b, i == len(blocks) - 1) for i, b in enumerate(blocks)])
        check = (zlib.crc32, 0) if container == "gzip" else (zlib.adler32, 1)
        value = check[1]
        for block in blocks:
            value = check[0](block, value)
        body = list(packed)
    if container == "zlib":
        return [b"\x78\x01", *body, value.to_bytes(4, "big")]
    size = sum(block.nbytes for block in blocks) & 0xFFFFFFFF
    return [GZIP + b"\x08\0\0\0\0\0\x04\xff", *body, value.to_bytes(4, "little") + size.to_bytes(4, "little")]


def _blocks(data: memoryview) -> Iterator[memoryview]:
    for start in range(0, data.nbytes, _BLOCK):
        yield data[start:start + _BLOCK]


def _deflate(block: memoryview, last: bool, strategy: int) -> bytes:
    engine = zlib.compressobj(1, zlib.DEFLATED, -15, 9, strategy)
    return engine.compress(block) + engine.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def _threads() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 8)


def _memory() -> int:
    """Bytes of memory of this machine (what cannot fit there need not be tried)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 46
