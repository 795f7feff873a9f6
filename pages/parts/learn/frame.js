// The frame of every chapter: its dots at the top, one sentence, the stage, Back and Next. Steps stay in the browser;
// another chapter is asked of the server, which writes it into the address.

// What the address says of this chapter, and how to say it there without the server. Who goes to another page or another
// chapter changes the address first: until the server has answered, the one that is left is still drawn, and at work.
const here = {
  isOurs: () => false, // of the chapter that is drawn; `tell` knows which
  get: (name) => new URL(document.location.href).searchParams.getAll(name).at(-1) ?? null, // the last, as the server does
  set(values) {
    if (!here.isOurs()) return;
    const address = new URL(document.location.href);
    for (const [name, value] of Object.entries(values)) {
      if (value === null) address.searchParams.delete(name);
      else address.searchParams.set(name, value);
    }
    if (address.href !== document.location.href) window.history.replaceState(window.history.state, '', address);
  },
};

// What may not stand at a line's beginning stays with what is before it: "33 %", "±3", "layers 27–94".
const unbroken = (text) => text.replace(/(\d) %/g, '$1\u00a0%').replace(/ ±/g, '\u00a0±').replace(/(\d)–(\d)/g, '$1\u2060–\u2060$2');

// A sentence with terms in it: "the [[Gram matrix]] of", or "[[seed|seeds]]" where it reads otherwise. Each is a hint.
function sentenceParts(text, glossary, hint) {
  return unbroken(text).split(/(\[\[[^\]]+\]\][.,;:?)]*)/).map((part) => {
    if (!part.startsWith('[[')) return document.createTextNode(part);
    const end = part.indexOf(']]'), [term, shown = term] = part.slice(2, end).split('|');
    const show = (event) => hint.show(event.currentTarget, glossary[term]);
    const button = make('button', {
      type: 'button', class: 'term', text: shown, 'aria-describedby': 'hint', 'data-explains': term,
      onmouseenter: show, onfocus: show, onclick: show, onmouseleave: hint.hide, onblur: hint.hide,
    });
    return make('span', { class: 'kept' }, button, part.slice(end + 2)); // its full stop stays with it
  });
}

function hintBox(root) {
  const box = make('div', { id: 'hint', role: 'tooltip', class: 'hint', hidden: true });
  root.append(box);
  return {
    show(beside, text) {
      box.textContent = text;
      box.hidden = false;
      const at = beside.getBoundingClientRect(), from = root.getBoundingClientRect();
      const left = Math.max(0, Math.min(at.left - from.left, from.width - box.offsetWidth));
      box.style.left = `${left}px`;
      box.style.top = `${at.bottom - from.top + 8}px`;
    },
    hide() { box.hidden = true; },
  };
}

