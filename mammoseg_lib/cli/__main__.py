"""`python -m mammoseg_lib.cli`."""

from mammoseg_lib.cli import main

main()
