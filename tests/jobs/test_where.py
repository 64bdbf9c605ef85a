"""Each platform's command line and environment, recorded from what its documentation says, and what is made of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from trunkline.errors import OptionError
from trunkline.jobs.where import Where, find_out


class Place(NamedTuple):
    """How a platform calls a script."""

    argv: list[str]
    environ: dict[str, str]
    files: dict[str, str]
    where: Where


def placed(name: str, words: list[str]) -> Place:
    """A platform's call of a job with these words."""
    return {
        # Databricks: "Environment variables"; parameters of a script or wheel task come as they are.
        "databricks": Place(
            [*words, "--run_id=550315892394120"],
            {"DATABRICKS_RUNTIME_VERSION": "16.4", "DATABRICKS_HOST": "https://adb-1.2.azuredatabricks.net"},
            {},
            Where("databricks", workspace="https://adb-1.2.azuredatabricks.net"),
        ),
        # Glue: "Using job parameters in AWS Glue jobs"; a key without value (--enable-metrics) comes without one.
        "glue": Place(
            ["true", "--job-bookmark-option", "job-bookmark-disable", "--JOB_ID", "j_7e08", "--enable-metrics",
             "--JOB_RUN_ID", "jr_ff24", *words, "--JOB_NAME", "nightly load", "--TempDir", "s3://aws-glue-temp/",
             "--extra-py-files", "s3://b/my.whl", "--enable-glue-datacatalog", "true", "--conf", "spark.a=b"],
            {"AWS_REGION": "eu-central-1"},
            {},
            Where("glue", "jr_ff24", "eu-central-1"),
        ),
        # EMR developer guide: "JSON Configuration Files"; a step's folder is named after it.
        "emr": Place(
            words,
            {"AWS_DEFAULT_REGION": "eu-west-1", "PWD": "/mnt/var/lib/hadoop/steps/s-07767992IY7VC5NVV854",
             "PYSPARK_GATEWAY_PORT": "4711"},
            {"/mnt/var/lib/info/job-flow.json": '{"jobFlowId": "j-3KPTO2YZNQAXG", "jobFlowCreationInstant": 1}'},
            Where("emr", "s-07767992IY7VC5NVV854", "eu-west-1", "j-3KPTO2YZNQAXG"),
        ),
        # Not documented by AWS; what other projects go by.
        "emr-serverless": Place(
            words,
            {"AWS_REGION": "us-east-1", "AWS_EMR_SERVERLESS_JOB_RUN_ID": "00fb2",
             "AWS_EMR_SERVERLESS_APPLICATION_ID": "00f1r", "PYSPARK_GATEWAY_PORT": "4711"},
            {},
            Where("emr-serverless", "00fb2", "us-east-1", "00f1r"),
        ),
        # Kubernetes: "Accessing the Kubernetes API from a Pod"; the host name of a pod is its name.
        "container": Place(
            words,
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "etl-x7k2p"},
            {"/var/run/secrets/kubernetes.io/serviceaccount/namespace": "jobs"},
            Where("container", "etl-x7k2p", workspace="jobs"),
        ),
        "docker": Place(words, {"HOSTNAME": "3f2a"}, {"/.dockerenv": ""}, Where("container", "3f2a")),
        # podman-run(1): /run/.containerenv
        "podman": Place(words, {"HOSTNAME": "9c1d"}, {"/run/.containerenv": 'engine="x"'}, Where("container", "9c1d")),
        # Spark tells its Python process where the JVM listens (its source, PythonRunner).
        "spark": Place(words, {"PYSPARK_GATEWAY_PORT": "4711"}, {"/.dockerenv": ""}, Where("spark")),
        "local": Place(words, {"HOSTNAME": "laptop"}, {}, Where("local")),
    }[name]  # fmt: skip


NO_FILES: dict[str, str] = {}
NAMES = ("databricks", "glue", "emr", "emr-serverless", "container", "docker", "podman", "spark", "local")


@pytest.mark.parametrize("name", NAMES)
def test_a_place_is_known_by_its_call(name: str) -> None:
    argv, environ, files, where = placed(name, ["--module_name=my.etl", "--etl={}"])
    assert find_out(argv, environ, files.get) == where


def test_a_glue_python_shell_is_known_by_what_it_gets() -> None:
    """It has no JOB_RUN_ID."""
    argv = ["--job-language", "python", "--scriptLocation", "s3://scripts/entry.py", "--module_name=my.etl"]
    assert find_out(argv, {}, NO_FILES.get) == Where("glue")


def test_only_glue_owns_arguments() -> None:
    owned = ("JOB_NAME", "TempDir", "enable-metrics", "extra-py-files", "conf", "day", "job_name")
    assert [Where("glue").owns(name) for name in owned] == [True] * 5 + [False] * 2
    assert not any(Where("emr").owns(name) for name in owned)


def test_who_starts_a_job_may_say_where_it_is() -> None:
    """Wherever that seems to be: a run of ours in a container of Databricks is one on this machine."""
    environ = {"TRUNKLINE_PLATFORM": "local", "DATABRICKS_RUNTIME_VERSION": "16.4"}
    assert find_out([], environ, NO_FILES.get) == Where("local")
    with pytest.raises(OptionError, match="TRUNKLINE_PLATFORM=mars is none of local, spark"):
        find_out([], {"TRUNKLINE_PLATFORM": "mars"}, NO_FILES.get)


def test_files_that_say_nothing_useful_do_no_harm() -> None:
    for text in ("", "{", "[]", '{"jobFlowId": 5}'):
        assert find_out([], {}, {"/mnt/var/lib/info/job-flow.json": text}.get) == Where("emr")
