// A file that was chosen for a form outlives a reload, and a form that comes back with a word of complaint: it is kept in this
// browser, for this person, under the name in data-kept-file, beside the files of drafts (playground.js), and goes with them.
(() => {
  'use strict';
  const shelf = globalThis.draftFiles;
  let chosen = null;
  const field = () => document.querySelector('[data-kept-file]');
  const nameOf = (input) => `${document.body.dataset.person ?? ''}:${input.dataset.keptFile}`;
  // Said at once, for the shelf takes a moment, in which the page may be left.
  const gone = {
    key: (name) => `file-gone:${name}`,
    is: (name) => { try { return Boolean(localStorage.getItem(gone.key(name))); } catch { return false; } },
    say: (name, is) => { try { is ? localStorage.setItem(gone.key(name), '1') : localStorage.removeItem(gone.key(name)); } catch { /* closed to us */ } },
  };
  const forget = (name) => {
    gone.say(name, true);
    shelf((store) => store.delete(name)).then(() => gone.say(name, false)).catch(() => {});
  };
  const show = () => {
    const input = field();
    if (!input) return;
    if (chosen && !input.files.length) {
      const all = new DataTransfer();
      all.items.add(chosen);
      input.files = all.files;
    }
    const button = document.querySelector('[data-drops-file]');
    if (button.hidden !== !chosen) button.hidden = !chosen;
  };
  const drop = (input) => {
    chosen = null;
    input.value = '';
    show();
    forget(nameOf(input));
  };
  document.addEventListener('change', ({ target: input }) => {
    if (!input.matches?.('[data-kept-file]')) return;
    [chosen] = input.files;
    if (!chosen) return drop(input);
    show();
    // A copy of what it holds now: a browser sends no file that was changed on the disk since it was chosen.
    const taken = chosen, { name, type, lastModified } = taken;
    taken.arrayBuffer().then((bytes) => {
      if (chosen !== taken) return undefined;                                // sent, or taken away, meanwhile
      chosen = new File([bytes], name, { type, lastModified });
      gone.say(nameOf(input), false);
      return shelf((store) => store.put({ of: nameOf(input), files: [chosen], references: [], at: Date.now() }));
    }).catch(() => {});                                                      // no room: then it is chosen again, as ever
  });
  document.addEventListener('click', ({ target }) => {
    if (!target.closest?.('[data-drops-file]')) return;
    drop(field());
    field().focus();
  });
  document.addEventListener('htmx:after:request', ({ detail }) => {
    const { sourceElement: form, response } = detail.ctx ?? {}, input = form?.querySelector?.('[data-kept-file]');
    if (input && response?.raw?.ok) drop(input);                             // the server has its rows now
  });
  new MutationObserver(show).observe(document.body, { childList: true, subtree: true });
  if (field() && gone.is(nameOf(field()))) forget(nameOf(field()));
  else if (field()) shelf((store) => store.get(nameOf(field()))).then((kept) => { chosen ??= kept?.files[0] ?? null; show(); }, () => {});
})();
