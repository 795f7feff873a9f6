/* What is pressed counts once: as one step of the browser's history, and it is not lost. */
if (!history.pushState.once) {
  const END = '.st-key-echo', REST = '.stMainBlockContainer .stElementContainer:not(.st-key-echo)'; // of every page
  const push = history.pushState;
  let stopLooking = () => {};
  let stepWanted = navigator.userActivation?.hasBeenActive ?? false; // for what was pressed before this was here

  /* Of all that follows from one press, Streamlit makes a step of each part of the address that changes, and Back would
     lead between them: to half of a choice, or to a page with another's address. */
  history.pushState = function(...step) {
    const make = stepWanted ? push : history.replaceState;
    stepWanted = false;
    return make.apply(history, step);
  };
  history.pushState.once = true;

  /* Another page is lost where anything of this one is sent before it has begun, whether a press in the bar opens it or
     the browser's Back: Streamlit runs the page that the later message came from, or leaves the other one empty. So the
     answer waits for that page, and where something else came between, it is opened once more. */
  const lookForPage = (path, openAgain, triesLeft = 3) => {
    const app = document.querySelector('[data-testid=stApp]');
    let hasRun = false, looks = 0; // at rest, in a row
    const runs = new MutationObserver(() => { hasRun = true; });
    runs.observe(app, { attributeFilter: ['data-test-script-state'] });
    const timer = setInterval(() => {
      looks = hasRun && app.matches('[data-test-script-state=notRunning]') ? looks + 1 : 0;
      const isThere = path === location.pathname && [END, REST].every((part) => document.querySelector(part));
      if (looks < 2 || (isThere && looks < 10)) return; // what was sent last may empty a page that was there
      stopLooking();
      if (isThere || !triesLeft) return;
      openAgain();
      lookForPage(path, openAgain, triesLeft - 1);
    }, 200);
    stopLooking = () => { clearInterval(timer); runs.disconnect(); };
  };

  const press = ({ type, target, isTrusted }) => {
    stepWanted = true;
    stopLooking();
    const link = type === 'click' && target.closest?.('[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]');
    if (!link) return;
    dispatchEvent(new Event('leave'));
    if (isTrusted) lookForPage(link.pathname, () => link.click());
  };
  for (const kind of ['pointerdown', 'keydown', 'click', 'change']) addEventListener(kind, press, true);
  addEventListener('popstate', ({ isTrusted, state }) => {
    stepWanted = false; // nor do the keys that go back make a step
    if (!isTrusted) return; // ours
    stopLooking();
    const { href, pathname } = location; // what came between puts the other page's in their place
    lookForPage(pathname, () => {
      history.replaceState(state, '', href);
      dispatchEvent(new PopStateEvent('popstate', { state }));
    });
  });
}
