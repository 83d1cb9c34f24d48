"""Packages as the planner keeps them: who holds what, and which step touched it last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from yaosu.simulate.cast import DemoProduct


@dataclass(eq=False, slots=True)
class Batch:
    """A batch of a product."""

    product: DemoProduct
    number: str
    made: date
    expires: date


@dataclass(eq=False, slots=True)
class Package:
    """A coded package with what is still in it."""

    code: str
    """As it stands in the relation file."""
    level: int
    batch: Batch
    parent: Package | None = None
    children: list[Package] = field(default_factory=list)
    last_step: int | None = None
    """The step that touched it last while it was outermost."""
    left: Package | None = None
    """The outermost package it was taken out of since its last step."""

    @property
    def product(self) -> DemoProduct:
        """The product."""
        return self.batch.product

    @property
    def root(self) -> Package:
        """The outermost package around it."""
        here = self
        while here.parent is not None:
            here = here.parent
        return here

    @property
    def boxes(self) -> int:
        """Smallest packages in it now."""
        return 1 if self.level == 1 else sum(child.boxes for child in self.children)

    def walk(self) -> Iterator[Package]:
        """Itself and everything in it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def inside(self, level: int) -> Package:
        """The first package of that level in it, itself included."""
        return next(p for p in self.walk() if p.level == level)

    def leave(self) -> None:
        """Out of what is around it; containers left empty fall away."""
        around = self.parent
        if around is None:
            return
        around.children.remove(self)
        self.parent = None
        if not around.children:
            around.leave()


class Stock:
    """Outermost packages by organisation and product, oldest first."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], list[Package]] = {}

    def held(self, org: str, product: str) -> list[Package]:
        """What `org` has of `product`; the list itself."""
        return self._held.setdefault((org, product), [])

    def boxes(self, org: str, product: str, usable_on: date | None = None) -> int:
        """Smallest packages `org` has of `product`, usable on that day."""
        held = self.held(org, product)
        return sum(p.boxes for p in held if usable_on is None or p.batch.expires > usable_on)

    def put(self, org: str, package: Package) -> None:
        """Into the organisation's stock."""
        self.held(org, package.product.key).append(package)

    def remove(self, org: str, package: Package) -> None:
        """Out of it: the package itself when it is outermost, else out of what is around it."""
        held = self.held(org, package.product.key)
        root = package.root
        if root is package:
            held.remove(package)
            return
        package.leave()
        package.left = root
        if not root.children:
            held.remove(root)

    def find(self, org: str, product: str, level: int, usable_on: date | None = None) -> Package | None:
        """The package of `level` to take next: loose ones first, then out of the smallest container."""
        held = self.held(org, product)
        fit = [p for p in held if p.level >= level and (usable_on is None or p.batch.expires > usable_on)]
        if not fit:
            return None
        # min() keeps the oldest of equals
        return min(fit, key=lambda p: p.level).inside(level)
