// Charts of a table's numbers (see plots.js), drawn when they are opened.
// <div class="chart" data-chart='{"labels": […], "lines": [{"name", "values"}]}' data-kind="bar|line|points">
(() => {
  'use strict';
  const KINDS = { bar: { type: 'bar' }, line: { type: 'scatter', mode: 'lines+markers' }, points: { type: 'scatter', mode: 'markers' } };
  const show = (place, react) => {
    const box = place.closest('.chart-box');
    const { labels, lines } = JSON.parse(place.dataset.chart);
    const shown = [...box.querySelectorAll('[name=line]')].filter((tick) => tick.checked).map((tick) => Number(tick.value));
    const style = getComputedStyle(place);
    const colour = plots.colourOf(style), axis = plots.axis(style);
    // Labels are names, not numbers or dates to be reckoned with, unless all are numbers: then their distances count.
    const numbers = labels.every((label) => label.trim() !== '' && Number.isFinite(Number(label)));
    const kind = KINDS[box.querySelector('[name=kind]').value];
    const traces = (shown.length || lines.length > 1 ? shown : [0]).map((at) => ({
      ...kind, name: lines[at].name, x: labels, y: lines[at].values,
      marker: { color: colour(`--chart-${at + 1}`), size: 7 }, line: { color: colour(`--chart-${at + 1}`), width: 2 },
    }));
    return react(place, traces, {
      ...plots.layout(style), height: 300, bargap: 0.3, showlegend: traces.length > 1,
      xaxis: { ...axis, type: numbers ? 'linear' : 'category', showgrid: false },
      yaxis: { ...axis, rangemode: kind.type === 'bar' ? 'tozero' : 'normal', title: traces.length === 1 ? { text: traces[0].name, standoff: 8 } : undefined },
    }, { displayModeBar: false, responsive: true });
  };
  const draw = async (place) => {
    try {
      const { react } = await plots.load(place.dataset.plotly);
      await show(place, react);
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
  plots.redraw(() => drawn().forEach(draw));
  plots.print(() => drawn().forEach((place) => { if (place.matches('.js-plotly-plot')) show(place, Plotly.react); }), () => drawn().forEach(draw));
  drawn().forEach(draw);
})();
