"""Which index of a status list the n-th code gets: a keyed permutation, so that an index says nothing about when it was given out.

Pure. The store counts positions 0, 1, 2, ... and never goes back, so that no index is ever used twice.
"""

from __future__ import annotations

from hashlib import blake2b

ROUNDS = 10


def permute(key: bytes, position: int, capacity: int) -> int:
    """The index that belongs to `position`; both lie in [0, capacity), and different positions have different indices.

    A balanced Feistel network (Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", 1988)
    over the least even number of bits that holds the capacity, ten rounds as in FF1 of NIST SP 800-38G, BLAKE2b as round function;
    where the result falls outside the capacity it goes round again (cycle walking: Black and Rogaway, "Ciphers with arbitrary
    finite domains", 2002). For 2^26 the network has 26 bits and nothing walks.
    """
    if not 0 <= position < capacity:
        raise ValueError(f"position {position}: expected 0 to {capacity - 1}")
    half = max(1, ((capacity - 1).bit_length() + 1) // 2)
    value = position
    while True:
        value = _feistel(key, value, half)
        if value < capacity:
            return value


def _feistel(key: bytes, value: int, half: int) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for number in range(ROUNDS):
        block = bytes([number]) + right.to_bytes(8, "big")
        left, right = right, left ^ (int.from_bytes(blake2b(block, digest_size=8, key=key).digest(), "big") & mask)
    return (left << half) | right
