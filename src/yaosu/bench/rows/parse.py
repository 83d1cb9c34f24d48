"""Row `parse`: what scanners deliver, per second on one core."""

from __future__ import annotations

import random
import time

from yaosu.bench.database import Server, tune_gc
from yaosu.bench.measure import Row, Say, Scale, interleave
from yaosu.codes import NotACode, parse
from yaosu.codes.identifiers.checksums import mod10_digit

KINDS = (
    ("20 digits", 50, "{code}"),
    ("20 digits and a line end", 10, "{code}\r\n"),
    ("20 digits, full width", 3, "{wide}"),
    ("20 digits in groups", 3, "{spaced}"),
    ("GS1 raw with AIM prefix", 12, "]d201{gtin}21{serial}\x1d17270331" + "10A{lot}"),
    ("GS1 bracketed", 5, "(01){gtin}(21){serial}(17)270331(10)A{lot}"),
    ("GS1 raw without prefix", 3, "01{gtin}17270331" + "21{serial}"),
    ("GS1, separator lost", 2, "01{gtin}21{serial}17270331" + "10A{lot}"),
    ("GS1 Digital Link", 5, "https://id.example.org/01/{gtin}/21/{serial}?17=270331"),
    ("retail barcode", 4, "{ean}"),
    ("no code at all", 3, "hello {lot}"),
)
"""Kind, its share in a hundred, and its form."""


def mixture(count: int, seed: int = 1) -> list[str]:
    """Scanner texts in the shares of `KINDS`, all different, shuffled."""
    rng = random.Random(seed)  # noqa: S311 - test material
    out = []
    forms = [form for _, share, form in KINDS for _ in range(share)]
    for n in range(count):
        code = f"8{rng.randrange(10**19):019d}"
        body = f"0690{rng.randrange(10**9):09d}"
        ean = f"690{rng.randrange(10**9):09d}"
        values = {
            "code": code,
            "wide": "".join(chr(ord(c) + 0xFEE0) for c in code),
            "spaced": " ".join(code[a : a + 4] for a in range(0, 20, 4)),
            "gtin": body + str(mod10_digit(body)),
            "serial": f"S{rng.randrange(10**12)}",
            "lot": f"{rng.randrange(10**5):05d}",
            "ean": ean + str(mod10_digit(ean)),
        }
        out.append(forms[n % len(forms)].format(**values))
    rng.shuffle(out)
    return out


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Texts per second of processor time in one thread, every text different: «per core» whatever else runs."""
    say("parse")
    tune_gc()
    accepted: dict[bool, int] = {True: 0, False: 0}

    async def once(run: int) -> float:
        texts = mixture(scale.parse_strings, run)
        begun = time.thread_time()
        found = [parse(text) for text in texts]
        seconds = time.thread_time() - begun
        for one in found:
            accepted[not isinstance(one, NotACode)] += 1
        return len(texts) / seconds

    async def plain(run: int) -> float:
        rng = random.Random(run)  # noqa: S311 - test material
        texts = [f"8{rng.randrange(10**19):019d}" for _ in range(scale.parse_strings)]
        begun = time.thread_time()
        for text in texts:
            parse(text)
        return len(texts) / (time.thread_time() - begun)

    await once(runs)
    accepted.update({True: 0, False: 0})
    mixed, twenty = await interleave(runs, once, plain)
    return Row(
        "parse",
        "texts/s",
        mixed,
        None,
        work="one scanner text of a mixture: " + ", ".join(f"{share} % {kind}" for kind, share, _ in KINDS),
        extra={
            "only_20_digits_median": sorted(twenty)[len(twenty) // 2],
            "codes": accepted[True],
            "refused": accepted[False],
        },
    )
