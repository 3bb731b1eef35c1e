// Only what the chosen models take is shown, and sent; what was typed waits for a model that takes it. `data-fits` on a
// group of settings names what holds its models: a select, or [data-model]; `data-keeps`: what was typed there is kept by
// the server as it is, so it stays in view.
(() => {
  'use strict';
  const WORDS = { temperature: 'temperature', top_p: 'top p', seed: 'seed', stop: 'stop sequences', reasoning_effort: 'setting for thinking', schema: 'JSON schema', tools: 'tools' };
  const LEFT_OUT = ['temperature', 'top_p', 'seed', 'stop', 'reasoning_effort'];   // a model without the others is not asked
  const list = (names, word) => new Intl.ListFormat('en').format(names.map((name) => `${word} ${WORDS[name]}`));
  const lacking = (model) => (model.dataset.omits ?? '').split(' ').filter((name) => name in WORDS);
  const nameOf = (model) => model.value.split('/').slice(1).join('/');
  const oneOfMany = (model, all) => {
    const lacks = lacking(model).filter((name) => !all.includes(name));
    const [left, refused] = [lacks.filter((name) => LEFT_OUT.includes(name)), lacks.filter((name) => !LEFT_OUT.includes(name))];
    return [left.length && `${nameOf(model)} takes ${list(left, 'no')}: ${left.length > 1 ? 'these are' : 'it is'} left out there.`,
      refused.length && `${nameOf(model)} cannot be asked with ${list(refused, 'a').replace('a tools', 'tools')}.`];
  };
  const fit = (place) => {
    const models = [...place.closest(place.dataset.fits).querySelectorAll('[data-model], select[name=model]')].map((one) => one.selectedOptions?.[0] ?? one);
    const named = models.filter(({ value }) => value.includes('/')), isAll = models.length > 0 && named.length === models.length;
    const all = isAll ? lacking(named[0]).filter((name) => named.every((model) => lacking(model).includes(name))) : [];
    place.querySelectorAll('[data-parameter]').forEach((part) => {
      const fields = [...part.querySelectorAll('input, select, textarea')], isKept = 'keeps' in place.dataset;
      part.hidden = part.dataset.parameter.split(' ').every((name) => all.includes(name)) && !(isKept && fields.some(({ value }) => value));
      if (!isKept) fields.forEach((field) => { field.disabled = part.hidden; });
    });
    const most = place.querySelector('[name$=max_tokens]'), limit = models.length === 1 && models[0].dataset.most;
    most.dataset.max ??= most.max;
    most.dataset.placeholder ??= most.placeholder;
    if (most.dataset.max) most.max = limit || most.dataset.max;
    most.placeholder = limit ? `At most ${Number(limit).toLocaleString('en')}` : most.dataset.placeholder;
    const note = place.querySelector('[data-takes]');
    note.dataset.automatic ??= note.textContent;
    const told = [all.length && `${named.length > 1 ? 'These models take' : 'This model takes'} ${list(all, 'no')}.`,
      ...(models.length > 1 ? named.flatMap((model) => oneOfMany(model, all)) : []), isAll ? '' : note.dataset.automatic];
    note.textContent = told.filter(Boolean).join(' ');
    note.hidden = !note.textContent;
  };
  const fitAll = () => document.querySelectorAll('[data-fits]').forEach(fit);
  document.addEventListener('change', ({ target }) => { if (target.matches('select[name=model]')) fitAll(); });
  new MutationObserver((changes) => {
    const isNew = (node) => node.nodeType === 1 && node.querySelector('[data-fits]');
    if (changes.some(({ addedNodes }) => [...addedNodes].some(isNew))) fitAll();
  }).observe(document.body, { childList: true, subtree: true });
  fitAll();
})();
