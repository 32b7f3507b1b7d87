"""A service that reads its file again on SIGHUP and writes what it read into its log; a check that refuses what says so."""

from __future__ import annotations

import sys

from cortops.words.entity import Entity
from cortops.words.resource import NEW_FILE, File, Reload, Service

ENTITY = Entity("node", "m1")
CHECK = ("sh", "-c", 'read -r line <"$1"; [ "$line" != bad ] || { echo "unexpected bad in $1:1" >/dev/stderr; exit 1; }', "check")
_PROGRAM = (  # in one line, as supervisor wants it
    "import signal, sys; read = lambda *_: print('read', open(sys.argv[1]).read().strip(), flush=True); "
    "signal.signal(signal.SIGHUP, read); read(); [signal.pause() for _ in iter(int, 1)]"
)


def config(place: str, root: str, text: str) -> File:
    """The file, which must pass the check first."""
    path = f"{root}/m1.conf"
    return File(place=place, entity=ENTITY, because="t:2", path=path, content=(f"{text}\n",), check=(*CHECK, NEW_FILE))


def service(file: File, root: str, log: str, python: str = sys.executable) -> Service:
    """The program."""
    return Service(
        place=file.place,
        entity=ENTITY,
        because="t:4",
        needs=(file.key,),
        name="m1",
        argv=(python, "-c", _PROGRAM, file.path),
        directory=root,
        log_path=log,
        reload=Reload(on=(file.key,), check=(*CHECK, file.path)),
    )
