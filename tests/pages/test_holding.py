"""What the app put into a widget stays there until the browser has heard of it, and no longer."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import holding


def one_picker():
    import streamlit as st

    from pages.parts import address, holding

    def chosen():
        st.session_state["chosen"] = [*st.session_state.get("chosen", []), st.session_state["number"]]

    holding.hold(st.session_state.get("page", "one"))
    options = ["1", "2", "3", "4"]
    address.read("number", "1", options.__contains__)
    at = options.index(st.session_state["number"])
    st.selectbox("Number", options, index=at, key="number", on_change=holding.on_choice("number", chosen))
    address.write("number", st.session_state["number"], "1")
    st.button("Put 3", on_click=address.put, args=("number", "3"))
    st.button("Put 4", on_click=address.put, args=("number", "4"))
    st.button("Forget", on_click=address.forget, args=("number",))
    st.button("Twice", on_click=lambda: st.session_state.update(seen=holding.held("number")))
    st.session_state[holding.TOLD] = st.session_state.get(holding.SAID, 0)  # as `listen` does, which no test can answer


@pytest.fixture
def at(monkeypatch):
    """A page whose browser has answered to what was said so far, and does no more."""
    monkeypatch.setattr(holding, "UNHEARD_FOR", 600.0)
    return heard(AppTest.from_function(one_picker, default_timeout=60).run())


def heard(at: AppTest) -> AppTest:
    at.session_state[holding.ECHO] = {
        "heard": at.session_state[holding.SAID] if holding.SAID in at.session_state else 0
    }
    return at


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label == label).click().run()


def sends(at: AppTest, value: str, address: str | None = None) -> str:
    """What the picker holds after the browser sent this of it, with this in its address."""
    at.query_params.clear()
    if address is not None:
        at.query_params["number"] = address
    at.selectbox[0].set_value(value).run()
    return at.session_state["number"]


def test_what_was_put_stays_where_the_browser_sends_the_value_before(at):
    press(at, "Put 3")
    assert at.session_state["number"] == "3" and at.query_params["number"] == "3"
    assert sends(at, "1") == "3" and at.query_params["number"] == "3"
    assert sends(at, "1", "3") == "3"
    assert "chosen" not in at.session_state  # nobody chose


def test_another_choice_counts_whether_the_browser_has_heard_or_not(at):
    press(at, "Put 3")
    assert sends(at, "2") == "2" and at.session_state["chosen"] == ["2"]


def test_the_value_before_can_be_chosen_when_the_browser_has_heard(at):
    press(at, "Put 3")
    assert sends(heard(at), "1", "3") == "1" and at.session_state["chosen"] == ["1"]
    assert "number" not in at.query_params


def test_of_two_presses_the_second_counts_and_neither_value_before_comes_back(at):
    press(at, "Put 3")
    at.selectbox[0].set_value("1")
    press(at, "Put 4")
    assert at.session_state["number"] == "4"
    assert sends(at, "1") == "4" and sends(at, "3", "3") == "4" and sends(at, "2", "4") == "2"


def test_a_callback_can_ask_for_what_the_browser_has_not_heard_of(at):
    press(at, "Put 3")
    at.selectbox[0].set_value("1")
    press(at, "Twice")
    assert at.session_state["seen"] == "3" == at.session_state["number"]


def test_a_forgotten_value_does_not_come_back(at):
    assert sends(at, "2") == "2"
    press(heard(at), "Forget")
    assert at.session_state["number"] == "1"
    assert sends(at, "2", "2") == "1" and "number" not in at.query_params


def test_an_address_that_has_not_heard_of_a_choice_does_not_undo_it(at):
    assert sends(at, "2") == "2" and at.query_params["number"] == "2"
    assert sends(at, "2") == "2" and at.query_params["number"] == "2"
    assert sends(heard(at), "2") == "1"  # the browser's Back


def test_the_address_of_elsewhere_counts_always(at):
    press(at, "Put 3")
    assert sends(at, "3", "4") == "4"


@pytest.mark.parametrize("end", ["time", "another page", "no answer ever"])
def test_nothing_is_held_for_ever(at, end, monkeypatch):
    press(at, "Put 3")
    if end == "time":
        monkeypatch.setattr(holding, "UNHEARD_FOR", 0.0)
    elif end == "another page":
        at.session_state["page"] = "two"
    else:
        del at.session_state[holding.ECHO]
    assert sends(at, "1", "3") == "1"


def test_what_comes_with_an_answer_is_not_taken_for_it_alone():
    def answered(**changed):
        def page():
            import streamlit as st

            from pages.parts import holding

            if holding.LEFT not in st.session_state:
                st.session_state.update(number=1, grid={"drawn": None}, pressed=True, click={"cell": [1, 2]})
                st.session_state[holding.LEFT] = holding._as_it_is()
            st.session_state["found"] = holding.was_something_else_said()

        run = AppTest.from_function(page, default_timeout=60).run()
        del run.session_state["found"]
        for key, value in changed.items():
            run.session_state[key] = value
        return run.run().session_state["found"]

    assert not answered() and not answered(echo={"heard": 3})
    assert not answered(pressed=False, click={"cell": None}), "a press that is over"
    assert answered(grid={"drawn": True}) and answered(number=2) and answered(**{"pressed compare": 12.5})


def test_what_was_answered_in_a_visit_that_is_forgotten_answers_nothing_of_the_next_one(at):
    for label in ("Put 3", "Put 4", "Put 3"):
        press(heard(at), label)
    answered = at.session_state[holding.SAID]
    after = AppTest.from_function(one_picker, default_timeout=60).run()
    after.session_state[holding.ECHO] = {"heard": answered}  # what the browser still holds
    press(after, "Put 3")
    assert sends(after, "1") == "3"


@pytest.mark.parametrize("answer", ["x", [1], {}, 1e300, None])
def test_an_answer_that_is_no_number_is_none(at, answer):
    at.session_state[holding.ECHO] = {"heard": answer}
    assert not press(at, "Put 3").exception
    assert sends(at, "4", "3") == "4"
