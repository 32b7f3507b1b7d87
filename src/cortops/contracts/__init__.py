"""The on-chain modules: sources, compiled artifacts, JSON-RPC and a typed client.

The contracts are protocol stand-ins of ours, never Cortensor's deployed contracts.
"""
