// Tables of answers: a click on a head sorts, numbers as numbers; once more, the other way round.
(() => {
  'use strict';
  const number = (text) => {
    const plain = text.replace(/[\s,$€£%]/g, '');
    return plain !== '' && Number.isFinite(Number(plain)) ? Number(plain) : null;
  };
  const compare = (a, b) => {
    const [left, right] = [number(a), number(b)];
    return left !== null && right !== null ? left - right : a.localeCompare(b, undefined, { numeric: true });
  };
  const sort = (head) => {
    const table = head.closest('table');
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute('aria-sort') === 'ascending';
    const rows = [...table.tBodies[0].rows];
    const text = (row) => row.cells[column]?.textContent.trim() ?? '';
    rows.sort((a, b) => (text(a) === '') - (text(b) === '') || (down ? -1 : 1) * compare(text(a), text(b)));   // what is empty comes last
    table.tBodies[0].append(...rows);
    for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  };
  const wake = (root) => root.querySelectorAll?.('table.sortable th:not([tabindex])').forEach((head) => {
    head.tabIndex = 0;
    head.title = 'Sort';
  });
  document.addEventListener('click', (event) => { const head = event.target.closest?.('table.sortable th'); if (head) sort(head); });
  document.addEventListener('keydown', (event) => {
    if ((event.key === 'Enter' || event.key === ' ') && event.target.matches?.('table.sortable th')) { event.preventDefault(); sort(event.target); }
  });
  document.addEventListener('htmx:after:swap', () => wake(document));
  wake(document);
})();
