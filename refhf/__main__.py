"""`python -m refhf` is the command `refhf`."""

import sys

from refhf.lab.cli.entry_point import main

if __name__ == "__main__":
    sys.exit(main())
