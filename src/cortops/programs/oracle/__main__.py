"""`python -m cortops.programs.oracle ENVFILE`."""

from cortops.programs.oracle.main import main

main()
