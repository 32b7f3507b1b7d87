"""`python -m cortops.cli`, where the script `cortops` is not on the path."""

from cortops.cli import main

main()
