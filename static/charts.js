// Charts by Plotly (vendor/plotly-basic.min.js, fetched when the first one is opened), in the colours of the page.
// <div class="chart" data-chart='{"labels": […], "lines": [{"name", "values"}]}' data-kind="bar|line|points">
(() => {
  'use strict';
  let library;
  const plotly = (address) => library ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = address;
    script.onload = () => done(window.Plotly);
    script.onerror = () => { library = undefined; failed(new Error('The charts did not load: is the server there?')); };
    document.head.append(script);
  });

  const KINDS = { bar: { type: 'bar' }, line: { type: 'scatter', mode: 'lines+markers' }, points: { type: 'scatter', mode: 'markers' } };
  const draw = async (place) => {
    const box = place.closest('.chart-box');
    const { labels, lines } = JSON.parse(place.dataset.chart);
    const shown = [...box.querySelectorAll('[name=line]')].filter((tick) => tick.checked).map((tick) => Number(tick.value));
    const style = getComputedStyle(place);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { color: colour('--muted-foreground'), gridcolor: colour('--border'), zerolinecolor: colour('--border'), automargin: true, fixedrange: true };
    // Labels are names, not numbers or dates to be reckoned with, unless all are numbers: then their distances count.
    const numbers = labels.every((label) => label.trim() !== '' && Number.isFinite(Number(label)));
    const kind = KINDS[box.querySelector('[name=kind]').value];
    const traces = (shown.length || lines.length > 1 ? shown : [0]).map((at) => ({
      ...kind, name: lines[at].name, x: labels, y: lines[at].values,
      marker: { color: colour(`--chart-${at + 1}`), size: 7 }, line: { color: colour(`--chart-${at + 1}`), width: 2 },
    }));
    try {
      const { react } = await plotly(place.dataset.plotly);
      await react(place, traces, {
        font: { family: style.fontFamily, size: 12, color: colour('--foreground') },
        paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', height: 300, margin: { l: 8, r: 8, t: 12, b: 8 },
        bargap: 0.3, showlegend: traces.length > 1, legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
        hoverlabel: { bgcolor: colour('--popover'), bordercolor: colour('--border'), font: { family: style.fontFamily, color: colour('--foreground') } },
        hovermode: 'x unified',
        xaxis: { ...axis, type: numbers ? 'linear' : 'category', showgrid: false },
        yaxis: { ...axis, rangemode: kind.type === 'bar' ? 'tozero' : 'normal', title: traces.length === 1 ? { text: traces[0].name, standoff: 8 } : undefined },
      }, { displayModeBar: false, responsive: true });
    } catch (error) {
      place.textContent = error.message;
    }
  };
  const drawn = () => document.querySelectorAll('.chart-box[open] .chart');
  document.addEventListener('toggle', ({ target }) => {
    if (target.matches?.('.chart-box[open]')) draw(target.querySelector('.chart'));
  }, true);
  document.addEventListener('change', ({ target }) => {
    const box = target.closest?.('.chart-box');
    if (box) draw(box.querySelector('.chart'));
  });
  new MutationObserver(() => drawn().forEach(draw)).observe(document.documentElement, { attributeFilter: ['class'] });
  drawn().forEach(draw);
})();
