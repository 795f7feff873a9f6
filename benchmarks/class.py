"""A class on one server: sixty sessions that open, filter, click, compare and train, over Streamlit's own protocol.

    python benchmarks/class.py
    python benchmarks/class.py --sessions 60 --minutes 8

On loopback, without browsers, which would measure themselves: each session is a WebSocket that says what a browser
says. All open the page at once, look at one picture, and each at one that nobody else has; all filter the map and click
a cell; ten ask for the same comparison, five for others, five train. It prints the errors, wrong selections and work
done twice (all to be 0), how long a stored map takes alone, with all at once, and with all at once when each asks for a
picture of its own, and the server's memory. Compare the ratios: the seconds are those of a machine that runs the sixty
clients, too.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil  # noqa: E402
import websockets  # noqa: E402
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: E402
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402
from streamlit.proto.WidgetStates_pb2 import WidgetState  # noqa: E402

from cka_core import bundle  # noqa: E402
from cka_core.base import visitors  # noqa: E402
from cka_core.base.store import Store  # noqa: E402
from cka_core.jobs import records, submit  # noqa: E402
from cka_core.results import comparison  # noqa: E402
from scripts.running import running_app  # noqa: E402

SAME, OTHERS, TRAIN = 10, 5, 5
ALONE = 7  # maps drawn one after the other
COMPARED = "a=cifar-resnet-8x1&b=cifar-resnet-14x1&n=64"
TRAINED = "depth=8&width=1&epochs=1&share=0.0625"
WAIT = 120.0  # seconds for one answer
FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


class Session:
    """One visitor: what a browser keeps of a page, and what it says to the server."""

    def __init__(self, address: str, number: int):
        self.address, self.number, self.key = address, number, visitors.new_key()
        self.errors: list[str] = []
        self.widgets: dict[str, str] = {}  # user's key -> id
        self.states: dict[str, WidgetState] = {}
        self.map: dict[str, Any] = {}
        self.metric = ""
        self.query, self.page = "", ""
        self.map_after = 0.0

    async def connect(self) -> None:
        where = self.address.replace("http://", "ws://") + "/_stcore/stream"
        self.socket = await websockets.connect(where, origin=self.address, subprotocols=["streamlit"], max_size=None)  # type: ignore[arg-type,list-item]

    async def open(self, query: str = "", page: str = "") -> float:
        """Open a page, as a browser that was here before; returns the seconds to its map."""
        await self.connect()
        self.query, self.page = query, page
        await self.run()
        first = self.map_after
        self.set("visitor", json_value=json.dumps({"key": self.key}))  # the browser tells its key, and its width
        if "map_listener" in self.widgets:
            self.set("map_listener", json_value=json.dumps({"narrow": False}))
        await self.run()
        return first

    async def run(self, **trigger: WidgetState) -> float:
        """Run the page with what its widgets hold; returns the seconds until it is whole."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = self.page
        states = [*self.states.values(), *trigger.values()]
        message.rerun_script.widget_states.widgets.extend(states)
        started = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            data = await asyncio.wait_for(self.socket.recv(), WAIT)
            answer = ForwardMsg()
            answer.ParseFromString(data)
            kind = answer.WhichOneof("type")
            if kind == "delta":
                self._element(answer.delta.new_element, started)
            elif kind == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            elif kind == "script_finished" and answer.script_finished in FINISHED:
                return time.perf_counter() - started
            elif kind == "script_finished" and answer.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                self.errors.append("compile error")
                return time.perf_counter() - started

    def set(self, widget: str, **value: Any) -> None:
        self.states[widget] = WidgetState(id=self.widgets[widget], **value)

    async def press(self, button: str) -> float:
        return await self.run(button=WidgetState(id=self.widgets[button], trigger_value=True))

    async def click(self, row: int, column: int) -> float:
        """A click on a cell of the map, as the map's listener reports it."""
        data = json.loads(self.listener)
        payload = [{"event": "cell", "value": {"at": [row, column], "figure": data["figure"]}}]
        return await self.run(cell=WidgetState(id=self.trigger, json_trigger_value=json.dumps(payload)))

    def own_cell(self) -> tuple[int, int]:
        return self.number % 7, self.number % 5

    def chosen(self) -> tuple[str, str]:
        """The layers of the cell that the address names."""
        named = parse_qs(self.query.lstrip("?"))
        return named.get("la", [""])[-1], named.get("lb", [""])[-1]

    def _element(self, element: Any, started: float) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.errors.append(element.exception.message or element.exception.type)
        elif kind == "alert" and element.alert.format == element.alert.ERROR:
            self.errors.append(element.alert.body)
        elif kind == "plotly_chart":
            if '"hoverongaps"' in element.plotly_chart.spec:  # of the traces, only a heatmap has it
                self.map_after = time.perf_counter() - started
                self.map_text = element.plotly_chart.spec
        elif kind == "metric":
            self.metric = element.metric.body
        elif kind == "bidi_component":
            own = element.bidi_component
            self._know(own.id)
            if own.component_name == "map_listener":
                self.listener = own.json or own.mixed.json
                self.trigger = f"$$STREAMLIT_INTERNAL_KEY_{own.id}__events"
        elif kind is not None and hasattr(getattr(element, kind), "id"):
            self._know(getattr(element, kind).id)

    def _know(self, identity: str) -> None:
        parts = identity.split("-", 2)
        if len(parts) == 3 and parts[2] != "None":
            self.widgets[parts[2]] = identity
            if parts[2] in self.states:  # it was made anew
                self.states[parts[2]].id = identity


