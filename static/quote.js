// The quote beside Run: of files only what they are is told, not what is in them; and a prompt that was sent has none.
(() => {
  'use strict';
  const isWatch = (node) => node?.matches?.('#quote-watch, #compare-watch');
  const isBlank = (body) => body.get('text')?.trim() === '' && !body.has('quoted_files') && !document.querySelector('#attached > *');
  let wasAsked = false; // of an empty composer, as most pages open with, there is nothing to ask
  document.addEventListener('htmx:config:request', (event) => {
    const { sourceElement, request } = event.detail.ctx;
    if (!isWatch(sourceElement)) return;
    const files = request.body.getAll('files').filter((file) => file.size);
    request.body.delete('files');
    request.body.delete('quote');
    files.forEach((file) => request.body.append('quoted_files', `${file.type || 'text/plain'} ${file.size}`));
    if (!wasAsked && isBlank(request.body)) event.preventDefault();
    else wasAsked = true;
  });
  document.addEventListener('htmx:after:request', (event) => {
    const { sourceElement: form, response } = event.detail.ctx ?? {};
    if (!form?.matches?.('form[data-composer]') || !response?.raw?.ok) return;
    document.getElementById('quote')?.removeAttribute('open');
    const watch = document.getElementById('quote-watch');
    if (watch) htmx.trigger(watch, 'requote');
  });
})();
