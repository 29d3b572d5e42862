"""The HTTP API: routes over the service, as OpenAPI describes them at /api/openapi.json."""
