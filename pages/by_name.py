"""The address /compare, for whoever expects it: the first page of an app has none but /."""

from __future__ import annotations

import streamlit as st

from pages.parts import address

address.through_the_app()
st.switch_page("pages/compare.py", query_params=st.query_params.to_dict())
