"""What makes a text fit to be shown: every credential of a call cut out of it."""

from __future__ import annotations

from trunkline.credentials import Redactor
from trunkline.http.auth import Auth
from trunkline.options import Options


class Cleaner:
    """Cuts every known secret out of a text: those of the options and the tokens that were fetched with them."""

    def __init__(self, options: Options, auth: Auth) -> None:
        self._options = options
        self._auth = auth
        self._known: int | None = None
        self._redactor = Redactor(())

    def clean(self, text: str) -> str:
        """The text, fit to be shown."""
        secrets = self._auth.secrets()
        # Not by their number alone: only so many past tokens are remembered, and the last ones are others.
        known = hash(tuple(secrets))
        if known != self._known:
            self._known = known
            self._redactor = Redactor([*self._options.secrets(), *secrets])
        return self._redactor.clean(text)
