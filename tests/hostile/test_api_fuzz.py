"""Whatever the schema allows, and whatever it forbids: no operation ever fails on our side.

Schemathesis makes requests from the OpenAPI document, valid and invalid ones, for every operation that is there.
`YAOSU_FUZZ_EXAMPLES` is the number per operation, caller and kind (default 3; hundreds for a long run);
`YAOSU_FUZZ_ONLY` a regular expression for the paths that are asked.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup

from hostile.world import World

EXAMPLES = int(os.environ.get("YAOSU_FUZZ_EXAMPLES", "3"))
ONLY = os.environ.get("YAOSU_FUZZ_ONLY", "")
CALLERS = ("nobody", "pharmacy", "hospital", "maker", "regulator", "insurer", "operator")
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def _real_values(world: World, case: Case, turn: int) -> None:
    """Every other request names records that exist: nonsense ids alone never come past the first look."""
    if turn % 2 and case.path_parameters:
        for name in case.path_parameters:
            if known := world.ids.get(name):
                case.path_parameters[name] = known[turn // 2 % len(known)]


def _fuzz(world: World, schema: dict[str, Any], caller: str, mode: GenerationMode) -> dict[str, str]:
    """Findings by operation."""
    found: dict[str, str] = {}
    config = schemathesis.Config.discover()
    api = schemathesis.openapi.from_dict(schema, config=config)
    session = requests.Session()
    for result in api.get_all_operations():
        operation = result.ok()
        if not re.search(ONLY, operation.path):
            continue
        if operation.path == "/api/v1/sessions" and mode == GenerationMode.POSITIVE:
            continue  # guesses of passwords: the limit per address is tested in tests/access

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize="YAOSU_FUZZ_RANDOM" not in os.environ,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
            verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy(generation_mode=mode), turn=st.integers(0, 9))
        def ask(case: Case, turn: int) -> None:
            _real_values(world, case, turn)
            response = case.call(
                base_url=world.base, session=session, headers=world.headers(caller), timeout=60
            )
            try:
                case.validate_response(response, checks=CHECKS)
            except FailureGroup as failures:
                for failure in failures.exceptions:
                    kind = f"{case.operation.label}: {type(failure).__name__} {response.status_code}"
                    found.setdefault(kind, f"{case.as_curl_command()[:600]}\n    {response.content[:400]!r}")

        try:
            ask()
        except Exception as error:  # a schema from which nothing of this kind can be made
            if "Unsatisfiable" not in type(error).__name__:
                found.setdefault(f"{operation.label}: {type(error).__name__}", str(error)[:600])
    session.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda m: m.value)
@pytest.mark.parametrize("caller", CALLERS)
def test_no_request_makes_the_server_fail_or_answer_outside_its_own_document(
    world: World, schema: dict[str, Any], caller: str, mode: GenerationMode
) -> None:
    found = _fuzz(world, schema, caller, mode)
    told = "\n".join(f"{kind}\n    {how}" for kind, how in sorted(found.items()))
    incidents = {str(one["exception"]): one for one in world.incidents()}
    assert not found and not incidents, told + "\n" + "\n".join(map(str, incidents.values()))
