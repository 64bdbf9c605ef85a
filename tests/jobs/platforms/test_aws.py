"""What the platforms of AWS share: credentials, an assumed role, regions, and the names of errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.jobs.platforms.aws import double, only, writing

from trunkline.errors import AuthError, OptionError, RejectedError, TrunklineError, UnavailableError
from trunkline.jobs.platforms import aws
from trunkline.options import Options
from trunkline.testing.aws import AwsApi, refusal
from trunkline.testing.platform_api import Answer

ROLE = "arn:aws:iam::123456789012:role/submit"


@pytest.fixture
def api() -> Iterator[AwsApi]:
    with double() as found:
        found.add_job("nightly")
        yield found


def ask(options: Options, region: str | None = "us-east-1") -> list[str]:
    with aws.calling("glue", region, options) as glue:
        names: list[str] = glue.list_jobs()["JobNames"]
        return names


def refused(api: AwsApi, answer: Answer, times: int = 1) -> TrunklineError:
    api.server.fail("glue.ListJobs", answer, times)
    with pytest.raises(TrunklineError) as caught:
        ask(writing(api.url))
    return caught.value


def test_the_environment_s_credentials_serve(api: AwsApi) -> None:
    assert ask(writing(api.url)) == ["nightly"]


def test_credentials_that_have_expired_are_named_and_renewed_ones_are_taken(api: AwsApi) -> None:
    api.expired.add(api.key)
    with pytest.raises(AuthError, match=r"refused the credential \(ExpiredTokenException\): renew it") as caught:
        ask(writing(api.url))
    assert "the-secret-key" not in str(caught.value)
    with pytest.MonkeyPatch.context() as patch:
        api.expired.clear()
        api.expired.add("AKIAOLD")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAOLD")
        aws._client.cache_clear()
        with pytest.raises(AuthError):
            ask(writing(api.url))
    assert ask(writing(api.url)) == ["nightly"]


def test_unknown_credentials_are_named() -> None:
    with AwsApi() as api, only("AKIAOFNOBODY"), pytest.raises(AuthError, match="UnrecognizedClientException"):
        ask(writing(api.url))


def test_without_credentials_it_is_said_what_to_give() -> None:
    with AwsApi() as api, only(None):
        for options in (writing(api.url), writing(api.url, aws__role=ROLE)):
            with pytest.raises(AuthError, match=r"no AWS credentials found .* set AWS_ACCESS_KEY_ID"):
                ask(options)
        assert api.server.asked == []


def test_without_a_region_the_option_is_named(api: AwsApi) -> None:
    for service, option in (("glue", "glue.region"), ("emr", "emr.region"), ("emr-serverless", "emrServerless.region")):
        with (
            pytest.raises(OptionError, match=f"no AWS region: give {option}"),
            aws.calling(service, None, writing("http://127.0.0.1:1")),
        ):
            pass
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        ask(writing(api.url), None)
    assert "/eu-central-1/glue/" in api.server.asked[-1].headers["authorization"]


def test_a_role_is_assumed_once_and_its_credentials_are_used(api: AwsApi) -> None:
    api.roles.add(ROLE)
    options = writing(api.url, aws__role=ROLE)
    assert [ask(options), ask(options)] == [["nightly"]] * 2
    assert [one.operation for one in api.server.asked] == ["sts.AssumeRole", "glue.ListJobs", "glue.ListJobs"]
    assert "ASIAOFTHEROLE" in api.server.asked[1].headers["authorization"]


def test_what_is_remembered_is_of_a_role_or_of_a_key(api: AwsApi) -> None:
    api.roles.add(ROLE)

    def place(options: Options) -> tuple[str, ...]:
        with aws.calling("glue", "us-east-1", options) as glue:
            return aws.place_of(glue, options, "nightly")

    assert place(writing(api.url)) == ("glue", api.url, api.key, "nightly")
    assert place(writing(api.url, aws__role=ROLE)) == ("glue", api.url, ROLE, "nightly")


def test_credentials_of_a_role_are_renewed_before_they_end(api: AwsApi) -> None:
    api.roles.add(ROLE)
    api.role_seconds = 300  # less than the ten minutes before the end in which botocore renews
    options = writing(api.url, aws__role=ROLE)
    ask(options)
    ask(options)
    assert len(api.server.of("sts.AssumeRole")) >= 2


def test_a_role_that_may_not_be_assumed_is_named(api: AwsApi) -> None:
    with pytest.raises(AuthError, match=f"AccessDenied: not allowed to assume {ROLE}"):
        ask(writing(api.url, aws__role=ROLE))


def test_what_aws_says_of_a_permission_is_shown(api: AwsApi) -> None:
    error = refused(api, refusal("AccessDeniedException", "User me is not authorized to perform: glue:ListJobs"))
    assert isinstance(error, AuthError)
    assert str(error) == "glue: AccessDeniedException: User me is not authorized to perform: glue:ListJobs"


def test_what_aws_says_of_a_signature_is_not_shown(api: AwsApi) -> None:
    error = refused(api, refusal("InvalidSignatureException", "The Canonical String was x-amz-security-token:s3cr3t"))
    assert isinstance(error, AuthError)
    assert "s3cr3t" not in str(error)


@pytest.mark.parametrize("code", ["InvalidInputException", "EntityNotFoundException", "ValidationException"])
def test_a_bad_request_is_rejected(api: AwsApi, code: str) -> None:
    error = refused(api, refusal(code, "not so"))
    assert isinstance(error, RejectedError)
    assert str(error) == f"glue: {code}: not so"


def test_throttling_is_repeated_by_boto(api: AwsApi) -> None:
    api.server.fail("glue.ListJobs", refusal("ThrottlingException", "Rate exceeded"), times=2)
    assert ask(writing(api.url)) == ["nightly"]
    assert len(api.server.asked) == 3


def test_throttling_without_end_is_unavailable(api: AwsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    error = refused(api, refusal("ThrottlingException", "Rate exceeded"), times=9)
    assert isinstance(error, UnavailableError)
    assert not error.later
    assert len(api.server.asked) == 2


def test_an_error_of_the_service_is_unavailable_without_its_page(api: AwsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    error = refused(api, Answer(502, "<html>Bad Gateway</html>", {"Content-Type": "text/html"}))
    assert isinstance(error, UnavailableError)
    assert "<html>" not in str(error)


def test_an_endpoint_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    with only("key"), pytest.raises(UnavailableError, match="could not be reached"):
        ask(writing("http://127.0.0.1:9"))


def test_parameters_that_boto_refuses_are_rejected(api: AwsApi) -> None:
    with (
        pytest.raises(RejectedError, match="Invalid length for parameter JobName"),
        aws.calling("glue", "us-east-1", writing(api.url)) as glue,
    ):
        glue.get_job(JobName="")


@pytest.mark.parametrize("name", ["glue", "emr", "emr-serverless"])
def test_without_boto_the_command_that_installs_it_is_said(name: str) -> None:
    script = f"""
import sys
sys.modules["boto3"] = None
from trunkline.jobs.platforms import platform_of
platform_of("{name}")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    said = 'trunkline.errors.MissingExtraError: this platform needs boto3: pip install "trunkline[aws]"'
    assert ended.stderr.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://console.aws.amazon.com"),
        ("cn-north-1", "https://console.amazonaws.cn"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com"),
    ],
)
def test_consoles_are_those_of_the_partition(region: str, url: str) -> None:
    assert aws.console(region) == url


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["spark-submit", "--py-files", "x=y", "--module_name=m", "--run_key=a=b", "--m={}"], ("m", "a=b")),
        (["--run_key="], (None, "")),
        ([], (None, None)),
    ],
)
def test_module_and_key_are_read_back_from_the_words(words: list[str], found: tuple[str | None, str | None]) -> None:
    assert aws.given_in(words) == found
