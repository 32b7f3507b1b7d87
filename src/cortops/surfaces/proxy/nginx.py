"""An nginx configuration from frozen values: pure text, golden file in the tests.

What a request may do twice: nothing. It goes to the next server of a group only when the one before could not be reached; once a POST
has been sent anywhere it is not sent again (ngx_http_proxy_module, proxy_next_upstream: non_idempotent is off).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CONNECT_TIMEOUT_S = 5
NEXT_TIMEOUT_S = 10  # past a try to connect, before any read timeout: a slow answer is waited for, not asked for again elsewhere
KEPT_S = 60  # an idle connection; gateway and routers close theirs after 75 s, so we are first and never send into a closing one
FAILED_FOR_S = 1  # a program that was killed is back after about a second, and is asked again by then
KEPT_MAX = 32
CONNECTIONS_MAX = 8192  # of clients and to those behind, together
DRAIN_S = 3600  # after a reload, how long streams that began before it may go on
ZONE_MIB = 4  # of the addresses that a limit remembers: about 32,000; then the ones asked longest ago are forgotten
HEADER_WAIT_S = 10  # for a whole request head, however it trickles in
BODY_WAIT_S = 30  # between two parts of a body
REQUEST_ID = "$shown_id"  # the client's own where it is harmless, else made here
NO_ROUTE = "no such route here"  # nginx's words for what is not let through; nobody behind has the same
SHOWN_ID = "[A-Za-z0-9._:-]{1,64}"  # as the gateway takes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What nginx answers by itself, in the one error shape of all our HTTP. of: nginx's own number for the cause, where it has one."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    of: int = 0

    @property
    def body(self) -> str:
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        error: dict[str, str | int | None] = {"message": self.message, "type": kind, "code": self.code, "param": self.param}
        error |= {} if self.retry_after_s is None else {"retry_after_s": self.retry_after_s}
        return json.dumps({"error": error, "request_id": REQUEST_ID}, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Who shares the requests of some locations: the one with the fewest under way is asked. servers: ip:port of each."""

    name: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimit:
    """What one client, known by its address, may ask of all places with this `name`. 0: no such limit.

    per_min: requests a minute, and `burst` at once beyond that. at_once: requests and streams under way.
    """

    name: str
    per_min: int = 0
    burst: int = 0
    at_once: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A path that is let through. match: as nginx writes it, `= /exact` or `/prefix`. asks: the path behind; empty for the same one.

    read_timeout_s, body_max_kib: 0 for those of the hostname.
    """

    match: str
    upstream: str
    asks: str = ""
    read_timeout_s: int = 0
    body_max_kib: int = 0
    limit: ClientLimit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A path that is refused with more than 404's words."""

    match: str
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerName:
    """One hostname: its places (ip:port), its certificate's files (PEM with the whole chain; key), what it lets through and to whom.

    who: stands behind, for what people read. methods: the only ones that are let through; all where there is none.
    believes: networks of proxies in front, whose X-Forwarded-For tells the client's address.
    """

    hostname: str
    listen: tuple[str, ...]
    certificate: str
    certificate_key: str
    who: str
    upstreams: tuple[Upstream, ...]
    locations: tuple[Open | Closed, ...]
    methods: tuple[str, ...] = ()
    believes: tuple[str, ...] = ()
    body_max_kib: int
    read_timeout_s: int

    @property
    def limits(self) -> tuple[ClientLimit, ...]:
        """Each once."""
        return tuple(dict.fromkeys(way.limit for way in self.locations if isinstance(way, Open) and way.limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What shows an authority that the hostnames are ours, in plain HTTP: the files of `folder` (RFC 8555 8.3). listen: ip:port."""

    hostnames: tuple[str, ...]
    listen: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxSite:
    """All that one nginx process serves; the first server also answers to names that none has.

    user: who its workers run as, where it starts as root.
    """

    run_folder: str  # pid and temporary files
    user: str
    servers: tuple[ServerName, ...]
    challenge: Challenge | None = None


def pid_file(run_folder: str) -> str:
    """Where nginx writes its master's pid."""
    return f"{run_folder}/nginx.pid"


def render(site: NginxSite) -> str:
    """NginxSite -> nginx.conf. Streams pass unbuffered; the request id goes through; the client's own address is told, never believed."""
    servers = "\n".join((*([_challenge(site.challenge)] if site.challenge else ()), *(_server(server) for server in site.servers)))
    user = f"user {site.user};\n" if site.user else ""
    zones = "".join(line for server in site.servers for limit in server.limits for line in _zones(limit))
    return f"""{user}daemon off;
worker_processes 1;
worker_rlimit_nofile {2 * CONNECTIONS_MAX};
worker_shutdown_timeout {DRAIN_S}s;
pid {pid_file(site.run_folder)};
error_log stderr warn;

events {{
    worker_connections {CONNECTIONS_MAX};
}}

http {{
    access_log off;
    server_tokens off;
    default_type application/json;
    client_body_temp_path {site.run_folder}/nginx-body;
    proxy_temp_path {site.run_folder}/nginx-proxy;
    fastcgi_temp_path {site.run_folder}/nginx-fastcgi;
    uwsgi_temp_path {site.run_folder}/nginx-uwsgi;
    scgi_temp_path {site.run_folder}/nginx-scgi;
    client_header_timeout {HEADER_WAIT_S}s;
    client_body_timeout {BODY_WAIT_S}s;
    send_timeout 60s;
    reset_timedout_connection on;
    keepalive_timeout 75s;
    large_client_header_buffers 4 16k;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    map $http_x_request_id {REQUEST_ID} {{
        "~^{SHOWN_ID}$" $http_x_request_id;
        default $request_id;
    }}
    limit_req_status 429;
    limit_conn_status 429;
{zones}    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Request-ID {REQUEST_ID};
    proxy_hide_header X-Request-ID;
    add_header X-Request-ID {REQUEST_ID} always;
    proxy_buffering off;
    proxy_connect_timeout {CONNECT_TIMEOUT_S}s;
    proxy_send_timeout 60s;
    proxy_next_upstream error timeout;
    proxy_next_upstream_timeout {NEXT_TIMEOUT_S}s;

{servers}}}
"""


def _zones(limit: ClientLimit) -> Iterator[str]:
    """A rate and a count for each limit that needs one, by the client's address in binary."""
    if limit.per_min:
        yield f"    limit_req_zone $binary_remote_addr zone=rate_{limit.name}:{ZONE_MIB}m rate={limit.per_min}r/m;\n"
    if limit.at_once:
        yield f"    limit_conn_zone $binary_remote_addr zone=open_{limit.name}:{ZONE_MIB}m;\n"


def _challenge(challenge: Challenge) -> str:
    listens = "".join(f"        listen {place};\n" for place in challenge.listen)
    return f"""    # certificates: what authorities ask for
    server {{
{listens}        server_name {" ".join(challenge.hostnames)};
        location /.well-known/acme-challenge/ {{
            alias {challenge.folder}/;
            default_type text/plain;
        }}
        location / {{
            return 404;
        }}
    }}
"""


def _server(server: ServerName) -> str:
    upstreams = "".join(_upstream(upstream) for upstream in server.upstreams)
    locations = "".join(_location(way, server.methods) for way in server.locations)
    listens = "".join(f"        listen {place} ssl;\n" for place in server.listen)
    refusals = "".join(_refused(refusal, server.methods) for refusal in _refusals(server))
    root = "" if any(way.match == "/" for way in server.locations) else "        location / {\n            return 404;\n        }\n"
    return f"""    # {server.hostname}, to {server.who}
{upstreams}    server {{
{listens}        http2 on;
        server_name {server.hostname};
        ssl_certificate {server.certificate};
        ssl_certificate_key {server.certificate_key};
        client_max_body_size {server.body_max_kib}k;
        client_body_buffer_size {server.body_max_kib}k;
        proxy_read_timeout {server.read_timeout_s}s;
{_believed(server.believes)}
{locations}{root}
{refusals}    }}
"""


def _believed(networks: tuple[str, ...]) -> str:
    """Of a chain of addresses the last that is none of these is the client's."""
    if not networks:
        return ""
    trusted = "".join(f"        set_real_ip_from {network};\n" for network in networks)
    return f"{trusted}        real_ip_header X-Forwarded-For;\n        real_ip_recursive on;\n"


def _upstream(upstream: Upstream) -> str:
    """One server is asked whatever happened before; of several, one that failed is left out for a moment.

    Connections are kept, but not where one of several may vanish with its host: what is sent into such a connection waits for the read
    timeout, while a new one fails after CONNECT_TIMEOUT_S, and the next server is asked.
    """
    many = len(upstream.servers) > 1
    kept = 0 if many and not all(server.startswith("127.") for server in upstream.servers) else KEPT_MAX
    limits = f" max_fails=1 fail_timeout={FAILED_FOR_S}s" if many else " max_fails=0"
    servers = "".join(f"        server {server}{limits};\n" for server in upstream.servers)
    return f"""    upstream {upstream.name} {{
{"        least_conn;" + chr(10) if many else ""}{servers}        keepalive {kept};
        keepalive_timeout {KEPT_S}s;
    }}
"""


def _location(way: Open | Closed, methods: tuple[str, ...]) -> str:
    if isinstance(way, Closed):
        return _closed(way.match, way.refusal)
    only = [f"if ($request_method !~ ^({'|'.join(methods)})$) {{", "    return 405;", "}"] if methods else []
    lines = "".join(f"            {line}\n" for line in (*only, *_own(way)))
    return f"""        location {way.match} {{
{lines}            proxy_pass http://{way.upstream}{way.asks};
        }}
"""


def _own(way: Open) -> Iterator[str]:
    """What is not as for the whole hostname."""
    if way.limit and way.limit.per_min:
        yield f"limit_req zone=rate_{way.limit.name} burst={way.limit.burst} nodelay;"
    if way.limit and way.limit.at_once:
        yield f"limit_conn open_{way.limit.name} {way.limit.at_once};"
    if way.body_max_kib:
        yield f"client_max_body_size {way.body_max_kib}k;"
        yield f"client_body_buffer_size {way.body_max_kib}k;"
    if way.read_timeout_s:
        yield f"proxy_read_timeout {way.read_timeout_s}s;"


def _closed(match: str, refusal: Refusal, lines: Iterable[str] = ()) -> str:
    told = "".join(f"            {line};\n" for line in lines)
    return f"""        location {match} {{
{told}            return {refusal.status} '{refusal.body}';
        }}
"""


def _refusals(server: ServerName) -> Iterator[Refusal]:
    """What nginx says by itself before anything reaches who stands behind, or when they do not answer."""
    again_s = max((-(-60 // limit.per_min) for limit in server.limits if limit.per_min), default=1)
    yield Refusal(status=400, code="bad_request", message="this is no HTTP request as it should be")
    yield Refusal(status=404, code="not_found", message=NO_ROUTE)
    if server.methods:
        yield Refusal(status=405, code="method_not_allowed", message=f"only {' and '.join(server.methods)} may be asked here")
    yield Refusal(status=413, code="request_too_large", message="the body is larger than this hostname allows")
    yield Refusal(status=414, code="address_too_long", message="the address is longer than 16 KiB")
    if server.limits:
        yield Refusal(status=429, code="too_many_requests", message="more than one client may ask for here", retry_after_s=again_s)
    yield Refusal(status=431, of=494, code="header_too_large", message="a header is larger than 16 KiB, or all are than 64")
    yield Refusal(status=400, of=497, code="tls_needed", message="this port speaks TLS: ask with https")
    yield Refusal(status=502, code="upstream_unavailable", message=f"{server.who} does not answer; try again")
    yield Refusal(status=504, code="upstream_timeout", message=f"{server.who} did not answer in time")


def _refused(refusal: Refusal, methods: tuple[str, ...]) -> str:
    """By an address of its own, not a name: of a request that could not be read there is no address to go on from."""
    of = refusal.of or refusal.status
    headers = [f'Allow "{", ".join(methods)}"'] if refusal.status == 405 else []
    headers += [f"Retry-After {refusal.retry_after_s}"] if refusal.retry_after_s is not None else []
    headers += [f"X-Request-ID {REQUEST_ID}"] if headers else []  # one header here, and none of the outer ones counts
    lines = ("internal", *(f"add_header {header} always" for header in headers))
    as_status = f"={refusal.status} " if refusal.of else ""
    return f"        error_page {of} {as_status}/refused/{of};\n" + _closed(f"= /refused/{of}", refusal, lines)
