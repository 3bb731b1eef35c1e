// Pages of routing rules: dragging to another place, and what need not ask the server. Without it, buttons do the same.
(() => {
  'use strict';
  const say = (text) => { const place = document.getElementById('announcer'); if (place) place.textContent = text; };
  const nameOf = (item) => item.querySelector('strong, .rule-name')?.textContent.trim() ?? '';

  // What a new order means: in a form it is looked at anew; in the list it is saved.
  const moved = (list, item) => {
    const items = [...list.children];
    say(`${nameOf(item)}: ${items.indexOf(item) + 1} of ${items.length}`);
    if (list.dataset.sortable === 'form') return list.closest('form').dispatchEvent(new Event('change', { bubbles: true }));
    const form = item.querySelector('form[data-place]');
    const before = Object.assign(document.createElement('input'), { type: 'hidden', name: 'before', value: item.nextElementSibling?.dataset.id ?? '' });
    form.append(before);
    form.requestSubmit();
    before.remove();
    return true;
  };

  // By pointer: mouse, pen or finger, at the handle.
  document.addEventListener('pointerdown', (event) => {
    const handle = event.target.closest('[data-handle]');
    if (!handle || event.button !== 0) return;
    const item = handle.closest('[data-id]'), list = item.closest('[data-sortable]'), from = item.nextElementSibling;
    event.preventDefault();
    item.classList.add('dragged');
    const put = ({ clientY }) => {
      const after = [...list.children].find((other) => {
        const box = other.getBoundingClientRect();
        return other !== item && clientY < box.top + box.height / 2;
      });
      if ((after ?? null) !== item.nextElementSibling) list.insertBefore(item, after ?? null);
    };
    // On the document: what is moved in the page loses its hold of the pointer.
    const over = new AbortController(), { signal } = over;
    const end = ({ type }) => {
      over.abort();
      item.classList.remove('dragged');
      if (type !== 'pointerup') list.insertBefore(item, from);
      else if (item.nextElementSibling !== from) moved(list, item);
    };
    document.addEventListener('pointermove', put, { signal });
    for (const name of ['pointerup', 'pointercancel']) document.addEventListener(name, end, { signal });
    document.addEventListener('keydown', (pressed) => { if (pressed.key === 'Escape') end(pressed); }, { signal });
  });

  // By button in the form: at once, and the button keeps the focus.
  document.addEventListener('click', (event) => {
    const button = event.target.closest('.pick .move-up, .pick .move-down');
    if (!button) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const item = button.closest('.pick'), list = item.parentElement;
    const isUp = button.classList.contains('move-up');
    const other = isUp ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    if (isUp) list.insertBefore(item, other); else list.insertBefore(other, item);
    button.focus();
    moved(list, item);
  }, true);

  // What was searched for has been found: a swap that keeps fields keeps their text too.
  document.addEventListener('htmx:after:swap', () => {
    const search = document.querySelector('#q[autofocus]');
    if (!search) return;
    search.value = search.defaultValue;
    search.removeAttribute('autofocus');
  });

  // What was asked of the form as it was before says nothing of it now.
  document.addEventListener('htmx:before:swap', ({ detail }) => {
    const swapped = detail?.ctx?.target;
    if (swapped?.id === 'rule') document.getElementById('watch')?.dispatchEvent(new CustomEvent('htmx:abort'));
  });

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-example]');
    const field = button && document.getElementById(button.dataset.into);
    if (!field) return;
    field.value = button.dataset.example;
    field.focus();
    field.dispatchEvent(new Event('input', { bubbles: true }));
  });
})();
