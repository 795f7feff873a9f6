// What chapters 4 and 5 draw with: maps in 8 bits under the pointer, curves along the layers, bars.

const unpacked = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const PAD = { left: 44, right: 12, top: 12, bottom: 40 };

// A map, the input at the bottom left. A byte of 1 to 255 is a CKA of 0 to 1, 0 is none.
function paintMap(canvas, map, palette) {
  map.bytes ??= unpacked(map.pixels);
  canvas.width = map.columns;
  canvas.height = map.rows;
  const drawing = canvas.getContext('2d'), image = drawing.createImageData(map.columns, map.rows);
  for (let row = 0; row < map.rows; row++) {
    for (let column = 0; column < map.columns; column++) {
      const from = 3 * map.bytes[row * map.columns + column], to = 4 * ((map.rows - 1 - row) * map.columns + column);
      image.data.set(palette.subarray(from, from + 3), to);
      image.data[to + 3] = 255;
    }
  }
  drawing.putImageData(image, 0, 0);
}

// Which layers a cell stands for: "layer 27", or "layers 28–29" where a cell is the mean of several.
function layersOf(cell, cells, layers) {
  const edge = (at) => Math.round((at * layers) / cells);
  const first = edge(cell), last = edge(cell + 1) - 1;
  return last > first ? `layers ${first}–${last}` : `layer ${first}`;
}

function valueOf(map, row, column) {
  const value = map.bytes[row * map.columns + column];
  return value ? say((value - 1) / 254) : 'none';
}

// A large map: hover or arrow keys read it cell by cell, blocks are outlined. `told` is what it is of, `value` its number.
function largeMap(palette, onpoint = () => {}) {
  const canvas = make('canvas', { 'aria-hidden': 'true' }), over = make('div', { class: 'over-map' });
  const cross = [make('i', { class: 'across' }), make('i', { class: 'upward' })];
  const box = make('div', { class: 'heat-box', tabindex: 0, role: 'img', 'data-keys': true }, canvas, over, ...cross);
  const readout = make('output', { class: 'readout', 'aria-live': 'polite' });
  const sides = [make('div', { class: 'side-marks' }), make('div', { class: 'side-marks' })];
  const root = make('figure', { class: 'heat' }, sides[0], box, sides[1], make('figcaption', {}, readout));
  const state = { map: null, row: null, column: null, told: '', value: 'CKA' };

  function read() {
    const { map, row, column } = state, none = row === null;
    cross.forEach((line) => { line.hidden = none; });
    if (none) readout.textContent = state.told;
    else {
      cross[0].style.bottom = `${(100 * (row + 0.5)) / map.rows}%`;
      cross[1].style.left = `${(100 * (column + 0.5)) / map.columns}%`;
      const [one, other] = [layersOf(row, map.rows, map.layers[0]), layersOf(column, map.columns, map.layers[1])];
      readout.textContent = `${one} and ${other}: ${state.value} ${valueOf(map, row, column)}`;
    }
  }

  function point(row, column, tell = true) {
    const inside = (value, cells) => Math.max(0, Math.min(cells - 1, value));
    state.row = row === null ? null : inside(row, state.map.rows);
    state.column = row === null ? null : inside(column, state.map.columns);
    read();
    if (tell) onpoint(state.row === null ? null : { row: (state.row + 0.5) / state.map.rows, column: (state.column + 0.5) / state.map.columns });
  }

  box.addEventListener('pointermove', (event) => {
    const at = canvas.getBoundingClientRect();
    point(Math.floor(((at.bottom - event.clientY) / at.height) * state.map.rows), Math.floor(((event.clientX - at.left) / at.width) * state.map.columns));
  });
  box.addEventListener('pointerleave', () => point(null));
  box.addEventListener('blur', () => point(null));
  box.addEventListener('keydown', (event) => {
    const by = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1, [row, column] = state.row === null ? [-1, -1] : [state.row, state.column];
    if (state.row === null) point(0, 0); else point(row + far * by[0], column + far * by[1]);
  });

  return {
    root, box, point,
    show(map, { told = '', label = told, value = 'CKA', marked = true } = {}) {
      paintMap(canvas, map, palette);
      Object.assign(state, { map, told, value, row: null, column: null });
      box.setAttribute('aria-label', `${label} Arrow keys read it cell by cell.`);
      over.replaceChildren(...(marked ? map.marks : []).map(([start, stop]) => make('i', { class: 'outline', style: {
        left: `${100 * start}%`, bottom: `${100 * start}%`, width: `${100 * (stop - start)}%`, height: `${100 * (stop - start)}%` } })));
      markSides(sides, map, marked);
      read();
    },
  };
}

// Beside and below a map: where its stages begin, and of two networks each one's block.
function markSides(sides, map, marked) {
  sides.forEach((side, at) => {
    const along = at ? 'left' : 'bottom', extent = at ? 'width' : 'height';
    const blocks = (map.sides?.[at] ?? []).map(([start, stop]) => make('i', { class: 'run', style: {
      [along]: `${100 * start}%`, [extent]: `${100 * (stop - start)}%` } }));
    const names = (map.stages?.[at] ?? []).map(([start, name]) => make('span', { text: `stage ${name}`, style: { [along]: `${100 * start}%` } }));
    side.replaceChildren(...(marked ? [...names, ...blocks] : []));
  });
}

