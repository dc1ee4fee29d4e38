"""``python -m antiphon.local``: the child process of :class:`antiphon.local.LocalModel`."""

import sys

from antiphon.local.server import main

sys.exit(main())
