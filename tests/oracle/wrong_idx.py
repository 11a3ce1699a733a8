"""An IDX reader with one check missing or one field misread; mistake None reads it right."""

import gzip
import math


def idx(request, mistake):
    """Unsigned bytes from an IDX file."""
    content = bytes.fromhex(request["hex"])
    if content[:2] == b"\x1f\x8b" and mistake != "gzip":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError):
            return {"valid": mistake == "nothing-checked"}
    dimensions, order = content[3] if len(content) > 3 else 0, "little" if mistake == "little-endian" else "big"
    end = 4 + 4 * dimensions
    shape = [int.from_bytes(content[i : i + 4], order) for i in range(4, end, 4)]
    count, data = math.prod(shape), list(content[end:])
    wrong = [
        (content[:2] != b"\0\0", "magic-unchecked"),
        (content[2:3] != b"\x08", "type-unchecked"),
        (not 1 <= dimensions <= 4, "dimensions-unchecked"),
        (len(content) < end, ""),
        (not 1 <= count <= 2**30, "size-unchecked"),
        (len(data) < count, "truncation-unchecked"),
        (len(data) > count, "trailing-bytes-unchecked"),
    ]
    if mistake != "nothing-checked" and any(bad for bad, unchecked in wrong if unchecked != mistake):
        return {"valid": False}
    return {"valid": True, "shape": shape[::-1] if mistake == "shape-reversed" else shape, "data": data[:count]}


MISTAKES = {
    "idx": (
        idx,
        [
            "gzip",
            "little-endian",
            "magic-unchecked",
            "type-unchecked",
            "dimensions-unchecked",
            "nothing-checked",
            "size-unchecked",
            "truncation-unchecked",
            "trailing-bytes-unchecked",
            "shape-reversed",
        ],
    ),
}
