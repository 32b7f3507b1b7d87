"""`python -m cortops.programs.pool ENVFILE`."""

from cortops.programs.pool.main import main

main()
