"""`python -m cortops.programs.validator ENVFILE`."""

from cortops.programs.validator.main import main

main()
