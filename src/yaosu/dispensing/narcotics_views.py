"""Narcotics as callers see them: names beside numbers, persons masked, in the caller's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yaosu.circulation.views import product_name
from yaosu.dispensing import narcotics_rules as rules
from yaosu.dispensing.narcotics_model import Act, Booked, Due, Prescription, Register
from yaosu.people.model import Shown
from yaosu.registry.resolver import Registry


def place_view(registry: Registry, org: int) -> dict[str, Any]:
    """A place by its short name."""
    card = registry.org(org)
    return {
        "id": org,
        "name": (card.short_name if card.place else card.name) if card is not None else f"#{org}",
    }


def product_view(registry: Registry, drug_id: int, lang: str) -> dict[str, Any]:
    """A product with its kind and its preparation unit."""
    product = registry.product(drug_id)
    if product is None:
        return {"id": drug_id, "name": f"#{drug_id}", "kind": "", "kind_name": "", "unit": "", "per": 1}
    kind = rules.kind_of(product)
    return {
        "id": drug_id,
        "name": product_name(registry, drug_id),
        "kind": kind,
        "kind_name": registry.lists.text("product_flag", kind, lang) if kind else "",
        "unit": product.prep_unit,
        "per": product.prep_units_per,
        "comes_back": rules.comes_back(registry.lists, product),
    }


def person_view(patients: Mapping[int, Shown], person: int | None) -> dict[str, Any] | None:
    """A person, masked; None for nobody."""
    if person is None:
        return None
    one = patients.get(person)
    return {
        "person_id": person,
        "kind": one.kind if one else "",
        "name": one.name_masked if one else "",
        "number": one.number_masked if one else "",
    }


def rx_view(registry: Registry, rx: Prescription, patients: Mapping[int, Shown], lang: str) -> dict[str, Any]:
    """A prescription."""
    view: dict[str, Any] = {
        name: getattr(rx, name)
        for name in (
            "id", "number", "case_kind", "department", "doctor", "diagnosis", "times_per_day", "days", "units",
            "dispensed", "reason", "state", "prescribed_on", "made_at",
        )
    }  # fmt: skip
    view["dose_units"] = f"{rx.dose_units.normalize():f}"
    view["left"] = max(0, rx.units - rx.dispensed)
    view["case_name"] = registry.lists.text("narcotic_case", rx.case_kind, lang)
    view["place"] = place_view(registry, rx.org)
    view["product"] = product_view(registry, rx.drug_id, lang)
    view["patient"] = person_view(patients, rx.patient)
    view["agent"] = person_view(patients, rx.agent)
    return view


def act_view(registry: Registry, act: Act, lang: str) -> dict[str, Any]:
    """An act with who prepared and who confirmed it."""
    payload: Mapping[str, Any] = act.payload
    lines = []
    for one in payload.get("lines") or payload.get("items") or ():
        product = product_view(registry, one["drug_id"], lang)
        given = (payload.get("given") or {}).get(one.get("code", ""))
        lines.append(
            {**one, "product": product["name"], "unit": product["unit"], "units": given[1] if given else None}
        )
    other = payload.get("to") or payload.get("from")
    return {
        "id": act.id,
        "kind": act.kind,
        "kind_name": registry.lists.text("narcotic_step", act.kind, lang),
        "state": act.state,
        "place": place_view(registry, act.org),
        "other": place_view(registry, other) if other else None,
        "prescription": payload.get("prescription"),
        "units": payload.get("units"),
        "details": {
            k: payload[k] for k in ("method", "handed_by", "shift", "amount", "unit") if k in payload
        },
        "lines": lines,
        "confirmations": act.confirmations,
        "missing": act.missing,
        "made_by": {"account_id": act.made_by, "name": act.made_by_name},
        "made_at": act.made_at,
        "happened_at": act.happened_at,
        "confirmed": [
            {"account_id": c.account_id, "name": c.name, "way": c.way, "at": c.confirmed_at}
            for c in act.confirmed
        ],
        "bill_no": act.bill_no or None,
        "bill_id": act.bill_id,
        "closed_at": act.closed_at,
        "outcome": act.outcome,
    }


def due_view(registry: Registry, one: Due, patients: Mapping[int, Shown], lang: str) -> dict[str, Any]:
    """Ampoules or patches of one dispensing and batch."""
    return {
        "bill_id": one.bill_id,
        "bill_no": one.bill_no,
        "place": place_view(registry, one.org),
        "product": product_view(registry, one.drug_id, lang),
        "batch_id": one.batch_id,
        "batch_no": one.batch_no,
        "due": one.due,
        "returned": one.returned,
        "open": one.open,
        "happened_at": one.happened_at,
        "prescription": one.prescription,
        "patient": person_view(patients, one.patient),
    }


def booked_view(registry: Registry, one: Booked, lang: str) -> dict[str, Any]:
    """What the books say of one batch."""
    return {
        "product": product_view(registry, one.drug_id, lang),
        "batch_id": one.batch_id,
        "batch_no": one.batch_no,
        "expires_on": one.expires_on,
        "units": one.units,
        "packages": one.packages,
        "opened": one.opened,
    }


def register_view(
    registry: Registry, register: Register, patients: Mapping[int, Shown], lang: str
) -> dict[str, Any]:
    """The register of a product."""
    lines = []
    for line in register.lines:
        lines.append(
            {
                "at": line.at,
                "bill_id": line.bill_id,
                "bill_no": line.bill_no,
                "type": line.type,
                "reversal": line.reversal,
                "corrects_revision": line.corrects,
                "reason": line.reason,
                "place": place_view(registry, line.org),
                "counterparty": place_view(registry, line.counterparty) if line.counterparty else None,
                "batch_no": line.batch_no,
                "units_in": max(line.units, 0),
                "units_out": max(-line.units, 0),
                "balance": line.balance,
                "packages": line.packages,
                "packages_balance": line.packages_balance,
                "codes": list(line.codes),
                "patient": person_view(patients, line.patient),
                "prescription": line.prescription or None,
                "doctor": line.doctor or None,
                "handler": line.handler or None,
                "checker": line.checker or None,
                "confirmed": line.confirmed,
            }
        )
    return {
        "places": [place_view(registry, org) for org in register.orgs],
        "product": product_view(registry, register.drug_id, lang),
        "from": register.start,
        "to": register.end,
        "opening": register.opening,
        "opening_packages": register.opening_packages,
        "in": register.received,
        "out": register.issued,
        "closing": register.closing,
        "closing_packages": register.closing_packages,
        "lines": lines,
    }


def count_view(registry: Registry, row: Any, lang: str) -> dict[str, Any]:
    """One line of a count at change of shift."""
    return {
        "act_id": row["act_id"],
        "place": place_view(registry, row["org"]),
        "product": product_view(registry, row["drug_id"], lang),
        "batch_no": row["batch_no"],
        "shift": row["shift"],
        "counted": row["counted"],
        "booked": row["booked"],
        "difference": row["counted"] - row["booked"],
        "note": row["note"],
        "handed_over": row["handed_over"],
        "happened_at": row["happened_at"],
    }
