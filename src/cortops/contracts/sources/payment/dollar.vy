# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Dollar
@notice A token with 6 decimals that is paid by signature: what x402 pays with where there is no USDC, on a chain of our own.
        transferWithAuthorization and authorizationState are those of EIP-3009, the signature is over EIP-712 typed data.
@dev A stand-in of cortops for development chains. Whoever deployed it may mint, so it is worth nothing.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

name: public(constant(String[32])) = "Dollar"
symbol: public(constant(String[8])) = "DLR"
version: public(constant(String[8])) = "2"
decimals: public(constant(uint8)) = 6

DOMAIN_TYPE: constant(bytes32) = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
PAYMENT_TYPE: constant(bytes32) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
# Of secp256k1, halved: a signature has one form only (EIP-2).
S_MAX: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])
_minter: address


@deploy
def __init__(minter: address):
    # An argument, not msg.sender: the deployer is the CREATE2 proxy.
    assert minter != empty(address), "no minter"
    self._minter = minter


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@external
def mint(receiver: address, amount: uint256):
    assert msg.sender == self._minter, "not the minter"
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferWithAuthorization(
    sender: address,
    receiver: address,
    amount: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert block.timestamp > validAfter, "not valid yet"
    assert block.timestamp < validBefore, "expired"
    assert not self.authorizationState[sender][nonce], "authorization is used"
    assert convert(s, uint256) <= S_MAX, "invalid signature"
    words: bytes32 = keccak256(abi_encode(PAYMENT_TYPE, sender, receiver, amount, validAfter, validBefore, nonce))
    digest: bytes32 = keccak256(concat(b"\x19\x01", self._domain(), words))
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address) and signer == sender, "invalid signature"
    self.authorizationState[sender][nonce] = True
    log AuthorizationUsed(authorizer=sender, nonce=nonce)
    self._move(sender, receiver, amount)


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, keccak256(name), keccak256(version), chain.id, self))


@internal
def _move(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address), "no receiver"
    assert self.balanceOf[sender] >= amount, "balance is too small"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, amount=amount)
