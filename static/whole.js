// What is cut off for want of room says itself whole to who points at it, wherever it is: in a list, a table, the sidebar.
(() => {
  'use strict';
  const isCut = (element) => {
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
    if (scrollWidth <= clientWidth && scrollHeight <= clientHeight) return false;
    const style = getComputedStyle(element);
    return style.textOverflow === 'ellipsis' || style.webkitLineClamp !== 'none';
  };
  document.addEventListener('pointerover', ({ target }) => {
    const place = target.closest?.('a, button, td, dd, .truncate');
    if (!place || place.closest('[title]:not([data-whole])')) return;
    const parts = [...place.querySelectorAll('*')], of = parts.length && place.matches('td, dd') ? parts : [place, ...parts];
    const cut = of.filter((one) => isCut(one) && !one.closest('[title]:not([data-whole])'));
    const words = cut.filter((one) => !cut.some((other) => other !== one && other.contains(one))).map((one) => one.textContent.trim().replace(/\s+/g, ' '));
    if (!words.length && !('whole' in place.dataset)) return;
    place.toggleAttribute('data-whole', words.length > 0);
    if (words.length) place.title = [...new Set(words)].join('\n'); else place.removeAttribute('title');
  });
})();
