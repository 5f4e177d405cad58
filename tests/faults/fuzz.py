"""Mutated files: every one a pure function of its seed, so that a seed is all a failure needs to name."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[random.Random, bytearray, bytes], bytearray]


def flip_bits(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def set_numbers(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    """Two or four bytes become a number from the edge of what they hold: sizes and counts."""
    for _ in range(rng.choice((1, 2))):
        value = rng.choice(
            (b"\0\0", b"\1\0", b"\xff\xff", b"\x60\xea", b"\xff\x7f", b"\xff\xff\xff\x7f", b"\xff" * 4)
        )
        start = rng.randrange(len(data))
        data[start : start + len(value)] = value
    return data


def insert_bytes(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    start = rng.randrange(len(data))
    data[start:start] = rng.randbytes(rng.choice((1, 2, 16, 300)))
    return data


def delete_bytes(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 16, 300))]
    return data


def swap_blocks(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    size = rng.choice((1, 4, 32))
    a, b = (rng.randrange(max(1, len(data) - size)) for _ in range(2))
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return data


def truncate(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    return data[: rng.randrange(len(data))]


def splice(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    """The beginning of one file and the end of another."""
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def repeat(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((4, 32, 256))]
    return data[:start] + part * rng.choice((2, 50)) + data[start:]


def digits(rng: random.Random, data: bytearray, _: bytes) -> bytearray:
    """Other numbers in a text, still well formed: coordinates, ids, densities."""
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    for place in rng.sample(places, min(len(places), rng.choice((1, 3, 20)))):
        data[place] = rng.choice(b"0123456789-.e")
    return data


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, set_numbers, insert_bytes, delete_bytes, swap_blocks, truncate, splice, repeat, digits,
)  # fmt: skip


def mutate(seed: int, data: bytes, other: bytes) -> bytes:
    """One file made from `data` by one or two mutations; `other` is what `splice` ends with."""
    rng = random.Random(seed)
    changed = bytearray(data)
    for mutation in rng.sample(MUTATIONS, rng.choice((1, 1, 2))):
        changed = mutation(rng, changed, other) if changed else changed
    return bytes(changed)
