"""The usage ledger: 50,000 requests against two gateway processes and three members, any of which is killed at random, the database too,
which also goes away twice; then what clients were answered is compared with the rows in the database.

CORTOPS_BENCH_SEED chooses other victims and moments.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Figure, report
from cortops.testing import ledger
from cortops.testing.ledger import Ledger, Scale
from cortops.testing.postgresql import MISSING, postgresql

REQUESTS = 50_000
SHOWN_MAX = 20


def table(found: Ledger) -> str:
    """What happened, for people."""
    killed = ", ".join(f"{count} x {kind}" for kind, count in found.kills.items() if kind != "outage")
    refused = ", ".join(f"{count:,} x {code}" for code, count in found.refused.items())
    lines = [
        ("requests", f"{found.requests:,} in {found.elapsed_s:.0f} s"),
        ("killed with SIGKILL", killed),
        ("answered whole, 200", f"{found.ok:,}"),
        ("answered whole, refused", refused or "0"),
        ("not answered whole", f"{found.unanswered:,}"),
        ("outages", str(found.kills.get("outage", 0))),
        ("served in an outage", f"{found.in_outages:,}"),
        ("rows", f"{found.rows:,}"),
        ("answered without a row", f"{len(found.books.lost):,}"),
        ("with two rows", f"{len(found.books.double):,}"),
        ("row and answer differ", f"{len(found.books.strange):,}"),
    ]
    return "\n".join(f"{name:<24} {value}" for name, value in lines)


def main() -> int:
    """Run it; 1 when the books do not agree."""
    if MISSING:
        print(MISSING, file=sys.stderr)
        return 1
    scale = Scale(requests=REQUESTS, seed=int(os.environ.get("CORTOPS_BENCH_SEED", "1")))
    with postgresql() as server, tempfile.TemporaryDirectory(prefix="cortops-ledger-") as folder:
        found = asyncio.run(ledger.run(Path(folder), server, scale, told=lambda text: print(text, file=sys.stderr)))
    print(table(found))
    for kind in ("lost", "double", "strange"):
        for name in getattr(found.books, kind)[:SHOWN_MAX]:
            print(f"{kind}: {name}")
    bench = "usage"
    figures = [
        Figure(bench=bench, figure="requests", value=found.requests, unit="requests", goal=f">= {REQUESTS}"),
        Figure(bench=bench, figure="lost", value=len(found.books.lost), unit="rows", goal="<= 0"),
        Figure(bench=bench, figure="double", value=len(found.books.double), unit="rows", goal="<= 0"),
        Figure(bench=bench, figure="strange", value=len(found.books.strange), unit="rows", goal="<= 0"),
        Figure(bench=bench, figure="kills", value=sum(found.kills.values()) - found.kills.get("outage", 0), unit="processes", goal=">= 20"),
        Figure(bench=bench, figure="served_in_outages", value=found.in_outages, unit="requests", goal=">= 1"),
    ]
    outages = "+".join(f"{seconds:g}" for _, seconds in scale.outages)
    report(
        figures,
        configuration=f"{scale.gateways} gateway processes, {scale.members} members, {scale.clients} clients, half of them streams;"
        f" keys and usage in PostgreSQL, away for {outages} s; seed {scale.seed}",
    )
    return 0 if not (found.books.lost or found.books.double or found.books.strange) else 1


if __name__ == "__main__":
    sys.exit(main())
