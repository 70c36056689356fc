"""`python -m splatseg`."""

import sys

from splatseg.cli import main

sys.exit(main())
