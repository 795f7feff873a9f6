// The lens of chapter 1: for each step the one computation behind what is pointed at, and the formula with its numbers.
// `scene` is what the chapter holds: its state, its layers and images, and how to choose another pair of images.

const CHANGES = ['as it is', 'diagonal out', 'row means out', 'column means out', 'grand mean back'];
const CHANGE_TERMS = [['entry'], ['entry'], ['entry', 'row'], ['entry', 'row', 'column'], ['entry', 'row', 'column', 'all']];
const SIZE = 8;
const LETTER = { A: 'K', B: 'L' }, ROW_LETTER = { A: 'x', B: 'y' };

function square(upper) {
  const matrix = Array.from({ length: SIZE }, () => Array(SIZE).fill(0));
  let at = 0;
  for (let i = 0; i < SIZE; i++) for (let j = i; j < SIZE; j++) matrix[i][j] = matrix[j][i] = upper[at++];
  return matrix;
}

function largest(matrix, withDiagonal) {
  return Math.max(...matrix.flatMap((row, i) => row.map((value, j) => (i === j && !withDiagonal ? 0 : Math.abs(value)))));
}

// A matrix of eight by eight whose entries can be pointed at, and reached by arrow keys.
function entryGrid(name, label, choose, open) {
  const grid = make('div', { class: 'grid', role: 'grid', 'aria-label': label, 'data-matrix': name });
  const cells = [];
  const at = (event) => event.target.closest('.entry')?.dataset;
  for (let i = 0; i < SIZE; i++) {
    const row = make('div', { role: 'row', class: 'row' });
    cells.push([]);
    for (let j = 0; j < SIZE; j++) {
      const cell = make('div', { role: 'gridcell', class: 'entry', tabindex: -1, 'data-i': i, 'data-j': j });
      cells[i].push(cell);
      row.append(cell);
    }
    grid.append(row);
  }
  const pick = (event) => { const data = at(event); if (data) choose(+data.i, +data.j); };
  grid.addEventListener('pointerover', pick);
  grid.addEventListener('focusin', pick);
  grid.addEventListener('click', (event) => { pick(event); open?.(); });
  grid.addEventListener('keydown', (event) => {
    const data = at(event), by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === 'Enter' && open) open();
    if (!data || !by) return;
    event.preventDefault();
    const [i, j] = [+data.i + by[0], +data.j + by[1]].map((to) => Math.max(0, Math.min(SIZE - 1, to)));
    cells[i][j].focus();
  });
  return { grid, cells };
}

