"""Pieces of screen that pages share: picking networks and images, the map, one cell of it, a job at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import streamlit as st

from cka_core.base import words
from cka_core.base.store import Store
from cka_core.images.sets import IMAGE_SETS, SPLITS, SampleSpec, image_set, is_available
from cka_core.jobs import submit
from cka_core.library import catalogue
from cka_core.library import words as network_words
from cka_core.library.catalogue import NetworkInfo
from cka_core.results import views
from cka_core.results import words as result_words
from cka_core.results.activation_sets import shared_sample
from cka_core.results.comparison import Comparison
from pages.parts import address, drawn, visitor

AT_WORK = (submit.QUEUED, submit.RUNNING)
LARGEST_SEED = 2**31 - 1


def network_picker(side: str, networks: Mapping[str, NetworkInfo], default: str, store: Store) -> NetworkInfo:
    """Choose a network of the library; a link may name any other architecture too. ``side`` is "a" or "b"."""

    def known(name: str) -> NetworkInfo | None:
        if name in networks or name.endswith((".keras", ".npz")):  # a link opens no files
            return networks.get(name)
        try:
            return catalogue.by_name(name, store)
        except ValueError:
            return None

    address.read(side, default, lambda name: known(name) is not None)
    choices = dict(networks)
    name = st.session_state[side]
    if name not in choices:
        choices[name] = known(name) or networks[default]
    labels = network_words.network_labels(choices)
    names = list(choices)
    chosen: str | None = st.selectbox(f"Network {side.upper()}", names, format_func=labels.__getitem__, key=side)
    name = chosen or default
    address.write(side, name, default)
    info = choices[name]
    facts, hint = [info.subtitle], None
    if info.parameters and info.activations is None:
        facts.append(f"{words.count_text(info.parameters)} parameters")
    if info.test_accuracy is not None and info.test_images:
        right = words.accuracy_text(info.test_accuracy, info.test_images)
        facts.append(f"{right} right")
        hint = f"Recognises {right} of {info.test_images:,} test images (95 % interval)."
    st.caption(" · ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts), help=hint)
    return info


def images_picker(store: Store) -> tuple[SampleSpec, int]:
    """Choose the images and, under "More", the minibatch size."""
    name = choice("Images", tuple(IMAGE_SETS), "images")
    count = st.container()  # how many there are depends on the split, which stands below
    with st.expander("More"):
        address.check("split", SPLITS.__contains__)
        split = st.segmented_control(
            "Part of the set", SPLITS, default="test", required=True, key="split", bind="query-params"
        )
        draw = choice("Which images", ("random", "first"), "draw", "Drawn at random, or the first ones in order.")
        address.check("seed", lambda text: text.isdecimal() and int(text) <= LARGEST_SEED)
        seed = st.number_input(
            "Seed of the draw", 0, LARGEST_SEED, 0, key="seed", bind="query-params", disabled=draw == "first"
        )
        balanced = st.toggle("Same number of each class", key="balanced", bind="query-params")
        sizes = ["32", "64", "128", "256", "512", "1024"]
        batch = choice(
            "Minibatch size",
            sizes,
            "batch",
            "HSIC is averaged over minibatches of this many images, then CKA is taken. Larger takes more memory.",
            default="256",
        )
    total = image_set(name).sizes[split]
    asked = str(st.session_state.get("n") or st.query_params.get("n") or "")
    steps = [str(n) for n in views.sample_steps(total, int(asked) if asked.isdecimal() and len(asked) < 7 else None)]
    with count:
        address.check("n", steps.__contains__)
        n = st.select_slider(
            "How many", steps, value="768" if "768" in steps else steps[-1], key="n", bind="query-params"
        )
        if not is_available(name, store):
            images_missing()
    return SampleSpec(name, split, int(n), int(seed) if draw == "random" else None, balanced), int(batch)


def images_of_sets(a: NetworkInfo, b: NetworkInfo) -> tuple[SampleSpec, int, str]:
    """Where an activation set is compared there is no choice of images: they are those that it was made from.

    Returns them, the minibatch size, and why the two cannot be compared, or "".
    """
    sets = [info.activations for info in (a, b) if info.activations is not None]
    sample, batch_size, problem = sets[0].sample, sets[0].batch_size, ""
    try:
        sample, batch_size = shared_sample(sets)
        if len(sets) == 1 and a.spec != b.spec and not sample.images:
            problem = f"{sets[0].name} does not say which images it was made from: no network can be shown the same."
    except ValueError as error:
        problem = str(error)
    st.markdown("Images")
    st.caption(
        f"{address.plain(result_words.sample_text(sample))}, in minibatches of {batch_size}",
        help="An activation set holds what a network made of certain images, so the comparison uses these.",
    )
    return sample.spec, batch_size, problem


def choice(
    label: str,
    options: Sequence[str],
    key: str,
    help: str | None = None,
    *,
    default: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """One of a few words, in the address too; the first one is the default if none is named."""
    address.check(key, options.__contains__)
    default = default or options[0]
    chosen: str | None = st.selectbox(
        label, options, index=options.index(default), key=key, help=help, width=width, bind="query-params"
    )
    return chosen or default


def images_missing() -> None:
    """The full CIFAR-10 is not in the store: the three ways to get it."""
    st.info(
        "The full CIFAR-10 is not here yet. Three ways to get it:\n"
        "1. Compare: it is downloaded first (170 MB, once)\n"
        "2. `python -m cka_core data import cifar10 cifar10.npz`\n"
        "3. `python -m cka_core data import cifar10 cifar-10-binary.tar.gz`\n\n"
        "`cifar10-mini` needs no download."
    )


LISTENER = """
export default function({ data, setTriggerValue, setStateValue }) {
  let narrow = data.narrow;
  const clicked = (event) => {
    const point = event.points.find((point) => Array.isArray(point.pointNumber));
    if (point) setTriggerValue('cell', { at: point.pointNumber, figure: data.figure });
  };
  // The chart may be drawn after this, again, or anew: look again and again, listen once.
  const look = () => {
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (!chart || !chart._ev) return;
    if (!chart._ev.listeners('plotly_click').some((listener) => listener.ofMap)) {
      const listener = (event) => window.ckaMapClicked && window.ckaMapClicked(event);
      listener.ofMap = true;
      chart.on('plotly_click', listener);
    }
    const isNarrow = chart.clientWidth > 0 && chart.clientWidth < 480;
    if (chart.clientWidth > 0 && isNarrow !== narrow && !document.fullscreenElement) {
      narrow = isNarrow;
      setStateValue('narrow', isNarrow);
    }
  };
  window.ckaMapClicked = clicked;
  look();
  const timer = setInterval(look, 150);
  return () => clearInterval(timer);
}
"""


def heatmap(
    comparison: Comparison,
    titles: tuple[str, str],
    file_name: str,
    *,
    colours: str,
    on_cell: Callable[[str, str], None],
    cell: tuple[str, str] | None = None,
    faded: bool = False,
    blocks: Sequence[tuple[int, int, str]] = (),
) -> None:
    """The map, with ``cell`` (a layer of A, one of B) and ``blocks`` marked. A click calls ``on_cell`` with layers."""
    names_a, names_b = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    selected = None
    if cell and cell[0] in names_a and cell[1] in names_b:
        selected = names_a.index(cell[0]), names_b.index(cell[1])
    narrow = bool((st.session_state.get("map_listener") or {}).get("narrow"))
    digest = drawn.digest(comparison, titles)
    figure = drawn.heatmap(
        comparison,
        digest,
        colours=colours,
        titles=titles,
        selected=selected,
        faded=faded,
        narrow=narrow,
        height=440 if narrow else 680,
        blocks=blocks,
    )
    camera = st.session_state.get("camera") or st.session_state.get("camera saves", "png")
    rows, columns = comparison.matrix.shape
    st.plotly_chart(
        figure,
        width="stretch",
        key="map",
        alt=f"CKA of {rows} layers of {titles[0]}, up the side, and {columns} of {titles[1]}, along the bottom.",
        config={
            "displaylogo": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
            "toImageButtonOptions": {
                "format": camera,
                "filename": file_name,
                "scale": 4 if camera == "png" else 1,
            },
        },
    )

    def clicked() -> None:
        heard = (st.session_state.get("map_listener") or {}).get("cell")
        if isinstance(heard, dict) and heard.get("figure") == digest:
            row, column = heard["at"]
            if 0 <= row < rows and 0 <= column < columns:
                on_cell(names_a[row], names_b[column])

    # Registered here, not once at import: the registry is the server's, and a module outlives it in a test.
    listener = st.components.v2.component("map_listener", js=LISTENER)
    listener(
        data={"chart": "map", "figure": digest, "narrow": narrow},
        key="map_listener",
        on_cell_change=clicked,
        on_narrow_change=lambda: None,
    )


def cell_card(comparison: Comparison, titles: tuple[str, str]) -> tuple[str, str] | None:
    """One cell in words: its two layers, their CKA, the best match of either; and two pickers. Returns the layers."""
    names = views.unique_names(comparison.layers_a), views.unique_names(comparison.layers_b)
    for key, own in zip(("la", "lb"), names, strict=True):
        address.check(key, own.__contains__)
        if st.session_state.get(key) not in (None, *own):
            del st.session_state[key]
    with st.container(border=True):
        st.markdown("**This cell**")
        text = st.container(gap="small")
        chosen = [
            st.selectbox(
                f"Layer of {side}", own, index=None, key=key, placeholder="choose a layer", bind="query-params"
            )
            for side, key, own in zip("AB", ("la", "lb"), names, strict=True)
        ]
        layer_a, layer_b = chosen
        if layer_a is None or layer_b is None:
            text.caption("Click a cell of the map, or choose two layers.")
            return None
        cell = views.cell(comparison, names[0].index(layer_a), names[1].index(layer_b))
        with text:
            _cell_text(comparison, cell, titles, names)
    return layer_a, layer_b


def _cell_text(
    comparison: Comparison, cell: views.Cell, titles: tuple[str, str], names: tuple[list[str], list[str]]
) -> None:
    for side, layer in (("A", comparison.layers_a[cell.row]), ("B", comparison.layers_b[cell.column])):
        st.markdown(f"{side}  {address.code(layer.name)}  \n:small[{layer.kind} · {views.shape_text(layer.shape)}]")
    if cell.reason:
        st.markdown(f"No CKA: {cell.reason}.")
    else:
        st.metric("CKA", f"{cell.cka:.3f}")
    for side, match, key, own, title in (
        ("A", cell.match_of_a, "lb", names[1], titles[1]),
        ("B", cell.match_of_b, "la", names[0], titles[0]),
    ):
        if match is None:
            continue
        position, value = match
        st.caption(f"Best {'other ' if comparison.is_self else ''}match of {side}’s layer in {title}")
        st.button(
            f"{own[position]} · {value:.3f}".replace("_", r"\_"),
            key=f"match of {side}",
            type="tertiary",
            icon=":material/arrow_forward:",
            help="Go to this cell",
            on_click=st.session_state.__setitem__,
            args=(key, own[position]),
        )


def at_work(job: submit.JobStatus | None) -> bool:
    return job is not None and job.state in AT_WORK


def rest_of_queue(queue: submit.Queue) -> None:
    """How many jobs there are beside those that are named."""
    parts = [f"{queue.more} more of yours" if visitor.here() else f"{queue.more} more"] if queue.more else []
    parts += [f"{queue.others} of others"] if queue.others else []
    if parts:
        st.caption(f"{' and '.join(parts)} at work or waiting.")


def job_progress(key: str) -> None:
    """A job at work: a line that grows, in words, and Stop. Looks every second, and runs the page again at its end."""

    def left(fraction: float) -> str:
        if fraction == 0:
            return ""
        since, then = st.session_state.setdefault(f"first look at {key}", (fraction, time.time()))
        return words.left_text(fraction, since, then, time.time())

    @st.fragment(run_every=1.0)
    def look() -> None:
        store = Store()
        status = submit.status(key, store)
        if status is None or not at_work(status):
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            fraction, doing = 0.0, "waiting for a worker"
            if status.progress is not None:
                fraction = status.progress.fraction
                doing = " · ".join(filter(None, [status.progress.detail or status.progress.phase, left(fraction)]))
            if status.stopping:
                doing = "stopping after this step"
            st.progress(fraction, text=address.plain(f"{status.title}: {doing}"))
            if visitor.owns(key, store):
                st.button(
                    "Stop",
                    key="stop",
                    icon=":material/stop_circle:",
                    disabled=status.stopping,
                    on_click=visitor.ask,
                    args=(submit.stop, key, store),
                )

    look()
