"""Who may see anything: Streamlit's OpenID Connect sign-in, where `[auth]` is configured."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from engine.errors import InvalidInput
from ui.shared.pictures import escaped

_DEFAULT = "client_id"


def signed_in() -> bool:
    """Whether this visitor may see anything; shows the way to sign in where not.

    Raises InvalidInput for secrets that cannot be read: they may ask for a sign-in.
    """
    providers = _providers()
    if providers is None or st.user.get("is_logged_in", False):
        return True
    st.title("mRAG")
    st.write("Sign in to describe and find pictures.")
    for name in providers:
        label = f"Sign in with {escaped(name)}" if name else "Sign in"
        st.button(label, on_click=partial(st.login, name or None), key=f"sign in {name}")
    return False


def sign_out_button() -> None:
    """Offer a visitor who has signed in to leave."""
    if _providers() is not None:
        st.sidebar.button("Sign out", on_click=st.logout)


def _providers() -> list[str] | None:
    """The providers to choose from, "" for the nameless one; None: no sign-in is configured."""
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
