"""An nginx configuration from frozen values: pure text, golden file in the tests.

What a request may do twice: nothing. It goes to the next server of a group only when the one before could not be reached; once a POST
has been sent anywhere it is not sent again (ngx_http_proxy_module, proxy_next_upstream: non_idempotent is off).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

CONNECT_TIMEOUT_S = 5
NEXT_TIMEOUT_S = 10  # past a try to connect, before any read timeout: a slow answer is waited for, not asked for again elsewhere
KEPT_S = 60  # an idle connection; gateway and routers close theirs after 75 s, so we are first and never send into a closing one
FAILED_FOR_S = 1  # a program that was killed is back after about a second, and is asked again by then
KEPT_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What nginx answers by itself, in the one error shape of all our HTTP."""

    status: int
    code: str
    message: str
    param: str | None = None

    @property
    def body(self) -> str:
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        return json.dumps({"error": {"message": self.message, "type": kind, "code": self.code, "param": self.param}}, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Who shares the requests of some locations: the one with the fewest under way is asked. servers: ip:port of each."""

    name: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A path that is let through. match: as nginx writes it, `= /exact` or `/prefix`. asks: the path behind; empty for the same one."""

    match: str
    upstream: str
    asks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A path that is refused with more than 404's words."""

    match: str
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerName:
    """One hostname: its places (ip:port), its certificate's files (PEM with the whole chain; key), what it lets through and to whom.

    who: stands behind, for what people read. methods: the only ones that are let through; all where there is none.
    """

    hostname: str
    listen: tuple[str, ...]
    certificate: str
    certificate_key: str
    who: str
    upstreams: tuple[Upstream, ...]
    locations: tuple[Open | Closed, ...]
    methods: tuple[str, ...] = ()
    body_max_kib: int
    read_timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxSite:
    """All that one nginx process serves; the first server also answers to names that none has.

    user: who its workers run as, where it starts as root.
    """

    run_folder: str  # pid and temporary files
    user: str
    servers: tuple[ServerName, ...]


def pid_file(run_folder: str) -> str:
    """Where nginx writes its master's pid."""
    return f"{run_folder}/nginx.pid"


def render(site: NginxSite) -> str:
    """NginxSite -> nginx.conf. Streams pass unbuffered; the request id goes through; the client's own address is told, never believed."""
    servers = "\n".join(_server(server) for server in site.servers)
    user = f"user {site.user};\n" if site.user else ""
    return f"""{user}daemon off;
worker_processes 1;
pid {pid_file(site.run_folder)};
error_log stderr warn;

events {{
    worker_connections 4096;
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
    client_header_timeout 10s;
    client_body_timeout 30s;
    keepalive_timeout 75s;
    large_client_header_buffers 4 16k;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_buffering off;
    proxy_connect_timeout {CONNECT_TIMEOUT_S}s;
    proxy_send_timeout 60s;
    proxy_next_upstream error timeout;
    proxy_next_upstream_timeout {NEXT_TIMEOUT_S}s;

{servers}}}
"""


def _server(server: ServerName) -> str:
    upstreams = "".join(_upstream(upstream) for upstream in server.upstreams)
    locations = "".join(_open(way) if isinstance(way, Open) else _closed(way.match, way.refusal) for way in server.locations)
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

{_only(server.methods)}{locations}{root}
{refusals}    }}
"""


def _upstream(upstream: Upstream) -> str:
    """One server is asked whatever happened before; of several, one that failed is left out for a moment."""
    many = len(upstream.servers) > 1
    limits = f" max_fails=1 fail_timeout={FAILED_FOR_S}s" if many else " max_fails=0"
    servers = "".join(f"        server {server}{limits};\n" for server in upstream.servers)
    return f"""    upstream {upstream.name} {{
{"        least_conn;" + chr(10) if many else ""}{servers}        keepalive {KEPT_MAX};
        keepalive_timeout {KEPT_S}s;
    }}
"""


def _only(methods: tuple[str, ...]) -> str:
    if not methods:
        return ""
    return f"""        if ($request_method !~ ^({"|".join(methods)})$) {{
            return 405;
        }}
"""


def _open(way: Open) -> str:
    return f"""        location {way.match} {{
            proxy_pass http://{way.upstream}{way.asks};
        }}
"""


def _closed(match: str, refusal: Refusal, extra: str = "") -> str:
    return f"""        location {match} {{
            add_header X-Request-ID $request_id always;
{extra}            return {refusal.status} '{refusal.body}';
        }}
"""


def _refusals(server: ServerName) -> tuple[Refusal, ...]:
    """What nginx says by itself before anything reaches who stands behind, or when they do not answer."""
    only = f"only {' and '.join(server.methods)} may be asked here"
    return (
        Refusal(status=404, code="not_found", message="no such route here"),
        *([Refusal(status=405, code="method_not_allowed", message=only)] if server.methods else []),
        Refusal(status=413, code="request_too_large", message="the body is larger than this hostname allows"),
        Refusal(status=502, code="upstream_unavailable", message=f"{server.who} does not answer; try again"),
        Refusal(status=504, code="upstream_timeout", message=f"{server.who} did not answer in time"),
    )


def _refused(refusal: Refusal, methods: tuple[str, ...]) -> str:
    name = f"@refused_{refusal.status}"
    allow = f'            add_header Allow "{", ".join(methods)}" always;\n' if refusal.status == 405 else ""
    return f"        error_page {refusal.status} {name};\n" + _closed(name, refusal, allow)
