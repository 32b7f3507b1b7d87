"""The portal's pages: templates filled with values that are already decided; every value is escaped by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cortops.programs.portal.asked import LABELS, Form, limits_text
from cortops.programs.portal.bars import by_day, days_until, drawing, sums, total
from cortops.programs.portal.desk import OVERLAP_S, Caller
from cortops.programs.portal.examples import examples
from cortops.programs.portal.wording import relative, utc
from cortops.protocol.keys import FAMILY_SCOPE, MODEL_SCOPE, IssuedKey, KeyRow, Organisation, state
from cortops.protocol.limits import KINDS, NO_LIMITS
from cortops.protocol.openai import ApiError
from cortops.protocol.portal import PortalConfig
from cortops.protocol.site import Static, templates
from cortops.protocol.usage_days import UsageDay

HERE = Path(__file__).parent
NO_FORM = Form(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """A key as its row of the table tells it."""

    id: str
    name: str
    state: str
    scopes: str
    limits: str
    created_at: float
    expires_at: float | None
    is_own: bool
    may_rotate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """By whom and when a page is looked at. token: of its forms. refused, done: what came of the last form."""

    caller: Caller | None
    token: str
    now: float
    here: str = ""
    refused: str = ""
    done: str = ""


class Pages:
    """One method a page."""

    def __init__(self, config: PortalConfig, static: Static) -> None:
        self._config = config
        self._templates = templates(HERE / "templates")
        self._templates.globals |= {
            "static": static.href,
            "environment": config.environment,
            "owner": config.owner,
            "overlap_h": int(OVERLAP_S // 3600),
        }
        self._templates.filters |= {"utc": utc}

    def sign_in(self, seen: Seen) -> str:
        """Where a visitor says who they are."""
        return self._filled("sign-in.html", seen, session_max_h=f"{self._config.session_max_h:g}")

    def keys(
        self,
        seen: Seen,
        rows: list[KeyRow],
        organisation: Organisation | None,
        *,
        once: str,
        issued: IssuedKey | None = None,
        form: Form = NO_FORM,
    ) -> str:
        """Every key, and the form that makes one. issued: a key that was made just now. form: what was sent and refused."""
        most = organisation.limits if organisation is not None else NO_LIMITS
        values = {name: form.get(name) for name in ("name", "expires_in_days", *KINDS)}
        limits = [{"name": kind, "label": LABELS[kind].capitalize(), "otherwise": _otherwise(getattr(most, kind))} for kind in KINDS]
        scopes = (*(MODEL_SCOPE + model for model in self._config.models), *(FAMILY_SCOPE + name for name in self._config.families))
        lines = [_line(row, seen) for row in rows]
        return self._filled(
            "keys.html",
            seen,
            rows=lines,
            valid=sum(line.state == "valid" for line in lines),
            issued=issued,
            once=once,
            form=values,
            limits=limits,
            scopes=scopes,
            chosen=form.all("scope"),
        )

    def usage(self, seen: Seen, rows: list[UsageDay], keys: list[KeyRow], days: int) -> str:
        """Sums and bars of the last days."""
        each = by_day(rows, days_until(seen.now, days))
        return self._filled(
            "usage.html",
            seen,
            total=total(rows),
            days=each,
            busy_days=[day for day in reversed(each) if day.requests],
            models=sums(rows, lambda row: row.model),
            keys=sums(rows, lambda row: row.key_id),
            names={row.id: row.name for row in keys},
            drawing=drawing(each),
        )

    def docs(self, seen: Seen, portal_url: str) -> str:
        """Lines to copy."""
        base = self._config.gateway_url or "https://GATEWAY"
        return self._filled(
            "docs.html",
            seen,
            gateway_url=self._config.gateway_url,
            base=base,
            own_authority=self._config.own_authority,
            examples=examples(self._config, portal_url),
        )

    def error(self, seen: Seen, error: ApiError, request_id: str) -> str:
        """What went wrong and what to do next."""
        return self._filled("error.html", seen, error=error, request_id=request_id)

    def _filled(self, template: str, seen: Seen, **values: object) -> str:
        fields = {name: getattr(seen, name) for name in ("caller", "token", "here", "refused", "done")}
        told = {"relative": lambda at: relative(at, seen.now)}
        return self._templates.get_template(template).render(**fields, **told, **values)


def _line(row: KeyRow, seen: Seen) -> KeyLine:
    return KeyLine(
        id=row.id,
        name=row.name,
        state=state(row, seen.now),
        scopes=", ".join(row.scopes) or "all",
        limits=limits_text(row.limits),
        created_at=row.created_at,
        expires_at=row.expires_at,
        is_own=seen.caller is not None and row.id == seen.caller.row.id,
        may_rotate=not row.allows_portal,
    )


def _otherwise(limit: int | None) -> str:
    return "no limit of its own" if limit is None else f"the {limit:,} that all keys share"
