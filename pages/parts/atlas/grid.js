// The grid of small maps: draws, plays the epochs and hears clicks in the browser, without the server.
// `data` is what cka_core.atlas.grid.grid_values makes, with `chosen` and `epoch`, and
// `below`, the class of what is scrolled to when `scrolls` changes. leading.js stands before it.

const STEP = 800, FADE = 260, WAIT = 10000; // milliseconds an epoch is shown, of the change from one to the next, and for what is below
const calm = () => window.matchMedia('(prefers-reduced-motion: reduce)').matches;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function bytes(packed) {
  return Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
}

// Not every network was kept after the same epochs, or trained as long: the last one until then, and which one it is; at
// the slider's end each as it was in its own end.
function frameAt(cell, epoch, end) {
  const kept = Object.keys(cell.frames).map(Number).filter((one) => one <= epoch || epoch === end);
  if (!kept.length) return null;
  const own = Math.max(...kept);
  return { ...cell.frames[own], epoch: own, kept: own === epoch || own === cell.last };
}

function draw(canvas, frame, before, share, palette) {
  canvas.width = canvas.height = frame.side;
  const context = canvas.getContext('2d');
  const image = context.createImageData(frame.side, frame.side);
  const fading = before && share < 1 && before.side === frame.side;
  for (let row = 0; row < frame.side; row++) {
    for (let column = 0; column < frame.side; column++) {
      const from = row * frame.side + column;
      const to = 4 * ((frame.side - 1 - row) * frame.side + column); // the input at the bottom left
      for (let channel = 0; channel < 3; channel++) {
        const now = palette[3 * frame.bytes[from] + channel];
        const then = fading ? palette[3 * before.bytes[from] + channel] : now;
        image.data[to + channel] = then + (now - then) * share;
      }
      image.data[to + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

function cellElement(cell, open) {
  const button = element('button', 'cell');
  button.type = 'button';
  button.dataset.name = cell.name;
  button.onclick = () => open(cell.name);
  const map = element('span', 'map');
  const parts = { canvas: element('canvas'), marks: element('span', 'marks'), gap: element('span', 'gap') };
  map.append(parts.canvas, parts.marks, parts.gap);
  const head = element('span', 'head');
  parts.accuracy = element('span', 'accuracy');
  head.append(element('strong', '', cell.size), parts.accuracy);
  parts.training = element('span', 'line');
  parts.blocks = element('span', 'line blocks');
  button.append(map, head, parts.training, parts.blocks);
  return { button, parts, cell };
}

function say(item, frame) {
  const { button, parts, cell } = item;
  button.disabled = !frame;
  parts.canvas.style.visibility = frame ? 'visible' : 'hidden';
  parts.marks.replaceChildren();
  button.dataset.kept = frame && !frame.kept ? 'no' : 'yes';
  parts.gap.textContent = frame && !frame.kept ? 'not kept' : '';
  const kept = frame && frame.kept; // of another epoch nothing is told but that it is the last one
  parts.accuracy.textContent = kept ? `test ${frame.test}` : '';
  parts.training.textContent = kept
    ? `epoch ${frame.epoch}, training ${frame.train}${frame.fitted || frame.epoch !== cell.last ? '' : ', not fitted'}`
    : frame ? `before it, epoch ${frame.epoch}` : 'no map';
  parts.blocks.textContent = kept ? frame.blocks : '';
  // What is read aloud begins with what is read by eye.
  button.setAttribute('aria-label', frame
    ? [cell.size, parts.gap, parts.accuracy, parts.training, parts.blocks].map((one) => one.textContent ?? one)
      .filter(Boolean).join(' ') + `: ${cell.title}` : cell.title);
  for (const [start, stop] of kept ? frame.marks : []) {
    for (const [side, extent] of [['left', 'width'], ['bottom', 'height']]) {
      const mark = element('i', side);
      mark.style[side] = `${100 * start}%`;
      mark.style[extent] = `${100 * (stop - start)}%`;
      parts.marks.append(mark);
    }
  }
}

function build(root, data, open) {
  const items = [];
  const place = (cell) => {
    const item = cellElement(cell, open);
    items.push(item);
    return item.button;
  };
  const lay = ({ rows, columns, cells, missing }) => {
    const grid = element('div', 'grid');
    grid.style.setProperty('--columns', Math.max(columns.length, data.columns.length, 1));
    grid.style.setProperty('--rows', Math.max(data.rows.length, 1));
    grid.append(element('span', 'corner'));
    const across = Math.max(columns.length, data.columns.length, 1);
    for (let column = 0; column < across; column++) grid.append(element('span', 'across', columns[column] ?? ''));
    rows.forEach((text, row) => {
      grid.append(element('span', 'down', text));
      for (let column = 0; column < across; column++) {
        const cell = cells.find((one) => one.row === row && one.column === column);
        const said = missing[`${row} ${column}`];
        grid.append(cell ? place(cell) : element('span', said ? 'missing' : '', said ?? ''));
      }
    });
    return grid;
  };
  root.replaceChildren(lay(data));
  if (data.data.rows.length) {
    root.append(element('p', 'more', 'The same network on more images, with as many updates: does the block go?'), lay(data.data));
  }
  if (data.others.length) {
    const others = element('div', 'grid others');
    others.style.setProperty('--columns', Math.max(data.columns.length, 1));
    others.style.setProperty('--rows', Math.max(data.rows.length, 1));
    others.append(element('span', 'corner'), ...data.others.map(place));
    root.append(others);
  }
  return items;
}

export default function({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector('.maps');
  const state = root.state ??= { timer: null, epoch: null };
  const find = (name) => parentElement.querySelector(name);
  const play = find('.play'), slider = find('input'), shown = find('output');

  const open = (name) => setTriggerValue('open', name);
  const asked = performance.now();
  const scrollDown = () => { // as soon as it stands below the grid; until something is in it, Streamlit lays it over the page
    const below = document.querySelector(`.${data.below}`);
    if (!below || below.getBoundingClientRect().top < root.getBoundingClientRect().bottom) {
      if (root.isConnected && performance.now() < asked + WAIT) requestAnimationFrame(scrollDown);
      return;
    }
    leadTo(below, calm() ? 'auto' : 'smooth');
  };
  if (state.scrolls !== undefined && state.scrolls !== data.scrolls) scrollDown();
  state.scrolls = data.scrolls;
  if (state.digest !== data.digest) { // drawn anew only if the maps changed
    state.digest = data.digest;
    state.palette = bytes(data.palette);
    for (const cell of [...data.cells, ...data.data.cells, ...data.others]) {
      for (const frame of Object.values(cell.frames)) frame.bytes = bytes(frame.pixels);
    }
    state.items = build(root, data, open);
    state.epoch = null;
    clearInterval(state.timer);
    state.timer = null;
  }
  for (const { button, cell } of state.items) {
    button.setAttribute('aria-pressed', String(cell.name === data.chosen));
    button.onclick = () => open(cell.name);
  }

  const show = (epoch, smoothly) => {
    const before = state.epoch;
    state.epoch = epoch;
    slider.value = String(Math.max(0, data.epochs.indexOf(epoch)));
    slider.setAttribute('aria-valuetext', `after epoch ${epoch}`);
    shown.textContent = epoch;
    const started = performance.now();
    const at = (item, time) => frameAt(item.cell, time, data.epochs[data.epochs.length - 1]);
    const changes = state.items.map((item) => [item, at(item, epoch), at(item, before ?? epoch)]);
    for (const [item, frame] of changes) say(item, frame);
    const step = (now) => {
      if (state.epoch !== epoch) return;
      const share = smoothly && !calm() ? Math.min(1, Math.max(0, (now - started) / FADE)) : 1;
      for (const [item, frame, old] of changes) if (frame) draw(item.parts.canvas, frame, old, share, state.palette);
      if (share < 1) requestAnimationFrame(step);
    };
    step(started);
  };
  const stop = () => {
    clearInterval(state.timer);
    state.timer = null;
    play.textContent = '▶';
    play.setAttribute('aria-label', 'Play the training');
    root.dataset.playing = 'no';
  };
  const settle = () => { // the large view below follows when the reader has come to rest
    stop();
    setTriggerValue('epoch', state.epoch); // a trigger: heard also where it is what was heard last
  };
  play.onclick = () => {
    if (state.timer) return settle();
    if (state.epoch === data.epochs[data.epochs.length - 1]) show(data.epochs[0], true);
    play.textContent = '❚❚';
    play.setAttribute('aria-label', 'Pause');
    root.dataset.playing = 'yes';
    state.timer = setInterval(() => state.tick(), STEP);
  };
  state.tick = () => { // always that of the newest run of the page, whose values it must tell
    if (!root.isConnected) return stop();
    const at = data.epochs.indexOf(state.epoch) + 1;
    show(data.epochs[at], true);
    if (at === data.epochs.length - 1) settle();
  };
  slider.max = String(data.epochs.length - 1);
  slider.oninput = () => { stop(); show(data.epochs[Number(slider.value)], false); };
  slider.onchange = settle;
  find('.bar').dataset.still = data.epochs.length > 1 ? 'no' : 'yes';
  find('.scale').style.background = `linear-gradient(to right, ${[1, 64, 128, 191, 255]
    .map((value) => `rgb(${state.palette.slice(3 * value, 3 * value + 3).join(',')})`).join(',')})`;

  if (!state.timer) stop();
  if (state.epoch === null || state.asked !== data.epoch) { // what a link or a button asks for
    state.asked = data.epoch;
    show(data.epoch, false);
  }
  const narrow = () => {
    const width = root.clientWidth;
    if (width > 0 && (width < 480) !== data.narrow) setStateValue('narrow', width < 480);
  };
  narrow();
  if (!data.drawn) setTimeout(() => requestAnimationFrame(() => setStateValue('drawn', true)), 0);
  state.observer?.disconnect();
  state.observer = new ResizeObserver(narrow);
  state.observer.observe(root);
  return () => state.observer.disconnect();
}
