"""QSGD's symbols, as a list of those that do not mean zero.

An item (`kernels.items`) consists of the index of a number and its symbol, without the one that means zero, so that 2s
remain. The norms stay at the beginning of the message; where the list is empty, they are zero.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel
from hpcopt.kernels.items import count_items, end_list, put_item, read_list_of, room_for_items
from hpcopt.kernels.lanes import load_single
from hpcopt.kernels.levels import SMALL, count, decode_block, room_for, step_of
from hpcopt.kernels.views import uncounted


@kernel()
def list_symbols(message: Bytes, d: int, bucket: int, levels: int, bits: int, per: int, width: int, more: int) -> int:
    """Replace the symbols of `message` by a list of those that do not mean zero, if it is shorter.

    Parameters
    ----------
    message
        From `levels.encode`, with the same `bucket`, `levels`, `bits` and `per`.
    d
        Number of numbers.
    width, more
        Bits of an index and of a symbol; together at least 8 and at most 32.

    Returns
    -------
    int
        Bytes of the message; -1 if it has not changed.
    """
    message = uncounted(message)
    _, symbols = room_for(per)
    values = np.empty(symbols.size, np.float32)
    header = 4 * count(d, bucket)
    most = (8 * (message.size - header) - 8) // (width + more)  # items, so that the list is a byte shorter
    if most < 0:
        return -1
    items = room_for_items(message.size - header)
    place, smallest = -1, np.uint64(0)
    at = header
    for start in range(0, d, bucket):
        end = min(start + bucket, d)
        for begin in range(start, end, symbols.size):
            v = values[: min(symbols.size, end - begin)]
            at += decode_block(message[at:], np.float32(1.0), levels, bits, per, symbols, v)
            for i in range(v.size):
                if v[i] != 0.0:
                    level = np.int64(v[i])
                    code = level + levels - np.int64(level > 0)
                    item = np.uint64((begin + i) | (code << width))
                    if place < 0:
                        smallest = item
                    else:
                        put_item(items, place, width + more, item)
                    place += 1
                    if max(place, 1) >= most:  # with the smallest one, which comes last
                        return -1
    size = 0
    if place < 0:
        message[:header] = 0
    else:
        size = (end_list(items, place, width + more, smallest) * (width + more) + 7) // 8
    for i in range(size):
        message[header + i] = items[i]
    return header + size


@kernel()
def expand_symbols(
    message: Bytes,
    bucket: int,
    levels: int,
    width: int,
    more: int,
    divisor: float,
    last_divisor: float,
    out: Floats,
) -> bool:
    """Fill `out`, shape (d,), like `levels.decode`, from a message of `list_symbols`.

    Returns
    -------
    bool
        False if the list has been cut or an index or a symbol is out of range.
    """
    buckets = count(out.size, bucket)
    items = message[4 * buckets :]
    many = count_items(items, width + more)
    if many < 0 or (many == 0 and message.any()):
        return False
    out[:] = 0
    ones = np.uint64((1 << width) - 1)
    listed = np.empty(many, np.int64)
    read_list_of(items, width + more, listed)
    before = np.int64(-1)
    for k in range(many):
        item = np.uint64(listed[k])
        index, code = np.int64(item & ones), np.int64(item >> np.uint64(width))
        if not before < index < out.size or code >= 2 * levels:
            return False
        before = index
        b = index // bucket
        scale = load_single(message, 4 * int(b))
        level = np.float32(code - levels + np.int64(code >= levels))
        out[index] = level * step_of(scale, last_divisor if b == buckets - 1 else divisor)
        if scale < 0.0:
            out[index] *= out.dtype.type(SMALL)
    return True