// A chapter is { steps: [{ name, sentence }], build(stage, context) -> { show(step), again(), end() } }. `again` says the
// address and takes the colours once more, of the figure as it stands: the page was run again, nobody turned a step.
function tell({ data, parentElement, setTriggerValue }, chapter) {
  const root = parentElement.querySelector('.lesson');
  root.classList.toggle('presented', data.present);
  if (root.again && root.chapter === data.chapter) { // the page was run again: the same figure, the address as it was
    root.again(data);
    return root.end;
  }
  root.end?.();
  root.chapter = data.chapter;
  const focused = () => root.getRootNode().activeElement?.className; // 'next', 'back' and 'chapter' turn the pages
  const focusedBefore = focused();
  const numbers = Object.keys(data.chapters), at = numbers.indexOf(data.chapter);
  here.isOurs = () => {
    const asked = here.get('chapter');
    return document.location.pathname.endsWith('/learn') && (numbers.includes(asked) ? asked : numbers[0]) === data.chapter;
  };
  const go = (to) => setTriggerValue('go', { present: data.present ? '1' : '0', ...to });
  let step = Math.min(Math.max(Math.trunc(Number(here.get('step'))) || 1, 1), chapter.steps.length) - 1;

  const dots = make('nav', { class: 'chapters', 'aria-label': 'Chapters' });
  for (const number of numbers) {
    const current = number === data.chapter;
    dots.append(make('a', {
      href: `?chapter=${number}`, class: 'chapter', 'aria-current': current ? 'page' : null,
      'aria-label': `Chapter ${number}: ${data.chapters[number]}`, title: data.chapters[number], text: number,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        if (current) move(0); else go({ chapter: number, step: '1' });
      },
    }));
  }
  const presenting = make('button', { type: 'button', class: 'quiet', onclick: () => go({
    chapter: data.chapter, step: String(step + 1), present: data.present ? '0' : '1' }) });
  const sentence = make('p', { class: 'sentence', 'aria-live': 'polite' });
  const stage = make('section', { class: `stage stage${data.chapter}`, 'aria-label': data.chapters[data.chapter] });
  // Who presses by keys goes on from there, where what was pressed went away or is off now.
  stage.addEventListener('click', (event) => {
    const path = event.composedPath(), pressed = path[0].closest?.('button'), focusedNow = root.getRootNode().activeElement;
    if (!pressed || (pressed.isConnected && !pressed.disabled) || (focusedNow && !focusedNow.disabled)) return;
    const there = path.find((one) => one.isConnected && one.querySelector?.('button:enabled'));
    there?.querySelector('button:enabled').focus({ preventScroll: true });
  });
  const back = make('button', { type: 'button', class: 'back', text: 'Back', onclick: () => move(step - 1) });
  const next = make('button', { type: 'button', class: 'next', onclick: () => move(step + 1) });
  const beads = make('ol', { class: 'beads', 'aria-label': 'Steps of this chapter' });
  chapter.steps.forEach((one, i) => beads.append(make('li', {}, make('button', {
    type: 'button', 'aria-label': `Step ${i + 1}: ${one.name}`, title: one.name, onclick: () => move(i) }))));
  const count = make('span', { class: 'count' });
  root.replaceChildren(
    make('div', { class: 'top' }, make('h1', { text: data.chapters[data.chapter] }), dots, presenting),
    sentence, stage,
    make('div', { class: 'tour' }, back, make('div', { class: 'where' }, beads, count), next),
  );
  const hint = hintBox(root);

  // What is said is seen, too: where the page scrolls, as on a phone, what is pressed stands far below the sentence.
  function tellSentence(text) {
    sentence.replaceChildren(...sentenceParts(text, data.glossary, hint));
    sentence.scrollIntoView({ block: 'nearest' });
  }

  function move(to) {
    if (to < 0) {
      if (at > 0) go({ chapter: numbers[at - 1], step: '1' });
      return;
    }
    if (to >= chapter.steps.length) {
      if (at < numbers.length - 1) go({ chapter: numbers[at + 1], step: '1' });
      return;
    }
    step = to;
    refresh();
  }

  function refresh(turnedBy = focused()) {
    hint.hide();
    root.dataset.step = step + 1;
    sayPlace();
    tellSentence(chapter.steps[step].sentence);
    count.textContent = `${step + 1} of ${chapter.steps.length}`;
    [...beads.children].forEach((bead, i) => {
      bead.firstChild.toggleAttribute('aria-current', i === step);
      if (i === step) bead.firstChild.setAttribute('aria-current', 'step');
      bead.classList.toggle('past', i < step);
    });
    back.disabled = step === 0 && at === 0;
    const last = step === chapter.steps.length - 1;
    next.textContent = last && at < numbers.length - 1 ? `Next: ${data.chapters[numbers[at + 1]]}` : 'Next';
    next.hidden = last && at === numbers.length - 1;
    figure.show(step);
    // Who turns the pages by keys goes on doing so, in the next chapter and where the button pressed goes away.
    if (turnedBy === 'next') (next.hidden ? back : next).focus({ preventScroll: true });
    if (turnedBy === 'back') (back.disabled ? next : back).focus({ preventScroll: true });
    if (turnedBy === 'chapter') dots.querySelector('[aria-current]').focus({ preventScroll: true });
  }

  function sayPlace() {
    here.set({ step: step ? String(step + 1) : null });
    presenting.textContent = data.present ? 'Leave presenting' : 'Present';
  }

  // Arrow keys and a presenter's remote turn the pages, where nothing on the stage wants them.
  function turn(event) {
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    const target = event.composedPath()[0];
    if (!by || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (target.closest?.('input, select, textarea, [role=grid], [role=radiogroup], [data-keys]')) return;
    event.preventDefault();
    move(step + by);
  }
  document.addEventListener('keydown', turn);

  const context = {
    root, figures: data.figures, glossary: data.glossary, move, tellSentence, at: () => step,
    sentence: (text) => sentenceParts(text, data.glossary, hint),
  };
  const figure = chapter.build(stage, context);
  root.again = (now) => {
    data = now;
    sayPlace();
    figure.again?.();
  };
  root.end = () => {
    document.removeEventListener('keydown', turn);
    figure.end?.();
    root.again = root.end = undefined;
  };
  refresh(focusedBefore);
  return root.end;
}

// The way from a chapter into the app: an ordinary link, below the page's own address.
function wayOut(text, to) {
  return make('a', { class: 'way-out', href: `./${to}`, target: '_self' }, make('span', { text }), make('span', {
    'aria-hidden': 'true', text: ' →' }));
}
