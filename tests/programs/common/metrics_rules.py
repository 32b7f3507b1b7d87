"""What every page of /metrics must keep, whoever wrote it: used by the tests of all programs."""

from __future__ import annotations

import shutil
import subprocess

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

PROCESS = {
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
}


def families_of(page: bytes, *, ours: bool = True) -> dict[str, Metric]:
    """{name as a query writes it: family}; fails on what the library's parser refuses and, of ours, on what promtool dislikes."""
    text = page.decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    if ours and (promtool := shutil.which("promtool")):
        checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, timeout=30, check=False)
        assert checked.returncode == 0, checked.stderr.decode() or checked.stdout.decode()
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in families}


def values_of(page: bytes) -> dict[str, float]:
    """{`name` or `name{label="value",…}` (labels by the alphabet): value} of every sample."""
    found = {}
    for family in families_of(page).values():
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found
