"""`python -m services.cli`, the same as `theraloop`."""

import sys

from services.cli.app import main

sys.exit(main())
