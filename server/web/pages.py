"""Turns a template into a page: its words, its forms' token, the paths of its styles and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from server.sentences import Language
from server.web.language import OWN_NAMES
from server.web.services import Services, services_of
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
        services, visitor = services_of(request), visitor_of(request)
        other = next(language for language in Language if language is not visitor.words.language)
        here = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
        text = self._templates.get_template(template).render(
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
        response = HTMLResponse(text, status)
        remember_form(services, response, visitor)
        return response


def visitor_of(request: Request) -> Visitor:
    """The visitor that was seen when the request came in."""
    found = request.state.visitor
    if not isinstance(found, Visitor):
        raise TypeError("the request has no visitor")
    return found


def show(request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
    """The page `template` for the visitor of `request`."""
    pages = request.app.state.pages
    if not isinstance(pages, Pages):
        raise TypeError("the application has no pages")
    return pages.show(request, template, status, **context)


def services_in(request: Request) -> Services:
    """The services of the application; for functions that are no dependency."""
    return services_of(request)
