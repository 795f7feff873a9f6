// Chapter 3, noise against noise: two layers that share nothing, as wide and with as many images as the reader likes.
// The curves are theory; the dots are measured here, on noise that is drawn in the browser.

const WIDTHS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
const COUNTS = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
const DRAWS = 3;
const LOW = -0.5, HIGH = 1.04; // of both charts
const PLAY = 90; // milliseconds a width or a number of images is shown while it plays
const BOX = { width: 430, height: 316, left: 40, right: 14, top: 30, bottom: 46 };

const STEPS = [
  { name: 'Nothing in common', sentence:
    'Two layers of pure noise share nothing. Biased [[CKA]] calls them alike; the [[unbiased]] one does not.' },
  { name: 'Wider', sentence:
    'Make both layers [[width|wider]]: biased CKA climbs to 1, and there is still nothing to find.', play: 'width' },
  { name: 'More images', sentence:
    'More images bring it down, but slowly: to come under 0.1 it needs nine images for every feature.', play: 'count' },
  { name: 'Chance', sentence:
    'Unbiased CKA stays around 0, and how far chance takes it depends on nothing but the number of images.' },
  { name: 'In the app', sentence:
    'So the app takes the unbiased one and 768 images, in three [[minibatch|minibatches]] of 256: chance then reaches ±0.006.' },
];

// One draw of noise: for every width and number of images, both kinds of CKA. A part at a time, so that nothing waits.
function measureNoise(seed, tell) {
  const next = normals(seed), most = COUNTS[COUNTS.length - 1];
  const [k, l] = [0, 1].map(() => Array.from({ length: most }, () => new Float64Array(most)));
  const column = () => Float64Array.from({ length: most }, next);
  let width = 0, at = 0, timer = setTimeout(part);
  function part() {
    const until = Math.min(WIDTHS[at], width + 64);
    for (; width < until; width++) {
      addFeature(k, column());
      addFeature(l, column());
    }
    if (width === WIDTHS[at]) {
      tell(at, COUNTS.map((n) => {
        const [one, other] = [k, l].map((whole) => whole.slice(0, n).map((row) => row.subarray(0, n)));
        return { biased: cka(one, other, false), unbiased: cka(one, other) };
      }));
      at += 1;
    }
    if (at < WIDTHS.length) timer = setTimeout(part);
  }
  return () => clearTimeout(timer);
}