// A small map with a line below it.
function smallMap(map, palette, name, about) {
  const canvas = make('canvas', { role: 'img', 'aria-label': `${name}: ${about}` });
  paintMap(canvas, map, palette);
  const box = make('div', { class: 'heat-box' }, canvas, make('div', { class: 'over-map' }, ...map.marks.map(([start, stop]) => make('i', {
    class: 'outline', style: { left: `${100 * start}%`, bottom: `${100 * start}%`, width: `${100 * (stop - start)}%`, height: `${100 * (stop - start)}%` } }))));
  return make('figure', { class: 'small-heat' }, box, make('figcaption', {}, make('b', { text: name }), make('span', { text: about })));
}

// Curves over a range of x, with a shaded span. Pointing tells `onpoint` the share of the way from left to right.
function curvesChart({ lines, span = null, x, y, height = 190, width = 430, onpoint = () => {}, label }) {
  const across = (value) => PAD.left + ((value - x.from) / (x.to - x.from)) * (width - PAD.left - PAD.right);
  const up = (value) => PAD.top + ((y.to - value) / (y.to - y.from)) * (height - PAD.top - PAD.bottom);
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, class: 'chart curves', role: 'img', 'aria-label': label });
  if (span) svg.append(draw('rect', { x: across(span[0]), width: across(span[1]) - across(span[0]), y: PAD.top, height: height - PAD.top - PAD.bottom, class: 'span' }));
  for (const tick of y.ticks) {
    svg.append(draw('line', { x1: PAD.left, x2: width - PAD.right, y1: up(tick), y2: up(tick), class: tick === 0 ? 'zero' : 'rule' }),
      draw('text', { x: PAD.left - 7, y: up(tick), dy: '0.35em', 'text-anchor': 'end', text: y.say(tick) }));
  }
  for (const [value, text] of x.ticks) {
    const wide = text.length > 4, anchor = wide && value === x.to ? 'end' : wide && value === x.from ? 'start' : 'middle';
    svg.append(draw('text', { x: across(value), y: height - PAD.bottom + 17, 'text-anchor': anchor, text }));
  }
  svg.append(draw('text', { x: (PAD.left + width - PAD.right) / 2, y: height - 6, 'text-anchor': 'middle', class: 'label', text: x.label }));
  lines.forEach((line, i) => {
    const known = line.points.filter(([, value]) => value !== null);
    const path = known.map(([a, b], at) => `${at ? 'L' : 'M'}${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join('');
    svg.append(draw('path', { class: `curve ${i ? 'unlike' : ''}`, d: path }));
    if (line.dots) for (const [a, b] of known) svg.append(draw('circle', { class: `seen ${i ? 'unbiased' : 'biased'}`, r: 3, cx: across(a), cy: up(b) }));
  });
  const now = draw('line', { class: 'now', y1: PAD.top, y2: height - PAD.bottom, visibility: 'hidden' });
  const mark = draw('circle', { r: 6, class: 'mark biased', visibility: 'hidden' });
  svg.append(now, mark);
  function point(at) { // a share of the way, or null for nowhere
    for (const part of [now, mark]) part.setAttribute('visibility', at === null ? 'hidden' : 'visible');
    if (at === null) return;
    const value = x.from + at * (x.to - x.from);
    now.setAttribute('x1', across(value));
    now.setAttribute('x2', across(value));
    const nearest = lines[0].points.filter(([, one]) => one !== null).reduce((best, one) => (Math.abs(one[0] - value) < Math.abs(best[0] - value) ? one : best));
    mark.setAttribute('cx', across(nearest[0]));
    mark.setAttribute('cy', up(nearest[1]));
  }
  svg.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect(), at = (((event.clientX - box.left) / box.width) * width - PAD.left) / (width - PAD.left - PAD.right);
    const to = Math.max(0, Math.min(1, at));
    point(to);
    onpoint(to);
  });
  svg.addEventListener('pointerleave', () => { point(null); onpoint(null); });
  const keys = lines.length > 1 ? make('div', { class: 'legend' }, ...lines.map((line, i) => make('span', { class: `key ${i ? 'unlike' : ''}`, text: line.name }))) : null;
  return { root: make('figure', { class: 'plot' }, make('figcaption', { class: 'plot-title', text: y.label }), keys, svg), point };
}

// A value of each layer, from the first to the last, as a curve.
function layerCurve({ name, values }, span, { onpoint, ...size } = {}) {
  const last = values.length - 1, most = Math.max(...values.filter((value) => value !== null));
  const top = most > 0.6 ? 1 : most > 0.3 ? 0.6 : 0.3;
  return curvesChart({
    lines: [{ name, points: values.map((value, i) => [i, value]) }], span: span && [span[0], span[1] - 1], onpoint, ...size,
    x: { from: 0, to: last, label: 'layer', ticks: [0, ...(span ? [span[0], span[1] - 1] : []), last].map((one) => [one, String(one)]) },
    y: { from: 0, to: top, label: name, ticks: [0, top / 2, top], say: (value) => say(value, 1) === say(value) ? say(value, 1) : say(value).replace(/0$/, '') },
    label: `${name}, along ${values.length} layers${span ? `; the block is layers ${span[0]} to ${span[1] - 1}` : ''}.`,
  });
}
