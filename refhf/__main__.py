"""`python -m refhf` is the command `refhf`."""

import sys

from refhf.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
