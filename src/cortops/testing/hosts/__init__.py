"""Real test hosts: `with hosts(count=3) as fleet` boots Debian with systemd and sshd, each at an address of its own, in about a second."""

from __future__ import annotations

from cortops.testing.hosts.fleet import Fleet, hosts
from cortops.testing.hosts.needs import here_for_ci, why_not
from cortops.testing.hosts.system_host import SystemHost

__all__ = ["Fleet", "SystemHost", "here_for_ci", "hosts", "why_not"]
