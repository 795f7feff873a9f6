/* What is pressed counts once: as one step of the browser's history, and it is not lost. */
if (!history.pushState.once) {
  const push = history.pushState;
  let stepWanted = false, looking;

  /* Of all that follows from one press, Streamlit makes a step of each part of the address that changes, and Back would
     lead between them: to half of a choice, or to a page with another's address. */
  history.pushState = function(...step) {
    const make = stepWanted ? push : history.replaceState;
    stepWanted = false;
    return make.apply(history, step);
  };
  history.pushState.once = true;

  /* A press in the bar is lost where anything of this page is sent before the other one has begun: Streamlit runs the page
     that the later message came from, or leaves the other one empty. So the answer waits for that page, and where something
     else came between, the link is pressed once more: what stands at the end of every page is not there. */
  const lookForItsPage = (link) => {
    let restedBefore = false;
    looking = setInterval(() => {
      const rests = document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]') !== null;
      if (rests && restedBefore) {
        clearInterval(looking);
        const isThere = link.pathname === location.pathname && document.querySelector('.st-key-echo');
        if (!isThere && link.isConnected) link.click();
      }
      restedBefore = rests;
    }, 200);
  };

  const press = ({ type, target, isTrusted }) => {
    stepWanted = true;
    clearInterval(looking);
    const link = type === 'click' && target.closest?.('[data-testid=stTopNavLink]');
    if (!link) return;
    dispatchEvent(new Event('leave'));
    if (isTrusted) lookForItsPage(link);
  };
  for (const kind of ['pointerdown', 'keydown', 'click', 'change']) addEventListener(kind, press, true);
  addEventListener('popstate', () => clearInterval(looking));
}
