"""What is drawn from the API's description is answered as it says: no 5xx, no status and no body that it does not name.

Examples are few and drawn the same each time. Half of them are about people who are there, by a token that is good.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from server.office import open_office
from server.web.api.application import describe_api
from tests.server.apps import ROOT, AppClient
from tests.server.office import CAPACITY, Clock, Town
from tests.server.web import make_app

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # of the library's own
EXAMPLES = 40
UNBOUNDED = "[apps]\nper_minute = 6000000\nburst = 1000000\nperson_per_minute = 6000\nperson_burst = 1000"
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
OPERATIONS = [(path, method.upper()) for path, methods in json.loads(describe_api())["paths"].items() for method in methods]


@dataclass
class House:
    """The application with a person who has declared."""

    app: FastAPI
    phone: AppClient
    person: str
    resident: str


@pytest.fixture
def house(town: Town, clock: Clock) -> Iterator[House]:
    office = open_office(town.config(UNBOUNDED), clock, CAPACITY)
    app = make_app(town, office)
    phone = AppClient(app, office)
    person, resident = phone.join()
    phone.declare(person, resident)
    yield House(app, phone, person, resident)
    office.store.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_answers_are_as_described(house: House, path: str, method: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_asgi(f"{ROOT}/openapi.json", house.app)
    operation = schema[path][method]
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def ask(case: Case[Any], is_known: bool) -> None:
        headers: dict[str, Any] = {}
        if is_known and mode is GenerationMode.POSITIVE:
            for name, known in (("person", house.person), ("resident", house.resident)):
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = known
            headers["authorization"] = f"Bearer {house.phone.token}"
        response = case.call(headers=headers)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert seen