function buildNoise(stage, context) {
  const known = (name, list, other) => Math.max(0, list.includes(Number(here.get(name))) ? list.indexOf(Number(here.get(name))) : list.indexOf(other));
  const state = { width: known('width', WIDTHS, 256), count: known('images', COUNTS, 64), draws: [], seed: 1, step: 0, timer: null };
  let ends = [];
  const p = () => WIDTHS[state.width], n = () => COUNTS[state.count];

  const pictures = ['A', 'B'].map((name, i) => {
    const canvas = make('canvas', { role: 'img', 'aria-label': `Layer ${name}: noise` });
    return { canvas, seed: 101 + i, root: make('figure', { class: 'noise' }, make('figcaption', { html: `<b>${name}</b>` }), canvas) };
  });
  const shape = make('p', { class: 'shape' });
  const numbers = Object.fromEntries(['biased', 'unbiased'].map((kind) => {
    const value = make('output', { 'data-number': kind, 'aria-label': `CKA, ${kind}` }), about = make('small');
    return [kind, { value, about, root: make('div', { class: `number ${kind}` }, make('span', { text: `CKA, ${kind}` }), value, about) }];
  }));
  const charts = { width: chart('width', WIDTHS, 'features of each layer'), count: chart('count', COUNTS, 'images') };
  const sliders = { width: slider('width', WIDTHS, 'Features of each layer'), count: slider('count', COUNTS, 'Images') };
  const again = make('button', { type: 'button', class: 'quiet', text: 'Draw other noise', onclick: () => { state.seed += 1; measure(); paintNoise(); } });
  const note = make('div', { class: 'note below' });
  stage.append(
    make('div', { class: 'layers' }, ...pictures.map((one) => one.root), shape, numbers.biased.root, numbers.unbiased.root),
    make('div', { class: 'charts' }, charts.width.root, charts.count.root),
    make('div', { class: 'knobs' }, sliders.width.root, sliders.count.root, again), note,
  );

  function slider(name, values, label) {
    const output = make('output');
    const input = make('input', { type: 'range', min: 0, max: values.length - 1, step: 1, 'aria-label': label,
      oninput: (event) => { stop(); set(name, Number(event.target.value)); } });
    return { input, output, root: make('label', { class: 'amount' }, make('span', { text: label }), input, output) };
  }

  function set(name, at) {
    const size = name === 'width' ? WIDTHS.length : COUNTS.length;
    state[name] = Math.max(0, Math.min(size - 1, at));
    paint();
    paintNoise();
  }

  // A chart against the width or the number of images, on a scale of doublings. Pointing at it moves the slider.
  function chart(name, values, label) {
    const x = (value) => BOX.left + (Math.log2(value / values[0]) / Math.log2(values[values.length - 1] / values[0])) * (BOX.width - BOX.left - BOX.right);
    const y = (value) => BOX.top + ((HIGH - value) / (HIGH - LOW)) * (BOX.height - BOX.top - BOX.bottom);
    const svg = draw('svg', { viewBox: `0 0 ${BOX.width} ${BOX.height}`, class: 'chart', role: 'img', 'data-chart': name });
    const clip = `clip-${name}`;
    svg.append(draw('defs', {}, draw('clipPath', { id: clip }, draw('rect', { x: BOX.left - 9, y: BOX.top - 9, width: BOX.width - BOX.left - BOX.right + 18, height: BOX.height - BOX.top - BOX.bottom + 18 }))));
    for (const tick of [-0.5, 0, 0.5, 1]) {
      svg.append(draw('line', { x1: BOX.left, x2: BOX.width - BOX.right, y1: y(tick), y2: y(tick), class: tick === 0 ? 'zero' : 'rule' }),
        draw('text', { x: BOX.left - 7, y: y(tick), dy: '0.35em', 'text-anchor': 'end', text: say(tick, tick % 1 ? 1 : 0) }));
    }
    values.filter((value) => Number.isInteger(Math.log2(value)) && (name === 'count' || Math.log2(value) % 2 === 0)).forEach((value) => svg.append(
      draw('text', { x: x(value), y: BOX.height - BOX.bottom + 18, 'text-anchor': 'middle', text: thousands(value) })));
    svg.append(draw('text', { x: (BOX.left + BOX.width) / 2, y: BOX.height - 8, 'text-anchor': 'middle', class: 'label', text: label }));
    const title = draw('text', { x: BOX.left, y: 16, class: 'title' });
    const band = draw('path', { class: 'band' }), line = draw('path', { class: 'curve biased' });
    const dots = draw('g', { 'clip-path': `url(#${clip})` }), now = draw('line', { class: 'now', y1: BOX.top, y2: BOX.height - BOX.bottom });
    const marks = Object.fromEntries(['biased', 'unbiased'].map((kind) => [kind, draw('circle', { r: 6.5, class: `mark ${kind}` })]));
    const words = { biased: draw('text', { class: 'word', text: 'biased' }), unbiased: draw('text', { class: 'word', text: 'unbiased' }), chance: draw('text', { class: 'word thin', text: 'what chance reaches' }) };
    svg.append(draw('g', { 'clip-path': `url(#${clip})` }, band), now, line, dots, draw('g', { 'clip-path': `url(#${clip})` }, marks.biased, marks.unbiased), ...Object.values(words), title);
    const point = (event) => {
      const from = svg.getBoundingClientRect(), to = ((event.clientX - from.left) / from.width) * BOX.width;
      const distances = values.map((value) => Math.abs(x(value) - to));
      stop();
      set(name, distances.indexOf(Math.min(...distances)));
    };
    svg.addEventListener('pointerdown', (event) => { svg.setPointerCapture(event.pointerId); point(event); });
    svg.addEventListener('pointermove', (event) => { if (event.buttons) point(event); });
    return { root: make('figure', { class: 'plot' }, svg), svg, x, y, title, band, line, dots, now, marks, words, values };
  }

  function paint() {
    for (const [name, values] of [['width', WIDTHS], ['count', COUNTS]]) {
      const c = charts[name], at = (value) => (name === 'width' ? [n(), value] : [value, p()]);
      const path = (points) => `M${points.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join('L')}`;
      const fine = Array.from({ length: 81 }, (_, i) => values[0] * (values[values.length - 1] / values[0]) ** (i / 80));
      c.line.setAttribute('d', path(fine.map((value) => [c.x(value), c.y(noiseBiased(...at(value)))])));
      const above = fine.map((value) => [c.x(value), c.y(2 * chance(at(value)[0]))]), below = fine.map((value) => [c.x(value), c.y(-2 * chance(at(value)[0]))]);
      c.band.setAttribute('d', `${path([...above, ...below.reverse()])}Z`);
      c.title.textContent = name === 'width' ? `CKA of noise, ${n()} images` : `CKA of noise, ${thousands(p())} feature${p() === 1 ? '' : 's'}`;
      c.svg.setAttribute('aria-label', `${c.title.textContent}: biased CKA is expected at about ${say(noiseBiased(n(), p()))} here, unbiased at 0; chance reaches ${say(2 * chance(n()), 3)}`);
      const here_ = name === 'width' ? p() : n();
      c.now.setAttribute('x1', c.x(here_));
      c.now.setAttribute('x2', c.x(here_));
      c.dots.replaceChildren();
      state.draws.forEach((measured) => values.forEach((value, i) => {
        const found = name === 'width' ? measured[i]?.[state.count] : measured[state.width]?.[i];
        for (const kind of found ? ['biased', 'unbiased'] : []) c.dots.append(draw('circle', { r: 2.6, cx: c.x(value), cy: c.y(found[kind]), class: `seen ${kind}` }));
      }));
      const measured = state.draws[0]?.[state.width]?.[state.count];
      for (const kind of ['biased', 'unbiased']) {
        c.marks[kind].setAttribute('cx', c.x(here_));
        c.marks[kind].setAttribute('cy', c.y(measured ? measured[kind] : kind === 'biased' ? noiseBiased(n(), p()) : 0));
      }
      placeWords(c, name, at);
    }
    const measured = state.draws[0]?.[state.width]?.[state.count];
    const expected = { biased: noiseBiased(n(), p()), unbiased: 0 };
    for (const kind of ['biased', 'unbiased']) numbers[kind].value.textContent = say((measured ?? expected)[kind]);
    const how = measured ? 'measured; expected' : 'being measured; expected';
    numbers.biased.about.textContent = `${how} about ${say(expected.biased)}`;
    numbers.unbiased.about.textContent = `${how} 0; chance reaches ±${sayShort(2 * chance(n()))}`;
    shape.textContent = `${n()} images, ${thousands(p())} feature${p() === 1 ? '' : 's'} each, all of it noise`;
    for (const [name, values] of [['width', WIDTHS], ['count', COUNTS]]) {
      sliders[name].input.value = state[name];
      sliders[name].input.setAttribute('aria-valuetext', thousands(values[state[name]]));
      sliders[name].output.textContent = thousands(values[state[name]]);
    }
    here.set({ width: p() === 256 ? null : p(), images: n() === 64 ? null : n() });
    if (state.step === 3) tellChance();
  }

  // Beside the curves, where they leave room.
  function placeWords(c, name, at) {
    const value = name === 'width' ? 4 : 24, up = noiseBiased(...at(value));
    c.words.biased.setAttribute('x', c.x(value));
    c.words.biased.setAttribute('y', c.y(up) + (up > 0.8 ? 26 : -14));
    c.words.biased.setAttribute('text-anchor', name === 'width' ? 'end' : 'start');
    c.words.unbiased.setAttribute('x', BOX.width - BOX.right - 4);
    c.words.unbiased.setAttribute('text-anchor', 'end');
    const reach = Math.min(0.42, 2 * chance(name === 'width' ? n() : 128));
    c.words.unbiased.setAttribute('y', c.y(reach) - 6);
    c.words.chance.setAttribute('x', BOX.width - BOX.right - 4);
    c.words.chance.setAttribute('text-anchor', 'end');
    c.words.chance.setAttribute('y', c.y(-Math.min(0.36, 2 * chance(name === 'width' ? n() : 128))) + 17);
  }

  // As many rows as images and columns as features, as far as a screen has dots.
  function paintNoise() {
    for (const { canvas, seed } of pictures) {
      const rows = Math.min(n(), 128), columns = Math.min(p(), 256), next = normals(seed * 1000 + state.seed);
      canvas.width = columns;
      canvas.height = rows;
      const hue = getComputedStyle(canvas), [ink, ground] = [hue.color, hue.backgroundColor];
      const drawing = canvas.getContext('2d');
      drawing.fillStyle = ground;
      drawing.fillRect(0, 0, columns, rows);
      drawing.fillStyle = ink;
      for (let i = 0; i < rows; i++) {
        for (let f = 0; f < columns; f++) {
          drawing.globalAlpha = Math.min(1, Math.abs(next()) / 2.2);
          drawing.fillRect(f, i, 1, 1);
        }
      }
      canvas.style.setProperty('--across', `${(8 + 92 * (Math.log2(p()) / 10)).toFixed(1)}%`);
      canvas.style.setProperty('--down', ((Math.log2(n()) - 2) / 6).toFixed(3));
    }
  }

  function measure() {
    ends.forEach((end) => end());
    state.draws = [];
    const begin = (draw) => {
      state.draws[draw] = [];
      ends[draw] = measureNoise(97 * state.seed + draw, (at, values) => {
        state.draws[draw][at] = values;
        if (at === WIDTHS.length - 1 && draw + 1 < DRAWS) begin(draw + 1);
        paint();
      });
    };
    begin(0);
  }

  function tellChance() {
    const made = equation('standard deviation of unbiased CKA by chance: the root of 2 over n times n minus 3',
      `${maths.term('sd', 'SD by chance')} = ${maths.root(maths.over('2', 'n (n − 3)'))} = ${maths.root(maths.over('2', `${n()} × ${n() - 3}`))} = <b>${sayShort(chance(n()))}</b>`);
    note.replaceChildren(made, make('p', { text: 'The grey band is two of them, up and down. The number of features is not in it.' }));
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
  }

  // The step's slider runs once along its range; where motion is not wanted it stands at the end.
  function play(name) {
    const size = name === 'width' ? WIDTHS.length : COUNTS.length;
    set('width', WIDTHS.indexOf(256));
    set('count', COUNTS.indexOf(64));
    if (calm()) return set(name, size - 1);
    set(name, name === 'width' ? WIDTHS.indexOf(8) : 0);
    state.timer = setInterval(() => { if (state[name] === size - 1) stop(); else set(name, state[name] + 1); }, PLAY);
  }

  measure();
  return {
    show(step) {
      const first = state.shown === undefined;
      state.shown = state.step = step;
      stop();
      stage.dataset.step = step + 1;
      note.replaceChildren();
      if (step === 1) note.replaceChildren(make('p', { html: `Expected: biased CKA ≈ ${maths.name('p')} / (${maths.name('n')} + ${maths.name('p')}) for two layers of ${maths.name('p')} features and ${maths.name('n')} images.` }));
      if (step === 4) note.replaceChildren(make('p', {}, `Two standard deviations are ${say(2 * chanceInTheApp(), 4)}. The line above a map allows five, ${say(5 * chanceInTheApp(), 3)}: a layer of few directions goes far more often. See it at work: `, wayOut('two trained networks, 768 images, unbiased', '?a=cifar-resnet-38x1-cifar10-mini-s0&b=cifar-resnet-14x4-cifar10-mini-s0')));
      paint();
      paintNoise();
      if (STEPS[step].play && !(first && (here.get('width') || here.get('images')))) play(STEPS[step].play);
    },
    again() {
      paint();
      paintNoise();
    },
    end() {
      stop();
      ends.forEach((end) => end());
    },
  };
}

export default function(component) {
  return tell(component, { steps: STEPS, build: buildNoise });
}
