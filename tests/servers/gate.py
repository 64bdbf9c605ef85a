"""Apache with mod_oauth2: lets calls with a valid access token through to Kinto, and answers the others with 401.

Shows: a resource server as the standards have it (RFC 6750): 401 with `WWW-Authenticate: Bearer` without a token, with
one that has expired and with one that was revoked; a token that was good for the first half of a job and is not for
the second; that a client never sends its token elsewhere (Kinto behind it gets other, fixed credentials).

Cannot show: 403 for a missing scope, sender-constrained tokens, and the exact moment of expiry: a verdict is
remembered for a second, so a token may pass for up to a second after its end.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from tests.servers.install import install_debian, libraries, unpacked
from tests.servers.kinto import Kinto, behind
from tests.servers.oidc import Oidc
from tests.servers.process import start

PACKAGES = ("apache2-bin", "libapache2-mod-oauth2")
MODULES = (
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "headers",
    "proxy",
    "proxy_http",
    "oauth2",
)

# A token is checked by signature first (a JWT), and by asking the server that issued it next (an opaque one).
_CONFIGURATION = """\
ServerRoot "{folder}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile "{folder}/apache.pid"
ErrorLog /dev/stderr
LogLevel warn
LogFormat "%>s %m %U" answers
CustomLog "{folder}/access.log" answers "expr=%{{REQUEST_URI}} =~ m#^/v1#"
{identity}
{modules}
<Location /v1>
  AuthType oauth2
  OAuth2TokenVerify jwks_uri {oidc.jwks_url} verify.iat=required&verify.exp=required&expiry=1
  OAuth2TokenVerify introspect {oidc.introspection_url} introspect.auth=client_secret_basic&client_id=basic&client_secret={oidc.secret}&expiry=1
  OAuth2TargetPass remote_user_claim=client_id
  Require valid-user
  RequestHeader set Authorization "Basic {credentials}"
  ProxyPass {kinto.url}
  ProxyPassReverse {kinto.url}
  ProxyPreserveHost On
</Location>
"""  # noqa: E501

# Apache refuses to serve as root, so root hands its workers to the user that Debian has for web servers.
_ROOT_IDENTITY = "User www-data\nGroup www-data"


def start_gate(kinto: Kinto, oidc: Oidc) -> Kinto:
    """Unpack Apache unless it is there, and start it before `kinto`, with `oidc` to check the tokens.

    Returns:
        The same Kinto seen through the gate: `url` wants a bearer token; `new_collection` and `records` still go
        straight to Kinto; `answers()` says what the gate answered; `stop()` ends the gate alone.
    """
    installed = install_debian("apache", PACKAGES)

    def command(port: int, folder: Path) -> list[str]:
        modules = [
            f'LoadModule {name}_module "{unpacked(installed, f"usr/lib/apache2/modules/mod_{name}.so")}"'
            for name in MODULES
        ]
        configuration = folder / "apache.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                port=port,
                identity=_ROOT_IDENTITY if os.getuid() == 0 else "",
                modules="\n".join(modules),
                oidc=oidc,
                kinto=kinto,
                credentials=base64.b64encode(":".join(kinto.auth).encode()).decode(),
            ),
            encoding="utf-8",
        )
        return [str(unpacked(installed, "usr/sbin/apache2")), "-f", str(configuration), "-DFOREGROUND"]

    gate = start("apache", command, environment=libraries(installed))
    return behind(kinto, gate, "/v1")
