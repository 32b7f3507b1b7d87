"""`python -m cortops.programs.router ENVFILE`."""

from cortops.programs.router.main import main

main()
