// An answer of a batch by keyboard: 1 to 5 score it, j and k go to the next and the one before.
(() => {
  'use strict';
  const areOff = () => { try { return localStorage.getItem('keys') === 'off'; } catch { return false; } };   // palette.js
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || areOff() || event.target.closest?.('input, textarea, select, [contenteditable], dialog')) return;
    const found = { j: 'a[rel=next]', k: 'a[rel=prev]' }[event.key] ?? (/^[1-5]$/.test(event.key) ? `[data-grade="${event.key}"]` : '');
    const target = found && document.querySelector(found);
    if (!target) return;
    event.preventDefault();
    target.click();
  });
})();
