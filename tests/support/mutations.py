"""Seeded damage to files, as disks, editors, transfers and half-finished programs do it."""

import random
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]


def mutated(content: bytes, mutations: dict[str, Mutation], seed: int) -> tuple[str, bytes]:
    """The name of one of the mutations, each in its turn, and what it makes of the content."""
    name = list(mutations)[seed % len(mutations)]
    return name, mutations[name](content, random.Random(seed))


def flipped(content: bytes, rng: random.Random, start: float = 0, stop: float = 1, most: int = 20) -> bytes:
    """Some bytes within a part of the file replaced by others."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, most)):
        place = int(len(content) * rng.uniform(start, stop))
        damaged[min(place, len(content) - 1)] ^= rng.randint(1, 255)
    return bytes(damaged)


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def hollow(content: bytes, rng: random.Random) -> bytes:
    """A hole of zeros, as a crashed machine leaves it."""
    start = rng.randrange(len(content))
    length = rng.randint(1, max(1, len(content) // 4))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(1, len(content)))


def _lines(change: Callable[[list[bytes], random.Random], object]) -> Mutation:
    """A mutation of the list of lines, in place."""

    def mutation(content: bytes, rng: random.Random) -> bytes:
        lines = content.splitlines(keepends=True)
        change(lines, rng)
        return b"".join(lines)

    return mutation


def _word(replacement: Callable[[bytes, random.Random], bytes]) -> Mutation:
    """A mutation of one number of one line."""

    def change(lines: list[bytes], rng: random.Random) -> None:
        number = rng.randrange(len(lines))
        words = lines[number].split()
        column = rng.randrange(len(words))
        words[column] = replacement(words[column], rng)
        lines[number] = b" ".join(words) + b"\n"

    return _lines(change)


def _duplicate(lines: list[bytes], rng: random.Random) -> None:
    start, count = rng.randrange(len(lines)), rng.choice((1, 3, 20, 40))
    lines[start:start] = lines[start : start + count]


def _cut_out(lines: list[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(lines))
    del lines[start : start + rng.choice((1, 3, 20, 40))]


def _column(lines: list[bytes], rng: random.Random) -> None:
    """A column more or less, in one line or in all of them."""
    more, which = rng.random() < 0.5, rng.choice((slice(None), slice(5, 6)))
    lines[which] = [
        (line.rstrip() + b" 1.0\n") if more else line.rstrip().rpartition(b" ")[0] + b"\n" for line in lines[which]
    ]


_STRANGE = (
    b"nan",
    b"NaN",
    b"inf",
    b"-Infinity",
    b"1e309",
    b"1e30",
    b"-9999999",
    b"",
    b"x",
    b"0x1f",
    b"1_0",
    b"1,5",
    b"--1",
)
_SEPARATORS = (b",", b";", b"\t", b"   ", b"\xc2\xa0", b"\x00")

SKELETON: dict[str, Mutation] = {
    "bytes flipped": lambda content, rng: flipped(content, rng),
    "truncated": truncated,
    "lines cut out": _lines(_cut_out),
    "lines duplicated": _lines(_duplicate),
    "lines shuffled": _lines(lambda lines, rng: rng.shuffle(lines)),
    "strange number": _word(lambda _, rng: rng.choice(_STRANGE)),
    "huge number": _word(lambda word, rng: word + b"0" * rng.randint(1, 12)),
    "digit lost": _word(lambda word, rng: word.replace(b".", b"")),
    "column": _lines(_column),
    "separators": lambda content, rng: content.replace(b" ", rng.choice(_SEPARATORS)),
    "CRLF": lambda content, _: content.replace(b"\n", b"\r\n"),
    "CR": lambda content, _: content.replace(b"\n", b"\r"),
    "BOM": lambda content, _: b"\xef\xbb\xbf" + content,
    "UTF-16": lambda content, _: content.decode("ascii").encode("utf-16"),
    "blank lines": _lines(lambda lines, rng: lines.insert(rng.randrange(len(lines)), b"\n")),
    "header": lambda content, rng: b"x y z confidence\n" + content,
    "zeros": lambda content, _: b"0 0 0 0\n" * content.count(b"\n"),
    "one point": lambda content, _: b"0.5 0.5 2.5 1\n" * content.count(b"\n"),
    "huge body": lambda content, _: b"".join(
        b" ".join(b"%de4" % (17 * n * k % 99) for k in (1, 2, 3, 5)) + b"\n" for n in range(content.count(b"\n"))
    ),
    "hole": hollow,
    "noise": noise,
    "empty": lambda content, rng: rng.choice((b"", b"\n", b" ", b"\n" * 40)),
    "not a text": lambda content, _: b"\x89PNG\r\n\x1a\n" + content,
    "joined": lambda content, rng: content + rng.choice((b"", b"\n")) + content[: rng.randrange(len(content))],
}

VIDEO: dict[str, Mutation] = {
    "header flipped": lambda content, rng: flipped(content, rng, 0, 600 / len(content), most=4),
    "middle flipped": lambda content, rng: flipped(content, rng, 0.1, 0.9),
    "end flipped": lambda content, rng: flipped(content, rng, 0.95, 1),
    "flipped all over": lambda content, rng: flipped(content, rng, most=500),
    "truncated": truncated,
    "hole": hollow,
    "start lost": lambda content, rng: content[rng.randint(1, 2000) :],
    "bytes lost": lambda content, rng: (
        content[: (place := rng.randrange(len(content)))] + content[place + rng.randint(1, 500) :]
    ),
    "joined": lambda content, rng: content[: rng.randrange(len(content))] + content,
    "sizes": lambda content, rng: _sizes(content, rng),
    "noise": noise,
    "empty": lambda content, rng: rng.choice((b"", b"\x00" * 5000, b"x y z\n" * 40, b"\x89PNG\r\n\x1a\n")),
}


def _shortened(content: bytes, place: int, count: int) -> bytes:
    return content[:place] + content[place + count :]


def _sizes(content: bytes, rng: random.Random) -> bytes:
    """Another width, height or length in the header: of AVI's main and stream headers, or of MP4's boxes."""
    marks = [
        mark for mark in (b"avih", b"strf", b"strh", b"tkhd", b"avc1", b"stsz", b"stco", b"mdhd") if mark in content
    ]
    damaged = bytearray(content)
    if marks:
        place = content.find(rng.choice(marks)) + 4 + 4 * rng.randrange(20)
        damaged[place : place + 4] = rng.choice((bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", rng.randbytes(4)))
    return bytes(damaged[: len(content)])
