// Chapter 4, name the map: six maps, six names, guess first; then the story of one block, on the Atlas's networks.

function buildNaming(stage, context) {
  const { maps, names, palette: packed, story } = context.figures;
  const palette = unpacked(packed), said = {}; // of each map the first guess
  const list = make('div', { class: 'thumbs', role: 'group', 'aria-label': 'The six maps' });
  const place = make('div', { class: 'main-map' }), side = make('div', { class: 'side-panel' });
  const wide = make('div', { class: 'wide-panel' });
  let linked = null; // the curve beside the map
  const map = largeMap(palette, (at) => linked?.point(at === null ? null : at.row));
  place.append(map.root);
  maps.forEach((one, i) => {
    const canvas = make('canvas', { 'aria-hidden': 'true' });
    paintMap(canvas, one, palette);
    list.append(make('button', { type: 'button', class: 'thumb', onclick: () => context.move(i) }, canvas, make('span', {})));
  });
  stage.append(list, place, side, wide);

  const shortName = (key) => names[key][0];

  function sayThumbs(current) {
    [...list.children].forEach((button, i) => {
      const known = said[i] && shortName(maps[i].answer);
      button.toggleAttribute('aria-current', i === current);
      if (i === current) button.setAttribute('aria-current', 'step');
      button.lastChild.textContent = known ?? `map ${i + 1}`;
      button.setAttribute('aria-label', known ? `map ${i + 1}: ${known}` : `map ${i + 1}, not named yet`);
    });
  }

  function name(i) {
    const one = maps[i], guess = said[i];
    stage.dataset.kind = 'name';
    sayThumbs(i);
    linked = null;
    const size = one.layers[0] === one.layers[1] ? `${one.layers[0]} layers` : one.layers.join(' × ');
    map.show(one, { told: guess ? one.is : `Map ${i + 1}: ${size} each way`, label: guess ? `${one.is}.` : `Map ${i + 1}, ${size} each way.`, marked: Boolean(guess) });
    const verdict = make('p', { class: 'verdict', 'aria-live': 'polite' });
    const bar = make('div', { class: 'names', role: 'group', 'aria-label': 'What map is this?' });
    for (const [key, [, full]] of Object.entries(names)) {
      const mine = guess === key, right = guess && one.answer === key;
      bar.append(make('button', {
        type: 'button', class: `naming${right ? ' right' : mine ? ' wrong' : ''}`, 'aria-disabled': guess ? 'true' : null, 'data-name': key,
        onclick: () => { if (!said[i]) answer(i, key); },
      }, make('span', { text: full }), make('small', { text: right ? 'this map' : mine ? 'your guess' : '' })));
    }
    const on = make('div', { class: 'ways-on' }); // there from the beginning, so that nothing moves
    side.replaceChildren(make('p', { class: 'prompt', text: guess ? 'It is:' : 'Your guess:' }), bar, verdict, on);
    if (!guess) return;
    context.tellSentence(one.why);
    const done = Object.keys(said).length, right = maps.filter((each, at) => said[at] === each.answer).length;
    const soFar = done === maps.length ? ` ${right} of ${maps.length} named at the first guess.` : '';
    verdict.textContent = `${guess === one.answer ? 'As you said.' : `You said: ${shortName(guess)}.`}${soFar}`;
    on.append(...(one.link ? [wayOut('this map in the Atlas', one.link)] : []),
      make('button', { type: 'button', class: 'quiet', text: 'Guess again', onclick: () => { delete said[i]; context.move(i); } }));
  }

  function answer(i, key) {
    said[i] = key;
    name(i);
    side.querySelector(`[data-name="${key}"]`).focus({ preventScroll: true });
  }

  // The story: a map at the left, at the right what explains it.
  function tellStory(step) {
    const drawn = { rule: tellRule, component: tellMaps, images: tellImages, after: tellAfter, more: tellMore }[step.kind];
    stage.dataset.kind = ['after', 'more'].includes(step.kind) ? 'wide' : 'story';
    linked = null;
    drawn(step);
  }

  const text = (words, classes = 'note') => make('p', { class: classes }, ...context.sentence(words));
  const link = (step) => make('p', {}, wayOut(step.to, step.link));

  function choose(step, keys, at = 0) {
    const key = keys[at];
    map.show(story.maps[key], { told: `${story.maps[key].titles[0]}: ${step.maps[key]}`, value: key === 'cosines' ? '|cos|' : 'CKA' });
  }

  function mapChoices(step) {
    const keys = Object.keys(step.maps);
    choose(step, keys);
    return keys.length < 2 ? null : choices('Which map', Object.values(step.maps), 0, (at) => choose(step, keys, at));
  }

  function curveOf(step) {
    const cells = () => story.maps.nothing.rows;
    const curve = layerCurve(step.curves[0], step.span, { onpoint: (at) => {
      const cell = at === null ? null : Math.round(at * (step.curves[0].values.length - 1) * cells() / story.maps.nothing.layers[0]);
      map.point(cell, cell, false);
    } });
    linked = { point: (at) => curve.point(at === null ? null : Math.min(1, at * story.maps.nothing.layers[0] / step.curves[0].values.length)) };
    return curve.root;
  }

  function tellRule(step) {
    mapChoices(step);
    side.replaceChildren(curveOf(step), text(step.says, 'strong'), make('div', { class: 'rule-box' },
      make('small', { text: 'The rule, fixed before any further network was trained' }), text(step.rule)), link(step));
  }

  function tellMaps(step) {
    side.replaceChildren(mapChoices(step), curveOf(step), text(step.says, 'strong'), text(step.decide), link(step));
  }

  function tellImages(step) {
    const bar = mapChoices(step);
    const shown = make('ol', { class: 'behind' });
    step.pictures.forEach((one, i) => shown.append(make('li', {}, make('span', { class: 'photo', role: 'img', 'aria-label': `${one.class}, ${one.share}`, style: {
      'background-image': `url(${step.sheet})`, 'background-size': `${100 * step.pictures.length}% 100%`,
      'background-position': `${step.pictures.length > 1 ? (100 * i) / (step.pictures.length - 1) : 0}% 0` } }), make('small', { 'aria-hidden': 'true', text: one.share }))));
    side.replaceChildren(bar ?? '', shown, text(step.says, 'strong'), text('Ask of every bright square: which images make it, and would other images make it too?'), link(step));
  }

  function tellAfter(step) {
    const row = (title, found) => make('section', { class: 'row-of-maps', 'aria-label': title }, make('h2', { text: title }),
      make('div', { class: 'small-maps' }, ...found.map((one) => smallMap(one, palette, one.name, one.blocks))));
    wide.replaceChildren(make('div', { class: 'both-rows' }, row('The rule was made on these', step.before), row('Trained after it was fixed', step.later)),
      make('div', { class: 'foot' }, step.more > 0 ? text(`${step.more} more in the Atlas.`) : null, text(step.says, 'strong'), text(step.lesson), link(step)));
  }

  function tellMore(step) {
    const bars = step.amounts.map((one) => make('div', { class: 'amount-row' }, make('span', { text: `${one.images} images` }),
      make('div', { class: 'track', 'aria-hidden': 'true' }, make('i', { class: 'fill', style: { width: `${100 * one.share}%` } })),
      make('span', { text: `${Math.round(100 * one.share)} % of the layers; ${one.with} of ${one.networks} with a block; test ${one.test}` })));
    wide.replaceChildren(make('div', { class: 'amounts' }, make('h2', { text: 'Layers in blocks, by training images' }), ...bars),
      make('div', { class: 'foot' }, text(step.says, 'strong'), text(step.lesson), link(step)));
  }

  return {
    show(step) {
      wide.replaceChildren();
      side.replaceChildren();
      if (step < maps.length) name(step); else tellStory(story.steps[step - maps.length]);
    },
  };
}

export default function(component) {
  const { maps, story } = component.data.figures;
  const steps = [...maps.map((one, i) => ({ name: `Map ${i + 1}`, sentence: one.look })), ...story.steps];
  return tell(component, { steps, build: buildNaming });
}
