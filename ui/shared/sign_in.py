"""Who looks at a page, and what they may do."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from engine.errors import InvalidInput
from engine.settings import read_settings
from service.access.exposed import OPEN, check_exposed
from service.access.roles import role_of
from service.access.visitor import Visitor
from ui.shared.pictures import escaped
from ui.shared.providers import USER_HEADERS, sign_in_providers


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
        # A button of Streamlit's that leads somewhere opens a second tab there.
        st.sidebar.html('<a href="/leave" target="_self">Sign out</a>')


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
