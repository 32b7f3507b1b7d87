"""A payment pays once, whatever comes in which order; what is remembered is bounded and never forgotten while it could be settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.router.x402_used import Payment, Stand, Used

ONE, TWO, THREE = (Payment("0xa", nonce) for nonce in "123")


def test_a_payment_goes_from_held_to_spent_or_back() -> None:
    used = Used()
    assert used.take(ONE, 100, 0) is Stand.FREE
    assert used.take(ONE, 100, 0) is Stand.HELD
    used.release(ONE)
    assert used.take(ONE, 100, 0) is Stand.FREE
    used.spend(ONE)
    used.release(ONE)
    assert used.take(ONE, 100, 0) is Stand.SPENT


def test_the_same_number_of_another_payer_is_another_payment() -> None:
    used = Used()
    used.take(ONE, 100, 0)
    assert used.take(Payment("0xb", ONE.nonce), 100, 0) is Stand.FREE


def test_it_forgets_what_the_chain_would_refuse_and_nothing_else() -> None:
    used = Used(limit=2)
    used.take(ONE, 100, 0)
    used.spend(ONE)
    used.take(TWO, 100, 0)  # under way, however long
    assert used.take(THREE, 200, 99) is Stand.FULL
    assert used.take(THREE, 200, 100) is Stand.FREE and len(used) == 2
    assert used.take(TWO, 100, 150) is Stand.HELD


@given(st.lists(st.tuples(st.sampled_from(["take", "spend", "release"]), st.sampled_from([ONE, TWO, THREE])), max_size=40))
def test_no_payment_is_free_after_it_was_spent(steps: list[tuple[str, Payment]]) -> None:
    used, spent, held = Used(limit=2), set[Payment](), set[Payment]()
    for step, payment in steps:
        match step:
            case "take":
                stand = used.take(payment, 1_000, 0)
                assert (stand is Stand.SPENT) == (payment in spent) and (stand is Stand.HELD) == (payment in held)
                held |= {payment} if stand is Stand.FREE else set()
            case "spend" if payment in held:
                used.spend(payment)
                spent, held = spent | {payment}, held - {payment}
            case "release":
                used.release(payment)
                held -= {payment}
        assert len(used) <= 2
