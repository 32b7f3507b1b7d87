"""The miner: runs tasks assigned to its address on an engine, streams to routers, precommits and commits on chain."""
