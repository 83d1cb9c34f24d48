"""Two months of ordinary trade: orders when stock runs low, receipts a day later, sales by weekday."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from yaosu.simulate.cast import DemoProduct
from yaosu.simulate.goods import Package
from yaosu.simulate.planner import RECEIPT_OF, Planner

FROM_TO = {"from_person": "库管员", "to_person": "验收员"}
"""Role words: nobody in the province has a name."""


@dataclass(slots=True)
class Delivery:
    """Goods on their way."""

    type: int
    sender: str
    receiver: str
    packages: list[Package]
    bill_no: str
    at: datetime
    step: int


class Trade:
    """The days of the calendar. `run_day` plays one; special days come from `stories`."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.calendar = planner.cast.calendar
        self.on_the_way: list[Delivery] = []

    def run_day(self, ago: int) -> None:
        """Everything ordinary of the day `ago` days before today."""
        for product in self.planner.cast.products.values():
            for lot in product.lots:
                if lot.day == ago:
                    self.planner.activate(product, lot)
        self._receive(ago)
        weekday = self.planner.day(ago).weekday()
        orders = self.calendar["orders"]
        # the first two days only make goods: stories pick theirs before trade begins
        if ago < self.calendar["days"] - 1 and weekday in orders["wholesaler"]["weekdays"]:
            for key in self.calendar["wholesalers"]:
                self._wholesaler_orders(ago, key)
        for customer, supplier in self.calendar["suppliers"].items():
            kind = "chain" if customer == "chain" else "hospital"
            if weekday in orders[kind]["weekdays"]:
                self._customer_orders(ago, kind, customer, supplier)
        if weekday in orders["store"]["weekdays"]:
            for store in self.calendar["stores"]:
                self._customer_orders(ago, "store", store, "chain")
        self._sell(ago, weekday)
        self._use(ago, weekday)

    # -- shipping and receiving ------------------------------------------------------------------------------------

    def ship(
        self, type: int, sender: str, receiver: str, packages: Sequence[Package], at: datetime, **more: str
    ) -> Delivery | None:
        """Goods leave; None when there are none."""
        if not packages:
            return None
        orgs = self.planner.cast.orgs
        header = {
            "from_address": orgs[sender].address,
            "to_address": orgs[receiver].address,
            "order_code": f"DD{at:%y%m%d}{len(self.planner.plan.steps):04d}",
            **FROM_TO,
        }
        body = {k: self.planner.uscc(v) for k, v in more.items() if k != "who"}
        step, number = self.planner.movement(
            type, sender, packages, at, to=receiver, header=header, more=body, who=more.get("who", "")
        )
        return Delivery(type, sender, receiver, list(packages), number, at, step)

    def receive(
        self, delivery: Delivery, at: datetime, packages: Sequence[Package] | None = None
    ) -> tuple[int, str]:
        """Goods arrive and are put in stock against their notice."""
        got = list(delivery.packages if packages is None else packages)
        parent = self.planner.cast.orgs[delivery.receiver].parent
        found = self.planner.movement(
            RECEIPT_OF[delivery.type],
            delivery.receiver,
            got,
            at,
            sender=delivery.sender,
            who=parent,
            more={"notice": delivery.bill_no},
        )
        for package in got:
            self.planner.stock.put(delivery.receiver, package)
        return found

    def send(self, delivery: Delivery | None) -> None:
        """It will be received as usual, the next day."""
        if delivery is not None:
            self.on_the_way.append(delivery)

    def _receive(self, ago: int) -> None:
        due, self.on_the_way = self.on_the_way, []
        for delivery in due:
            self.receive(delivery, self.planner.at(ago, 9, self.planner.rng.randrange(5, 55)))

    # -- orders ----------------------------------------------------------------------------------------------------

    def _short(self, org: str, kind: str, product: DemoProduct, today: date) -> int:
        """How many boxes `org` orders of `product` now."""
        rule = self.calendar["orders"][kind]
        demand = 1 if kind == "wholesaler" else product.weight["hospital" if kind == "hospital" else "store"]
        if not demand or self.planner.stock.boxes(org, product.key, today) >= rule["min"]:
            return 0
        return int(rule["lot"])

    def _level(self, kind: str, product: DemoProduct) -> int:
        level = self.calendar["orders"][kind]["level"]
        return {"top": len(product.levels), "case": product.case}.get(level, 1)

    def _pick(
        self, org: str, supplier: str, kind: str, products: Sequence[DemoProduct], on: date
    ) -> list[Package]:
        packages: list[Package] = []
        for product in products:
            wanted = self._short(org, kind, product, on)
            level = self._level(kind, product)
            if wanted:
                count = max(1, round(wanted / product.units_per[level - 1]))
                if kind == "wholesaler":
                    # a maker keeps the last package of a product: there is always something to show
                    count = min(count, len(self.planner.stock.held(supplier, product.key)) - 1)
                packages += self.planner.take(supplier, product.key, level, count, on)
        return packages

    def _wholesaler_orders(self, ago: int, key: str) -> None:
        makers = {p.maker for p in self.planner.cast.products.values()}
        for maker in sorted(makers):
            products = [p for p in self.planner.cast.products.values() if p.maker == maker]
            picked = self._pick(key, maker, "wholesaler", products, self.planner.day(ago))
            at = self.planner.at(ago, 14, self.planner.rng.randrange(60))
            self.send(self.ship(201, maker, key, picked, at))

    def _customer_orders(self, ago: int, kind: str, customer: str, supplier: str) -> None:
        products = list(self.planner.cast.products.values())
        picked = self._pick(customer, supplier, kind, products, self.planner.day(ago) + timedelta(days=30))
        if kind == "store":
            at = self.planner.at(ago, 16, self.planner.rng.randrange(60))
            self.send(self.ship(203, supplier, customer, picked, at))
            return
        at = self.planner.at(ago, 15, self.planner.rng.randrange(60))
        delegated = self.calendar["delegation"]
        if supplier == delegated["principal"]:
            # the logistics firm scans, the principal stays the owner of the bill
            agent = delegated["agent"]
            self.send(self.ship(201, supplier, customer, picked, at, who=agent, carrier=agent))
        else:
            self.send(self.ship(201, supplier, customer, picked, at))

    # -- sale and use ----------------------------------------------------------------------------------------------

    def _count(self, per_day: float, factor: float) -> int:
        whole = int(per_day * factor)
        return whole + (self.planner.rng.random() < per_day * factor - whole)

    def _wanted(self, kind: str) -> DemoProduct:
        products = [p for p in self.planner.cast.products.values() if not p.named_buyers]
        return self.planner.rng.choices(products, [p.weight[kind] for p in products])[0]

    def _sell(self, ago: int, weekday: int) -> None:
        factor = self.calendar["demand"][weekday]
        for store in self.calendar["stores"]:
            times = sorted(
                self.planner.at(ago, self.planner.rng.randrange(11, 21), self.planner.rng.randrange(60))
                for _ in range(self._count(self.calendar["sales_per_day"], factor))
            )
            for at in times:
                product = self._wanted("store")
                size = self.planner.rng.choice(self.calendar["sale_sizes"])
                boxes = self.planner.take(store, product.key, 1, size, self.planner.day(ago))
                if boxes:
                    self.planner.movement(321, store, boxes, at, header={"from_person": "收银员"})

    def _use(self, ago: int, weekday: int) -> None:
        if weekday >= 5:
            return
        for hospital in self.calendar["hospitals"]:
            for _ in range(self._count(self.calendar["uses_per_day"], 1.2)):
                product = self._wanted("hospital")
                size = self.planner.rng.choice(self.calendar["use_sizes"])
                at = self.planner.at(ago, self.planner.rng.randrange(11, 17), self.planner.rng.randrange(60))
                boxes = self.planner.take(hospital, product.key, 1, size, self.planner.day(ago))
                if boxes:
                    self.planner.movement(
                        product.use, hospital, boxes, at, header={"from_person": "药房药师"}
                    )
