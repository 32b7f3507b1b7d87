"""`python -m cortops.programs.miner ENVFILE`."""

from cortops.programs.miner.main import main

main()
