"""`python -m pipeline` is `affectstream`."""

from pipeline.cli import main

main()
