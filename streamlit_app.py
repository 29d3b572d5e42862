"""The web front end: page config and navigation."""

import streamlit as st

from ui.shared.shell import ICON, errors_shown, menu_gives_way, navigation, picker, styles
from ui.shared.sign_in import sign_out_button, signed_in

st.set_page_config(page_title="mRAG", page_icon=ICON, layout="wide")
styles()
with errors_shown():
    if signed_in():
        page = navigation()
        st.set_page_config(page_title=f"{page.title} · mRAG")
        picker()
        menu_gives_way(page.title)
        sign_out_button()
        page.run()
