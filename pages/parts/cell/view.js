// The view of one cell: what stands under the map. Walking, pointing and ordering stay in the browser.

const STRIP = 40, DECIDING = 56; // pixels of a picture
const SILENT = 'This layer says nothing of these images.';

const explained = (glossary, name, text = name) => make('abbr', { title: glossary[name], tabindex: '0', text });

function build(root, glossary) {
  const find = {};
  const part = (name, tag, attributes = {}, ...inside) => (find[name] = make(tag, { class: name, ...attributes }, ...inside));
  const both = (name, what) => [0, 1].map((side) => {
    const made = what(side);
    (find[name] ??= [])[side] = made;
    return made;
  });
  const head = (side) => make('div', { class: 'layer' }, make('b', { text: 'AB'[side] }),
    make('button', { type: 'button', class: 'back', 'data-by': '-1', 'data-side': side, 'aria-label': `Layer before, of ${'AB'[side]}`, text: '−' }),
    make('span', { class: 'which' }),
    make('button', { type: 'button', class: 'on', 'data-by': '1', 'data-side': side, 'aria-label': `Next layer, of ${'AB'[side]}`, text: '+' }));
  root.replaceChildren(
    make('div', { class: 'top' }, ...both('heads', head), part('value', 'p')),
    make('section', { class: 'alike', 'aria-label': 'Gram matrices' },
      make('div', { class: 'bar' }, make('h2', {}, 'Which images are alike? Both ', explained(glossary, 'Gram matrix', 'Gram matrices')),
        part('orders', 'div', { role: 'group', 'aria-label': 'Order of the images' }), part('scale', 'span')),
      make('div', { class: 'pair' }, ...both('grams', (side) => make('div', { class: 'gram', 'data-side': side },
        make('canvas', { role: 'img', 'aria-label': `Gram matrix of the layer of ${'AB'[side]}` }), make('i', { class: 'cross' }), make('i', { class: 'cross' })))),
      part('pointed', 'p')),
    make('section', { class: 'points', 'aria-label': 'First components' },
      make('div', { class: 'bar' }, make('h2', {}, 'Where the images lie: the first two ', explained(glossary, 'first component', 'components')), part('legend', 'span')),
      make('div', { class: 'pair' }, ...both('clouds', (side) => draw('svg', { viewBox: '-100 -100 200 200', class: 'cloud', role: 'img',
        'aria-label': `Images in the first two components of the layer of ${'AB'[side]}`, 'data-side': side }))),
      make('div', { class: 'pair small' }, ...both('spread', () => make('span', {}))),
      part('spectra', 'div', {}, draw('svg', { class: 'lines', role: 'img' }), part('dimensions', 'p'))),
    make('section', { class: 'near', 'aria-label': 'Nearest images' },
      make('div', { class: 'bar' }, make('h2', {}, 'The nearest images of ', part('whose', 'span', {}, part('face', 'span'), part('images', 'select', { 'aria-label': 'Image' }), part('judged', 'span')))),
      ...both('strips', (side) => make('div', { class: 'strip' }, make('b', { text: 'AB'[side] }), make('span', { class: 'row' }))),
      part('shared', 'p')),
    make('section', { class: 'made', 'aria-label': 'Images that make the value' },
      make('div', { class: 'bar' }, part('most', 'h2'),
        part('all', 'button', { type: 'button', text: 'Pick them all' })),
      part('makers', 'div'), part('making', 'p')),
    part('lacking', 'p'),
  );
  for (const svg of find.clouds) {
    svg.append(draw('line', { x1: -100, x2: 100, y1: 0, y2: 0, class: 'rule' }), draw('line', { x1: 0, x2: 0, y1: -100, y2: 100, class: 'rule' }));
  }
  return find;
}

// The value of a cell with its name, or why there is none.
function valueOf({ about, arrays }, cell) {
  const value = arrays.cka[cell[0] * arrays.cka.shape[1] + cell[1]], reason = about.reasons[0][cell[0]] ?? about.reasons[1][cell[1]];
  return Number.isNaN(value) ? `No ${about.title}${reason ? `: ${reason}` : ''}` : `${about.title} ${say(value, 3)}`;
}

