"""Random packing, moving and unpacking against a model that writes a diary for every box (R-X4, D3).

The model knows nothing of chains and intervals: when a package moves, it writes the bill into the diary of every
package inside at that moment. The history put together from the stored chains must read the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from yaosu.trace import story
from yaosu.trace.model import LineRow, Stay, Tale


@dataclass
class Package:
    """One package of the model, with its stored chain as the write path leaves it."""

    code: str
    inside: Package | None
    last_bill: int
    holds: list[Package] = field(default_factory=list)
    lines: list[LineRow] = field(default_factory=list)
    diary: dict[int, str] = field(default_factory=dict)
    """bill → the code it was observed on"""

    def everything(self) -> list[Package]:
        return [self, *(p for child in self.holds for p in child.everything())]

    def tale(self) -> Tale:
        parent = self.inside.code if self.inside is not None else None
        return Tale(self.code, parent, self.last_bill, tuple(reversed(self.lines)))


@dataclass
class Warehouse:
    """Packages and the next bill's number."""

    packages: list[Package] = field(default_factory=list)
    bill: int = 1

    def activate(self, shape: list[int]) -> None:
        """A pallet of cases of boxes, activated by one bill."""
        pallet = Package(f"P{len(self.packages)}", None, self.bill)
        made = [pallet]
        for boxes in shape:
            case = Package(f"C{len(self.packages) + len(made)}", pallet, self.bill)
            pallet.holds.append(case)
            made.append(case)
            for _ in range(boxes):
                box = Package(f"B{len(self.packages) + len(made)}", case, self.bill)
                case.holds.append(box)
                made.append(box)
        for one in made:
            one.diary[self.bill] = one.code
        self.packages += made
        self.bill += 1

    def _line(self, package: Package) -> None:
        left = package.inside.code if package.inside is not None else ""
        package.lines.append(LineRow(self.bill, package.last_bill, "I", "O", 1, 1, left))
        package.last_bill = self.bill
        if package.inside is not None:
            package.inside.holds.remove(package)
            package.inside = None

    def move(self, package: Package) -> None:
        """A bill that scans `package`: it leaves what it is inside of, everything in it goes along."""
        self._line(package)
        for one in package.everything():
            one.diary[self.bill] = package.code
        self.bill += 1

    def pack(self, package: Package, into: Package) -> None:
        """A packing bill: `package` goes into `into`."""
        if into in package.everything() or package.inside is into:
            return
        self._line(package)
        package.inside = into
        into.holds.append(package)
        for one in package.everything():
            one.diary[self.bill] = package.code
        self.bill += 1


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200), st.integers(0, 200)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3), STEPS)
def test_every_packages_history_reads_like_the_diary_it_kept(
    shapes: list[list[int]], steps: list[tuple[int, int, int]]
) -> None:
    house = Warehouse()
    for shape in shapes:
        house.activate(shape)
    for kind, first, second in steps:
        package = house.packages[first % len(house.packages)]
        if kind == 0:
            house.pack(package, house.packages[second % len(house.packages)])
        else:
            house.move(package)
    tales = {p.code: p.tale() for p in house.packages}
    for package in house.packages:
        events, _ = story.history(tales, package.code)
        assert [e.bill_id for e in events] == sorted(package.diary)
        for event in events:
            seen_on = package.diary[event.bill_id]
            assert event.via == ("" if seen_on == package.code else seen_on)
            _justified(package.code, event.bill_id, event.via, event.stays)


def _justified(code: str, bill: int, via: str, stays: tuple[Stay, ...]) -> None:
    """The stays lead from the code to the container, each open at the bill."""
    at = code
    for stay in stays:
        assert stay.code == at
        assert stay.entered < bill
        assert stay.left is None or bill < stay.left
        at = stay.container
    assert at == (via or code)


def test_time_that_runs_back_is_found_at_the_first_bill_that_does_it() -> None:
    assert story.first_oddity([(1, 10), (2, 20), (3, 15), (4, 30)]) == 3
    assert story.first_oddity([(1, 10), (2, 10)]) == 0
