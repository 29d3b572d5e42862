"""Options as fields of an address or a form: read from them, and described for OpenAPI.

The models are those that all doors share. A field that holds several values is repeated, and has
the name of one of them: `spaces` is `space=raw&space=mapped`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel

from api.problems import InvalidFields
from mrag_client.models import SINGULAR

Pairs = Iterable[tuple[str, str]]
ModelT = TypeVar("ModelT", bound=BaseModel)


def read_fields(model: type[ModelT], given: Pairs) -> ModelT:
    """The options that fields name; raises InvalidFields or ValidationError."""
    values: dict[str, list[str]] = {}
    for name, value in given:
        values.setdefault(_field(model, name), []).append(value)
    return model.model_validate({name: _value(model, name, told) for name, told in values.items()})


def parameters(
    model: type[BaseModel],
    *,
    without: frozenset[str] = frozenset(),
    example: Mapping[str, Any] | None = None,
) -> list[Any]:
    """The fields as OpenAPI's parameters of a query, some with an example."""
    told = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties(model, without=without).items()
    ]
    for one in told:
        if example and one["name"] in example:
            one["example"] = example[one["name"]]
    return told


def properties(
    model: type[BaseModel], *, without: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    """The fields as OpenAPI's properties of a form."""
    told = model.model_json_schema()["properties"]
    return {
        SINGULAR.get(name, name): schema for name, schema in told.items() if name not in without
    }


def _field(model: type[BaseModel], name: str) -> str:
    many = _PLURAL.get(name, "")
    return many if many in model.model_fields else name


def _value(model: type[BaseModel], name: str, told: list[str]) -> str | list[str]:
    field = model.model_fields.get(name)
    if field is not None and get_origin(field.annotation) is tuple:
        return told
    if len(told) > 1:
        raise InvalidFields(f"{name} is given {len(told)} times; give it once")
    return told[0]


_PLURAL = {one: many for many, one in SINGULAR.items()}
