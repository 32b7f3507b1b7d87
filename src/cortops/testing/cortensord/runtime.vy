# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Runtime
@notice The registry of a network that has Cognitive: one more module beside those of our own registry, which it asks for all others.
@dev A stand-in of cortops for tests. The public runtime's ABI is not public; the getter follows the rule getXAddress (facts C.1).
"""

getCognitiveAddress: public(immutable(address))
_modules: immutable(address)


@deploy
def __init__(cognitive: address, modules: address):
    getCognitiveAddress = cognitive
    _modules = modules


@external
@view
@raw_return
def __default__() -> Bytes[32]:
    return raw_call(_modules, slice(msg.data, 0, 4), max_outsize=32, is_static_call=True)
