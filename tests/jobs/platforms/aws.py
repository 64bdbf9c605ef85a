"""What the tests of Glue, EMR and EMR Serverless share: credentials of a double, and no others of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trunkline.jobs.options import read_options, write_options
from trunkline.jobs.platforms import aws, emr_serverless
from trunkline.options import Options
from trunkline.testing.aws import AwsApi

REGION = "us-east-1"
REGIONS = {"glue.region": REGION, "emr.region": REGION, "emrServerless.region": REGION}


@contextmanager
def only(key: str | None) -> Iterator[pytest.MonkeyPatch]:
    """No credentials but this access key, no profile, no region, and nothing remembered of other servers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        if key:
            patch.setenv("AWS_ACCESS_KEY_ID", key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")
        forget()
        yield patch
    forget()


def forget() -> None:
    """Be as a process that has just begun."""
    aws._client.cache_clear()
    aws._known.clear()
    emr_serverless._known.clear()


@contextmanager
def another_account(api: AwsApi) -> Iterator[None]:
    """What the double has is another account's from now on, and so are the credentials of this process."""
    api.glue = {name: [] for name in api.glue}
    api.steps = {name: [] for name in api.steps}
    api.runs = {name: [] for name in api.runs}
    api.forget_tokens()
    api.key = "AKIAOFANOTHER"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", api.key)
        aws._client.cache_clear()
        yield


@contextmanager
def double() -> Iterator[AwsApi]:
    """The double, and the credentials for it."""
    with AwsApi() as api, only(api.key):
        yield api


def writing(url: str, **given: Any) -> Options:
    """The options of a write; those given as None are left out, `__` stands for a dot."""
    named = {name.replace("__", "."): value for name, value in given.items()}
    every = {**REGIONS, "aws.endpoint": url, **named}
    return write_options({name: value for name, value in every.items() if value is not None}).resolved()


def reading(url: str, platform: str, **given: Any) -> Options:
    """The options of a read."""
    named = {name.replace("__", "."): value for name, value in given.items()}
    return read_options({**REGIONS, "aws.endpoint": url, "platform": platform, **named}).resolved()
