// Chapter 1, eight images to one number: pictures, representations, Gram matrices, centring, HSIC, CKA, and the map.
// The two lanes (layers A and B) are the overview; the lens beside them holds the one computation and its numbers.

const STEPS = [
  { name: 'Representation', sentence:
    'A [[layer]] of a network answers each of eight images with a list of numbers: its [[representation]].' },
  { name: 'Another layer', sentence:
    'Another layer answers with other numbers, and mostly another number of them: the lists cannot be compared one by one.' },
  { name: 'Gram matrix', sentence:
    'So compare images with images: an entry of the [[Gram matrix]] says how alike two images are to this layer.' },
  { name: 'Centring', sentence:
    '[[centring|Centring]] takes out what all images share: what is left says which pairs are more alike than usual.' },
  { name: 'HSIC', sentence:
    '[[HSIC]] multiplies the two matrices entry by entry and adds up: it grows where both layers find the same pairs alike.' },
  { name: 'CKA', sentence:
    '[[CKA]] divides that by what each layer gives with itself: 1 is alike up to rotation and scale, around 0 unrelated.' },
  { name: 'The map', sentence:
    'Do this for every two layers and you have the map. Choose a square: A is its row, B its column.' },
];
const FIRST = { set: 'pairs', A: 'stage1_block2_relu2 trained', B: 'stage3_block2_relu2 trained' };
const PLAY = 1100; // milliseconds a change of centring is shown

