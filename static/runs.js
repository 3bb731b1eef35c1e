// A session's runs: older and newer ones come as one scrolls, and the end of a run is told to whoever looks elsewhere.
// So is the end of a comparison, and of what a saved prompt is tried with: whatever stands in [data-states], which names
// where to ask how it is; and of a batch (data-batch), whose page asks by itself, and where nobody else tells a screen reader.
(() => {
  'use strict';
  const runs = document.querySelector('[data-states]');
  if (!runs) return;
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (key, value) => { try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch { /* closed to us */ } };
  const say = (text) => { document.getElementById('announcer').textContent = text; };

  // What is about to come into view is loaded; what is being read stays where it is.
  const near = new IntersectionObserver((seen) => seen.forEach(({ isIntersecting, target }) => {
    if (!isIntersecting) return;
    near.unobserve(target);
    const link = target.querySelector('a');
    const inView = [...runs.querySelectorAll('.run')].find((run) => run.getBoundingClientRect().bottom > 0);
    const before = inView?.getBoundingClientRect().top;
    const settle = () => {
      if (target.isConnected) return;                                          // not this one's answer yet
      document.removeEventListener('htmx:after:swap', settle);
      const moved = inView ? inView.getBoundingClientRect().top - before : 0;
      if (target.dataset.more === 'older' && moved > 1) scrollBy({ top: moved, behavior: 'instant' });
    };
    document.addEventListener('htmx:after:swap', settle);
    link.dispatchEvent(new CustomEvent('come', { bubbles: true }));
  }), { rootMargin: '1200px 0px' });

  // Which runs are open, and what becomes of them: watch.js tells it, here and on every other page.
  const OVER = ['completed', 'failed', 'cancelled', 'interrupted', 'answered', 'done', 'paused'], isBatch = 'batch' in runs.dataset;
  const open = new Set();
  const { states } = runs.dataset, name = document.title.split(' · ')[0], page = states.replace(/\/states$/, '');
  const about = (id) => ({ id, states, name, href: page.includes('/sessions/') ? `${page}?run=${id}` : page });
  const told = (id, state) => {
    if (!open.delete(id)) return;
    if (isBatch) { say({ done: 'The batch is done', paused: 'The batch has paused' }[state] ?? 'Stopped'); document.querySelectorAll('[data-notify]').forEach((bell) => { bell.hidden = true; }); }
    document.body.dispatchEvent(new CustomEvent('run-ended'));
    dispatchEvent(new CustomEvent('run-over', { detail: { ...about(id), state } }));
  };
  const RUN = '.run, [data-run]';
  const look = (run) => {
    const id = run.dataset.run ?? run.id.slice(4);
    if (OVER.includes(run.dataset.state)) return told(id, run.dataset.state);
    if (isBatch && !open.has(id)) say('The batch is running');
    if (run.dataset.state !== 'copied') open.add(id);
    if (run.dataset.by && run.dataset.by === document.body.dataset.person) dispatchEvent(new CustomEvent('run-open', { detail: about(id) }));
    showBells(isBatch ? document : run);
  };
  // A hidden page holds no stream open, so it asks now and then.
  setInterval(async () => {
    if (!document.hidden || !open.size || isBatch) return;
    try {
      const answer = await fetch(states, { headers: { Accept: 'application/json' } });
      if (!answer.ok) return;
      for (const [id, state] of Object.entries(await answer.json())) if (OVER.includes(state)) told(id, state);
    } catch { /* asked again in a moment */ }
  }, 4000);

  // Notifications are asked for by this button, and by nothing else.
  const showBells = (root) => root.querySelectorAll('[data-notify]').forEach((bell) => {
    bell.hidden = !globalThis.Notification || Notification.permission === 'denied';
    bell.setAttribute('aria-pressed', String(kept('notify') === 'on' && Notification.permission === 'granted'));
  });
  document.addEventListener('click', async (event) => {
    const bell = event.target.closest('[data-notify]');
    if (!bell) return;
    const isOn = bell.getAttribute('aria-pressed') === 'true';
    const allowed = isOn || await Notification.requestPermission() === 'granted';
    keep('notify', !isOn && allowed ? 'on' : '');
    say(isOn ? 'No notifications' : allowed ? 'You will be told when a run ends' : 'The browser allows no notifications here');
    showBells(document);
  });

  const wake = (node) => {
    if (node.nodeType !== 1) return;
    if (node.matches(RUN)) look(node);
    if (node.matches('[data-more]')) near.observe(node);
    node.querySelectorAll(RUN).forEach(look);
    node.querySelectorAll('[data-more]').forEach((more) => near.observe(more));
  };
  new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach(wake))).observe(runs, { childList: true, subtree: true });
  if (isBatch) new MutationObserver(() => look(runs)).observe(runs, { attributeFilter: ['data-state'] });
  // Later, so that a page that opens at its end is there first and does not ask for what is far away.
  requestAnimationFrame(() => requestAnimationFrame(() => wake(runs)));
})();
