"""The watching service: what it is started with, and when."""

from __future__ import annotations

from dataclasses import replace

from tests.surfaces.stage import example, site_of

from cortops.environment.declared import shift_ports
from cortops.surfaces import render as render_all
from cortops.surfaces.monitoring.render import history_file, render
from cortops.words.resource import Directory, File, Resource, Service

ENV = example()
SITE = site_of(ENV)


def watch_of(resources: tuple[Resource, ...]) -> Service:
    return next(item for item in resources if isinstance(item, Service))


def test_it_watches_the_file_as_it_was_applied_and_starts_anew_with_another() -> None:
    found = tuple(render(ENV, SITE))
    service, file = watch_of(found), next(item for item in found if isinstance(item, File))
    assert (file.path, file.content, file.mode) == ("/srv/local/etc/local.yaml", (ENV.text,), 0o600)
    assert service.restart_on == (file.key,)
    assert service.argv[:3] == ("/py/bin/python", "-m", "cortops.programs.leash"), "it ends with its service manager"
    assert service.argv[3:] == (
        *("env", "CORTOPS_DATA=/srv", "/py/bin/python", "-m", "cortops.cli", "watch", "/srv/local/etc/local.yaml"),
        *("--port-base", "0"),
    )


def test_another_port_base_reaches_it() -> None:
    service = watch_of(tuple(render(shift_ports(ENV, 1000), SITE)))
    assert service.argv[-2:] == ("--port-base", "1000") and service.ports == (9500,)


def test_it_starts_after_every_other_service() -> None:
    """What is still to be started is not ill."""
    everything = render_all(ENV, SITE)
    others = {item.key for item in everything if isinstance(item, Service) and item.name != "watch"}
    watch = next(item for item in everything if isinstance(item, Service) and item.name == "watch")
    assert others <= set(watch.needs)


def test_its_history_lies_in_a_folder_that_is_kept() -> None:
    folder = next(item for item in render(ENV, SITE) if isinstance(item, Directory))
    assert folder.keep and history_file(SITE.hosts["here"]) == f"{folder.path}/history.db"


def test_without_a_monitor_there_is_nothing() -> None:
    assert list(render(replace(ENV, monitor=None), SITE)) == []
