// Before what gives somebody power the server may ask whether it is still them (accounts/lately.py). A dialog opens over the
// page, and the form that was held back is sent again after it, as it stands.
(() => {
  'use strict';
  const place = document.getElementById('proof');
  let waits = {};
  const goOn = () => {
    const { form, submitter } = waits;
    waits = {};
    place.replaceChildren();
    if (!form?.isConnected) return;
    submitter?.focus();
    if (form.dataset.confirm) form.dataset.confirmed = 'yes';               // which was asked before
    form.requestSubmit(submitter?.isConnected ? submitter : null);
  };
  document.addEventListener('htmx:after:request', ({ detail: { ctx } }) => {
    const said = ctx?.response?.headers.get('Dataelan-Proof'), form = ctx?.sourceElement;
    if (said === 'needed' && !place.contains(form)) waits = { form, submitter: ctx.sourceEvent?.submitter };
    if (said === 'given') setTimeout(goOn);                                 // once its own form is off its way
  });
  place.addEventListener('click', ({ target }) => { if (target.closest('[data-goes-on]')) goOn(); });
  // Left alone, nothing is done: what is sent as soon as it is chosen shows again what holds.
  place.addEventListener('close', () => {
    if (waits.form?.matches('[hx-trigger*=change]')) waits.form.reset();
    waits = {};
    place.replaceChildren();
  }, true);
})();
