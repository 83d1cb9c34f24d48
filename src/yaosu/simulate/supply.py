"""Codes for the province: printed elsewhere (drawn here), or from our own code request (fetched before planning)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from yaosu.simulate.cast import Cast, DemoProduct

SAMPLE = "83857930000879766660"
"""The public label sample (standards §2.9): 药品标识码 8385793, 序列号 0000879766660."""
SPARE = 5
"""Codes per level that are applied for and never activated."""

Needs = dict[tuple[str, int], int]
"""Codes by product and package level."""


def needs(cast: Cast) -> Needs:
    """How many codes each level of each product takes, without spares."""
    found: Needs = {}
    for product in cast.products.values():
        boxes = sum(lot.boxes for lot in product.lots)
        for level, held in enumerate(product.units_per, 1):
            found[product.key, level] = boxes // held
    return found


def _twenty_digits(rng: random.Random, prefix: str, count: int) -> list[str]:
    serials = rng.sample(range(10**8, 10**9), count)
    return [f"{prefix}{serial}{rng.randrange(10_000):04d}" for serial in serials]


def _gs1(rng: random.Random, gtin: str, count: int) -> list[str]:
    letters = "0123456789ABCDEFGHJKLMNPQRTUVWXY"
    serials: dict[str, None] = {}
    while len(serials) < count:
        # starts with a letter, so that no serial looks like an application identifier to people
        serials["S" + "".join(rng.choices(letters, k=11))] = None
    return [f"(01){gtin}(21){serial}" for serial in serials]


@dataclass
class Supply:
    """Codes by product and level; each is taken once."""

    codes: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def take(self, product: DemoProduct, level: int) -> str:
        """The next code."""
        return self.codes[product.key, level].pop(0)


def make_supply(cast: Cast, seed: str, own: Mapping[tuple[str, int], Sequence[str]]) -> Supply:
    """Everything the plan takes: `own` holds the codes issued here, the others are drawn from the seed."""
    rng = random.Random(f"codes {seed}")  # noqa: S311 - numbers of an invented printer
    supply = Supply()
    for (key, level), count in needs(cast).items():
        product = cast.products[key]
        identifier = product.levels[level - 1].identifier
        if product.codes == "own":
            codes = list(own[key, level])
        elif product.codes == "gs1":
            codes = _gs1(rng, identifier, count)
        else:
            codes = _twenty_digits(rng, identifier, count)
            if identifier == SAMPLE[:7]:
                codes[0] = SAMPLE
        supply.codes[key, level] = codes
    return supply
