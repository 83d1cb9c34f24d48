"""Special days: honest mistakes and how they are put right, and one package in each interesting state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from yaosu.simulate.cast import DemoProduct, with_check_digit
from yaosu.simulate.goods import Package
from yaosu.simulate.planner import Planner, scanner_text
from yaosu.simulate.supply import SAMPLE
from yaosu.simulate.trade import Delivery, Trade

Own = Mapping[tuple[str, int], Sequence[str]]


class Stories:
    """Runs what belongs to a day after the day's ordinary trade."""

    def __init__(self, planner: Planner, trade: Trade) -> None:
        self.planner = planner
        self.trade = trade
        self._days: dict[int, list[Callable[[int], None]]] = {
            60: [self.sample_leaves, self.old_batch],
            30: [self.direct_delivery],
            21: [self.short_delivery],
            17: [self.wrong_delivery],
            13: [self.till_was_offline],
            11: [self.sampling],
            9: [self.double_scan],
            8: [self.wrong_customer],
            6: [self.damage],
            5: [self.taken_by_mistake],
            4: [self.returned],
            2: [self.goods_without_notice],
        }

    def run_day(self, ago: int) -> None:
        """The stories of that day."""
        for story in self._days.get(ago, ()):
            story(ago)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _login(self, org: str) -> str:
        return self.planner.cast.orgs[org].login

    def _get(self, org: str, product: str, level: int, count: int = 1) -> list[Package]:
        """Packages that must be there; usable for a good while."""
        found = self.planner.take(org, product, level, count, self.planner.day(-60))
        if len(found) < count:
            raise LookupError(f"{org} has no {count} × {product} level {level} left")
        return found

    def _most(self, org: str, family: str = "") -> DemoProduct:
        """The product that `org` has most of, of one code family if named; one that anybody may buy."""
        products = [
            p
            for p in self.planner.cast.products.values()
            if p.use != 322 and not p.named_buyers and family in ("", p.codes)
        ]
        return max(products, key=lambda p: self.planner.stock.boxes(org, p.key, self.planner.day(-60)))

    def _boxes(self, org: str, count: int, family: str = "") -> list[Package]:
        """Smallest packages of that product."""
        return self._get(org, self._most(org, family).key, 1, count)

    def _cases(self, org: str, count: int = 1) -> list[Package]:
        """Cases of that product."""
        product = self._most(org)
        return self._get(org, product.key, product.case, count)

    def _ship(
        self, type: int, sender: str, receiver: str, packages: Sequence[Package], at: datetime
    ) -> Delivery:
        made = self.trade.ship(type, sender, receiver, packages, at)
        assert made is not None
        return made

    def _keep(self, org: str, packages: Sequence[Package]) -> None:
        """Out of free stock again: these are shown and nobody sells them meanwhile."""
        for package in packages:
            if package in self.planner.stock.held(org, package.product.key):
                self.planner.stock.remove(org, package)

    # -- the public label sample, and a batch that ends ------------------------------------------------------------

    def sample_leaves(self, ago: int) -> None:
        """The case with the label sample goes down to the pharmacy and stays on its shelf."""
        held = self.planner.stock.held("maker_a", "cold_granules")
        case = next(p for p in held if any(q.code == SAMPLE for q in p.walk()))
        self.planner.stock.remove("maker_a", case)
        lot = self.planner.cast.products["cold_granules"].lots[0]

        def at(later: int, hour: int) -> datetime:
            return self.planner.activated_at(lot) + timedelta(days=later, hours=hour - 8)

        first = self._ship(201, "maker_a", "wholesaler_a", [case], at(1, 10))
        self.trade.receive(first, at(2, 9))
        self._keep("wholesaler_a", [case])
        second = self._ship(201, "wholesaler_a", "chain", [case], at(2, 11))
        self.trade.receive(second, at(3, 9))
        middle = next(p for p in case.children if any(q.code == SAMPLE for q in p.children))
        self.planner.stock.remove("chain", middle)
        third = self._ship(203, "chain", "store_1", [middle], at(3, 11))
        self.trade.receive(third, at(4, 9))
        self._keep("store_1", [middle])
        self._keep("chain", [case])
        self.planner.example("sample", SAMPLE, "I", login=self._login("store_1"))

    def old_batch(self, ago: int) -> None:
        """A batch near its end goes to a store; what is not sold in time stays on the shelf."""
        held = self.planner.stock.held("maker_b", "loratadine")
        case = held[0]
        self.planner.stock.remove("maker_b", case)
        first = self._ship(201, "maker_b", "wholesaler_a", [case], self.planner.at(ago, 11, 40))
        self.trade.receive(first, self.planner.at(ago - 1, 8, 40))
        self._keep("wholesaler_a", [case])
        second = self._ship(201, "wholesaler_a", "chain", [case], self.planner.at(ago - 1, 11, 40))
        self.trade.receive(second, self.planner.at(ago - 2, 8, 40))
        boxes = [case.children[0] for _ in range(1)]
        for box in boxes:
            self.planner.stock.remove("chain", box)
        third = self._ship(203, "chain", "store_3", boxes, self.planner.at(ago - 2, 11, 40))
        self.trade.receive(third, self.planner.at(ago - 3, 8, 40))
        self._keep("store_3", boxes)
        self._keep("chain", [case])
        self.planner.example("expired", boxes[0].code, "I", login=self._login("store_3"))

    # -- mistakes and how they are put right -----------------------------------------------------------------------

    def direct_delivery(self, ago: int) -> None:
        """直调: the maker delivers to the hospital, the wholesaler that sold it stands on the bill."""
        case = self._cases("maker_b")
        delivery = self.trade.ship(
            207, "maker_b", "hospital_a", case, self.planner.at(ago, 13, 10), direct_org="wholesaler_b"
        )
        self.trade.send(delivery)

    def short_delivery(self, ago: int) -> None:
        """One of three cases is missing; the seller agrees and delivers it after."""
        cases = self._cases("wholesaler_a", 3)
        delivery = self._ship(201, "wholesaler_a", "hospital_a", cases, self.planner.at(ago, 15, 40))
        step, _ = self.trade.receive(delivery, self.planner.at(ago - 1, 10, 20), cases[:2])
        answered = self.planner.step(
            "answer",
            "wholesaler_a",
            self.planner.at(ago - 1, 14, 5),
            {"kind": "agreed", "text": "核实为装车时漏装一箱，次日随车补送。"},
            about=step,
        )
        late, _ = self.trade.receive(delivery, self.planner.at(ago - 2, 10, 45), cases[2:])
        assert late > answered

    def wrong_delivery(self, ago: int) -> None:
        """The hospital did not order it and refuses the case; the wholesaler takes it back."""
        case = self._cases("wholesaler_b")
        delivery = self._ship(201, "wholesaler_b", "hospital_b", case, self.planner.at(ago, 15, 40))
        text = self.planner.movement(
            102,
            "hospital_b",
            case,
            self.planner.at(ago - 1, 10, 10),
            sender="wholesaler_b",
            more={"notice": delivery.bill_no, "reject_all": True},
            header={"reason_text": "未订购，整单拒收"},
            expect=["rejected_by_you"],
        )[1]
        self.planner.movement(
            103, "wholesaler_b", case, self.planner.at(ago - 2, 9, 30), more={"notice": text}
        )
        self.planner.stock.put("wholesaler_b", case[0])

    def till_was_offline(self, ago: int) -> None:
        """A box is sold before its receipt was written down: uploaded late, accepted and flagged (D14)."""
        boxes = self._boxes("chain", 3)
        delivery = self._ship(203, "chain", "store_2", boxes, self.planner.at(ago, 17, 40))
        self.trade.receive(delivery, self.planner.at(ago - 1, 15, 40))
        self._keep("store_2", boxes[:1])
        _, number = self.planner.movement(
            321,
            "store_2",
            boxes[:1],
            self.planner.at(ago - 1, 13, 5),
            header={"from_person": "收银员", "reason_text": "收银机断网，恢复后补传"},
            expect=["out_of_order"],
        )
        self.planner.example("late_upload", boxes[0].code, "S", bill_no=number, login=self._login("store_2"))

    def sampling(self, ago: int) -> None:
        """The regulator's sample leaves the wholesaler."""
        boxes = self._boxes("wholesaler_a", 3)
        self.planner.movement(
            206, "wholesaler_a", boxes, self.planner.at(ago, 10, 30), header={"reason_text": "药监抽检三盒"}
        )
        self.planner.example("sampled", boxes[0].code, "N", login=self._login("wholesaler_a"))

    def double_scan(self, ago: int) -> None:
        """The same box twice in one sale: once counted, once refused with the reason."""
        boxes = self._boxes("store_1", 2)
        _, number = self.planner.movement(
            321,
            "store_1",
            boxes,
            self.planner.at(ago, 18, 20),
            extra=[scanner_text(boxes[0])],
            expect=["duplicate_in_bill"],
            header={"from_person": "收银员"},
        )
        self.planner.example("sold", boxes[1].code, "S", bill_no=number, login=self._login("store_1"))

    def wrong_customer(self, ago: int) -> None:
        """Shipped to the wrong hospital: voided, the case is in stock again."""
        case = self._cases("wholesaler_a")
        delivery = self._ship(201, "wholesaler_a", "hospital_b", case, self.planner.at(ago, 16, 40))
        void = self.planner.step(
            "void",
            "wholesaler_a",
            self.planner.at(ago, 17, 0),
            {"reason": "收货方选错，货未出库"},
            after=[delivery.step],
            about=delivery.step,
        )
        case[0].last_step = void
        self.planner.stock.put("wholesaler_a", case[0])
        self.planner.example("voided", "", bill_no=delivery.bill_no, login=self._login("wholesaler_a"))

    def taken_by_mistake(self, ago: int) -> None:
        """Two boxes scanned, one sold: the bill is corrected by its second revision."""
        boxes = self._boxes("store_1", 2)
        at = self.planner.at(ago, 12, 15)
        first, number = self.planner.movement(321, "store_1", boxes, at, header={"from_person": "收银员"})
        body = dict(self.planner.plan.steps[first].body)
        body["revision"] = 2
        body["codes"] = body["codes"][:1]
        body["header"] = {"from_person": "收银员", "reason_text": "顾客只购一盒，多扫一盒"}
        second = self.planner.step("movement", "store_1", at, body, after=[first])
        for box in boxes:
            box.last_step = second
        self.planner.stock.put("store_1", boxes[1])
        self.planner.example("corrected", boxes[0].code, "S", bill_no=number, login=self._login("store_1"))

    def returned(self, ago: int) -> None:
        """A customer brings a box back: quarantined, never sold again by itself."""
        boxes = self._boxes("store_2", 1)
        self.planner.movement(
            321, "store_2", boxes, self.planner.at(ago, 11, 5), header={"from_person": "收银员"}
        )
        self.planner.movement(
            116,
            "store_2",
            boxes,
            self.planner.at(ago, 19, 30),
            header={"reason_text": "顾客购错药，未拆封", "to_person": "药店质量员"},
        )
        self.planner.example("returned", boxes[0].code, "Q", login=self._login("store_2"))

    def damage(self, ago: int) -> None:
        """A case falls: the broken boxes are written off, then destroyed under supervision."""
        boxes = self._boxes("wholesaler_a", 2)
        self.planner.movement(
            215,
            "wholesaler_a",
            boxes,
            self.planner.at(ago, 10, 0),
            header={"reason_text": "搬运跌落，包装破损"},
        )
        self.planner.movement(
            205,
            "wholesaler_a",
            boxes,
            self.planner.at(ago - 1, 15, 0),
            header={
                "reason": "1",
                "reason_text": "破损",
                "executer_name": "仓库保管员",
                "superviser_name": "质量负责人",
            },
        )
        self.planner.example("destroyed", boxes[0].code, "X", login=self._login("wholesaler_a"))

    def goods_without_notice(self, ago: int) -> None:
        """A box came with the delivery that nobody announced: it never enters stock (R-B4)."""
        boxes = self._boxes("chain", 2)
        delivery = self._ship(203, "chain", "store_2", boxes, self.planner.at(ago, 16, 40))
        product = self._most("wholesaler_a")
        stray = self.planner.stock.find("wholesaler_a", product.key, 1, self.planner.day(-60))
        assert stray is not None
        # only the box came along, its case stays in the wholesaler's books and is set aside until this is cleared up
        root = stray.root
        self.planner.stock.remove("wholesaler_a", root)
        after = {root.last_step} if root.last_step is not None else set()
        self.planner.movement(
            104,
            "store_2",
            boxes,
            self.planner.at(ago - 1, 10, 0),
            sender="chain",
            who="chain",
            more={"notice": delivery.bill_no},
            extra=[scanner_text(stray)],
            expect=["no_notice"],
            after=after,
        )
        for box in boxes:
            self.planner.stock.put("store_2", box)
        self.planner.example("no_notice", stray.code, "I", login=self._login("store_2"))

    # -- today -----------------------------------------------------------------------------------------------------

    def run_today(self, own: Own) -> None:
        """What lies open when the newcomer arrives."""
        for delivery in self.trade.on_the_way:
            self.trade.receive(delivery, self.planner.just(hours=7))
        self.trade.on_the_way = []
        self._made_today(own)
        self._used()
        elsewhere = self.planner.cast.calendar["other_system"]["prefix"]
        self.planner.example("elsewhere", f"{elsewhere}{self.planner.rng.randrange(10**12, 10**13)}")
        self._open_check()
        self._open_notices()
        self._pallets()

    def _made_today(self, own: Own) -> None:
        product = self.planner.cast.products["amoxicillin"]
        lot = next(lot for lot in product.lots if lot.day == 0)
        packages = self.planner.activate(product, lot)
        self.planner.example("activated", packages[0].inside(1).code, "A", login=self._login("maker_a"))
        spare = own["amoxicillin", 1]
        self.planner.example("applied", spare[-1], "", login=self._login("maker_a"))
        old, new = packages[0].children[1].children[0], spare[-2]
        self.planner.step(
            "replace",
            "maker_a",
            self.planner.just(minutes=90),
            {"old": old.code, "new": new, "reason": "标签破损"},
            after=[packages[0].last_step],
        )
        self.planner.example("replaced", old.code, "C", login=self._login("maker_a"))
        self.planner.example("replacement", new, "A", login=self._login("maker_a"))

    def _used(self) -> None:
        shelf = self._boxes("store_1", 1)
        self.planner.example("in_stock", shelf[0].code, "I", login=self._login("store_1"))
        boxes = self._boxes("hospital_a", 1)
        self.planner.movement(
            323, "hospital_a", boxes, self.planner.just(hours=4), header={"from_person": "药房药师"}
        )
        self.planner.example("used", boxes[0].code, "S", login=self._login("hospital_a"))
        gs1 = self._boxes("hospital_a", 1, "gs1")[0]
        self.planner.example("gs1", gs1.code, "I", raw=scanner_text(gs1), login=self._login("hospital_a"))

    def _open_check(self) -> None:
        """A box too few: the seller has yet to answer."""
        boxes = self._boxes("wholesaler_a", 6)
        delivery = self.trade.ship(201, "wholesaler_a", "hospital_a", boxes, self.planner.just(hours=9))
        assert delivery is not None
        self.trade.receive(delivery, self.planner.just(hours=6), boxes[:5])
        self.planner.example(
            "open_check", boxes[5].code, "O", bill_no=delivery.bill_no, login=self._login("wholesaler_a")
        )

    def _open_notices(self) -> None:
        middle = self._boxes("chain", 3, "printed") + self._boxes("chain", 2, "gs1")
        to_store = self.trade.ship(203, "chain", "store_1", middle, self.planner.just(hours=5))
        case = self._cases("wholesaler_a") + self._boxes("wholesaler_a", 4, "gs1")
        to_hospital = self.trade.ship(
            201, "wholesaler_a", "hospital_a", case, self.planner.just(hours=5, minutes=20)
        )
        on_way = self._cases("wholesaler_b")
        agent = self.planner.cast.calendar["delegation"]["agent"]
        away = self.trade.ship(
            201, "wholesaler_b", "hospital_b", on_way, self.planner.just(hours=3), who=agent, carrier=agent
        )
        assert to_store is not None and to_hospital is not None and away is not None
        self.planner.example(
            "notice_pharmacy", middle[0].code, "O", bill_no=to_store.bill_no, login=self._login("store_1")
        )
        self.planner.example(
            "notice_hospital", case[0].code, "O", bill_no=to_hospital.bill_no, login=self._login("hospital_a")
        )
        box = on_way[0].inside(1)
        self.planner.example(
            "in_transit", box.code, "O", bill_no=away.bill_no, login=self._login("hospital_b")
        )

    def _pallets(self) -> None:
        """A pallet of the product's own ladder, and a logistics pallet of two products."""
        pallet = self._get("wholesaler_b", "amoxicillin", 3, 1)[0]
        self.planner.example("in_case", pallet.inside(1).code, "I", login=self._login("wholesaler_b"))
        cases = self._cases("wholesaler_a") + self._cases("wholesaler_a")
        sscc = f"(00){with_check_digit('06999900000000001', 18)}"
        before = self.planner.touch(cases)
        self.planner.step(
            "pack",
            "wholesaler_a",
            self.planner.just(minutes=30),
            {"container": sscc, "codes": [c.code for c in cases]},
            after=before,
        )
        self.planner.example("sscc", sscc, "I", login=self._login("wholesaler_a"))
