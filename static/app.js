// The little JavaScript of our own: comfort only. Every page reads, and every form posts, without it.
(() => {
  'use strict';
  const on = (type, selector, act, options) => document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (found) act(found, event);
  }, options);
  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => {
      try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch {
        try { localStorage.removeItem(key); } catch { /* closed to us */ }   // too long to keep: then no old one either
      }
    },
  };

  // Theme: light, dark, or whatever the system says.
  const media = matchMedia('(prefers-color-scheme: dark)');
  const showTheme = () => {
    const choice = store.get('theme') || 'system';
    document.documentElement.classList.toggle('dark', choice === 'dark' || (choice === 'system' && media.matches));
    document.querySelectorAll('[data-theme-choice]').forEach((button) =>
      button.setAttribute('aria-pressed', String(button.dataset.themeChoice === choice)));
  };
  on('click', '[data-theme-choice]', (button) => {
    store.set('theme', button.dataset.themeChoice === 'system' ? '' : button.dataset.themeChoice);
    showTheme();
  });
  media.addEventListener('change', showTheme);

  // On a narrow page the tab that one is on may lie beyond the edge.
  document.querySelector('.page-tabs [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });

  // Copy the text of another element, or of an address, and say so with a tick.
  const fetched = async (url) => {
    const answer = await fetch(url, { redirect: 'error' });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };
  const textOf = (button) => {
    if (button.dataset.fetched) return fetched(button.dataset.fetched);
    const source = button.dataset.copy ? document.querySelector(button.dataset.copy) : button.closest('.code-block').querySelector('pre');
    return Promise.resolve(source.value ?? source.textContent);
  };
  const toClipboard = async (text, button) => {
    // A promise is handed over: some browsers forget, while it is fetched, that somebody has clicked.
    try { await navigator.clipboard.write([new ClipboardItem({ 'text/plain': text.then((words) => new Blob([words], { type: 'text/plain' })) })]); return true; } catch {
      const area = Object.assign(document.createElement('textarea'), { value: await text, className: 'sr-only' });   // plain http: no clipboard of that kind
      const held = document.activeElement;
      button.after(area); area.select();
      const isCopied = document.execCommand('copy');
      area.remove();
      held.focus({ preventScroll: true });
      return isCopied;
    }
  };
  on('click', '[data-copy], .btn-copy', async (button) => {
    try { if (!await toClipboard(textOf(button), button)) return sayAlone('uncopied'); } catch { return sayUnreachable(); }
    announce('Copied');
    if (button.classList.contains('copied')) return;
    const word = button.matches('.btn-copy') && button.textContent;        // has no icon to turn into a tick
    button.classList.add('copied');
    if (word) button.textContent = 'Copied';
    setTimeout(() => { button.classList.remove('copied'); if (word) button.textContent = word; }, 1600);
  });
  // A block of code as a file, named as it is on the run's own page.
  on('click', '.btn-save', (button) => {
    const blocks = [...button.closest('.markdown').querySelectorAll('.code-block')], block = button.closest('.code-block');
    const href = URL.createObjectURL(new Blob([block.querySelector('pre').textContent], { type: 'text/plain' }));
    const link = Object.assign(document.createElement('a'), { href, download: `code-${blocks.indexOf(block) + 1}.${button.dataset.ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
    announce(`${link.download} saved`);
  });
  const announce = (text) => { const place = document.getElementById('announcer'); if (place) place.textContent = text; };

  // A form is sent once at a time: while it is on its way, sending it again is nothing. Its button is not disabled for that,
  // which would take the keyboard's place away, and the button's own value out of the form.
  const onItsWay = new WeakSet();
  document.addEventListener('submit', (event) => {
    if (!onItsWay.has(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  const goes = (form, is) => {
    onItsWay[is ? 'add' : 'delete'](form);
    form.toggleAttribute('data-sending', is);
  };
  const posted = ({ sourceElement: form, request }) => request?.method === 'POST' && form?.matches?.('form') && form;
  document.addEventListener('htmx:before:request', ({ detail }) => { const form = posted(detail.ctx); if (form) goes(form, true); });
  document.addEventListener('htmx:finally:request', ({ detail }) => { const form = posted(detail.ctx); if (form) goes(form, false); });
  // A button that htmx disables for as long (hx-disable) has the keyboard's place again, if nobody took it meanwhile.
  const pressed = new WeakMap();
  document.addEventListener('htmx:before:request', ({ detail: { ctx } }) => { if (posted(ctx)) pressed.set(ctx, document.activeElement); });
  document.addEventListener('htmx:finally:request', ({ detail: { ctx } }) => setTimeout(() => {
    if (document.activeElement === document.body && pressed.get(ctx)?.isConnected) pressed.get(ctx).focus({ preventScroll: true });
  }));
  addEventListener('submit', ({ target: form, defaultPrevented, submitter }) => {
    if (defaultPrevented || (submitter?.formMethod || form.method) !== 'post') return;
    goes(form, true);
    setTimeout(() => goes(form, false), 5000);                             // what is answered by a file leaves the page where it is
  });
  addEventListener('pageshow', ({ persisted }) => { if (persisted) document.querySelectorAll('[data-sending]').forEach((form) => goes(form, false)); });
  // The server tells which mark has done its work: what is sent from here next is another act, though it says the same.
  document.addEventListener('htmx:after:request', ({ detail }) => {
    const spent = detail.ctx?.response?.headers.get('Dataelan-Spent');
    if (!spent) return;
    const fresh = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    document.querySelectorAll(`input[name=once][value="${CSS.escape(spent)}"]`).forEach((mark) => { mark.value = fresh; });
  });

  // A form that is refused leads to the first thing that is wrong with it, which may be far above its button; but not
  // one that is kept or looked at by itself while somebody writes in it.
  const WRONG = '[aria-invalid=true], .field-error, .said-list[data-tone=danger], .notice[data-tone=danger]';
  const toWhatIsWrong = (region) => {
    const wrong = [...region.querySelectorAll(WRONG)].find((one) => one.checkVisibility({ visibilityProperty: true }));
    if (!wrong) return;
    const told = wrong.matches('.field-error') ? wrong.closest('[id]')?.id : null;   // then to the field that these words are of
    const of = told ? region.querySelector(`[aria-describedby~="${CSS.escape(told)}"]`) : null;
    const field = of?.matches('[role=group]') ? of.querySelector('input') : of;
    const place = field?.checkVisibility() ? field : wrong;
    if (!place.matches('input, select, textarea, button')) place.tabIndex = -1;
    place.focus({ preventScroll: true });
    wrong.scrollIntoView({ block: 'center' });
  };
  document.addEventListener('htmx:after:swap', ({ detail }) => {
    const { response, request, target, sourceEvent } = detail?.ctx ?? {};
    const isSent = request?.method === 'POST' && ['submit', 'click'].includes(sourceEvent?.type);
    if (isSent && response?.raw?.status === 422) toWhatIsWrong(document.getElementById(target?.id) ?? document.body);
  });

  // What watches a form asks once about what that says: a field that is merely left says nothing new. Whatever else was
  // asked or put in place meanwhile may have changed the answer.
  let asked = new WeakMap();
  const watching = ({ sourceElement }) => sourceElement?.matches?.('#watch, #quote-watch, #compare-watch') && sourceElement;
  const wordsOf = (body) => JSON.stringify([...body].filter(([name]) => name !== 'quote')   // which its own answer brings
    .map(([name, value]) => (value instanceof File ? [name, value.name, value.size, value.lastModified] : [name, value])));
  document.addEventListener('htmx:config:request', (event) => {
    const { ctx } = event.detail, watch = watching(ctx);
    if (!watch) return;
    ctx.asks = wordsOf(ctx.request.body);
    if (asked.get(watch) === ctx.asks) { ctx.asks = null; event.preventDefault(); } else asked.set(watch, ctx.asks);
  });
  for (const type of ['htmx:after:request', 'htmx:finally:request', 'htmx:after:swap']) document.addEventListener(type, ({ detail }) => {
    const ctx = detail?.ctx ?? {}, watch = watching(ctx);
    if (!watch) asked = new WeakMap();
    else if (!ctx.response?.raw?.ok && asked.get(watch) === ctx.asks) asked.delete(watch);   // refused, cut off, or taken back
  });

  // Menus close on Escape and on a click elsewhere.
  const closeMenus = (except) => document.querySelectorAll('details:is(.menu, .offer)[open]').forEach((menu) => { if (menu !== except) menu.open = false; });
  document.addEventListener('click', (event) => closeMenus(event.target.closest('details:is(.menu, .offer)')));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const menu = document.activeElement.closest?.('details:is(.menu, .offer)[open]');
    closeMenus();
    menu?.querySelector('summary').focus();
  });

  // Toasts leave by themselves, except dangers, and never while pointed at.
  const retire = (toast) => {
    if (toast.dataset.tone === 'danger') return;
    setTimeout(() => (toast.matches(':hover, :focus-within') ? retire(toast) : toast.remove()), 'long' in toast.dataset ? 20000 : matchMedia('(max-width: 48rem)').matches ? 4000 : 6000);
  };
  on('click', '[data-dismiss]', (button) => button.closest('[data-toast]').remove());

  let isLeft = false;   // what a page had asked for comes to nothing when it is left: no trouble, though the browser calls it so
  window.addEventListener('pagehide', () => { isLeft = true; });
  window.addEventListener('pageshow', () => { isLeft = false; });
  // Words that the page came with, as a toast, and once however often there is cause.
  globalThis.sayAlone = (name) => {
    const place = document.getElementById('toasts');
    if (!place || place.querySelector(`[data-${name}]`)) return;
    const toast = document.getElementById(name).content.firstElementChild.cloneNode(true);
    toast.dataset[name] = '';
    place.append(toast);
  };
  const sayUnreachable = () => { if (!isLeft) sayAlone('unreachable'); };
  document.addEventListener('htmx:error', sayUnreachable);

  // Writing: Ctrl/Cmd-Enter sends; drafts survive a reload; the box grows where CSS cannot make it.
  const grow = (area) => {
    if (CSS.supports('field-sizing', 'content')) return;
    area.rows = Math.min(16, Math.max(2, area.value.split('\n').length + Math.floor(area.value.length / 110)));
  };
  document.addEventListener('keydown', (event) => {
    const form = event.target.matches?.('textarea[data-submit]') ? event.target.form : event.target.closest?.('form[data-runs]');
    if (form && event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  // A wrong value in a part that is folded away would make the button seem dead.
  on('invalid', '.composer-more *', (field) => { field.form.querySelector('[data-composer-more]').checked = true; }, true);
  on('invalid', '.compare-shared *', (field) => { field.closest('details').open = true; }, true);
  on('invalid', '.column-settings *', (field) => { field.form.elements.in_step.checked = false; }, true);
  // Drafts are one person's: the browser may be shared, and whoever signs in again finds their own. Who signs out leaves none.
  const draftOf = (area) => area.dataset.draft && `draft:${document.body.dataset.person ?? ''}:${area.dataset.draft}`;
  on('input', 'textarea[data-submit]', (area) => { grow(area); if (area.dataset.draft) store.set(draftOf(area), area.value); });
  on('click', 'form [data-drops]', (link) => link.closest('form').querySelectorAll('[data-draft]').forEach((field) => store.set(draftOf(field), '')));
  on('input', '#editor [aria-invalid]', (field) => field.removeAttribute('aria-invalid'));   // the server says so again if it still is
  on('submit', 'form[data-signs-out]', () => {
    try {
      indexedDB.deleteDatabase('attached');                                 // their files
      Object.keys(localStorage).filter((key) => /^(draft|watched):/.test(key)).forEach((key) => localStorage.removeItem(key));
    } catch { /* closed to us */ }
  });
  // Files of drafts have a base of this browser's: `act` is given its store, {of: the draft, files, …}, in one change.
  globalThis.draftFiles = (act) => new Promise((resolve, reject) => {
    const opening = indexedDB.open('attached', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('drafts', { keyPath: 'of' });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const base = opening.result, change = base.transaction('drafts', 'readwrite'), asked = act(change.objectStore('drafts'));
      const over = (settle) => () => { base.close(); settle(change.error ?? asked?.result); };
      change.oncomplete = over(resolve);
      change.onabort = over(reject);
    };
  });
  // Settings, as far as they differ from what the page came with: cleared ones too, which a blank stands for.
  const says = (field) => (field.type === 'checkbox' ? String(field.checked) : field.value);
  const cameWith = (field) => (field.type === 'checkbox' ? String(field.defaultChecked) : field.type === 'radio' ? field.defaultChecked && field.value
    : field.defaultValue ?? ([...field.options].find(({ defaultSelected }) => defaultSelected) ?? field.options[0]).value);
  on('input', '[data-draft]:not([data-submit])', (field) => store.set(draftOf(field), says(field) === cameWith(field) ? '' : says(field) || ' '));
  const wakeSetting = (field) => {
    const draft = store.get(draftOf(field)), value = draft?.trim() ? draft : '';
    if (!draft || (field.options && ![...field.options].some((one) => one.value === value))) return;   // such as a model that is gone
    if (field.type === 'checkbox') field.checked = value === 'true';
    else if (field.type === 'radio') field.checked ||= field.value === value;
    else field.value = value;
    const more = field.closest('.composer-more') && field.form.querySelector('[data-composer-more]');
    if (more) more.checked = true;                                          // what is folded away would be sent unseen
    for (let fold = field.closest('details'); fold; fold = fold.parentElement.closest('details')) fold.open = true;
  };
  const wakeArea = (area) => {
    const draft = area.dataset.draft && store.get(draftOf(area));
    if (draft) area.value = draft;
    grow(area);
  };
  // What stood in each field as its form was sent: the session, or the batch, knows that now. What was changed while it was
  // on its way is of the next prompt, which is being written already.
  const sentAs = new WeakMap(), stands = (field) => (/checkbox|radio/.test(field.type) ? field.checked : field.value);
  document.addEventListener('submit', ({ target }) =>
    target.querySelectorAll('[data-draft], textarea[data-submit]').forEach((field) => sentAs.set(field, stands(field))));
  const isKnown = (field, was) => {
    if (field.options) for (const one of field.options) one.defaultSelected = one.value === was;
    else if (/checkbox|radio/.test(field.type)) field.defaultChecked = was;
    else field.defaultValue = was;
  };
  document.addEventListener('htmx:after:request', (event) => {
    const { sourceElement: form, response } = event.detail.ctx ?? {};
    if (!form?.matches?.('form[data-composer], form[data-drafted]') || !response?.raw?.ok) return;
    const fields = [...form.querySelectorAll('[data-draft]:not([data-submit])')].map((field) => [field, stands(field)]);
    const changed = fields.filter(([field, now]) => sentAs.has(field) && sentAs.get(field) !== now).map(([field]) => draftOf(field));
    for (const [field, now] of fields) {
      if (!changed.includes(draftOf(field))) store.set(draftOf(field), '');
      isKnown(field, sentAs.get(field) ?? now);
    }
    for (const [field, now] of fields) if (/checkbox|radio/.test(field.type)) field.checked = now; else field.value = now;
    const area = form.querySelector('textarea[data-submit]');
    if (!area) return;
    if (area.value === sentAs.get(area)) {
      area.value = '';
      store.set(draftOf(area), '');
      grow(area);
    }
    if (!form.matches('[data-composer]')) return;
    // Who went elsewhere meanwhile is writing there.
    if (document.activeElement === document.body || form.contains(document.activeElement)) area.focus({ preventScroll: true });
    following = true;
    document.getElementById('connect')?.removeAttribute('open');           // it has had its moment
  });

  // Follow the answer as it grows, as long as the reader is at the end of the page.
  // Going up ends it at once, and what was on its way down before does not begin it again: else each new piece would
  // pull the reader down. A card that becomes shorter moves the page too, and nobody went anywhere.
  let following = false, lastY = 0, lastHeight = 0, wentUpAt = 0;
  const height = () => document.documentElement.scrollHeight;
  const goneUp = () => { following = false; wentUpAt = performance.now(); };
  addEventListener('scroll', () => {
    if (scrollY < lastY && height() >= lastHeight) goneUp();
    else if (scrollY > lastY && performance.now() - wentUpAt > 150) following = innerHeight + scrollY >= height() - 120;
    [lastY, lastHeight] = [scrollY, height()];
  }, { passive: true });
  addEventListener('wheel', ({ deltaY }) => { if (deltaY < 0) goneUp(); }, { passive: true });
  const follow = () => {
    if (!following || document.querySelector('#runs.tries')) return;               // of a saved prompt the latest is first
    scrollTo({ top: height(), behavior: 'instant' });
    [lastY, lastHeight] = [scrollY, height()];                                   // our own move is nobody's wish
  };
  document.addEventListener('load', ({ target }) => { if (target.closest?.('#runs')) follow(); }, true);   // a picture takes its room late

  // How long a running answer has taken so far. The text is changed and no new one put in its place: whoever watches the
  // page for what is new is not called, and the page is not measured, five times a second.
  setInterval(() => {
    if (document.hidden) return;
    document.querySelectorAll('[data-since]').forEach((place) => {
      const seconds = Math.max(0, (Date.now() - Date.parse(place.dataset.since)) / 1000);
      const words = seconds < 60 ? `${seconds.toFixed(1)}s` : `${Math.floor(seconds / 60)}m ${Math.floor(seconds % 60)}s`;
      if (!place.firstChild) place.textContent = words;
      else if (place.firstChild.data !== words) place.firstChild.data = words;
    });
  }, 200);

  // The bell: looked at again once a minute, while the page is seen. A word that is followed counts as read.
  let bellAt = Date.now();
  const lookAtBell = async () => {
    const bell = document.getElementById('bell');
    if (!bell || document.hidden || Date.now() - bellAt < 60000) return;
    bellAt = Date.now();
    try {
      const answer = await fetch(bell.dataset.bell, { redirect: 'error' });   // a visitor whose sign-in ended goes on undisturbed
      if (!answer.ok) return;
      const said = bell.getAttribute('aria-label');
      const words = await answer.text(), isHeld = document.activeElement === bell;
      bell.outerHTML = words;
      if (isHeld) document.getElementById('bell').focus({ preventScroll: true });
      const says = document.getElementById('bell').getAttribute('aria-label');
      if (says !== said) announce(says);
    } catch { /* next time */ }
  };
  setInterval(lookAtBell, 5000);
  document.addEventListener('visibilitychange', lookAtBell);
  const reads = (link, event) => {
    if (event.button > 1) return;
    const token = document.querySelector('meta[name=csrf-token]').content;
    fetch(link.dataset.reads, { method: 'POST', keepalive: true, redirect: 'manual', headers: { 'X-CSRFToken': token } });
  };
  on('click', '[data-reads]', reads);
  on('auxclick', '[data-reads]', reads);

  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

  // What was written at home and is a run now is no draft any more.
  const sent = `draft:${document.body.dataset.person ?? ''}:home`, waiting = store.get(sent)?.trim();
  if (waiting && [...document.querySelectorAll('#runs .prompt-text')].some((asked) => asked.textContent.trim() === waiting)) {
    [sent, `${sent}:model`, `${sent}:model_type`].forEach((key) => store.set(key, ''));
  }

  // New elements, wherever they come from.
  const all = (root, selector) => [...(root.matches?.(selector) ? [root] : []), ...root.querySelectorAll(selector)];
  const wake = (root) => {
    all(root, '[data-toast]').forEach(retire);
    all(root, 'textarea[data-submit]').forEach(wakeArea);
    all(root, '[data-draft]:not([data-submit])').forEach(wakeSetting);
    // What scrolls sideways must be reachable by keyboard; the sanitizer leaves no attributes for it.
    all(root, '.markdown :is(pre, table)').forEach((wide) => { wide.tabIndex = 0; });
    if (isMac) all(root, 'kbd[data-mod]').forEach((key) => { key.textContent = '⌘'; });
    all(root, 'dialog[data-open]').forEach((dialog) => { if (!dialog.open) dialog.showModal(); });
  };
  // All of a block is laid out anew at every piece that is added to it: so the lines of an answer that are whole leave
  // the one being written. It reads, and stands, as before.
  const settle = (live) => {
    const loose = [...live.childNodes].slice(live.childElementCount);      // the blocks stand first
    if (loose.reduce((sum, { length }) => sum + length, 0) < 1500 || !getSelection().isCollapsed) return;
    const last = loose.findLastIndex(({ data }) => data.includes('\n'));
    if (last < 0) return;
    loose[last].splitText(loose[last].data.lastIndexOf('\n') + 1);
    const block = document.createElement('div');
    live.insertBefore(block, loose[0]);
    block.append(...loose.slice(0, last + 1));
    block.normalize();
  };
  new MutationObserver((changes) => {
    for (const change of changes) if (change.target.matches('.live-text')) settle(change.target);
    for (const change of changes) for (const node of change.addedNodes) {
      if (node.nodeType === 1) wake(node);
    }
    if (document.getElementById('runs')) follow();
  }).observe(document.body, { childList: true, subtree: true });

  // What the address names is open.
  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    target?.querySelector(':scope > details')?.setAttribute('open', '');
    if (target?.matches('dialog.modal') && !target.open) {
      target.showModal();
      history.replaceState(history.state, '', location.pathname + location.search);   // a reload does not open it again
    }
  };
  addEventListener('hashchange', openTarget);
  document.addEventListener('click', (event) => { if (event.target.closest('[data-print]')) print(); });

  showTheme();
  wake(document);
  openTarget();
  if (document.querySelector('#composer') && document.querySelector('#runs > .run') && !location.hash) {
    scrollTo({ top: document.documentElement.scrollHeight });
    following = true;
  }
})();
