"""Turns a template into a page: its words, its forms' token, the paths of its styles and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from server.sentences import Language
from server.web.language import OWN_NAMES
from server.web.services import services_in
from server.web.static_files import StaticFile
from server.web.visitors import Visitor, form_token, remember_form


class Pages:
    """The templates."""

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._templates = Environment(
            loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._templates.globals["static"] = {name: file.path for name, file in files.items()}

    def show(self, request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
        """The page `template` for the visitor of `request`."""
        response = HTMLResponse(self.render(request, template, **context), status)
        remember_form(services_in(request), response, visitor_of(request))
        return response

    def render(self, request: Request, template: str, **context: object) -> str:
        """The text of `template`, a page or a part of one, for the visitor of `request`."""
        services, visitor = services_in(request), visitor_of(request)
        other = next(language for language in Language if language is not visitor.words.language)
        here = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
        return self._templates.get_template(template).render(
            say=visitor.words,
            language=visitor.words.language,
            session=visitor.session,
            role=visitor.session.actor.role.value if visitor.session else "",
            form_token=form_token(services, visitor),
            now=services.office.now(),
            other_language=other,
            other_name=OWN_NAMES[other],
            other_path=f"/language?to={other}&back={quote(here + query, safe='/')}",
            path=request.url.path,
            **context,
        )


def visitor_of(request: Request) -> Visitor:
    """The visitor that was seen when the request came in."""
    found = request.state.visitor
    if not isinstance(found, Visitor):
        raise TypeError("the request has no visitor")
    return found


def show(request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
    """The page `template` for the visitor of `request`."""
    return _pages_of(request).show(request, template, status, **context)


def render(request: Request, template: str, **context: object) -> str:
    """A part of a page for the visitor of `request`, as text."""
    return _pages_of(request).render(request, template, **context)


def _pages_of(request: Request) -> Pages:
    pages = request.app.state.pages
    if not isinstance(pages, Pages):
        raise TypeError("the application has no pages")
    return pages
