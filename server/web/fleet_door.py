"""Where units knock that the broker does not let in: POST /fleet/enrol for new ones, GET /fleet/certificate/ for those that slept too long.

For programs alone. Who has neither a secret nor a unit's key learns nothing here, not even which units there are.
"""

from __future__ import annotations

import logging
import re
from math import ceil
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from healthcode.admission import MOST_BYTES, PATH, EnrolAnswer, EnrolRequest
from healthcode.messages import BadPayload, decode, encode
from server import mosquitto
from server.admissions import Admissions, EnrolFault, Refused
from server.authority import Authority
from server.keys import KeyFileError, load_roots
from server.office import Office
from server.web.services import services_in

log = logging.getLogger(__name__)

STATUS = {
    EnrolFault.BAD_REQUEST: 400,
    EnrolFault.UNKNOWN: 403,
    EnrolFault.USED: 409,
    EnrolFault.ENDED: 410,
    EnrolFault.WAIT: 429,
}
_MEDIA = "application/problem+json"
CERTIFICATE = "/fleet/certificate/"
_MARK = re.compile(r"[0-9a-f]{64}")


def make_router() -> APIRouter:
    """The two addresses."""
    router = APIRouter()
    router.add_api_route(CERTIFICATE + "{mark}", certificate, include_in_schema=False)
    router.add_api_route(PATH, enrol, methods=["POST"], include_in_schema=False)
    return router


async def enrol(request: Request) -> Response:
    """The certificate of a unit that has the secret, with all that it needs to come on line; or one line that says why not."""
    body = await request.body()
    address = request.client.host if request.client is not None else ""
    outcome = await run_in_threadpool(admit, services_in(request).office, body, address)
    if isinstance(outcome, EnrolAnswer):
        return Response(encode(outcome), media_type="application/json")
    status = STATUS.get(outcome.fault, 400)
    headers = {"retry-after": str(ceil(outcome.wait_s))} if outcome.wait_s else None
    log.warning("enrolment refused: %s", outcome.fault.value)
    told = {"type": "about:blank", "status": status, "title": outcome.detail, "fault": outcome.fault.value}
    return JSONResponse(told, status, headers, media_type=_MEDIA)


def certificate(request: Request, mark: str) -> Response:
    """The newest certificate for the key with this fingerprint (64 hexadecimal digits), DER: it is of use to who has the key alone."""
    office = services_in(request).office
    found = Admissions(office.store, office.now).find_newest(bytes.fromhex(mark)) if _MARK.fullmatch(mark) else None
    return Response(found, media_type="application/pkix-cert") if found is not None else Response(status_code=404)


def admit(office: Office, body: bytes, address: str) -> EnrolAnswer | Refused:
    """What the office answers to a request, with the broker told of the new unit."""
    try:
        asked = decode(body, EnrolRequest, MOST_BYTES)
    except BadPayload as wrong:
        return Refused(EnrolFault.BAD_REQUEST, f"expected a request of `healthgate edge enrol`: {str(wrong)[:200]}")
    config = office.config
    try:
        authority, roots = Authority.load(Path(config.keys)), load_roots(config.roots)
    except KeyFileError as wrong:
        log.warning("enrolment: %s", wrong)
        return Refused(EnrolFault.UNKNOWN, "this server enrols no units")
    admissions = Admissions(office.store, office.now)
    outcome = admissions.admit(asked, address, authority, roots, config.broker.told, config.broker.port)
    if isinstance(outcome, EnrolAnswer) and config.broker.files:
        tell_broker(Path(config.broker.files), admissions, config.home_assistant.prefix)
    return outcome


def tell_broker(files: Path, admissions: Admissions, prefix: str) -> None:
    """Has the broker read who is let in. What cannot be done now the server's bridge tries again, and says."""
    try:
        told = mosquitto.apply(files, *admissions.members(), prefix)
    except OSError as wrong:
        log.warning("access rules: %s: %s", wrong.filename, wrong.strerror)
        return
    if told is not None:
        log.warning("%s", told.why)
