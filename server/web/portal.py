"""The residents' pages."""

from __future__ import annotations

from fastapi import APIRouter

from server.web import forms


def make_router() -> APIRouter:
    """The router of all residents' pages."""
    return forms.make_router()