// Everything that shows layers, drawn for the cell one sees now.
function show(state) {
  const { find, walk, shown } = state, { about, arrays } = shown, cell = walk.cell, titles = walk.data.titles;
  const layers = cell.map((at, side) => about.layers[side][at]);
  const at = cell[0] * arrays.cka.shape[1] + cell[1];
  find.heads.forEach((head, side) => {
    const which = head.querySelector('.which');
    which.replaceChildren(make('code', { text: layers[side][0] }), make('small', { text: `${layers[side][1]} · ${titles[side]}` }));
  });
  find.most.textContent = `The images that add most to ${about.title === 'CKA' ? 'this value' : 'unbiased CKA'}`;
  const few = arrays.few[at], parts = [valueOf(shown, cell), `${thousands(about.of)} images`];
  const cka = about.title === 'CKA' ? '' : 'unbiased CKA ';
  if (about.m !== about.of || cka) {
    parts.push(Number.isNaN(few) ? 'no CKA on those below' : `${cka}${say(few, 3)} on the first ${about.m}, which are shown below`);
  }
  find.value.replaceChildren(make('b', { text: parts[0] }), ` · ${parts.slice(1).join(' · ')}`);

  state.order = orderOf(about, state.sides, cell, state.by);
  const from = ground(find.value), [above, below] = tintsOn(from).map((colour) => `rgb(${colour})`);
  find.scale.style.setProperty('--above', above);
  find.scale.style.setProperty('--below', below);
  find.grams.forEach((gram, side) => {
    const says = state.sides[side].says(cell[side]);
    gram.classList.toggle('silent', !says);
    if (says) paintGram(gram.querySelector('canvas'), state.sides[side], cell[side], state.order, from);
  });
  const shares = cell.map((layer, side) => state.sides[side].shares(layer));
  find.clouds.forEach((svg, side) => {
    placePoints(svg, state.sides[side], cell[side], about, about.predicted[side]);
    find.spread[side].textContent = Number.isNaN(shares[side][0]) ? '' :
      `across ${say(100 * shares[side][0], 0)} %, up ${say(100 * shares[side][1], 0)} % of the variance`;
  });
  const told = cell.map((layer, side) => {
    const dimension = state.sides[side].dimension(layer);
    return `${'AB'[side]} ${Number.isNaN(dimension) ? 'none' : say(dimension, 1)}`;
  }).join(', ');
  find.dimensions.replaceChildren(
    `Variance by component, A solid, B dashed (${shares[0].length} of ${about.m - 1}, on a logarithmic scale). `,
    explained(walk.data.glossary, 'effective dimension', 'Effective dimension'), `: ${told}.`);
  drawSpectra(find.spectra.querySelector('svg'), shares, find.dimensions.textContent);
  point(state);
  showMakers(state);
}

// The image, or the two, that one points at: in both matrices, both clouds, and with their neighbours.
function point(state) {
  const { find, walk, shown, sides } = state, { about } = shown, cell = walk.cell, [i, j] = state.at;
  find.clouds.forEach((svg) => svg.dots.forEach((dot, at) => dot.classList.toggle('lit', at === i || at === j)));
  const row = state.order.indexOf(i), column = state.order.indexOf(j), m = about.m;
  for (const gram of find.grams) {
    const [across, up] = gram.querySelectorAll('.cross');
    across.style.cssText = `top: ${(100 * row) / m}%; height: ${100 / m}%; left: 0; right: 0`;
    up.style.cssText = `left: ${(100 * column) / m}%; width: ${100 / m}%; top: 0; bottom: 0`;
  }
  if (i === j) {
    find.pointed.replaceChildren(pictureOf(about, i, PICTURE), make('span', { text: `${nameOf(about, i)}. Point at a pair of images in a matrix.` }));
  } else {
    const values = cell.map((layer, side) => sides[side].entry(layer, i, j));
    const product = `${say(values[0] * values[1])}, of which CKA is the mean${about.whole && about.m === about.n ? '' : ' on these images'}`;
    find.pointed.replaceChildren(pictureOf(about, i, PICTURE), pictureOf(about, j, PICTURE), make('span', {
      text: `${nameOf(about, i)} and ${nameOf(about, j)}: A ${say(values[0])}, B ${say(values[1])}. Product ${product}.` }));
  }
  find.face.replaceChildren(pictureOf(about, i, 24));
  find.images.value = String(i);
  find.judged.textContent = judged(about, i);
  const near = cell.map((layer, side) => sides[side].neighbours(layer, i));
  const says = near.map((row) => row[0] >= 0), known = says[0] && says[1];
  const common = known ? near[0].filter((one) => near[1].includes(one)) : [];
  find.strips.forEach((strip, side) => {
    const nearest = near[side].map((one) => pick(state, one, pictureOf(about, one, STRIP), common.includes(one) ? 'common' : ''));
    strip.querySelector('.row').replaceChildren(...(says[side] ? nearest : [make('small', { text: SILENT })]));
  });
  find.shared.textContent = known ? `${common.length} of the ${near[0].length} nearest are the same in both layers.` : '';
}

