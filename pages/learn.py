"""Learn: from zero to reading a CKA map, chapter by chapter, by doing."""

from __future__ import annotations

import streamlit as st

from pages.parts import address
from pages.parts.learn import lesson

address.through_the_app()
st.html(lesson.FOLDER / "page.css")
asked = st.query_params.get("chapter", lesson.chapter_asked())
if asked != lesson.chapter_asked():
    st.warning(f"The link asks for chapter {address.code(asked)}; there are {', '.join(lesson.CHAPTERS)}.")
lesson.show()
