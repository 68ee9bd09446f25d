"""Run ``python -m demt_perception.cli <verb>``, where ``demt`` is not on the PATH."""

import sys

from demt_perception.cli.main import main

sys.exit(main())
