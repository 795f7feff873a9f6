// Chapter 2, what changes it: two clouds of points, one changed in nine ways. Guess first, then see, then one sentence.

const N = 12, HALF = 2.8, TIME = 1100; // images, half the width of a view, milliseconds of a change that is shown
const SAME = 0.005; // what two digits cannot show

function cloud(seed, long, short, angle) {
  const next = normals(seed), c = Math.cos(angle), s = Math.sin(angle);
  const points = withoutMeans(Array.from({ length: N }, () => [long * next(), short * next()]));
  return points.map(([x, y]) => [c * x - s * y, s * x + c * y]);
}

const FIRST = cloud(14472, 1.35, 0.75, 0.5);
const UNRELATED = cloud(5287, 1.2, 0.95, 2.2);
const JITTER = cloud(23, 1, 1, 0);
const FAR = [7, 5]; // the images that become outliers, the first alone where there is one
const turned = (angle) => ([x, y]) => [Math.cos(angle) * x - Math.sin(angle) * y, Math.sin(angle) * x + Math.cos(angle) * y];
const outward = (points, by, far = FAR) => points.map((point, i) => (far.includes(i) ? [point[0] + 0.8 * by, point[1] + 0.6 * by] : point));

// What is done to B (and, by `both`, to A). `make` gives all its features; the picture shows the first two.
const WAYS = [
  { name: 'Rotate', amount: 'Angle', unit: '°', range: [0, 180, 1], to: 110, rest: 0, make: (b, v) => b.map(turned(v * Math.PI / 180)),
    question: 'Two equal clouds: twelve images, two features each. Turn B. Does [[CKA]] change?',
    why: 'It stays: turning a cloud as a whole changes no product of two images, and products are all that CKA reads.' },
  { name: 'Scale', amount: 'Size', unit: '×', range: [0.2, 2.5, 0.05], to: 0.4, rest: 1, make: (b, v) => b.map(([x, y]) => [v * x, v * y]),
    question: 'Shrink B as a whole. Does CKA change?',
    why: 'It stays: every product changes by one and the same factor, and the division takes it out again.' },
  { name: 'Permute features', amount: 'Swapped', unit: '', range: [0, 1, 1], to: 1, rest: 0, jump: true, make: (b, v) => b.map(([x, y]) => (v ? [y, x] : [x, y])),
    question: 'Let B’s two features change places. Does CKA change?',
    why: 'It stays: a product adds up over the features, and a sum does not know their order.' },
  { name: 'Add dead features', amount: 'Dead features', unit: '', range: [0, 8, 1], to: 6, rest: 0, make: (b, v) => b.map((row) => [...row, ...Array(v).fill(0)]),
    question: 'Give B six [[feature|features]] that are zero for every image. Does CKA change?',
    why: 'It stays: a zero adds nothing to any product. A wider layer is not another layer if the rest of it is silent.' },
  { name: 'Duplicate one', amount: 'Copies', unit: '', range: [0, 8, 1], to: 6, rest: 0, make: (b, v) => b.map((row) => [...row, ...Array(v).fill(row[1])]),
    question: 'Copy B’s second feature six times. Nothing new is said. Does CKA change?',
    why: 'It changes: a feature that stands there seven times weighs seven times, as if its axis were stretched by √7.' },
  { name: 'Shear', amount: 'Shear', unit: '', range: [-2.5, 2.5, 0.1], to: -2, rest: 0, make: (b, v) => b.map(([x, y]) => [x + v * y, y]),
    question: 'Shear B: no two images fall together, so nothing is lost. Does CKA change?',
    why: 'It changes: CKA weighs a direction by how much the images vary along it, and shear makes one direction vary more.' },
  { name: 'Add noise', amount: 'Noise', unit: '', range: [0, 2, 0.05], to: 0.8, rest: 0, make: (b, v) => b.map(([x, y], i) => [x + v * JITTER[i][0], y + v * JITTER[i][1]]),
    question: 'Push every image of B a little, each its own way. Does CKA change?',
    why: 'It changes: images that were alike are so no longer. How far it falls says how large the noise is against the cloud.' },
  { name: 'Move one image far', amount: 'Distance', unit: '', range: [0, 12, 0.25], to: 9, rest: 0, make: (b, v) => outward(b, v, [FAR[0]]),
    question: 'Move one image of B far out; the other eleven stay. Does CKA change?',
    why: 'It changes: the far image’s products outweigh the others, in B alone. Biased CKA, which counts it with itself too, falls most.' },
  { name: 'Two far in both', amount: 'Distance', unit: '', range: [0, 12, 0.25], to: 9, rest: 0, unrelated: true, both: outward, make: (b, v) => outward(b, v),
    question: 'Now the clouds have nothing in common. Move two images far out, in both. Does CKA change?',
    why: 'It rises: two images, far out in both, outweigh ten that agree in nothing. Ask which images make a bright square.' },
];
const END = { name: 'What CKA sees', sentence:
  'CKA sees how images lie to each other, weighed by how much they vary. Drag any point, and ask which images decide.' };

