"""The OpenAPI document, made from the route table.

``python -m esaas.ui.document docs/api/openapi.json`` writes it anew.
"""
from __future__ import annotations

from importlib.metadata import version
from typing import Any, Literal

from esaas.framework.service.errors import Forbidden, Invalid, ServiceError, Unauthenticated
from pydantic import BaseModel, TypeAdapter

from .bodies import JSON_TYPE, YAML_TYPES
from .gate import SESSION_COOKIE
from .problems import ErrorAnswer
from .route import Answer, Route

Mode = Literal["validation", "serialization"]
ABOUT = ("Elasticsearch clusters on Apache Mesos: make, watch, change and delete them. Every "
         "refusal has the shape of `ErrorAnswer` and names every fault. Changes are idempotent: "
         "the same request again answers 200 with `changed: false`; only restarts and "
         "operations are asked for anew each time. Values of secure settings are never answered. "
         "`x-role` is the role that an operation needs; clusters of other tenants answer 403.")
SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "of `esaas login`, or made by "
              "an admin for a machine"},
    "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "of the "
                "login page; changes need the header X-XSRFToken that GET /v1/me answers, too"}}
SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]


class _Schemas:
    """All models of the table, each once, under ``components``."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        inputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
            ("ErrorAnswer", "serialization", TypeAdapter(ErrorAnswer))]
        for route in routes:
            if route.body is not None:
                inputs.append((f"{route.name}.body", "validation", TypeAdapter(route.body)))
            for status, answer in route.answers.items():
                if answer.model not in (None, bytes):
                    inputs.append((f"{route.name}.{status}", "serialization",
                                   TypeAdapter(answer.model)))
        found, definitions = TypeAdapter.json_schemas(
            inputs, ref_template="#/components/schemas/{model}")
        self.by_key = {key: schema for (key, _), schema in found.items()}
        self.components = definitions.get("$defs", {})


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    required = schema.get("required", [])
    found = []
    for name, property_ in schema.get("properties", {}).items():
        text = property_.pop("description", "")
        property_.pop("title", None)
        found.append({"name": name, "in": "query", "required": name in required,
                      "description": text, "schema": property_})
    return found


def _content(answer: Answer, schema: Any) -> dict[str, Any]:
    if answer.model is bytes:
        return {answer.media: {}}
    return {answer.media: {"schema": schema if schema is not None else {"type": "string"}}}


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in route.answers.items():
        content = _content(answer, schemas.by_key.get(f"{route.name}.{status}"))
        for media, other in route.also.items() if status == 200 else ():
            content[media] = {"schema": {"type": "string", "description": other.text}}
        found[str(status)] = {"description": answer.text, "content": content}
    refused = schemas.by_key["ErrorAnswer"]
    refuses: set[type[ServiceError]] = {*route.refuses}
    if route.role is not None:
        refuses |= {Unauthenticated, Forbidden}
    if route.query.model_fields or route.body is not None:
        refuses.add(Invalid)
    for problem in sorted(refuses, key=lambda problem: problem.status):
        text = (problem.__doc__ or "").split("\n")[0]
        found[str(problem.status)] = {"description": text,
                                      "content": {JSON_TYPE: {"schema": refused}}}
    found["default"] = {"description": "Any other refusal.",
                        "content": {JSON_TYPE: {"schema": refused}}}
    return found


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.parameters]
    parameters += _query(route.query)
    if any(answer.media == "text/event-stream" for answer in
           (*route.answers.values(), *route.also.values())):
        parameters.append({
            "name": "Last-Event-ID", "in": "header", "required": False,
            "description": "resume a stream after this event", "schema": {"type": "integer"}})
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary,
                                 "parameters": parameters,
                                 "security": SECURITY if route.role is not None else [],
                                 "responses": _responses(route, schemas)}
    if route.role is not None:
        operation["x-role"] = str(route.role)
    if route.body is not None:
        schema = schemas.by_key[f"{route.name}.body"]
        kinds = (JSON_TYPE,) if route.secret else (JSON_TYPE, YAML_TYPES[0])
        operation["requestBody"] = {"required": True, "content": {
            kind: {"schema": schema} for kind in kinds}}
    return operation


def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an API with these routes."""
    schemas = _Schemas(routes)
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {"openapi": "3.1.0",
            "info": {"title": "ESAAS", "description": ABOUT,
                     "version": version("esaas"),
                     "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            "paths": paths,
            "components": {"schemas": schemas.components, "securitySchemes": SCHEMES}}