// For each step of the chapter a function that gives what the lens shows.
function lensOf(scene) {
  const { lesson, state, set, layer, represented, gramOf, className, choose, light, lightRow, look, changed, body } = scene;

  const largePicture = (i) => make('figure', {}, make('img', { src: set().images[i].png, alt: '' }),
    make('figcaption', { text: `${i + 1}, ${className(i)}` }));

  function bars(lane, i) {
    const { values, count, features } = represented(lane);
    const most = Math.max(...values.flat().map(Math.abs));
    const both = Math.min(...values.flat()) < 0;
    const chart = make('div', { class: 'bars', style: { '--zero': both ? '50%' : '0%' } });
    values[i].forEach((value, f) => {
      const bar = make('span', { title: `feature ${thousands(features[f])}: ${say(value)}` });
      bar.style.setProperty('--size', `${(Math.abs(value) / most) * (both ? 50 : 100)}%`);
      bar.classList.toggle('below', value < 0);
      chart.append(bar);
    });
    const few = values[i].slice(0, 6).map((value) => say(value)).join(', ');
    return make('div', { class: 'list' },
      make('p', { html: `<b>${lane}</b> ${layer(lane).title}: <b>${thousands(count)}</b> numbers, ${features.length} drawn` }), chart,
      equation(`${ROW_LETTER[lane]} ${i + 1}, a list of ${count} numbers`,
        `${maths.name(ROW_LETTER[lane], i + 1)} = (${few}, …)`));
  }

  function seeOne() {
    return [make('div', { class: 'answer' }, largePicture(state.i), make('span', { class: 'arrow', 'aria-hidden': 'true', text: '→' }), bars('A', state.i)),
      make('p', { class: 'note', text: `${lesson.title} was trained to name ten kinds of things. Point at another image, or choose another layer.` })];
  }

  function seeBoth() {
    const [a, b] = ['A', 'B'].map((lane) => thousands(represented(lane).count));
    return [make('div', { class: 'answer' }, largePicture(state.i), make('span', { class: 'arrow', 'aria-hidden': 'true', text: '→' }),
      make('div', {}, bars('A', state.i), bars('B', state.i))),
    make('p', { class: 'note', text: `Which of B’s ${b} numbers belongs to which of A’s ${a}? None has to.` })];
  }

  function seeEntry() {
    const { i, j, lane } = state, { values, count, features } = represented(lane);
    const f = Math.min(state.feature, features.length - 1), x = ROW_LETTER[lane], k = LETTER[lane];
    const products = values[i].map((value, at) => value * values[j][at]);
    const most = Math.max(...values.flat().map(Math.abs)), mostProduct = Math.max(...products.map(Math.abs));
    const result = gramOf(lane)[i][j];
    const strip = (name, row, scale, digits) => make('div', { class: 'wide' }, make('span', { class: 'of', html: name }), make('span', {
      class: 'strip', style: { '--features': row.length } }, ...row.map((value, at) => {
      const cell = make('span', { class: `value${at === f ? ' lit' : ''}`, 'data-term': `feature${at}`, title: `feature ${thousands(features[at])}: ${say(value, digits)}`,
        onpointerenter: () => { if (state.feature !== at) { state.feature = at; look(); } } });
      tint(cell, value, scale);
      return cell;
    })));
    const term = (at, lit) => maths.term(lit ? 'lit' : '', `${say(values[i][at])} × ${say(values[j][at])}`);
    const next = (f + 1) % features.length;
    const made = equation(`${k} ${i + 1} ${j + 1}: the mean over the features of the product of both rows, ${say(result)}`,
      `${maths.term('entry', maths.name(k, `${i + 1}${j + 1}`))} = ${maths.over('1', 'p')} ${maths.sum('f')} ${maths.term('rows', `${maths.name(x, `${i + 1}f`)} ${maths.name(x, `${j + 1}f`)}`)}`);
    const numbers = equation('the same in numbers', `= ( ${term(f, true)} + ${term(next)} + … <small>${thousands(count)} products</small> ) / ${thousands(count)} = <b>${say(result)}</b>`);
    lightTerms(made, ['entry', 'rows']);
    lightTerms(numbers, ['lit']);
    return [make('div', { class: 'two' }, largePicture(i), largePicture(j)),
      strip(maths.name(x, i + 1), values[i], most), strip(maths.name(x, j + 1), values[j], most), strip('×', products, mostProduct),
      made, numbers];
  }

  function seeCentring() {
    const { i, j, lane, change: at } = state, k = LETTER[lane];
    const raw = gramOf(lane), { sums, total, matrices } = uCentreSteps(raw);
    if (i === j) {
      return [make('p', { class: 'note', html: at === 0 ? `${maths.name(k, `${i + 1}${i + 1}`)} = ${say(raw[i][i])}: an image with itself.`
        : 'An image is always alike to itself, which says nothing of the layer: the unbiased estimate leaves the diagonal out.' })];
    }
    const one = `${i + 1}${j + 1}`, row = maths.name('r', i + 1), column = maths.name('r', j + 1);
    const made = equation(`centred ${k} ${one}`,
      `${maths.name(k + '̃', one)} = ${maths.term('entry', maths.name(k, one))} − ${maths.term('row', maths.over(row, 'n − 2'))}`
      + ` − ${maths.term('column', maths.over(column, 'n − 2'))} + ${maths.term('all', maths.over(maths.name('s'), '(n − 1)(n − 2)'))}`);
    const numbers = equation('the same in numbers',
      `${maths.term('', '')}= ${maths.term('entry', say(raw[i][j], 3))} − ${maths.term('row', maths.over(say(sums[i]), '6'))}`
      + ` − ${maths.term('column', maths.over(say(sums[j]), '6'))} + ${maths.term('all', maths.over(say(total), '42'))}`
      + ` = <b>${say(matrices[4][i][j])}</b>`);
    // Parts have a digit more than what they come to, so that who adds them up finds it.
    const far = `${say(raw[i][j], 3)}${at > 1 ? ` − ${say(sums[i] / 6, 3)}` : ''}${at > 2 ? ` − ${say(sums[j] / 6, 3)}` : ''}${at > 3 ? ` + ${say(total / 42, 3)}` : ''}`;
    const so = make('p', { class: 'so', html: `${at === 0 ? 'Begin with' : 'So far'}: ${far}${at > 1 ? ` = <b>${say(matrices[at][i][j])}</b>` : ''}` });
    for (const part of [made, numbers]) {
      part.classList.add('stepwise');
      lightTerms(part, CHANGE_TERMS[at]);
      part.addEventListener('pointerover', (event) => lightRow([event.target.closest('[data-term]')?.dataset.term]));
      part.addEventListener('pointerleave', () => lightRow());
    }
    return [make('div', { class: 'two' }, largePicture(i), largePicture(j)), made, numbers, so,
      make('p', { class: 'note', html: `${maths.name('r')}: the sums of the rows without the diagonal. ${maths.name('s')}: all of it. Dividing by n − 2 makes every row sum to 0. Purple: more alike than usual, green: less.` })];
  }

  // The product of two centred matrices, entry by entry. `pair`: AB, AA or BB.
  function products(pair) {
    const [one, other] = [...pair].map((lane) => uCentre(gramOf(lane)));
    return { one, other, values: mapped(one, (value, i, j) => value * other[i][j]), letters: [...pair].map((lane) => LETTER[lane]) };
  }

  function productGrid(pair) {
    const { values, letters } = products(pair);
    const { grid, cells } = entryGrid('P', `${letters[0]} times ${letters[1]}, entry by entry`, choose);
    const most = largest(values, false);
    values.forEach((row, i) => row.forEach((value, j) => {
      tint(cells[i][j], value, most);
      cells[i][j].classList.toggle('out', i === j);
      cells[i][j].setAttribute('aria-label', `${i + 1} ${className(i)}, ${j + 1} ${className(j)}: ${sayShort(value)}`);
    }));
    return make('figure', { class: 'product' }, grid, make('figcaption', { html: `${maths.name(letters[0] + '̃')} × ${maths.name(letters[1] + '̃')}, entry by entry` }));
  }

  function seeProducts() {
    const { i, j } = state, { one, other, values } = products('AB'), total = inner(one, other);
    const id = `${i + 1}${j + 1}`, swatch = (value, most) => {
      const made = make('span', { class: 'swatch' });
      tint(made, value, most);
      return made.outerHTML;
    };
    const pair = i === j ? '<small>the diagonal is left out</small>'
      : `${swatch(one[i][j], largest(one, false))}${say(one[i][j], 3)} × ${swatch(other[i][j], largest(other, false))}${say(other[i][j], 3)} = ${swatch(values[i][j], largest(values, false))}<b>${sayShort(values[i][j])}</b>`;
    const made = equation('HSIC of K and L: the sum of the products of all entries, divided by n times n minus 3',
      `<span>HSIC(${maths.name('K')}, ${maths.name('L')})</span> = ${maths.over('1', 'n (n − 3)')} ${maths.sum('i ≠ j')} ${maths.term('entry', `${maths.name('K̃', 'ij')} ${maths.name('L̃', 'ij')}`)}`);
    const numbers = equation('the same in numbers', `= ${maths.over(`… + ${maths.term('entry', sayShort(values[i][j]))} + …`, '8 × 5')} = ${maths.over(sayDigits(total), '40')} = <b>${sayDigits(total / 40)}</b>`);
    for (const part of [made, numbers]) lightTerms(part, ['entry']);
    return [make('div', { class: 'answer' }, productGrid('AB'), make('div', { class: 'beside' },
      make('div', { class: 'two' }, largePicture(i), largePicture(j)),
      make('p', { class: 'so', html: `${maths.name('K̃', id)} × ${maths.name('L̃', id)}:<br>${pair}` }))), made, numbers];
  }

  function gauge(value, n) {
    const place = (worth) => `${((Math.max(-0.5, Math.min(1, worth)) + 0.5) / 1.5) * 100}%`;
    const band = make('i', { class: 'band' });
    band.style.left = place(-2 * chance(n));
    band.style.width = `calc(${place(2 * chance(n))} - ${place(-2 * chance(n))})`;
    const mark = make('i', { class: 'mark' });
    mark.style.left = place(value);
    const tick = (worth) => { const made = make('span', { text: say(worth, 0) }); made.style.left = place(worth); return made; };
    return make('div', { class: 'gauge', role: 'img', 'aria-label': `CKA ${say(value)} between 0 and 1; chance reaches ${say(2 * chance(n))}` }, band, mark, tick(0), tick(1));
  }

  function seeRatio() {
    const values = Object.fromEntries(['AB', 'AA', 'BB'].map((pair) => [pair, hsicUnbiased(...[...pair].map(gramOf))]));
    const value = cka(gramOf('A'), gramOf('B'));
    const part = (pair, inside) => maths.term(pair, inside);
    const symbol = (pair) => part(pair, `HSIC(${[...pair].map((lane) => maths.name(LETTER[lane])).join(', ')})`);
    const made = equation('CKA: HSIC of K and L over the root of HSIC of K with itself times HSIC of L with itself',
      `CKA = ${maths.over(symbol('AB'), maths.root(`${symbol('AA')} ${symbol('BB')}`))}`);
    const numbers = equation('the same in numbers', `= ${maths.over(part('AB', sayDigits(values.AB)), maths.root(`${part('AA', sayDigits(values.AA))} × ${part('BB', sayDigits(values.BB))}`))} = <b class="large" data-number="cka">${say(value)}</b>`);
    const both = make('div', { class: 'ratio' }, made, numbers);
    lightTerms(both, [state.pair]);
    for (const one of both.querySelectorAll('[data-term]')) {
      one.tabIndex = 0;
      const pick = () => { if (state.pair !== one.dataset.term) { state.pair = one.dataset.term; update(); } };
      one.addEventListener('pointerenter', pick);
      one.addEventListener('focus', pick);
    }
    const holder = make('div', {}, productGrid(state.pair));
    function update() {
      lightTerms(both, [state.pair]);
      holder.replaceChildren(productGrid(state.pair));
      light();
    }
    return [make('div', { class: 'answer' }, holder, both), gauge(value, SIZE), make('p', { class: 'note', text:
      `Eight images are few: for layers that share nothing chance reaches ±${say(2 * chance(8))}. The app takes ${APP.images} in ${APP.minibatches} minibatches, where it is ±${say(2 * chanceInTheApp(), 3)}.` })];
  }

  function seeMap() {
    const grams = lesson.layers.map((one) => square(set().representations[one.key].gram));
    const map = make('div', { class: 'map', role: 'grid', 'aria-label': 'CKA of every two layers', 'data-keys': true });
    const cells = [];
    for (let row = grams.length - 1; row >= 0; row--) {
      const line = make('div', { role: 'row', class: 'row' }, make('span', { role: 'rowheader', text: lesson.layers[row].title }));
      grams.forEach((other, column) => {
        const value = cka(grams[row], other), now = lesson.layers[row].key === state.A && lesson.layers[column].key === state.B;
        const cell = make('button', { type: 'button', role: 'gridcell', class: 'pair', text: say(value), 'aria-current': now ? 'true' : null, tabindex: now ? 0 : -1,
          'aria-label': `${lesson.layers[row].title}, ${lesson.layers[column].title}: CKA ${say(value)}`, 'data-row': row, 'data-column': column,
          onclick: () => { state.A = lesson.layers[row].key; state.B = lesson.layers[column].key; changed(); body.querySelector('[aria-current]')?.focus(); } });
        tint(cell, value, 1);
        cells.push(cell);
        line.append(cell);
      });
      map.append(line);
    }
    if (!map.querySelector('[tabindex="0"]')) cells[0].tabIndex = 0;
    map.append(make('div', { class: 'row feet', 'aria-hidden': 'true' }, make('span'), ...lesson.layers.map((one) => make('span', { text: one.key === 'pixels' ? 'pixels' : one.title.split(',')[0].replace('stage ', '') }))));
    map.addEventListener('keydown', (event) => {
      const by = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], data = event.target.dataset;
      if (!by || data.row === undefined) return;
      event.preventDefault();
      map.querySelector(`[data-row="${+data.row + by[0]}"][data-column="${+data.column + by[1]}"]`)?.focus();
    });
    const [a, b] = ['A', 'B'].map((lane) => layer(lane)), cell = a.layer && b.layer ? `&la=${a.layer}&lb=${b.layer}` : '';
    return [map, make('p', { class: 'note' }, 'The app draws it for all 50 layers of this network and 768 images: ',
      wayOut(cell ? 'the map, at these two layers' : 'the map', `?a=${lesson.network}&b=${lesson.network}${cell}`))];
  }

  return [seeOne, seeBoth, seeEntry, seeCentring, seeProducts, seeRatio, seeMap];
}
