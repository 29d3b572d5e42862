"""The OpenAPI document: what of it the routes cannot say themselves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.fields import properties
from api.problems import MEDIA_TYPE
from mrag_client.models import AskEvent, Problem

ABOUT = """
Describe pictures and find them. What is answered is the JSON that `mrag ... --json` prints.

Every error is a problem (RFC 9457) whose `detail` names the remedy. 503 with `Retry-After` means
busy: send the same again. A key goes into the header `Authorization: Bearer KEY`; on the server's
own machine none is needed unless keys have been made.
"""

_WORDS = {
    400: "The body cannot be taken apart.",
    401: "Nobody knows who asks: send a key.",
    403: "The role of the key does not include this.",
    404: "There is no such collection, picture or ingest.",
    409: "It cannot be done as things stand.",
    413: "More is sent than the settings of the server allow.",
    415: "What is sent is of a kind that is not taken.",
    422: "A value cannot be used as given.",
    429: "Too many requests of this key; try again later.",
    503: "Busy, or something that is needed is not there; try again when `Retry-After` says so.",
}
_ALWAYS = (401, 403, 429, 503)
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, beside those that every route may answer with."""
    return {
        status: {"description": _WORDS[status]} for status in sorted({*statuses, *_ALWAYS, 422})
    }


def form(
    model: type[BaseModel],
    *,
    files: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
    required: Sequence[str] = (),
    example: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a form: files, some of which are several (`image*`), fields, and options."""
    described: dict[str, Any] = {}
    for name in files:
        many = {"type": "array", "items": _FILE}
        described[name.rstrip("*")] = many if name.endswith("*") else _FILE
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {**described, **(fields or {}), **properties(model)},
        "additionalProperties": False,
    }
    if required:
        schema["required"] = list(required)
    body: dict[str, Any] = {"schema": schema}
    if example:
        body["example"] = dict(example)
    return {"requestBody": {"required": True, "content": {"multipart/form-data": body}}}


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document, in which every error is a problem; made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=app.servers,
            tags=app.openapi_tags,
        )
        schemas = made["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        schemas["AskEvent"] = AskEvent.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        del schemas["AskEvent"]["$defs"]  # they are the answer's, which is there
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}, {}]
        for path in made["paths"].values():
            for operation in path.values():
                _with_problems(operation["responses"])
        app.openapi_schema = made
    return app.openapi_schema


def example_of(method: str, url: str, operation: Mapping[str, Any]) -> str:
    """A line for a shell that calls an operation of the document, with its own examples."""
    query = _pairs(
        {
            one["name"]: one.get("example", f"{{{one['name']}}}")
            for one in operation.get("parameters", ())
            if one["in"] == "query" and ("example" in one or one["required"])
        }
    )
    kinds = operation.get("requestBody", {}).get("content", {})
    body = kinds.get("multipart/form-data", {})
    fields = _pairs(body.get("example", {}))
    if "image" in body.get("schema", {}).get("properties", {}):
        fields.append(("image", "@picture.jpg"))
    words = ["curl"]
    if method != "get" and not fields:
        words += ["-X", method.upper()]
    words += [part for name, value in fields for part in ("-F", f"{name}={value}")]
    return shlex.join([*words, f"{url}?{urlencode(query, safe='{}')}" if query else url])


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values, of those with several each alone."""
    return [
        (name, str(one))
        for name, value in values.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def _with_problems(responses: dict[str, Any]) -> None:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, response in responses.items():
        if int(status) < 400 or response.pop("own", False):
            continue
        response["description"] = _WORDS.get(int(status), response["description"])
        response["content"] = problem
        if int(status) in {429, 503}:
            wait = {
                "description": "Seconds after which to ask again.",
                "schema": {"type": "integer"},
            }
            response["headers"] = {"Retry-After": wait}
