// The own settings of a comparison's columns are part of its draft. Columns come and go, so all of them are kept together,
// each with its model: one that is there again finds its own.
(() => {
  'use strict';
  const form = () => document.querySelector('form[data-columns]');
  if (!form()) return;
  const key = () => `draft:${document.body.dataset.person ?? ''}:${form().dataset.columns}`;
  const fieldsOf = (column) => [...column.querySelectorAll('.column-settings :is(input, select, textarea)')];
  const nameOf = (field) => field.name.replace(/^c\d+-/, '');
  const columns = () => [...form().querySelectorAll('.compare-chip')].map((column) => ({ column, model: column.querySelector('[data-model]').value }));
  const keep = (isTyped) => {
    const kept = columns().map(({ column, model }) => ({ model, settings: Object.fromEntries(fieldsOf(column).map((field) => [nameOf(field), field.value])) }));
    const isBlank = kept.every(({ settings }) => !Object.values(settings).some(Boolean));
    // What somebody emptied is kept as well: the page may come with what it was the last time.
    try { if (isTyped || !isBlank || localStorage.getItem(key())) localStorage.setItem(key(), JSON.stringify(kept)); } catch { /* closed to us, or full */ }
  };
  const wake = () => {
    let kept = [];
    try { kept = JSON.parse(localStorage.getItem(key())) ?? []; } catch { /* none */ }
    for (const { column, model } of columns()) {
      const place = kept.findIndex((one) => one.model === model);
      if (place < 0) continue;
      const [{ settings }] = kept.splice(place, 1);
      for (const field of fieldsOf(column).filter((one) => nameOf(one) in settings)) {
        field.value = settings[nameOf(field)];
        if (field.value) for (let fold = field.closest('details'); fold; fold = fold.parentElement.closest('details')) fold.open = true;
      }
    }
  };
  for (const type of ['input', 'change']) document.addEventListener(type, ({ target }) => { if (target.closest?.('.column-settings')) keep(true); });
  new MutationObserver((changes) => {                                          // a column came, or went
    if (changes.some(({ addedNodes }) => [...addedNodes].some(({ id }) => id === 'compare-pick'))) keep(false);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener('htmx:after:request', ({ detail }) => {
    const { sourceElement, response } = detail?.ctx ?? {};
    if (sourceElement === form() && response?.raw?.ok) try { localStorage.removeItem(key()); } catch { /* closed to us */ }
  });
  wake();
})();
