"""A typed client of a running mRAG server, and the JSON that all doors share.

It needs httpx and pydantic only: neither models nor indexes are loaded.
"""
