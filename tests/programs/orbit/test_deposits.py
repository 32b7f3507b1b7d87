"""Each deposit once, in the order of its number, whatever is killed and wherever a chain goes back to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from cortops.contracts.keccak import keccak_hex
from cortops.programs.orbit.deposits import (
    DELIVERIES_MAX,
    Astray,
    Books,
    Delivery,
    Message,
    acc_after,
    joined,
    judge,
    next_deliveries,
    wanted,
)

NOTHING = "0x" + "00" * 32
SENDER = "0x" + "5e" * 20
SEEDS = 200
STEPS = 120


def message(index: int, before: str, *, to: int = 7, amount: int = 10, block: int = 1) -> Message:
    data = to.to_bytes(20, "big") + amount.to_bytes(32, "big")
    return Message(index=index, before_acc=before, kind=12, sender=SENDER, data_hash=keccak_hex(data), data="0x" + data.hex(), block=block)


def history(count: int, *, block: int = 1, amount: int = 10) -> list[Message]:
    """So many deposits, each after the one before it."""
    made: list[Message] = []
    for index in range(count):
        made.append(message(index, acc_after(made[-1]) if made else NOTHING, amount=amount + index, block=block + index))
    return made


def books(messages: list[Message], delivered: int) -> Books:
    accs = [NOTHING, *map(acc_after, messages)]
    return Books(parent_count=len(messages), parent_acc=accs[-1], child_count=delivered, child_acc=accs[delivered])


def indexes(plan: tuple[Delivery, ...] | Astray) -> list[int]:
    assert not isinstance(plan, Astray), plan.why
    return [one.index for one in plan]


def test_what_is_missing_is_delivered_in_order_with_whom_and_how_much() -> None:
    made = history(3)
    plan = next_deliveries(books(made, 1), {one.index: one for one in made}, final_block=9)
    assert indexes(plan) == [1, 2]
    assert not isinstance(plan, Astray)
    assert (int(plan[0].to, 16), plan[0].amount, plan[1].after_acc) == (7, 11, acc_after(made[2]))


def test_a_deposit_waits_until_its_block_is_safe_and_those_behind_it_too() -> None:
    made = history(3, block=5)
    assert indexes(next_deliveries(books(made, 0), {one.index: one for one in made}, final_block=6)) == [0, 1]
    assert indexes(next_deliveries(books(made, 0), {one.index: one for one in made}, final_block=-1)) == []


def test_a_gap_ends_the_list() -> None:
    made = history(3)
    assert indexes(next_deliveries(books(made, 0), {0: made[0], 2: made[2]}, final_block=9)) == [0]


def test_nothing_is_asked_when_nothing_is_missing_and_a_bounded_number_else() -> None:
    made = history(DELIVERIES_MAX + 5)
    assert list(wanted(books(made, len(made)))) == []
    assert list(wanted(books(made, 2))) == list(range(2, DELIVERIES_MAX + 2))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"child_count": 4}, "the child was credited with 4 deposits, and the parent knows 3"),
        ({"child_count": 3, "child_acc": NOTHING}, "deposit 2 that the child was credited with is another one on the parent"),
        ({"child_count": 1, "child_acc": "0x" + "ee" * 32}, "deposit 1 does not follow what the child was credited with"),
    ],
)
def test_two_histories_stop_the_deliveries(change: dict[str, object], why: str) -> None:
    made = history(3)
    plan = next_deliveries(replace(books(made, 1), **change), {one.index: one for one in made}, final_block=9)  # type: ignore[arg-type]
    assert isinstance(plan, Astray) and plan.why.startswith(why)


@pytest.mark.parametrize("wrong", [{"kind": 9}, {"data_hash": NOTHING}])
def test_what_is_no_deposit_is_not_credited(wrong: dict[str, object]) -> None:
    made = [replace(history(1)[0], **wrong)]  # type: ignore[arg-type]
    plan = next_deliveries(books(made, 0), {0: made[0]}, final_block=9)
    assert isinstance(plan, Astray) and "is no deposit" in plan.why


def test_a_message_is_joined_from_both_contracts() -> None:
    data = "0x" + "01" * 52
    told = {"messageIndex": 4, "beforeInboxAcc": NOTHING, "kind": 12, "sender": SENDER, "messageDataHash": keccak_hex(b""), "block": 8}
    assert joined([told], []) == {}
    found = joined([told], [{"messageNum": 4, "data": data, "block": 8}])[4]
    assert (found.index, found.data, found.block, found.kind) == (4, data, 8, 12)


@dataclass
class Parent:
    """Deposits by block; what is not saved is lost by a kill."""

    head: int = 0
    messages: list[Message] = field(default_factory=list)
    saved: tuple[int, int] = (0, 0)  # head, number of messages

    def deposit(self, chance: Random) -> None:
        self.head += 1
        before = acc_after(self.messages[-1]) if self.messages else NOTHING
        self.messages.append(
            message(len(self.messages), before, to=chance.randrange(1, 9), amount=chance.randrange(1, 99), block=self.head)
        )

    def kill(self) -> None:
        self.head, count = self.saved
        del self.messages[count:]


@dataclass
class Child:
    """What the contract `deposits` holds; what is not saved is lost by a kill."""

    count: int = 0
    acc: str = NOTHING
    credited: tuple[tuple[int, str, int], ...] = ()
    saved: tuple[int, str, tuple[tuple[int, str, int], ...]] = (0, NOTHING, ())

    def deliver(self, one: Delivery) -> None:
        """As deposits.vy: refused when it is not the next."""
        if one.index == self.count:
            self.count, self.acc = self.count + 1, one.after_acc
            self.credited = (*self.credited, (one.index, one.to, one.amount))

    def kill(self) -> None:
        self.count, self.acc, self.credited = self.saved

    def save(self) -> None:
        self.saved = (self.count, self.acc, self.credited)


def relay(parent: Parent, child: Child, pool: list[Delivery], chance: Random) -> None:
    """One look of a sequencer that may be killed between any two steps: some deliveries stay in the pool, some were sent before."""
    seen = books(parent.messages, 0)
    seen = replace(seen, child_count=child.count, child_acc=child.acc)
    plan = next_deliveries(seen, {one.index: one for one in parent.messages}, final_block=parent.saved[0])
    assert not isinstance(plan, Astray), plan.why
    pool += plan[: chance.randrange(len(plan) + 1)]


def settle(pool: list[Delivery], child: Child, chance: Random) -> None:
    chance.shuffle(pool)
    while pool:
        child.deliver(pool.pop())


@pytest.mark.parametrize("seed", range(0, SEEDS, 10))
def test_no_kill_loses_or_doubles_a_deposit(seed: int) -> None:
    for number in range(seed, seed + 10):
        chance = Random(number)
        parent, child, pool = Parent(), Child(), list[Delivery]()
        for _ in range(STEPS):
            match chance.choice(("deposit", "deposit", "save parent", "save child", "look", "look", "mine", "kill parent", "kill child")):
                case "deposit":
                    parent.deposit(chance)
                case "save parent":
                    parent.saved = (parent.head, len(parent.messages))
                case "save child":
                    child.save()
                case "look":
                    relay(parent, child, pool, chance)
                case "mine":
                    settle(pool, child, chance)
                case "kill parent":
                    parent.kill()
                case "kill child":  # and what waited in its pool
                    pool.clear()
                    child.kill()
        parent.saved = (parent.head, len(parent.messages))
        while child.count < len(parent.messages):
            relay(parent, child, pool, chance)
            settle(pool, child, chance)
        assert [one[0] for one in child.credited] == list(range(len(parent.messages))), f"seed {number}"
        sums = [int(one.data[42:], 16) for one in parent.messages]
        assert [one[2] for one in child.credited] == sums, f"seed {number}"
        assert judge(replace(books(parent.messages, len(parent.messages)), child_acc=child.acc)) is None


def test_a_parent_that_goes_back_behind_what_was_final_is_seen() -> None:
    chance = Random(1)
    parent, child, pool = Parent(), Child(), list[Delivery]()
    parent.deposit(chance)
    parent.saved = (parent.head, 1)
    while child.count == 0:
        relay(parent, child, pool, chance)
        settle(pool, child, chance)
    parent.saved = (0, 0)  # both snapshots were lost
    parent.kill()
    assert isinstance(judge(replace(books([], 0), child_count=1, child_acc=child.acc)), Astray)
