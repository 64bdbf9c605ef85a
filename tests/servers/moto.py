"""moto 5.2: AWS services in memory. Here Glue, whose API pages by a token in the body of POST requests.

Shows: AWS's JSON protocol: every request a POST to `/`, the action in `X-Amz-Target`, `MaxResults` and `NextToken` in
the body, a media type other than `application/json`; a token that belongs to the parameters it was given for (400).

Cannot show: signatures (they are only read for the service's name), limits on rate, and AWS's own errors.

    POST /
    Content-Type: application/x-amz-json-1.1
    X-Amz-Target: AWSGlue.GetJobs
    {"MaxResults": 2}

    {"Jobs": [{"Name": "a", "Role": "r", ...}, {"Name": "b", ...}], "NextToken": "eyJ..."}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
from tests.servers.install import ISOLATED, install_python
from tests.servers.process import Server, start

from trunkline.http.message import Request

# moto and what it is served and described by: an AWS service's API is data of botocore's.
REQUIREMENTS = (
    "moto==5.2.5",
    "botocore==1.44.5",
    "boto3==1.44.5",
    "flask==3.1.3",
    "flask-cors==6.0.5",
    "werkzeug==3.1.9",
    "pyparsing==3.3.3",
)
# What moto needs of a signature: who asks which service in which region.
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/glue/aws4_request, SignedHeaders=host, "
    "Signature=none",
}


def start_moto() -> Server:
    """Install moto unless it is there, and start it."""
    programs = install_python("moto", REQUIREMENTS) / "bin"

    def command(port: int, folder: Path) -> list[str]:
        server = [str(programs / "python"), *ISOLATED, str(programs / "moto_server")]
        return [*server, "-H", "127.0.0.1", "-p", str(port)]

    return start("moto", command)


def glue(server: Server, action: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask Glue."""
    headers = {**_HEADERS, "X-Amz-Target": f"AWSGlue.{action}"}
    answer = requests.post(server.url, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def signed(request: Request, row: object) -> Request:
    """Give a request the headers of AWS, as a `prepare` that signs does."""
    request.headers = {**(request.headers or {}), **_HEADERS}
    return request