async def open_page(session: Session) -> float:
    return await session.open()


async def filter_layers(session: Session) -> float:
    """Of the map that everybody sees."""
    session.query = ""
    session.set("search", string_value="stage2")
    await session.run()
    return session.map_after


async def click_a_cell(session: Session) -> float:
    """Of the filtered map; each another one, as far as the stage has layers. Until the page is whole: the map stays, as
    the browser marks the cell on it."""
    return await session.click(*session.own_cell())


async def look(session: Session) -> float:
    """The map as everybody sees it."""
    await session.run()
    return session.map_after


async def look_at_ones_own(session: Session) -> float:
    """The map of a result that nobody else looks at (`keep_one_for_each`): it has to be drawn anew."""
    session.query = f"result={result_of(session.number)}"
    await session.run()
    return session.map_after


def result_of(number: int) -> str:
    return f"{comparison.UPLOADED}{number}"


def keep_one_for_each(sessions: int, store: Store) -> None:
    """For each session a result as large as the one that the page opens with, in which all values are another."""
    opening = comparison.find(bundle.opening(store), store)
    assert opening is not None  # it ships
    for number in range(sessions):
        own = dataclasses.replace(opening, matrix=opening.matrix * (1 - (number + 1) / 1000))
        store.put("comparisons", result_of(number), own.to_bytes())


def is_right(session: Session, whole: str, filtered: str) -> bool:
    """Whether the filter left the layers asked for, and the click chose the cell that was clicked."""
    before, shown = (json.loads(text)["data"] for text in (whole, filtered))
    row, column = session.own_cell()
    return (
        0 < len(shown[0]["y"]) < len(before[0]["y"])
        and all("stage2" in name for name in shown[0]["y"])
        and session.chosen() == tuple(told.split(" · ")[0] for told in (shown[0]["y"][row], shown[0]["x"][column]))
    )


async def compare(session: Session, query: str, deadline: float) -> dict[str, float]:
    """Ask for a comparison and wait for its map."""
    other = Session(session.address, session.number)
    other.key = session.key
    await other.open(query)
    other.map_text = ""
    await other.press("compare")
    while not other.map_text and time.monotonic() < deadline:
        await asyncio.sleep(1.0)
        await other.run()
    session.errors += other.errors + ([] if other.map_text else ["no map in time"])
    await other.socket.close()
    return {}


async def train(session: Session, seed: int, deadline: float) -> dict[str, float]:
    """Ask for a training; the store tells when it is done."""
    other = Session(session.address, session.number)
    other.key = session.key
    await other.open(f"{TRAINED}&seeds={seed}", "train")
    await other.press("train")
    session.errors += other.errors
    await other.socket.close()
    return {}


@dataclasses.dataclass(frozen=True)
class Phase:
    """All sessions do the same at once: ``seconds`` until each has its map, the server's processor time for each."""

    seconds: list[float]
    processor: float

    @classmethod
    async def of(
        cls, what: Callable[[Session], Awaitable[float]], who: Sequence[Session], server: psutil.Process
    ) -> Phase:
        before = sum(server.cpu_times()[:2])
        seconds = list(await asyncio.gather(*(what(session) for session in who)))
        return cls(seconds, (sum(server.cpu_times()[:2]) - before) / len(who))


