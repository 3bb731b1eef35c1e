// The palette (Ctrl/Cmd-K) that leads to every place by its name, and the few keys that do without it.
(() => {
  'use strict';
  const palette = document.getElementById('palette'), keys = document.getElementById('shortcuts');
  if (!palette) return;
  const input = palette.querySelector('input'), list = document.getElementById('palette-list');
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (key, value) => { try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch { /* closed to us */ } };
  const options = () => [...list.querySelectorAll('[role=option]:not([aria-disabled])')];

  const show = () => {
    if (palette.open) return;
    document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
    document.getElementById('sidebar')?.hidePopover?.();
    palette.showModal();
    input.select();
    ask();
  };
  const ask = () => input.dispatchEvent(new CustomEvent('palette-open', { bubbles: true }));
  input.addEventListener('htmx:after:init', () => { if (palette.open) ask(); });   // whoever is quicker than the page is heard too
  const mark = (option) => {
    options().forEach((one) => one.setAttribute('aria-selected', String(one === option)));
    input.setAttribute('aria-activedescendant', option?.id ?? '');
    option?.scrollIntoView({ block: 'nearest' });
  };
  const marked = () => list.querySelector('[aria-selected=true]');

  // What this page itself can do: whatever is labelled with data-act. It stands first until something is typed.
  const acts = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    return [...document.querySelectorAll('[data-act]')].filter(({ dataset, offsetParent }) =>
      (offsetParent || dataset.act) && words.every((word) => dataset.act.toLowerCase().includes(word)));
  };
  const addActs = () => {
    list.querySelector('[data-here]')?.remove();
    const found = acts().slice(0, input.value.trim() ? 8 : 5);
    if (!found.length) return;
    const group = document.getElementById('palette-here').content.firstElementChild.cloneNode(true);
    const model = group.querySelector('[role=option]');
    found.forEach((element, place) => {
      const option = model.cloneNode(true);
      option.id = `palette-here-${place}`;
      option.querySelector('span').textContent = element.dataset.act;
      option.addEventListener('click', () => {
        palette.close();
        if (element.matches('form')) element.requestSubmit(); else element.click();
      });
      group.append(option);
    });
    model.remove();
    if (input.value.trim()) list.lastElementChild.before(group); else list.prepend(group);   // searching for the words comes last
  };
  // Who presses Enter before the list of what was typed is there means the first of that one, not what stands there of before.
  let listed, chooses = null;
  const choose = (isApart) => {
    const option = marked();
    chooses = null;
    if (!option) return;
    if (option.href && isApart) { open(option.href, '_blank', 'noopener'); palette.close(); } else option.click();
  };
  input.addEventListener('htmx:config:request', ({ detail }) => { detail.ctx.words = input.value; });
  input.addEventListener('htmx:after:swap', ({ detail }) => {
    addActs();
    const first = options()[0];
    mark(first);
    list.scrollTop = 0;
    listed = detail.ctx.words;
    if (listed === input.value) chooses?.();
  });
  input.addEventListener('input', () => { chooses = null; });
  palette.addEventListener('close', () => { chooses = null; });

  input.addEventListener('keydown', (event) => {
    if (event.isComposing) return;                                             // Enter and the arrows choose a word there
    const all = options(), here = all.indexOf(marked());
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, PageDown: here + 6, PageUp: here - 6 }[event.key];
    if (to !== undefined && all.length) {
      event.preventDefault();
      const isStep = event.key.startsWith('Arrow');
      mark(all[isStep ? (to + all.length) % all.length : Math.min(Math.max(to, 0), all.length - 1)]);
    }
    if (event.key === 'Enter') {
      event.preventDefault();
      const isApart = event.ctrlKey || event.metaKey;
      if (listed === input.value) choose(isApart); else chooses = () => choose(isApart);
    }
  });
  list.addEventListener('pointermove', ({ target }) => { const option = target.closest('[role=option]:not([aria-disabled])'); if (option && option !== marked()) mark(option); });
  // On a page with the place's form the address changes only behind the #, and nothing would close.
  list.addEventListener('click', ({ target }) => { if (target.closest('a')) palette.close(); });

  // Keys. None of the single ones fires while somebody writes, and all of those can be switched off.
  const isWriting = ({ target }) => target.closest?.('input, textarea, select, [contenteditable]');
  const press = (selector) => { const found = document.querySelector(selector); found?.click(); return found; };
  const step = (by) => {
    const runs = [...document.querySelectorAll('#runs > .run')];
    const here = runs.findIndex((run) => run.getBoundingClientRect().top > 20);
    const at = here < 0 ? runs.length : here;
    const isOn = runs[at]?.getBoundingClientRect().top < 60;
    const to = runs[by > 0 ? (isOn ? at + 1 : at) : at - 1];
    to?.scrollIntoView({ block: 'start' });
    to?.querySelector('a, button')?.focus({ preventScroll: true });
    return to;
  };
  const single = {
    '?': () => keys.showModal(),
    '/': () => { const field = document.querySelector('#composer textarea, #quick-text, [role=search] input[type=search]'); field?.focus(); return field; },
    z: () => press('[data-undo]'),
    j: () => step(1),
    k: () => step(-1),
  };
  let wentFor = 0;                                                             // when g was pressed
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (palette.open) palette.close(); else show();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || kept('keys') === 'off') return;
    if (isWriting(event) || document.querySelector('dialog[open]')) return;
    const isSecond = Date.now() - wentFor < 1200;
    wentFor = event.key === 'g' && !isSecond ? Date.now() : 0;
    const act = isSecond ? () => press(`[data-go="${CSS.escape(event.key)}"]`) : single[event.key];
    if (act?.()) event.preventDefault();
    else if (event.key === '?') event.preventDefault();
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-palette]')) show();
    if (event.target.closest('[data-shortcuts]')) { document.querySelectorAll('.pop:popover-open').forEach((pop) => pop.hidePopover()); keys.showModal(); }
  });
  const toggle = keys.querySelector('[data-keys]');
  toggle.checked = kept('keys') !== 'off';
  toggle.addEventListener('change', () => keep('keys', toggle.checked ? '' : 'off'));
})();
