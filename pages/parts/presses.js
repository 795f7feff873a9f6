/* What is pressed counts once: as one step of the browser's history, and it is not lost. */
if (!history.pushState.once) {
  const END = '.st-key-echo', REST = '.stMainBlockContainer .stElementContainer:not(.st-key-echo)'; // of every page
  const push = history.pushState;
  let stepWanted = false, stopLooking = () => {};

  /* Of all that follows from one press, Streamlit makes a step of each part of the address that changes, and Back would
     lead between them: to half of a choice, or to a page with another's address. */
  history.pushState = function(...step) {
    const make = stepWanted ? push : history.replaceState;
    stepWanted = false;
    return make.apply(history, step);
  };
  history.pushState.once = true;

  /* A press in the bar is lost where anything of this page is sent before the other one has begun: Streamlit runs the
     page that the later message came from, or leaves the other one empty. So the answer waits for that page, and where
     something else came between, the link is pressed once more. */
  const lookForItsPage = (link, triesLeft = 3) => {
    const app = document.querySelector('[data-testid=stApp]');
    let hasRun = false, looks = 0; // at rest, in a row
    const runs = new MutationObserver(() => { hasRun = true; });
    runs.observe(app, { attributeFilter: ['data-test-script-state'] });
    const timer = setInterval(() => {
      looks = hasRun && app.matches('[data-test-script-state=notRunning]') ? looks + 1 : 0;
      const isThere = link.pathname === location.pathname && [END, REST].every((part) => document.querySelector(part));
      if (looks < 2 || (isThere && looks < 10)) return; // what was sent last may empty a page that was there
      stopLooking();
      if (isThere || !link.isConnected || !triesLeft) return;
      link.click();
      lookForItsPage(link, triesLeft - 1);
    }, 200);
    stopLooking = () => { clearInterval(timer); runs.disconnect(); };
  };

  const press = ({ type, target, isTrusted }) => {
    stepWanted = true;
    stopLooking();
    const link = type === 'click' && target.closest?.('[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]');
    if (!link) return;
    dispatchEvent(new Event('leave'));
    if (isTrusted) lookForItsPage(link);
  };
  for (const kind of ['pointerdown', 'keydown', 'click', 'change']) addEventListener(kind, press, true);
  addEventListener('popstate', () => stopLooking());
}
