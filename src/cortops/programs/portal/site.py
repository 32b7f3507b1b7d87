"""The portal for people: pages and forms, without a script. Whoever has not signed in sees one page only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cortops.programs.portal.api import DAYS_DEFAULT, DAYS_MAX
from cortops.programs.portal.asked import Form, days_of, from_form
from cortops.programs.portal.desk import NO_KEYS_NOW, OLD_FORM, SENT_ALREADY, Caller, Desk
from cortops.programs.portal.incoming import address_of, body_of, request_id_of
from cortops.programs.portal.pages import NO_FORM, Pages, Seen
from cortops.programs.portal.session import COOKIE, ID_BYTES, Session
from cortops.protocol.keys import IssuedKey
from cortops.protocol.openai import ApiError

KEYS, USAGE, DOCS, SIGN_IN = "/portal/api-keys", "/portal/usage", "/portal/docs", "/portal/sign-in"
SIGN_IN_AGAIN = ApiError(status=401, code="session_ended", message="Your session has ended. Sign in again; nothing was changed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signed in."""

    caller: Caller
    session: Session


class Site:
    """A handler for each page and each form."""

    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    async def start(self, _request: Request) -> Response:
        return _to(KEYS)

    async def sign_in(self, request: Request) -> Response:
        """GET: the form, with a session of nobody. POST: a new session for whoever has the key."""
        session = self._desk.session_of(request.cookies.get(COOKIE, ""))
        if request.method != "POST":
            person = await self._person(request)
            return _to(KEYS) if isinstance(person, Person) else self._visitor(session)
        form = await self._form(request, session)
        if isinstance(form, ApiError) or session is None:
            return self._visitor(None, form if isinstance(form, ApiError) else OLD_FORM)
        found = await self._desk.sign_in(form.get("key"), session, address_of(request))
        if isinstance(found, ApiError):
            return self._visitor(session, found)
        return self._with_cookie(_to(KEYS), found)

    async def sign_out(self, request: Request) -> Response:
        """POST: the session ends."""
        found = await self._sent(request)
        if isinstance(found, Response):
            return found
        self._desk.sign_out(found[0].caller)
        answer = _to(SIGN_IN)
        answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    async def keys(self, request: Request) -> Response:
        """GET: the keys. POST: make one."""
        if request.method != "POST":
            person = await self._person(request)
            return await self._keys(person) if isinstance(person, Person) else person
        found = await self._sent(request)
        if isinstance(found, Response):
            return found
        person, form = found
        asked = from_form(form)
        if isinstance(asked, ApiError):
            return await self._keys(person, refused=asked, form=form)
        if not self._desk.first_time(form.get("once")):
            return await self._keys(person, refused=SENT_ALREADY)
        made = await self._desk.create(person.caller, asked)
        return await self._keys(person, refused=made, form=form) if isinstance(made, ApiError) else await self._keys(person, issued=made)

    async def revoke(self, request: Request) -> Response:
        """POST: take a key back."""
        found = await self._sent(request)
        if isinstance(found, Response):
            return found
        person, _ = found
        row = await self._desk.revoke(person.caller, request.path_params["id"])
        if isinstance(row, ApiError):
            return await self._keys(person, refused=row)
        if row.id == person.caller.row.id:
            return self._visitor(None, done=f"{row.name} is revoked, and you signed in with it.")
        return await self._keys(person, done=f"{row.name} is revoked. The gateway refuses it within 2 s.")

    async def rotate(self, request: Request) -> Response:
        """POST: replace a key."""
        found = await self._sent(request)
        if isinstance(found, Response):
            return found
        person, form = found
        if not self._desk.first_time(form.get("once")):
            return await self._keys(person, refused=SENT_ALREADY)
        made = await self._desk.rotate(person.caller, request.path_params["id"])
        return await self._keys(person, refused=made) if isinstance(made, ApiError) else await self._keys(person, issued=made)

    async def usage(self, request: Request) -> Response:
        """GET: sums and bars."""
        person = await self._person(request)
        if not isinstance(person, Person):
            return person
        days = days_of(request.query_params.get("days", ""), DAYS_DEFAULT, DAYS_MAX)
        if isinstance(days, ApiError):
            return self._error(request, days, person)
        rows, keys = await asyncio.gather(self._desk.usage(person.caller, days), self._desk.keys(person.caller))
        if isinstance(rows, ApiError) or isinstance(keys, ApiError):
            return self._error(request, rows if isinstance(rows, ApiError) else NO_KEYS_NOW, person)
        return HTMLResponse(self._pages.usage(self._seen(person, USAGE), rows, keys, days))

    async def docs(self, request: Request) -> Response:
        """GET: lines to copy."""
        person = await self._person(request)
        if not isinstance(person, Person):
            return person
        url = f"{request.headers.get('x-forwarded-proto', 'http')[:5]}://{request.headers['host']}"
        return HTMLResponse(self._pages.docs(self._seen(person, DOCS), url))

    async def failed(self, request: Request, error: ApiError) -> Response:
        """Any refusal that has no page of its own."""
        person = await self._person(request)
        return self._error(request, error, person if isinstance(person, Person) else None)

    async def _person(self, request: Request) -> Person | Response:
        """Who signed in; for a visitor the way to the form, and an error where nobody can know."""
        found = await self._desk.by_cookie(request.cookies.get(COOKIE, ""), address_of(request))
        if isinstance(found, ApiError):
            return self._error(request, found, None)
        if found is None or found.session is None:
            return _to(SIGN_IN)
        return Person(caller=found, session=found.session)

    async def _sent(self, request: Request) -> tuple[Person, Form] | Response:
        """Who sent a form, and its fields; an answer where that is nobody, or the form is of another session."""
        person = await self._person(request)
        if not isinstance(person, Person):
            return person if person.status_code >= 400 else self._visitor(None, SIGN_IN_AGAIN)
        form = await self._form(request, person.session)
        return self._error(request, form, person) if isinstance(form, ApiError) else (person, form)

    async def _form(self, request: Request, session: Session | None) -> Form | ApiError:
        body = await body_of(request)
        if isinstance(body, ApiError):
            return body
        try:
            form = Form(body)
        except ValueError:
            return ApiError(status=400, code="invalid_body", message="The form cannot be read. Load the page again, then send it.")
        return form if session is not None and self._desk.signer.is_form_token(session, form.get("token")) else OLD_FORM

    async def _keys(
        self, person: Person, *, refused: ApiError | None = None, done: str = "", issued: IssuedKey | None = None, form: Form = NO_FORM
    ) -> Response:
        rows, organisation = await asyncio.gather(self._desk.keys(person.caller), self._desk.organisation(person.caller))
        if isinstance(rows, ApiError) or isinstance(organisation, ApiError):
            if issued is None:
                return HTMLResponse(self._pages.error(self._seen(person, KEYS), NO_KEYS_NOW, ""), NO_KEYS_NOW.status)
            rows, organisation = [issued.row], None  # the store went away meanwhile: the key is shown all the same, for it is never again
        seen = self._seen(person, KEYS, refused=refused.message if refused else "", done=done)
        once = self._desk.random_bytes(ID_BYTES).hex()
        page = self._pages.keys(seen, rows, organisation, once=once, issued=issued, form=form)
        return HTMLResponse(page, refused.status if refused else 200)

    def _visitor(self, session: Session | None, refused: ApiError | None = None, *, done: str = "") -> Response:
        """The sign-in form, in a session that its cookie keeps."""
        session = session or self._desk.visit()
        told = refused.message if refused else ""
        seen = Seen(caller=None, token=self._desk.signer.form_token(session), now=self._desk.clock.now(), refused=told, done=done)
        headers = {"retry-after": str(refused.retry_after_s)} if refused and refused.retry_after_s is not None else None
        return self._with_cookie(HTMLResponse(self._pages.sign_in(seen), refused.status if refused else 200, headers=headers), session)

    def _with_cookie(self, answer: Response, session: Session) -> Response:
        lasts_s = max(int(session.ends_at - self._desk.clock.now()), 1)
        sealed = self._desk.signer.seal(session)
        answer.set_cookie(COOKIE, sealed, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    def _seen(self, person: Person | None, here: str, *, refused: str = "", done: str = "") -> Seen:
        token = self._desk.signer.form_token(person.session) if person else ""
        return Seen(
            caller=person.caller if person else None, token=token, now=self._desk.clock.now(), here=here, refused=refused, done=done
        )

    def _error(self, request: Request, error: ApiError, person: Person | None) -> Response:
        return HTMLResponse(self._pages.error(self._seen(person, ""), error, request_id_of(request)), error.status)


def _to(path: str) -> Response:
    return RedirectResponse(path, 303)
