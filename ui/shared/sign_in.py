"""Who looks at a page, and what they may do."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from engine.errors import InvalidInput
from engine.settings import read_settings
from service.access.exposed import OPEN, check_exposed
from service.access.roles import role_of
from service.access.visitor import Visitor
from ui.shared.pictures import escaped

USER_HEADERS = {"X-Mrag-Visitor": "mrag_visitor"}
"""The header by which the server says who it let in, and where Streamlit keeps it: its option
`server.trustedUserHeaders`. Without that option nobody stands at the door but this page."""

_DEFAULT = "client_id"


def signed_in() -> bool:
    """Whether this visitor may see anything; shows the way to sign in, or out, where not.

    Raises InvalidInput for secrets that cannot be read: they may ask for a sign-in.
    """
    providers = sign_in_providers()
    if _known(providers) is not None:
        return True
    st.title("mRAG")
    if st.user.get("is_logged_in", False):
        st.write("Your account may not come in. Ask the one who runs this server, or take another.")
        st.button("Sign out", on_click=st.logout)
        return False
    st.write("Sign in to describe and find pictures.")
    for name in providers or ():
        label = f"Sign in with {escaped(name)}" if name else "Sign in"
        st.button(label, on_click=partial(st.login, name or None), key=f"sign in {name}")
    return False


def visitor() -> Visitor:
    """Who looks at this page; raises InvalidInput where nobody may."""
    known = _known(sign_in_providers())
    if known is None:
        raise InvalidInput("nobody is signed in here; load the page again and sign in")
    return known


def sign_out_button() -> None:
    """Offer a visitor who has signed in to leave."""
    by = visitor().by
    if by == "sign-in":
        st.sidebar.button("Sign out", on_click=st.logout)
    elif by == "key":
        st.sidebar.link_button("Sign out", "/leave")


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


def _known(providers: list[str] | None) -> Visitor | None:
    if st.get_option("server.trustedUserHeaders") == USER_HEADERS:
        told = st.user.get("mrag_visitor")
        return Visitor(**json.loads(str(told))) if told else None
    # `streamlit run`: nothing but this page looks at who comes.
    check_exposed(st.get_option("server.address") or "0.0.0.0", guarded=False)
    if providers is None:
        return OPEN
    if not st.user.get("is_logged_in", False):
        return None
    email = st.user.get("email")
    role = role_of(email, st.user.get("email_verified"), read_settings())
    return Visitor(str(email), role, "sign-in") if role else None
