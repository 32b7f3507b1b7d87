"""The one exception tree. A class docstring is the cure: what the reader should do next.

CortopsError                    exit 1
├── BadInput                    exit 2
│   ├── EnvironmentInvalid
│   └── UnknownName
├── Refused                     exit 1
│   ├── PortTaken
│   ├── LockHeld
│   ├── PlanChanged
│   ├── NotAccepted
│   ├── NotAllowed
│   ├── PermissionMissing
│   ├── NoSafeMoment
│   ├── Stopped
│   └── SecretMissing
├── ArtifactUnavailable         exit 1
│   └── ArtifactDamaged
├── StepFailed                  exit 1
│   └── ProgramFailed
├── GateClosed                  exit 1
├── ChainError                  exit 1
│   ├── ChainUnreachable
│   ├── RpcRefused
│   ├── NotMined
│   └── CallReverted
├── StoreUnavailable            exit 1
│   └── StoreMissing
└── PayloadError                exit 1
    ├── SeedMissing
    ├── SeedWrong
    ├── AddressNotAllowed
    ├── CredentialRefused
    ├── PayloadMissing
    ├── PayloadAltered
    ├── PayloadTooLarge
    └── StorageUnreachable
"""

from __future__ import annotations


class CortopsError(Exception):
    """Read the sentence above; run the command again with --debug for the traceback."""

    code = "error"
    exit_status = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:
        """`what` went wrong, `where` (file:line, host, entity), `why`, and the `next` command; the class docstring is the default next."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next = next or (type(self).__doc__ or "").strip()

    def as_dict(self) -> dict[str, str]:
        """The one JSON shape of an error, wherever cortops prints or serves one of its own."""
        return {"code": self.code, "what": self.what, "where": self.where, "why": self.why, "next": self.next}


class BadInput(CortopsError):
    """Correct the input and run the same command again; nothing was changed."""

    code = "bad_input"
    exit_status = 2


class EnvironmentInvalid(BadInput):
    """Correct the environment file at the places named, then run: cortops validate FILE."""

    code = "environment_invalid"


class UnknownName(BadInput):
    """Use one of the names listed, or declare the new one in the environment file."""

    code = "unknown_name"


class Refused(CortopsError):
    """Nothing was changed; remove the reason named above and run the same command again."""

    code = "refused"


class PortTaken(Refused):
    """Stop the other program, or shift every local port: cortops up --port-base 1000."""

    code = "port_taken"


class LockHeld(Refused):
    """Wait until the other apply has finished, then run the same command again."""

    code = "lock_held"


class PlanChanged(Refused):
    """Look at the new plan (cortops plan) and apply that one."""

    code = "plan_changed"


class NotAccepted(Refused):
    """Look at the plan (cortops plan), then apply it with the flag named above."""

    code = "not_accepted"


class NotAllowed(Refused):
    """Ask one of those named above, or have one of them add you to rules.apply.by in the environment file."""

    code = "not_allowed"


class PermissionMissing(Refused):
    """Give this user the right named above, or choose a folder of your own with CORTOPS_DATA."""

    code = "permission_missing"


class NoSafeMoment(Refused):
    """Nothing was changed; run the same command again when the node has finished its work."""

    code = "no_safe_moment"


class Stopped(Refused):
    """Nothing was changed; run the same command again to go on."""

    code = "stopped"


class SecretMissing(Refused):
    """Set it with: cortops secrets set NAME."""

    code = "secret_missing"


class ArtifactUnavailable(CortopsError):
    """Connect to the network once (later runs use the cache), or put the file into the cache by hand."""

    code = "artifact_unavailable"


class ArtifactDamaged(ArtifactUnavailable):
    """Remove the damaged file named above; the next run fetches it again."""

    code = "artifact_damaged"


class StepFailed(CortopsError):
    """Mend the reason named above and run the same command again: what is done stays done, the rest follows."""

    code = "step_failed"


class ProgramFailed(StepFailed):
    """The new program did not stay up, and what ran before was started again: read its log, and name another release."""

    code = "program_failed"


class GateClosed(CortopsError):
    """Read the log named above, then run the same command again."""

    code = "gate_closed"


class ChainError(CortopsError):
    """See how the chain is: cortops status."""

    code = "chain_error"


class ChainUnreachable(ChainError):
    """Start the chain (cortops up), or correct network.rpc in the environment file."""

    code = "chain_unreachable"


class RpcRefused(ChainError):
    """Read the node's own message; another RPC endpoint may allow what this one refuses."""

    code = "rpc_refused"

    def __init__(self, what: str, *, rpc_code: int = 0, message: str = "", where: str = "", why: str = "", next: str = "") -> None:
        """As CortopsError, with the node's own error code and message."""
        super().__init__(what, where=where, why=why, next=next)
        self.rpc_code = rpc_code
        self.message = message


class NotMined(ChainError):
    """See whether the chain makes blocks (cortops status); the transaction may still be mined later."""

    code = "not_mined"


class CallReverted(ChainError):
    """Read the reason the contract gave; cortops task show prints what the chain has recorded."""

    code = "call_reverted"


class StoreUnavailable(CortopsError):
    """Check that the place named above answers and is not full, then run the same command again."""

    code = "store_unavailable"


class StoreMissing(StoreUnavailable):
    """Bring up the environment (cortops up, or cortops apply): what keeps its records there makes the store when it first starts."""

    code = "store_missing"


class PayloadError(CortopsError):
    """See what of the private payloads is well: cortops status, the entities payloads/…."""

    code = "payload_error"


class SeedMissing(PayloadError):
    """Add the seed of the version named above to payloads.seeds: objects sealed with it need it as long as they are kept."""

    code = "payload_seed_missing"


class SeedWrong(PayloadError):
    """Give every router of the session the same seed for this version; the object itself is whole."""

    code = "payload_seed_wrong"


class AddressNotAllowed(PayloadError):
    """Add the address to payloads.sessions in the environment file and apply, or leave it out of the session on chain as well."""

    code = "payload_address_not_allowed"


class CredentialRefused(PayloadError):
    """Renew the storage's credential (cortops secrets set NAME), apply, and ask again: nothing was lost."""

    code = "payload_credential_refused"


class PayloadMissing(PayloadError):
    """See whether it is older than payloads.keep_days, and whether router and miner name the same storage; then ask anew."""

    code = "payload_missing"


class PayloadAltered(PayloadError):
    """Its bytes are not those that were named: put the object back from a copy of the storage, or ask anew."""

    code = "payload_altered"


class PayloadTooLarge(PayloadError):
    """Ask with a shorter prompt or for fewer tokens, or raise payloads.object_max_mib."""

    code = "payload_too_large"


class StorageUnreachable(PayloadError):
    """Check that the storage named in payloads.storage answers, then ask again: nothing was lost."""

    code = "payload_storage_unreachable"


PAYLOAD_CODES = frozenset({PayloadError.code, *(kind.code for kind in PayloadError.__subclasses__())})