function judged(about, at) {
  const told = [0, 1].filter((side) => about.predicted[side]).map((side) => {
    const named = about.predicted[side][at], right = named === about.labels[at];
    return `${'AB'[side]} ${right ? 'is right' : `takes it for ${classOf(about.classes[named])}`}`;
  });
  return told.length && about.labels.length ? told.join(', ') : '';
}

// A picture that can be picked, to be left out of the map.
function pick(state, at, picture, className = '', title = '') {
  const chosen = state.picked.has(at);
  return make('button', {
    type: 'button', class: `pick ${className}`, 'aria-pressed': String(chosen), 'data-image': at,
    title: title || `${nameOf(state.shown.about, at)}: pick it, to leave it out of the map`,
    onclick: () => {
      if (state.picked.has(at)) state.picked.delete(at); else state.picked.add(at);
      point(state);
      showMakers(state);
      showPicked(state);
    },
    onmouseenter: () => lightUp(state, at), onfocus: () => lightUp(state, at),
  }, picture);
}

function lightUp(state, at) {
  if (at >= state.shown.about.m) return;
  state.find.clouds.forEach((svg) => svg.dots.forEach((dot, one) => dot.classList.toggle('lit', one === at || state.at.includes(one))));
}

function showMakers(state) {
  const { find, walk, shown } = state, { about } = shown, detail = walk.data.detail;
  const here = detail && detail.cell[0] === walk.cell[0] && detail.cell[1] === walk.cell[1];
  find.makers.classList.toggle('old', !here);
  if (!here) {
    find.making.textContent = 'Counting …';
    find.all.disabled = true;
    return;
  }
  find.all.disabled = !detail.images.length;
  find.all.onclick = () => {
    for (const one of detail.images) state.picked.add(one.at);
    point(state);
    showMakers(state);
    showPicked(state);
  };
  find.makers.replaceChildren(...detail.images.map((one, place) => {
    const words = `image ${one.at}${one.label ? `, ${classOf(one.label)}` : ''}: adds ${say(one.adds, 4)}; its share of A’s own similarity is ${say(100 * one.shares[0], 1)} %, of B’s ${say(100 * one.shares[1], 1)} %`;
    const picture = pictureOf(about, one.at, DECIDING, detail.sheet, place, detail.images.length);
    const made = pick(state, one.at, picture, '', words);
    made.setAttribute('aria-label', words);
    made.append(make('small', { text: `${one.adds < 0 ? '' : '+'}${say(one.adds, 3)}` }));
    return made;
  }));
  find.making.textContent = detail.words;
}

function legend(find, about) {
  const wrong = about.labels.length && about.predicted.some(Boolean) ? ['○ which the network takes for another class'] : [];
  find.legend.replaceChildren(...about.classes.map((name, i) => make('span', {}, make('i', { style: { background: CLASSES[i % CLASSES.length] } }), name)), ...wrong);
}

