"""Requests about IDX files, valid and invalid: (name, request)."""

import gzip
import struct


def idx():
    """Valid and invalid files."""
    one = _idx_file([3], [7, 0, 255])
    two = _idx_file([2, 3], [1, 2, 3, 4, 5, 6])
    three = _idx_file([2, 2, 2], [9, 8, 7, 6, 5, 4, 3, 2])
    good = {
        "labels": one,
        "matrix": two,
        "images": three,
        "four-dimensions": _idx_file([1, 2, 1, 2], [1, 2, 3, 4]),
        "one-byte": _idx_file([1], [42]),
        "three-hundred": _idx_file([300], [k % 256 for k in range(300)]),
        "gzip": gzip.compress(two, mtime=0),
    }
    bad = {
        "empty": b"",
        "one-byte-only": b"\0",
        "magic-cut": two[:3],
        "header-cut": two[:9],
        "no-payload": two[:12],
        "payload-cut": two[:-1],
        "one-too-many": two + b"\0",
        "first-byte": b"\1" + two[1:],
        "second-byte": two[:1] + b"\1" + two[2:],
        "type-signed": two[:2] + b"\x09" + two[3:],
        "type-float": two[:2] + b"\x0d" + two[3:],
        "type-unknown": two[:2] + b"\0" + two[3:],
        "no-dimensions": b"\0\0\x08\0" + b"\5",
        "five-dimensions": _idx_file([1, 1, 1, 1, 2], [1, 2]),
        "all-dimensions": two[:3] + b"\xff" + two[4:],
        "zero-size": _idx_file([0, 3], []),
        "size-too-large": struct.pack(">HBBI", 0, 8, 1, 2**32 - 1) + bytes(8),
        "product-too-large": struct.pack(">HBB2I", 0, 8, 2, 2**31, 2**31) + bytes(8),
        "little-endian-size": struct.pack("<HBBI", 0, 8, 1, 3) + bytes(3),
        "gzip-cut": gzip.compress(two, mtime=0)[:-6],
        "gzip-of-nothing-valid": gzip.compress(b"not IDX", mtime=0),
        "text": b"hello, world",
    }
    for group, files in (("valid", good), ("invalid", bad)):
        for name, content in files.items():
            yield f"{group}/{name}", {"operation": "idx", "hex": content.hex()}


def _idx_file(shape, data):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(data)
