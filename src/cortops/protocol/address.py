"""The address of a PostgreSQL database. It may hold a password, so what people see of it is made here, and nowhere else."""

from __future__ import annotations

import re
from urllib.parse import unquote

POSTGRESQL = "postgresql://"
ADDRESS_MAX = 4096
URL_SUFFIX = ".url"  # of a file that holds an address
_PART = r"[A-Za-z0-9._~!$&'*+,;=%-]"
_HOST = rf"(?:{_PART}+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"
_ADDRESS = re.compile(
    rf"postgresql://(?:(?P<user>{_PART}+)(?::(?P<password>{_PART}*))?@)?(?P<hosts>{_HOST}(?:,{_HOST})*)?"
    rf"/(?P<name>{_PART}+)(?:\?(?P<options>[!-~]*))?"
)
_SECRET_OPTION = re.compile(r"(?:^|&)(?:ssl)?password=")
_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def misfit(address: str) -> str:
    """Why libpq would not read this as it is meant, in words that cite nothing of it; "" when it would."""
    found = _ADDRESS.fullmatch(address) if len(address) <= ADDRESS_MAX else None
    if found is None or _PERCENT.search(address):
        return "not of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE; write @ : / ? # % in a password as %40 %3A %2F %3F %23 %25"
    if _SECRET_OPTION.search(found["options"] or ""):
        return "the password belongs before the @, not into the options"
    return ""


def shown(address: str) -> str:
    """The address for people: user, hosts and database."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return POSTGRESQL
    user = f"{found['user']}@" if found["user"] else ""
    return f"{POSTGRESQL}{user}{found['hosts'] or ''}/{found['name']}"


def without_secrets(text: str, address: str) -> str:
    """A message that may cite the address, without its password."""
    found = _ADDRESS.fullmatch(address)
    password = (found["password"] if found is not None else "") or ""
    for value in (address, password, unquote(password)):
        if value:
            text = text.replace(value, "***")
    return text
