// Plotly (vendor/plotly-basic.min.js), fetched when the first chart is drawn, and what all our charts have in common.
window.plots = (() => {
  'use strict';
  let library;
  const load = (address) => library ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = address;
    script.onload = () => done(window.Plotly);
    script.onerror = () => { library = undefined; failed(new Error('The charts did not load: is the server there?')); };
    document.head.append(script);
  });
  const colourOf = (style) => (name) => style.getPropertyValue(name).trim();
  const layout = (style) => {
    const colour = colourOf(style), font = { family: style.fontFamily, size: 12, color: colour('--foreground') };
    return {
      font, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', margin: { l: 8, r: 8, t: 12, b: 8 },
      legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
      hoverlabel: { bgcolor: colour('--popover'), bordercolor: colour('--border'), font }, hovermode: 'x unified',
    };
  };
  const axis = (style) => ({ color: colourOf(style)('--muted-foreground'), gridcolor: colourOf(style)('--border'), zerolinecolor: colourOf(style)('--border'), automargin: true, fixedrange: true });
  // Colours are looked up as a figure is drawn, so a change of theme draws it anew.
  const redraw = (all) => new MutationObserver(all).observe(document.documentElement, { attributeFilter: ['class'] });
  // On paper: the light colours whatever the theme is. What is drawn before the browser takes the page counts, so it is
  // drawn as it asks: `draw` must be done when it returns.
  const print = (draw, over) => {
    let wasDark = false;
    addEventListener('beforeprint', () => {
      wasDark = document.documentElement.classList.contains('dark');
      document.documentElement.classList.remove('dark');
      draw();
    });
    addEventListener('afterprint', () => {
      document.documentElement.classList.toggle('dark', wasDark);
      over();
    });
  };
  return { load, colourOf, layout, axis, redraw, print };
})();
