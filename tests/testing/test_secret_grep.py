"""The search that follows every apply of the suite finds what it is for."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.test_secrets import ALL, API_KEY, store

from cortops.deploy.manifest import Manifest, encode
from cortops.deploy.observed import Desired
from cortops.testing.secret_grep import strays_here, strays_in
from cortops.words.entity import Entity
from cortops.words.resource import File, SecretRef


def applied(root: Path) -> str:
    """A folder as an apply leaves it: a file with a token, and the manifest that says so; the token."""
    secrets = store(root)
    secrets.ensure(ALL)
    value = secrets.value(API_KEY.name)
    path = root / "router.env"
    path.write_text(f"API_KEY={value}\n")
    path.chmod(0o600)
    file = File(place="here", entity=Entity("host", "here"), because="x:1", path=str(path), content=("API_KEY=", SecretRef(API_KEY.name)))
    made = Desired(resource=file, attributes={"sha256": "1"})
    (root / "manifests").mkdir()
    manifest = Manifest(generation=1, apply="a1", at=0, by="me", environment="lab", digest="d", tool_version="0", resources=(made,))
    (root / "manifests" / "0001.json").write_bytes(encode(manifest))
    return value


def test_a_value_stands_in_its_own_file_only(tmp_path: Path) -> None:
    assert strays_here(tmp_path, "lab") == [], "nothing was made yet"
    value = applied(tmp_path)
    assert strays_here(tmp_path, "lab", "digest 1234", API_KEY.name) == []
    assert strays_here(tmp_path, "lab", f"key {value}") == [f"{API_KEY.name} in text 0 on here (mode 0000)"]
    done = '{"at": 1, "apply": "a1", "event": "finished", "outcome": "ok"}'
    (tmp_path / "journal.jsonl").write_text(f'{{"at": 1, "apply": "a1", "event": "done", "text": "{value}"}}\n{done}\n')
    (tmp_path / "router.env").chmod(0o640)
    found = strays_here(tmp_path, "lab")
    assert len(found) == 2 and any("journal.jsonl" in one for one in found) and any("(mode 0640)" in one for one in found)


def test_after_an_apply_that_was_cut_off_only_our_own_files_may_hold_a_value(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.ensure(ALL)
    for name, mode in (("etc/router.env", 0o600), ("etc/open.env", 0o644), ("log", 0o600)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.value(API_KEY.name))
        path.chmod(mode)
    assert sorted(one.split()[2] for one in strays_here(tmp_path, "lab")) == [f"{tmp_path}/etc/open.env", f"{tmp_path}/log"]


def test_given_values_are_found_below_a_folder_and_in_texts(tmp_path: Path) -> None:
    value = store(tmp_path / "other").folder.name + "-is-no-key-0123456789"
    (tmp_path / "a").write_text(value.upper())
    assert strays_in(tmp_path, {"m1": value}) == []
    (tmp_path / "a").write_text(value)
    assert len(strays_in(tmp_path, {"m1": value}, [value])) == 2
