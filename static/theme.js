// Loaded before anything is drawn, so that the page never flashes in the wrong theme.
(() => {
  let choice = null;
  try { choice = localStorage.getItem('theme'); } catch { /* storage may be closed to us */ }
  const dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.classList.toggle('dark', dark);
  document.documentElement.dataset.theme = choice || 'system';
})();
