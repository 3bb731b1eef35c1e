// Figures made on the server, drawn in the colours of the page (see plots.js).
// <div data-figure='{"data": […], "layout": {…}}'>: a value such as "--chart-1" is a colour of the page's own.
(() => {
  'use strict';
  const address = document.currentScript.dataset.plotly;
  const coloured = (value, style) => {
    if (typeof value === 'string') return value.startsWith('--') ? style.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return value.map((one) => coloured(one, style));
    return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, style)])) : value;
  };
  const spark = { margin: { l: 0, r: 0, t: 2, b: 2 }, showlegend: false, hovermode: false, xaxis: { visible: false, fixedrange: true }, yaxis: { visible: false, fixedrange: true, rangemode: 'tozero' } };
  // A click on a bar filters by its time and by what it is of, as a link of the table beside it does.
  const clickable = (place, { from, to }) => {
    place.removeAllListeners('plotly_click');
    place.on('plotly_click', ({ points: [{ pointNumber, data }] }) => {
      const form = document.querySelector('#dashboard .dash-filters'), asked = new URLSearchParams(new FormData(form));
      const chosen = { ...data.meta, ...(from.length ? { range: 'custom', from: from[pointNumber], to: to[pointNumber] } : {}) };
      if (!Object.keys(chosen).length) return;                                 // the rest of a bar that has no time
      Object.entries(chosen).forEach(([name, value]) => asked.set(name, value));
      [...asked].filter(([, value]) => !value).forEach(([name]) => asked.delete(name));
      const link = document.createElement('a');
      link.href = `${form.action}?${asked}`;
      Object.entries({ get: link.href, target: '#dashboard', swap: 'outerHTML', 'push-url': 'true' }).forEach(([name, value]) => link.setAttribute(`hx-${name}`, value));
      form.append(link);
      htmx.process(link);
      link.click();
    });
  };
  const paper = { width: 690, height: 250, autosize: false };                  // as wide as a page
  let isPrinting = false;
  const show = (place, react) => {
    const style = getComputedStyle(place), axis = plots.axis(style), small = 'spark' in place.dataset;
    const { data, layout } = coloured(JSON.parse(place.dataset.figure), style);
    if (small) data.forEach((trace) => { trace.mode = 'lines'; if (trace.line) trace.line.width = 1.5; });
    // On a phone there is no room for what happened: the line says it where one points at it, and the list beneath.
    if (!isPrinting && place.clientWidth < 440) layout.annotations?.forEach((word) => { if (word.yref === 'paper') word.text = '·'; });
    const done = react(place, data, {
      ...plots.layout(style),
      ...layout, ...(small ? spark : { xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis } }),
      ...(isPrinting && !small ? paper : {}),
    }, { displayModeBar: false, responsive: true, staticPlot: small });
    if (layout.meta) done.then(() => clickable(place, layout.meta));
    return done;
  };
  // One at a time, and what waits meanwhile in between: a dozen in one go kept the page from all else for half a second.
  let before = Promise.resolve();
  const turn = () => (before = before.then(() => new Promise((go) => setTimeout(go))));
  const draw = async (place) => {
    try {
      const { react } = await plots.load(address);
      await turn();
      if (!place.isConnected) return;
      if (!place.classList.contains('js-plotly-plot')) place.replaceChildren();
      await show(place, react);
      if (!isPrinting && place.isConnected && place._fullLayout.width !== place.clientWidth) await Plotly.Plots.resize(place);   // after paper
    } catch (error) {
      if (!('spark' in place.dataset)) place.textContent = `${error.message} The tables have the same numbers.`;
    }
  };
  const drawn = () => document.querySelectorAll('[data-figure]');
  // What else becomes of the page's classes is no theme, and what paper asks for or gives back is drawn by that.
  const isDark = () => document.documentElement.classList.contains('dark');
  let drawnDark = isDark();
  const drawAll = () => { drawnDark = isDark(); drawn().forEach(draw); };
  plots.redraw(() => { if (!isPrinting && drawnDark !== isDark()) drawAll(); });
  plots.print(() => {
    isPrinting = true;
    document.querySelectorAll('.js-plotly-plot[data-figure]').forEach((place) => show(place, Plotly.react));
  }, () => {
    isPrinting = false;
    drawAll();
  });
  // A part that does not come says so; the same link asks for it again.
  document.addEventListener('htmx:error', ({ target }) => {
    const part = target.closest?.('.dash-later');
    if (!part) return;
    part.removeAttribute('aria-busy');
    part.querySelector('.panel-head a').textContent = 'This did not come. Try again';
  });
  // What a filter brings is drawn once its numbers stand; what Plotly adds inside a figure is no new one.
  const painted = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach(async (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE || node.closest('[data-figure]')) return;
    await painted();
    node.querySelectorAll('[data-figure]').forEach(draw);
  }))).observe(document.querySelector('#content'), { childList: true, subtree: true });
  drawAll();
})();
