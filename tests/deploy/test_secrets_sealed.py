"""An age file that several people open, each with an identity of their own; and the way there from a folder of one machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
from tests.deploy.test_secrets import ALL, API_KEY, chance, mode

from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_sealed import Sealed, identity_path, sealed_of
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, PermissionMissing, StoreUnavailable

PLAIN = "\n".join(
    [
        "format: 1",
        "environment: lab",
        "hosts: {here: {local: true}}",
        "network: {chain_id: 1, rpc: {url: 'http://127.0.0.1:1'}, contracts: {runtime: '0x" + "1" * 40 + "'}}",
        "nodes: {}",
    ]
)


@dataclass(frozen=True)
class Person:
    """Somebody with a laptop, an identity on it, and a data folder."""

    home: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"CORTOPS_IDENTITY": str(self.home / "identity.txt")}

    @property
    def folder(self) -> Path:
        return self.home / "secrets"

    def recipient(self) -> str:
        return Sealed(file=self.home / "none", identity=identity_path(self.environ)).make_identity()

    def store(self, env: Environment) -> SecretStore:
        sealed = sealed_of(env, self.folder, self.environ)
        return SecretStore(self.folder, VirtualClock(), chance(str(self.home)), environment="lab", sealed=sealed)


@pytest.fixture
def people(tmp_path: Path) -> tuple[Person, Person, Person]:
    alice, bob, eve = (Person(tmp_path / name) for name in ("alice", "bob", "eve"))
    return alice, bob, eve


def declared(folder: Path, *recipients: str) -> Environment:
    rules = f"\nrules: {{secrets: {{file: lab.age, recipients: [{', '.join(recipients)}]}}}}" if recipients else ""
    loaded = load(PLAIN + rules, str(folder / "lab.yaml"))
    assert isinstance(loaded, Environment), loaded
    return loaded


def test_each_opens_it_with_an_identity_of_their_own_and_nobody_else(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, eve = people
    env = declared(tmp_path, alice.recipient(), bob.recipient())
    alice.store(env).ensure(ALL)
    bob.store(env).set("chat", "a value of bob")
    assert alice.store(env).value("chat") == "a value of bob"
    assert alice.store(env).view(ALL) == bob.store(env).view(ALL)
    assert mode(tmp_path / "lab.age") == 0o600
    for refuse in (lambda: eve.store(env).value("chat"), lambda: eve.store(env).set("chat", "mine"), lambda: eve.store(env).view(ALL)):
        with pytest.raises(StoreUnavailable, match="there is no identity of yours") as caught:
            refuse()
        assert "cortops secrets identity" in caught.value.next
    eve.recipient()
    with pytest.raises(StoreUnavailable, match="sealed for another identity") as caught:
        eve.store(env).value("chat")
    assert "cortops secrets seal" in caught.value.next


def test_age_opens_it_without_cortops(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = people
    env = declared(tmp_path, alice.recipient(), bob.recipient())
    alice.store(env).set("chat", "a value")
    identity = pyrage.x25519.Identity.from_str((bob.home / "identity.txt").read_text().strip())
    assert json.loads(pyrage.decrypt((tmp_path / "lab.age").read_bytes(), [identity]))["chat"]["value"] == "a value"


def test_an_identity_that_age_made_is_read_and_one_that_others_can_read_is_not(
    tmp_path: Path, people: tuple[Person, Person, Person]
) -> None:
    alice, _, _ = people
    path = alice.home / "identity.txt"
    recipient = alice.recipient()
    path.write_text(f"# created: today\n# public key: {recipient}\n{path.read_text()}")
    env = declared(tmp_path, recipient)
    alice.store(env).set("chat", "a value")
    assert alice.store(env).value("chat") == "a value"
    path.chmod(0o640)
    with pytest.raises(PermissionMissing, match="can be read by others"):
        alice.store(env).value("chat")


def test_nobody_seals_themselves_out(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = people
    bobs = declared(tmp_path, bob.recipient())
    recipient = alice.recipient()
    with pytest.raises(BadInput, match="is of none of the recipients") as caught:
        alice.store(bobs).set("chat", "a value")
    assert recipient in caught.value.next
    assert not (tmp_path / "lab.age").exists()


def test_what_another_machine_wrote_is_seen_at_once(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = people
    env = declared(tmp_path, alice.recipient(), bob.recipient())
    alice.store(env).ensure([API_KEY])
    before = bob.store(env).index()
    assert [entry.name for entry in before] == [API_KEY.name]
    alice.store(env).set("later", "another value")
    assert bob.store(env).names() == ("later", API_KEY.name)


def test_secrets_move_from_the_machine_to_the_file_by_one_command(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = people
    alice.store(declared(tmp_path)).ensure(ALL)
    kept = alice.store(declared(tmp_path)).view(ALL)
    shared = declared(tmp_path, alice.recipient(), bob.recipient())
    for refuse in (lambda: alice.store(shared).view(ALL), lambda: alice.store(shared).ensure(ALL), lambda: alice.store(shared).index()):
        with pytest.raises(StoreUnavailable, match="still lie in") as caught:
            refuse()
        assert caught.value.next == "Move them there: cortops secrets seal"
    assert set(alice.store(shared).seal()) == {want.name for want in ALL}
    assert alice.store(shared).view(ALL) == bob.store(shared).view(ALL) == kept
    assert not (alice.folder / "secrets.age").exists()
    assert alice.store(shared).seal() == ()


def test_a_move_that_was_cut_off_after_the_file_was_written_is_finished(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, _, _ = people
    alice.store(declared(tmp_path)).ensure(ALL)
    own = (alice.folder / "secrets.age").read_bytes()
    shared = declared(tmp_path, alice.recipient())
    alice.store(shared).seal()
    (alice.folder / "secrets.age").write_bytes(own)
    alice.store(shared).set("chat", "newer")
    assert alice.store(shared).seal() == ()
    assert not (alice.folder / "secrets.age").exists()
    assert alice.store(shared).value("chat") == "newer"


def test_and_back(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, _, _ = people
    shared = declared(tmp_path, alice.recipient())
    alice.store(shared).set("chat", "a value")
    own = alice.store(declared(tmp_path))
    assert own.names() == ()
    assert own.seal(Sealed(file=tmp_path / "lab.age", identity=alice.home / "identity.txt")) == ("chat",)
    assert own.value("chat") == "a value"
    assert (tmp_path / "lab.age").exists(), "a file that others may use is left"


def test_a_recipient_more_or_less_is_seen_and_sealed_for(tmp_path: Path, people: tuple[Person, Person, Person]) -> None:
    alice, bob, eve = people
    alice.store(declared(tmp_path, alice.recipient(), eve.recipient())).set("chat", "a value")
    now = declared(tmp_path, alice.recipient(), bob.recipient(), Person(tmp_path / "carol").recipient())
    assert alice.store(now).sealed.recipients_sealed() == 2
    alice.store(now).seal()
    assert alice.store(now).sealed.recipients_sealed() == 3
    assert bob.store(now).value("chat") == "a value"
    with pytest.raises(StoreUnavailable):
        eve.store(now).value("chat")
