"""CKA Explorer in the browser: the page's frame and the navigation, nothing else."""

from pathlib import Path

import streamlit as st

from cka_core.base import deployment, full_disk
from cka_core.base.store import Store
from pages.parts import address, holding, notes, presses, visitor

ICON = Path(__file__).parent / "pages" / "icon.svg"
SPACING = Path(__file__).parent / "pages" / "parts" / "spacing.css"

presses.are_done_whole()
st.set_page_config(page_title="CKA Explorer", page_icon=str(ICON), layout="wide")
pages = [
    st.Page("pages/compare.py", title="Compare", icon=":material/grid_on:", url_path="home", default=True),
    st.Page("pages/train.py", title="Train", icon=":material/model_training:", url_path="train"),
    st.Page("pages/atlas.py", title="Atlas", icon=":material/grid_view:", url_path="atlas"),
    st.Page("pages/learn.py", title="Learn", icon=":material/school:", url_path="learn"),
    st.Page("pages/library.py", title="Library", icon=":material/inventory_2:", url_path="library"),
    st.Page("pages/by_name.py", title="Compare", url_path="compare", visibility="hidden"),
]
if deployment.mode() == deployment.CLASS:
    pages.append(st.Page("pages/teacher.py", title="Teacher", icon=":material/supervisor_account:", url_path="teacher"))
navigation = st.navigation(pages, position="top")
st.set_page_config(page_title=f"{navigation.title} · CKA Explorer")
st.html(SPACING)
try:
    visitor.meet()
    address.come_back(navigation)
    holding.hold(navigation.url_path)
    try:
        navigation.run()
        notes.show()
        address.remember(navigation)
        holding.listen()
    finally:  # also where the page has itself run again
        visitor.hear()
except OSError as error:
    reason = full_disk.in_words(error, Store())
    if reason is None:
        raise
    st.error(address.plain(reason), icon=":material/hard_drive:")
