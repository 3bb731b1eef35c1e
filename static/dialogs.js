// Dialogs: what opens and closes them, what asks before a form is sent, and where the keyboard's place goes after.
(() => {
  'use strict';
  const on = (type, selector, act) => document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (found) act(found, event);
  });
  on('click', '[data-opens]', (button) => document.getElementById(button.dataset.opens)?.showModal());
  on('click', '[data-closes]', (button) => button.closest('dialog').close());
  on('click', '[data-back]', () => history.back());
  // A click beside a dialog closes it, if it began there: who marks the words of a field may let go beside the dialog.
  let pressed;
  document.addEventListener('pointerdown', ({ target }) => { pressed = target; }, true);
  on('click', 'dialog.modal', (dialog, event) => { if (event.target === dialog && pressed === dialog) dialog.close('cancel'); });

  // data-confirm on a form asks before it is sent, by htmx or not. What was agreed to is what the form said then: a page that
  // looks for its own news may since have made another's of it, or put another in its place.
  const MARKS = ['csrf_token', 'once', 'submission'];                        // new each time that it is rendered
  const actOf = (form) => JSON.stringify([form.getAttribute('action'), form.getAttribute('hx-post'),
    ...[...new FormData(form)].filter(([name, value]) => typeof value === 'string' && !MARKS.includes(name))]);
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form.dataset.confirmed) { delete form.dataset.confirmed; return; }
    const act = actOf(form);
    event.preventDefault();
    event.stopImmediatePropagation();
    const dialog = document.getElementById('confirm');
    document.getElementById('confirm-title').textContent = form.dataset.confirm;
    document.getElementById('confirm-text').textContent = form.dataset.confirmText || '';
    document.getElementById('confirm-ok').textContent = form.dataset.confirmAction || 'Continue';
    dialog.returnValue = 'cancel';
    dialog.showModal();
    dialog.addEventListener('close', () => {
      if (dialog.returnValue !== 'ok') return;
      const agreed = [form, ...document.querySelectorAll('form[data-confirm]')].find((one) => one.isConnected && actOf(one) === act);
      if (!agreed) return sayAlone('changed');
      agreed.dataset.confirmed = 'yes';
      agreed.requestSubmit(event.submitter?.isConnected && event.submitter.form === agreed ? event.submitter : null);
    }, { once: true });
  }, true);

  // A dialog gives the keyboard's place back to what it had before. In a menu that was closed meanwhile, that is its button.
  let before;
  document.addEventListener('focusin', ({ target }) => { if (!target.closest('dialog')) before = target; });
  document.addEventListener('close', () => {
    if (document.activeElement === document.body) before?.closest('details.menu')?.querySelector('summary').focus();
  }, true);
})();
