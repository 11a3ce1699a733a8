"""IDX from its specification: two zero bytes, type, number of dimensions, big-endian sizes, data."""

import gzip
import struct


def idx(request):
    """Shape and data if the file is valid: unsigned bytes in 1 to 4 dimensions."""
    content = bytes.fromhex(request["hex"])
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError):
            return {"valid": False}
    try:
        zero, code, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except struct.error:
        return {"valid": False}
    count = 1
    for size in shape:
        count *= size
    data = list(content[4 + 4 * dimensions :])
    if zero != 0 or code != 8 or not 1 <= dimensions <= 4 or not 1 <= count <= 2**30 or len(data) != count:
        return {"valid": False}
    return {"valid": True, "shape": list(shape), "data": data}
