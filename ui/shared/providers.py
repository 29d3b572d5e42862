"""Which sign-in is configured: Streamlit's, of OpenID Connect, by the secrets' `[auth]`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from engine.errors import InvalidInput

USER_HEADERS = {"X-Mrag-Visitor": "mrag_visitor"}
"""The header by which the server says who it let in, and where Streamlit keeps it: its option
`server.trustedUserHeaders`. Without that option nobody stands at the door but this page."""

_DEFAULT = "client_id"


def sign_in_providers() -> list[str] | None:
    """The providers to choose from, "" for the nameless one; None: no sign-in is configured.

    Raises InvalidInput for secrets that cannot be read: they may ask for a sign-in.
    """
    try:
        if "auth" not in st.secrets:
            return None
        section = st.secrets["auth"]
    except StreamlitSecretNotFoundError as error:
        files = [Path(path) for path in st.get_option("secrets.files")]
        found = [str(path) for path in files if path.exists()]
        if not found:
            return None
        raise InvalidInput(
            f"the secrets in {', '.join(found)} cannot be read, so nothing is shown; "
            "the one who runs this server must mend them"
        ) from error
    if _DEFAULT in section:
        return [""]
    return [name for name, value in section.items() if hasattr(value, "keys")]