function orders(state) {
  const { about } = state.shown;
  const known = [...(about.labels.length ? [['class', 'by class']] : []), ...(about.lacks ? [] : [['a', 'along A’s first component'], ['b', 'along B’s']])];
  if (!known.some(([by]) => by === state.by)) state.by = known.length ? known[0][0] : 'class';
  state.find.orders.replaceChildren(...known.map(([by, text]) => make('button', {
    type: 'button', 'aria-pressed': String(by === state.by), text,
    onclick: () => { state.by = by; orders(state); show(state); },
  })));
}

// Once for what was kept: the dots, the listeners on both matrices, what is lacking.
function open(state) {
  const { find, shown } = state, { about } = shown, root = find.value.closest('.cell-view');
  state.sides = [sideOf(shown, 0), sideOf(shown, 1)];
  find.clouds.forEach((svg) => {
    svg.dots?.forEach((dot) => dot.remove());
    svg.dots = Array.from({ length: about.m }, (_, i) => draw('circle', {
      r: 4.2, class: 'dot', 'data-image': i, onmouseenter: () => { state.at = [i, i]; point(state); } }));
    svg.append(...svg.dots);
  });
  find.images.replaceChildren(...Array.from({ length: about.m }, (_, i) => make('option', { value: i, text: nameOf(about, i) })));
  find.images.onchange = () => { state.at = [Number(find.images.value), Number(find.images.value)]; point(state); };
  find.grams.forEach((gram) => {
    gram.onpointermove = gram.onpointerdown = (event) => {
      const box = gram.getBoundingClientRect(), cut = (share) => state.order[Math.max(0, Math.min(about.m - 1, Math.floor(share * about.m)))];
      state.at = [cut((event.clientY - box.top) / box.height), cut((event.clientX - box.left) / box.width)];
      point(state);
    };
  });
  root.classList.toggle('without-norms', Boolean(about.lacks));
  find.lacking.textContent = about.lacks && `More can be shown of newer Gram matrices. ${about.lacks}`;
  find.scale.replaceChildren('unlike −3 ', make('i', { class: 'ramp' }), ` ${FULL} alike, in multiples of the usual`);
  legend(find, about);
  orders(state);
  limitLeft(state);
}

export default function({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.cell-view'), maps = parentElement.querySelector('.left-out');
  const state = (root.state ??= { picked: new Set(), by: 'class', at: [0, 0], order: [] });
  state.tell = (event, value) => setTriggerValue(event, value);
  if (!state.walk) {
    state.walk = walker((value) => state.tell('move', value), () => state.draw());
    state.find = build(root, data.glossary);
    state.left = buildLeft(maps, state, data.glossary);
    root.addEventListener('click', (event) => {
      const by = event.target.closest('[data-by]');
      if (by) state.walk.step(...(by.dataset.side === '0' ? [Number(by.dataset.by), 0] : [0, Number(by.dataset.by)]));
    });
  }
  const { walk } = state;
  state.draw = () => {
    let now = walk.data.here === false ? null : kept(walk.data.of); // it may come before the run of the page tells of it
    const only = now?.about.only;
    if (only && walk.cell && (only[0] !== walk.cell[0] || only[1] !== walk.cell[1])) now = null;
    root.hidden = maps.hidden = !now || !walk.cell;
    if (root.hidden) return;
    if (now !== state.shown) {
      const same = state.shown?.about.only && state.shown.about.name === now.about.name; // a first look, now of all layers
      state.shown = now;
      if (!same) {
        state.picked.clear();
        state.at = [0, 0];
      }
      open(state);
    }
    show(state);
    showPicked(state);
    showLeft(state);
  };
  walk.name = () => (state.shown && walk.cell ? walk.cell.map((at, side) => state.shown.about.layers[side][at][0]).join(' and ') +
    `: ${valueOf(state.shown, walk.cell)}` : '');
  walk.hear(data);
  state.draw();
  walk.look();
  const timer = setInterval(walk.look, 150), arrived = () => state.draw();
  window.addEventListener('cka-kept', arrived);
  return () => {
    clearInterval(timer);
    window.removeEventListener('cka-kept', arrived);
    if (!root.isConnected) walk.end();
  };
}