function buildClouds(stage, context) {
  const state = { way: 0, value: 0, moved: { A: {}, B: {} }, seen: {}, guess: null, frame: 0, over: null };
  const way = () => WAYS[Math.min(state.way, WAYS.length - 1)];
  const shift = (points, moved) => points.map((row, i) => (moved[i] ? [row[0] + moved[i][0], row[1] + moved[i][1], ...row.slice(2)] : row));
  const pointsOf = {
    A: () => shift(way().both ? way().both(FIRST, state.value) : FIRST, state.moved.A),
    B: () => shift(way().make(way().unrelated ? UNRELATED : FIRST, state.value), state.moved.B),
  };

  const list = make('div', { class: 'ways', role: 'group', 'aria-label': 'What is done to B' });
  WAYS.forEach((one, i) => list.append(make('button', { type: 'button', class: 'way', onclick: () => context.move(i) },
    make('span', { text: one.name }), make('small', {}))));
  const views = { A: view('A'), B: view('B') };
  const ask = make('div', { class: 'ask' }), meters = make('div', { class: 'meters' });
  const tables = { A: make('div', { class: 'features' }), B: make('div', { class: 'features' }) };
  const numbers = Object.fromEntries([['unbiased', 'CKA, [[unbiased]]'], ['biased', 'CKA, biased'], ['procrustes', '[[Procrustes]]']].map(([key, label]) => {
    const value = make('output', { 'data-number': key, 'aria-label': key === 'procrustes' ? 'Procrustes' : `CKA, ${key}` });
    const bar = make('i', { class: 'fill' }), before = make('i', { class: 'before' });
    meters.append(make('div', { class: 'meter' }, make('span', {}, ...context.sentence(label)), value, make('div', { class: 'track', 'aria-hidden': 'true' }, bar, before)));
    return [key, { value, bar, before }];
  }));
  const table = (name) => make('div', { class: 'table' }, make('p', { html: `<b>${name}</b>, all features` }), tables[name]);
  stage.append(list, make('div', { class: 'clouds' }, views.A.root, views.B.root), ask, make('div', { class: 'side' }, meters,
    make('div', { class: 'tables' }, table('A'), table('B'))));

  function view(name) {
    const svg = draw('svg', { viewBox: '-100 -100 200 200', class: 'cloud', role: 'group', 'aria-label': `Cloud ${name}, twelve images as points` });
    const lines = draw('g', { class: 'lines' }), dots = [];
    svg.append(lines);
    const root = make('figure', { class: 'view', 'data-cloud': name }, make('figcaption', { html: `<b>${name}</b>` }), svg);
    const parts = { root, svg, lines, dots, half: HALF };
    for (let i = 0; i < N; i++) {
      const dot = draw('g', { class: 'dot', tabindex: 0, role: 'button', 'aria-roledescription': 'point that can be moved', 'data-keys': true, 'data-point': i,
        onpointerdown: (event) => drag(event, name, i), onpointerenter: () => over(i), onpointerleave: () => over(null),
        onfocus: () => over(i), onblur: () => over(null),
        onkeydown: (event) => {
          const by = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
          if (!by) return;
          event.preventDefault();
          nudge(name, i, by.map((one) => one * parts.half * 0.05));
        } }, draw('circle', { r: 8 }), draw('text', { text: String(i + 1), dy: '0.35em' }));
      dot.style.setProperty('--hue', `${Math.round((360 * i) / N)}`);
      dots.push(dot);
      svg.append(dot);
    }
    return parts;
  }

  function over(i) {
    state.over = i;
    for (const dot of stage.querySelectorAll('.dot, .features [data-point]')) dot.classList.toggle('lit', +dot.dataset.point === i);
  }

  function nudge(name, i, [x, y]) {
    const before = state.moved[name][i] ?? [0, 0];
    state.moved[name][i] = [before[0] + x, before[1] + y];
    paint();
  }

  function drag(event, name, i) {
    event.preventDefault();
    const { svg } = views[name], dot = event.currentTarget;
    dot.focus({ preventScroll: true });
    dot.setPointerCapture(event.pointerId);
    const half = views[name].half; // the view keeps its scale while a point is moved
    views[name].held = half;
    let last = [event.clientX, event.clientY];
    const moving = (now) => {
      const unit = (2 * half) / svg.getBoundingClientRect().width;
      nudge(name, i, [(now.clientX - last[0]) * unit, (last[1] - now.clientY) * unit]);
      last = [now.clientX, now.clientY];
    };
    const done = () => {
      dot.removeEventListener('pointermove', moving);
      views[name].held = null;
      paint();
    };
    dot.addEventListener('pointermove', moving);
    dot.addEventListener('lostpointercapture', done, { once: true });
  }

  function measured(a = pointsOf.A(), b = pointsOf.B()) {
    const [k, l] = [gram(a), gram(b)];
    return { unbiased: cka(k, l), biased: cka(k, l, false), procrustes: procrustes(a, b) };
  }

  function paint() {
    const points = { A: pointsOf.A(), B: pointsOf.B() };
    for (const name of ['A', 'B']) {
      const parts = views[name];
      const reach = Math.max(...points[name].map((row) => Math.max(Math.abs(row[0]), Math.abs(row[1]))));
      parts.half = parts.held ?? Math.max(HALF, reach * 1.12);
      const scale = 100 / parts.half;
      parts.lines.replaceChildren();
      const step = 2 ** Math.max(0, Math.ceil(Math.log2(parts.half / 8))); // as many lines however far out a point is
      for (let at = -Math.floor(parts.half / step) * step; at <= parts.half; at += step) {
        const ends = [{ x1: at * scale, x2: at * scale, y1: -100, y2: 100 }, { y1: at * scale, y2: at * scale, x1: -100, x2: 100 }];
        for (const end of ends) parts.lines.append(draw('line', { ...end, class: at === 0 ? 'axis' : '' }));
      }
      points[name].forEach(([x, y], i) => {
        parts.dots[i].setAttribute('transform', `translate(${(x * scale).toFixed(2)} ${(-y * scale).toFixed(2)})`);
        parts.dots[i].setAttribute('aria-label', `image ${i + 1} in ${name}, at ${say(x, 1)}, ${say(y, 1)}`);
      });
      const most = Math.max(...points[name].flat().map(Math.abs));
      tables[name].replaceChildren(...points[name].map((row, i) => make('div', { class: 'line', 'data-point': i, onpointerenter: () => over(i), onpointerleave: () => over(null) },
        ...row.map((value, f) => { const cell = make('span', { class: 'feature', title: `image ${i + 1}, feature ${f + 1}: ${say(value)}` }); tint(cell, value, most); return cell; }))));
    }
    over(state.over);
    const now = measured(points.A, points.B);
    const place = (value) => `${Math.max(0, Math.min(1, (value + 0.25) / 1.25)) * 100}%`;
    for (const [key, parts] of Object.entries(numbers)) {
      parts.value.textContent = say(now[key]);
      parts.bar.style.left = place(Math.min(0, now[key]));
      parts.bar.style.width = `calc(${place(Math.max(0, now[key]))} - ${place(Math.min(0, now[key]))})`;
      parts.before.style.left = place(state.before[key]);
    }
    const slider = ask.querySelector('input');
    if (slider) {
      slider.value = state.value;
      slider.setAttribute('aria-valuetext', amountText());
      ask.querySelector('output').textContent = amountText();
    }
  }

  const amountText = () => (way().range[1] === 1 && way().jump ? (state.value ? 'yes' : 'no') : `${say(state.value, way().range[2] < 1 ? 1 : 0)}${way().unit}`);

  // Moves the amount from rest to where the change is seen; at once where motion is not wanted.
  function show(after) {
    cancelAnimationFrame(state.frame);
    const { rest, to, range, jump } = way(), began = performance.now();
    state.toEnd = () => {
      cancelAnimationFrame(state.frame);
      state.toEnd = null;
      state.value = to;
      paint();
      after();
    };
    if (calm() || jump) { state.toEnd(); return; }
    const tick = (now) => {
      const share = Math.min(1, (now - began) / TIME), eased = share * share * (3 - 2 * share);
      state.value = Math.round((rest + (to - rest) * eased) / range[2]) * range[2];
      if (range[2] < 1) state.value = rest + (to - rest) * eased;
      if (share < 1) { paint(); state.frame = requestAnimationFrame(tick); } else state.toEnd();
    };
    state.frame = requestAnimationFrame(tick);
  }

  function answer(guess) {
    state.guess = guess;
    const at = state.way;
    askFor();
    show(() => {
      if (at !== state.way) return;
      const changes = Math.abs(measured().unbiased - state.before.unbiased) > SAME;
      state.seen[at] = { changes, right: guess === changes };
      verdict();
      marks();
    });
  }

  function verdict() {
    const seen = state.seen[state.way], value = say(measured().unbiased);
    if (!seen) return;
    const said = state.guess === null ? '' : seen.right ? 'As you said. ' : `You said it ${state.guess ? 'changes' : 'stays'}. `;
    context.tellSentence(way().why);
    ask.querySelector('.verdict').textContent = `${said}CKA ${say(state.before.unbiased)} → ${value}. Move the slider, or drag a point.`;
  }

  function marks() {
    [...list.children].forEach((button, i) => {
      const seen = state.seen[i];
      button.toggleAttribute('aria-current', i === state.way);
      if (i === state.way) button.setAttribute('aria-current', 'step');
      button.lastChild.textContent = seen ? (seen.changes ? 'changes' : 'stays') : '';
      button.classList.toggle('changes', Boolean(seen?.changes));
    });
  }

  // Below the clouds: the guess, then what came of it and the amount to play with.
  function askFor() {
    const seen = state.guess !== null || state.seen[state.way];
    const again = make('button', { type: 'button', class: 'quiet', text: 'Start again', onclick: () => { delete state.seen[state.way]; begin(state.way); } });
    if (!seen) {
      ask.replaceChildren(make('span', { class: 'prompt', text: 'Your guess:' }),
        make('button', { type: 'button', class: 'guess', text: 'It stays', onclick: () => answer(false) }),
        make('button', { type: 'button', class: 'guess', text: 'It changes', onclick: () => answer(true) }));
      return;
    }
    const [min, max, step] = way().range;
    const slider = make('input', { type: 'range', min, max, step, 'aria-label': way().amount, oninput: (event) => {
      const value = Number(event.target.value);
      state.toEnd?.(); // who does not wait for the change to be shown is told of it all the same
      state.value = value;
      paint();
    } });
    ask.replaceChildren(make('p', { class: 'verdict', 'aria-live': 'polite' }),
      make('label', { class: 'amount' }, make('span', { text: way().amount }), slider, make('output', {})), again);
  }

  function begin(at) {
    cancelAnimationFrame(state.frame);
    Object.assign(state, { way: at, toEnd: null, guess: null, moved: { A: {}, B: {} }, value: WAYS[Math.min(at, WAYS.length - 1)].rest });
    state.before = measured();
    if (at === WAYS.length) {
      state.value = way().to;
      ask.replaceChildren(make('p', { class: 'verdict' }, ...context.sentence('In the atlas a few images can make a [[block]]: '),
        wayOut('a block, and the network without its most influential images', 'atlas?network=cifar-resnet-38x1-plain-s0&without=influential+images')));
    } else {
      if (state.seen[at]) state.value = way().to;
      askFor();
    }
    paint();
    marks();
    if (at < WAYS.length) verdict();
  }

  state.before = measured();
  return {
    show: begin,
    end: () => cancelAnimationFrame(state.frame),
  };
}

export default function(component) {
  const steps = [...WAYS.map((one) => ({ name: one.name, sentence: one.question })), END];
  return tell(component, { steps, build: buildClouds });
}
