"""SQL, HTML and formulas in every text: kept as text, shown as text, executed by nobody.

The pages are walked like a visitor would: every link, every form, of every page that a caller can reach.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from lxml import html
from openpyxl import load_workbook

from hostile.world import World, body_of, counts, operations, resolved

EVIL = "=1+1\"><qzx onerror=a>'; DROP TABLE org;--{{7*7}}"
CALLERS = ("maker", "wholesaler", "pharmacy", "hospital", "regulator", "operator")
PAGES_MAX = 120
LEAVING = re.compile(r"logout|/account\b|/lang/|/reset|disable|revoke")
"""What would end the walk: signing out, another password, another language, no key."""


def _evil_paths(schema: dict[str, Any], part: Any, depth: int = 0) -> Any:
    """A value of the schema with the attack in every text that has no narrower form."""
    part = resolved(schema, part)
    if not isinstance(part, dict) or depth > 6:
        return None
    for kind in ("anyOf", "oneOf"):
        if kind in part:
            texts = [p for p in part[kind] if resolved(schema, p).get("type") == "string"]
            return _evil_paths(schema, (texts or part[kind])[0], depth + 1)
    if part.get("enum") or "const" in part or "format" in part:
        given = part.get("examples") or part.get("enum") or [part.get("const")]
        return (
            given[0]
            if given[0] is not None
            else {"date": "2026-01-01"}.get(part.get("format", ""), "2026-01-01T00:00:00Z")
        )
    if "properties" in part:
        return {k: _evil_paths(schema, v, depth + 1) for k, v in part["properties"].items()}
    if part.get("type") == "array":
        return [_evil_paths(schema, part.get("items", {}), depth + 1)]
    if part.get("type") == "string":
        return EVIL[: part.get("maxLength", 1000)]
    if part.get("examples"):
        return part["examples"][0]
    return {"integer": 1, "number": 1, "boolean": False, "object": {"to_address": EVIL}}.get(
        str(part.get("type"))
    )


def _path(world: World, path: str) -> str:
    for name in re.findall(r"\{(\w+)\}", path):
        path = path.replace("{" + name + "}", str((world.ids.get(name) or [1])[0]))
    return path


def test_sql_and_html_in_every_text_of_every_operation_is_kept_or_refused_and_never_run(
    world: World, schema: dict[str, Any]
) -> None:
    tables = set(counts(world.database))
    wrong = {}
    for caller in ("operator", "maker", "wholesaler"):
        with world.client(caller) as client:
            for method, path, operation in operations(schema):
                media, example = body_of(schema, operation)
                if media != "application/json" or path.endswith(("/me/password", "/sessions")):
                    continue
                whole = _evil_paths(schema, operation["requestBody"]["content"][media]["schema"])
                bodies = [whole]
                if isinstance(example, dict) and isinstance(whole, dict):
                    # one text at a time in an otherwise good body: what is checked first does not hide the rest
                    bodies += [{**example, k: v} for k, v in whole.items() if EVIL[:5] in str(v)]
                for body in bodies:
                    answer = client.request(method, _path(world, path), json=body)
                    if answer.status_code >= 500:
                        wrong[f"{caller} {method} {path}"] = (body, answer.text[:200])
    assert not wrong, (wrong, world.incidents()[-1:])
    assert set(counts(world.database)) == tables
    with world.client("operator") as client:
        assert client.get("/api/v1/orgs").status_code == 200


def test_sql_in_every_query_and_path_is_a_value_like_any_other(world: World, schema: dict[str, Any]) -> None:
    before = counts(world.database)
    wrong = {}
    attacks = (
        "' OR '1'='1",
        "1; DROP TABLE org;--",
        "1 UNION SELECT secret_sha256 FROM api_key",
        "%",
        "_",
        "\\",
        "$1",
        "x' || pg_sleep(9)--",
    )
    for caller in ("maker", "regulator"):
        with world.client(caller) as client:
            for method, path, operation in operations(schema):
                if method != "GET":
                    continue
                for attack in attacks:
                    names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
                    asked = [(_path(world, path), {name: attack}) for name in names]
                    asked.append(
                        (
                            re.sub(
                                r"\{\w+\}",
                                lambda _, a=attack: (
                                    httpx.QueryParams({"": a}).__str__()[1:].replace("+", "%20")
                                ),
                                path,
                            ),
                            {},
                        )
                    )
                    for where, params in asked:
                        answer = client.get(where, params=params)
                        if answer.status_code >= 500 or answer.elapsed.total_seconds() > 8:
                            wrong[f"{where} {params}"] = answer.text[:200]
    assert not wrong, (wrong, world.incidents()[-1:])
    after = counts(world.database)
    assert {t for t in after if after[t] != before[t]} <= {"audit", "read_record"}


def _store(world: World) -> None:
    """The attack in texts that the rules allow, so that there is something to show."""
    market, goods = world.market, world.goods
    with world.client("operator") as client:
        org = client.post(
            "/api/v1/orgs",
            json={
                "name": EVIL,
                "type": 2,
                "region": "370102",
                "short_name": EVIL[:40],
                "uscc": "91370102999999990X",
            },
        )
        assert org.status_code in (201, 422, 409), org.text
    with world.client("wholesaler") as client:
        made = client.post("/api/v1/accounts", json={"login": "qzx.evil", "name": EVIL, "role": "admin"})
        assert made.status_code in (201, 409), made.text
        assert client.post("/api/v1/keys", json={"name": EVIL, "scopes": ["bill.read"]}).status_code == 201
    with world.client("maker") as client:
        moved = client.post(
            "/api/v1/movements",
            json={
                "type": 201,
                "bill_no": EVIL,
                "happened_at": "2026-02-01T10:00:00+08:00",
                "codes": [goods.cases[3], EVIL],
                "to_org": market.pharmacy,
                "header": dict.fromkeys(
                    ("to_address", "from_person", "reason_text", "order_code", EVIL), EVIL
                ),
            },
        )
        assert moved.status_code == 200, moved.text
        assert (
            client.post("/api/v1/uploads", json={"name": EVIL, "size": 9, "purpose": "relation"}).status_code
            == 201
        )
        asked = {
            "drug_id": market.drug_id,
            "levels": [{"level": 1, "count": 5}],
            "purpose": EVIL,
            "client_ref": EVIL + "-2",
        }
        assert client.post("/api/v1/code-requests", json=asked).status_code == 201
    _store_rooms(world)


def _store_rooms(world: World) -> None:
    """The same in the rooms for what does not go by the book: cases, clues, documents, uncoded stock, pools."""
    market, ids = world.market, world.ids
    ordinary = world.more["ordinary"]

    def send(caller: str, path: str, body: dict[str, Any], person: bool = False) -> Any:
        with world.person(caller) if person else world.client(caller) as client:
            answer = client.post("/api/v1" + path, json=body)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()

    # a case of its own: another test may have closed the world's
    case = send("wholesaler", "/exceptions", {**world.more["case"], "note": EVIL})["cases"][0]
    send("maker", f"/exceptions/{case}/messages", {"text": EVIL})
    told = {"kind": "resale", "title": EVIL, "text": EVIL, "codes": [EVIL]}
    send("wholesaler", "/quality/clues", told)
    kept = {"kind": "other", "number": EVIL[:30], "title": EVIL, "content": f"# {EVIL}\n{EVIL}"}
    send("wholesaler", "/quality/documents", kept, person=True)
    bought = {
        "invoice_no": EVIL[:20],
        "invoice_date": "2025-06-12",
        "supplier_name": EVIL,
        "zone": EVIL[:40],
        "proof_id": ids["proof_id"][0],
        "items": [
            {
                "drug_id": market.drug_id,
                "batch_no": "=1+1",
                "qty": 3,
                "produced_on": "2024-05-01",
                "expires_on": "2059-04-30",
            }
        ],
    }
    send("pharmacy", "/uncoded/lots", bought)
    send("hospital", "/dispensing/pools", {"name": EVIL[:40], "kind": "ward"})
    parts = [{"code": ordinary.boxes_of(1)[2], "units": 1, "prescription_no": EVIL[:60], "dosage": EVIL[:60]}]
    send("hospital", "/dispensing/split", {"number": EVIL[:60], "lines": parts})


def _forms(page: Any, where: str) -> list[tuple[str, str, dict[str, str]]]:
    made = []
    for form in page.forms:
        target = urljoin(where, form.get("action") or where)
        fields: dict[str, str] = {}
        for box in form.inputs:
            kind = getattr(box, "type", "") or ""
            if box.name and kind not in ("submit", "button", "file", "checkbox"):
                chosen = kind in ("hidden", "radio") or box.tag == "select"
                fields[box.name] = str(box.value or "") if chosen else EVIL
        if form.get("enctype") != "multipart/form-data":
            made.append((form.method.upper(), target, fields))
    return made


def _look(answer: httpx.Response, wrong: dict[str, str], what: str) -> Any:
    if answer.status_code >= 500:
        wrong[what] = answer.text[:300]
    if "html" not in answer.headers.get("content-type", "") or not answer.text.strip():
        return None
    page = html.document_fromstring(answer.text)
    if page.xpath("//qzx") or page.xpath("//*[@onerror or @onclick or @onload]"):
        at = answer.text.find("<qzx")
        wrong[what] = "runs: " + answer.text[max(0, at - 200) : at + 100]
    if page.xpath("//a[starts-with(translate(@href, 'JAVSCRIPT', 'javscript'), 'javascript:')]"):
        wrong[what] = "javascript link"
    return page


@pytest.mark.slow
@pytest.mark.parametrize("caller", CALLERS)
def test_no_page_fails_or_lets_a_text_become_part_of_it(world: World, caller: str) -> None:
    if "evil" not in world.ids:
        _store(world)
        world.ids["evil"] = [1]
    wrong: dict[str, str] = {}
    shown = 0
    with world.browser(caller) as browser:
        todo, seen, sent = (
            ["/", "/bills", "/products", "/orgs", "/users", "/keys", "/audit", "/trace", "/stock"],
            set(),
            set(),
        )
        todo += [
            f"/trace?code={world.goods.cases[3]}",
            f"/q/{world.goods.cases[3]}",
            "/q/" + EVIL.replace("/", ""),
            "/trace?code=" + EVIL,
        ]
        while todo and len(seen) < PAGES_MAX:
            path = todo.pop(0)
            shape = re.sub(r"\d+", "0", path.partition("?")[0])
            if path in seen or sum(1 for s in seen if re.sub(r"\d+", "0", s.partition("?")[0]) == shape) >= 4:
                continue
            seen.add(path)
            answer = browser.get(path)
            page = _look(answer, wrong, path)
            if page is None:
                continue
            shown += "&lt;qzx" in answer.text
            for link in page.xpath("//@href | //@hx-get"):
                target = urlsplit(urljoin(path, str(link)))
                ours = not target.netloc and target.path.startswith("/")
                if (
                    ours
                    and not LEAVING.search(target.path)
                    and not target.path.startswith(("/static", "/api"))
                ):
                    todo.append(target.path + ("?" + target.query if target.query else ""))
            for method, action, fields in _forms(page, path):
                form = (method, re.sub(r"\d+", "0", action.partition("?")[0]), tuple(sorted(fields)))
                if form in sent or LEAVING.search(action):
                    continue
                sent.add(form)
                if method == "GET":
                    posted = browser.get(action, params=fields)
                else:
                    posted = browser.request(method, action, data=fields)
                _look(posted, wrong, f"{method} {action} {sorted(fields)}")
    assert not wrong, (wrong, world.incidents()[-2:])
    assert shown, "no page of this caller showed the text: nothing was tested"
    assert len(seen) > 10


def _no_formula(path: str, answer: httpx.Response) -> bool:
    """Whether a workbook came; none of its cells is a formula, nor becomes one when it is saved as another format."""
    assert answer.status_code < 500, path
    if answer.status_code != 200 or not answer.content.startswith(b"PK"):
        return False
    for sheet in load_workbook(io.BytesIO(answer.content)).worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", (path, cell.value)
                if str(cell.value or "").startswith(("=", "+", "@", "-")) and cell.data_type == "s":
                    assert cell.quotePrefix, (path, cell.value)
    return True


@pytest.mark.parametrize("caller", ["maker", "wholesaler", "hospital", "pharmacy", "operator"])
def test_no_cell_of_any_export_is_a_formula(world: World, schema: dict[str, Any], caller: str) -> None:
    if "evil" not in world.ids:
        _store(world)
        world.ids["evil"] = [1]
    looked = 0
    with world.client(caller) as client:
        asked = [f"/api/v1/exports/{kind}" for kind in ("orgs", "products", "code-lists")]
        asked += [
            _path(world, path)
            for method, path, operation in operations(schema)
            if method == "GET"
            and any(p["name"] == "format" for p in operation.get("parameters", ()))
            and "exports" not in path
        ]
        for path in asked:
            table = client.get(path, params={"format": "csv"})
            assert table.status_code < 500, path
            if table.status_code != 200 or "csv" not in table.headers["content-type"]:
                # papers come as workbooks, not as CSV
                looked += _no_formula(path, client.get(path, params={"format": "xlsx"}))
                continue
            looked += 1
            for row in csv.reader(io.StringIO(table.content.decode("utf-8-sig"))):
                for cell in row:
                    assert not cell.startswith(("=", "+", "@", "\t", "\r")), (path, cell)
                    assert not cell.startswith("-") or re.fullmatch(r"-\d+(\.\d+)?", cell), (path, cell)
            book = client.get(path, params={"format": "xlsx"})
            if book.status_code == 422:
                continue  # codes come as text alone
            assert book.status_code == 200, (path, book.text[:300], world.incidents()[-1:])
            for row in load_workbook(io.BytesIO(book.content)).worksheets[0].iter_rows():
                assert all(cell.data_type != "f" for cell in row), path
    assert looked >= 3 + (caller in ("hospital", "pharmacy"))
