// Walking over the map: its cells by arrow keys and clicks, at once in the browser. The server hears of a cell when the
// reader has come to rest.

const REST = 350; // milliseconds without another step
const HEARD = 2000; // after a click, of which the map itself tells the server
const STEPS = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// `walk.cell` is the cell one sees: the server's, or a newer one that it has not heard of yet.
function walker(tell, changed) {
  const walk = { cell: null, data: null, seen: undefined, sent: null, timer: null };
  const same = (one, other) => Boolean(one && other && one[0] === other[0] && one[1] === other[1]);

  walk.isKnown = () => walk.data && same(walk.cell, walk.data.cell);

  // What a run of the page says. A cell that was asked for before the last step is passed over.
  walk.hear = (data) => {
    const first = !walk.data || walk.data.of !== data.of;
    const moved = first || !same(data.cell, walk.seen);
    walk.data = data;
    walk.seen = data.cell;
    if (same(data.cell, walk.sent)) walk.sent = null;
    if (same(data.cell, walk.cell)) walk.rest();
    if (first || (moved && !walk.sent && !walk.timer)) walk.cell = data.cell;
    mark();
  };

  walk.rest = () => {
    clearTimeout(walk.timer);
    walk.timer = null;
  };

  walk.go = (cell, rest = REST) => {
    if (same(cell, walk.cell)) return;
    walk.cell = cell;
    walk.rest();
    walk.timer = setTimeout(() => {
      walk.timer = null;
      walk.sent = cell;
      if (!walk.isKnown()) tell({ of: walk.data.of, cell });
      else walk.sent = null;
    }, rest);
    changed();
    mark();
  };

  // One layer on, among those that the map shows.
  walk.step = (up, right) => {
    const { rows, columns } = walk.data;
    const next = (shown, at, by) => {
      const here = at === null ? (shown.length - 1) >> 1 : shown.findIndex((one) => one >= at);
      return shown[Math.max(0, Math.min(shown.length - 1, (here < 0 ? shown.length - 1 : here) + by))];
    };
    const from = walk.cell ?? walk.data.marked;
    const [row, column] = from ?? [null, null];
    walk.go([next(rows, row, from ? up : 0), next(columns, column, from ? right : 0)]);
  };

  const chart = () => document.querySelector('.st-key-map .js-plotly-plot');
  const square = make('div', { class: 'cka-here', 'aria-hidden': 'true' });
  Object.assign(square.style, {
    position: 'absolute', width: '10px', height: '10px', margin: '-7px 0 0 -7px', border: '2px solid #fff',
    outline: '2px solid #000', pointerEvents: 'none', zIndex: 5, display: 'none',
  });
  const told = make('div', { role: 'status' });
  Object.assign(told.style, { position: 'absolute', width: '1px', height: '1px', overflow: 'hidden', opacity: 0 });

  // A mark of our own: with one of Plotly's the map would be drawn anew for every cell.
  function mark() {
    const map = chart();
    if (!map || !walk.data) return;
    const layout = map._fullLayout;
    const cell = walk.cell ?? walk.data.marked;
    const row = cell ? walk.data.rows.indexOf(cell[0]) : -1;
    const column = cell ? walk.data.columns.indexOf(cell[1]) : -1;
    square.style.display = row >= 0 && column >= 0 && layout?.xaxis ? '' : 'none';
    if (square.style.display) return;
    square.style.left = `${layout.xaxis._offset + layout.xaxis.l2p(column)}px`;
    square.style.top = `${layout.yaxis._offset + layout.yaxis.l2p(row)}px`;
  }

  function key(event) {
    const by = STEPS[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey || !walk.data) return;
    event.preventDefault();
    walk.keys = true;
    const times = event.shiftKey ? 10 : 1;
    walk.step(by[0] * times, by[1] * times);
    told.textContent = walk.name?.() ?? '';
  }

  function clicked(event) {
    const point = event.points.find((one) => Array.isArray(one.pointNumber));
    if (!point || !walk.data) return;
    walk.go([walk.data.rows[point.pointNumber[0]], walk.data.columns[point.pointNumber[1]]], HEARD);
    walk.keys = true;
    chart().focus({ preventScroll: true });
  }

  // The chart may be drawn after this, or anew: look again and again, listen once.
  walk.look = () => {
    const map = chart();
    if (!map || !map._ev) return;
    if (!map.contains(square)) map.append(square, told);
    if (map.getAttribute('tabindex') !== '0') {
      map.setAttribute('tabindex', '0');
      map.setAttribute('role', 'application');
      map.setAttribute('aria-label', 'The map. Arrow keys choose a cell, with Shift ten layers on.');
    }
    if (walk.keys && document.activeElement === document.body) map.focus({ preventScroll: true }); // it was drawn anew
    if (map.ckaKey !== key) {
      if (map.ckaKey) map.removeEventListener('keydown', map.ckaKey);
      map.ckaKey = key;
      map.addEventListener('keydown', key);
    }
    if (!map._ev.listeners('plotly_click').some((one) => one.walks === walk)) {
      const listener = (event) => (listener.walks === map.ckaWalk ? clicked(event) : null);
      listener.walks = walk;
      map.ckaWalk = walk;
      map.on('plotly_click', listener);
    }
    mark();
  };
  const elsewhere = (event) => { if (event.target !== chart()) walk.keys = false; };
  for (const name of ['focusin', 'pointerdown']) document.addEventListener(name, elsewhere);
  walk.end = () => {
    for (const name of ['focusin', 'pointerdown']) document.removeEventListener(name, elsewhere);
    walk.rest();
    square.remove();
    told.remove();
  };
  return walk;
}
