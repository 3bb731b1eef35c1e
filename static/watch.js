// The end of what one has begun is told wherever one is by then: by a toast; to who looks elsewhere in the title, and by a
// notification if they pressed the bell. What runs is kept in this browser until it is told; while nothing does, nothing is asked.
(() => {
  'use strict';
  const OVER = { completed: 'Answer ready', failed: 'The run failed', cancelled: 'Stopped', interrupted: 'The run was interrupted', answered: 'All answers are there', done: 'The batch is done', paused: 'The batch has paused' };
  const GOOD = ['completed', 'answered', 'done'];
  const key = `watched:${document.body.dataset.person ?? ''}`, DAY = 86400e3;
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const read = () => { try { return JSON.parse(kept(key)) ?? {}; } catch { return {}; } };
  const change = (id, entry) => {
    const all = read();
    if (entry) all[id] = entry; else delete all[id];
    try { Object.keys(all).length ? localStorage.setItem(key, JSON.stringify(all)) : localStorage.removeItem(key); } catch { /* closed to us */ }
  };
  const isHere = (id) => document.getElementById(`run-${id}`) ?? document.querySelector(`[data-run="${CSS.escape(id)}"]`);

  // To who looks elsewhere.
  const title = document.title;
  const call = (id, state, { name, href }) => {
    document.title = `${GOOD.includes(state) ? '✓' : '!'} ${OVER[state]} · ${title}`;
    if (kept('notify') !== 'on' || globalThis.Notification?.permission !== 'granted') return;
    try {
      const note = new Notification(OVER[state], { body: name, tag: id, icon: document.querySelector('link[rel=icon]').href });
      note.onclick = () => {
        focus();
        const card = isHere(id);
        if (card) card.scrollIntoView(); else location.assign(href);
        note.close();
      };
    } catch { /* a phone's browser takes them from a service worker only; the title tells it */ }
  };
  // To who looks at another page. One whose browser has shown it already is not told again.
  const show = (id, state, { name, href }) => {
    change(id);
    if (isHere(id) || state === 'cancelled') return;
    const toast = document.getElementById('ended').content.firstElementChild.cloneNode(true);
    toast.dataset.long = '';
    if (!GOOD.includes(state)) {
      const mark = toast.querySelector('.icon use');
      toast.dataset.tone = 'warn';
      mark.setAttribute('href', mark.getAttribute('href').replace(/#.*/, '#triangle-alert'));
    }
    toast.querySelector('strong').textContent = OVER[state];
    toast.querySelector('p').textContent = name;
    toast.querySelector('a').href = href;
    document.getElementById('toasts').append(toast);
  };
  const told = new Set();
  const tell = (id, state, entry) => {
    told.add(id);
    if (!document.hidden) return show(id, state, entry);
    change(id, { ...entry, over: state });                                   // for the page that is looked at next
    if (state !== 'cancelled') call(id, state, entry);
  };

  // Said by the page where it runs (runs.js).
  addEventListener('run-open', ({ detail: { id, ...entry } }) => {
    told.delete(id);
    if (!read()[id]) change(id, { ...entry, at: Date.now(), asked: 0 });
  });
  addEventListener('run-over', ({ detail: { id, state, ...about } }) => {
    const entry = read()[id];
    if (!document.hidden) change(id);
    else if (entry) tell(id, state, entry);
    else if (!told.has(id) && state !== 'cancelled') call(id, state, about);  // somebody else's
  });

  // Asked for on every other page: often at first, seldom what takes long; by the page that is seen before any that is not.
  const pace = ({ at }) => (Date.now() - at < 60e3 ? 4e3 : Date.now() - at < 600e3 ? 10e3 : 30e3) + (document.hidden ? 3e3 : 0);
  const ask = async (states, due) => {
    due.forEach(([id, entry]) => change(id, { ...entry, asked: Date.now() }));
    let said = {};
    try {
      const answer = await fetch(states, { headers: { Accept: 'application/json' }, redirect: 'error' });
      if (answer.ok) said = await answer.json();
      else if (![403, 404, 410].includes(answer.status)) return;             // those are gone for this person
    } catch { return; /* asked again in a moment */ }
    due.forEach(([id]) => {
      const entry = read()[id];                                              // another page may have told it meanwhile
      if (!entry || entry.over) return;
      if (OVER[said[id]]) tell(id, said[id], entry); else if (!said[id]) change(id);
    });
  };
  const look = () => {
    const all = Object.entries(read());
    for (const [id, { at }] of all) if (!(Date.now() - at < DAY)) change(id);
    if (!document.hidden) for (const [id, entry] of all) if (entry.over) show(id, entry.over, entry);
    const due = all.filter(([id, entry]) => !entry.over && !isHere(id) && Date.now() - entry.asked >= pace(entry));
    for (const states of new Set(due.map(([, entry]) => entry.states))) ask(states, due.filter(([, entry]) => entry.states === states));
  };
  setInterval(look, 1000);
  addEventListener('storage', (event) => { if (event.key === key) look(); });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    document.title = title;
    look();
  });
  look();
})();
