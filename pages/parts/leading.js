// What fills below a map is led to when a choice above it asks for it.
function leadTo(below, behavior) {
  below.style.scrollMarginTop = '4.5rem'; // not under the page's header
  below.style.minHeight = '100vh'; // room to scroll to while its charts are on their way
  below.scrollIntoView({ behavior, block: 'start' });
}
