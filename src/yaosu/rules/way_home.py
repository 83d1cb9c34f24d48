"""Where goods under a recall or lock may go: up the chain they came down, and nowhere else (R-B5, R-E4). Pure.

Back to who delivered them, to the product's MAH, its maker, or the domestic responsible person of an overseas MAH
(R-A7), to where the recall order says, to a logistics firm that stores for one of these, or upward within one legal
entity or chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaosu.rules.world import Stop, Unit, World


@dataclass(frozen=True, slots=True)
class WayHome:
    """What a bill that sends goods back says of its receiver."""

    to: int
    upward: bool
    """The receiver is the same legal entity, the headquarters, or a place of theirs."""
    firms: Callable[[int], frozenset[int]]
    """Of a product: its MAH, its maker, the domestic responsible person of an overseas MAH."""

    def named(self, drug_id: int, stops: Sequence[Stop]) -> set[int]:
        """Whom goods may go to as far as the product and what stops them say."""
        return {*self.firms(drug_id), *(stop.return_to for stop in stops if stop.return_to is not None)}

    def ends(self, world: World, owner: int, unit: Unit, stops: Sequence[Stop]) -> list[int]:
        """Whom the unit may go to, where it may not go to this receiver; empty where it may. Of several batches in one
        package each must be allowed to.
        """
        if self.upward:
            return []
        named = self.named(unit.drug_id, stops)
        takers = {self.to, *world.stored_for.get(self.to, ())}
        for batch_id in world.batches_in(unit):
            ends = named | world.sellers.get((owner, unit.drug_id, batch_id), frozenset())
            if not takers & ends:
                return sorted(ends)
        return []
