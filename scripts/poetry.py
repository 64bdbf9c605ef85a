"""Run the project's Poetry against the package index that pip is configured with.

    .venv/bin/python scripts/poetry.py lock

Poetry reads none of pip's configuration and asks its default index for an answer in JSON, which mirrors and
caches often do not give. So this hands pip's index and certificates on through the environment, read by the
Poetry plugin that the Makefile installs beside Poetry; no index is named in the project or in its lock file.
A value that the caller has set stands.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pip._internal.commands import create_command

# The one place where pip has merged its files, its environment variables and its defaults.
pip_options = create_command("install").parse_args([])[0]
venv = Path(sys.prefix)

os.environ.setdefault("POETRY_PYPI_MIRROR_URL", pip_options.index_url)
if pip_options.cert:
    os.environ.setdefault("REQUESTS_CA_BUNDLE", pip_options.cert)
os.environ["POETRY_KEYRING_ENABLED"] = "false"  # a desktop's key ring may wait for a password that nobody types
os.environ["VIRTUAL_ENV"] = str(venv)  # the environment Poetry installs into: this one, whichever is activated

poetry = str(venv / "bin" / "poetry")
os.execv(poetry, [poetry, "--no-interaction", *sys.argv[1:]])
