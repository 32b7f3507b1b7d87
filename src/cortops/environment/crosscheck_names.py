"""Cross-checks of names and certificates: hostnames in our zones that lead to their hosts, and certificates that can be had."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.dns import is_hostname, records_of, zone_of
from cortops.environment.reason import Finding, Path, did_you_mean, list_of, printable


def names_have_a_zone(declared: Declared) -> Iterator[Finding]:
    """Where zones are declared every hostname stands in one, and it is said how clients reach its host."""
    dns = declared.dns
    if dns is None:
        return
    for hostname, route in declared.proxy.items():
        host = declared.hosts.get(route.on)
        if hostname == "localhost" or hostname.endswith(".localhost"):
            continue  # loopback everywhere (RFC 6761)
        if not zone_of(dns, hostname):
            known = list_of(dns.zones)
            yield Finding(("proxy", hostname), "stands in no zone of dns", f"Declared zones: {known}. Add its zone to dns.zones.")
        elif host is not None and route.on not in dns.hosts:
            what = f"leads to {printable(route.on)}, and dns does not say how clients reach that host"
            yield Finding(("proxy", hostname), what, f"Add dns.hosts.{printable(route.on)}: [IP]")
    for name in dns.hosts:
        if declared.is_unknown("hosts", name):
            known_hosts = sorted(declared.written.get("hosts", ()))
            cure = did_you_mean(name, known_hosts, otherwise=f"Declared hosts: {list_of(known_hosts)}.")
            yield Finding(("dns", "hosts", name), f"names host {printable(name)}, which is not declared", cure)


def records_do_not_clash(declared: Declared) -> Iterator[Finding]:
    """A CNAME stands alone at its name, never at a zone's own, and leads to another. Source: RFC 1034 3.6.2, RFC 1912 2.4."""
    dns = declared.dns
    if dns is None:
        return
    leads = {
        hostname: record.values[0]
        for hostname, route in declared.proxy.items()
        for record in records_of(dns, hostname, route.on)
        if record.type == "CNAME"
    }
    for hostname, to in leads.items():
        line = declared.line("dns", "hosts", declared.proxy[hostname].on)
        if hostname in dns.zones:
            what = f"is the zone itself, which cannot be a CNAME of {printable(to)} (line {line})"
            cure = f"Give dns.hosts.{declared.proxy[hostname].on} addresses, or use a name below the zone."
            yield Finding(("proxy", hostname), what, cure)
        seen = [hostname]
        while to in leads and to not in seen:
            seen.append(to)
            to = leads[to]
        if to == hostname:
            what = f"leads to itself ({' -> '.join((*seen, to))}, line {line})"
            yield Finding(("proxy", hostname), what, "Name where the host really is, or its addresses.")
    for zone, entry in dns.zones.items():
        first = next(other for other, one in dns.zones.items() if (one.zone_file, one.octodns) == (entry.zone_file, entry.octodns))
        if first != zone and entry.zone_file is not None:
            what = f"is kept in the same file as {printable(first)} (line {declared.line('dns', 'zones', first)})"
            yield Finding(("dns", "zones", zone), what, "Give each zone a file of its own.")


def watch_finds_its_files(declared: Declared) -> Iterator[Finding]:
    """The watch runs from its own copy of the file, in another folder: what it reads beside that is named by its full path."""
    if declared.monitor is None:
        return
    acme, line = declared.acme, declared.line("monitor")
    paths: list[tuple[Path, str | None]] = [(("proxy", name, "tls", "trust"), route.tls.trust) for name, route in declared.proxy.items()]
    paths.append((("acme", "trust"), acme.trust if acme is not None else None))
    if acme is not None and acme.renew == "watch":
        certificates = ((("proxy", name, "tls", "certificate"), route.tls.certificate) for name, route in declared.proxy.items())
        paths += [(path, certificate) for path, certificate in certificates if isinstance(certificate, str)]
        for zone, kept in declared.dns.zones.items() if declared.dns is not None else ():
            paths.append((("dns", "zones", zone, "zone-file" if kept.zone_file else "octodns"), kept.zone_file or kept.octodns))
    for path, value in paths:
        if value is not None and not value.startswith("/"):
            what = f"is seen from this file's folder, and the watch (line {line}) runs in another"
            yield Finding(path, what, f"Write its full path, for example /etc/lab/{printable(value)}")


def certificates_can_be_had(declared: Declared) -> Iterator[Finding]:
    """ACME is declared where it is used, for names that others can resolve, and by a challenge that we can answer."""
    users = [hostname for hostname, route in declared.proxy.items() if route.tls.by == "acme"]
    acme = declared.acme
    for hostname in users:
        if acme is None:
            if "acme" not in declared.incomplete:
                cure = "Add the section acme: {directory: URL, agree: true}."
                yield Finding(("proxy", hostname, "tls"), "is acme, which is not declared", cure)
        elif not is_hostname(hostname) or hostname.endswith(".localhost"):
            yield Finding(("proxy", hostname, "tls"), "is acme, and no authority can reach that name", "Write tls: local-ca")
        elif acme.challenge == "dns-01" and (declared.dns is None or not zone_of(declared.dns, hostname)):
            line = declared.line("acme", "challenge")
            what = f"is acme, shown by dns-01 (line {line}), and the name stands in no zone of dns"
            yield Finding(("proxy", hostname, "tls"), what, "Add its zone to dns.zones, or write challenge: http-01.")
    every = "proxy" not in declared.incomplete and len(declared.proxy) == len(declared.written.get("proxy", ()))
    if acme is not None and not users and every:
        yield Finding(("acme",), "is used by no hostname", "Write tls: acme at one in proxy, or remove the section.")
