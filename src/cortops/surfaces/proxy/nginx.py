"""An nginx configuration from frozen values: pure text, golden files in the tests."""

from __future__ import annotations

from dataclasses import dataclass

# What a location may match, by route family: the public paths of facts A.3 and B. All else is 404.
FAMILIES: dict[str, tuple[str, ...]] = {
    "completion": ("= /v1/chat/completions", "= /v1/models", "/v1/models/"),
}
ALWAYS: tuple[str, ...] = ("= /health",)

# nginx refuses by itself before anything reaches the gateway: with the gateway's one error shape.
_REFUSALS = {
    404: ("not_found", "no such route here"),
    413: ("request_too_large", "the body is larger than this hostname allows"),
    502: ("upstream_unavailable", "the gateway does not answer; try again"),
    504: ("upstream_timeout", "the gateway did not answer in time"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerName:
    """One hostname: where it listens, its certificate, what it lets through and to whom."""

    hostname: str
    listen: str  # ip:port
    certificate: str  # path, PEM with the whole chain
    certificate_key: str  # path
    families: tuple[str, ...]
    upstream: str  # ip:port
    body_max_kib: int
    read_timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxSite:
    """All that one nginx process serves. `user`: who its workers run as, where it starts as root."""

    run_folder: str  # pid and temporary files
    user: str
    servers: tuple[ServerName, ...]


def render(site: NginxSite) -> str:
    """NginxSite -> nginx.conf. Streams pass unbuffered; the request id goes through; the client's own address is told, never believed."""
    servers = "\n".join(_server(server) for server in site.servers)
    user = f"user {site.user};\n" if site.user else ""
    return f"""{user}daemon off;
worker_processes 1;
pid {site.run_folder}/nginx.pid;
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

{servers}}}
"""


def _server(server: ServerName) -> str:
    paths = [*ALWAYS, *(path for family in server.families for path in FAMILIES[family])]
    locations = "".join(_location(path, server) for path in paths)
    refusals = "".join(_refusal(status, code, message) for status, (code, message) in _REFUSALS.items())
    return f"""    # {server.hostname}
    upstream {_name(server)} {{
        server {server.upstream} max_fails=0;
        keepalive 32;
    }}
    server {{
        listen {server.listen} ssl;
        http2 on;
        server_name {server.hostname};
        ssl_certificate {server.certificate};
        ssl_certificate_key {server.certificate_key};
        client_max_body_size {server.body_max_kib}k;
        client_body_buffer_size {server.body_max_kib}k;

{locations}        location / {{
            return 404;
        }}

{refusals}    }}

"""


def _location(path: str, server: ServerName) -> str:
    return f"""        location {path} {{
            proxy_pass http://{_name(server)};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffering off;
            proxy_connect_timeout 5s;
            proxy_read_timeout {server.read_timeout_s}s;
            proxy_send_timeout 60s;
            proxy_next_upstream off;
        }}
"""


def _refusal(status: int, code: str, message: str) -> str:
    kind = "invalid_request_error" if status < 500 else "api_error"
    body = f'{{"error":{{"message":"{message}","type":"{kind}","code":"{code}","param":null}}}}'
    return f"""        error_page {status} @refused_{status};
        location @refused_{status} {{
            add_header X-Request-ID $request_id always;
            return {status} '{body}';
        }}
"""


def _name(server: ServerName) -> str:
    return "to_" + "".join(letter if letter.isalnum() else "_" for letter in server.hostname)