function buildImages(stage, context) {
  const lesson = context.figures;
  const known = (value, list, other) => (list.includes(value) ? value : other);
  const keys = lesson.layers.map((layer) => layer.key);
  const state = {
    set: known(here.get('set'), lesson.sets.map((set) => set.name), FIRST.set),
    A: known(here.get('layer_a'), keys, FIRST.A),
    B: known(here.get('layer_b'), keys, FIRST.B),
    i: 5, j: 6, lane: 'A', feature: 0, change: 0, pair: 'AB', step: 0, timer: null,
  };
  const set = () => lesson.sets.find((one) => one.name === state.set);
  const layer = (lane) => lesson.layers.find((one) => one.key === state[lane]);
  const represented = (lane) => set().representations[state[lane]];
  const gramOf = (lane) => square(represented(lane).gram);
  const className = (i) => set().images[i].class;
  const shown = (lane) => uCentreSteps(gramOf(lane)).matrices[state.step < 3 ? 0 : state.step === 3 ? state.change : 4];

  const lanes = { A: lane('A'), B: lane('B') };
  const beside = make('div', { class: 'lens' });
  const body = make('div', { class: 'body' });
  const centring = centringBar();
  const picker = choices('Images', lesson.sets.map((one) => one.title), lesson.sets.indexOf(set()), (at) => {
    state.set = lesson.sets[at].name;
    changed();
  });
  beside.append(make('div', { class: 'sets' }, picker), centring, body);
  stage.append(make('div', { class: 'lanes' }, lanes.A.root, lanes.B.root), beside);

  function lane(name) {
    const options = lesson.layers.map((one) => make('option', { value: one.key, text: one.title }));
    const select = make('select', { 'aria-label': `Layer ${name}`, onchange: (event) => {
      state[name] = event.target.value;
      state.lane = name;
      changed();
    } }, ...options);
    select.value = state[name];
    const count = make('span', { class: 'count' }), about = make('span', { class: 'about' });
    const rows = make('div', { class: 'rows' }), heads = make('div', { class: 'heads' });
    const sums = make('div', { class: 'sums', 'aria-hidden': 'true' });
    const { grid, cells } = entryGrid(LETTER[name], `Gram matrix ${LETTER[name]} of layer ${name}`,
      (i, j) => { state.lane = name; choose(i, j); }, () => { if (state.step < 2) context.move(2); });
    const root = make('div', { class: 'lane', 'data-lane': name },
      make('div', { class: 'head' }, make('label', {}, make('b', { text: name }), select), count),
      about, rows, heads, grid, sums);
    return { root, select, count, about, rows, heads, cells, sums };
  }

  function centringBar() {
    const bar = choices('Centring, one change at a time', CHANGES, 0, (at) => { stop(); change(at); });
    const back = make('button', { type: 'button', class: 'quiet', text: 'Step back', onclick: () => { stop(); change(state.change - 1); } });
    const ahead = make('button', { type: 'button', class: 'quiet', text: 'Step', onclick: () => { stop(); change(state.change + 1); } });
    const play = make('button', { type: 'button', class: 'quiet play', onclick: () => (state.timer ? stop() : start()) });
    const made = make('div', { class: 'centring' }, bar, make('div', { class: 'controls' }, back, play, ahead));
    Object.assign(made, { bar, back, ahead, play });
    return made;
  }

  function start() {
    if (state.change === 4) change(0);
    state.timer = setInterval(() => { change(state.change + 1); if (state.change === 4) stop(); }, PLAY);
    sayControls();
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    sayControls();
  }

  function sayControls() {
    centring.play.textContent = state.timer ? 'Pause' : state.change === 4 ? 'Play again' : 'Play';
    centring.play.hidden = calm();
    centring.back.disabled = state.change === 0;
    centring.ahead.disabled = state.change === 4;
    centring.bar.pick(state.change);
  }

  function change(to) {
    state.change = Math.max(0, Math.min(4, to));
    sayControls();
    colour();
    look();
  }

  // What the lanes are made of: again for other images or another layer.
  function changed() {
    const { images } = set();
    const picture = (i, more) => make('img', {
      src: images[i].png, alt: more ? '' : `${i + 1}, ${images[i].class}`, title: `${i + 1}, ${images[i].class}`,
      'data-image': i, onpointerenter: () => choose(i, state.j) });
    for (const name of ['A', 'B']) {
      const { count, features, values } = represented(name), parts = lanes[name];
      const most = Math.max(...values.flat().map(Math.abs));
      parts.select.value = state[name];
      parts.count.textContent = `${thousands(count)} numbers an image`;
      parts.rows.replaceChildren(...images.map((_, i) => {
        const strip = make('span', { class: 'strip', style: { '--features': features.length } });
        values[i].forEach((value, f) => {
          const cell = make('span', { class: 'value', 'data-f': f, onpointerenter: () => { state.feature = f; } });
          tint(cell, value, most);
          strip.append(cell);
        });
        return make('div', { class: 'image', 'data-image': i, onpointerover: () => { state.lane = name; choose(i, state.j); } },
          picture(i), strip);
      }));
      parts.heads.replaceChildren(...images.map((_, i) => picture(i, true)));
    }
    sayAddress();
    colour();
    look();
  }

  function sayAddress() {
    const unless = (value, other) => (value === other ? null : value);
    here.set({ set: unless(state.set, FIRST.set), layer_a: unless(state.A, FIRST.A), layer_b: unless(state.B, FIRST.B) });
  }

  function colour() {
    for (const name of ['A', 'B']) {
      const matrix = shown(name), out = state.step > 3 || (state.step === 3 && state.change > 0);
      const most = largest(matrix, !out), parts = lanes[name];
      matrix.forEach((row, i) => row.forEach((value, j) => {
        const cell = parts.cells[i][j];
        tint(cell, value, most);
        cell.classList.toggle('out', out && i === j);
        cell.setAttribute('aria-label', out && i === j ? `image ${i + 1} with itself: left out`
          : `${i + 1} ${className(i)}, ${j + 1} ${className(j)}: ${say(value)}`);
      }));
      const { sums } = uCentreSteps(gramOf(name));
      parts.sums.replaceChildren(...sums.map((value) => {
        const cell = make('span');
        tint(cell, value, Math.max(...sums.map(Math.abs)));
        return cell;
      }));
      parts.sums.hidden = !(state.step === 3 && state.change > 0 && state.change < 4);
      parts.about.innerHTML = `${maths.name(LETTER[name])}, ${out && (state.step > 3 || state.change === 4) ? 'centred' : state.step === 3
        ? CHANGES[state.change] : 'the Gram matrix'} <small>colours to ±${sayShort(most)}</small>`;
    }
  }

  function choose(i, j) {
    if (i === state.i && j === state.j && body.dataset.lane === state.lane) return;
    state.i = i;
    state.j = j;
    look();
  }

  function light() {
    const { i, j } = state;
    for (const marked of stage.querySelectorAll('[data-image]')) {
      marked.classList.toggle('lit', [i, j].includes(+marked.dataset.image) && (state.step > 1 || +marked.dataset.image === i));
    }
    for (const cell of stage.querySelectorAll('.entry')) {
      const same = +cell.dataset.i === i && +cell.dataset.j === j;
      cell.classList.toggle('lit', same && state.step > 1);
      cell.tabIndex = same ? 0 : -1;
    }
    lightRow();
  }

  // The row, the column or the whole matrix that a term of the centring equation is made of.
  function lightRow(terms = state.step === 3 ? [['entry'], ['diagonal'], ['row'], ['column'], ['all']][state.change] : []) {
    for (const cell of stage.querySelectorAll('.lane .entry')) {
      const inRow = terms.includes('row') && +cell.dataset.i === state.i, inColumn = terms.includes('column') && +cell.dataset.j === state.j;
      cell.classList.toggle('used', inRow || inColumn || terms.includes('all'));
    }
  }

  function look() {
    body.dataset.lane = state.lane;
    const drawn = lens[state.step]();
    const focused = body.contains(stage.getRootNode().activeElement) && stage.getRootNode().activeElement.dataset;
    body.replaceChildren(...drawn);
    body.querySelectorAll('.pair').forEach(inkOn);
    light();
    if (focused?.i) body.querySelector(`.entry[data-i="${state.i}"][data-j="${state.j}"]`)?.focus();
  }

  const lens = lensOf({ lesson, state, set, layer, represented, gramOf, className, choose, light, lightRow, look, changed, body });
  changed();
  sayControls();
  return {
    show(step) {
      state.step = step;
      stop();
      stage.dataset.step = step + 1;
      centring.hidden = step !== 3;
      if (step === 3) change(0);
      sayAddress();
      colour();
      look();
    },
    again() {
      sayAddress();
      look();
    },
    end: stop,
  };
}

export default function(component) {
  return tell(component, { steps: STEPS, build: buildImages });
}
