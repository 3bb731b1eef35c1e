// The list of runs while it is watched: looked at again every three seconds, as long as somebody sees the page.
// <div id="run-list" data-watched hx-get="…" hx-trigger="look">
(() => {
  'use strict';
  const look = () => {
    const list = document.querySelector('#run-list[data-watched]');
    if (list && !document.hidden && !list.querySelector('details[open]')) htmx.trigger(list, 'look');
  };
  setInterval(look, 3000);
  document.addEventListener('visibilitychange', look);
})();
