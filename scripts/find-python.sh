#!/usr/bin/env bash
# Print the newest Python on this machine that Trunkline runs on, or say what is missing.
# PYTHON=/path/to/python in the environment goes first.
set -euo pipefail

# Running it tells more than finding it: version managers put names on the path that answer nothing,
# and some systems ship Python without the parts that make a virtual environment.
for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.10 python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
        exec "$candidate" -c 'import sys; print(sys.executable)'
    fi
done

echo "Trunkline needs Python 3.10, 3.11, 3.12 or 3.13 with its venv module, and none was found:" \
    "install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3." >&2
exit 1
