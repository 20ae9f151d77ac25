"""The API for apps under /api/v1: the same services as the pages, in JSON.

docs/api.md shows how it is used, docs/openapi.json is its description.
"""
