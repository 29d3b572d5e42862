"""The HTTP API: routes over what `service` does."""
