"""The OpenAPI document against the API: whatever is sent, it answers as it says, and never 500."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.app import build_engine
from engine.settings import Settings
from tests.api.conftest import HOME, Asked, asked_of, mounted
from tests.worlds import copied_tree

PATIENCE = 120  # seconds for what hangs, on a busy machine too
CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def asked(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The API over a home that may be changed."""
    folder = tmp_path_factory.mktemp("schema")
    home = copied_tree(sample_home, folder / "home")
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    yield from asked_of(engine, folder / "thumbnails")
    engine.close()


def answers_as_it_says(asked: Asked, examples: int) -> Counter[int]:
    """Send each route what its schema allows and what it does not; the statuses that came."""
    (hit,) = asked.engine.open("plain").images.get(
        [next(iter(asked.engine.open("plain").images.ids()))]
    )
    known = {"name": "plain", "key": hit.id}
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app=mounted(asked.api, HOME))
    seen: Counter[int] = Counter()

    def check(operation: Any, mode: schemathesis.GenerationMode) -> None:
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        )
        @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
        def one(case: Any, real: bool) -> None:
            if real and case.method != "DELETE":  # what is made up would be found nowhere
                parameters = case.path_parameters
                case.path_parameters = {
                    name: known.get(name, told) for name, told in parameters.items()
                }
                if isinstance(case.query, dict):
                    case.query.pop("collection", None)
            response = case.call(timeout=PATIENCE)
            seen[response.status_code] += 1
            assert response.status_code < 500 or response.status_code == 503, response.text
            case.validate_response(response, checks=CHECKS)

        with suppress(Unsatisfiable):  # without parameters nothing can be sent that is wrong
            one()

    for found in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            check(found.ok(), mode)  # type: ignore[union-attr]  # what is no operation raises
    return seen


def test_a_little_of_everything_is_answered_as_the_document_says(asked: Asked) -> None:
    seen = answers_as_it_says(asked, examples=2)
    assert {200, 404, 422} <= seen.keys()


@pytest.mark.slow
def test_much_of_everything_is_answered_as_the_document_says(asked: Asked) -> None:
    seen = answers_as_it_says(asked, examples=60)
    assert {200, 202, 204, 400, 404, 409, 415, 422} >= seen.keys() - {405, 503}