def wait_for_jobs(store: Store, deadline: float) -> list[str]:
    """Wait until all work is done; what went wrong."""
    while submit.active(store) and time.monotonic() < deadline:
        time.sleep(1.0)
    jobs = [submit.status(key, store) for key in records.all_keys(store)]
    return [f"{job.title}: {job.state} {job.error or ''}" for job in jobs if job and job.state != submit.DONE]


PHASES = {
    "all open the page": open_page,
    "all look at one picture": look,
    "each at a picture of its own": look_at_ones_own,
    "all filter": filter_layers,
    "all click a cell": click_a_cell,
}


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


async def measure(address: str, store: Store, sessions: int, seconds: float, server: psutil.Process) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    figures: dict[str, Any] = {"memory at first": server.memory_info().rss}
    alone = [Session(address, -1 - number) for number in range(ALONE)]
    seen = [await session.open() for session in alone]
    figures["first"], figures["alone"] = seen[0], statistics.median(seen[1:])
    for session in alone:
        await session.socket.close()
    who = [Session(address, number) for number in range(sessions)]
    texts = []
    for name, what in PHASES.items():
        figures[name] = await Phase.of(what, who, server)
        texts.append([session.map_text for session in who])
    opened, same, own, filtered, _ = texts
    right = [is_right(*seen) for seen in zip(who, opened, filtered, strict=True)]
    figures["wrong"] = len(who) - sum(right) + len(set(same)) - 1 + len(who) - len(set(own))
    work = [compare(session, COMPARED, deadline) for session in who[:SAME]]
    work += [
        compare(session, f"{COMPARED}&seed={number + 1}", deadline)
        for number, session in enumerate(who[SAME : SAME + OTHERS])
    ]
    work += [train(session, number, deadline) for number, session in enumerate(who[SAME + OTHERS :][:TRAIN])]
    await asyncio.gather(*work)
    figures["memory"] = server.memory_info().rss
    failed = await asyncio.to_thread(wait_for_jobs, store, deadline)
    figures["errors"] = [error for session in who for error in session.errors] + failed
    for session in who:
        await session.socket.close()
    keys = records.all_keys(store)
    attempts = sum(records.record(key, store)["attempt"] for key in keys)  # type: ignore[index]
    figures["jobs"], figures["twice"] = len(keys), attempts - len(keys)
    figures["shared by"] = max((len(visitors.owners(key, store)) for key in keys), default=0)
    return figures


def show(figures: dict[str, Any], sessions: int) -> None:
    print(f"    errors {len(figures['errors'])}, wrong selections {figures['wrong']}")
    for error in figures["errors"][:5]:
        print(f"        {error}")
    print(f"    jobs {figures['jobs']}, work done twice {figures['twice']}, one run shared by {figures['shared by']}")
    print(f"    a stored map: the first {figures['first']:.2f} s, alone {figures['alone']:.2f} s")
    for name in PHASES:
        phase = figures[name]
        most = percentile(phase.seconds, 0.95)
        print(
            f"    {name:<30} median {statistics.median(phase.seconds):5.2f} s  p95 {most:5.2f} s  "
            f"{most / figures['alone']:6.1f} times alone  {1000 * phase.processor:4.0f} ms of a core each"
        )
    first, after = figures["memory at first"], figures["memory"]
    print(f"    the server's memory: {first / 1e6:.0f} MB, with {sessions} sessions {after / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=60, choices=range(20, 101), metavar="20-100")
    parser.add_argument("--minutes", type=float, default=8.0)
    told = parser.parse_args()
    os.environ |= {"CKA_MODE": "class", "CKA_TEACHER_KEY": visitors.new_key()}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder, running_app(folder, Path(folder) / "log.txt") as address:
        keep_one_for_each(told.sessions, Store(folder))
        server = next(p for p in psutil.Process().children() if "streamlit" in " ".join(p.cmdline()))
        figures = asyncio.run(measure(address, Store(folder), told.sessions, 60 * told.minutes, server))
    show(figures, told.sessions)


if __name__ == "__main__":
    main()
