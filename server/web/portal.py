"""The residents' pages: codes, declarations and check-ins, the family, reasons. A module each."""

from __future__ import annotations

from fastapi import APIRouter

from server.web import (
    forms,
    portal_appeal,
    portal_check_in,
    portal_closing,
    portal_code,
    portal_family,
    portal_held,
    portal_history,
    portal_papers,
    portal_reports,
)


def make_router() -> APIRouter:
    """The router of all residents' pages."""
    router = forms.make_router()
    for room in (portal_code, portal_check_in, portal_reports, portal_family, portal_history, portal_appeal, portal_held, portal_papers):
        room.add_routes(router)
    portal_closing.add_routes(router)
    return router
