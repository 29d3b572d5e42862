"""The web front end: page config and navigation."""

import streamlit as st

from ui.shell import errors_shown, navigation, picker
from ui.sign_in import sign_out_button, signed_in

st.set_page_config(page_title="mRAG", page_icon=":material/image_search:", layout="wide")
with errors_shown():
    if signed_in():
        page = navigation()
        picker()
        sign_out_button()
        page.run()
